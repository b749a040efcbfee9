"""Uploads: the body is written and hashed by a worker thread while the next part of it arrives.

Memory per upload is bounded by two batches, whatever the file's size; the event loop never waits for the disk. What was
received of a resumable upload is kept when the connection breaks; anything else leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import cast

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest

from greenroom.core.errors import Conflict, GreenroomError, InvalidInput
from greenroom.core.limits import PACE_BYTES, bound
from greenroom.core.model import File
from greenroom.core.names import shown
from greenroom.http.problem import RequestTimeout
from greenroom.http.routing import actor_of, request_of
from greenroom.http.workshop import Workshop, workshop
from greenroom.services.commands import BlobStored
from greenroom.services.ports import BlobStore, BlobUpload, Registry, Request

BATCH_BYTES = 512 << 10
BATCH_PIECES = 1024  # tiny pieces cost more memory than they hold
PACE_S: float = bound("upload_pace")  # an upload that is slower than PACE_BYTES in this time gives its place to others
_UPLOAD_ID = re.compile(r"[a-z0-9-]{1,64}")


class _CutShort(InvalidInput):
    """The body ended before it was complete."""


class _TooSlow(RequestTimeout):
    """The body does not arrive at the pace that an upload has to keep."""


@dataclass(frozen=True)
class Part:
    """What a request sends: bytes from `offset` on, of an upload that is to have `size` bytes (None: as they come)."""

    upload_id: str
    digest: str | None
    size: int | None
    offset: int = 0
    resumable: bool = True


def private_upload_id(request: HTTPRequest, upload_id: str) -> str:
    """Return the id under which the blob store knows a client's upload: nobody reaches the upload of another actor.

    Raises InvalidInput when the client's own id is not 1 to 64 characters of a-z, 0-9 and `-`.
    """
    if not _UPLOAD_ID.fullmatch(upload_id):
        raise InvalidInput(
            f"{shown(upload_id)!r} is not an upload id.", hint="Use 1 to 64 characters of a-z, 0-9 and '-'."
        )
    owner = actor_of(request).name
    return "part-" + hashlib.sha256(f"{owner}\0{upload_id}".encode("utf-8", "surrogatepass")).hexdigest()[:48]


async def receive_blob(
    request: HTTPRequest, registry: Registry, digest: str | None = None, size: int | None = None
) -> File:
    """Store the request's body as a blob; returns its digest and size (the path is empty).

    `digest` and `size` are what the bytes must be; None takes them as they come. Raises InvalidInput when they are
    others or the body ends early (nothing is kept), RateLimited, StorageFull, Unavailable. A compressed body does not
    get this far: the dispatcher refuses it.
    """
    part = Part(f"whole-{uuid.uuid4().hex}", digest, size, resumable=False)
    async with _receiving(request, registry.blobs, part) as (shop, upload):
        if digest is None:
            found, count = await shop.run(upload.finish_as_hashed)
        else:
            found, count = digest, upload.received
            await shop.run(upload.finish, found, count if size is None else size)
    await declare(request, registry, found, count)
    return File("", found, count)


async def receive_part(request: HTTPRequest, registry: Registry, part: Part) -> int:
    """Append the request's body to a resumable upload; returns how many bytes are there. All of them: it is published.

    Raises Conflict with `received`, the offset to go on from, when `part.offset` is another; InvalidInput when the
    bytes are too many or not those of the digest (the upload is dropped then); and what `receive_blob` raises.
    """
    _require_room(request, part)
    digest, size = cast(str, part.digest), cast(int, part.size)
    shop = workshop(registry.blobs)
    staged = await shop.run(registry.blobs.staged, part.upload_id)
    if part.offset and not staged and await shop.run(registry.blobs.size, digest) == size:
        await declare(request, registry, digest, size)  # it was published before, and the answer got lost
        return size
    _require_offset(staged, part)  # before anything is taken over from a request that is still running
    async with _receiving(request, registry.blobs, part) as (shop, upload):
        received = upload.received
        await (shop.run(upload.finish, digest, size) if received == size else shop.run(upload.pause))
    if received == size:
        await declare(request, registry, digest, size)
    return received


async def receive_one_of(request: HTTPRequest, blobs: BlobStore, key: str, number: int) -> str:
    """Keep the request's body as part `number` of the upload in parts `key`; returns the digest of its bytes.

    A part that is sent again replaces the one before. Raises InvalidInput when the body ends early (nothing is kept),
    NotFound when the upload has ended, RateLimited, StorageFull.
    """
    part = Part(f"whole-{uuid.uuid4().hex}", None, None, resumable=False)

    def begin() -> BlobUpload:
        return blobs.part(key, number, _coming(request))

    async with _receiving(request, blobs, part, begin) as (shop, upload):
        return await shop.run(upload.finish_as_part, key, number)


async def declare(request: HTTPRequest, registry: Registry, digest: str, size: int) -> None:
    """Make a blob that was published just now usable. Raises Conflict when it was taken away meanwhile."""
    # Without an idempotency key: a blob may be stored any number of times, and nobody took the body's fingerprint.
    identity = Request(request_of(request).id)
    await registry.call("declare_blob", BlobStored(digest, size), actor_of(request), request=identity)


@asynccontextmanager
async def _receiving(
    request: HTTPRequest, blobs: BlobStore, part: Part, begin: Callable[[], BlobUpload] | None = None
) -> AsyncIterator[tuple[Workshop, BlobUpload]]:
    """Stage the whole body and hand over the upload to be finished; close it in the right way whatever happens."""
    _require_room(request, part)
    shop = workshop(blobs)
    shop.enter(part.upload_id)
    try:
        upload = await _opened(shop, begin or partial(blobs.upload, part.upload_id, _coming(request)))
        try:
            _require_offset(upload.received, part)
            await _stage_body(request, shop, upload, part)
            yield shop, upload
        except BaseException as exc:
            spoilt = isinstance(exc, InvalidInput) and not isinstance(exc, _CutShort)
            closing = shop.run(upload.pause if part.resumable and not spoilt else upload.abort)
            if isinstance(exc, Exception):  # a cancelled task must not wait
                await closing
            raise
    finally:
        shop.leave(part.upload_id)


async def _opened(shop: Workshop, begin: Callable[[], BlobUpload]) -> BlobUpload:
    opening = shop.run(begin)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: None if done.exception() else done.result().pause())
        raise


async def _stage_body(request: HTTPRequest, shop: Workshop, upload: BlobUpload, part: Part) -> None:
    batch: list[bytes] = []
    waiting, total = 0, upload.received
    writing: asyncio.Future[None] | None = None
    cut: GreenroomError | None = None
    try:
        async for piece in _pieces(request):
            batch.append(piece)
            waiting, total = waiting + len(piece), total + len(piece)
            if part.size is not None and total > part.size:
                raise InvalidInput(f"more than the announced {part.size} bytes arrived.", size_bytes=part.size)
            if waiting >= BATCH_BYTES or len(batch) >= BATCH_PIECES:
                if writing is not None:
                    await writing
                writing = shop.run(_write, upload, batch)
                batch, waiting = [], 0
    except (_CutShort, _TooSlow) as exc:
        cut = exc
    if writing is not None:
        await writing
    if batch and (cut is None or part.resumable):
        await shop.run(_write, upload, batch)
    if cut is not None:
        raise cut


def _write(upload: BlobUpload, batch: Sequence[bytes]) -> None:
    for piece in batch:
        upload.write(piece)


async def _pieces(request: HTTPRequest) -> AsyncIterator[bytes]:
    """Yield the body as it arrives. Raises _CutShort when the client leaves, _TooSlow below the pace."""
    stream, loop, paced = aiter(request.stream()), asyncio.get_running_loop(), 0
    end = loop.time() + PACE_S
    try:
        while True:
            async with asyncio.timeout_at(end):
                piece = await anext(stream, None)
            if piece is None:
                return
            paced += len(piece)
            if paced >= PACE_BYTES:
                paced, end = 0, loop.time() + PACE_S
            if piece:
                yield piece
    except ClientDisconnect as exc:
        raise _CutShort("the connection ended before the whole body had arrived.", hint="Send it again.") from exc
    except TimeoutError as exc:
        text = f"less than {PACE_BYTES} bytes arrived in {PACE_S:g} s."
        raise _TooSlow(text, hint="Send the rest again.", limit="upload_pace", maximum=PACE_S) from exc


def _coming(request: HTTPRequest) -> int:
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isascii() and announced.isdecimal() and len(announced) < 20 else 0


def _require_offset(received: int, part: Part) -> None:
    if received != part.offset:
        raise Conflict(
            f"{received} bytes of this upload are here, and the request goes on from byte {part.offset}.",
            hint=f"Go on from offset {received}.",
            received=received,
            offset=part.offset,
        )


def _require_room(request: HTTPRequest, part: Part) -> None:
    """Raise InvalidInput before anything is read when the body is going to be too long."""
    announced = request.headers.get("content-length", "")
    if part.size is not None and announced.isdecimal() and part.offset + int(announced) > part.size:
        raise InvalidInput(
            f"{announced} bytes from offset {part.offset} on are more than the announced {part.size} bytes.",
            size_bytes=part.size,
        )
