"""A real server for bytes, with the smallest registry that works, and a wire that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn

from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.client.remote import Remote
from greenroom.client.resolve import ServerAddress
from greenroom.core.errors import NotFound
from greenroom.core.model import Actor, File, Version
from greenroom.http import bytes as byte_routes
from greenroom.http import native
from greenroom.http.asgi import create_app
from greenroom.services import answers as a
from greenroom.services.ports import Request


@dataclass
class SmallRegistry:
    """Knows which blobs are declared, and the files of version 1 of the model `m`."""

    blobs: FilesystemBlobs
    stored: dict[str, int] = field(default_factory=dict)
    files: dict[str, File] = field(default_factory=dict)

    async def call(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        return self.call_now(operation, command, actor, request=request)

    def call_now(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        if operation == "declare_blob":
            self.stored[command.digest] = command.size_bytes
            return None
        if operation == "note_damage":
            return command.digest in self.stored
        if operation == "missing_blobs":
            return a.Missing(tuple(each for each in command.digests if each not in self.stored))
        if operation == "get_version":
            digest = "sha256:" + "5" * 64 if command.version == 1 else None
            return Version("m", command.version, "None", 0, 0, digest=digest, source="s3://bucket/model")
        if operation == "snapshot_file" and command.path in self.files:
            return self.files[command.path]
        raise NotFound(f"no {operation} {command}")


@dataclass
class Served:
    """A running server."""

    registry: SmallRegistry
    port: int
    remotes: list[Remote] = field(default_factory=list)

    def remote(self, port: int | None = None) -> Remote:
        """A client of this server, maybe through another port, that never really waits."""
        port = port or self.port
        address = ServerAddress(f"http://127.0.0.1:{port}", "a test", "127.0.0.1", port, secure=False)
        self.remotes.append(Remote(address, actor="ana", pause=lambda _seconds: None))
        return self.remotes[-1]

    def hang_up(self) -> None:
        """Close what the clients keep open."""
        while self.remotes:
            self.remotes.pop().close()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Served]:
    """Serve an empty registry from a thread of this process."""
    registry = SmallRegistry(FilesystemBlobs(folder))
    app = create_app(registry, [*native.routes(registry), *byte_routes.routes(registry)])
    # asyncio switches off Nagle's algorithm only for sockets that say TCP; with it, each answer takes 40 ms longer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    config = uvicorn.Config(app, log_config=None, lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)

    def run() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(server.serve([listener]))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield Served(registry, listener.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
    assert not thread.is_alive()


class CutWire:
    """A TCP relay to `port` that cuts each connection after so many bytes (client to server, server to client).

    `cuts` holds one pair for each connection to come; None in a pair means no limit; later connections are not cut.
    """

    def __init__(self, port: int, cuts: list[tuple[int | None, int | None]]) -> None:
        self._target, self.cuts, self.made = port, cuts, 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]
        self._open: list[socket.socket] = []
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._open += [near, far]
                up, down = self.cuts[self.made] if self.made < len(self.cuts) else (None, None)
                self.made += 1
                for source, sink, limit in ((near, far, up), (far, near, down)):
                    thread = threading.Thread(target=self._relay, args=(source, sink, limit))
                    self._threads.append(thread)
                    thread.start()

    def _relay(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65_536 if limit is None else min(65_536, limit)):
                sink.sendall(piece)
                if limit is not None:
                    limit -= len(piece)
                    if not limit:
                        break
        for each in (source, sink):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()  # with bytes unread this resets the connection, as a process that dies does


@contextlib.contextmanager
def cut_wire(port: int, cuts: list[tuple[int | None, int | None]]) -> Iterator[CutWire]:
    """A `CutWire` that is closed in the end."""
    wire = CutWire(port, cuts)
    try:
        yield wire
    finally:
        wire.close()
