"""Blobs in a folder: `sha256/ab/<hex>` under their digest, `staging/<upload id>` on their way there.

A blob is published by write, fsync, rename, fsync of the folder, in this order, so that a digest path either holds all
the bytes on durable storage or is not there (design, "One upload"; reliability F4, F5, F9). Staging lies in the same
root, hence on the same file system, because a rename is atomic only there.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from greenroom.blobs.disk import (
    create_folder,
    open_plain,
    open_staged,
    plain_size,
    remove_file,
    require_folder,
    sync_folder,
    translated,
    write_all,
)
from greenroom.core.digest import PREFIX, hex_of, parse_digest
from greenroom.core.errors import Conflict, IntegrityFailure, InvalidInput, NotFound

READ_BYTES = 1 << 20
_UPLOAD_ID = re.compile(r"[a-z0-9-]{1,64}")
_TAKEN_OVER = "was taken over by a later request"
_NOT_BEGUN = "has not begun"
_HEX = re.compile(r"[0-9a-f]{64}")


class FilesystemBlobs:
    """A `BlobStore` in the folder `root`, which it creates (mode 0700) if it is not there.

    Threads may share it. One process at a time owns a root (the data folder's lock sees to that). Raises Unavailable
    when the folder cannot be used, and when a part of it is a symbolic link: bytes must not end up elsewhere.
    """

    def __init__(self, root: Path) -> None:
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root = root.resolve()
            self._blobs, self._staging = self.root / "sha256", self.root / "staging"
            for folder in (self._blobs, self._staging):
                create_folder(folder)
            sync_folder(self.root)
        except OSError as exc:
            raise translated(exc, f"the blob folder {root}") from exc
        require_folder(self._blobs)
        require_folder(self._staging)
        self._guard = threading.Lock()
        self._open_uploads: dict[str, FilesystemUpload] = {}
        self._durable_folders: set[str] = set()

    def size(self, digest: str) -> int | None:
        """Bytes of the blob, or None when it is not here. Raises InvalidInput for what is no digest."""
        return self._size_at(self.path_of(digest))

    def open(self, digest: str) -> BinaryIO:
        """Open for reading (seekable). Raises NotFound; a symbolic link in a blob's place is no blob."""
        path = self.path_of(digest)
        try:
            if not stat.S_ISDIR(path.parent.lstat().st_mode):
                raise _absent(digest)
            return open_plain(path)
        except FileNotFoundError as exc:
            raise _absent(digest) from exc
        except OSError as exc:
            raise translated(exc, f"the blob {digest}") from exc

    def upload(self, upload_id: str) -> FilesystemUpload:
        """Start the upload `upload_id`, or resume it: what is staged is hashed again, so this may take a while.

        Who held the same upload before loses it (its next write is a Conflict): a client that comes back after a lost
        connection must not wait until the server has noticed the loss. Raises InvalidInput for a malformed id.
        """
        path = self._staged_path(upload_id)
        with self._guard:
            upload = FilesystemUpload(self, upload_id, path, self._open_uploads.get(upload_id))
            self._open_uploads[upload_id] = upload
        try:
            upload.begin()
        except BaseException:
            upload.pause()
            raise
        return upload

    def staged(self, upload_id: str) -> int:
        """Bytes staged under `upload_id`; 0 when there are none. Raises InvalidInput for a malformed id."""
        return plain_size(self._staged_path(upload_id)) or 0

    def check(self, digest: str) -> None:
        """Re-hash the blob. Raises IntegrityFailure when the bytes are other bytes, NotFound when there are none."""
        hasher, buffer = hashlib.sha256(), memoryview(bytearray(READ_BYTES))
        size = 0
        try:
            with self.open(digest) as file:
                while count := file.readinto(buffer):  # type: ignore[attr-defined]
                    hasher.update(buffer[:count])
                    size += count
        except OSError as exc:
            raise translated(exc, f"the blob {digest}") from exc
        found = PREFIX + hasher.hexdigest()
        if found != digest:
            raise IntegrityFailure(
                f"the blob {digest} holds other bytes: they hash to {found}.",
                hint="Restore it from a backup, or push the file again after removing it.",
                digest=digest,
                found=found,
                size_bytes=size,
            )

    def digests(self) -> Iterator[tuple[str, int]]:
        """Every blob here with its size in bytes, sorted by digest. Files that are no blobs are passed over."""
        for folder in sorted(self._blobs.iterdir()):
            if len(folder.name) != 2 or folder.is_symlink() or not folder.is_dir():
                continue
            for path in sorted(folder.iterdir()):
                size = plain_size(path) if _HEX.fullmatch(path.name) and path.name[:2] == folder.name else None
                if size is not None:
                    yield PREFIX + path.name, size

    def remove(self, digest: str) -> None:
        """Remove a blob; an absent one is no error. Durable when it returns."""
        path = self.path_of(digest)
        try:
            remove_file(path)
            if path.parent.is_dir():
                sync_folder(path.parent)
        except OSError as exc:
            raise translated(exc, f"the blob {digest}") from exc

    def sweep_staging(self, older_than_s: float) -> int:
        """Drop staged uploads not touched for so long, but none that is being written; returns how many."""
        swept, limit = 0, time.time() - older_than_s
        for path in sorted(self._staging.iterdir()):
            with self._guard:
                if path.name in self._open_uploads or not _stale(path, limit):
                    continue
                remove_file(path)
            swept += 1
        return swept

    def path_of(self, digest: str) -> Path:
        """Where the blob lies, whether it is there or not. Raises InvalidInput for what is no digest."""
        digits = hex_of(parse_digest(digest))
        return self._blobs / digits[:2] / digits

    def publish(self, staged: Path, digest: str, size_bytes: int) -> None:
        """Move the synced file `staged` to its digest path, durably; one that is there with this size is kept."""
        target = self.path_of(digest)
        self._make_durable_folder(target.parent)
        if self._size_at(target) == size_bytes:
            remove_file(staged)
        else:
            try:
                staged.replace(target)
            except PermissionError:  # Windows: somebody published the same blob a moment ago and it is being read
                if plain_size(target) != size_bytes:
                    raise
                remove_file(staged)
        # Also for a blob that was there: whoever put it there may not have come to this line yet.
        sync_folder(target.parent)

    def release(self, upload: FilesystemUpload) -> None:
        """Forget an upload that is closed."""
        with self._guard:
            if self._open_uploads.get(upload.id) is upload:
                del self._open_uploads[upload.id]

    def _size_at(self, path: Path) -> int | None:
        return None if path.parent.is_symlink() else plain_size(path)

    def _make_durable_folder(self, folder: Path) -> None:
        if folder.name not in self._durable_folders:
            create_folder(folder)
            sync_folder(folder.parent)
            self._durable_folders.add(folder.name)
        require_folder(folder)

    def _staged_path(self, upload_id: str) -> Path:
        if not isinstance(upload_id, str) or not _UPLOAD_ID.fullmatch(upload_id):
            raise InvalidInput(
                f"{ascii(upload_id)[:80]} is not an upload id.",
                hint="An upload id is 1 to 64 characters of a-z, 0-9 and '-'.",
            )
        return self._staging / upload_id


class FilesystemUpload:
    """A `BlobUpload`: bytes in one staging file, hashed while they are written. `FilesystemBlobs.upload` makes it."""

    def __init__(self, blobs: FilesystemBlobs, upload_id: str, path: Path, earlier: FilesystemUpload | None) -> None:
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
                self._fd = open_staged(self._path)
                self._closed_because = None
                buffer = memoryview(bytearray(READ_BYTES if os.fstat(self._fd).st_size else 0))
                with open(self._fd, "rb", buffering=0, closefd=False) as file:
                    while buffer and (count := file.readinto(buffer)):
                        self._hasher.update(buffer[:count])
                        self._received += count
            except OSError as exc:
                raise translated(exc, f"the upload {self.id}") from exc

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes. Raises StorageFull when the disk is (what fitted stays staged), Conflict when taken over."""
        with self._lock:
            self._require_open()
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
            if hasattr(os, "fchmod"):
                os.fchmod(self._fd, 0o444)
            os.fsync(self._fd)
        except OSError as exc:
            # After a failed fsync the page cache may show bytes that the disk does not have (reliability F5).
            self._close("could not be made durable", drop=True)
            raise translated(exc, f"the blob {digest}") from exc
        fd, self._fd = self._fd, -1
        os.close(fd)  # before the rename, which Windows refuses for an open file
        try:
            self._blobs.publish(self._path, digest, self._received)
        except OSError as exc:
            raise translated(exc, f"the blob {digest}") from exc
        finally:
            self._close("is finished")

    def _close(self, why: str, *, drop: bool = False) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)
        if self._closed_because is None:
            self._closed_because = why
        # Removed while the id is still ours: afterwards the path may belong to a newer upload.
        if drop:
            remove_file(self._path)
        self._blobs.release(self)

    def _require_open(self) -> None:
        if self._closed_because is not None:
            raise self._not_open()

    def _not_open(self) -> Conflict:
        return Conflict(
            f"the upload {self.id} {self._closed_because}.",
            hint="Ask how many bytes are staged and go on from there.",
            upload=self.id,
        )


def _stale(path: Path, limit: float) -> bool:
    try:
        return path.lstat().st_mtime < limit
    except FileNotFoundError:
        return False


def _absent(digest: str) -> NotFound:
    return NotFound(f"no blob {digest} is stored here.", digest=digest)
