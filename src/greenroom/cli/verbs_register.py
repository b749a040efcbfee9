"""`models register`: where the files of a new version come from, and how they get here.

A folder or file of this machine is sent. A run or a logged model of an MLflow tracking server elsewhere is fetched
through the installed MLflow and sent, so that the version is pinned; without MLflow it is registered unpinned.
"""

from __future__ import annotations

import importlib.util
import math
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom.cli import verbs_show as show
from greenroom.cli.verbs_ask import Ask
from greenroom.cli.verbs_show import Printer
from greenroom.cli.verbs_words import MODELS, is_logged_model, read_version, split_uri
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import Context, Dataset, Parent, Version
from greenroom.core.remotes import without_credentials

if TYPE_CHECKING:
    from greenroom.client.files import Metadata
    from greenroom.client.registry import Registry

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]+:")
_RUN = re.compile(r"runs:/+([^/]+)(?:/.*)?")


def register(asked: Ask, registry: Registry, printer: Printer) -> int:
    """Register the next version and say its number."""
    source = asked.source or ""
    given: Metadata = {"tags": dict(asked.tags), "description": asked.text, "reason": asked.comment}
    if asked.run_id:
        given["run_id"] = asked.run_id
    if _SCHEME.match(source) is None or source.startswith("file:"):
        version = _send(_local(source), asked, registry, given)
    elif source.startswith("runs:") or is_logged_model(source):
        version = _from_tracking(source, asked, registry, given, printer)
    elif source.startswith(MODELS):
        parent = _parent(source, registry)
        given["parent"] = parent
        version = _refer(f"{MODELS}{parent.model}/{parent.version}", asked, registry, given)
    else:
        version = _refer(source, asked, registry, given)
    printer.sentence(
        f"Successfully registered model '{version.model}' with version {version.version}", show.version_item(version)
    )
    if version.digest is None:
        printer.note(f"Note: the version is unpinned, its files stay at {version.source}.")
    return 0


def _refer(source: str, asked: Ask, registry: Registry, given: Metadata) -> Version:
    """Register files that are elsewhere: this process has not trained them, so nothing is said of its surroundings."""
    given["context"] = None
    return registry.register(asked.name, source=source, **given)


def _local(source: str) -> Path:
    """Return the folder or file that `source` names. Raises InvalidInput when there is none."""
    if source.startswith("file:"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        path = Path(url2pathname(urlsplit(source).path))
    else:
        path = Path(source).expanduser()
    try:
        found = path.exists()
    except (OSError, ValueError):  # a name too long for the system, a NUL
        found = False
    if not found:
        like = f"Did you mean runs:/{source[5:]}?" if source.startswith("runs/") else "Give a folder, a file or a URI."
        raise InvalidInput(f"{source[:200]!r} is neither a file or folder here nor a URI.", hint=like)
    return path


def _send(path: Path, asked: Ask, registry: Registry, given: Metadata) -> Version:
    """Push a folder, or a file as a folder of one."""
    from greenroom.client.context import collect

    given["context"] = collect(path, trained_here=False)  # this process only passes the files on
    if path.is_dir():
        return registry.push(path, asked.name, progress=not asked.quiet, **given)
    with tempfile.TemporaryDirectory(prefix="greenroom-") as folder:
        copy = Path(folder) / path.name
        try:
            os.link(path.resolve(), copy)
        except OSError:  # another file system, or none with links
            import shutil

            shutil.copyfile(path, copy)
        return registry.push(folder, asked.name, progress=not asked.quiet, **given)


def _parent(source: str, registry: Registry) -> Parent:
    """Return the version that `models:/NAME/…` names, so that what is registered does not move with a stage."""
    from greenroom.cli.verbs_pick import resolve_version

    name, rest = split_uri(source)
    version, ref = read_version(rest or "latest", model=name, stage=True)
    return Parent(name, resolve_version(Ask("register", "register", name, version, ref), registry))


def _from_tracking(source: str, asked: Ask, registry: Registry, given: Metadata, printer: Printer) -> Version:
    elsewhere = tracking_elsewhere(asked, os.environ, Path.cwd())
    run = _RUN.fullmatch(source)
    if elsewhere is None or importlib.util.find_spec("mlflow") is None:
        given["run_id"] = run.group(1) if run else asked.run_id
        return _refer(source, asked, registry, given)
    with tempfile.TemporaryDirectory(prefix="greenroom-") as folder:
        printer.note(f"Note: fetching {source} from {elsewhere or 'the tracking store that MLflow uses here'}.")
        fetched = _fetch(source, elsewhere or None, folder)
        given["context"] = None
        if run:
            _note_run(given, run.group(1), elsewhere or None)
        return registry.push(fetched, asked.name, source=source, progress=not asked.quiet, **given)


def tracking_elsewhere(asked: Ask, env: Mapping[str, str], cwd: Path) -> str | None:
    """Return the tracking URI that a run's files are fetched from; `""` is MLflow's own default store in this folder.

    None when the tracking server is the registry itself, which then knows the run, or when there is none to ask.
    """
    from greenroom.client.resolve import ServerAddress, looks_like_url, parse_url, resolve

    tracking = asked.tracking or env.get("MLFLOW_TRACKING_URI")
    if not tracking:
        return "" if (cwd / "mlruns").is_dir() or (cwd / "mlflow.db").is_file() else None
    if not looks_like_url(tracking):
        return tracking
    ours = resolve(url=asked.url, data=asked.data, env=env, cwd=cwd)
    theirs = parse_url(tracking, "the tracking server", env)
    same = isinstance(ours, ServerAddress) and (ours.host, ours.port) == (theirs.host, theirs.port)
    return None if same else tracking


def _fetch(source: str, tracking: str | None, folder: str) -> str:
    """Download through MLflow into `folder`; return the folder of the model. Raises NotFound with MLflow's reason."""
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    try:
        found = mlflow.artifacts.download_artifacts(artifact_uri=source, dst_path=folder, tracking_uri=tracking)
    except (MlflowException, OSError) as exc:
        raise NotFound(f"{source[:200]!r} could not be fetched: {str(exc)[:300]}", source=source[:200]) from exc
    return str(found) if Path(found).is_dir() else folder


def _note_run(given: Metadata, run_id: str, tracking: str | None) -> None:
    """Add what the tracking server knows of a run, in our words."""
    from mlflow.tracking import MlflowClient

    run = MlflowClient(tracking_uri=tracking).get_run(run_id)
    inputs, tags = getattr(run, "inputs", None), run.data.tags
    given["run_id"] = run_id
    given["metrics"] = {key: value for key, value in run.data.metrics.items() if math.isfinite(value)}
    given["params"] = dict(run.data.params)
    given["datasets"] = tuple(_dataset(each) for each in (inputs.dataset_inputs if inputs else ()))
    given["context"] = Context(
        git_commit=tags.get("mlflow.source.git.commit"),
        git_branch=tags.get("mlflow.source.git.branch"),
        git_remote=without_credentials(tags.get("mlflow.source.git.repoURL")),
        entry_point=tags.get("mlflow.source.name"),
    )


def _dataset(given: Any) -> Dataset:
    context = next((tag.value for tag in given.tags if tag.key == "mlflow.data.context"), None)
    # MLflow's digest is a short hash of its own, no sha256 of the bytes: it goes by its name.
    return Dataset(given.dataset.name, f"mlflow:{given.dataset.digest}", None, context)
