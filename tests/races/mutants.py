"""Greenroom with one protection taken away, as a process: `python -m tests.races.mutants NAME server --data ...`.

A checker is trusted only after it has caught these. Nothing here is ever imported by the package.
"""

from __future__ import annotations

import dataclasses
import itertools
import sys
import time
from collections.abc import Callable
from typing import Any

from greenroom.core import lifecycle
from greenroom.core.model import SlotKind
from greenroom.services import commands, promotion, reading, versions
from greenroom.store import folder, writer
from greenroom.store.database import DatabaseStore
from greenroom.store.sealing import seal_batch
from greenroom.store.tx import ReadTx, WriteTx
from tests.races.blob_mutants import BLOB_MUTANTS

INDEX = "DROP INDEX IF EXISTS uq_tenure_exclusive_holder"


def nobody_leaves() -> None:
    """The decision forgets to displace; the database's constraint is there."""
    decide = promotion.decide
    promotion.decide = lambda move, given: dataclasses.replace(decide(move, given), displaced=())


def _without_index() -> None:
    make = folder.make_schema

    def made(db: Any, ddl: Any) -> None:
        make(db, ddl)
        db.run(INDEX)

    folder.make_schema = made


def nobody_leaves_no_index() -> None:
    """The decision forgets to displace, and the constraint is gone."""
    nobody_leaves()
    _without_index()


def stale_decision_no_index() -> None:
    """Decided on what was read before the write transaction (a read-modify-write race), and the constraint is gone.

    This is how several holders come about in registries that check first and write later.
    """
    _without_index()
    seen: dict[tuple[Any, ...], tuple[float, Any]] = {}
    holders = WriteTx.holders

    def stale(self: Any, model: Any, kind: Any, slot: str) -> Any:
        key = (model.id, kind, slot)
        at, found = seen.get(key, (0.0, None))
        if found is None or time.monotonic() - at > 0.05:
            found = holders(self, model, kind, slot)
            seen[key] = (time.monotonic(), found)
        open_now = {each.version for each in holders(self, model, kind, slot)}
        return tuple(each for each in found if each.version in open_now)  # closing what is closed would be noticed

    WriteTx.holders = stale  # type: ignore[method-assign]


def number_without_lock() -> None:
    """The number is chosen before the transaction, by max() + 1."""
    _number_from(lambda store, model: _newest(store, model) + 1)


def number_from_sequence() -> None:
    """The number comes from a bare sequence: whoever fails has consumed one."""
    sequence = itertools.count(1)
    _number_from(lambda store, model: next(sequence))


def _newest(store: Any, model: str) -> int:
    with store.snapshot() as tx:
        found = tx.find_model(model)
        newest = (tx.living_versions(found.id) or [0])[-1] if found else 0
    time.sleep(0.002)
    return int(newest)


def _number_from(choose: Callable[[Any, str], int]) -> None:
    write = DatabaseStore.write

    async def numbered(self: Any, use_case: Any, command: Any, actor: Any, **rest: Any) -> Any:
        if use_case is versions.register_version:
            number = choose(self, command.model)

            def with_number(tx: Any, ask: Any, who: Any) -> Any:
                find = tx.find_model
                tx.find_model = lambda name: dataclasses.replace(find(name), next_version=number)
                return versions.register_version(tx, ask, who)

            return await write(self, with_number, command, actor, **rest)
        return await write(self, use_case, command, actor, **rest)

    DatabaseStore.write = numbered  # type: ignore[method-assign]


def no_keys() -> None:
    """Idempotency keys are ignored."""
    writer.BatchRunner._once = lambda self, tx, job: job.use_case(tx, job.command, job.actor)  # type: ignore[method-assign]


def keys_in_memory() -> None:
    """The outcome of a key is kept by the process, not in the transaction."""
    kept: dict[tuple[str, str, str], Any] = {}

    def once(self: Any, tx: Any, job: Any) -> Any:
        key = (job.actor.name, job.route, job.request.key)
        if job.request.key is None:
            return job.use_case(tx, job.command, job.actor)
        if key not in kept:
            kept[key] = job.use_case(tx, job.command, job.actor)
        return kept[key]

    writer.BatchRunner._once = once  # type: ignore[method-assign]


