"""A real server on loopback around a small registry made by hand, and a client that sends the bytes it is given."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from greenroom.http import asgi, native, openapi, reference, run, service
from greenroom.http.routing import Route


@dataclass
class Registry:
    """Answers an operation with `answers[operation]`: a value, an exception to raise, or a function of the command."""

    answers: dict[str, Any] = field(default_factory=dict)
    calls: list[tuple[str, Any, Any, Any]] = field(default_factory=list)
    blobs: Any = None
    is_ready: bool = True

    async def call(self, operation: str, command: Any, actor: Any, *, request: Any = None) -> Any:
        self.calls.append((operation, command, actor, request))
        answer = self.answers.get(operation, {"echo": operation})
        if isinstance(answer, Exception):
            raise answer
        return answer(command) if callable(answer) else answer

    def call_now(self, operation: str, command: Any, actor: Any, *, request: Any = None) -> Any:
        raise NotImplementedError

    def ready(self) -> bool:
        return self.is_ready


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Running:
    """A server that runs: its registry, its URL, and ways to talk to it."""

    registry: Registry
    url: str
    stop: Callable[[], None]

    @property
    def hostport(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """Send one request; `body` is bytes, or a value to send as JSON. Underscores in header names become dashes."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.putrequest(method, target, skip_host="Host" in given, skip_accept_encoding=True)
            if body is not None and "Transfer-Encoding" not in given:
                given.setdefault("Content-Length", str(len(body)))
            for name, value in given.items():
                connection.putheader(name, value.encode("utf-8"))
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def raw(self, data: bytes) -> bytes:
        """Send `data` as it is and return all that comes until the server closes the connection."""
        with socket.create_connection(self.address, timeout=20) as connection:
            connection.sendall(data)
            pieces = []
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65_536):
                    pieces.append(piece)
            return b"".join(pieces)


@contextlib.contextmanager
def serving(app: Any, **options: Any) -> Iterator[run.Server]:
    """Run `app` on a free port of loopback in a thread; stop it and wait for the thread at the end."""
    listener = run.listen("127.0.0.1", 0)
    ready = threading.Event()
    server = run.Server(app, run.url_of("127.0.0.1", listener), on_ready=lambda url: ready.set(), **options)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        assert ready.wait(20)
        yield server
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@contextlib.contextmanager
def running(*extra: Route, settings: asgi.HTTPSettings | None = None, **options: Any) -> Iterator[Running]:
    """Serve the native and service routes and `extra` around a fresh registry."""
    registry = Registry()
    app = asgi.create_app(
        registry,
        [*service.routes(registry), *openapi.routes(), *reference.routes(), *native.routes(registry), *extra],
        settings,
    )
    with serving(app, **options) as server:
        yield Running(registry, server.url, server.stop)
