"""The group-commit writer: waiting requests share one transaction, one sealing of the log and one commit.

Each request runs in a savepoint of its own, so that one that fails leaves the others alone; each is answered after the
commit, never before. Those that only log do without at first: they hardly ever fail, and they come by the thousand.
A request never sees another one's half: they run one after the other. Source: design, section 6.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from greenroom.core.audit import Event, Head
from greenroom.core.canonical import canonical_text
from greenroom.core.codec import from_plain, loads_strict, to_plain
from greenroom.core.errors import Conflict, Refused, RequestReused, Unavailable
from greenroom.core.model import Actor
from greenroom.core.tracking_names import is_run_id
from greenroom.services.ports import Request, Signer
from greenroom.store.answers import Commits
from greenroom.store.continuity import Continuity, OtherLog, leaf_at
from greenroom.store.driver import Connection
from greenroom.store.heads import require_own
from greenroom.store.health import Health
from greenroom.store.sealing import seal_batch
from greenroom.store.texts import Texts
from greenroom.store.tx import ReadTx, UseCase, WriteTx

if TYPE_CHECKING:
    import asyncio

MAX_TRIES = 5
PROBE = "probe"  # the route of a write that changes nothing and shows that writing is possible
UPKEEP = "upkeep"  # the route of the steps by which files are collected and repaired
_MAKE_ROOM = frozenset({UPKEEP, "delete_uploads"})  # what is collected must have been deleted first
_FILLING = "x" * (64 << 10)
RUN_LIMIT_S = 20.0
"""No batch is tried again after so long, and an outcome that cannot be found out until then is said to be unknown."""
GONE_LIMIT_S = 2.0  # a database that cannot be reached is said to be gone, and the caller asks again
_PAUSE_S = 0.01
_TOUCH = "UPDATE audit_head SET size = size WHERE id = 1"
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
    logs_only: bool = False  # it adds to runs and needs no chain head (`services.api.Mode.LOG`)
    waiter: Waiter | None = None  # set where somebody on an event loop waits instead of `future`


@dataclass(frozen=True)
class _Outcome:
    """What a request will be answered once its batch is durable."""

    job: Job
    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class _Doubt:
    """A batch whose commit got no answer: either the log has it, with all its outcomes, or none of it happened."""

    head: Head
    outcomes: list[_Outcome]
    jobs: list[Job]
    until: float  # time.monotonic(): the callers are told that nobody knows


class _OneFailed(Exception):
    """A request failed that had no savepoint."""


class BatchRunner:
    """Runs batches on one connection. The caller sees to it that only one runs at a time."""

    def __init__(
        self, db: Connection, signer: Signer, clock: Clock, health: Health, continuity: Continuity | None = None
    ) -> None:
        self._db = db
        self._signer = signer
        self._clock = clock
        self._health = health
        self._continuity = continuity or Continuity()
        self._texts = Texts(db)
        self.commits = Commits()
        self._doubt: _Doubt | None = None
        self._lost = False  # whether this batch met a lost connection before

    @property
    def is_in_doubt(self) -> bool:
        """Say whether callers wait to hear if a commit took place; `run` finds out, also without new jobs."""
        return self._doubt is not None

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs in one transaction and answer each of them, whatever happens. Never raises.

        A lost race or a lost connection is tried again, with jitter. A commit whose answer was lost is settled first;
        while the database is gone its callers wait (`is_in_doubt`), and nobody else does.
        Nothing is tried while the store must not write.
        """
        waiting, began = self._admitted(jobs), time.monotonic()
        if not waiting and self._doubt is None:
            return
        for attempt in range(1, MAX_TRIES + 1):
            try:
                waiting = self._settled() + waiting
                _answer_all(self._transaction(waiting) if waiting else [])
                break
            except Exception as exc:  # noqa: BLE001 - the batch is lost: every caller must hear it, whatever it was
                lost = self._db.is_lost(exc)
                gone = self._abandon(lost=lost)
                error = gone or self._db.translate(exc)
                if self._doubt is not None:
                    waiting = [job for job in waiting if all(job is not each for each in self._doubt.jobs)]
                again = (lost or isinstance(error, Conflict)) and not isinstance(error, OtherLog)
                too_late = time.monotonic() - began > (GONE_LIMIT_S if gone else RUN_LIMIT_S)
                if not again or too_late or attempt == MAX_TRIES:
                    self._health.met(error)
                    _answer_all([_Outcome(job, error=error) for job in waiting])
                    break
                time.sleep(random.uniform(0, _PAUSE_S * 2 ** (attempt - 1)))  # noqa: S311 - no secret, only jitter
        if self._doubt is not None and time.monotonic() > self._doubt.until:
            self.give_up()
        self._tidy()

    def give_up(self) -> None:
        """Tell those who wait for the outcome of a lost commit that it is not known."""
        doubt, self._doubt = self._doubt, None
        if doubt is not None:
            error = Unavailable(
                "the database was lost while this change was made durable; whether it took place is not known.",
                hint="Look, or ask again with the same Idempotency-Key.",
                outcome="unknown",
            )
            _answer_all([_Outcome(job, error=error) for job in doubt.jobs])

    def _admitted(self, jobs: Sequence[Job]) -> list[Job]:
        """Answer those who may not write now, and return the others: who makes room may use what is left."""
        refusal = self._health.refusal()
        if refusal is None:
            return list(jobs)
        allowed = frozenset[str]() if self._health.is_final() else _MAKE_ROOM
        _answer_all([_Outcome(job, error=refusal) for job in jobs if job.route not in allowed])
        return [job for job in jobs if job.route in allowed]

    def _tidy(self) -> None:
        """Do what can wait until everybody is answered. What fails here has cost nobody anything yet."""
        if self._health.is_final():
            return
        try:
            self._db.tidy()
        except Exception as exc:  # noqa: BLE001 - nobody is left to answer; the health says what it means
            self._health.met(self._db.translate(exc))

    def _settled(self) -> list[Job]:
        """Answer a commit whose answer was lost if it took place; return its jobs if not: they are to be run again.

        The chain head is locked for the look. Without that, a commit that is still under way at the other end of the
        lost connection would be missed, and done again behind its back. And having found it is not enough: it may be
        visible and not yet on the standby (a wait that was cut short), so it counts from the next durable commit on.
        """
        doubt = self._doubt
        if doubt is None:
            return []
        self._db.begin()
        if leaf_at(self._db, doubt.head.size) != doubt.head.last:
            self._db.rollback()
            self._doubt = None
            return doubt.jobs
        self._db.run(_TOUCH)
        self._db.commit()
        self._doubt = None
        self._continuity.advance(doubt.head)
        _answer_all(doubt.outcomes)
        return []

    def _begin(self, jobs: Sequence[Job]) -> None:
        """Open the transaction; one that only logs leaves the chain head to others.

        Unless a commit of these jobs may have got lost on its way: what they log may then be there already, perhaps not
        yet on the standby, and a transaction that changes nothing would not wait for it.
        """
        self._db.begin(head=self._lost or not all(job.logs_only for job in jobs))
        if self._lost:
            self._db.run(_TOUCH)
        self._db.hold_runs(list({run for job in jobs if (run := _run_of(job)) is not None}))

    def _transaction(self, jobs: Sequence[Job]) -> list[_Outcome]:
        if all(job.logs_only for job in jobs):
            try:
                return self._attempt(jobs, apart=False)
            except _OneFailed:  # which of them is left out is seen with savepoints
                self._db.rollback()
        return self._attempt(jobs, apart=True)

    def _attempt(self, jobs: Sequence[Job], *, apart: bool) -> list[_Outcome]:
        """Run all jobs in one transaction. Raises _OneFailed unless they stand `apart`, each in a savepoint."""
        self._begin(jobs)
        head, note = ReadTx(self._db).audit_head()
        self._continuity.require(head)
        require_own(note, self._signer)
        now = self._clock()
        outcomes: list[_Outcome] = []
        events: list[Event] = []
        for job in jobs:
            outcome, event = self._turn(job, head, len(events), now, apart=apart)
            outcomes.append(outcome)
            events += [event] if event is not None else []
        if not apart:
            with self._left_apart():  # what the last of them left waiting: its errors are not the commit's
                self._db.flush()
        if events:
            head = seal_batch(self._db, self._texts, self._signer, head, events, now)
            self._doubt = _Doubt(head, outcomes, list(jobs), time.monotonic() + RUN_LIMIT_S)
        try:
            with self.commits.next(logs_only=all(job.logs_only for job in jobs)):
                self._db.commit()
        except Exception as exc:
            if not self._db.is_lost(exc):
                self._doubt = None  # the database said no: nothing of it took place
            raise
        self._doubt = None
        self._continuity.advance(head)
        if events or any(each.job.route == PROBE or each.job.logs_only for each in outcomes if each.error is None):
            self._health.wrote()
        return outcomes

    def _turn(self, job: Job, head: Head, before: int, now: int, *, apart: bool) -> tuple[_Outcome, Event | None]:
        """Give one request its turn; return how it ended, and its event if it made one."""
        tx = WriteTx(
            self._db,
            self._texts,
            head=head,
            before=before,
            now=now,
            request=job.request.id,
            logs_only=job.logs_only,
        )
        outcome = self._request(tx, job) if apart else self._trusting(tx, job)
        return outcome, tx.event if outcome.error is None else None

    def _request(self, tx: WriteTx, job: Job) -> _Outcome:
        self._db.savepoint()
        try:
            value = self._once(tx, job)
            tx.finish()
            self._db.release()
        except Exception as exc:
            if self._db.is_lost(exc) or self._db.is_race(exc):
                raise
            error = self._db.translate(exc)  # before the roll-back, which may have a reason of its own
            self._roll_back(exc)
            self._health.met(error)
            return _Outcome(job, error=error)
        return _Outcome(job, value=value)

    def _trusting(self, tx: WriteTx, job: Job) -> _Outcome:
        """Run a request without a savepoint. Raises _OneFailed."""
        with self._left_apart():
            value = self._once(tx, job)
            tx.finish()
        return _Outcome(job, value=value)

    @contextlib.contextmanager
    def _left_apart(self) -> Iterator[None]:
        """Raise _OneFailed for what fails in the block, unless the whole batch is to be tried again."""
        try:
            yield
        except Exception as exc:
            if self._db.is_lost(exc) or self._db.is_race(exc):
                raise
            raise _OneFailed from exc

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

    def _abandon(self, *, lost: bool) -> Exception | None:
        """Leave the failed transaction; connect again after a loss. Return what is in the way of that, if anything."""
        try:
            if lost:
                self._db.reconnect()
            else:
                self._db.rollback()
        except Exception as exc:  # noqa: BLE001 - the connection is broken; the next attempt opens another one
            _LOG.log(logging.DEBUG if lost else logging.WARNING, "a batch could not be left: %s", exc)
            return self._db.translate(exc) if lost else None
        return None


def _run_of(job: Job) -> str | None:
    """Return the run that a request is about, None for one that is about none."""
    named = getattr(job.command, "run_id", None) or getattr(job.command, "id", None)
    return named if isinstance(named, str) and is_run_id(named) else None


def probe(tx: WriteTx, command: None, actor: Actor) -> None:
    """Write as much as a large request and take it back: what that would meet, this meets, and no state changes."""
    tx.db.run(f"INSERT INTO meta (key, value) VALUES ('{PROBE}', {tx.db.mark('filling')})", {"filling": _FILLING})
    tx.db.run(f"DELETE FROM meta WHERE key = '{PROBE}'")  # overwritten with zeros, which is written too


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
