"""Use cases that read the audit log."""

from __future__ import annotations

from greenroom.core.audit import Entry, entry_bytes
from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound
from greenroom.core.model import Actor
from greenroom.core.note import parse_checkpoint, verifier_key
from greenroom.core.tiles import TILE_HEIGHT, TILE_WIDTH, entry_bundle, parse_tile_path
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.ports import Desk, ReadTx

_MAX_ENTRIES = 1_000


def audit_log(tx: ReadTx, ask: c.AuditLog, actor: Actor) -> a.AuditEntries:
    """Return entries after a sequence number, oldest first. Raises InvalidInput."""
    if ask.after < 0:
        raise InvalidInput(f"`after` must not be negative, got {ask.after}.", field="after")
    if not 1 <= ask.limit <= _MAX_ENTRIES:
        raise InvalidInput(f"`limit` must be from 1 to {_MAX_ENTRIES}, got {ask.limit}.", field="limit")
    found = tx.audit_entries(after=ask.after, limit=ask.limit + 1, model=ask.model)
    entries = tuple(entry_view(entry) for entry in found[: ask.limit])
    return a.AuditEntries(entries, entries[-1].seq if len(found) > ask.limit else None)


def audit_checkpoint(desk: Desk, ask: c.AuditCheckpoint, actor: Actor) -> a.Checkpoint:
    """Return the signed head of the log: keep it elsewhere, the log is proven against it. Raises NotFound for an
    empty log.
    """
    with desk.snapshot() as tx:
        head, note = tx.audit_head()
    if not note:
        raise NotFound("the log is empty.", kind="checkpoint")
    checkpoint = parse_checkpoint(note.partition("\n\n")[0] + "\n")
    return a.Checkpoint(head.size, checkpoint.root.hex(), note, verifier_key(desk.signer.name, desk.signer.public_key))


def audit_tile(tx: ReadTx, ask: c.AuditTile, actor: Actor) -> bytes:
    """Return a tile of hashes or a bundle of entries, as C2SP tlog-tiles has them. Raises NotFound, InvalidInput."""
    tile = parse_tile_path(ask.path)
    first = tile.index * TILE_WIDTH
    head, _ = tx.audit_head()
    if first + tile.width > head.size >> TILE_HEIGHT * (tile.level or 0):
        raise NotFound(f"the log has no {tile.path} yet.", kind="tile")
    if tile.level is not None:
        return tx.audit_tile(tile)
    entries = tx.audit_entries(after=first, limit=tile.width)
    if len(entries) != tile.width:
        raise IntegrityFailure(f"entries of the bundle {tile.path} are missing.", hint="Run: greenroom audit verify")
    return entry_bundle(entry_bytes(entry) for entry in entries)


def entry_view(entry: Entry) -> a.AuditEntry:
    """Return an entry as callers get it."""
    return a.AuditEntry(
        seq=entry.seq,
        at=entry.at,
        type=entry.type,
        actor=entry.actor,
        request=entry.request,
        model=entry.model,
        version=entry.version,
        body=entry.body,
        body_digest=entry.body_digest,
        prev=entry.prev,
        leaf=entry.leaf,
    )
