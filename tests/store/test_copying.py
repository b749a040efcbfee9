"""A registry copied into another database is the same registry: ids, history, audit tree, and it goes on from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core.errors import AlreadyExists, IntegrityFailure
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.store.compiled import postgresql, sqlite
from greenroom.store.copying import copy_rows
from greenroom.store.driver import Params
from greenroom.store.postgres import Postgres
from greenroom.store.sqlite import SQLite
from greenroom.upkeep import carrying
from greenroom.upkeep.jobs import copy
from greenroom.upkeep.place import Place
from tests.postgres import new_database

ANA = Actor("ana")


def filled(folder: Path) -> LocalRegistry:
    registry = open_local(folder, create=True)
    for number in range(3):
        ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=number == 0, metrics={"auc": 0.5 + number})
        registry.call_now("register_version", ask, ANA)
        registry.call_now("promote", c.Promote("m", "Production", number + 1, swap=True), ANA)
    return registry


def proof(registry: LocalRegistry) -> tuple[str, str]:
    note = registry.call_now("audit_checkpoint", c.AuditCheckpoint(), ANA)
    return note.root, note.note


def test_there_and_back(tmp_path: Path) -> None:
    """Mutant check: leave a table out of the copy, or a column, and the copy does not verify."""
    first = filled(tmp_path / "first")
    root, note = proof(first)
    url = new_database()
    target = Postgres(url)
    with first.rows() as rows:
        count = copy_rows(rows, target, postgresql.DDL)
    target.close()
    assert count > 0
    shared = open_shared(url, tmp_path / "first")
    assert proof(shared) == (root, note)
    assert shared.call_now("promote", c.Promote("m", "Production", 1, swap=True), ANA).succeeded
    back = tmp_path / "back"
    back.mkdir(mode=0o700)
    database = SQLite(back / "greenroom.db", create=True)
    with shared.rows() as rows:
        copy_rows(rows, database, sqlite.DDL)
    database.close()
    shutil.copy(tmp_path / "first" / "audit.key", back)
    last = open_local(back)
    report = last.call_now("audit_verify", c.AuditVerify((note,)), ANA)
    assert (report.status, report.findings) == ("ok", ())
    held = last.call_now("list_history", c.ListHistory("m", "Production"), ANA).items
    assert [tenure.version for tenure in held] == [1, 3, 2, 1]
    for each in (first, shared, last):
        each.close()


def test_a_copy_is_read_back_before_it_is_committed(tmp_path: Path) -> None:
    """Mutant check: a target that loses a row, or changes a value, is noticed, and nothing is left in it."""
    first = filled(tmp_path / "first")

    class Losing(SQLite):
        def run_many(self, sql: str, rows: Iterable[Params]) -> None:
            found = list(rows)
            super().run_many(sql, found[:-1] if '"tenure"' in sql else found)

    class Changing(SQLite):
        def run_many(self, sql: str, rows: Iterable[Params]) -> None:
            super().run_many(sql, [{**row, "value": 0.4} if "auc" in row.values() else row for row in rows])

    for kind, table in ((Losing, "tenure"), (Changing, "version_metric")):
        target = kind(tmp_path / f"{table}.db", create=True)
        with first.rows() as rows, pytest.raises(IntegrityFailure, match=f"the table {table} does not hold"):
            copy_rows(rows, target, sqlite.DDL)
        assert target.tables() == set()
        target.close()
    first.close()


@pytest.mark.parametrize("value", [-0.0, 1e308, 5e-324, 0.1 + 0.2])
def test_numbers_stay_what_they_are_there_and_back(value: float, tmp_path: Path) -> None:
    """SQLite keeps -0.0 as 0.0, PostgreSQL does not: that is no difference."""
    url, files = new_database(), tmp_path / "files"
    shared = open_shared(url, files)
    ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=True, metrics={"auc": value})
    shared.call_now("register_version", ask, ANA)
    root, note = proof(shared)
    shared.close()
    done = copy(Place(files, url), Place(tmp_path / "local"))
    assert (done.checkpoint, done.behind) == (note, 0)
    again = new_database()
    copy(Place(tmp_path / "local"), Place(tmp_path / "local", again))
    last = open_shared(again, tmp_path / "local")
    assert proof(last) == (root, note)
    assert last.call_now("get_version", c.VersionNamed("m", 1), ANA).metrics == {"auc": value}
    last.close()


def test_a_copy_of_a_database_that_goes_on_says_how_far_behind_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, files = new_database(), tmp_path / "files"
    shared = open_shared(url, files)
    ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=True)
    shared.call_now("register_version", ask, ANA)

    take_files = carrying.Draft._take_files

    def meanwhile(self: Any, named: Any, how: Any) -> Any:
        shared.call_now("promote", c.Promote("m", "Production", 1), ANA)
        return take_files(self, named, how)

    monkeypatch.setattr(carrying.Draft, "_take_files", meanwhile)
    done = copy(Place(files, url), Place(tmp_path / "local"))
    assert done.behind == 1
    shared.close()


def test_a_database_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    first = filled(tmp_path / "first")
    target = SQLite(tmp_path / "other.db", create=True)
    target.run("CREATE TABLE theirs (x)")
    with first.rows() as rows, pytest.raises(AlreadyExists, match="is not empty"):
        copy_rows(rows, target, sqlite.DDL)
    assert target.tables() == {"theirs"}
    target.close()
    first.close()
