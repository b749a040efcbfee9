"""Downloads: every byte that leaves has been hashed on its way, and the last piece waits for the verdict.

A client therefore never gets a complete answer with wrong bytes in it: what fits into one piece is verified before the
first header is sent; of more, at least the last piece is missing and the connection is closed (IT-04). A range is
verified like the whole, because a digest speaks of all the bytes.
"""

from __future__ import annotations

import base64
import hashlib
import logging
import re
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import aclosing
from functools import partial as partial_of
from urllib.parse import quote

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from greenroom.core.digest import PREFIX, hex_of
from greenroom.core.errors import GreenroomError, IntegrityFailure
from greenroom.core.model import File
from greenroom.http.routing import actor_of
from greenroom.http.sums import Sums, alarm, pieces_by_sums
from greenroom.http.workshop import PIECE_BYTES, workshop
from greenroom.services.commands import NoteDamage
from greenroom.services.ports import BlobStore, Registry

WHOLE_BYTES = 64 << 10  # so much is read, verified and written at once, and is no download that counts
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
_log = logging.getLogger("greenroom.integrity")


async def blob_response(
    registry: Registry, file: File, request: HTTPRequest, filename: str, sums: Sums | None = None
) -> Response:
    """Answer GET or HEAD with the bytes of `file`: whole, one range (206, 416), or nothing new (304).

    With the `sums` of its pieces only those that are asked for are read.
    Raises IntegrityFailure when the blob is gone, has another size, or (up to one piece) other bytes (the
    versions that need it are damaged from then on); RateLimited.
    """
    try:
        return await _answered(registry, file, request, filename, sums)
    except IntegrityFailure:
        await note_damage(registry, file.digest, request)
        raise


async def note_damage(registry: Registry, digest: str, request: HTTPRequest) -> bool:
    """Have the registry look at a blob again and remember what it finds; True when bytes are lost.

    A download must not fail for another reason because that could not be written down: then it is False, and logged.
    """
    try:
        found: bool = await registry.call("note_damage", NoteDamage(digest), actor_of(request))
    except GreenroomError as exc:
        _log.error("damage of %s could not be noted: %s", digest, exc)
        return False
    return found


async def _answered(registry: Registry, file: File, request: HTTPRequest, filename: str, sums: Sums | None) -> Response:
    etag = f'"{file.digest}"'
    headers = _headers(file, filename, etag)
    if _has_already(request, etag):
        return Response(status_code=304, headers=headers)
    blobs, shop = registry.blobs, workshop(registry.blobs)
    await shop.run(_require_present, blobs, file)
    wanted = _range_of(request, file.size_bytes, etag)
    if wanted is None:
        return Response(status_code=416, headers={"content-range": f"bytes */{file.size_bytes}"})
    start, stop = wanted
    partial = (start, stop) != (0, file.size_bytes)
    headers["content-length"] = str(stop - start)
    if partial:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    status = 206 if partial else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    if stop - start <= WHOLE_BYTES and sums is None:
        return Response(await shop.run(_whole, blobs, file, wanted), status, headers)
    pieces = verified_stream(blobs, file.digest, file.size_bytes, start, stop, sums)
    answer = _BlobResponse(await anext(pieces, b""), pieces, status, headers)
    answer.damaged = partial_of(note_damage, registry, file.digest, request)
    return answer


async def verified_stream(
    blobs: BlobStore, digest: str, size: int, start: int, stop: int, sums: Sums | None = None
) -> AsyncGenerator[bytes, None]:
    """Yield the bytes from `start` to `stop` of a blob, reading one piece ahead on a worker thread.

    Raises IntegrityFailure (and logs an alert) in place of the last piece when the blob as a whole is not what its
    digest and `size` say; NotFound when it is gone; RateLimited when too many downloads are running.
    """
    shop = workshop(blobs)
    source = _Source(blobs, File("", digest, size), (start, stop), shop.piece_bytes, sums)
    shop.begin_download()
    ahead = shop.run(source.next)
    try:
        while (piece := await ahead) is not None:
            ahead = shop.run(source.next)
            yield piece
    finally:
        shop.end_download()
        shop.run(source.close)


