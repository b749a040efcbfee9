"""One request's turn: what it reads, what it changes, and the audit event that carries every change.

A use case changes audited tables through `insert`, `update` and `remove` only. Each call runs the statement *and* notes
the row change; `record` closes the turn by putting all notes into one event. A turn that changed rows and recorded
nothing, or recorded twice, is our bug and never commits. That is why state = replay(audit).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from greenroom.core.audit import Event, Head
from greenroom.core.canonical import canonical_plain, with_list
from greenroom.core.model import Actor
from greenroom.store.driver import Connection
from greenroom.store.read_bytes import ByteReads
from greenroom.store.read_catalog import CatalogReads
from greenroom.store.read_runs import RunReads
from greenroom.store.read_slots import SlotReads
from greenroom.store.read_tracking import TrackingReads
from greenroom.store.searching import SearchReads
from greenroom.store.texts import Texts
from greenroom.store.write_bytes import ByteWrites
from greenroom.store.write_tracking import TrackingWrites


class ReadTx(CatalogReads, SlotReads, ByteReads, SearchReads, TrackingReads, RunReads):
    """Every query, over one connection. Implements `services.ports.ReadTx`."""

    def __init__(self, db: Connection) -> None:
        self.db = db


class WriteTx(ReadTx, ByteWrites, TrackingWrites):
    """Implements `services.ports.WriteTx`; made anew for every request by the writer."""

    def __init__(
        self,
        db: Connection,
        texts: Texts,
        *,
        head: Head,
        before: int,
        now: int,
        request: str,
        logs_only: bool = False,
    ) -> None:
        """`logs_only`: the request may run without the chain's head, so it must not change audited rows or record."""
        super().__init__(db)
        self._texts = texts
        self._seq = head.size + before + 1
        self._now = now
        self._request = request
        self._logs_only = logs_only
        self._changes: list[str] = []  # canonical texts, made while the rows are at hand
        self.event: Event | None = None

    @property
    def now(self) -> int:
        """See the port."""
        return self._now

    @property
    def seq(self) -> int:
        """See the port."""
        return self._seq

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """See the port."""
        self._open()
        full = self._texts.row(table, row)
        self.db.later(self._texts.insert(table), full)
        self._changes.append(canonical_plain(["put", table, full]))

    def update(self, table: str, key: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        """See the port."""
        self._open()
        self.db.later(
            self._texts.update(table, tuple(key), tuple(changes)),
            {**{f"k_{k}": v for k, v in key.items()}, **changes},
            exactly=1,
        )
        self._changes.append(canonical_plain(["set", table, dict(key), dict(changes)]))

    def remove(self, table: str, key: Mapping[str, Any]) -> bool:
        """See the port."""
        self._open()
        touched = self.db.run(self._texts.delete(table, tuple(key)), {f"k_{k}": v for k, v in key.items()})
        if touched:
            self._changes.append(canonical_plain(["cut", table, dict(key)]))
        return touched > 0

    def keep_outcome(self, principal: str, route: str, key: str, fingerprint: str, outcome: str) -> None:
        """Keep the first outcome of a request that has a key; the writer calls this, in the request's own savepoint."""
        row = {
            "principal": principal,
            "route": route,
            "key": key,
            "fingerprint": fingerprint,
            "outcome": outcome,
            "at": self._now,
        }
        self.db.later(self._texts.insert("request_key"), row)

    def record(
        self,
        type: str,
        actor: Actor,
        *,
        model: str | None = None,
        version: int | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        """See the port."""
        self._open()
        fields = {**(body or {}), "verified": actor.verified}
        self.event = Event(
            type=type,
            actor=actor.name,
            request=self._request,
            model=model,
            version=version,
            body=fields,
            body_text=with_list(fields, "changes", self._changes),
        )

    def finish(self) -> Event | None:
        """Return the event, or None when nothing was changed. Raises RuntimeError for a change without an event."""
        if self._changes and self.event is None:
            raise RuntimeError(f"{len(self._changes)} row changes were not recorded")
        return self.event

    def _open(self) -> None:
        if self._logs_only:
            raise RuntimeError("a use case that only logs has no audit event")
        if self.event is not None:
            raise RuntimeError("the audit event is the last thing a use case writes")


UseCase = Callable[..., Any]
