"""What file systems differ in, said once: private folders, plain files, durable renames, and errors in our words."""

from __future__ import annotations

import errno
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO, Protocol

from greenroom.core.errors import GreenroomError, StorageFull, Unavailable

if sys.platform == "win32":  # pragma: no cover - not run here
    import msvcrt

    def try_lock(fd: int) -> bool:
        """Take a lock on an open file that ends with its process; False when somebody has it."""
        try:
            os.lseek(fd, 1 << 62, os.SEEK_SET)  # far behind the bytes, which stay readable
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        finally:
            os.lseek(fd, 0, os.SEEK_SET)
        return True
else:
    import fcntl

    def try_lock(fd: int) -> bool:
        """Take a lock on an open file that ends with its process; False when somebody has it."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_PRIVATE_FILE = 0o600

# Bigger writes make large page-cache folios, which on some virtual machines cost a fault each: 64 KiB wrote 1 162 MiB/s
# where 1 MiB wrote 319 (stack, section 3).
WRITE_BYTES = 64 << 10

_FULL = {errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}


class DiskWatch(Protocol):
    """Who is asked before bytes are taken, and told when the disk failed them."""

    def require_room(self, size_bytes: int = 0) -> None:
        """Raise StorageFull or Unavailable when a file, with `size_bytes` still to come, must not be taken."""

    def failed(self, what: str) -> None:
        """Note that an fsync failed: this process must not write any more."""


class Unwatched:
    """A disk that nobody watches: bytes are taken until it is full."""

    def require_room(self, size_bytes: int = 0) -> None:
        """See `DiskWatch`: always."""

    def failed(self, what: str) -> None:
        """See `DiskWatch`: the error alone says it."""


def sync(fd: int, what: str, watch: DiskWatch) -> None:
    """Make a file or folder durable. A failure is told to `watch` and raised: a second answer could not be believed."""
    try:
        os.fsync(fd)
    except OSError as exc:
        if not (exc.errno in (errno.EINVAL, errno.ENOTSUP) and stat.S_ISDIR(os.fstat(fd).st_mode)):
            watch.failed(f"{what} could not be made durable ({exc.strerror}).")
            raise  # of folders, some network file systems cannot do it


def translated(exc: OSError, what: str) -> GreenroomError:
    """Return the error a caller can act on: StorageFull for a full disk or quota, Unavailable for everything else."""
    reason = exc.strerror or str(exc)
    if exc.errno in _FULL:
        return StorageFull(
            f"no space is left for {what} ({reason}); nothing was published.", hint="Free some space, then try again."
        )
    hint = "Check who owns the folder and how it is mounted." if exc.errno in _CLOSED else "Check the server's disk."
    return Unavailable(f"cannot use {what}: {reason}.", hint=hint, errno=errno.errorcode.get(exc.errno or 0, "unknown"))


def create_folder(path: Path) -> None:
    """Create a folder that only its owner may enter; one that is there is kept as it is."""
    path.mkdir(mode=0o700, exist_ok=True)


def require_folder(path: Path) -> None:
    """Raise Unavailable unless `path` is a folder itself: through a symbolic link the bytes would end up elsewhere."""
    if not stat.S_ISDIR(path.lstat().st_mode):
        raise Unavailable(f"{path} is not a folder.", hint="Replace it with a folder; links are not followed.")


def names_in(folder: Path) -> list[Path]:
    """Return what is in a folder, sorted; one that is not there is empty. Raises Unavailable when it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise _unreadable(exc, folder) from exc


def _unreadable(exc: OSError, path: Path) -> GreenroomError:
    """Return the error for what cannot be read: whatever the reason, making room would not help."""
    return Unavailable(f"cannot read {path}: {exc.strerror or exc}.", hint="Check the server's disk.")


def plain_size(path: Path) -> int | None:
    """Return the size in bytes of the regular file `path`; None when there is none (a link is none)."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as exc:
        raise translated(exc, str(path)) from exc
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def open_plain(path: Path) -> BinaryIO:
    """Open the regular file `path` for reading. Raises FileNotFoundError when it is a link or something else."""
    # Without O_NONBLOCK a FIFO in a blob's place would hang the reader.
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        fd = os.open(path, flags)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, getattr(errno, "EMLINK", errno.ELOOP)):
            raise FileNotFoundError(errno.ENOENT, "is a symbolic link", str(path)) from exc
        raise
    if not stat.S_ISREG(os.fstat(fd).st_mode) or (not hasattr(os, "O_NOFOLLOW") and path.is_symlink()):
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, "is not a regular file", str(path))
    return os.fdopen(fd, "rb")


def open_staged(path: Path) -> int:
    """Open (or create, mode 0600) a staging file for reading and appending; returns its file descriptor."""
    flags = os.O_RDWR | os.O_CREAT
    for name in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
        flags |= getattr(os, name, 0)
    try:
        return os.open(path, flags, _PRIVATE_FILE)
    except PermissionError:
        if plain_size(path) is None:
            raise
        path.chmod(_PRIVATE_FILE)  # we were stopped between making it read-only and publishing it
        return os.open(path, flags, _PRIVATE_FILE)


def is_at(fd: int, path: Path) -> bool:
    """Say whether the open file is still the one that `path` names."""
    try:
        named, opened = path.lstat(), os.fstat(fd)
    except FileNotFoundError:
        return False
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def write_all(fd: int, view: memoryview) -> None:
    """Write all of `view`, in pieces of the measured size."""
    for start in range(0, len(view), WRITE_BYTES):
        piece = view[start : start + WRITE_BYTES]
        while len(piece):
            piece = piece[os.write(fd, piece) :]


def make_durable(fd: int, path: Path, watch: DiskWatch) -> None:
    """Make a file that becomes a blob read-only and durable, before it gets a blob's name."""
    if hasattr(os, "fchmod"):
        os.fchmod(fd, 0o444)
    os.utime(fd if os.utime in os.supports_fd else path)  # its age begins when it is published
    sync(fd, "a file", watch)


def write_all_at(fd: int, view: memoryview, offset: int) -> None:
    """Write all of `view` at `offset` bytes from the beginning, in pieces of the measured size."""
    at = 0
    while at < len(view):
        at += os.pwrite(fd, view[at : at + WRITE_BYTES], offset + at)


def sync_folder(path: Path, watch: DiskWatch) -> None:
    """Make the names in a folder durable, where the platform can (Windows cannot, and its renames do not need it)."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(fd, f"the folder {path.name}", watch)
    finally:
        os.close(fd)


def remove_file(path: Path) -> None:
    """Remove a file; an absent one is no error."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name != "nt":
            raise
        path.chmod(stat.S_IWRITE)  # Windows removes no read-only file
        path.unlink(missing_ok=True)
