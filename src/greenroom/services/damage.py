"""What is wrong with a blob's bytes, and remembering it: a version that needs a damaged blob is shown as damaged.

Damage is found by whoever reads (downloads hash every byte on its way), by `verify` and by `fsck`. Each comes here; the
bytes are read again, so that nobody's word is taken for it, and the blob's state follows what is found, in both
directions: bytes that are whole again (pushed again, restored by hand) are `present` again. The log records both.
"""

from __future__ import annotations

from dataclasses import dataclass

from greenroom.core.digest import parse_digest
from greenroom.core.errors import Conflict, IntegrityFailure, NotFound
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.services.ports import BlobRow, BlobStore, Desk, WriteTx

_TRIES = 5
_MOST_VERSIONS = 10


@dataclass(frozen=True)
class Fault:
    """What is wrong with the bytes of a blob: a kind of `services.fsck.KINDS`, and in words.

    `found` is the digest that the bytes have.
    """

    kind: str
    message: str
    found: str | None = None


@dataclass(frozen=True)
class _Seen:
    """What was found for a row as it was then."""

    row: BlobRow
    fault: Fault | None


def note_damage(desk: Desk, ask: c.NoteDamage, actor: Actor) -> bool:
    """Look at a blob again and remember what is found; True when its bytes are lost. Raises InvalidInput, Conflict."""
    return settle(desk, parse_digest(ask.digest), actor) is not None


def settle(desk: Desk, digest: str, actor: Actor, *, quick: bool = False) -> Fault | None:
    """Make a blob's state what its bytes are; return what is wrong, None for a whole blob and for one without a row.

    `quick` believes a blob of the right size, unless it is known to be damaged. Raises Conflict when the blob changes
    all the time, Unavailable when it cannot be read for another reason.
    """
    for _ in range(_TRIES):
        with desk.snapshot() as tx:
            row = tx.blob_row(digest)
        if row is None or row.state == "deleting":
            return None
        fault = fault_of(desk.blobs, row, quick=quick)
        wanted = "present" if fault is None else "damaged"
        if row.state == wanted or desk.write(_remember, _Seen(row, fault), actor):
            return fault
    raise Conflict(f"the blob {digest} changes all the time.", hint="Try again in a moment.", digest=digest)


def fault_of(blobs: BlobStore, row: BlobRow, *, quick: bool = False) -> Fault | None:
    """Return what is wrong with a blob's bytes, None when they are those of its digest. Raises Unavailable."""
    size = blobs.size(row.digest)
    if size is None:
        return Fault("missing", "its bytes are not there")
    if quick and size == row.size_bytes and row.state == "present":
        return None
    try:
        blobs.check(row.digest)
    except NotFound:
        return Fault("missing", "its bytes are not there")
    except IntegrityFailure as exc:
        found = str(exc.details.get("found"))
        if size != row.size_bytes:
            return _cut(size, row, found)
        return Fault("flipped", f"its bytes hash to {found}", found)
    return None


def _cut(size: int, row: BlobRow, found: str) -> Fault:
    kind = "truncated" if size < row.size_bytes else "longer"
    return Fault(kind, f"it has {size} bytes instead of {row.size_bytes}", found)


def _remember(tx: WriteTx, ask: _Seen, actor: Actor) -> bool:
    """Write down what was found, unless the row was changed since it was looked at: then False."""
    digest = ask.row.digest
    if tx.blob_row(digest) != ask.row:
        return False
    tx.set_blob_state(digest, "present" if ask.fault is None else "damaged")
    record(tx, digest, ask.fault, actor)
    return True


def record(tx: WriteTx, digest: str, fault: Fault | None, actor: Actor) -> None:
    """Record that a blob is damaged, or (`fault` None) that it is whole again, with the versions that need it."""
    versions = [f"{model} {version}" for model, version in tx.blob_versions(digest, _MOST_VERSIONS)]
    if fault is None:
        tx.record("blobs_healed", actor, body={"digest": digest, "versions": versions})
    else:
        body = {"digest": digest, "fault": fault.kind, "found": fault.found, "versions": versions}
        tx.record("blobs_damaged", actor, body=body)
