"""Seal a batch's events into the chain and the tree, inside the batch's own transaction.

One sealing a batch, not one a request: that is what makes a durable, audited promotion cheap (design, section 6).
"""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.core.audit import Entry, Event, Head, seal
from greenroom.core.note import checkpoint_body, sign_note
from greenroom.core.tiles import full_tiles_after
from greenroom.services.ports import Signer
from greenroom.store.driver import Connection
from greenroom.store.nodes import stored_tile
from greenroom.store.texts import Texts


def seal_batch(db: Connection, texts: Texts, signer: Signer, head: Head, events: Sequence[Event], at: int) -> Head:
    """Append the events to the log, write the tiles that became full, sign and store the new head; return it."""
    new, entries = seal(head, events, at)
    insert = texts.insert("audit_entry")
    for entry in entries:
        db.later(insert, _row(entry))
    for tile in full_tiles_after(head.size, new.size):
        row = {"level": tile.level, "position": tile.index, "hashes": stored_tile(db, tile)}
        db.later(texts.insert("audit_tile"), row)
    note = sign_note(checkpoint_body(signer.name, new.size, new.root), signer.name, signer.public_key, signer.sign)
    values = {"size": new.size, "last": new.last, "frontier": new.frontier.to_bytes(), "note": note}
    db.later(texts.update("audit_head", ("id",), tuple(values)), {"k_id": 1, **values}, exactly=1)
    return new


def _row(entry: Entry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "at": entry.at,
        "type": entry.type,
        "actor": entry.actor,
        "request": entry.request,
        "model": entry.model,
        "version": entry.version,
        "body": entry.body_text,
        "body_digest": entry.body_digest,
        "prev": entry.prev,
        "leaf": entry.leaf,
    }
