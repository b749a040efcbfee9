"""The head and the body of a short answer leave in one piece.

Uvicorn writes the head when the application starts its answer and the body when that comes, which is at once for nearly
every answer. Two writes are two calls of the system, two packets, and a client that is woken twice.
"""

from __future__ import annotations

import asyncio
from typing import Any

_JOINED_BYTES = 64 << 10  # a larger body is not copied for the sake of one write


class OneWrite:
    """A transport for one request's answer: a head waits for what comes in the same turn of the event loop."""

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        """Write, or keep a head for a moment."""
        if self._head:
            head, self._head = self._head, b""
            if len(data) <= _JOINED_BYTES:
                self._transport.write(head + data)
                return
            self._transport.write(head)
        elif data.endswith(b"\r\n\r\n") and data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def close(self) -> None:
        """Close behind what was written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
