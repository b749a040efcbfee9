"""PostgreSQL through psycopg 3: how a connection is opened, set and spoken to.

A writer locks the row of the chain head first, so that batches of all servers form one order; a server that stalls
while it holds the lock is cut off by `idle_in_transaction_session_timeout`. Source: design, section 6.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import errors as pg

from greenroom.core.errors import Conflict, IntegrityFailure, StorageFull, Unavailable
from greenroom.store.compiled import postgresql as compiled
from greenroom.store.door import IDLE_LIMIT_MS, STATEMENT_LIMIT_S, Door, Line, first_line
from greenroom.store.driver import Params, Row, search_took_too_long

_SCHEMA_LOCK = 7_463_325_012  # any number, the same in every server
_GRACE_S = 2.0  # the database ends an overdue search itself; after so long it is not there to do so
_ROWS_AT_ONCE = 1000
_MOST_WAITING = 500
_HEAD = "SELECT size, last FROM audit_head WHERE id = 1"
_TYPES = {int: "bigint", float: "double precision", str: "text"}
# A server that stalls between two statements that it sends together is not idle to PostgreSQL 15, so no timeout of its
# own ends it. It is known by this: it has locked the head and the database has been waiting for it to say more.
_END_STALLED = f"""
SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
WHERE l.relation = 'audit_head'::regclass AND l.granted AND l.mode = 'RowShareLock'
AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
AND a.usename = current_user AND a.wait_event = 'ClientRead' AND a.pid <> pg_backend_pid()
AND a.query_start < clock_timestamp() - interval '{IDLE_LIMIT_MS} ms'
"""
_HOLD_RUNS = "SELECT no FROM run WHERE id = ANY(%(ids)s) ORDER BY id FOR NO KEY UPDATE"
_SAVEPOINT = "SAVEPOINT request"
_CURSORS = itertools.count(1)
# What one server meets because others write at the same time: the same batch may succeed a moment later.
_RACES = (pg.SerializationFailure, pg.DeadlockDetected, pg.LockNotAvailable, pg.QueryCanceled)
# A new session is needed, whether or not the socket says so.
_ENDINGS = (
    pg.AdminShutdown,
    pg.CrashShutdown,
    pg.CannotConnectNow,
    pg.IdleInTransactionSessionTimeout,
    pg.IdleSessionTimeout,
    pg.ReadOnlySqlTransaction,  # it goes on, but is of no use to a writer; a new one may be, after a failover
)


Cursor = psycopg.Cursor[Row]


@dataclass(frozen=True)
class _Waiting:
    """A statement that is sent with the next one that somebody waits for."""

    sql: str
    params: Params | Sequence[object]
    exactly: int | None


class Postgres:
    """One psycopg connection as a `store.driver.Connection`."""

    dialect = "postgresql"
    sql: Mapping[str, str] = compiled.SQL
    columns: Mapping[str, tuple[str, ...]] = compiled.COLUMNS
    keys: Mapping[str, tuple[str, ...]] = compiled.KEYS

    def __init__(self, url: str, *, door: Door | None = None, admit: Callable[[Postgres], None] | None = None) -> None:
        """Connect through `door` (one of its own for `url` without one); each new session is shown to `admit`.

        Raises Unavailable, without the password, when that does not work; InvalidInput for a URL that is none.
        """
        self._own_door = Door(url) if door is None else None
        self._door = door or self._own_door or Door(url)
        self._admit = admit
        self._limit_s: float | None = STATEMENT_LIMIT_S
        self._is_reading = False
        self._warned = False
        self._waiting: list[_Waiting] = []
        self._db, self._line = self._connect()

    def _connect(self) -> tuple[psycopg.Connection[Row], Line]:
        db, line = self._door.open()
        db.add_notice_handler(self._note)
        return db, line

    def _note(self, notice: psycopg.errors.Diagnostic) -> None:
        """The session's lowest level is `warning`; a commit that comes with one was not what was asked for."""
        self._warned = True

    def reconnect(self) -> None:
        """See `Connection.reconnect`. What `admit` refuses is closed again."""
        self._hang_up()
        self._db, self._line = self._connect()
        if self._admit is None:
            return
        try:
            self._admit(self)
        except psycopg.Error as exc:
            self._hang_up()
            hint = "Is the right database at --database-url? Nothing is written until it is."
            raise Unavailable(f"the database came back and cannot be read: {first_line(exc)}.", hint=hint) from exc
        except BaseException:
            self._hang_up()
            raise

    def _execute(self, sql: str, params: Params | Sequence[object] = (), *, prepare: bool | None = None) -> Cursor:
        """Run one statement, watched: one that takes longer than the limit loses its connection."""
        with self._watched():
            if not self._waiting:
                return self._db.execute(sql, params or None, prepare=prepare)
            with self._flushed():
                return self._db.execute(sql, params or None, prepare=prepare)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if self._limit_s is not None:
            self._line.due = time.monotonic() + self._limit_s
        try:
            yield
        finally:
            self._line.due = None

    @contextlib.contextmanager
    def _flushed(self) -> Iterator[None]:
        """Send what waits, then what the block sends, and wait once for all of it: one round trip, not ten."""
        waiting, self._waiting = self._waiting, []
        with self._db.pipeline():
            done = [self._db.execute(each.sql, each.params or None) for each in waiting]
            yield
        for cursor, each in zip(done, waiting, strict=True):
            if each.exactly is not None and cursor.rowcount != each.exactly:
                raise RuntimeError(f"{each.sql!r} touched {cursor.rowcount} rows")

    def all(self, sql: str, params: Params | Sequence[object] = ()) -> list[Row]:
        """See `Connection.all`."""
        return self._execute(sql, params).fetchall()

    def one(self, sql: str, params: Params | Sequence[object] = ()) -> Row | None:
        """See `Connection.one`."""
        return self._execute(sql, params).fetchone()

    def run(self, sql: str, params: Params | Sequence[object] = ()) -> int:
        """See `Connection.run`."""
        return max(self._execute(sql, params).rowcount, 0)

    def later(self, sql: str, params: Params | Sequence[object], *, exactly: int | None = None) -> None:
        """See `Connection.later`."""
        self._waiting.append(_Waiting(sql, params, exactly))
        if len(self._waiting) >= _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """See `Connection.flush`."""
        if self._waiting:
            with self._watched(), self._flushed():
                pass

    def run_many(self, sql: str, rows: Iterable[Params]) -> None:
        """See `Connection.run_many`."""
        with self._db.cursor() as cursor:
            cursor.executemany(sql, rows)

    def insert_rows(self, head: str, rows: Sequence[Row], tail: str) -> None:
        """See `Connection.insert_rows`: one parameter for all rows, which are taken apart at the other end."""
        if rows:
            parts = ", ".join(f"(r ->> {at})::{_TYPES[type(value)]}" for at, value in enumerate(rows[0]))
            sql = f"{head} SELECT {parts} FROM json_array_elements(%(rows)s::json) AS r {tail}"
            self.later(sql, {"rows": json.dumps(rows, ensure_ascii=False)})

    def stream(self, sql: str) -> Iterator[Row]:
        """See `Connection.stream`."""
        with self._db.cursor(name=f"rows_{next(_CURSORS)}") as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(sql)
            yield from cursor

    def mark(self, name: str) -> str:
        """See `Connection.mark`."""
        return f"%({name})s"

    def begin(self, *, head: bool = True) -> None:
        """See `Connection.begin`."""
        self._limit_s, self._is_reading = STATEMENT_LIMIT_S, False
        lock = "; SELECT size FROM audit_head WHERE id = 1 FOR UPDATE" if head else ""
        try:
            self._execute(f"BEGIN{lock}", prepare=False)  # one round trip
        except pg.LockNotAvailable:
            self.rollback()
            self._execute(_END_STALLED, prepare=False)
            raise

    def hold_runs(self, ids: Sequence[str]) -> None:
        """See `Connection.hold_runs`: row locks in one order, with the next round trip."""
        if ids:
            self.later(_HOLD_RUNS, {"ids": sorted(ids)})

    def begin_schema(self) -> None:
        """See `Connection.begin_schema`."""
        self._limit_s, self._is_reading = None, False  # a migration takes as long as it takes
        self._execute(f"BEGIN; SELECT pg_advisory_xact_lock({_SCHEMA_LOCK})", prepare=False)

    def tables(self) -> set[str]:
        """See `Connection.tables`."""
        rows = self.all("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
        return {str(row[0]) for row in rows}

    def commit(self) -> None:
        """See `Connection.commit`.

        A warning comes with a commit that was cut short while it waited for the standby: it took place here and may
        be lost in a failover. It is treated like one without an answer, so that nobody hears of it before it is safe.
        """
        self._warned = False
        done = self._execute("COMMIT", prepare=False)
        if done.statusmessage != "COMMIT":
            raise RuntimeError(f"a commit was answered {done.statusmessage}")
        if self._warned:
            self._hang_up()
            raise psycopg.OperationalError("the commit did not wait for its standby")

    def rollback(self) -> None:
        """See `Connection.rollback`."""
        self._waiting.clear()
        if not self._db.closed and self._db.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self._execute("ROLLBACK", prepare=False)

    def savepoint(self) -> None:
        """See `Connection.savepoint`."""
        self.later(_SAVEPOINT, {})

    def release(self) -> None:
        """See `Connection.release`. What the request left waiting is sent now: its errors are this request's."""
        self.flush()
        self.later("RELEASE SAVEPOINT request", {})

    def rollback_to_savepoint(self) -> None:
        """See `Connection.rollback_to_savepoint`."""
        unsent = [at for at, each in enumerate(self._waiting) if each.sql == _SAVEPOINT]
        if unsent:
            del self._waiting[unsent[0] :]
        else:
            self._waiting.clear()
            self._execute("ROLLBACK TO SAVEPOINT request; RELEASE SAVEPOINT request", prepare=False)

    @contextlib.contextmanager
    def snapshot(self, *, limit_s: float | None = None) -> Iterator[None]:
        """See `Connection.snapshot`. A connection that was lost since the last one is opened again first."""
        limit_ms = 0 if limit_s is None else int(limit_s * 1000)
        begin = f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit_ms}"
        self._limit_s = None if limit_s is None else limit_s + _GRACE_S
        try:
            if self._db.closed:
                self.reconnect()
            self._execute(begin, prepare=False)
        except psycopg.Error as exc:  # the database or something on the way ended an idle session
            if not self.is_lost(exc):
                raise
            self.reconnect()
            self._execute(begin, prepare=False)
        self._is_reading = True
        try:
            yield
        finally:
            self._end_snapshot()

    def _end_snapshot(self) -> None:
        with contextlib.suppress(psycopg.Error):  # nothing depends on it: a connection that is lost is opened again
            if not self._db.closed:
                self.rollback()

    def changed(self) -> Row | None:
        """See `Connection.changed`: the head of the log, so only changes of audited rows are told. None: it is gone."""
        if self._db.closed:
            return None
        try:
            return self.one(_HEAD)
        except psycopg.Error as exc:
            if not self.is_lost(exc):
                raise
            return None

    def tidy(self) -> None:
        """See `Connection.tidy`: the database looks after itself."""

    def is_lost(self, error: Exception) -> bool:
        """See `Connection.is_lost`."""
        return isinstance(error, psycopg.Error) and (self._db.closed or isinstance(error, _ENDINGS))

    def is_race(self, error: Exception) -> bool:
        """See `Connection.is_race`."""
        return isinstance(error, _RACES)

    def translate(self, error: Exception) -> Exception:
        """See `Connection.translate`."""
        if isinstance(error, pg.QueryCanceled) and self._is_reading:
            return search_took_too_long()
        return translate(error)

    def _hang_up(self) -> None:
        self._waiting.clear()
        self._line.close()
        with contextlib.suppress(psycopg.Error):
            self._db.close()

    def close(self) -> None:
        """See `Connection.close`."""
        self._hang_up()
        if self._own_door is not None:
            self._own_door.close()


