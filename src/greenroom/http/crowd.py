"""All connections of a server together: how many there are, who waits for a request, who does not read.

Who waits longest without a request makes room; who holds too much that nobody reads is cut off. Reliability goal S10.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from greenroom.core.limits import PACE_BYTES, bound

ANSWER_PACE_S: float = bound("answer_pace")
UNREAD_BYTES = bound("unread_bytes")
CLOSING_S = 10.0  # what is not read of the last answer by then is thrown away


class Connection(Protocol):
    """What the crowd needs of one connection."""

    transport: asyncio.Transport

    def unread_bytes(self) -> int:
        """Return how many bytes of answers wait for the client."""

    def make_room(self) -> None:
        """Close, in favour of a new connection."""


class Crowd:
    """All connections of one server. Who waits longest without a request goes first when there are too many."""

    def __init__(self, most: int | None = None, silent: int | None = None) -> None:
        """`most` connections in all, `silent` without a finished head; None takes the stated limits."""
        self.most = bound("connections") if most is None else most
        self.silent = min(bound("silent_connections") if silent is None else silent, self.most)
        self.heads: dict[Connection, None] = {}  # oldest first
        self.idle: dict[Connection, None] = {}
        self.busy: set[Connection] = set()
        self.unread: dict[Connection, tuple[float, int]] = {}  # since when, and how many bytes were left then
        self._closing: dict[Connection, float] = {}

    def __len__(self) -> int:
        return len(self.heads) + len(self.idle) + len(self.busy)

    def enter(self, connection: Connection) -> bool:
        """Let a new connection in, sending another one away if need be. False: all are at work, nobody can go."""
        if len(self.heads) >= self.silent:
            next(iter(self.heads)).make_room()
        elif len(self) >= self.most:
            waiting = next(iter(self.heads or self.idle), None)
            if waiting is None:
                return False
            waiting.make_room()
        self.heads[connection] = None
        return True

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self.heads.pop(connection, None)
        self.idle.pop(connection, None)
        self.busy.discard(connection)
        self.unread.pop(connection, None)
        self._closing.pop(connection, None)

    def is_waiting(self, connection: Connection, *, begun: bool) -> None:
        """Note that a connection waits for a request, of which a part is there (`begun`) or nothing."""
        if connection in self.heads or (connection in self.idle and not begun):
            return
        self.idle.pop(connection, None)
        self.busy.discard(connection)
        (self.heads if begun else self.idle)[connection] = None

    def is_busy(self, connection: Connection) -> None:
        """Note that a connection has a request at work."""
        self.heads.pop(connection, None)
        self.idle.pop(connection, None)
        self.busy.add(connection)

    def is_behind(self, connection: Connection, now: float) -> None:
        """Note that a client does not read as fast as its answer is written; cut off who holds too much."""
        self.unread[connection] = (now, connection.unread_bytes())
        total = sum(each.unread_bytes() for each in self.unread)
        for each in list(self.unread):
            if total <= UNREAD_BYTES:
                return
            total -= each.unread_bytes()
            each.transport.abort()

    def sweep(self, now: float) -> None:
        """Cut off who reads too slowly, and who does not let go of a connection that was closed. Call it often."""
        for connection, (since, left) in list(self.unread.items()):
            if now - since >= ANSWER_PACE_S:
                unread = connection.unread_bytes()
                if unread > left - PACE_BYTES:
                    connection.transport.abort()
                else:
                    self.unread[connection] = (now, unread)
        for connection in (*self.heads, *self.idle, *self.busy):
            if connection.transport.is_closing():
                self._closing.setdefault(connection, now)
        for connection, since in list(self._closing.items()):
            if now - since >= CLOSING_S:
                connection.transport.abort()
