"""How this process reaches one PostgreSQL database: the parameters, what happens while it is gone, and a watch.

Three things would make callers wait for minutes: a network that swallows packets (keepalives and `tcp_user_timeout`
notice), a host that does not answer connections (one caller tries, the others hear at once that it is gone), and a
proxy or a server that takes statements and never answers. For the last one there is the watch: it cuts the connection
of a statement that is overdue, and whoever waits on it meets an ordinary lost connection.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
import time
import weakref
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from greenroom.core.errors import InvalidInput, Unavailable
from greenroom.store.driver import Row

IDLE_LIMIT_MS = 5_000
"""A server that stalls inside a transaction holds everybody up for so long; then the database ends its session."""
LOCK_LIMIT_MS = 6_000
STATEMENT_LIMIT_S = 12.0
"""The longest that a statement of a write may take, waiting for the chain head included."""
_CONNECT_S = 3
_AGAIN_S = 0.1
_LOOK_S = 0.5
_LOG = logging.getLogger("greenroom.store")
_HINT = "Check --database-url and the database server."

# Within seconds, where the system's own values take from 15 minutes to hours. What the URL says comes first.
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": _CONNECT_S,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
    "application_name": "greenroom",
}
_SESSION = {
    "idle_in_transaction_session_timeout": IDLE_LIMIT_MS,
    "lock_timeout": LOCK_LIMIT_MS,
    "synchronous_commit": "on",
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 2,
    "tcp_keepalives_count": 3,
    "client_min_messages": "warning",
}


class Line:
    """The socket below a connection, held a second time so that another thread can cut exactly this one."""

    def __init__(self, connection: psycopg.Connection[Row]) -> None:
        self.due: float | None = None  # time.monotonic() from which the statement that runs is overdue
        self._socket = socket.socket(fileno=os.dup(connection.fileno())) if os.name == "posix" else None

    def cut(self) -> None:
        """End the connection: whoever waits on it meets its end."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of it; twice is no error."""
        if self._socket is not None:
            self._socket.close()


class Door:
    """Opens connections. While the database cannot be reached, one caller tries and the others hear so at once."""

    def __init__(self, url: str) -> None:
        """Raises InvalidInput for a URL that cannot be read (its text may hold a password and is not repeated)."""
        self._parameters = _parameters(url)
        self._guard = threading.Lock()
        self._shut: str | None = None
        self._again_at = 0.0
        self._trying = False
        self._lines: weakref.WeakSet[Line] = weakref.WeakSet()
        self._watch: threading.Thread | None = None
        self._ended = threading.Event()

    def open(self) -> tuple[psycopg.Connection[Row], Line]:
        """Return a new connection. Raises Unavailable, without the password, when that does not work."""
        self._ask()
        why: str | None = "the attempt was interrupted"
        try:
            connection = psycopg.connect(autocommit=True, prepare_threshold=2, **self._parameters)
            why = None
        except psycopg.Error as exc:
            why = first_line(exc)
            raise self._unreached(why) from exc
        finally:
            self._note(why)
        line = Line(connection)
        with self._guard:
            self._lines.add(line)
            if self._watch is None:
                self._watch = threading.Thread(target=self._look, name="greenroom-watch", daemon=True)
                self._watch.start()
        return connection, line

    def _ask(self) -> None:
        with self._guard:
            if self._shut is None:
                return
            if self._trying or time.monotonic() < self._again_at:
                raise self._unreached(self._shut)
            self._trying = True

    def _note(self, why: str | None) -> None:
        """Keep the outcome of an attempt; the log gets one line when the database goes and one when it is back."""
        with self._guard:
            before, self._shut = self._shut, why
            self._again_at, self._trying = time.monotonic() + _AGAIN_S, False
        if why is not None and before is None:
            _LOG.warning("the database cannot be reached: %s", why)
        elif why is None and before is not None:
            _LOG.warning("the database can be reached again")

    def _unreached(self, why: str) -> Unavailable:
        return Unavailable(f"the database cannot be reached: {why}.", hint=_HINT)

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            now = time.monotonic()
            with self._guard:
                lines = list(self._lines)
            for each in lines:
                if each.due is not None and each.due < now:
                    each.cut()

    def close(self) -> None:
        """End the watch."""
        self._ended.set()


def _parameters(url: str) -> dict[str, Any]:
    try:
        given = conninfo_to_dict(url)
    except psycopg.Error:  # which quotes the URL, password and all: nobody gets to see it, a traceback neither
        raise InvalidInput(
            "the database URL cannot be read.", hint="It looks like postgresql://user:password@host:5432/database"
        ) from None
    found = {**_DEFAULTS, **given}
    if "," in str(given.get("host", "")):  # of several hosts the one that takes writes; the others are its standbys
        found.setdefault("target_session_attrs", "read-write")
    ours = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    found["options"] = f"{given.get('options', '')} {ours}".strip()
    return found


def first_line(error: Exception) -> str:
    """Return the first line of a driver's message: the rest may quote statements and values."""
    lines = str(error).strip().splitlines()
    return lines[0][:300].rstrip(".") if lines else type(error).__name__
