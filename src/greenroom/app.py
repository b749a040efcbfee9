"""The composition root: the one place that knows every adapter.

`open_local` gives the embedded registry of a folder; `serve_forever` is the server process.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from greenroom import gates as _gate_types
from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.core.errors import Forbidden, GreenroomError, IntegrityFailure, RateLimited, Refused, Unavailable
from greenroom.core.limits import bound
from greenroom.core.model import Actor
from greenroom.core.presets import DEFAULT
from greenroom.core.tracking import DEFAULT_EXPERIMENT
from greenroom.services import collecting, lifecycles
from greenroom.services.api import BY_NAME, OF_THE_LOG, Mode, Operation
from greenroom.services.commands import UseLifecycle
from greenroom.services.ports import BlobStore, ReadTx, Request, Signer
from greenroom.services.tracking_experiments import begin_tracking
from greenroom.store.compiled.sqlite import AUDITED, KEYS
from greenroom.store.database import DatabaseStore
from greenroom.store.folder import FolderStore
from greenroom.store.health import DEFAULT_FLOOR_BYTES, Health
from greenroom.store.keys import load_signer
from greenroom.store.safety import check_database_url, check_folder
from greenroom.store.writer import UPKEEP

if TYPE_CHECKING:
    from greenroom.http.routing import Route

BLOBS = "blobs"
HEAVY = frozenset({"audit_verify", "verify_files", "compare_versions", "collect_garbage", "fsck"})
_HEAVY_THREADS = 4
SYSTEM = Actor("greenroom", verified=True)
assert _gate_types  # importing the package registers the gate types


class LocalRegistry:
    """A registry over a store and blobs: `services.ports.Registry`, and for slow use cases `services.ports.Desk`."""

    def __init__(self, store: DatabaseStore, blobs: BlobStore, *, lifecycle: str | None = None) -> None:
        """Take over the store; `lifecycle` is the preset that a new registry starts with, or an older one switches
        to.
        """
        self.store = store
        self.blobs = blobs
        self._use_cases: dict[str, Callable[..., Any]] = {}
        self._heavy = HeavyWork()
        self._stopping = False
        try:
            self._begin(lifecycle)
            collecting.resume(self, SYSTEM)
        except BaseException:
            store.close()
            raise

    def _begin(self, lifecycle: str | None) -> None:
        """Write the first entry of a new log, or switch the default lifecycle if the caller named another one."""
        with self.store.snapshot() as tx:
            head, _ = tx.audit_head()
            default = lifecycles.default_name(tx) if head.size else None
            tracks = tx.find_experiment(DEFAULT_EXPERIMENT) is not None
        if default is None:
            command = lifecycles.CreateRegistry(lifecycle or DEFAULT)
            self.store.write_now(
                lifecycles.create_registry, command, SYSTEM, request=_request(), route="create_registry", result=None
            )
            return
        if not tracks:  # it was begun by a version that did not track runs
            self.write(begin_tracking, None, SYSTEM)
        if lifecycle not in (None, default):
            self.call_now("use_lifecycle", UseLifecycle(str(lifecycle), reason="option --lifecycle"), SYSTEM)

    @property
    def signer(self) -> Signer:
        """The key that signs the log."""
        return self.store.signer

    def snapshot(self) -> contextlib.AbstractContextManager[ReadTx]:
        """A consistent view of the store, on this thread's own connection."""
        return self.store.snapshot()

    def write(self, use_case: Callable[..., Any], command: Any, actor: Actor) -> Any:
        """Run one step of a slow use case in the writer's next batch; its answer, once it is durable."""
        return self.store.write_now(use_case, command, actor, request=_request(), route=UPKEEP, result=None)

    def rows(self) -> contextlib.AbstractContextManager[Callable[[str], Iterator[dict[str, Any]]]]:
        """The raw rows of every table, for verification."""
        return self.store.rows()

    def pages(self) -> Iterator[tuple[str, str]]:
        """What is wrong with the database below its tables: (where, what) pairs."""
        return self.store.pages()

    def audited(self) -> Mapping[str, tuple[str, ...]]:
        """The audited tables and their primary keys."""
        return {table: KEYS[table] for table in AUDITED}

    async def call(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        """See the port."""
        row, use_case = self._find(operation, actor)
        if row.mode is Mode.READ and self.store.reads_inline:
            return self.store.read(use_case, command, actor)
        if row.mode in (Mode.WRITE, Mode.LOG):
            return _answer(await self.store.write(use_case, command, actor, **_job(row, request)))
        if row.mode in (Mode.READ, Mode.SEARCH):
            return await self.store.search(use_case, command, actor, audited=row.name in OF_THE_LOG)
        if row.name in HEAVY:
            return await self._heavy.run(use_case, self, command, actor)
        import asyncio  # an embedded registry never needs it, and it is slow to load

        return await asyncio.to_thread(use_case, self, command, actor)

    def call_now(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        """See the port."""
        row, use_case = self._find(operation, actor)
        if row.mode is Mode.READ:
            return self.store.read(use_case, command, actor)
        if row.mode in (Mode.WRITE, Mode.LOG):
            return _answer(self.store.write_now(use_case, command, actor, **_job(row, request)))
        if row.mode is Mode.SEARCH:
            return self.store.search_now(use_case, command, actor)
        return use_case(self, command, actor)

    def _find(self, operation: str, actor: Actor) -> tuple[Operation, Callable[..., Any]]:
        row = BY_NAME[operation]
        if not actor.may(row.permission):
            raise Forbidden(f"{actor.name} may not {row.permission}.", permission=row.permission)
        use_case = self._use_cases.get(operation)
        if use_case is None:
            use_case = self._use_cases[operation] = row.load()
        return row, use_case

    async def ready(self) -> None:
        """Raise Unavailable, with the reason, unless reads and writes are answered now."""
        if self._stopping:
            raise Unavailable("the server is stopping.", hint="Ask another one, or this one in a moment.")
        try:
            await self.store.require_ready()
        except GreenroomError as exc:
            details = {"reason": exc.code} | exc.details
            raise Unavailable(f"the registry is not ready: {exc.message}", hint=exc.hint, **details) from exc

    def stop(self) -> None:
        """Say from now on that the registry is not ready; what is asked is still answered."""
        self._stopping = True

    def close(self) -> None:
        """Finish what is queued and give the folder back. Twice is no error."""
        self._heavy.close()
        self.store.close()


class HeavyWork:
    """Use cases that read every blob or entry: on threads of their own, so that they hold up nothing else."""

    def __init__(self) -> None:
        self._count = 0  # on the event loop only
        self._threads: ThreadPoolExecutor | None = None

    async def run(self, use_case: Callable[..., Any], *args: Any) -> Any:
        """Run a use case on one of the threads. Raises RateLimited when too many run or wait."""
        import asyncio  # an embedded registry never needs it, and it is slow to load

        most = bound("heavy_requests")
        if self._count >= most:
            text = f"{most} verifications, comparisons and collections are running or waiting already."
            raise RateLimited(text, hint="Try again in a moment.", limit="heavy_requests", maximum=most)
        self._threads = self._threads or ThreadPoolExecutor(_HEAVY_THREADS, thread_name_prefix="greenroom-heavy")
        self._count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, use_case, *args)
        finally:
            self._count -= 1

    def close(self) -> None:
        """Drop what waits and let what runs come to its end."""
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)


