"""SQLite through apsw: how a connection is opened, set and spoken to.

Settings and their reasons: WAL and synchronous=FULL (NORMAL loses acknowledged commits on power loss, measured); the
page checksum VFS, so that a flipped byte anywhere in the file is found when it is read and named by `verify`; apsw,
because it brings its own SQLite (libraries before 3.51.3 can corrupt a WAL database). Source: ADR 3, design section 6.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import apsw
import apsw.sqlite_extra

from greenroom.core.errors import Conflict, IntegrityFailure, StorageFull, Unavailable
from greenroom.store.compiled import sqlite as compiled
from greenroom.store.driver import Params, Row, search_took_too_long
from greenroom.store.health import SyncFailed

OLDEST_SQLITE = 3_051_003
CHECKSUM_VFS = "cksmvfs"
OS_VFS = next(name for name in apsw.vfs_names() if name != CHECKSUM_VFS)  # loading the other makes that the default
_CHECKSUM_BYTES = 8
_BUSY_MS = 5_000
_STEPS_BETWEEN_CHECKS = 20_000
_ROWS_AT_ONCE = (64, 16, 4, 1)  # few different statements, so that they stay prepared
_NO_SPACE = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CHECKPOINT_PAGES = 1000
_SYNC_ERRORS = {apsw.SQLITE_IOERR_FSYNC, apsw.SQLITE_IOERR_DIR_FSYNC}


@functools.cache
def _load_checksum_vfs() -> None:
    """Register the page checksum VFS for this process; it ships inside the apsw wheel."""
    if apsw.SQLITE_VERSION_NUMBER < OLDEST_SQLITE:
        raise Unavailable(
            f"the SQLite library {apsw.sqlite_lib_version()} can corrupt a database.",
            hint="Upgrade apsw to 3.53 or newer.",
        )
    if not apsw.sqlite_extra.has("cksumvfs"):
        raise Unavailable(
            "this build of apsw has no page checksums (cksumvfs).", hint="Install the apsw wheel from PyPI."
        )
    keeper = apsw.Connection(":memory:")
    apsw.sqlite_extra.load(keeper, "cksumvfs")
    keeper.close()


class SQLite:
    """One apsw connection as a `store.driver.Connection`."""

    dialect = "sqlite"
    sql: Mapping[str, str] = compiled.SQL
    columns: Mapping[str, tuple[str, ...]] = compiled.COLUMNS
    keys: Mapping[str, tuple[str, ...]] = compiled.KEYS

    def __init__(self, path: Path, *, create: bool = False, read_only: bool = False, checksums: bool = True) -> None:
        """Open `path`. Raises Unavailable, IntegrityFailure or StorageFull when it cannot be used."""
        _load_checksum_vfs()
        flags = apsw.SQLITE_OPEN_READONLY if read_only else apsw.SQLITE_OPEN_READWRITE
        if create:
            flags |= apsw.SQLITE_OPEN_CREATE
        self.path = path
        self._wal_pages = 0
        try:
            self._db = apsw.Connection(
                str(path), flags=flags, vfs=CHECKSUM_VFS if checksums else OS_VFS, statementcachesize=256
            )
        except apsw.Error as exc:
            raise translate(exc, path) from exc
        try:
            self._set(create=create, read_only=read_only)
        except apsw.Error as exc:
            ours = self.translate(exc)
            self._db.close()
            raise ours from exc

    def _set(self, *, create: bool, read_only: bool) -> None:
        db = self._db
        db.set_busy_timeout(_BUSY_MS)
        db.set_wal_hook(self._note_pages)  # in place of SQLite's own checkpoint, which keeps a failed fsync to itself
        if create and not db.execute("SELECT count(*) FROM sqlite_schema").get:
            db.reserve_bytes("main", _CHECKSUM_BYTES)
            db.execute("PRAGMA page_size = 4096")
        if not read_only:
            mode = db.execute("PRAGMA journal_mode = WAL").get
            if mode != "wal":
                raise Unavailable(
                    f"the database {self.path} cannot use write-ahead logging (it answers {mode}).",
                    hint="Put it on a local disk.",
                )
        # foreign_keys and the rest are per connection, and not kept in the file
        for setting in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "secure_delete = ON",
            "case_sensitive_like = ON",
            "trusted_schema = OFF",
            "cache_size = -8192",
            "temp_store = MEMORY",
        ):
            db.execute(f"PRAGMA {setting}")
        if db.execute("PRAGMA synchronous").get != 2:
            raise Unavailable("SQLite refuses synchronous=FULL; acknowledged changes could be lost.")

    def all(self, sql: str, params: Params | Sequence[object] = ()) -> list[Row]:
        """See `Connection.all`."""
        return self._db.execute(sql, params).fetchall()

    def one(self, sql: str, params: Params | Sequence[object] = ()) -> Row | None:
        """See `Connection.one`."""
        return self._db.execute(sql, params).fetchone()

    def run(self, sql: str, params: Params | Sequence[object] = ()) -> int:
        """See `Connection.run`."""
        self._db.execute(sql, params)
        return self._db.changes()

    def later(self, sql: str, params: Params | Sequence[object], *, exactly: int | None = None) -> None:
        """See `Connection.later`: at once, for there is no network to wait for."""
        touched = self.run(sql, params)
        if exactly is not None and touched != exactly:
            raise RuntimeError(f"{sql!r} touched {touched} rows")

    def flush(self) -> None:
        """See `Connection.flush`: nothing waits."""

    def run_many(self, sql: str, rows: Iterable[Params]) -> None:
        """See `Connection.run_many`."""
        self._db.executemany(sql, rows)

    def insert_rows(self, head: str, rows: Sequence[Row], tail: str) -> None:
        """See `Connection.insert_rows`: while a statement runs nobody waits for the interpreter, so few do more."""
        done = 0
        for count in _ROWS_AT_ONCE:
            while len(rows) - done >= count:
                row = f"({', '.join('?' * len(rows[0]))})"
                values = [value for each in rows[done : done + count] for value in each]
                self._db.execute(f"{head} VALUES {', '.join([row] * count)} {tail}", values)
                done += count

    def stream(self, sql: str) -> Iterator[Row]:
        """See `Connection.stream`."""
        yield from self._db.execute(sql)

    def mark(self, name: str) -> str:
        """See `Connection.mark`."""
        return f":{name}"

    def begin(self, *, head: bool = True) -> None:
        """See `Connection.begin`: who writes has the whole database anyway."""
        self._db.execute("BEGIN IMMEDIATE")

    def hold_runs(self, ids: Sequence[str]) -> None:
        """See `Connection.hold_runs`: nobody else writes anyway."""

    def begin_schema(self) -> None:
        """See `Connection.begin_schema`."""
        self.begin()

    def tables(self) -> set[str]:
        """See `Connection.tables`."""
        return {str(row[0]) for row in self.all("SELECT name FROM sqlite_schema WHERE type = 'table'")}

    def commit(self) -> None:
        """See `Connection.commit`."""
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        """See `Connection.rollback`."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def savepoint(self) -> None:
        """See `Connection.savepoint`."""
        self._db.execute("SAVEPOINT request")

    def release(self) -> None:
        """See `Connection.release`."""
        self._db.execute("RELEASE request")

    def rollback_to_savepoint(self) -> None:
        """See `Connection.rollback_to_savepoint`."""
        self._db.execute("ROLLBACK TO request")
        self._db.execute("RELEASE request")

    @contextlib.contextmanager
    def snapshot(self, *, limit_s: float | None = None) -> Iterator[None]:
        """See `Connection.snapshot`."""
        if limit_s is not None:
            end = time.monotonic() + limit_s
            self._db.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_CHECKS)
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            if self._db.in_transaction:
                self._db.execute("COMMIT")
            if limit_s is not None:
                self._db.set_progress_handler(None)

    def changed(self) -> int | None:
        """See `Connection.changed`."""
        found = self._db.execute("PRAGMA data_version").get
        return found if isinstance(found, int) else None

    def _note_pages(self, db: apsw.Connection, name: str, pages: int) -> int:
        self._wal_pages = pages
        return apsw.SQLITE_OK

    def tidy(self) -> None:
        """See `Connection.tidy`: bring a write-ahead log that has grown into the database, as far as readers allow."""
        if self._wal_pages >= _CHECKPOINT_PAGES:
            self._wal_pages = 0
            with contextlib.suppress(apsw.BusyError, apsw.LockedError):  # the next batch tries again
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def is_lost(self, error: Exception) -> bool:
        """See `Connection.is_lost`: a file does not go away."""
        return False

    def is_race(self, error: Exception) -> bool:
        """See `Connection.is_race`: who writes has the database to itself, and nobody can be in the way."""
        return False

    def reconnect(self) -> None:
        """See `Connection.reconnect`."""
        raise RuntimeError("a SQLite connection is never lost")

    def translate(self, error: Exception) -> Exception:
        """See `Connection.translate`."""
        return translate(error, self.path, self._db.system_errno if isinstance(error, apsw.IOError) else 0)

    def leave_wal(self) -> None:
        """See to it that closing touches no file: after a failed fsync only a new process may read and go on."""
        self._db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)

    def recover(self) -> None:
        """Bring what a crash left in the write-ahead log into the database, so that its file is whole by itself.

        Power that goes in the middle of a checkpoint tears pages of the file. Every reader gets them from the log, but
        who looks at the file alone (verification, a copy) would take them for damage. Raises Unavailable.
        """
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
        except apsw.Error as exc:
            ours = self.translate(exc)
            if not isinstance(ours, Conflict | StorageFull):  # in use, or no room: the log serves as well
                raise ours from exc

    def checkpoint_wal(self) -> None:
        """Bring the write-ahead log into the database file (at a clean end)."""
        try:
            self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        except apsw.BusyError:  # a reader elsewhere: the next start does it
            pass
        except (apsw.IOError, apsw.FullError):  # nothing is lost: what is in the log is read from there
            self.leave_wal()

    def close(self) -> None:
        """See `Connection.close`."""
        self._db.close()

    @property
    def raw(self) -> apsw.Connection:
        """The apsw connection, for verification, which looks below the protocol."""
        return self._db


