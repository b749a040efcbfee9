"""Uploads in parts: written where they belong in the whole, or as staging files of their own, and joined into one blob.

`staging/mp-<32 hex>-open` says that an upload goes on and how many parts it has, `mp-<32 hex>-<n>` is a part with a
file of its own, `…-at<length>` and `…-in<n>` are those that are in their place (see `in_place`), `…-done` is left of an
upload that was joined. A part that has both counts as its own file, which came later. The order of the steps is what
keeps them right without a lock between them: a part is put in its place first and looks for `-open` afterwards, ending
an upload takes `-open` away first and the parts afterwards; so whoever comes second takes the part away.

Parts are not made durable one by one: joining reads and hashes every byte again, and what a power cut took is missing
or wrong then, never unnoticed. The whole file becomes the blob as a second name (a hard link), so that the parts stay
until the upload is ended; a file that has two names is never written to, only read.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from greenroom.blobs import in_place
from greenroom.blobs.disk import (
    DiskWatch,
    is_at,
    make_durable,
    names_in,
    open_plain,
    open_staged,
    plain_size,
    remove_file,
    translated,
    try_lock,
    write_all,
    write_all_at,
)
from greenroom.blobs.uploading import READ_BYTES, FilesystemUpload
from greenroom.core.digest import PREFIX
from greenroom.core.errors import Conflict, InvalidInput, NotFound
from greenroom.services.ports import BlobUpload, Parts

_KEY = re.compile(r"[0-9a-f]{32}")
_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EMLINK, errno.ENOTSUP, errno.EOPNOTSUPP}


@dataclass(frozen=True)
class Source:
    """Where the bytes of a part are: `size` bytes from `offset` on."""

    path: Path
    offset: int
    size: int


class UploadsInParts:
    """The part of `FilesystemBlobs` that is about uploads in parts."""

    disk: DiskWatch
    _staging: Path

    def upload(self, upload_id: str, coming: int = 0) -> FilesystemUpload:
        """Start an upload of a whole blob."""
        raise NotImplementedError

    def publish(self, staged: Path, digest: str, size_bytes: int) -> None:
        """Move the synced file `staged` to its digest path, durably."""
        raise NotImplementedError

    def begin_parts(self, key: str, count: int) -> None:
        """Begin the upload `key` (32 hexadecimal digits) in `count` parts. Raises StorageFull, Unavailable."""
        self.disk.require_room()
        path = self._parts_path(key, "open")
        try:
            fd = open_staged(path)
            try:
                write_all(fd, memoryview(str(count).encode()))
            finally:
                os.close(fd)
        except OSError as exc:
            with contextlib.suppress(OSError):  # a note cut short would say another number
                remove_file(path)
            raise translated(exc, "an upload in parts") from exc

    def parts(self, key: str) -> Parts | None:
        """Return how an upload in parts stands; None when there is none, or none any more."""
        for state in ("open", "done"):
            path = self._parts_path(key, state)
            try:
                return Parts(int(path.read_text("ascii") or 0), time.time() - path.lstat().st_mtime, state == "done")
            except FileNotFoundError:
                continue
            except OSError as exc:
                raise translated(exc, "an upload in parts") from exc
        return None

    def keep_part(self, staged: Path, key: str, number: int) -> None:
        """Put the staged file in the place of part `number`. Raises NotFound when the upload has ended."""
        target = self._parts_path(key, str(number))
        opened = self._parts_path(key, "open")
        staged.replace(target)
        try:
            os.utime(opened)  # it goes on
        except FileNotFoundError:
            remove_file(target)
            raise _ended(key) from None

    def part(self, key: str, number: int, coming: int = 0) -> BlobUpload:
        """Start part `number` of the upload `key`; it is kept by `finish_as_part`. Raises StorageFull, Unavailable.

        With the bytes to come, and for a part that is not the last, it goes to its place, unless somebody was there
        or it has a file of its own: that would count, though it came before.
        """
        self.disk.require_room(coming)
        found = self.parts(key)
        inside = found is not None and not found.done and 0 < number < found.count
        if coming and inside and in_place.CAN and plain_size(self._parts_path(key, str(number))) is None:
            begun = in_place.begin(self._place(key, number, coming), self.disk)
            if begun is not None:
                return begun
        return self.upload(f"whole-{uuid.uuid4().hex}", coming)

    def _place(self, key: str, number: int, length: int) -> in_place.Place:
        whole, claim = self._parts_path(key, f"at{length}"), self._parts_path(key, f"in{number}")
        return in_place.Place(number, length, whole, claim, self._parts_path(key, "open"))

    def join_parts(self, key: str, digests: Sequence[str]) -> tuple[str, int]:
        """Publish the parts, in order, as one blob; returns its digest and size in bytes. The parts stay.

        Raises InvalidInput for a part that is missing or other than `digests` says, NotFound when the upload has ended,
        Conflict while it is being joined, StorageFull.
        """
        with self._alone(key):
            try:
                os.utime(self._parts_path(key, "open"))  # what takes long is not given up meanwhile
                sources = [self._source(key, number) for number in range(1, len(digests) + 1)]
                missing = [number for number, source in enumerate(sources, 1) if source is None]
                if missing:
                    raise InvalidInput(
                        f"of {len(digests)} parts {len(missing)} did not arrive, "
                        f"the first of them is part {missing[0]}.",
                        hint="Send the missing parts, then complete the upload again.",
                        missing=missing[:100],
                    )
                found = [source for source in sources if source is not None]
                whole = self._whole_to_fill(key, found)
                filled = self._fill(whole, found, digests) if whole is not None else None
                return filled or self._copy(found, digests)
            except OSError as exc:
                raise translated(exc, "an upload in parts") from exc

    def _source(self, key: str, number: int) -> Source | None:
        """Return where the bytes of a part are; None when it did not arrive."""
        own = self._parts_path(key, str(number))
        size = plain_size(own)
        if size is not None:
            return Source(own, 0, size)
        claim = in_place.read_claim(self._parts_path(key, f"in{number}"))
        if claim is None or claim.digest is None:
            return None
        place = self._place(key, number, claim.length)
        return Source(place.whole, place.offset, claim.length) if plain_size(place.whole) is not None else None

    def _whole_to_fill(self, key: str, sources: Sequence[Source]) -> Path | None:
        """Return the file in which the parts are that need no copy; None when there is none that may be written to.

        All places are claimed afterwards, hence nobody else writes to it.
        """
        claim = in_place.read_claim(self._parts_path(key, "in1"))
        if claim is None or len(sources) < 2 or any(source.size != claim.length for source in sources[:-1]):
            return None
        for number in range(1, len(sources)):
            place = self._place(key, number, claim.length)
            if in_place.take(place.claim, claim.length):
                continue
            other = in_place.read_claim(place.claim)
            if other is None or other.length != claim.length or other.digest is None:
                return None  # somebody may be writing there, or wrote elsewhere
        whole = self._parts_path(key, f"at{claim.length}")
        return whole if in_place.is_ours_alone(whole) else None

    def _fill(self, whole: Path, sources: Sequence[Source], digests: Sequence[str]) -> tuple[str, int] | None:
        """Publish the whole file, into which only parts with a file of their own are copied.

        None where the file system gives no file a second name.
        """
        self.disk.require_room(sum(source.size for source in sources if source.path != whole))
        hasher, at = hashlib.sha256(), 0
        fd = open_staged(whole)
        try:
            for number, (source, digest) in enumerate(zip(sources, digests, strict=True), 1):
                for piece in _pieces(source, digest, number):
                    hasher.update(piece)
                    if source.path != whole:
                        write_all_at(fd, piece, at)
                    at += len(piece)
            os.ftruncate(fd, at)  # a longer last part may have been copied before
            self._make_durable(fd, whole)
        finally:
            os.close(fd)
        return self._publish_twice(whole, PREFIX + hasher.hexdigest(), at)

    def _make_durable(self, fd: int, whole: Path) -> None:
        try:
            make_durable(fd, whole, self.disk)
        except OSError:
            # After a failed fsync the page cache may show bytes that the disk does not have (reliability F5).
            remove_file(whole)
            raise

    def _publish_twice(self, whole: Path, digest: str, size_bytes: int) -> tuple[str, int] | None:
        second = self._staging / f"join-{uuid.uuid4().hex}"
        try:
            os.link(whole, second)
        except OSError as exc:
            if exc.errno in _NO_LINKS:
                return None
            raise
        try:
            self.publish(second, digest, size_bytes)
        finally:
            remove_file(second)
        return digest, size_bytes

    def _copy(self, sources: Sequence[Source], digests: Sequence[str]) -> tuple[str, int]:
        """Publish a copy of the parts."""
        upload = self.upload(f"join-{uuid.uuid4().hex}", sum(source.size for source in sources))
        try:
            for number, (source, digest) in enumerate(zip(sources, digests, strict=True), 1):
                for piece in _pieces(source, digest, number):
                    upload.write(piece)
            return upload.finish_as_hashed()
        finally:
            upload.abort()

    def end_parts(self, key: str, *, joined: bool) -> None:
        """Drop what is left of an upload in parts; one that was joined is remembered. Raises Conflict while it joins.

        One that is not there is no error.
        """
        opened, done = (self._parts_path(key, state) for state in ("open", "done"))
        try:
            with contextlib.suppress(NotFound), self._alone(key):
                if joined:
                    opened.replace(done)
                else:
                    remove_file(opened)
            for path in names_in(self._staging):
                if path.name.startswith(f"mp-{key}-") and path not in (opened, done):
                    remove_file(path)
        except OSError as exc:
            raise translated(exc, "an upload in parts") from exc

    @contextlib.contextmanager
    def _alone(self, key: str) -> Iterator[None]:
        """Be the only one who joins or ends an upload; the lock dies with its process."""
        path = self._parts_path(key, "open")
        try:
            fd = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0))
        except FileNotFoundError:
            raise _ended(key) from None
        except OSError as exc:
            raise translated(exc, "an upload in parts") from exc
        try:
            if not try_lock(fd):
                raise Conflict("this upload is just being put together.", hint="Try again in a moment.", upload=key)
            if not is_at(fd, path):  # it ended while we came
                raise _ended(key)
            yield
        finally:
            os.close(fd)

    def _parts_path(self, key: str, what: str) -> Path:
        if not _KEY.fullmatch(key):
            raise InvalidInput(f"{ascii(key)[:80]} is no upload in parts.", hint="Begin one.")
        return self._staging / f"mp-{key}-{what}"


def _pieces(source: Source, digest: str, number: int) -> Iterator[memoryview]:
    """Yield the bytes of a part; each piece holds until the next. Raises InvalidInput after the last unless they are
    those of `digest`.
    """
    hasher, buffer, left = hashlib.sha256(), memoryview(bytearray(READ_BYTES)), source.size
    with open_plain(source.path) as file:
        file.seek(source.offset)
        while left and (count := file.readinto(buffer[: min(left, READ_BYTES)])):  # type: ignore[attr-defined]
            hasher.update(buffer[:count])
            left -= count
            yield buffer[:count]
    found = PREFIX + hasher.hexdigest()
    if found != digest:
        raise InvalidInput(
            f"part {number} of the upload holds other bytes than its ETag says.",
            hint="Send the part again and complete the upload with the ETag that comes back.",
            part=number,
            digest=digest,
            found=found,
        )


def _ended(key: str) -> NotFound:
    return NotFound(
        "there is no such upload: it was completed, aborted or given up.", hint="Begin it again.", upload=key
    )
