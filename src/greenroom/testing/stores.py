"""What every store must do. Inherit from `StoreConformance` in a test file and give it one fixture.

class TestMyStore(StoreConformance):
    @pytest.fixture
    def opened(self, tmp_path):
        ...  # yields a function: opens the same (at first empty) store; clock=... gives it a clock of the test's own

The function may be called again after the store before was closed. Everything is asked through the ports and through
plain statements on a second connection, so one text serves every database. The stores are closed by the fixture.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import pytest

from greenroom.core.dialects import NATIVE_VERSIONS
from greenroom.core.errors import Conflict, GreenroomError, InvalidInput, NotFound, RequestReused
from greenroom.core.model import Actor, SlotKind
from greenroom.core.search import parse_filter, parse_order_by
from greenroom.services import catalog, promotion, versions
from greenroom.services import commands as c
from greenroom.services.ports import WriteTx
from greenroom.store.database import DatabaseStore
from greenroom.testing.runs import ShownRuns
from greenroom.testing.sizes import LargestValues
from greenroom.testing.tracking import Tracking
from greenroom.testing.writing import (
    ME,
    NEWEST,
    WAIT_S,
    Broken,
    begin,
    check_replay,
    half,
    in_one_batch,
    in_production,
    pages,
    promote,
    size,
    state,
    statement,
    write,
)

_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000000000) SELECT max(i) FROM n"


class Opened(Protocol):
    """Opens the store under test; again after it was closed."""

    def __call__(self, *, clock: Callable[[], int] | None = None) -> DatabaseStore:
        """Return the store with its writer running."""


class StoreConformance(LargestValues, Tracking, ShownRuns):
    """The suite. Each test is one sentence of the contract between the use cases and a store."""

    @pytest.fixture
    def opened(self) -> Opened:
        """Open the store under test."""
        raise NotImplementedError

    # --- transactions ---

    def test_a_change_and_its_event_are_one(self, opened: Opened) -> None:
        """A write adds one entry, which carries every row it changed; the state is the replay of the log."""
        store = opened()
        begin(store)
        before = size(store)
        promote(store, 1)
        promote(store, 2)
        assert size(store) == before + 2
        check_replay(store)

    def test_an_error_leaves_nothing(self, opened: Opened) -> None:
        """What a use case did before it raised is undone, and the caller hears its error."""
        store = opened()
        begin(store)
        before = state(store), size(store)
        with pytest.raises(Broken):
            write(store, half, c.CreateModel("half"))
        assert (state(store), size(store)) == before

    def test_requests_of_a_batch_do_not_share_their_fate(self, opened: Opened) -> None:
        """One that fails leaves the others of its batch alone; the next ones see what those before them did."""
        store = opened()
        begin(store, models=0)
        create = catalog.create_model
        asks = [(create, "a"), (half, "h"), (create, "b"), (create, "a"), (half, "h"), (create, "c")]
        done = in_one_batch(store, [(use_case, c.CreateModel(name)) for use_case, name in asks])
        assert [each.exception() is None for each in done] == [True, False, True, False, False, True]
        with store.snapshot() as tx:
            assert [name for _, name, _ in tx.living_models()] == ["a", "b", "c"]
        check_replay(store)

    def test_the_order_of_a_batch_is_the_order_of_asking(self, opened: Opened) -> None:
        """Sequence numbers rise in that order; a batch has one time; a use case knows its number beforehand."""
        store = opened()
        begin(store, models=0)
        seen: list[int] = []

        def create(tx: WriteTx, ask: c.CreateModel, actor: Actor) -> None:
            seen.append(tx.seq)
            catalog.create_model(tx, ask, actor)

        for each in in_one_batch(store, [(create, c.CreateModel(f"m{number}")) for number in range(5)]):
            each.result()
        with store.snapshot() as tx:
            entries = tx.audit_entries(after=1, limit=100)
        assert [entry.model for entry in entries] == [f"m{number}" for number in range(5)]
        assert [entry.seq for entry in entries] == seen == [2, 3, 4, 5, 6]
        assert len({entry.at for entry in entries}) == 1

    def test_a_batch_that_cannot_be_sealed_leaves_nothing(self, opened: Opened) -> None:
        """Every caller of a batch that fails at its end hears an error, and no row of any of them is there."""
        store = opened()
        begin(store)
        before = state(store)
        names = "at, type, actor, request, model, version, body, body_digest, prev, leaf"
        taken = (
            f"INSERT INTO audit_entry (seq, {names}) SELECT seq + 2, {names} FROM audit_entry WHERE seq = {size(store)}"
        )
        statement(store, taken)  # the second entry of the next batch finds its place taken
        done = in_one_batch(store, [(catalog.create_model, c.CreateModel(name)) for name in "abc"])
        assert all(isinstance(each.exception(), GreenroomError) for each in done)
        assert state(store) == before

    def test_a_change_without_an_event_never_commits(self, opened: Opened) -> None:
        """A use case that forgets to record is our bug: nothing of it is kept."""
        store = opened()
        begin(store)
        before = state(store)

        def silent(tx: WriteTx, ask: None, actor: Actor) -> None:
            tx.update("model", {"id": 2}, {"description": "unrecorded"})

        with pytest.raises(RuntimeError, match="not recorded"):
            write(store, silent)
        assert state(store) == before

    def test_the_event_is_the_last_thing(self, opened: Opened) -> None:
        """A change after the event, and a second event, are our bugs as well."""
        store = opened()
        begin(store)
        before = state(store)

        def late(tx: WriteTx, ask: None, actor: Actor) -> None:
            tx.record("model_updated", actor, model="m0")
            tx.update("model", {"id": 2}, {"description": "late"})

        def twice(tx: WriteTx, ask: None, actor: Actor) -> None:
            tx.record("model_updated", actor, model="m0")
            tx.record("model_updated", actor, model="m0")

        for use_case in (late, twice):
            with pytest.raises(RuntimeError, match="last thing"):
                write(store, use_case)
        assert state(store) == before

    def test_a_row_that_is_not_there_is_not_changed(self, opened: Opened) -> None:
        """An update that meets no row is our bug; a removal that meets none says so."""
        store = opened()
        begin(store)

        def missing(tx: WriteTx, ask: None, actor: Actor) -> None:
            assert not tx.remove("model_tag", {"model_id": 2, "key": "k"})
            tx.update("model", {"id": 4242}, {"description": "x"})
            tx.record("model_updated", actor, model="m0")  # a store may find out as late as at the request's end

        with pytest.raises(RuntimeError, match="touched 0 rows"):
            write(store, missing)

    def test_a_clock_may_jump(self, opened: Opened) -> None:
        """Order is by sequence number alone."""
        times = iter([10_000] * 5 + [5, 2**40, 6] + [7] * 20)
        store = opened(clock=lambda: next(times))
        begin(store)
        for version in (1, 2, 3):
            assert promote(store, version).succeeded
        check_replay(store)

    def test_it_is_there_after_opening_again(self, opened: Opened) -> None:
        """What was answered is durable, and the log goes on where it ended."""
        store = opened()
        begin(store)
        promote(store, 1)
        before = state(store), size(store)
        store.close()
        store.close()  # twice is no error
        store = opened()
        assert (state(store), size(store)) == before
        promote(store, 2)
        check_replay(store)

    # --- what the database itself refuses ---

    @pytest.mark.parametrize(
        ("version", "kind", "slot", "exclusive"),
        [
            (2, "stage", "Production", 1),  # a second holder of an exclusive stage
            (1, "stage", "Staging", 0),  # a second stage of one version
            (2, "alias", "champion", 1),  # a second version under an alias
        ],
    )
    def test_the_database_refuses_a_second_holder(
        self, opened: Opened, version: int, kind: str, slot: str, exclusive: int
    ) -> None:
        """Whatever the code believes: through the store it is a Conflict, by a plain statement an error."""
        store = opened()
        begin(store)
        promote(store, 1)
        write(store, promotion.set_alias, c.SetAlias("m0", "champion", 1))
        before = state(store)
        row = {"model_id": 2, "version": version, "kind": kind, "slot": slot, "exclusive": exclusive, "since_at": 1}

        def force(tx: WriteTx, ask: None, actor: Actor) -> None:
            if (version, kind) == (2, "stage"):  # out of its own stage first: the slot's constraint is meant
                own = {"model_id": 2, "version": 2, "kind": "stage", "slot": "None", "since_event": 4}
                tx.update("tenure", own, {"until_event": tx.seq, "until_at": 1})
            tx.insert("tenure", {**row, "since_event": tx.seq})
            tx.record("promotion_succeeded", actor)

        with pytest.raises(Conflict, match="met another one"):
            write(store, force)
        assert state(store) == before

    @pytest.mark.parametrize(
        "sql",
        [
            "UPDATE audit_entry SET actor = 'x' WHERE seq = 2",
            "DELETE FROM audit_entry WHERE seq = 2",
            "UPDATE tenure SET reason = 'x' WHERE until_event IS NOT NULL",
            "UPDATE tenure SET until_event = NULL WHERE until_event IS NOT NULL",
            "DELETE FROM tenure",
            "INSERT INTO model_tag (model_id, key, value) VALUES (4242, 'a', 'b')",
            "UPDATE model SET next_version = 0",
            "UPDATE model SET name = 'm0', name_key = 'm0' WHERE name = 'm1'",
            "UPDATE version SET version = 1 WHERE version = 2",
        ],
    )
    def test_the_database_refuses_to_rewrite(self, opened: Opened, sql: str) -> None:
        """The log is append-only, a closed tenure stays as it is, names and numbers are unique, references hold."""
        store = opened()
        begin(store, models=2)
        promote(store, 1)
        before = state(store)
        with pytest.raises(Exception, match=r"."):
            statement(store, sql)
        assert state(store) == before
        check_replay(store)

    # --- idempotency keys ---

    def test_a_key_has_one_effect(self, opened: Opened) -> None:
        """The first outcome is given again, in the same batch, later, and after opening again; refusals too."""
        store = opened()
        begin(store)
        ask = c.RegisterVersion("m0", source="s3://elsewhere/m")
        promote(store, 1)
        first = write(store, versions.register_version, ask, key="k")
        before = size(store)
        refused = [write(store, versions.delete_version, c.DeleteVersion("m0", 1), key="r") for _ in range(2)]
        assert size(store) == before + 1
        assert [str(each) for each in refused] == [str(refused[0])] * 2
        assert write(store, versions.register_version, ask, key="k") == first
        store.close()
        store = opened()
        assert write(store, versions.register_version, ask, key="k") == first
        assert size(store) == before + 1
        check_replay(store)

    def test_a_key_is_for_one_request(self, opened: Opened) -> None:
        """The same key with another body is refused; on another route it is another key."""
        store = opened()
        begin(store)
        write(store, catalog.create_model, c.CreateModel("a"), key="k")
        before = size(store)
        with pytest.raises(RequestReused, match="was used for another request"):
            write(store, catalog.create_model, c.CreateModel("b"), key="k", body="other")
        assert size(store) == before
        write(store, catalog.update_model, c.UpdateModel("a", "x"), key="k", body="other")
        assert size(store) == before + 1

    def test_an_error_is_not_kept_under_a_key(self, opened: Opened) -> None:
        """What had no effect may be tried again under its key."""
        store = opened()
        begin(store)
        with pytest.raises(NotFound):
            write(store, catalog.update_model, c.UpdateModel("a", "x"), key="k")
        write(store, catalog.create_model, c.CreateModel("a"))
        write(store, catalog.update_model, c.UpdateModel("a", "x"), key="k")

    # --- reading ---

    def test_a_snapshot_stays_as_it_was(self, opened: Opened) -> None:
        """A reader sees one moment, however long it looks, and holds up no writer; the next one sees the news."""
        store = opened()
        begin(store)
        promote(store, 1)
        with store.snapshot() as tx:
            before = in_production(tx)
            thread = threading.Thread(target=promote, args=(store, 2))
            thread.start()
            thread.join(WAIT_S)
            assert not thread.is_alive()
            assert in_production(tx) == before == [1]
        with store.snapshot() as tx:
            assert in_production(tx) == [2]
        assert store.read(lambda tx, ask, actor: in_production(tx), None, ME) == [2]

    def test_a_snapshot_is_not_torn(self, opened: Opened) -> None:
        """No reader ever sees a swap half done, nor an open slot without the entry that opened it."""
        store = opened()
        begin(store)
        promote(store, 1)
        stop, torn = threading.Event(), []

        def look() -> None:
            while not stop.is_set():
                with store.snapshot() as tx:
                    model = tx.find_model("m0")
                    assert model is not None
                    held = tx.holders(model, SlotKind.STAGE, "Production")
                    if len(held) != 1 or held[0].since > tx.audit_head()[0].size:
                        torn.append(held)

        readers = [threading.Thread(target=look) for _ in range(2)]
        for each in readers:
            each.start()
        for number in range(60):
            promote(store, 1 + number % 3)
        stop.set()
        for each in readers:
            each.join(WAIT_S)
        assert torn == []

    def test_pages_are_whole(self, opened: Opened) -> None:
        """Following pages gives every item once, in order, while others write."""
        store = opened()
        begin(store, registered=3)
        for number in range(12):
            promote(store, 1 + number % 3)
        with store.snapshot() as tx:
            model = tx.find_model("m0")
            assert model is not None
            tenures: Any = {"kind": None, "slot": None, "version": None}
            every = tx.history(model, before=NEWEST, limit=1_000, **tenures)

        def history(before: tuple[int, int]) -> Sequence[Any]:
            promote(store, 1 + size(store) % 3)  # newer than what is being read
            with store.snapshot() as tx:
                return tx.history(model, before=before, limit=5, **tenures)

        older = (every[0].since, every[0].version + 1)
        assert tuple(pages(history, older, lambda each: (each.since, each.version))) == every

        def entries(after: int) -> Sequence[Any]:
            with store.snapshot() as tx:
                return tx.audit_entries(after=after, limit=7)

        assert [each.seq for each in pages(entries, 0, lambda each: each.seq)] == list(range(1, size(store) + 1))
        assert self.searched(store) == [3, 2, 1]

    def searched(self, store: DatabaseStore) -> list[int]:
        """Return all versions of `m0` by search, one a page."""
        chosen = parse_filter("name = 'm0'", NATIVE_VERSIONS)
        order = parse_order_by(("version DESC",), NATIVE_VERSIONS)

        def page(after: Sequence[Any] | None) -> Sequence[Any]:
            with store.snapshot() as tx:
                return tx.search_versions(chosen, order, after, 1)

        return [row.version for _, row, _ in pages(page, None, lambda each: each[2])]

    def test_a_search_has_a_time_limit(self, opened: Opened) -> None:
        """It is cut off with an error that says what to do; the connection can be used again."""
        store = opened()
        begin(store)
        with pytest.raises(InvalidInput, match="took longer than"), store.snapshot(limit_s=0.2) as tx:
            tx.db.one(_ENDLESS)
        with store.snapshot(limit_s=5) as tx:
            assert tx.find_model("m0") is not None

    def test_nothing_is_taken_after_the_end(self, opened: Opened) -> None:
        """A store that was closed refuses, and what it had accepted is there."""
        store = opened()
        begin(store)
        store.close()
        with pytest.raises(GreenroomError, match="stopping"):
            write(store, catalog.create_model, c.CreateModel("late"))
