"""The group-commit writer: waiting requests share one transaction, one sealing of the log and one commit.

Each request runs in a savepoint of its own, so that one that fails leaves the others alone; each is answered after the
commit, never before. A request never sees another one's half: they run one after the other. Source: design, section 6.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from greenroom.core.audit import Event, Head
from greenroom.core.canonical import canonical_text
from greenroom.core.codec import from_plain, loads_strict, to_plain
from greenroom.core.errors import Conflict, Refused, RequestReused, Unavailable
from greenroom.core.model import Actor
from greenroom.services.ports import Request, Signer
from greenroom.store.driver import Connection
from greenroom.store.sealing import seal_batch
from greenroom.store.texts import Texts
from greenroom.store.tx import ReadTx, UseCase, WriteTx

if TYPE_CHECKING:
    import asyncio

MAX_BATCH = 64
MAX_TRIES = 5
_PAUSE_S = 0.02
_LOG = logging.getLogger("greenroom.store")
Clock = Callable[[], int]


@dataclass
class Waiter:
    """Somebody on an event loop who waits for an answer."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]


@dataclass
class Job:
    """One request that waits for its turn."""

    use_case: UseCase
    command: Any
    actor: Actor
    request: Request
    route: str
    result: Any
    future: Future[Any] = field(default_factory=Future)
    waiter: Waiter | None = None  # set where somebody on an event loop waits instead of `future`


@dataclass(frozen=True)
class _Outcome:
    """What a request will be answered once its batch is durable."""

    job: Job
    value: Any = None
    error: Exception | None = None


