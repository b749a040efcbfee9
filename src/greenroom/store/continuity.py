"""Is this still the log that this server has told of? A database may come back as another one, or as an older copy.

A server remembers how far it knows the log: what it acknowledged, and what it found when it started. A database that
does not continue from there was restored from a backup, or is the survivor of a failover that lost something. Writing
to it would give the log a second history beside the one that was acknowledged, so a server refuses until it is
restarted, which is how its administrator says that the older history is the one to go on from.
"""

from __future__ import annotations

import threading

from greenroom.core.audit import Head
from greenroom.core.errors import Unavailable
from greenroom.store.driver import Connection
from greenroom.store.tx import ReadTx

_HINT = "Bring the right one back; or restart this server to go on from what is there now."


class OtherLog(Unavailable):
    """The database does not continue the log that this server knows."""


class Continuity:
    """What one server knows of its database. Threads share one."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._registry: str | None = None
        self._head = Head()

    def advance(self, head: Head) -> None:
        """Note that the log is known as far as `head`: it is durable, and somebody may have been told of it."""
        with self._guard:
            if head.size >= self._head.size:
                self._head = head

    def admit(self, db: Connection) -> None:
        """Let a new connection in, or raise OtherLog when it leads to another database than the first one did."""
        row = db.one(db.sql["meta"], {"key": "registry"})
        registry = str(row[0]) if row else ""
        if self._registry is None:
            self._registry = registry
            self.advance(ReadTx(db).audit_head()[0])
        elif registry != self._registry:
            raise OtherLog("another registry answers under the same address.", hint=_HINT)
        else:
            known = self._head
            self._require(known, leaf_at(db, known.size))

    def require(self, head: Head) -> None:
        """Raise OtherLog unless `head`, just read, can continue what is known; a longer one was checked by `admit`."""
        known = self._head
        if head.size <= known.size:
            self._require(known, head.last if head.size == known.size else None)

    def _require(self, known: Head, leaf: str | None) -> None:
        if known.size and leaf != known.last:
            raise OtherLog(
                f"the database is not the one that this server knows: its log lacks the entry {known.size} that was "
                "acknowledged. It was restored from a backup, or lost something when another server took over.",
                hint=_HINT,
                acknowledged=known.size,
            )


def leaf_at(db: Connection, seq: int) -> str | None:
    """Return the leaf hash of one entry of the log, None when there is none."""
    rows = db.all(db.sql["audit_leaves"], {"after": seq - 1, "until": seq})
    return str(rows[0][0]) if rows else None
