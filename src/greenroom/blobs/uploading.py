"""One upload on its way into a folder of blobs: staged in one file, hashed while it is written, then published."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Protocol

from greenroom.blobs.disk import (
    DiskWatch,
    is_at,
    make_durable,
    open_staged,
    remove_file,
    translated,
    try_lock,
    write_all,
)
from greenroom.core.digest import PREFIX, parse_digest
from greenroom.core.errors import Conflict, InvalidInput

READ_BYTES = 1 << 20
_TAKEN_OVER = "was taken over by a later request"
_ELSEWHERE = "is being received by another process"
_NOT_BEGUN = "has not begun"


class Home(Protocol):
    """What an upload needs of the blobs that it goes to."""

    disk: DiskWatch

    def publish(self, staged: Path, digest: str, size_bytes: int) -> None:
        """Move the synced file `staged` to its digest path, durably."""

    def keep_part(self, staged: Path, key: str, number: int) -> None:
        """Put the staged file in the place of a part. Raises NotFound when the upload in parts has ended."""

    def release(self, upload: FilesystemUpload) -> None:
        """Forget an upload that is closed."""


class FilesystemUpload:
    """A `BlobUpload`: bytes in one staging file, hashed while they are written. `FilesystemBlobs.upload` makes it."""

    def __init__(self, blobs: Home, upload_id: str, path: Path, earlier: FilesystemUpload | None) -> None:
        self.id = upload_id
        self._blobs, self._path, self._earlier = blobs, path, earlier
        self._lock = threading.RLock()
        self._hasher = hashlib.sha256()
        self._received = 0
        self._fd = -1
        self._closed_because: str | None = _NOT_BEGUN

    @property
    def received(self) -> int:
        """Bytes that are staged so far (a resumed upload starts above 0)."""
        return self._received

    def begin(self) -> None:
        """Open the staging file and hash what it holds. Raises Unavailable, StorageFull, Conflict (taken over)."""
        with self._lock:
            self._take_over()
            if self._closed_because != _NOT_BEGUN:
                raise self._not_open()
            try:
                self._fd = self._open()
                self._closed_because = None
                buffer = memoryview(bytearray(READ_BYTES if os.fstat(self._fd).st_size else 0))
                with open(self._fd, "rb", buffering=0, closefd=False) as file:
                    while buffer and (count := file.readinto(buffer)):
                        self._hasher.update(buffer[:count])
                        self._received += count
            except OSError as exc:
                raise translated(exc, f"the upload {self.id}") from exc

    def _open(self) -> int:
        """Open the staging file for this process alone. Raises Conflict while another process is receiving it.

        Two writers of one file could change bytes after one of them had hashed and published them. The lock dies with
        its process; a file that was published or swept before we had the lock is not the one at the path any more.
        """
        while True:
            fd = open_staged(self._path)
            if not try_lock(fd):
                os.close(fd)
                self._closed_because = _ELSEWHERE
                raise self._not_open()
            if is_at(fd, self._path):
                return fd
            os.close(fd)

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes. Raises StorageFull when the disk is (what fitted stays staged), Conflict when taken over."""
        with self._lock:
            self._require_open()
            self._blobs.disk.require_room()
            view = memoryview(piece)
            try:
                write_all(self._fd, view)
            except OSError as exc:
                self._closed_because = "could not be written"  # the file is ahead of the hash: only a resume can go on
                raise translated(exc, f"the upload {self.id}") from exc
            self._hasher.update(view)
            self._received += len(view)

    def finish(self, digest: str, size_bytes: int) -> None:
        """Check size and digest, make durable, publish under the digest; a blob that is there already is kept.

        Raises InvalidInput when the bytes are not those of `digest` (the staged bytes are dropped then).
        """
        with self._lock:
            self._require_open()
            parse_digest(digest)
            found = PREFIX + self._hasher.hexdigest()
            if found != digest or self._received != size_bytes:
                received = self._received
                self.abort()
                raise InvalidInput(
                    f"the bytes are not those of {digest}: {received} bytes arrived, which hash to {found}, "
                    f"and {size_bytes} bytes were announced. Nothing was stored.",
                    hint="Compute the digest again and send the whole file again.",
                    digest=digest,
                    found=found,
                    received=received,
                    size_bytes=size_bytes,
                )
            self._publish(digest)

    def finish_as_hashed(self) -> tuple[str, int]:
        """Publish under the digest that the bytes have; returns it with their count. For edges that are told none."""
        with self._lock:
            self._require_open()
            digest, size_bytes = PREFIX + self._hasher.hexdigest(), self._received
            self._publish(digest)
            return digest, size_bytes

    def finish_as_part(self, key: str, number: int) -> str:
        """Keep the bytes as part `number` of the upload `key`, in place of what may be there; returns their digest.

        Raises NotFound when that upload has ended (nothing is kept).
        """
        with self._lock:
            self._require_open()
            digest = PREFIX + self._hasher.hexdigest()
            try:
                if os.name == "nt":  # which renames no open file
                    self._close_file()
                self._blobs.keep_part(self._path, key, number)
            except OSError as exc:
                self._close("could not be kept", drop=True)
                raise translated(exc, f"part {number} of an upload") from exc
            finally:
                self._close("is finished")
            return digest

    def pause(self) -> None:
        """Close, keeping what is staged for a later resume. Harmless on a closed upload."""
        with self._lock:
            self._close("was paused")

    def abort(self) -> None:
        """Close and drop what is staged. Harmless on a closed upload (one that was taken over keeps its bytes)."""
        with self._lock:
            self._close("was aborted", drop=self._fd >= 0)

    def lose(self) -> None:
        """Close for good because a later request goes on with the same upload."""
        with self._lock:
            self._take_over()
            self._close(_TAKEN_OVER)
            self._closed_because = _TAKEN_OVER

    def _take_over(self) -> None:
        """Close whoever held this upload before, and whoever *they* had not yet closed: one writer per file."""
        earlier, self._earlier = self._earlier, None
        if earlier is not None:
            earlier.lose()

    def _publish(self, digest: str) -> None:
        try:
            make_durable(self._fd, self._path, self._blobs.disk)
        except OSError as exc:
            # After a failed fsync the page cache may show bytes that the disk does not have (reliability F5).
            self._close("could not be made durable", drop=True)
            raise translated(exc, f"the blob {digest}") from exc
        try:
            if os.name == "nt":  # which renames no open file
                self._close_file()
            self._blobs.publish(self._path, digest, self._received)
        except OSError as exc:
            raise translated(exc, f"the blob {digest}") from exc
        finally:
            self._close("is finished")

    def _close(self, why: str, *, drop: bool = False) -> None:
        if self._closed_because is None:
            self._closed_because = why
        # Removed while file and id are still ours: afterwards the path may belong to a newer upload.
        if drop and os.name != "nt":
            remove_file(self._path)
        self._close_file()
        if drop and os.name == "nt":
            remove_file(self._path)
        self._blobs.release(self)

    def _close_file(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _require_open(self) -> None:
        if self._closed_because is not None:
            raise self._not_open()

    def _not_open(self) -> Conflict:
        return Conflict(
            f"the upload {self.id} {self._closed_because}.",
            hint="Ask how many bytes are staged and go on from there.",
            upload=self.id,
        )
