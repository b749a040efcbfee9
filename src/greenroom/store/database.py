"""The store over any database: the writer, the point reads, the searches. Subclasses know how a connection is opened.

Everything here is written against `store.driver.Connection`; which database it is, a subclass knows.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from greenroom.core.audit import Head
from greenroom.core.errors import GreenroomError, RateLimited, Unavailable
from greenroom.core.limits import bound
from greenroom.core.model import Actor
from greenroom.core.note import verifier_key
from greenroom.services.ports import Request, Signer
from greenroom.store.answers import Answers, SharedAnswers
from greenroom.store.continuity import Continuity
from greenroom.store.driver import Connection
from greenroom.store.health import Health
from greenroom.store.migrate import SCHEMA
from greenroom.store.pool import Pool
from greenroom.store.queue import Writer
from greenroom.store.texts import Texts
from greenroom.store.tx import ReadTx, UseCase
from greenroom.store.writer import PROBE, BatchRunner, Clock, Job, Waiter, probe

SEARCH_LIMIT_S: float = bound("search_time")
SEARCHES = bound("searches")
READER_WAIT_S: float = bound("reader_wait")
"""Who waits longer for a connection or a thread to read with is told that the server is busy."""
_AGAIN_WITHIN_S = 3.0  # a read that lost its connection later than this has used up its caller's patience


def wall_clock() -> int:
    """Return now in UTC milliseconds."""
    return time.time_ns() // 1_000_000


class DatabaseStore:
    """Runs use cases: writes in batches, reads in snapshots. `serve=True` has a writer thread of its own."""

    reads_inline = True  # a point read takes microseconds: no thread hop
    readers = 2  # threads that search
    pool_size = 32  # connections for reading at most, opened as they are needed

    def __init__(
        self,
        db: Connection,
        signer: Signer,
        *,
        serve: bool,
        clock: Clock,
        health: Health,
        continuity: Continuity | None = None,
    ) -> None:
        """`db` is the writer's connection from here on; `close` closes it."""
        self._db = db
        self._signer = signer
        self.health = health
        self._runner = BatchRunner(db, signer, clock, health, continuity)
        self._reading = threading.RLock()
        self._searches = 0
        self._searchers = ThreadPoolExecutor(self.readers, thread_name_prefix="greenroom-search")
        self._pool = Pool(self.connect, size=self.pool_size, wait_s=READER_WAIT_S)
        self._reader = self.connect() if self.reads_inline else None
        # An embedded caller gets the very values and may change what is in them; edges only write them down.
        self._answers = Answers(self._runner.commits) if serve else None
        self._shared = None if self.reads_inline else SharedAnswers()
        self._writer = Writer(self._runner) if serve else None
        self._closed = False

    def connect(self) -> Connection:
        """Open one more connection, for reading."""
        raise NotImplementedError

    def rows(self) -> contextlib.AbstractContextManager[Callable[[str], Iterator[dict[str, Any]]]]:
        """The raw rows of every table, from one snapshot, for verification."""
        raise NotImplementedError

    def pages(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the database below its tables: (where, what) pairs."""
        raise NotImplementedError

    def announce(self, url: str) -> None:
        """Tell others where this server listens, where that is of use."""

    def its_turn(self) -> contextlib.AbstractContextManager[None]:
        """What an embedded write waits for before it begins."""
        return contextlib.nullcontext()

    @property
    def signer(self) -> Signer:
        """The key that signs the log."""
        return self._signer

    async def write(
        self,
        use_case: UseCase,
        command: Any,
        actor: Actor,
        *,
        request: Request,
        route: str,
        result: Any,
        logs_only: bool = False,
    ) -> Any:
        """Run a use case in the writer's next batch; returns when it is durable. `logs_only`: `Mode.LOG`."""
        job = Job(use_case, command, actor, request, route, result, logs_only=logs_only)
        import asyncio  # an embedded registry never needs it, and it is slow to load

        loop = asyncio.get_running_loop()
        job.waiter = Waiter(loop, loop.create_future())
        self._submit(job)
        return await job.waiter.future

    def write_now(
        self,
        use_case: UseCase,
        command: Any,
        actor: Actor,
        *,
        request: Request,
        route: str,
        result: Any,
        logs_only: bool = False,
    ) -> Any:
        """The same, waiting for it here. Embedded: takes its turn. Raises Conflict when a server owns the folder by
        now.
        """
        job = Job(use_case, command, actor, request, route, result, logs_only=logs_only)
        if self._writer is not None:
            return self._submit(job).result()
        with self._reading, self.its_turn():
            self._runner.run([job])
        return job.future.result()

    async def require_ready(self) -> None:
        """Raise what is in the way of answering reads and writes, found out by doing both where that is needed."""
        if self.health.worth_a_probe():
            with contextlib.suppress(GreenroomError):  # noted by the writer
                await self.write(probe, None, Actor(PROBE), request=Request(PROBE), route=PROBE, result=None)
        trouble = self.health.trouble()
        if trouble is not None:
            raise trouble
        await self.search(lambda tx, command, actor: tx.audit_head(), None, Actor(PROBE))

    def _submit(self, job: Job) -> Any:
        if self._writer is None:
            raise Unavailable("an embedded registry writes with call_now only.")
        return self._writer.submit(job)

    def read(self, use_case: UseCase, command: Any, actor: Actor) -> Any:
        """Run a point read here and now, on one connection kept for it."""
        if self._reader is None:
            return self.search_now(use_case, command, actor)
        with self._reading:
            if self._answers is None:
                return self._look(use_case, command, actor)
            return self._answers.get(self._reader, use_case, command, actor, self._look)

    def _look(self, use_case: UseCase, command: Any, actor: Actor) -> Any:
        if self._reader is None:
            raise RuntimeError("there is no connection for point reads")
        with self._translated(self._reader), self._reader.snapshot():
            return use_case(ReadTx(self._reader), command, actor)

    async def search(self, use_case: UseCase, command: Any, actor: Actor, *, audited: bool = False) -> Any:
        """Run a read that may take longer on a reader thread, so that it holds up no look-up. Raises RateLimited when
        too many wait, Unavailable when all threads stay busy. `audited`: it is made of audited rows alone.
        """
        import asyncio

        asked = time.monotonic()

        def run() -> Any:
            if time.monotonic() - asked > READER_WAIT_S:
                raise Unavailable(
                    f"all {self.readers} readers were busy for {READER_WAIT_S:g} s.",
                    hint="Try again in a moment.",
                    limit="reader_wait",
                    maximum=READER_WAIT_S,
                )
            return self.search_now(use_case, command, actor, audited=audited)

        if self._searches >= SEARCHES:  # counted on the event loop only
            text = f"{SEARCHES} searches are running or waiting already."
            raise RateLimited(text, hint="Try again in a moment.", limit="searches", maximum=SEARCHES)
        self._searches += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._searchers, run)
        finally:
            self._searches -= 1

    def search_now(self, use_case: UseCase, command: Any, actor: Actor, *, audited: bool = False) -> Any:
        """The same in this thread, with a limit on its time. One whose connection is lost is run once more."""
        began = time.monotonic()
        with self._pool.lend() as db, self._translated(db):

            def look() -> Any:
                try:
                    with db.snapshot(limit_s=SEARCH_LIMIT_S):
                        return use_case(ReadTx(db), command, actor)
                except Exception as exc:
                    if not db.is_lost(exc) or time.monotonic() - began > _AGAIN_WITHIN_S:
                        raise
                with db.snapshot(limit_s=SEARCH_LIMIT_S):
                    return use_case(ReadTx(db), command, actor)

            if not audited or self._shared is None:
                return look()
            return self._shared.get(db, (use_case, command, actor), look)

    @contextlib.contextmanager
    def snapshot(self, *, limit_s: float | None = None) -> Iterator[ReadTx]:
        """Open a consistent view on a connection of its own."""
        with self._pool.lend() as db, self._translated(db), db.snapshot(limit_s=limit_s):
            yield ReadTx(db)

    @contextlib.contextmanager
    def _translated(self, db: Connection) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            ours = db.translate(exc)
            if ours is exc:
                raise
            raise ours from exc

    def close(self) -> None:
        """Finish what is queued, then close every connection. Twice is no error."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.stop(timeout_s=30)
        self._searchers.shutdown(wait=True)
        self._pool.close()
        if self._reader is not None:
            self._reader.close()
        self.before_end()
        self._db.close()

    def before_end(self) -> None:
        """What is left to do on the writer's connection before it is closed."""


def make_schema(db: Connection, ddl: Sequence[str], *, signer: Signer | None = None) -> None:
    """Make the tables of an empty database, and the facts that are fixed from then on.

    With `signer` its key is one of them: of servers that start at the same moment, one decides who signs the log.
    """
    texts = Texts(db)
    facts = {"schema": SCHEMA, "page_secret": secrets.token_hex(32), "registry": secrets.token_hex(8)}
    if signer is not None:
        facts["signer"] = verifier_key(signer.name, signer.public_key)
    db.begin_schema()
    if db.tables():  # another server made them while this one waited
        db.rollback()
        return
    for statement in ddl:
        db.run(statement)
    for key, value in facts.items():
        db.run(texts.insert("meta"), {"key": key, "value": json.dumps(value)})
    empty = Head()
    head = {"id": 1, "size": 0, "last": empty.last, "frontier": empty.frontier.to_bytes(), "note": ""}
    db.run(texts.insert("audit_head"), head)  # there from the start: writers lock this row
    db.commit()
