"""Blobs in a folder: `sha256/ab/<hex>` under their digest, `staging/<upload id>` on their way there.

A blob is published by write, fsync, rename, fsync of the folder, in this order, so that a digest path either holds all
the bytes on durable storage or is not there (design, "One upload"; reliability F4, F5, F9). Staging lies in the same
root, hence on the same file system, because a rename is atomic only there.
"""

from __future__ import annotations

import hashlib
import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from greenroom.blobs.disk import (
    DiskWatch,
    Unwatched,
    create_folder,
    names_in,
    open_plain,
    plain_size,
    remove_file,
    require_folder,
    sync_folder,
    translated,
)
from greenroom.blobs.parts import UploadsInParts
from greenroom.blobs.upkeep import Upkeep
from greenroom.blobs.uploading import READ_BYTES, FilesystemUpload
from greenroom.core.digest import PREFIX, hex_of, parse_digest
from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound

_UPLOAD_ID = re.compile(r"[a-z0-9-]{1,64}")
_HEX = re.compile(r"[0-9a-f]{64}")


class FilesystemBlobs(UploadsInParts, Upkeep):
    """A `BlobStore` in the folder `root`, which it creates (mode 0700) if it is not there.

    Threads may share it, and so may processes (servers of one database, embedded programs): what they could do to each
    other is kept apart by locks of the operating system (`uploading`, `collecting`) and by atomic renames. Raises
    Unavailable when the folder cannot be used, and when a part of it is a symbolic link: bytes must not end up
    elsewhere.
    """

    def __init__(self, root: Path, disk: DiskWatch | None = None) -> None:
        self.disk: DiskWatch = disk or Unwatched()
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.root = root.resolve()
            self._blobs, self._staging = self.root / "sha256", self.root / "staging"
            for folder in (self._blobs, self._staging):
                create_folder(folder)
            for folder in (self.root, self.root.parent):  # what is in it, and its own name
                sync_folder(folder, self.disk)
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

    def upload(self, upload_id: str, coming: int = 0) -> FilesystemUpload:
        """Start the upload `upload_id`, or resume it: what is staged is hashed again, so this may take a while.

        Who held the same upload before loses it (its next write is a Conflict): a client that comes back after a lost
        connection must not wait until the server has noticed the loss. Raises InvalidInput for a malformed
        id, StorageFull when there is no room for the `coming` bytes.
        """
        path = self._staged_path(upload_id)
        self.disk.require_room(coming)
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

    def digests(self, after: str = "") -> Iterator[tuple[str, int]]:
        """Every blob here with its size in bytes, sorted by digest. Files that are no blobs are passed over.

        With `after` only those behind that digest, which need not be here.
        """
        start = after.removeprefix(PREFIX)
        for folder in names_in(self._blobs):
            if len(folder.name) != 2 or folder.name < start[:2] or folder.is_symlink() or not folder.is_dir():
                continue
            for path in (each for each in names_in(folder) if each.name > start):
                size = plain_size(path) if _HEX.fullmatch(path.name) and path.name[:2] == folder.name else None
                if size is not None:
                    yield PREFIX + path.name, size

    def remove(self, digest: str) -> None:
        """Remove a blob; an absent one is no error. Durable when it returns."""
        path = self.path_of(digest)
        try:
            remove_file(path)
            if path.parent.is_dir():
                sync_folder(path.parent, self.disk)
        except OSError as exc:
            raise translated(exc, f"the blob {digest}") from exc

    def path_of(self, digest: str) -> Path:
        """Where the blob lies, whether it is there or not. Raises InvalidInput for what is no digest."""
        digits = hex_of(parse_digest(digest))
        return self._blobs / digits[:2] / digits

    def publish(self, staged: Path, digest: str, size_bytes: int) -> None:
        """Move the synced file `staged` to its digest path, durably, in place of what may be there.

        What is there has the same bytes, or it is damaged: then this is what heals it. Readers keep what they opened.
        """
        target = self.path_of(digest)
        self._make_durable_folder(target.parent)
        try:
            staged.replace(target)
        except PermissionError:  # Windows: somebody published the same blob a moment ago and it is being read
            if plain_size(target) != size_bytes:
                raise
            remove_file(staged)
        sync_folder(target.parent, self.disk)

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
            sync_folder(folder.parent, self.disk)
            self._durable_folders.add(folder.name)
        require_folder(folder)

    def _staged_path(self, upload_id: str) -> Path:
        if not isinstance(upload_id, str) or not _UPLOAD_ID.fullmatch(upload_id):
            raise InvalidInput(
                f"{ascii(upload_id)[:80]} is not an upload id.",
                hint="An upload id is 1 to 64 characters of a-z, 0-9 and '-'.",
            )
        return self._staging / upload_id


def _absent(digest: str) -> NotFound:
    return NotFound(f"no blob {digest} is stored here.", digest=digest)
