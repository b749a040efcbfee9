"""Kept-alive HTTP connections to one server, handed to one thread at a time."""

from __future__ import annotations

import http.client
import os
import socket
import time
from typing import Any

from greenroom.client.resolve import ServerAddress

CONNECT_S = 5.0
READ_S = 60.0
_MAX_IDLE = 8
_IDLE_S = 60.0  # after so long a proxy on the way has most likely forgotten the connection


class Pool:
    """Connections to `address`. Thread safe: lists append and pop atomically, and a connection is in one place only."""

    def __init__(self, address: ServerAddress, *, connect_s: float = CONNECT_S) -> None:
        self._address = address
        self._connect_s = connect_s
        self._idle: list[tuple[http.client.HTTPConnection, float]] = []
        self._owner = os.getpid()
        self._tls: Any = None

    def take(self, *, read_s: float = READ_S) -> tuple[http.client.HTTPConnection, bool]:
        """Return a connected connection and whether it has been used before (it may turn out to be dead then).

        Raises OSError when the server cannot be reached.
        """
        self._forget_after_fork()
        while self._idle:
            try:
                connection, since = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            if time.monotonic() - since < _IDLE_S and _is_alive(connection):
                connection.sock.settimeout(read_s)
                return connection, True
            connection.close()
        return self._connect(read_s), False

    def give_back(self, connection: http.client.HTTPConnection) -> None:
        """Keep a connection whose answer has been read to its end; a closed one is dropped."""
        if connection.sock is not None and len(self._idle) < _MAX_IDLE and self._owner == os.getpid():
            self._idle.append((connection, time.monotonic()))
        else:
            connection.close()

    def close(self) -> None:
        """Close all idle connections."""
        idle, self._idle = self._idle, []
        for connection, _ in idle:
            connection.close()

    def __del__(self) -> None:
        self.close()  # nobody needs to close a client in a notebook

    def _connect(self, read_s: float) -> http.client.HTTPConnection:
        address = self._address
        connection: http.client.HTTPConnection
        if address.secure:
            connection = http.client.HTTPSConnection(
                address.host, address.port, timeout=self._connect_s, context=self._tls_context()
            )
        else:
            connection = http.client.HTTPConnection(address.host, address.port, timeout=self._connect_s)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sock.settimeout(read_s)
        return connection

    def _tls_context(self) -> Any:
        if self._tls is None:
            import ssl

            self._tls = ssl.create_default_context()
        return self._tls

    def _forget_after_fork(self) -> None:
        """A forked child must not talk on its parent's connections."""
        if self._owner != os.getpid():
            self._owner, self._idle = os.getpid(), []


def _is_alive(connection: http.client.HTTPConnection) -> bool:
    """Say whether an idle connection is still open: nothing may be readable on it, not even its end."""
    sock = connection.sock
    if sock is None:
        return False
    try:
        sock.settimeout(0)
        sock.recv(1, socket.MSG_PEEK)
        return False
    except BlockingIOError:
        return True
    except ValueError:  # TLS cannot peek; a dead one is found out, and replaced, when it is used
        return True
    except OSError:
        return False
