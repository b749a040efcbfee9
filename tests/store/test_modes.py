"""How an operation runs says what it may touch: `store.answers` keeps answers of READ while LOG commits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from greenroom.app import LocalRegistry, open_local
from greenroom.core.errors import GreenroomError
from greenroom.core.model import Actor
from greenroom.core.tracking import Metric, ModelOutput, ModelStatus, RunStatus
from greenroom.services import commands as c
from greenroom.services import reading
from greenroom.services.api import BY_NAME, OF_THE_LOG, Mode
from greenroom.services.commands import tracking as t
from greenroom.store.compiled.sqlite import AUDITED, TRACKED

ANA = Actor("ana")
RUN, MODEL = "a" * 32, "m-" + "b" * 32
PLACE = f"0/{RUN}/artifacts/model/weights.bin"
_WRITES = (apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE)

READS: dict[str, Any] = {
    "get_model": c.ModelNamed("m"),
    "get_version": c.VersionNamed("m", 1),
    "latest_versions": c.LatestVersions("m"),
    "get_holder": c.GetHolder("m", "Production"),
    "snapshot_file": c.SnapshotFile("sha256:" + "0" * 64, "f"),
    "check_place": c.UploadPath(PLACE),
    "address_key": c.Nothing(),
    "get_upload": c.UploadPath(PLACE),
}
LOGS: tuple[tuple[str, Any], ...] = (
    ("set_experiment_tag", t.SetExperimentTag(0, "k", "v")),
    ("delete_experiment_tag", t.DeleteExperimentTag(0, "k")),
    ("log_to_run", t.LogToRun(RUN, (Metric("m", 1.0, 1, 1, MODEL),), (("p", "1"),), {"k": "v", "mlflow.runName": "n"})),
    ("delete_run_tag", t.DeleteRunTag(RUN, "k")),
    ("log_outputs", t.LogOutputs(RUN, (ModelOutput(MODEL, 1),))),
    ("create_logged_model", t.CreateLoggedModel("m-" + "c" * 32, 7, 0, "x", "kind", RUN, {"p": "1"}, {"k": "v"})),
    ("finish_logged_model", t.FinishLoggedModel(MODEL, ModelStatus.READY)),
    ("tag_logged_model", t.TagLoggedModel(MODEL, {"k": "v"})),
    ("untag_logged_model", t.UntagLoggedModel(MODEL, "k")),
    ("log_model_params", t.LogModelParams(MODEL, {"q": "1"})),
    ("update_run", t.UpdateRun(RUN, RunStatus.FINISHED, 9, "n")),
)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    with contextlib.closing(open_local(tmp_path / "data", create=True)) as made:
        do = made.call_now
        do("create_run", t.CreateRun(RUN, 7, 0), ANA)
        do("create_logged_model", t.CreateLoggedModel(MODEL, 7, 0, source_run_id=RUN), ANA)
        do("log_to_run", t.LogToRun(RUN, (Metric("m", 0.5, 1),), (("o", "1"),)), ANA)
        do("create_model", c.CreateModel("m"), ANA)
        do("register_version", c.RegisterVersion("m", source=f"runs:/{RUN}/model", run_id=RUN), ANA)
        do("promote", c.Promote("m", "Production", 1), ANA)
        yield made


def touched(registry: LocalRegistry, connection: Any, name: str, command: Any) -> tuple[set[str], set[str]]:
    """Return the tables that an operation reads and those that it writes, as SQLite itself tells them."""
    read: set[str] = set()
    written: set[str] = set()

    def note(action: int, table: str | None, *_: Any) -> int:
        if action == apsw.SQLITE_READ and table:
            read.add(table)
        elif action in _WRITES and table:
            written.add(table)
        return apsw.SQLITE_OK

    raw = connection.raw
    raw.cache_flush()
    raw.authorizer = note
    try:
        with contextlib.suppress(GreenroomError):  # not found: it has looked all the same
            registry.call_now(name, command, ANA)
    finally:
        raw.authorizer = None
    return read, written - {"sqlite_master"}


def runs_read(registry: LocalRegistry, name: str) -> set[str]:
    """Return the tables of runs that a point read looks at."""
    read, written = touched(registry, registry.store._reader, name, READS[name])
    assert read, "it was seen to read"
    assert not written
    return read & set(TRACKED)


@pytest.mark.parametrize("name", sorted(OF_THE_LOG))
def test_what_is_kept_by_the_head_of_the_log_reads_audited_rows_alone(registry: LocalRegistry, name: str) -> None:
    read, _ = touched(registry, registry.store._reader, name, READS[name])
    assert read
    assert read <= set(AUDITED)


def test_every_operation_of_the_modes_is_here() -> None:
    of = {mode: {each.name for each in BY_NAME.values() if each.mode is mode} for mode in Mode}
    assert set(READS) == of[Mode.READ]
    assert {name for name, _ in LOGS} == of[Mode.LOG]


@pytest.mark.parametrize("name", READS)
def test_a_point_read_looks_at_no_runs(registry: LocalRegistry, name: str) -> None:
    assert runs_read(registry, name) == set()


@pytest.mark.parametrize(("name", "command"), LOGS, ids=[name for name, _ in LOGS])
def test_logging_writes_the_tables_of_runs_alone(registry: LocalRegistry, name: str, command: Any) -> None:
    if name.startswith(("delete_", "untag_")):  # there is something to take away
        for each in LOGS:
            if each[0] in ("set_experiment_tag", "log_to_run", "tag_logged_model"):
                registry.call_now(*each, ANA)
    _, written = touched(registry, registry.store._db, name, command)
    assert written
    assert written <= set(TRACKED)


def test_a_point_read_that_looks_at_runs_is_noticed(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    view: Callable[..., Any] = reading.get_version_view

    def with_run(tx: Any, ask: Any, actor: Any) -> Any:
        tx.find_run(RUN)
        return view(tx, ask, actor)

    monkeypatch.setattr(reading, "get_version_view", with_run)
    registry._use_cases.pop("get_version", None)
    assert runs_read(registry, "get_version") == {"run", "experiment"}
