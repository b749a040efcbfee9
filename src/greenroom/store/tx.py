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
from greenroom.core.digest import Manifest
from greenroom.core.model import Actor
from greenroom.store.driver import Connection
from greenroom.store.read_bytes import ByteReads, path_range
from greenroom.store.read_catalog import CatalogReads
from greenroom.store.read_slots import SlotReads
from greenroom.store.searching import SearchReads
from greenroom.store.texts import Texts


class ReadTx(CatalogReads, SlotReads, ByteReads, SearchReads):
    """Every query, over one connection. Implements `services.ports.ReadTx`."""

    def __init__(self, db: Connection) -> None:
        self.db = db


class WriteTx(ReadTx):
    """Implements `services.ports.WriteTx`; made anew for every request by the writer."""

    def __init__(self, db: Connection, texts: Texts, *, head: Head, before: int, now: int, request: str) -> None:
        super().__init__(db)
        self._texts = texts
        self._seq = head.size + before + 1
        self._now = now
        self._request = request
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
        self.db.run(self._texts.insert(table), full)
        self._changes.append(canonical_plain(["put", table, full]))

    def update(self, table: str, key: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        """See the port."""
        self._open()
        touched = self.db.run(
            self._texts.update(table, tuple(key), tuple(changes)), {**{f"k_{k}": v for k, v in key.items()}, **changes}
        )
        if touched != 1:
            raise RuntimeError(f"update of {table} {dict(key)} touched {touched} rows")
        self._changes.append(canonical_plain(["set", table, dict(key), dict(changes)]))

    def remove(self, table: str, key: Mapping[str, Any]) -> bool:
        """See the port."""
        self._open()
        touched = self.db.run(self._texts.delete(table, tuple(key)), {f"k_{k}": v for k, v in key.items()})
        if touched:
            self._changes.append(canonical_plain(["cut", table, dict(key)]))
        return touched > 0

    def put_blob(self, digest: str, size_bytes: int) -> None:
        """See the port."""
        row = {"digest": digest, "size_bytes": size_bytes, "state": "present", "at": self._now}
        self.db.run(self._texts.insert("blob", keep=True), row)

    def put_manifest(self, manifest: Manifest) -> None:
        """See the port."""
        row = {"digest": manifest.digest, "size_bytes": manifest.size_bytes, "file_count": len(manifest.entries)}
        if self.db.run(self._texts.insert("manifest", keep=True), row) == 0:
            return
        entry = self._texts.insert("manifest_entry")
        for each in manifest.entries:
            self.db.run(
                entry,
                {"manifest": manifest.digest, "path": each.path, "digest": each.digest, "size_bytes": each.size_bytes},
            )

    def put_upload(self, path: str, digest: str, size_bytes: int) -> None:
        """See the port."""
        self.db.run(self._texts.delete("upload", ("path",)), {"k_path": path})
        self.db.run(
            self._texts.insert("upload"), {"path": path, "digest": digest, "size_bytes": size_bytes, "at": self._now}
        )

    def remove_uploads(self, prefix: str) -> int:
        """See the port."""
        low, high = path_range(prefix)
        return self.db.run(self._texts.delete_uploads, {"path": prefix, "low": low, "high": high})

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
        self.db.run(self._texts.insert("request_key"), row)

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
        if self.event is not None:
            raise RuntimeError("the audit event is the last thing a use case writes")


UseCase = Callable[..., Any]
