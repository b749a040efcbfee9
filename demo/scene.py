"""What every chapter works with: the story, the server, the registry, the trained models and their names."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import greenroom
from demo.server import Server
from demo.shell import Shell
from demo.story import Story
from demo.training import Candidate
from greenroom import Registry, Tenure, errors

MODELS = ("tumour", "digits", "diabetes", "wine")


@dataclass
class Scene:
    """The demo as it goes. `names` are the models' names of this run, `steps` what happened when (UTC ms)."""

    story: Story
    server: Server
    shell: Shell
    registry: Registry
    data: Path
    work: Path
    candidates: Mapping[str, Sequence[Candidate]]
    names: Mapping[str, str]
    steps: dict[str, int] = field(default_factory=dict)
    facts: dict[str, object] = field(default_factory=dict)

    def holder(self, model: str, slot: str = "Production") -> int | None:
        """Return the version that holds a slot now; None: nobody."""
        tenure: Tenure | None = self.registry.holder(model, slot)
        return None if tenure is None else tenure.version

    def check_holder(self, model: str, version: int | None, claim: str) -> None:
        """Claim who holds Production."""
        found = self.holder(model)
        self.story.check(found == version, claim, f"version {found} holds Production of {model}")


def fresh_names(registry: Registry) -> dict[str, str]:
    """Return a name per model that this registry does not have yet, so that the demo can run on the same folder again.

    All get the same number: `tumour`, `digits`, ... the first time, `tumour-2`, `digits-2`, ... the second.
    """
    run = 1
    while any(_is_there(registry, _numbered(name, run)) for name in MODELS):
        run += 1
    return {name: _numbered(name, run) for name in MODELS}


def _numbered(name: str, run: int) -> str:
    return name if run == 1 else f"{name}-{run}"


def _is_there(registry: Registry, name: str) -> bool:
    try:
        registry.model(name)
    except errors.NotFound:
        return False
    return True


def connect(url: str, actor: str) -> Registry:
    """Return the registry at `url`, asked by `actor`."""
    return greenroom.connect(url, actor=actor)


def save_folder(candidate: Candidate, folder: Path) -> Path:
    """Write a model into a folder of its own, as anybody might: the model, what it needs, how it was set."""
    import skops.io

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    skops.io.dump(candidate.model, folder / "model.skops")
    (folder / "params.json").write_text(json.dumps(dict(candidate.params), indent=2, sort_keys=True) + "\n", "utf-8")
    (folder / "requirements.txt").write_text("\n".join(requirements()) + "\n", "utf-8")
    return folder


def load_folder(folder: Path) -> Any:
    """Read such a model back; only types that this demo wrote itself are trusted."""
    import skops.io

    path = folder / "model.skops"
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def requirements() -> list[str]:
    """Return what a model of this demo needs to be loaded, pinned."""
    import sklearn
    import skops

    return [f"scikit-learn=={sklearn.__version__}", f"skops=={skops.__version__}"]


def now_ms() -> int:
    """Return the time as the registry writes it: UTC milliseconds."""
    return time.time_ns() // 1_000_000


def as_date(at: int) -> str:
    """Return UTC milliseconds as a date that commands read."""
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