def translate(error: Exception) -> Exception:
    """Return what a psycopg error means to a caller; another error comes back as it is (our bug)."""
    if not isinstance(error, psycopg.Error):
        return error
    if isinstance(error, _RACES):
        return Conflict("the database is busy.", hint="Another server holds it; try again in a moment.")
    if isinstance(error, pg.IntegrityError):
        return Conflict(f"the change met another one: {first_line(error)}.", hint="Look again, then ask again.")
    if isinstance(error, pg.ReadOnlySqlTransaction):
        return Unavailable(
            "the database is read-only.",
            hint="Is it a standby, or is default_transaction_read_only on? Reading goes on meanwhile.",
            reason="read_only",
        )
    if isinstance(error, pg.DiskFull):
        return StorageFull(
            "the database's disk is full; nothing was changed.", hint="Free some space; reading goes on meanwhile."
        )
    if isinstance(error, pg.DataCorrupted | pg.IndexCorrupted):
        return IntegrityFailure(f"the database is damaged: {first_line(error)}.", hint="Run: greenroom audit verify")
    if isinstance(error, psycopg.DataError | psycopg.ProgrammingError) and not isinstance(
        error, pg.InsufficientPrivilege
    ):
        return error  # a statement of ours that makes no sense: our bug
    return Unavailable(
        f"the database cannot be used: {first_line(error)}.",
        hint="Try again in a moment; check the database server if it stays.",
    )
