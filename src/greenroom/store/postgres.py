"""PostgreSQL through psycopg 3: how a connection is opened, set and spoken to.

A writer locks the row of the chain head first, so that batches of all servers form one order; a server that stalls
while it holds the lock is cut off by `idle_in_transaction_session_timeout`. Source: design, section 6.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence

import psycopg
from psycopg import errors as pg

from greenroom.core.errors import Conflict, IntegrityFailure, InvalidInput, StorageFull, Unavailable
from greenroom.store.compiled import postgresql as compiled
from greenroom.store.driver import Params, Row

IDLE_LIMIT_MS = 10_000
LOCK_LIMIT_MS = 30_000
_SCHEMA_LOCK = 7_463_325_012  # any number, the same in every server
_CONNECT_S = 5


class Postgres:
    """One psycopg connection as a `store.driver.Connection`."""

    dialect = "postgresql"
    sql: Mapping[str, str] = compiled.SQL
    columns: Mapping[str, tuple[str, ...]] = compiled.COLUMNS
    keys: Mapping[str, tuple[str, ...]] = compiled.KEYS

    def __init__(self, url: str) -> None:
        """Connect. Raises Unavailable, without the password, when that does not work."""
        self._url = url
        self._registry: str | None = None
        self._db = self._connect()

    def _connect(self) -> psycopg.Connection[Row]:
        limits = {"idle_in_transaction_session_timeout": IDLE_LIMIT_MS, "lock_timeout": LOCK_LIMIT_MS}
        settings = " ".join(f"-c {name}={value}" for name, value in {**limits, "synchronous_commit": "on"}.items())
        try:
            return psycopg.connect(
                self._url, autocommit=True, connect_timeout=_CONNECT_S, options=settings, prepare_threshold=2
            )
        except psycopg.Error as exc:
            raise Unavailable(
                f"the database cannot be reached: {first_line(exc)}.",
                hint="Check --database-url and the database server.",
            ) from exc

    def reconnect(self) -> None:
        """See `Connection.reconnect`."""
        self.close()
        self._db = self._connect()
        try:
            row = self.one(self.sql["meta"], {"key": "registry"})
        except psycopg.Error as exc:
            raise Unavailable(f"the database came back and cannot be read: {first_line(exc)}.") from exc
        if self._registry is not None and (row is None or str(row[0]) != self._registry):
            raise Unavailable(
                "another database answers under the same address.",
                hint="Restart the server once the right one is back.",
            )

    def remember(self) -> None:
        """Keep which registry this database holds, to know it again after a reconnect."""
        row = self.one(self.sql["meta"], {"key": "registry"})
        self._registry = str(row[0]) if row else None

    def all(self, sql: str, params: Params | Sequence[object] = ()) -> list[Row]:
        """See `Connection.all`."""
        return self._db.execute(sql, params or None).fetchall()

    def one(self, sql: str, params: Params | Sequence[object] = ()) -> Row | None:
        """See `Connection.one`."""
        return self._db.execute(sql, params or None).fetchone()

    def run(self, sql: str, params: Params | Sequence[object] = ()) -> int:
        """See `Connection.run`."""
        return max(self._db.execute(sql, params or None).rowcount, 0)

    def mark(self, name: str) -> str:
        """See `Connection.mark`."""
        return f"%({name})s"

    def begin(self) -> None:
        """See `Connection.begin`."""
        self._db.execute("BEGIN")
        self._db.execute("SELECT size FROM audit_head WHERE id = 1 FOR UPDATE")

    def begin_schema(self) -> None:
        """See `Connection.begin_schema`."""
        self._db.execute("BEGIN")
        self._db.execute("SELECT pg_advisory_xact_lock(%s)", (_SCHEMA_LOCK,))

    def tables(self) -> set[str]:
        """See `Connection.tables`."""
        rows = self.all("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
        return {str(row[0]) for row in rows}

    def commit(self) -> None:
        """See `Connection.commit`."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """See `Connection.rollback`."""
        if not self._db.closed and self._db.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            self._db.execute("ROLLBACK")

    def savepoint(self) -> None:
        """See `Connection.savepoint`."""
        self._db.execute("SAVEPOINT request")

    def release(self) -> None:
        """See `Connection.release`."""
        self._db.execute("RELEASE SAVEPOINT request")

    def rollback_to_savepoint(self) -> None:
        """See `Connection.rollback_to_savepoint`."""
        self._db.execute("ROLLBACK TO SAVEPOINT request")
        self._db.execute("RELEASE SAVEPOINT request")

    @contextlib.contextmanager
    def snapshot(self, *, limit_s: float | None = None) -> Iterator[None]:
        """See `Connection.snapshot`. A connection that was lost since the last one is opened again first."""
        if self._db.closed or self._db.broken:
            self.reconnect()
        self._db.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if limit_s is not None:
            self._db.execute(f"SET LOCAL statement_timeout = {int(limit_s * 1000)}")
        try:
            yield
        finally:
            self._end_snapshot()

    def _end_snapshot(self) -> None:
        if not self._db.closed and not self._db.broken:
            self.rollback()

    def changed(self) -> int | None:
        """See `Connection.changed`: asking costs as much as looking."""
        return None

    def is_lost(self, error: Exception) -> bool:
        """See `Connection.is_lost`."""
        return isinstance(error, psycopg.Error) and (self._db.closed or self._db.broken)

    def translate(self, error: Exception) -> Exception:
        """See `Connection.translate`."""
        return translate(error)

    def close(self) -> None:
        """See `Connection.close`."""
        with contextlib.suppress(psycopg.Error):
            self._db.close()


def first_line(error: Exception) -> str:
    """Return the first line of a driver's message: the rest may quote statements and values."""
    lines = str(error).strip().splitlines()
    return lines[0][:300] if lines else type(error).__name__


def translate(error: Exception) -> Exception:
    """Return what a psycopg error means to a caller; another error comes back as it is (our bug)."""
    if not isinstance(error, psycopg.Error):
        return error
    if isinstance(error, pg.SerializationFailure | pg.DeadlockDetected | pg.LockNotAvailable):
        return Conflict("the database is busy.", hint="Another server holds it; try again in a moment.")
    if isinstance(error, pg.IntegrityError):
        return Conflict(f"the change met another one: {first_line(error)}.", hint="Look again, then ask again.")
    if isinstance(error, pg.QueryCanceled):
        return InvalidInput("the search takes too long.", hint="Narrow the filter or ask for a smaller page.")
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
