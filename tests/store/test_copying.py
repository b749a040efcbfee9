"""A registry copied into another database is the same registry: ids, history, audit tree, and it goes on from there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core.errors import AlreadyExists
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.store.compiled import postgresql, sqlite
from greenroom.store.copying import copy_rows
from greenroom.store.postgres import Postgres
from greenroom.store.sqlite import SQLite
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


def test_a_database_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    first = filled(tmp_path / "first")
    target = SQLite(tmp_path / "other.db", create=True)
    target.run("CREATE TABLE theirs (x)")
    with first.rows() as rows, pytest.raises(AlreadyExists, match="is not empty"):
        copy_rows(rows, target, sqlite.DDL)
    assert target.tables() == {"theirs"}
    target.close()
    first.close()
