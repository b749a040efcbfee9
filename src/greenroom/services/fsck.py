"""Use case `fsck`: name everything wrong with the stored bytes, remember it, and repair what can be repaired.

It works in parts, in the order of digests, so that a client can show how far it is and no request takes for ever. Other
work goes on meanwhile: what is found is looked at again, in the writer's order, before anything is written down.

Lost bytes are not made up. A repair sets the damaged file aside, so that the same bytes, pushed again or copied from
elsewhere (`fsck --from`), make every version whole that needs them. Nothing is ever deleted but what garbage collection
would delete as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from types import MappingProxyType

from greenroom.core.errors import Conflict, IntegrityFailure, NotFound, Unavailable
from greenroom.core.model import Actor
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.collecting import collect_orphan, release, resume
from greenroom.services.damage import Fault, record, settle
from greenroom.services.ports import BlobRow, Desk, Oddity, WriteTx

KINDS = MappingProxyType(
    {
        "missing": "a blob's bytes are not there",
        "truncated": "a blob has fewer bytes than were stored",
        "longer": "a blob has more bytes than were stored",
        "flipped": "a blob has other bytes than were stored",
        "swapped": "a blob has the bytes of another blob",
        "unreadable": "the system cannot read a blob",
        "size": "the database has a wrong size for a blob that is whole",
        "healed": "a blob that was damaged is whole again",
        "orphan": "a file that no row of the database knows, older than the grace of garbage collection",
        "adoptable": "a file that a manifest names, and whose row is lost",
        "half deleted": "a collector or a repair died before its last step",
        "staging": "an upload that nobody went on with",
        "permissions": "a file or folder has other rights than it was given",
        "stray": "something that is no blob and nothing of ours",
        "manifest": "a manifest that no version has",
    }
)
"""Every kind of finding. The first seven are damage."""

_DAMAGE = frozenset(tuple(KINDS)[:7])
_PART_BLOBS = 1_000
_PART_BYTES = 256 << 20
_MOST_VERSIONS = 10
_MOST_MANIFESTS = 100


@dataclass
class _Work:
    """One part: what was asked, and what was found so far."""

    desk: Desk
    ask: c.Fsck
    actor: Actor
    findings: list[a.BlobFinding] = field(default_factory=list)

    def add(self, kind: str, where: str, message: str, *, digest: str | None = None, repaired: bool = False) -> None:
        """Note a finding, with the versions that need the blob it is about."""
        versions: tuple[str, ...] = ()
        if digest is not None:
            with self.desk.snapshot() as tx:
                versions = tuple(f"{model} {version}" for model, version in tx.blob_versions(digest, _MOST_VERSIONS))
        outcome = "repaired" if repaired else "found"
        self.findings.append(a.BlobFinding(kind, where, message, digest, versions, kind in _DAMAGE, outcome))


def fsck(desk: Desk, ask: c.Fsck, actor: Actor) -> a.FsckPart:
    """Check the next part of the blobs, and with the last one everything else. Raises Conflict while a repair runs."""
    work = _Work(desk, ask, actor)
    totals = (0, 0)
    if not ask.after:
        with desk.snapshot() as tx:
            totals = tx.blob_totals()
    rows, orphans, bound = _part(desk, ask.after)
    blobs = read = 0
    next_after = bound
    for digest in sorted({*rows, *orphans}):
        size = max(rows[digest].size_bytes if digest in rows else 0, orphans.get(digest, 0))
        if blobs and read + size > _PART_BYTES and not ask.quick:
            break
        _check_blob(work, digest, rows.get(digest))
        blobs, read, next_after = blobs + 1, read + size, digest
    else:
        next_after = bound
    if next_after is None:
        _check_rest(work)
    return a.FsckPart(tuple(work.findings), blobs, read, next_after, *totals)


def _part(desk: Desk, after: str) -> tuple[dict[str, BlobRow], dict[str, int], str | None]:
    """Return the rows and the files behind a digest, up to a bound (None: to the end) up to which both are complete."""
    files = list(islice(desk.blobs.digests(after), _PART_BLOBS))  # before the rows: a file comes before its row
    with desk.snapshot() as tx:
        rows = tx.blobs_after(after, _PART_BLOBS)
    ends = [
        each[-1] for each in ([row.digest for row in rows], [file[0] for file in files]) if len(each) == _PART_BLOBS
    ]
    bound = min(ends, default=None)
    known = {row.digest: row for row in rows if bound is None or row.digest <= bound}
    return known, {d: size for d, size in files if bound is None or d <= bound}, bound


def _check_blob(work: _Work, digest: str, row: BlobRow | None) -> None:
    try:
        if row is None:
            _check_orphan(work, digest)
        elif row.state != "deleting":
            _check_row(work, digest, row)
    except Unavailable as exc:
        work.add("unreadable", f"blob {digest}", exc.message, digest=digest)


def _check_row(work: _Work, digest: str, row: BlobRow) -> None:
    fault = settle(work.desk, digest, work.actor, quick=work.ask.quick)
    where = f"blob {digest}"
    if fault is not None:
        fault = _named(work.desk, fault)
        repaired = work.ask.repair and _set_aside(work, digest)
        work.add(fault.kind, where, fault.message, digest=digest, repaired=repaired)
        return
    size = work.desk.blobs.size(digest)
    if row.state == "damaged":
        work.add("healed", where, "its bytes are right again", digest=digest, repaired=True)
    if size is not None and size != row.size_bytes:
        repaired = work.ask.repair and work.desk.write(_resize, replace(row, size_bytes=size), work.actor)
        message = f"its row says {row.size_bytes} bytes, it has {size}, and they are the right ones"
        work.add("size", where, message, digest=digest, repaired=bool(repaired))


def _named(desk: Desk, fault: Fault) -> Fault:
    """Say of other bytes whose they are, if they are those of another blob."""
    if fault.found is None:
        return fault
    with desk.snapshot() as tx:
        if tx.blob_row(fault.found) is None:
            return fault
    return Fault("swapped", f"its bytes are those of {fault.found}", fault.found)


def _set_aside(work: _Work, digest: str) -> bool:
    """Move damaged bytes out of the way; True when nothing needs them, so that nothing is left to be repaired."""
    desk, actor = work.desk, work.actor
    with desk.blobs.collecting():
        if desk.write(_withhold, digest, actor):
            try:
                desk.blobs.check(digest)  # somebody may have sent the right ones meanwhile
            except (IntegrityFailure, NotFound):
                desk.blobs.set_aside(digest)
            finally:
                desk.write(release, digest, actor)
    fault = settle(desk, digest, actor)
    with desk.snapshot() as tx:
        return fault is None or not tx.is_named(digest)


def _check_orphan(work: _Work, digest: str) -> None:
    desk, where = work.desk, f"blob {digest}"
    with desk.snapshot() as tx:
        if tx.blob_row(digest) is not None:
            return  # declared since
        needed = tx.is_named(digest)
    age_s, size = desk.blobs.age_s(digest), desk.blobs.size(digest)
    if age_s is None or size is None:
        return
    if needed:
        if work.ask.repair:
            desk.write(_adopt, (digest, size), work.actor)
            settle(desk, digest, work.actor)
        work.add("adoptable", where, "a manifest names it and its row is lost", digest=digest, repaired=work.ask.repair)
    elif age_s >= c.GRACE_S:
        repaired = work.ask.repair and collect_orphan(desk, digest, size, work.actor)
        work.add("orphan", where, f"nobody declared it; it has {size} bytes", repaired=repaired)


def _check_rest(work: _Work) -> None:
    desk, repair = work.desk, work.ask.repair
    for row in _half_deleted(desk):
        work.add("half deleted", f"blob {row.digest}", "it says `deleting`", digest=row.digest, repaired=repair)
    if repair:
        resume(desk, work.actor)
    for oddity in _oddities(desk):
        if repair and oddity.kind == "staging":
            desk.blobs.sweep_staging(c.GRACE_S)
        elif repair:
            desk.blobs.mend(oddity)
        work.add(oddity.kind, oddity.where, oddity.message, repaired=repair)
    with desk.snapshot() as tx:
        unnamed = tx.unnamed_manifests(after="", limit=_MOST_MANIFESTS)
    for digest in unnamed:
        work.add("manifest", f"manifest {digest}", "no version has it; it and its blobs are kept")


def _half_deleted(desk: Desk) -> list[BlobRow]:
    """What says `deleting` although nobody is at it."""
    try:
        with desk.blobs.collecting(), desk.snapshot() as tx:
            return tx.blobs_in_state("deleting")
    except Conflict:
        return []


def _oddities(desk: Desk) -> Iterator[Oddity]:
    yield from list(desk.blobs.oddities(c.GRACE_S))  # listed to the end before anything is moved


# --- steps in the writer ---


def _withhold(tx: WriteTx, digest: str, actor: Actor) -> bool:
    """Begin a repair: nobody may declare or name the blob until `release`. False when it is not damaged any more."""
    row = tx.blob_row(digest)
    if row is None or row.state != "damaged":
        return False
    tx.set_blob_state(digest, "deleting")
    return True


def _resize(tx: WriteTx, ask: BlobRow, actor: Actor) -> bool:
    row = tx.blob_row(ask.digest)
    if row is None or row.state != "present":
        return False
    tx.adopt_blob(ask.digest, ask.size_bytes, "present")
    return True


def _adopt(tx: WriteTx, ask: tuple[str, int], actor: Actor) -> None:
    """Give a file that a manifest names its row back; whether it is whole is found out next."""
    digest, size_bytes = ask
    if tx.blob_row(digest) is None:
        tx.adopt_blob(digest, size_bytes, "present")
        record(tx, digest, None, actor)