def _answer(outcome: Any) -> Any:
    """A refusal was recorded as a value; towards the edges it is raised. A promotion says it in its status instead."""
    if isinstance(outcome, Refused):
        raise outcome
    return outcome


def _job(row: Operation, request: Request | None) -> dict[str, Any]:
    """What the writer has to know about a request besides what it does."""
    logs_only = row.mode is Mode.LOG
    return {"request": request or _request(), "route": row.name, "result": row.result, "logs_only": logs_only}


def _request() -> Request:
    return Request(secrets.token_hex(8))


def open_local(folder: Path, *, create: bool = False, lifecycle: str | None = None) -> LocalRegistry:
    """Open the embedded registry of a folder.

    Raises NotFound when there is none (and not `create`), Conflict with `details["url"]` when a server owns the folder.
    """
    return _in_folder(folder, create=create, serve=False, lifecycle=lifecycle)


def _in_folder(
    folder: Path, *, create: bool, serve: bool, lifecycle: str | None, floor_bytes: int = 0
) -> LocalRegistry:
    if lifecycle is not None:
        lifecycles.check_preset(lifecycle)
    store = FolderStore(folder, create=create, serve=serve, floor_bytes=floor_bytes)
    return LocalRegistry(store, _blobs(folder, store), lifecycle=lifecycle)


def _blobs(folder: Path, store: DatabaseStore) -> FilesystemBlobs:
    try:
        _require_mounted(folder / BLOBS, store)
        return FilesystemBlobs(folder / BLOBS, store.health)
    except BaseException:
        store.close()
        raise


