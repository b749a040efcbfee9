"""The server process: listen, say so, answer until told to stop.

Uvicorn does the work (uvloop and httptools where they exist, asyncio and h11 elsewhere). What it does not do is added:
clients are held to limits (`connections`), the server takes no more connections than it has file descriptors for, and
a stop signal ends `serve` by returning, so that the caller can close the registry.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.server import HANDLED_SIGNALS

from greenroom.core.errors import InvalidInput
from greenroom.core.limits import bound
from greenroom.http.access import check_bind
from greenroom.http.connections import HEAD_BYTES, protocol_class
from greenroom.http.crowd import Crowd

KEEP_ALIVE_S = bound("keep_alive")  # longer than clients keep a connection pooled: they never write into a closing one
BACKLOG = 2048
STOP_TIMEOUT_S = 10.0  # a transfer that is not done by then is cut; resumable ones go on at the next server
FILES_KEPT = 256  # file descriptors for all that is not a connection: database, blobs, locks, threads
_SWEEP_TICKS = 10  # uvicorn ticks ten times a second


def serve(
    app: Any,
    *,
    host: str,
    port: int,
    on_ready: Callable[[str], None],
    stop_timeout_s: float = STOP_TIMEOUT_S,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Answer on `host`:`port` until SIGINT or SIGTERM, then finish what is in flight (for `stop_timeout_s`) and return.

    `port` 0 takes a free one; `on_ready` gets the URL, with the real port, once connections are accepted. `on_stop` is
    called at once when a stop signal comes. A second SIGINT does not wait. InvalidInput when the address is not
    loopback, is in use, or cannot be had.
    """
    check_bind(host)
    listener = listen(host, port)
    try:
        server = Server(app, url_of(host, listener), on_ready=on_ready, stop_timeout_s=stop_timeout_s, on_stop=on_stop)
        server.run([listener])
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
        stop_timeout_s: float = STOP_TIMEOUT_S,
        on_stop: Callable[[], None] | None = None,
        pure_python: bool = False,
    ) -> None:
        self.crowd = Crowd(connections_for(descriptors()))
        super().__init__(_config(app, stop_timeout_s, self.crowd, pure_python=pure_python))
        logging.getLogger("uvicorn.error").addFilter(not_cut_short)
        self.url = url
        self._on_ready = on_ready
        self._on_stop = on_stop

    def stop(self) -> None:
        """Ask the server to end; may be called from another thread."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept, then tell `on_ready`."""
        await super().startup(sockets)
        gc.freeze()  # modules and tables live as long as the process: no collection looks at them again, nobody waits
        if self.started and self._on_ready is not None:
            self._on_ready(self.url)

    async def on_tick(self, counter: int) -> bool:
        """Look after the connections once a second."""
        if counter % _SWEEP_TICKS == 0:
            self.crowd.sweep(asyncio.get_running_loop().time())
        return await super().on_tick(counter)

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
        if not self.should_exit and self._on_stop is not None:
            self._on_stop()
        self.should_exit = True


def descriptors() -> int | None:
    """Return how many files this process may have open, after asking for as many as it may ask for; None: no limit."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = bound("connections") + FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        more = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):  # a sandbox may forbid it
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return None if soft == resource.RLIM_INFINITY else soft


def connections_for(files: int | None) -> int:
    """Return how many connections a process takes that may have `files` open: with few, half of them."""
    most = bound("connections")
    return most if files is None else max(8, min(most, max(files - FILES_KEPT, files // 2)))


def _config(app: Any, stop_timeout_s: float, crowd: Crowd, *, pure_python: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=protocol_class(crowd, pure_python=pure_python),
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
        h11_max_incomplete_event_size=HEAD_BYTES,
    )