def content_disposition(filename: str) -> str:
    """Return the header that makes a browser save and never show a file: RFC 6266, safe whatever the name holds."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in filename) or "file"
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='', errors='replace')}"


class _Source:
    """A blob's pieces, for one reader at a time; `close` may come from elsewhere while `next` runs."""

    def __init__(
        self,
        blobs: BlobStore,
        file: File,
        span: tuple[int, int],
        piece_bytes: Callable[[], int],
        sums: Sums | None,
    ) -> None:
        self._lock = threading.Lock()
        self._closed = threading.Event()
        if sums is None:
            self._pieces = _pieces(blobs, file, span, self._closed, piece_bytes)
        else:
            self._pieces = pieces_by_sums(blobs, file, span, self._closed, sums)

    def next(self) -> bytes | None:
        with self._lock:
            return next(self._pieces, None)

    def close(self) -> None:
        self._closed.set()
        with self._lock:
            self._pieces.close()


def _pieces(
    blobs: BlobStore, file: File, span: tuple[int, int], closed: threading.Event, piece_bytes: Callable[[], int]
) -> Generator[bytes, None, None]:
    (start, stop), digest = span, file.digest
    hasher, position = hashlib.sha256(), 0
    held: bytes | None = None
    with blobs.open(digest) as source:
        while not closed.is_set() and (piece := source.read(piece_bytes())):
            hasher.update(piece)
            wanted = piece[max(start - position, 0) : max(stop - position, 0)]
            position += len(piece)
            if wanted:
                if held is not None:
                    yield held
                held = wanted
    if closed.is_set():
        return
    found = PREFIX + hasher.hexdigest()
    if position != file.size_bytes or found != digest:
        raise alarm(f"the blob {digest} holds other bytes: they hash to {found}.", digest, found=found)
    if held is not None:
        yield held


def _whole(blobs: BlobStore, file: File, span: tuple[int, int]) -> bytes:
    return b"".join(_pieces(blobs, file, span, threading.Event(), lambda: PIECE_BYTES))


def _require_present(blobs: BlobStore, file: File) -> None:
    found = blobs.size(file.digest)
    if found is None:
        raise alarm(f"the blob {file.digest} is gone.", file.digest)
    if found != file.size_bytes:
        raise alarm(f"the blob {file.digest} has {found} bytes instead of {file.size_bytes}.", file.digest)


class _BlobResponse(Response):
    """A response whose length is known and whose end may be refused."""

    def __init__(self, first: bytes, pieces: AsyncGenerator[bytes, None], status: int, headers: dict[str, str]) -> None:
        super().__init__(status_code=status, headers=headers)
        self._first, self._pieces = first, pieces
        self.damaged: Callable[[], Awaitable[object]] | None = None  # told when the end is refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = HTTPRequest(scope, receive)
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async with aclosing(self._pieces) as pieces:
            try:
                first, self._first = self._first, b""  # kept by nobody while the rest is on its way
                await send({"type": "http.response.body", "body": first, "more_body": True})
                del first
                async for piece in pieces:
                    if await connection.is_disconnected():
                        return
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except GreenroomError as exc:
                # Returning without the end makes the server close the connection: the client sees a body cut short.
                if not isinstance(exc, IntegrityFailure):
                    _log.error("a download was cut short: %s", exc)
                elif self.damaged is not None:
                    await self.damaged()
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _headers(file: File, filename: str, etag: str) -> dict[str, str]:
    value = base64.b64encode(bytes.fromhex(hex_of(file.digest))).decode("ascii")
    return {
        "content-type": "application/octet-stream",
        "etag": etag,
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": content_disposition(filename),
        "content-security-policy": "sandbox; default-src 'none'",
        "repr-digest": f"sha-256=:{value}:",  # RFC 9530
    }


def _has_already(request: HTTPRequest, etag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return known.strip() == "*" or etag in {each.strip().removeprefix("W/") for each in known.split(",")}


def _range_of(request: HTTPRequest, size: int, etag: str) -> tuple[int, int] | None:
    """Return what part is asked for as (start, stop); None when no byte of it exists.

    Everything where the header is absent, malformed, names several ranges or is bound to other bytes (RFC 9110).
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or not any(match.groups()) or request.headers.get("if-range", etag) != etag:
        return 0, size
    first, last = match.groups()
    if not first:
        start, stop = max(size - int(last), 0), size
    else:
        start, stop = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return 0, size
    return (start, stop) if start < stop else None