def no_fingerprint() -> None:
    """A key is honoured whatever is asked under it."""
    once = writer.BatchRunner._once

    def blind(self: Any, tx: Any, job: Any) -> Any:
        job.request = dataclasses.replace(job.request, fingerprint="")
        return once(self, tx, job)

    writer.BatchRunner._once = blind  # type: ignore[method-assign]


def answer_before_commit() -> None:
    """Callers are answered when their change is made, not when it is durable."""

    def run(self: Any, jobs: Any) -> None:
        self._db.begin()
        head, _ = ReadTx(self._db).audit_head()
        now, outcomes, events = self._clock(), [], []
        for job in jobs:
            tx = WriteTx(self._db, self._texts, head=head, before=len(events), now=now, request=job.request.id)
            outcomes.append(self._request(tx, job))
            if outcomes[-1].error is None and tx.event is not None:
                events.append(tx.event)
        writer._answer_all(outcomes)
        time.sleep(0.01)
        if events:
            seal_batch(self._db, self._texts, self._signer, head, events, now)
        self._db.commit()

    writer.BatchRunner.run = run  # type: ignore[method-assign]


def event_after_commit() -> None:
    """The rows are committed first, the audit event in a transaction of its own."""

    def transaction(self: Any, jobs: Any) -> Any:
        self._db.begin()
        head, _ = ReadTx(self._db).audit_head()
        now, outcomes, events = self._clock(), [], []
        for job in jobs:
            tx = WriteTx(self._db, self._texts, head=head, before=len(events), now=now, request=job.request.id)
            outcomes.append(self._request(tx, job))
            if outcomes[-1].error is None and tx.event is not None:
                events.append(tx.event)
        self._db.commit()
        time.sleep(0.01)
        if events:
            self._db.begin()
            seal_batch(self._db, self._texts, self._signer, head, events, now)
            self._db.commit()
        return outcomes

    writer.BatchRunner._transaction = transaction  # type: ignore[method-assign]


def no_idle_limit() -> None:
    """Nobody ends a session that stalls inside its transaction, neither the database nor who waits for it."""
    from greenroom.store import door, postgres

    door._SESSION["idle_in_transaction_session_timeout"] = 0
    postgres._END_STALLED = "SELECT 1"


def no_standby() -> None:
    """A commit does not wait for the standby."""
    from greenroom.store import door

    door._SESSION["synchronous_commit"] = "local"


def unrecorded_change() -> None:
    """A description is overwritten past the recording `update`."""
    from greenroom.services import catalog

    update = catalog.update_model

    def silent(tx: Any, ask: Any, actor: Any) -> Any:
        answer = update(tx, ask, actor)
        tx.db.run("UPDATE model SET description = 'x' WHERE name = :name", {"name": ask.name})
        return answer

    catalog.update_model = silent


def no_compare() -> None:
    """`if_holder` is not compared with who holds the slot."""
    lifecycle.RULES = tuple(rule for rule in lifecycle.RULES if rule is not lifecycle.expected_holder)


def stale_reads() -> None:
    """This server answers who holds a slot as it was up to 50 ms ago, as a replica without a fence would."""
    kept: dict[Any, tuple[float, Any]] = {}
    look = reading.get_holder

    def stale(tx: Any, ask: Any, actor: Any) -> Any:
        if ask not in kept or time.monotonic() - kept[ask][0] > 0.05:
            kept[ask] = (time.monotonic(), look(tx, ask, actor))
        return kept[ask][1]

    reading.get_holder = stale