def _require_mounted(blobs: Path, store: DatabaseStore) -> None:
    """Raise IntegrityFailure when the blobs' folder is gone: in an empty one every blob would count as damaged."""
    if blobs.is_dir():
        return
    with store.snapshot() as tx:
        expected, _ = tx.blob_totals()
    if expected:
        raise IntegrityFailure(
            f"the folder {blobs} is not there, and {expected} blobs should be in it.",
            hint="Mount it or restore it from your backup. If they are lost for good: mkdir it and run greenroom fsck.",
            folder=str(blobs),
        )


def open_shared(url: str, folder: Path, *, lifecycle: str | None = None, floor_bytes: int = 0) -> LocalRegistry:
    """Open the registry in the PostgreSQL database at `url`, as one of its servers.

    `folder` holds what the servers share beside it: the blobs and the key that signs the log.
    Raises Unavailable, IntegrityFailure, InvalidInput (no such preset).
    """
    try:
        from greenroom.store.shared import PostgresStore
    except ImportError as exc:
        raise Unavailable(
            "PostgreSQL needs a driver that is not installed.", hint="Install it: pip install 'greenroom[postgres]'"
        ) from exc
    if lifecycle is not None:
        lifecycles.check_preset(lifecycle)
    check_database_url(url)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    health = Health(folder, floor_bytes=floor_bytes, rows_here=False)
    # Asked before the database is looked at: the blobs' folder is made after the tables, also by another server.
    has_files = (folder / BLOBS).is_dir()
    store = PostgresStore(url, load_signer(folder, create=True), may_begin=not has_files, health=health)
    return LocalRegistry(store, _blobs(folder, store), lifecycle=lifecycle)


def serve_forever(
    *,
    data: Path,
    host: str,
    port: int,
    lifecycle: str | None = None,
    on_ready: Callable[[str], None] | None = None,
    database_url: str | None = None,
    floor_bytes: int = DEFAULT_FLOOR_BYTES,
    public_url: str = "",
) -> None:
    """Serve a data folder until SIGTERM or SIGINT; makes the folder when it is not there.

    `floor_bytes` of the disk with the folder are kept free, at most a twentieth of the disk; 0: none.
    With `database_url` the rows are in that PostgreSQL database and any number of servers may share both.
    `public_url` is where clients find the server when that is not where it listens: behind a proxy.

    `on_ready` is told the URL once requests are answered. Raises Conflict naming the server that has the folder
    already.
    """
    from greenroom.http.access import check_bind
    from greenroom.http.asgi import HTTPSettings, create_app
    from greenroom.http.guards import parse_public_url
    from greenroom.http.run import serve

    check_bind(host)
    public_url = parse_public_url(public_url) if public_url else ""
    check_folder(data)
    if database_url is None:
        registry = _in_folder(data, create=True, serve=True, lifecycle=lifecycle, floor_bytes=floor_bytes)
    else:
        registry = open_shared(database_url, data, lifecycle=lifecycle, floor_bytes=floor_bytes)
    try:
        registry.blobs.sweep_staging(older_than_s=24 * 3600)

        def ready(url: str) -> None:
            registry.store.announce(url)
            if on_ready is not None:
                on_ready(url)

        app = create_app(registry, _routes(registry), HTTPSettings(public_url=public_url))
        serve(app, host=host, port=port, on_ready=ready, on_stop=registry.stop)
    finally:
        registry.close()


def _routes(registry: LocalRegistry) -> list[Route]:
    """Return the routes of all edges. MLflow's are in `mlflow_*` modules: without them a working product is left."""
    from greenroom.http import bytes as byte_routes
    from greenroom.http import (
        mlflow_artifacts,
        mlflow_multipart,
        mlflow_presigned,
        mlflow_registry,
        mlflow_service,
        mlflow_tracking,
        native,
        openapi,
        reference,
        service,
    )
    from greenroom.http import tlog as tlog_routes

    return [
        *service.routes(registry),
        *native.routes(registry),
        *byte_routes.routes(registry),
        *tlog_routes.routes(registry),
        *openapi.routes(),
        *reference.routes(),
        *mlflow_registry.routes(registry),
        *mlflow_tracking.routes(registry),
        *mlflow_artifacts.routes(registry),
        *mlflow_multipart.routes(registry),
        *mlflow_presigned.routes(registry),
        *mlflow_service.routes(),
    ]
