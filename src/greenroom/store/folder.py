"""A data folder on SQLite: the database, the key, the locks.

A server opens it for its life, with a writer thread. An embedded process opens it without one and takes turns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound, Unavailable
from greenroom.services.ports import Signer
from greenroom.store.compiled.sqlite import DDL
from greenroom.store.database import DatabaseStore, make_schema, wall_clock
from greenroom.store.durable import make_folder, sync_names
from greenroom.store.heads import require_own
from greenroom.store.health import Health
from greenroom.store.inspection import page_findings, stored_rows
from greenroom.store.keys import KEY_FILE, load_signer
from greenroom.store.lock import ServerLock, check_not_served, turn
from greenroom.store.migrate import bring_up_to_date, stored_schema
from greenroom.store.sqlite import SQLite
from greenroom.store.tx import ReadTx
from greenroom.store.writer import Clock

DATABASE = "greenroom.db"
BLOBS = "blobs"


class FolderStore(DatabaseStore):
    """The store of one data folder. `serve=True` owns the folder until `close`."""

    def __init__(
        self, folder: Path, *, create: bool, serve: bool, clock: Clock = wall_clock, floor_bytes: int = 0
    ) -> None:
        """Open or make. `floor_bytes` of the disk are kept free, see `store.health`.

        Raises NotFound (no registry there), Conflict (a server owns it), Unavailable, IntegrityFailure.
        """
        self.folder = folder
        self._lock = ServerLock(folder) if serve else None
        _prepare(folder, create=create)
        if self._lock is not None:
            self._lock.acquire()
        try:
            signer = load_signer(folder, create=create and not (folder / DATABASE).exists())
            db = self._open_for_writing(signer, create=create)
            super().__init__(db, signer, serve=serve, clock=clock, health=Health(folder, floor_bytes=floor_bytes))
        except BaseException:
            self._release()
            raise

    def _open_for_writing(self, signer: Signer, *, create: bool) -> SQLite:
        """Open the database, made or brought to this version's schema under the folder's lock.

        With another key than the log's nothing is served; who only looks at the folder may still verify it.
        """
        if self._lock is None:
            check_not_served(self.folder)
        with turn(self.folder):
            path = self.folder / DATABASE
            if path.is_file() and not path.stat().st_size:
                self._refuse_emptied(create=create)
            db = SQLite(path, create=create)
            try:
                if stored_schema(db) is None:
                    self._refuse_emptied(create=create)
                    make_schema(db, DDL)
                else:
                    bring_up_to_date(db)
                    db.recover()
                    if self._lock is not None:
                        require_own(ReadTx(db).audit_head()[1], signer)
                self._sync_names()
            except BaseException as exc:
                ours = db.translate(exc) if isinstance(exc, Exception) else exc
                db.close()
                raise ours from exc
        return db

    def _sync_names(self) -> None:
        """Make the names of the database and its log durable. SQLite does that too, and keeps a failure to itself."""
        try:
            sync_names(self.folder)
        except OSError as exc:
            raise Unavailable(
                f"the folder {self.folder} could not be made durable: {exc.strerror}.", hint="Look at the disk."
            ) from exc

    def _refuse_emptied(self, *, create: bool) -> None:
        """Raise IntegrityFailure when an empty database is damage: only a first start that was cut off leaves one."""
        if create and not (self.folder / BLOBS).is_dir():
            return
        raise IntegrityFailure(
            f"the database {self.folder / DATABASE} is empty.",
            hint=f"Restore it from your backup; if the folder was never in use: greenroom init {self.folder}",
            folder=str(self.folder),
        )

    def connect(self) -> SQLite:
        """See `DatabaseStore`."""
        return SQLite(self.folder / DATABASE)

    @contextlib.contextmanager
    def its_turn(self) -> Iterator[None]:
        """See `DatabaseStore`. Raises Conflict when a server owns the folder by now."""
        with turn(self.folder):
            check_not_served(self.folder)
            yield

    def rows(self) -> contextlib.AbstractContextManager[Callable[[str], Iterator[dict[str, Any]]]]:
        """The raw rows of every table, read past the page checksums, for verification."""
        return stored_rows(self.folder / DATABASE)

    def pages(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the database file below the tables: (where, what) pairs."""
        return page_findings(self.folder / DATABASE)

    def announce(self, url: str) -> None:
        """Tell those who find the folder owned where to go."""
        if self._lock is not None:
            self._lock.announce(url)

    def before_end(self) -> None:
        """See `DatabaseStore`: a server leaves one whole database file behind, unless an fsync failed."""
        if not isinstance(self._db, SQLite):
            return
        if self.health.is_final():
            self._db.leave_wal()
        elif self._lock is not None:
            self._db.checkpoint_wal()

    def close(self) -> None:
        """See `DatabaseStore`; gives the folder back."""
        super().close()
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


def _prepare(folder: Path, *, create: bool) -> None:
    if (folder / DATABASE).is_file():
        return
    if not create:
        raise NotFound(
            f"there is no registry in the folder {folder}.",
            hint=f"Make one with: greenroom init {folder}",
            folder=str(folder),
        )
    try:
        make_folder(folder)
        found = [each.name for each in folder.iterdir()]
    except OSError as exc:
        raise Unavailable(
            f"the folder {folder} cannot be made: {exc.strerror}.", hint="Check its place and your rights."
        ) from exc
    if BLOBS in found:  # they are made after the database
        raise IntegrityFailure(
            f"the folder {folder} has blobs and no database.",
            hint=f"Restore {DATABASE} from your backup, or choose another folder.",
            folder=str(folder),
        )
    if not all(name in ("server.lock", "turn.lock") or name.startswith(KEY_FILE) for name in found):
        raise InvalidInput(
            f"the folder {folder} is not empty and holds no registry.", hint="Choose an empty or a new folder."
        )
