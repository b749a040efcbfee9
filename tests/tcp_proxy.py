"""A TCP proxy on loopback that loses things: between a server and its database, and between a client and a server.

`fate` is asked about every piece that goes up (to the server) and says what happens to it: see `Fate`.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from enum import Enum

HOLD_S = 0.03
_RESET = struct.pack("ii", 1, 0)


class Fate(Enum):
    """What happens to a piece on its way up."""

    PASS = "passes"
    BEFORE = "is lost, and the connection with it"
    REPLY = "arrives; its reply is lost, and the connection with it"
    LATE = "the sender is cut off at once; the piece arrives a moment later all the same"


class Proxy:
    """Accepts connections on `port` and carries them to `target`, which may be changed at any time."""

    def __init__(self, target: tuple[str, int], fate: Callable[[bytes], Fate] | None = None) -> None:
        self.target = target
        self.fate = fate or (lambda piece: Fate.PASS)
        self.lost: Counter[Fate] = Counter()
        self._open = threading.Event()
        self._open.set()
        self._guard = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def swallow(self, *, on: bool) -> None:
        """Keep every connection and carry nothing, as a network does that lost its way; or go on."""
        (self._open.clear if on else self._open.set)()

    def cut(self) -> None:
        """Reset every connection."""
        with self._guard:
            sockets = list(self._sockets)
        for each in sockets:
            _reset(each)

    def close(self) -> None:
        """End."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._open.set()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                below, _ = self._listener.accept()
            except OSError:
                return
            try:
                above = socket.create_connection(self.target, timeout=5)
            except OSError:
                _reset(below)
                continue
            above.settimeout(None)
            for each in (below, above):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._guard:
                self._sockets |= {below, above}
            lose = threading.Event()
            threading.Thread(target=self._carry, args=(below, above, lose, True), daemon=True).start()
            threading.Thread(target=self._carry, args=(above, below, lose, False), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, lose: threading.Event, up: bool) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(1 << 16):
                self._open.wait()
                fate = self.fate(piece) if up else Fate.PASS
                if fate is not Fate.PASS:
                    self.lost[fate] += 1
                if fate is Fate.BEFORE or (not up and lose.is_set()):
                    break
                if fate is Fate.REPLY:
                    lose.set()
                if fate is Fate.LATE:
                    lose.set()
                    _reset(source)
                    threading.Event().wait(HOLD_S)  # what is being tested: it arrives after the sender has given up
                    sink.sendall(piece)
                    sink.settimeout(5)
                    sink.recv(1 << 16)
                    break
                sink.sendall(piece)
        for each in (source, sink):
            _reset(each)
            with self._guard:
                self._sockets.discard(each)


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
