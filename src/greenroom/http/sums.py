"""Ranges of large blobs, verified without reading all of the blob for each of them.

The digest of a blob speaks of all its bytes. Who fetches a blob in many ranges would have it hashed as often. So it is
hashed once, and on the way every piece of it: 32 bytes are remembered for 256 KiB. From then on a range is verified by
the sums of the pieces that it touches; no byte leaves that was not compared (IT-04).
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import Generator
from dataclasses import dataclass

from greenroom.core.digest import PREFIX
from greenroom.core.errors import BytesLost
from greenroom.core.model import File
from greenroom.http.workshop import Workshop
from greenroom.services.ports import BlobStore

SUMMED_BYTES = 256 << 10
KEPT_BYTES = 16 << 20  # sums of 128 GiB of blobs; those asked for longest ago are forgotten first
_SUM_BYTES = 32
_log = logging.getLogger("greenroom.integrity")


@dataclass(frozen=True)
class Sums:
    """The SHA-256 of every piece of a blob whose own digest was right, one behind the other."""

    joined: bytes

    def of(self, number: int) -> bytes:
        """Return the sum of piece `number`, from 0."""
        return self.joined[number * _SUM_BYTES : (number + 1) * _SUM_BYTES]


async def sums_of(shop: Workshop, blobs: BlobStore, file: File) -> Sums:
    """Return the sums of a blob, which takes reading it once. Raises IntegrityFailure for other bytes, NotFound."""
    known = shop.sums.pop(file.digest, None)
    if known is None or (known.done() and known.exception() is not None):
        known = shop.run_long(_sums, blobs, file)
    shop.sums[file.digest] = known  # the newest is last
    held = sum(len(each.result().joined) for each in shop.sums.values() if each.done() and each.exception() is None)
    while held > KEPT_BYTES and len(shop.sums) > 1:
        oldest = shop.sums.pop(next(iter(shop.sums)))
        held -= len(oldest.result().joined) if oldest.done() and oldest.exception() is None else 0
    found: Sums = await asyncio.shield(known)  # others wait for it too, and this client will ask again
    return found


def _sums(blobs: BlobStore, file: File) -> Sums:
    hasher, joined, size = hashlib.sha256(), bytearray(), 0
    with blobs.open(file.digest) as source:
        while piece := source.read(SUMMED_BYTES):
            hasher.update(piece)
            joined += hashlib.sha256(piece).digest()
            size += len(piece)
    found = PREFIX + hasher.hexdigest()
    if size != file.size_bytes or found != file.digest:
        raise alarm(f"the blob {file.digest} holds other bytes: they hash to {found}.", file.digest, found=found)
    return Sums(bytes(joined))


def pieces_by_sums(
    blobs: BlobStore, file: File, span: tuple[int, int], closed: threading.Event, sums: Sums
) -> Generator[bytes, None, None]:
    """Yield the bytes of `span`, each piece compared before it leaves. Raises IntegrityFailure for other bytes."""
    start, stop = span
    with blobs.open(file.digest) as source:
        for number in range(start // SUMMED_BYTES, -(-stop // SUMMED_BYTES)):
            if closed.is_set():
                return
            at = number * SUMMED_BYTES
            source.seek(at)
            piece = source.read(SUMMED_BYTES)
            if hashlib.sha256(piece).digest() != sums.of(number):
                raise alarm(f"the blob {file.digest} holds other bytes from byte {at} on.", file.digest)
            yield piece[max(start - at, 0) : stop - at]


def alarm(message: str, digest: str, **details: str) -> BytesLost:
    """Return the error for bytes that are not what they were, after telling whoever watches the log."""
    _log.critical("%s", message, extra={"digest": digest, **details})
    hint = "Restore it from a backup; `greenroom fsck` says what else is damaged."
    return BytesLost(message, hint=hint, digest=digest, **details)
