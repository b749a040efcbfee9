"""Uploads in parts: each part is a staging file of its own until all are there and are joined into one blob.

`staging/mp-<32 hex>-open` says that an upload goes on and how many parts it has, `mp-<32 hex>-<n>` is a part, `…-done`
is left of an upload that was joined. The order of the steps is what keeps them right without a lock between them: a
part is put in its place first and looks for `-open` afterwards, ending an upload takes `-open` away first and the parts
afterwards; so whoever comes second takes the part away.

Parts are not made durable one by one: joining reads and hashes every byte again, and what a power cut took is missing
or wrong then, never unnoticed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from greenroom.blobs.disk import (
    DiskWatch,
    is_at,
    names_in,
    open_plain,
    open_staged,
    plain_size,
    remove_file,
    translated,
    try_lock,
    write_all,
)
from greenroom.blobs.uploading import READ_BYTES, FilesystemUpload
from greenroom.core.digest import PREFIX
from greenroom.core.errors import Conflict, InvalidInput, NotFound
from greenroom.services.ports import Parts

_KEY = re.compile(r"[0-9a-f]{32}")


class UploadsInParts:
    """The part of `FilesystemBlobs` that is about uploads in parts."""

    disk: DiskWatch
    _staging: Path

    def upload(self, upload_id: str, coming: int = 0) -> FilesystemUpload:
        """Start an upload of a whole blob."""
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

    def join_parts(self, key: str, digests: Sequence[str]) -> tuple[str, int]:
        """Publish the parts, in order, as one blob; returns its digest and size in bytes. The parts stay.

        Raises InvalidInput for a part that is missing or other than `digests` says, NotFound when the upload has ended,
        Conflict while it is being joined, StorageFull.
        """
        with self._alone(key):
            paths = [self._parts_path(key, str(number)) for number in range(1, len(digests) + 1)]
            sizes = [plain_size(path) for path in paths]
            missing = [number for number, size in enumerate(sizes, 1) if size is None]
            if missing:
                raise InvalidInput(
                    f"of {len(digests)} parts {len(missing)} did not arrive, the first of them is part {missing[0]}.",
                    hint="Send the missing parts, then complete the upload again.",
                    missing=missing[:100],
                )
            upload = self.upload(f"join-{uuid.uuid4().hex}", sum(size or 0 for size in sizes))
            try:
                for number, (path, digest) in enumerate(zip(paths, digests, strict=True), 1):
                    _append(upload, path, digest, number)
                return upload.finish_as_hashed()
            except OSError as exc:
                raise translated(exc, "an upload in parts") from exc
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


def _append(upload: FilesystemUpload, path: Path, digest: str, number: int) -> None:
    hasher, buffer = hashlib.sha256(), memoryview(bytearray(READ_BYTES))
    with open_plain(path) as source:
        while count := source.readinto(buffer):  # type: ignore[attr-defined]
            hasher.update(buffer[:count])
            upload.write(buffer[:count])
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