class BatchRunner:
    """Runs batches on one connection. The caller sees to it that only one runs at a time."""

    def __init__(self, db: Connection, signer: Signer, clock: Clock) -> None:
        self._db = db
        self._signer = signer
        self._clock = clock
        self._texts = Texts(db)
        self._in_doubt: tuple[Head, list[_Outcome]] | None = None  # a commit under way, and what it will answer

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs in one transaction and answer each of them, whatever happens. Never raises.

        A lost race or a lost connection is tried again, with jitter; a commit whose answer was lost is settled first.
        """
        outcomes: list[_Outcome] | None = None
        for attempt in range(MAX_TRIES):
            try:
                outcomes = self._settled() or self._transaction(jobs)
                break
            except Exception as exc:  # noqa: BLE001 - the batch is lost: every caller must hear it, whatever it was
                error = self._db.translate(exc)
                again = self._db.is_lost(exc) or isinstance(error, Conflict)
                self._abandon(lost=self._db.is_lost(exc))
                if not again or attempt + 1 == MAX_TRIES:
                    outcomes = [_Outcome(job, error=error) for job in jobs]
                    break
                time.sleep(random.uniform(0, _PAUSE_S * 2**attempt))  # noqa: S311 - no secret, only jitter
        self._in_doubt = None
        _answer_all(outcomes or [])

    def _settled(self) -> list[_Outcome] | None:
        """Return the outcomes of a commit whose answer was lost, if it took place, else None.

        Raises what the database raises while it cannot be asked.
        """
        if self._in_doubt is None:
            return None
        head, outcomes = self._in_doubt
        found = self._db.all(self._db.sql["audit_leaves"], {"after": head.size - 1, "until": head.size})
        if [row[0] for row in found] == [head.last]:
            return outcomes
        self._in_doubt = None
        return None

    def _transaction(self, jobs: Sequence[Job]) -> list[_Outcome]:
        self._db.begin()
        head, _ = ReadTx(self._db).audit_head()
        now = self._clock()
        outcomes: list[_Outcome] = []
        events: list[Event] = []
        for job in jobs:
            tx = WriteTx(self._db, self._texts, head=head, before=len(events), now=now, request=job.request.id)
            outcome = self._request(tx, job)
            outcomes.append(outcome)
            if outcome.error is None and tx.event is not None:
                events.append(tx.event)
        if events:
            self._in_doubt = (seal_batch(self._db, self._texts, self._signer, head, events, now), outcomes)
        self._db.commit()
        return outcomes

    def _request(self, tx: WriteTx, job: Job) -> _Outcome:
        self._db.savepoint()
        try:
            value = self._once(tx, job)
            tx.finish()
        except Exception as exc:
            if self._db.is_lost(exc):
                raise
            self._roll_back(exc)
            return _Outcome(job, error=self._db.translate(exc))
        self._db.release()
        return _Outcome(job, value=value)

    def _roll_back(self, error: Exception) -> None:
        """Undo one request. Raises `error` when that ended the whole transaction (a full disk): the batch is lost."""
        try:
            self._db.rollback_to_savepoint()
        except Exception:  # noqa: BLE001 - "no such savepoint" is what follows from it, and no news to anybody
            raise error from None

    def _once(self, tx: WriteTx, job: Job) -> Any:
        """Run the use case, or give the first outcome again when this request was here before."""
        key = job.request.key
        if key is None:
            return job.use_case(tx, job.command, job.actor)
        fingerprint = job.request.fingerprint or ""
        row = self._db.one(self._db.sql["request_key"], {"principal": job.actor.name, "route": job.route, "key": key})
        if row is not None:
            if row[0] != fingerprint:
                raise RequestReused(
                    f"the Idempotency-Key {key!r} was used for another request.",
                    hint="Use a new key for a new request.",
                )
            return _from_text(job.result, row[1])
        value = job.use_case(tx, job.command, job.actor)
        tx.keep_outcome(job.actor.name, job.route, key, fingerprint, _to_text(value))
        return value

    def _abandon(self, *, lost: bool) -> None:
        """Leave the failed transaction. After a loss nothing is done here but to connect again."""
        try:
            if lost:
                self._db.reconnect()
            else:
                self._db.rollback()
                self._in_doubt = None
        except Exception as exc:  # noqa: BLE001 - the connection is broken; the first error is the one that is answered
            _LOG.warning("a lost batch could not be rolled back: %s", exc)


def _to_text(value: Any) -> str:
    """An outcome as it is kept: a value, or a refusal, which is an answer too."""
    if isinstance(value, Refused):
        return canonical_text({"refused": {"message": value.message, "hint": value.hint, "details": value.details}})
    return canonical_text({"value": to_plain(value)})


def _from_text(kind: Any, text: str) -> Any:
    kept = loads_strict(text)
    if "refused" in kept:
        said = kept["refused"]
        return Refused(said["message"], hint=said["hint"], **said["details"])
    return from_plain(kind, kept["value"]) if kind is not None else None


def _answer_all(outcomes: Sequence[_Outcome]) -> None:
    """Answer everybody; an event loop is woken once for all who wait on it."""
    loops: dict[asyncio.AbstractEventLoop, list[_Outcome]] = {}
    for outcome in outcomes:
        waiter = outcome.job.waiter
        if waiter is not None:
            loops.setdefault(waiter.loop, []).append(outcome)
        elif outcome.error is not None:
            outcome.job.future.set_exception(outcome.error)
        else:
            outcome.job.future.set_result(outcome.value)
    for loop, mine in loops.items():
        if not loop.is_closed():  # closed: the server has ended, nobody waits any more
            loop.call_soon_threadsafe(_deliver, mine)


def _deliver(outcomes: Sequence[_Outcome]) -> None:
    for outcome in outcomes:
        waiter = outcome.job.waiter
        if waiter is None or waiter.future.done():  # the client has gone; what it asked for has happened all the same
            continue
        if outcome.error is not None:
            waiter.future.set_exception(outcome.error)
        else:
            waiter.future.set_result(outcome.value)


class Writer:
    """The writer's thread: takes what waits, at most MAX_BATCH at a time, and runs it."""

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name="greenroom-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Future[Any]:
        """Queue a job; its future is done when it is durable or failed. Raises Unavailable after `stop`."""
        with self._gate:  # so that nothing is queued behind the end
            if self._stopped:
                raise Unavailable("the server is stopping.", hint="Try again in a moment.")
            self._jobs.put(job)
        return job.future

    def stop(self, timeout_s: float) -> None:
        """Finish what is queued, then end. Raises Unavailable when that takes longer than `timeout_s`."""
        with self._gate:
            self._stopped = True
            self._jobs.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise Unavailable(f"the writer did not end within {timeout_s:g} s.")

    def _work(self) -> None:
        while True:
            first = self._jobs.get()
            if first is None:
                return
            batch, ended = self._gather(first)
            self._runner.run(batch)
            if ended:
                return

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        batch = [first]
        while len(batch) < MAX_BATCH:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False
