"""Use case `gc`: take away blobs that nothing names, and never one that somebody needs or was promised.

A blob is *needed* when a manifest names it (every manifest counts, also those of deleted versions: deletes are
tombstones) or when the upload tree does. It is *promised* for `grace_s` seconds from when it was stored, or from when a
client was told that it need not be sent (`missing_blobs`): that is the lease, and the row's `at` keeps it.

Collecting is three steps, each of which may be the last one of a process that dies:

1. `_mark`, in the writer's order like every other change: state `deleting`, only if the blob is neither needed nor
   promised *now*, whatever the list said that led here (the second look).
2. The bytes are removed.
3. `_forget`: the row goes, the counter `sweeps` rises, the log says what was taken.

Why nothing is lost, whoever does what in between:

* While the row says `deleting`, no new reference can come about: registering, the upload tree and `blob_stored` answer
  Conflict, and `missing_blobs` says that the blob is missing. All of them and `_mark` are changes in one order, so each
  comes wholly before the mark (then the mark sees it and leaves the blob alone) or wholly after it.
* An upload publishes its file *before* it declares the blob, so the file may be removed in between, in step 2 of a mark
  that was made earlier. `declare_blob` therefore reads `sweeps`, then sees that the file is there, then declares with
  the number it read. If the file went after it was seen, then step 3 of that removal either has not happened (the row
  says `deleting`: Conflict) or has raised `sweeps` since (Conflict). So a declared blob has its file.
* Only the holder of `BlobStore.collecting` removes files, and the operating system takes that away from nobody who is
  alive: a collector that was stopped for an hour between step 1 and step 2 cannot wake up and remove a file that
  another collector finished with and a client has sent again.
* A death after step 1 or 2 leaves rows in the state `deleting`; uploads of these bytes meet Conflict until somebody
  finishes. `resume` does: at every start, and when a client asks for or sends such a blob. A file without a row (a
  death between publishing and declaring) is marked, removed and forgotten in the same three steps once it is old.

A manifest that no version names cannot come about (it is written in the transaction of its version). If one is found
all the same it is kept, and `fsck` names it. Source: design, "One upload"; reliability F10; ADR 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from greenroom.core.digest import digest_of
from greenroom.core.errors import Conflict, InvalidInput
from greenroom.core.model import Actor
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.damage import settle
from greenroom.services.ports import BlobRow, Desk, ReadTx, WriteTx

KEYS_KEPT_S = 7 * 24 * 3600
"""How long the outcome of a request with an `Idempotency-Key` is kept at least: longer than any client retries."""

_BATCH = 500
_MOST_NAMED = 100  # an event names so many digests, and the digest of the whole list
_LONGEST_GRACE_S = 10 * 365 * 24 * 3600


@dataclass(frozen=True)
class _Marking:
    """Blobs that looked unused, and the last moment at which they may have been stored or promised."""

    digests: tuple[str, ...]
    grace_ms: int


def collect_garbage(desk: Desk, ask: c.CollectGarbage, actor: Actor) -> a.Collected:
    """Take away what nobody needs; `dry_run` only counts it. Raises InvalidInput, Conflict while another one runs."""
    if not (math.isfinite(ask.grace_s) and 0 <= ask.grace_s <= _LONGEST_GRACE_S):
        raise InvalidInput(
            f"a grace of {ask.grace_s:g} s cannot be.", hint="Give 0 seconds to 10 years, such as 24h.", field="grace_s"
        )
    if ask.dry_run:
        return _plan(desk, ask, actor)
    with desk.blobs.collecting():
        taken = [*_finish(desk, actor), *_collect(desk, ask.grace_s, actor), *_orphans(desk, ask.grace_s, actor)]
        staged = desk.blobs.sweep_staging(ask.grace_s)
    keys = 0
    while went := desk.write(_forget_keys, None, actor):
        keys += went
    return a.Collected(False, len(taken), sum(each.size_bytes for each in taken), staged, keys)


def resume(desk: Desk, actor: Actor) -> None:
    """Finish what a collector or a repair that died has left. Nothing is done while one is alive."""
    with desk.snapshot() as tx:
        if not tx.blobs_in_state("deleting"):
            return
    try:
        with desk.blobs.collecting():
            _finish(desk, actor)
    except Conflict:
        return  # it is alive, and will finish by itself


def collect_orphan(desk: Desk, digest: str, size_bytes: int, actor: Actor) -> bool:
    """Take away one file that no row knows. False when somebody declared it meanwhile. Raises Conflict."""
    with desk.blobs.collecting():
        return bool(_take_away(desk, desk.write(_mark_orphans, ((digest, size_bytes),), actor), actor))


def _plan(desk: Desk, ask: c.CollectGarbage, actor: Actor) -> a.Collected:
    now = desk.write(_now, None, actor)
    with desk.snapshot() as tx:
        sizes = [row.size_bytes for row in tx.blobs_in_state("deleting") if not tx.is_named(row.digest)]
        for page in _unused(tx, now - _ms(ask.grace_s)):
            sizes += [row.size_bytes for row in page]
        sizes += [size for digest, size in desk.blobs.digests() if _is_orphan(desk, tx, digest, ask.grace_s)]
        keys = tx.old_keys(now - _ms(KEYS_KEPT_S))
    return a.Collected(True, len(sizes), sum(sizes), desk.blobs.stale_staging(ask.grace_s), keys)


def _finish(desk: Desk, actor: Actor) -> list[BlobRow]:
    """Steps 2 and 3 for what says `deleting`; what is needed was being repaired, and is looked at again."""
    with desk.snapshot() as tx:
        left = tx.blobs_in_state("deleting")
        needed = [row for row in left if tx.is_named(row.digest)]
    for row in needed:
        desk.write(release, row.digest, actor)
        settle(desk, row.digest, actor)
    return _take_away(desk, [row for row in left if row not in needed], actor)


def _collect(desk: Desk, grace_s: float, actor: Actor) -> Iterator[BlobRow]:
    until, after = desk.write(_now, None, actor) - _ms(grace_s), ""
    while True:
        with desk.snapshot() as tx:
            page = tx.unused_blobs(after=after, until=until, limit=_BATCH)
        if not page:
            return
        marking = _Marking(tuple(row.digest for row in page), _ms(grace_s))
        yield from _take_away(desk, desk.write(_mark, marking, actor), actor)
        after = page[-1].digest


def _unused(tx: ReadTx, until: int) -> Iterator[list[BlobRow]]:
    after = ""
    while page := tx.unused_blobs(after=after, until=until, limit=_BATCH):
        yield page
        after = page[-1].digest


def _orphans(desk: Desk, grace_s: float, actor: Actor) -> Iterator[BlobRow]:
    """Files that no row knows: their process died between publishing and declaring them."""
    with desk.snapshot() as tx:
        found = [each for each in desk.blobs.digests() if _is_orphan(desk, tx, each[0], grace_s)]
    for start in range(0, len(found), _BATCH):
        marked = desk.write(_mark_orphans, tuple(found[start : start + _BATCH]), actor)
        yield from _take_away(desk, marked, actor)


def _is_orphan(desk: Desk, tx: ReadTx, digest: str, grace_s: float) -> bool:
    age_s = desk.blobs.age_s(digest)
    return age_s is not None and age_s >= grace_s and tx.blob_row(digest) is None and not tx.is_named(digest)


def _take_away(desk: Desk, marked: Sequence[BlobRow], actor: Actor) -> list[BlobRow]:
    """Steps 2 and 3. The caller holds `collecting`, and every row says `deleting`."""
    for row in marked:
        desk.blobs.remove(row.digest)
    if marked:
        desk.write(_forget, tuple(marked), actor)
    return list(marked)


# --- steps in the writer ---


def _now(tx: WriteTx, ask: None, actor: Actor) -> int:
    return tx.now


def _mark(tx: WriteTx, ask: _Marking, actor: Actor) -> list[BlobRow]:
    """Mark what is unused now, whatever it looked like before; return what was marked."""
    marked = []
    for digest in ask.digests:
        row = tx.blob_row(digest)
        if row is None or row.state == "deleting" or row.at > tx.now - ask.grace_ms or tx.is_named(digest):
            continue
        tx.set_blob_state(digest, "deleting")
        marked.append(row)
    return marked


def _mark_orphans(tx: WriteTx, ask: tuple[tuple[str, int], ...], actor: Actor) -> list[BlobRow]:
    """Give files without a row one that says `deleting`; return those that had none."""
    marked = []
    for digest, size_bytes in ask:
        if tx.blob_row(digest) is None:
            tx.adopt_blob(digest, size_bytes, "deleting")
            marked.append(BlobRow(digest, size_bytes, "deleting", tx.now))
    return marked


def _forget(tx: WriteTx, ask: tuple[BlobRow, ...], actor: Actor) -> None:
    digests = sorted(row.digest for row in ask)
    for digest in digests:
        tx.forget_blob(digest)
    tx.count_sweep()
    body = {
        "blobs": len(ask),
        "bytes": sum(row.size_bytes for row in ask),
        "digests": digests[:_MOST_NAMED],
        "list": digest_of("\n".join(digests).encode()),
    }
    tx.record("blobs_collected", actor, body=body)


def release(tx: WriteTx, digest: str, actor: Actor) -> None:
    """End a repair: the blob's bytes were set aside, or may have been. Whoever saw them there before is told no."""
    row = tx.blob_row(digest)
    if row is not None and row.state == "deleting":
        tx.set_blob_state(digest, "damaged")
        tx.count_sweep()


def _forget_keys(tx: WriteTx, ask: None, actor: Actor) -> int:
    return tx.forget_keys(tx.now - _ms(KEYS_KEPT_S), _BATCH)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
