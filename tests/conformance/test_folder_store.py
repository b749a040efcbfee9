"""The store of a data folder keeps the contract of every store; and the suite notices when one does not."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.canonical import canonical_text
from greenroom.store import tx as store_tx
from greenroom.store import writer
from greenroom.store.database import DatabaseStore, wall_clock
from greenroom.store.folder import FolderStore
from greenroom.store.sqlite import SQLite
from greenroom.testing.stores import Opened, StoreConformance


def opener(folder: Path, stores: list[DatabaseStore], prepare: Callable[[DatabaseStore], None] | None = None) -> Opened:
    """Return a function that opens the folder; `prepare` breaks the store that was opened."""

    def open_it(*, clock: Callable[[], int] | None = None) -> DatabaseStore:
        stores.append(FolderStore(folder, create=True, serve=True, clock=clock or wall_clock))
        if prepare is not None:
            prepare(stores[-1])
        return stores[-1]

    return open_it


class TestFolderStore(StoreConformance):
    @pytest.fixture
    def opened(self, tmp_path: Path) -> Iterator[Opened]:
        stores: list[DatabaseStore] = []
        yield opener(tmp_path / "data", stores)
        for each in stores:
            each.close()


# --- stores that break the contract: the suite must fail ---


def without(*statements: str) -> Callable[[DatabaseStore], None]:
    """Return a store whose database lacks a protection."""

    def prepare(store: DatabaseStore) -> None:
        db = store.connect()
        for each in statements:
            db.run(each)
        db.close()

    return prepare


def _no_savepoints(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SQLite, "rollback_to_savepoint", lambda self: self.release())


def _no_finish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store_tx.WriteTx, "finish", lambda self: self.event)


def _no_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(store_tx.WriteTx, "_open", lambda self: None)


def _no_keys(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writer.BatchRunner, "_once", lambda self, tx, job: job.use_case(tx, job.command, job.actor))


def _sealed_apart(patch: pytest.MonkeyPatch) -> None:
    """The rows are committed before the batch is sealed."""
    seal = writer.seal_batch

    def apart(db: Any, *given: Any) -> Any:
        db.commit()
        db.begin()
        return seal(db, *given)

    patch.setattr(writer, "seal_batch", apart)


def _reads_without_snapshot(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(SQLite, "snapshot", lambda self, *, limit_s=None: contextlib.nullcontext())


def _unrecorded_change(patch: pytest.MonkeyPatch) -> None:
    update = store_tx.WriteTx.update

    def forgetful(self: Any, table: str, key: Any, changes: Any) -> None:
        update(self, table, key, changes)
        self._changes.pop()
        self._changes.append(canonical_text(["set", table, dict(key), {}]))

    patch.setattr(store_tx.WriteTx, "update", forgetful)


S = StoreConformance
SECOND = {
    "production": (2, "stage", "Production", 1),
    "stage": (1, "stage", "Staging", 0),
    "alias": (2, "alias", "champion", 1),
}


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (_no_savepoints, S.test_an_error_leaves_nothing),
        (_no_savepoints, S.test_requests_of_a_batch_do_not_share_their_fate),
        (_no_finish, S.test_a_change_without_an_event_never_commits),
        (_no_end, S.test_the_event_is_the_last_thing),
        (_no_keys, S.test_a_key_has_one_effect),
        (_no_keys, S.test_a_key_is_for_one_request),
        (_sealed_apart, S.test_a_batch_that_cannot_be_sealed_leaves_nothing),
        (_reads_without_snapshot, S.test_a_snapshot_stays_as_it_was),
        (_unrecorded_change, S.test_a_change_and_its_event_are_one),
    ],
)
def test_a_broken_store_is_noticed(
    tmp_path: Path, broken: Callable[[pytest.MonkeyPatch], None], test: Callable[..., None]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        assert fails(tmp_path, lambda opened: test(StoreConformance(), opened))


@pytest.mark.parametrize(
    ("index", "which"),
    [
        ("uq_tenure_exclusive_holder", "production"),
        ("uq_tenure_exclusive_holder", "alias"),
        ("uq_tenure_one_stage", "stage"),
    ],
)
def test_a_missing_constraint_is_noticed(tmp_path: Path, index: str, which: str) -> None:
    prepare = without(f"DROP INDEX {index}")

    def test(opened: Opened) -> None:
        StoreConformance().test_the_database_refuses_a_second_holder(opened, *SECOND[which])

    assert fails(tmp_path, test, prepare)


@pytest.mark.parametrize(
    ("trigger", "sql"),
    [
        ("audit_entry_no_update", "UPDATE audit_entry SET actor = 'x' WHERE seq = 2"),
        ("audit_entry_no_delete", "DELETE FROM audit_entry WHERE seq = 2"),
        ("tenure_closed", "UPDATE tenure SET reason = 'x' WHERE until_event IS NOT NULL"),
        ("tenure_no_delete", "DELETE FROM tenure"),
    ],
)
def test_a_missing_trigger_is_noticed(tmp_path: Path, trigger: str, sql: str) -> None:
    def test(opened: Opened) -> None:
        StoreConformance().test_the_database_refuses_to_rewrite(opened, sql)

    assert fails(tmp_path, test, without(f"DROP TRIGGER {trigger}"))


def fails(
    tmp_path: Path, test: Callable[[Opened], None], prepare: Callable[[DatabaseStore], None] | None = None
) -> bool:
    """Say whether a test of the suite fails on a store."""
    stores: list[DatabaseStore] = []
    try:
        test(opener(tmp_path / "data", stores, prepare))
    except (AssertionError, pytest.fail.Exception):
        return True
    finally:
        for each in stores:
            each.close()
    return False
