"""A server for tests that answers what it is told to, byte for byte, also what no good server would."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request as it came in."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """The JSON body."""
        return json.loads(self.body)


HANG_UP = b""
Script = list[bytes | Callable[[Seen], bytes]]


@dataclass
class Stub:
    """Answers connections on loopback with `script`, one item per request; HANG_UP closes instead of answering."""

    script: Script
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Stub:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._live: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._live:
            each.close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._live.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as reader:
                while (request := _read(reader)) is not None:
                    self.seen.append(request)
                    step = self.script.pop(0) if self.script else HANG_UP
                    answer = step(request) if callable(step) else step
                    if answer == HANG_UP:
                        return
                    connection.sendall(answer)
                    if b"\r\nConnection: close" in answer:
                        return
        except OSError:
            return


def _read(reader: Any) -> Seen | None:
    line = reader.readline().decode("latin-1").split()
    if not line:
        return None
    headers = {}
    while (header := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(line[0], line[1], headers, reader.read(int(headers.get("content-length", 0))))


def answer(status: int, body: Any, *headers: str, media: str = "application/json") -> bytes:
    """Return a whole HTTP answer; `body` is JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Type: {media}", f"Content-Length: {len(data)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data


def problem(status: int, code: str, *headers: str, **members: Any) -> bytes:
    """Return a problem document."""
    body = {"type": f"/docs/errors#{code}", "status": status, "code": code, "detail": "it went wrong.", **members}
    return answer(status, body, *headers, media="application/problem+json")
