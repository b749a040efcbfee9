"""A data folder that lost something says so; it never begins again as if nothing had been."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from greenroom.app import open_local
from greenroom.core.errors import Conflict, IntegrityFailure, StorageFull
from greenroom.core.model import Actor
from greenroom.services.commands import CreateModel, Nothing
from greenroom.services.ports import Request
from greenroom.store import lock
from greenroom.store.folder import FolderStore

ANA = Actor("ana")


def make(folder: Path) -> Path:
    """A registry with one model."""
    registry = open_local(folder, create=True)
    registry.call_now("create_model", CreateModel("churn"), ANA)
    registry.close()
    return folder


@pytest.mark.parametrize("create", [False, True])
def test_an_emptied_database_is_damage_and_not_an_empty_registry(tmp_path: Path, create: bool) -> None:
    database = make(tmp_path / "r") / "greenroom.db"
    database.write_bytes(b"")
    with pytest.raises(IntegrityFailure, match=r"the database .* is empty") as caught:
        open_local(tmp_path / "r", create=create)
    assert "backup" in str(caught.value.hint)
    assert database.read_bytes() == b""


def test_a_folder_with_blobs_and_no_database_does_not_begin_again(tmp_path: Path) -> None:
    folder = make(tmp_path / "r")
    (folder / "greenroom.db").unlink()
    with pytest.raises(IntegrityFailure, match="has blobs and no database"):
        open_local(folder, create=True)
    assert not (folder / "greenroom.db").exists()


@pytest.mark.parametrize("left", [("audit.key.0a1b2c3d",), ("audit.key", "turn.lock"), ("greenroom.db",)])
def test_a_first_start_that_was_killed_can_be_repeated(tmp_path: Path, left: tuple[str, ...]) -> None:
    folder = make(tmp_path / "r")
    key = (folder / "audit.key").read_bytes()
    again = tmp_path / "again"
    again.mkdir(mode=0o700)
    for name in left:
        (again / name).write_bytes(b"" if name != "audit.key" else key)
        (again / name).chmod(0o600)
    if left == ("greenroom.db",):  # the key is there before the database
        (again / "audit.key").write_bytes(key)
        (again / "audit.key").chmod(0o600)
    make(again)


def test_an_error_that_ends_the_transaction_is_told_as_what_it_is(tmp_path: Path) -> None:
    """SQLite rolls back by itself when the disk is full; the savepoint is gone then, and that is not the news."""

    def full(tx: object, command: object, actor: object) -> None:
        tx.db.raw.execute("ROLLBACK")  # type: ignore[attr-defined]
        raise apsw.FullError("FullError: database or disk is full")

    store = FolderStore(tmp_path / "r", create=True, serve=False)
    with pytest.raises(StorageFull, match="the disk is full"):
        store.write_now(full, Nothing(), ANA, request=Request("r"), route="full", result=None)
    store.close()


def test_a_stopped_process_does_not_block_writers_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Mutant check: `turn` waiting with a plain lock hangs here."""
    folder = tmp_path / "r"
    FolderStore(folder, create=True, serve=False).close()
    monkeypatch.setattr(lock, "TURN_LIMIT_S", 0.2)
    with lock.turn(folder), pytest.raises(Conflict, match="another process has been writing"), lock.turn(folder):
        pass
    with lock.turn(folder):  # and goes on once it is free
        pass
