"""A data folder on SQLite: the database, the key, the locks, and the ways to read and write.

A server opens it for its life, with a writer thread. An embedded process opens it without one and takes turns.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from greenroom.core.errors import InvalidInput, NotFound, Unavailable
from greenroom.core.model import Actor
from greenroom.services.ports import Request
from greenroom.store.keys import FileSigner, load_signer
from greenroom.store.lock import ServerLock, check_not_served, turn
from greenroom.store.migrate import SCHEMA, bring_up_to_date, stored_schema
from greenroom.store.sqlite import SQLite
from greenroom.store.texts import Texts
from greenroom.store.tx import ReadTx, UseCase
from greenroom.store.writer import BatchRunner, Clock, Job, Writer

DATABASE = "greenroom.db"
SEARCH_LIMIT_S = 10.0
_READERS = 2


def wall_clock() -> int:
    """Return now in UTC milliseconds."""
    return time.time_ns() // 1_000_000


class FolderStore:
    """The store of one data folder. `serve=True` owns the folder until `close`."""

    def __init__(self, folder: Path, *, create: bool, serve: bool, clock: Clock = wall_clock) -> None:
        """Open or make. Raises NotFound (no registry there), Conflict (a server owns it), Unavailable,
        IntegrityFailure.
        """
        self.folder = folder
        self._lock = ServerLock(folder) if serve else None
        _prepare(folder, create=create)
        if self._lock is not None:
            self._lock.acquire()
        try:
            self.signer: FileSigner = load_signer(folder, create=create and not (folder / DATABASE).exists())
            self._db = self._open_for_writing(create=create)
            self._runner = BatchRunner(self._db, self.signer, clock)
            self._reader = SQLite(folder / DATABASE)
        except BaseException:
            self._release()
            raise
        self._reading = threading.RLock()
        self._searchers = ThreadPoolExecutor(_READERS, thread_name_prefix="greenroom-search")
        self._local = threading.local()
        self._search_dbs: list[SQLite] = []
        self._writer = Writer(self._runner) if serve else None
        self._closed = False

    def _open_for_writing(self, *, create: bool) -> SQLite:
        """Open the database, made or brought to this version's schema under the folder's lock."""
        path = self.folder / DATABASE
        if self._lock is None:
            check_not_served(self.folder)
        with turn(self.folder):
            db = SQLite(path, create=create)
            try:
                _make_schema(db) if stored_schema(db) is None else bring_up_to_date(db)
            except BaseException as exc:
                db.close()
                raise db.translate(exc) if isinstance(exc, Exception) else exc from exc
        return db

    def announce(self, url: str) -> None:
        """Tell those who find the folder owned where to go."""
        if self._lock is not None:
            self._lock.announce(url)

    async def write(
        self, use_case: UseCase, command: Any, actor: Actor, *, request: Request, route: str, result: Any
    ) -> Any:
        """Run a use case in the writer's next batch; returns when it is durable."""
        job = Job(use_case, command, actor, request, route, result)
        import asyncio  # an embedded registry never needs it, and it is slow to load

        return await asyncio.wrap_future(self._submit(job))

    def write_now(
        self, use_case: UseCase, command: Any, actor: Actor, *, request: Request, route: str, result: Any
    ) -> Any:
        """The same, waiting for it here. Embedded: takes its turn. Raises Conflict when a server owns the folder by
        now.
        """
        job = Job(use_case, command, actor, request, route, result)
        if self._writer is not None:
            return self._submit(job).result()
        with self._reading, turn(self.folder):
            check_not_served(self.folder)
            self._runner.run([job])
        return job.future.result()

    def _submit(self, job: Job) -> Any:
        if self._writer is None:
            raise Unavailable("an embedded registry writes with call_now only.")
        return self._writer.submit(job)

    def read(self, use_case: UseCase, command: Any, actor: Actor) -> Any:
        """Run a point read here and now, on one connection kept for it: it takes microseconds."""
        with self._reading, self._translated(self._reader), self._reader.snapshot():
            return use_case(ReadTx(self._reader), command, actor)

    async def search(self, use_case: UseCase, command: Any, actor: Actor) -> Any:
        """Run a read that may take longer on a reader thread, so that it holds up no look-up."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(
            self._searchers, self.search_now, use_case, command, actor
        )

    def search_now(self, use_case: UseCase, command: Any, actor: Actor) -> Any:
        """The same in this thread, on this thread's own connection, with a limit on its time."""
        with self.snapshot(limit_s=SEARCH_LIMIT_S) as tx:
            return use_case(tx, command, actor)

    @contextlib.contextmanager
    def snapshot(self, *, limit_s: float | None = None) -> Iterator[ReadTx]:
        """Open a consistent view on this thread's own connection."""
        db = self._search_db()
        with self._translated(db), db.snapshot(limit_s=limit_s):
            yield ReadTx(db)

    def _search_db(self) -> SQLite:
        db: SQLite | None = getattr(self._local, "db", None)
        if db is None:
            db = self._local.db = SQLite(self.folder / DATABASE)
            self._search_dbs.append(db)
        return db

    @contextlib.contextmanager
    def _translated(self, db: SQLite) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            ours = db.translate(exc)
            if ours is exc:
                raise
            raise ours from exc

    def close(self) -> None:
        """End: finish what is queued, bring the log into the database file, give the folder back. Twice is no error."""
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            self._writer.stop(timeout_s=30)
        self._searchers.shutdown(wait=True)
        for db in [*self._search_dbs, self._reader]:
            db.close()
        if self._lock is not None:
            self._db.checkpoint_wal()
        self._db.close()
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
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        strangers = [
            each.name
            for each in folder.iterdir()
            if each.name not in ("server.lock", "turn.lock", "audit.key", "blobs")
        ]
    except OSError as exc:
        raise Unavailable(
            f"the folder {folder} cannot be made: {exc.strerror}.", hint="Check its place and your rights."
        ) from exc
    if strangers:
        raise InvalidInput(
            f"the folder {folder} is not empty and holds no registry.", hint="Choose an empty or a new folder."
        )


def _make_schema(db: SQLite) -> None:
    from greenroom.store.compiled.sqlite import DDL

    texts = Texts(db)
    db.begin()
    for statement in DDL:
        db.run(statement)
    for key, value in {
        "schema": SCHEMA,
        "page_secret": secrets.token_hex(32),
        "registry": secrets.token_hex(8),
    }.items():
        db.run(texts.insert("meta"), {"key": key, "value": json.dumps(value)})
    db.commit()
