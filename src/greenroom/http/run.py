"""The server process: listen, say so, answer until told to stop.

Uvicorn does the work (uvloop and httptools where they exist, asyncio and h11 elsewhere). What it does not do is added
here: a client that is slow with its request line and headers is cut off, headers have an upper size with every parser,
and a stop signal ends `serve` by returning, so that the caller can close the registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import HANDLED_SIGNALS

from greenroom.core.errors import InvalidInput
from greenroom.http.access import check_bind

HEADER_BYTES = 128 << 10
HEADER_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 75  # longer than clients keep an idle connection pooled, so that they never write into a closing one
BACKLOG = 2048


def serve(app: Any, *, host: str, port: int, on_ready: Callable[[str], None], stop_timeout_s: float = 10.0) -> None:
    """Answer on `host`:`port` until SIGINT or SIGTERM, then finish what is in flight (for `stop_timeout_s`) and return.

    `port` 0 takes a free one; `on_ready` gets the URL, with the real port, once connections are accepted. A second
    SIGINT does not wait. InvalidInput when the address is not loopback, is in use, or cannot be had.
    """
    check_bind(host)
    listener = listen(host, port)
    try:
        Server(app, url_of(host, listener), on_ready=on_ready, stop_timeout_s=stop_timeout_s).run([listener])
    finally:
        listener.close()


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket (connections come in with TCP_NODELAY). InvalidInput when the address cannot be had."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as exc:
        raise InvalidInput(f"{host!r} is no address of this machine: {exc}.", hint="Use --host 127.0.0.1.") from None
    # IPv4 first: `localhost` must not end on [::1] alone. The protocol is named because asyncio sets TCP_NODELAY only
    # on sockets that say they are TCP; without it every answer in two pieces waits 40 ms for a delayed ACK.
    family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        _set_options(listener)
        listener.bind(address)
    except OSError as exc:
        listener.close()
        raise _cannot_listen(host, port, exc) from None
    return listener


def url_of(host: str, listener: socket.socket) -> str:
    """Return the URL under which `listener` answers."""
    name = f"[{host.strip('[]')}]" if ":" in host else host
    return f"http://{name}:{listener.getsockname()[1]}"


def _set_options(listener: socket.socket) -> None:
    if sys.platform == "win32":  # there SO_REUSEADDR would let another process take the port over
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
    else:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _cannot_listen(host: str, port: int, exc: OSError) -> InvalidInput:
    if exc.errno == errno.EADDRINUSE:
        why, hint = "another process listens there", "Choose another --port, or --port 0 for any free one."
    elif exc.errno == errno.EACCES:
        why, hint = "the system does not allow it", "Choose a --port of 1024 or above."
    else:
        why, hint = str(exc.strerror or exc), "Choose another --host or --port."
    return InvalidInput(f"cannot listen on {host} port {port}: {why}.", hint=hint, host=host, port=port)


def not_cut_short(record: logging.LogRecord) -> bool:
    """Tell whether a record of uvicorn's is worth a line: not the traceback of a request that the stop cut short."""
    return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))


class Server(uvicorn.Server):
    """Uvicorn's server with our limits; `run([listener])` returns after a stop signal or `stop()`.

    `pure_python` takes the parser and the loop that every platform has, whatever else is installed.
    """

    def __init__(
        self,
        app: Any,
        url: str,
        *,
        on_ready: Callable[[str], None] | None = None,
        stop_timeout_s: float = 10.0,
        pure_python: bool = False,
    ) -> None:
        super().__init__(_config(app, stop_timeout_s, pure_python=pure_python))
        logging.getLogger("uvicorn.error").addFilter(not_cut_short)
        self.url = url
        self._on_ready = on_ready

    def stop(self) -> None:
        """Ask the server to end; may be called from another thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then tell `on_ready`."""
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready(self.url)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Turn stop signals into a clean end, without raising them again afterwards as uvicorn does.

        `signal.signal` and a loop that wakes up, not `add_signal_handler`: that one does not exist on Windows.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._on_signal) for number in HANDLED_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.should_exit and number == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True


def _config(app: Any, stop_timeout_s: float, *, pure_python: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_class(pure_python=pure_python),
        loop="asyncio" if pure_python else "auto",
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",
        access_log=False,
        proxy_headers=False,  # AZ-20: no proxy is trusted
        server_header=False,
        headers=[("server", "greenroom")],
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=stop_timeout_s,  # type: ignore[arg-type]  # seconds for wait_for: a float is fine
        h11_max_incomplete_event_size=HEADER_BYTES,
    )


class _Deadlines:
    """Put in front of uvicorn's protocol: the head of a request must come within a time and a size.

    Uvicorn waits for ever for the first byte and the last header, and httptools keeps headers of any size. A client
    that goes on sending a body after its answer (a refused upload) is cut off by the same clock. Security vector DO-16.
    """

    cycle: Any  # uvicorn's request and response; a new one means that a request's headers are complete
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _clock: asyncio.TimerHandle | None = None
    _head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[misc]
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)  # type: ignore[misc]

    def data_received(self, data: bytes) -> None:
        before, began_in_head = self.cycle, self._in_head()
        super().data_received(data)  # type: ignore[misc]
        if self.cycle is not before or self.transport.is_closing():
            self._stop_clock()
            self._head_bytes = 0
        elif self._in_head():
            if not began_in_head:
                return  # the end of a body; should a next head begin in the same piece, keep-alive is its clock
            self._head_bytes += len(data)
            if self._head_bytes > HEADER_BYTES:
                self._refuse(b"431 Request Header Fields Too Large")
            else:
                self._start_clock()
        elif self.cycle.response_complete:
            self._start_clock()

    def _in_head(self) -> bool:
        raise NotImplementedError

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(HEADER_TIMEOUT_S, self._expire)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _expire(self) -> None:
        self._clock = None
        if self.cycle is not None and not self.cycle.response_complete:
            self._start_clock()  # an answer is on its way (a pipelined request follows): let it finish
        elif self._head_bytes:
            self._refuse(b"408 Request Timeout")
        else:
            self.transport.close()

    def _refuse(self, status: bytes) -> None:
        self._stop_clock()
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nserver: greenroom\r\n" + _EMPTY_AND_CLOSED)
        self.transport.close()


_EMPTY_AND_CLOSED = b"content-length: 0\r\nconnection: close\r\n\r\n"


class _HTTPToolsHead(_Deadlines):
    _in_body = False

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()  # type: ignore[misc]

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()  # type: ignore[misc]

    def _in_head(self) -> bool:
        return not self._in_body


class _H11Head(_Deadlines):
    conn: Any

    def _in_head(self) -> bool:
        return self.conn.their_state is h11.IDLE


def protocol_class(*, pure_python: bool = False) -> type[asyncio.Protocol]:
    """Return uvicorn's HTTP protocol with our deadlines: httptools if it is installed, else (or `pure_python`) h11."""
    if not pure_python:
        with contextlib.suppress(ImportError):
            from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

            return type("PatientHTTPTools", (_HTTPToolsHead, HttpToolsProtocol), {})
    return type("PatientH11", (_H11Head, H11Protocol), {})