def translate(error: Exception, path: Path, system_errno: int = 0) -> Exception:
    """Return what an apsw error means to a caller; another error comes back as it is (our bug).

    `system_errno` is the operating system's reason for an I/O error, 0 when it is not known.
    """
    if isinstance(error, apsw.BusyError | apsw.LockedError):
        return Conflict("the database is busy.", hint="Another process holds it; try again in a moment.")
    if isinstance(error, apsw.ConstraintError):
        return Conflict(f"the change met another one: {error}.", hint="Look again, then ask again.")
    if isinstance(error, apsw.FullError):
        return StorageFull("the disk is full; nothing was changed.", hint="Free some space; reading goes on meanwhile.")
    if isinstance(error, apsw.InterruptError):
        return search_took_too_long()
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return IntegrityFailure(f"the database {path.name} is damaged: {error}.", hint="Run: greenroom audit verify")
    if isinstance(error, apsw.ReadOnlyError | apsw.CantOpenError | apsw.PermissionsError):
        return Unavailable(
            f"the database {path} cannot be opened for writing: {error}.",
            hint="Check its rights; if the disk is read-only, copy the whole folder to another one.",
        )
    if isinstance(error, apsw.IOError):
        return _translate_io(error, path, system_errno)
    return error


def _translate_io(error: apsw.IOError, path: Path, system_errno: int) -> Exception:
    kind = getattr(error, "extendedresult", 0)
    if kind in _SYNC_ERRORS:
        return SyncFailed(
            f"{path.name} could not be made durable ({error}); whether this change was made shows after a restart.",
            hint="Restart the server, then ask again with the same Idempotency-Key.",
        )
    if kind == apsw.SQLITE_IOERR_DATA:
        return IntegrityFailure(
            f"a page of the database {path.name} is not what was written.", hint="Run: greenroom audit verify"
        )
    if system_errno in _NO_SPACE:
        return StorageFull("the disk is full; nothing was changed.", hint="Free some space; reading goes on meanwhile.")
    return Unavailable(
        f"the database {path.name} cannot be read or written: {error}.", hint="Check the disk, then start again."
    )
