"""Blobs that this machine has already: a pull links them instead of fetching them again.

A blob is verified once and its size, modification time and inode are noted; as long as they are the same it is
believed, when they differ it is hashed again, and dropped when it is wrong. Files are hard links, so a second copy
costs nothing; the links are read-only, because writing into one would write into all. Several processes may use one
cache: every step is a single atomic file operation, and a blob that disappears meanwhile is fetched again. Nothing
that goes wrong here is an error for the caller: without its cache a pull is only slower.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from greenroom.client.progress import Advance, ignore
from greenroom.core.digest import PREFIX, hex_of, parse_digest
from greenroom.core.errors import InvalidInput

DEFAULT_MAX_BYTES = 20 << 30
_READ_BYTES = 1 << 20
_READ_ONLY = 0o444
_UNFINISHED = ".new-"
_ABANDONED_S = 86_400


def cache_folder(env: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None) -> Path:
    """Return the folder for what can be fetched again: GREENROOM_CACHE, else the platform's place for caches."""
    given = os.environ if env is None else env
    if given.get("GREENROOM_CACHE"):
        return Path(given["GREENROOM_CACHE"]).expanduser()
    base = Path.home() if home is None else home
    if platform == "win32":
        local = given.get("LOCALAPPDATA")
        return (Path(local) if local else base / "AppData" / "Local") / "greenroom" / "cache"
    if platform == "darwin":
        return base / "Library" / "Caches" / "greenroom"
    xdg = Path(given.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else base / ".cache") / "greenroom"  # a relative one is to be ignored, says XDG


def digest_of_file(path: Path, advance: Advance = ignore) -> str:
    """Return the digest of a file's bytes; `advance` is told how many were read. Raises OSError."""
    hasher, buffer = hashlib.sha256(), memoryview(bytearray(_READ_BYTES))
    with path.open("rb", buffering=0) as file:
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
            advance(count)
    return PREFIX + hasher.hexdigest()


class BlobCache:
    """Read-only blobs under `root` (None: in `cache_folder()`), kept below `max_bytes` by `prune`."""

    def __init__(self, root: Path | None = None, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.root = cache_folder() / "blobs" if root is None else root
        self.max_bytes = max_bytes

    def link_into(self, digest: str, target: Path) -> bool:
        """Put the blob at `target` (which must not exist): a hard link, or a copy where links are impossible.

        False when the blob is not here or turned out to be wrong; `target` does not exist then.
        """
        blob, note = self._paths(digest)
        try:
            found = blob.lstat()
            if not self._is_good(digest, blob, note, found):
                return False
            if not _link(blob, target):
                return _copy(blob, target, digest)
            if _noted(target.lstat()) != _noted(found):  # somebody put another file in its place meanwhile
                target.unlink()
                return False
        except OSError:
            return False
        with contextlib.suppress(OSError):
            os.utime(note)  # its time is when the blob was last used
        return True

    def add(self, file: Path, digest: str) -> bool:
        """Keep `file`, which has just been verified and is not written any more; it becomes read-only.

        False when it could not be kept, for example on another file system that is full.
        """
        blob, note = self._paths(digest)
        try:
            blob.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                if _link(file, blob):
                    blob.chmod(_READ_ONLY)
                else:
                    _copy_in(file, blob)
            if blob.lstat().st_size != file.stat().st_size:
                return False
            if not note.exists():
                _write_note(note, blob.lstat())
        except OSError:
            return False
        return True

    def prune(self, max_bytes: int | None = None) -> int:
        """Drop the blobs that were used longest ago until `max_bytes` (None: the cache's own) are left.

        Returns the bytes dropped. Files that were linked from here stay where they are.
        """
        limit = self.max_bytes if max_bytes is None else max_bytes
        kept = sorted(self._by_last_use(), reverse=True)
        used = dropped = 0
        for _, size, digest in kept:
            used += size
            if used > limit:
                self._drop(digest)
                dropped += size
        return dropped

    def _by_last_use(self) -> list[tuple[int, int, str]]:
        found = []
        for path in self.root.glob("*/*/*"):
            with contextlib.suppress(OSError, InvalidInput):
                if path.name.startswith(_UNFINISHED) and time.time() - path.lstat().st_mtime > _ABANDONED_S:
                    path.unlink()  # by a process that was killed
                blob, note = self._paths(PREFIX + path.name)
                if path != blob:
                    continue
                used = note.stat().st_mtime_ns if note.exists() else 0
                found.append((used, blob.lstat().st_size, PREFIX + path.name))
        return found

    def _paths(self, digest: str) -> tuple[Path, Path]:
        digits = hex_of(parse_digest(digest))
        return self.root / "sha256" / digits[:2] / digits, self.root / "notes" / digits[:2] / digits

    def _is_good(self, digest: str, blob: Path, note: Path, found: os.stat_result) -> bool:
        if not stat.S_ISREG(found.st_mode):
            return False
        with contextlib.suppress(OSError, ValueError):
            if note.read_text("ascii") == _noted(found):
                return True
        if digest_of_file(blob) != digest or _noted(blob.lstat()) != _noted(found):
            self._drop(digest)
            return False
        _write_note(note, found)
        return True

    def _drop(self, digest: str) -> None:
        for path in self._paths(digest):
            with contextlib.suppress(OSError):
                try:
                    path.unlink(missing_ok=True)
                except PermissionError:  # Windows removes no read-only file
                    path.chmod(stat.S_IREAD | stat.S_IWRITE)
                    path.unlink(missing_ok=True)


def _noted(found: os.stat_result) -> str:
    return f"{found.st_size} {found.st_mtime_ns} {found.st_ino}"


def _write_note(note: Path, found: os.stat_result) -> None:
    note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=note.parent, prefix=_UNFINISHED)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(_noted(found))
    Path(name).replace(note)


def _link(source: Path, target: Path) -> bool:
    """Make a hard link; False where the file system or a limit does not allow it. Raises FileExistsError."""
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        if not source.exists():
            raise
        return False
    return True


def _copy(blob: Path, target: Path, digest: str) -> bool:
    """Copy a blob to a file of its own; a copy that is not the blob (it was being dropped) is taken away again."""
    shutil.copyfile(blob, target)
    if digest_of_file(target) == digest:
        return True
    target.unlink()
    return False


def _copy_in(file: Path, blob: Path) -> None:
    fd, name = tempfile.mkstemp(dir=blob.parent, prefix=_UNFINISHED)
    os.close(fd)
    try:
        shutil.copyfile(file, name)
        Path(name).chmod(_READ_ONLY)
        Path(name).replace(blob)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
