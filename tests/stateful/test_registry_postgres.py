"""C4 on PostgreSQL: the same games against the registry in a database (see test_registry.py)."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from greenroom.app import open_shared
from greenroom.core import lifecycle
from greenroom.core.digest import digest_of
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import SEED
from tests.stateful.machine import BLOBS, MEMORY, RegistryMachine
from tests.stateful.rules import Rules

EXAMPLES, STEPS = sized(12, 20_000), sized(30, 100)
PRESETS = ("standard", "guarded", "mlflow")


class PostgresMachine(RegistryMachine):
    """Plays every game in a database of its own, which is a copy of a template."""

    databases: ClassVar[dict[str, tuple[str, Path]]] = {}

    def __init__(self) -> None:
        RuleBasedStateMachine.__init__(self)
        self.told = Rules(self.preset)
        template, files = self._database()
        self.folder = Path(tempfile.mkdtemp(prefix="greenroom-", dir=MEMORY if MEMORY.is_dir() else None))
        shutil.copytree(files, self.folder, dirs_exist_ok=True)
        self.url = new_database(template=template.rpartition("/")[2])
        self.registry = open_shared(self.url, self.folder)
        self.last = "alpha"

    @classmethod
    def _database(cls) -> tuple[str, Path]:
        if cls.preset not in cls.databases:
            folder, url = Path(tempfile.mkdtemp(prefix="greenroom-")) / "data", new_database()
            registry = open_shared(url, folder, lifecycle=cls.preset)
            for data in BLOBS.values():
                upload = registry.blobs.upload(digest_of(data)[7:])
                upload.write(data)
                upload.finish(digest_of(data), len(data))
            registry.close()
            cls.databases[cls.preset] = url, folder
        return cls.databases[cls.preset]

    def teardown(self) -> None:
        super().teardown()
        with psycopg.connect(self.url.rpartition("/")[0] + "/postgres", autocommit=True) as db:
            db.execute(f"DROP DATABASE {self.url.rpartition('/')[2]} WITH (FORCE)")


@pytest.fixture(scope="module", autouse=True)
def templates() -> Iterator[None]:
    yield
    for _, folder in PostgresMachine.databases.values():
        shutil.rmtree(folder.parent, ignore_errors=True)
    PostgresMachine.databases.clear()


def run(preset: str, examples: int) -> None:
    """Play `examples` games; prints the seed with which they can be played again."""
    print(f"GREENROOM_SEED={SEED}")
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        print_blob=False,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )
    made = type(f"{preset.title()}OnPostgres", (PostgresMachine,), {"preset": preset})
    run_state_machine_as_test(seed(SEED)(made), settings=chosen)


@promise(
    "C4",
    "PostgreSQL: {games} games of {steps} steps",
    games=EXAMPLES,
    steps=STEPS,
    mutant="test_a_broken_rule_is_found_on_postgresql",
)
@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_registry_in_postgresql_equals_rules(preset: str) -> None:
    run(preset, EXAMPLES // len(PRESETS))


def _no_conflict(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a held exclusive stage gets it."""
    patch.setattr(lifecycle, "RULES", tuple(each for each in lifecycle.RULES if each is not lifecycle.free_slot))


@pytest.mark.parametrize("mutant", [_no_conflict])
def test_a_broken_rule_is_found_on_postgresql(mutant: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        with pytest.raises(AssertionError):
            run("standard", 40)