def lost_update() -> None:
    """One in twenty promotions is answered and not kept."""
    request, count = writer.BatchRunner._request, itertools.count(1)

    def forgetful(self: Any, tx: Any, job: Any) -> Any:
        if job.use_case is not promotion.promote or next(count) % 20:
            return request(self, tx, job)
        self._db.savepoint()
        try:
            outcome = writer._Outcome(job, value=self._once(tx, job))
        except Exception as exc:
            outcome = writer._Outcome(job, error=self._db.translate(exc))
        self._db.rollback_to_savepoint()
        tx.event = None
        return outcome

    writer.BatchRunner._request = forgetful  # type: ignore[method-assign]


def swap_in_two_transactions() -> None:
    """A swap archives the holder in one transaction and lets the other version in in the next."""

    def make_room(tx: Any, ask: Any, actor: Any) -> Any:
        held = tx.holders(tx.find_model(ask.model), SlotKind.STAGE, ask.to)
        if held and held[0].version != ask.version:
            promotion.promote(tx, commands.Promote(ask.model, "Archived", held[0].version), actor)

    write = DatabaseStore.write

    async def torn(self: Any, use_case: Any, command: Any, actor: Any, **rest: Any) -> Any:
        if use_case is promotion.promote and command.swap and command.if_holder is None:
            first = rest | {"request": dataclasses.replace(rest["request"], key=None)}
            await write(self, make_room, command, actor, **first)
        return await write(self, use_case, command, actor, **rest)

    DatabaseStore.write = torn  # type: ignore[method-assign]


def decided_outside() -> None:
    """Decided in one transaction, carried out in the next: whatever changed between the two does not count."""
    write_now = DatabaseStore.write_now

    def outside(self: Any, use_case: Any, command: Any, actor: Any, **rest: Any) -> Any:
        if use_case is not promotion.promote:
            return write_now(self, use_case, command, actor, **rest)
        decided: list[Any] = []

        def look(tx: Any, ask: Any, who: Any) -> Any:
            return _deciding(lambda rule, *given: decided.append(rule(*given)) or decided[0], tx, ask, who)

        def carry_out(tx: Any, ask: Any, who: Any) -> Any:
            return _deciding(lambda rule, *given: decided[0], tx, ask, who)

        plan = dataclasses.replace(command, dry_run=True)
        write_now(self, look, plan, actor, **rest)
        return write_now(self, carry_out, command, actor, **rest)

    DatabaseStore.write_now = outside  # type: ignore[method-assign]


def _deciding(how: Callable[..., Any], tx: Any, ask: Any, actor: Any) -> Any:
    rule = promotion.decide
    promotion.decide = lambda *given: how(rule, *given)
    try:
        return promotion.promote(tx, ask, actor)
    finally:
        promotion.decide = rule


def goes_on() -> None:
    """A failed sync is an error like any other: the next commit syncs again."""
    from greenroom.store.health import Health

    Health.failed = lambda self, what: None  # type: ignore[method-assign]


def points_are_a_list() -> None:
    """A point that comes again is another point: the server tells them apart by when they came."""
    from greenroom.services import tracking_logging

    row, came = tracking_logging._point_row, itertools.count(1)

    def another(run_no: int, metric: Any) -> Any:
        made = row(run_no, metric)
        return *made[:2], next(came), *made[3:]

    tracking_logging._point_row = another


MUTANTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        nobody_leaves,
        nobody_leaves_no_index,
        stale_decision_no_index,
        number_without_lock,
        number_from_sequence,
        no_keys,
        keys_in_memory,
        no_fingerprint,
        answer_before_commit,
        event_after_commit,
        no_idle_limit,
        no_standby,
        unrecorded_change,
        no_compare,
        stale_reads,
        lost_update,
        swap_in_two_transactions,
        decided_outside,
        goes_on,
        points_are_a_list,
    )
}

MUTANTS |= BLOB_MUTANTS


def main() -> None:
    """Take the protection named first away, then run the command line that follows."""
    name = sys.argv.pop(1)
    MUTANTS[name]()
    from greenroom.cli.main import main as greenroom

    greenroom()


if __name__ == "__main__":
    main()
