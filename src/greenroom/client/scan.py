"""What is in a folder: every file with its digest, and nothing that could not be a file of a version.

Hashing takes longest, so digests of big files are remembered by path, size, times and inode.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from greenroom.client.cache import cache_folder, digest_of_file
from greenroom.client.progress import Advance, ignore
from greenroom.core.digest import manifest_of, parse_digest
from greenroom.core.errors import InvalidInput
from greenroom.core.model import File
from greenroom.core.names import check_path, shown

_THREADS = 2
_REMEMBER_FROM_BYTES = 256 << 10  # below this, hashing costs less than remembering
_REMEMBER_FILES = 10_000
# A file that was written a moment ago may be written again within the same tick of its clock.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Stamp:
    """What changes when somebody writes to a file."""

    size_bytes: int
    mtime_ns: int
    ctime_ns: int
    inode: int


@dataclass(frozen=True)
class LocalFile:
    """A file of a version-to-be: its path in the manifest, its bytes' digest, where it lies and its state then."""

    path: str
    digest: str
    size_bytes: int
    file: Path
    stamp: Stamp

    @property
    def entry(self) -> File:
        """The manifest's entry for it."""
        return File(self.path, self.digest, self.size_bytes)


def stamp_of(file: Path) -> Stamp:
    """Return the state of `file` now. Raises OSError."""
    found = file.stat()
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


class DigestCache:
    """Digests of files on this machine, in a JSON file (None: in `cache_folder()`); losing it costs time only."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = cache_folder() / "digests.json" if path is None else path
        self._known: dict[str, list[object]] = {}
        self._new: dict[str, list[object]] = {}
        with contextlib.suppress(OSError, ValueError, RecursionError):
            loaded = json.loads(self._path.read_bytes())
            if isinstance(loaded, dict):
                self._known = {name: row for name, row in loaded.items() if isinstance(row, list)}

    def find(self, file: Path, stamp: Stamp) -> str | None:
        """Return the digest of `file` if it is in the state in which it was hashed; None if that is not known."""
        row = self._known.get(str(file))
        if row is None or row[:-1] != _row(stamp):
            return None
        with contextlib.suppress(InvalidInput):
            return parse_digest(str(row[-1]))
        return None

    def remember(self, file: Path, stamp: Stamp, digest: str) -> None:
        """Note the digest of a file, unless it is small or so fresh that a change might not show."""
        changed_ns = max(stamp.mtime_ns, stamp.ctime_ns)
        if stamp.size_bytes >= _REMEMBER_FROM_BYTES and time.time_ns() - changed_ns > _SETTLED_NS:
            self._new[str(file)] = [*_row(stamp), digest]

    def save(self) -> None:
        """Write what is new; a folder that cannot be written is no error."""
        if not self._new:
            return
        rows = [item for item in self._known.items() if item[0] not in self._new] + list(self._new.items())
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd, name = tempfile.mkstemp(dir=self._path.parent, prefix=".digests-")
            with os.fdopen(fd, "w", encoding="utf-8") as out:
                json.dump(dict(rows[-_REMEMBER_FILES:]), out)
            Path(name).replace(self._path)


def _row(stamp: Stamp) -> list[object]:
    return [stamp.size_bytes, stamp.mtime_ns, stamp.ctime_ns, stamp.inode]


def scan(folder: Path, *, digests: DigestCache | None = None, advance: Advance = ignore) -> list[LocalFile]:
    """Return every file below `folder`, sorted by path, with its digest; of a single file, that file under its name.

    `digests` None hashes everything. Raises InvalidInput when there is no file, for a name that no path may have, for
    anything that is neither file nor folder, for a link that leads out or to a folder, and for a file that changes
    while it is read.
    """
    return hash_files(list(files_in(folder)), digests=digests, advance=advance)


def hash_files(
    found: Sequence[tuple[str, Path]], *, digests: DigestCache | None = None, advance: Advance = ignore
) -> list[LocalFile]:
    """Return what `files_in` found, with digests, sorted by path. Raises InvalidInput as `scan` does."""
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="greenroom-scan")
    try:
        hashed = list(threads.map(lambda each: _hashed(each[0], each[1], digests, advance), found))
    finally:
        threads.shutdown(cancel_futures=True)
    if digests is not None:
        digests.save()
    manifest_of(each.entry for each in hashed)  # names that exclude each other are found before anything is sent
    return sorted(hashed, key=lambda each: each.path)


def files_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield (path in the manifest, file) of everything below `folder`. Raises InvalidInput as `scan` does."""
    try:
        root = folder.resolve(strict=True)
        if stat.S_ISREG(root.stat().st_mode):
            yield check_path(folder.name or root.name), root
            return
        if not root.is_dir():
            raise InvalidInput(f"{folder} is neither a folder nor a file.", path=str(folder))
        is_empty = True
        for each in _walk(root, root, ""):
            is_empty = False
            yield each
    except FileNotFoundError as exc:
        raise InvalidInput(f"{exc.filename or folder} does not exist.", path=str(folder)) from exc
    except OSError as exc:
        raise InvalidInput(
            f"{exc.filename or folder} cannot be read: {exc.strerror or exc}.", path=str(folder)
        ) from exc
    if is_empty:
        raise InvalidInput(f"{folder} holds no files.", hint="Give the folder that the model was saved to.")


def _walk(root: Path, folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        listed = sorted(entries, key=lambda entry: entry.name)
    for entry in listed:
        path, file = prefix + entry.name, folder / entry.name
        if entry.is_symlink():
            yield check_path(path), _linked_file(root, file, path)
        elif entry.is_dir(follow_symlinks=False):
            yield from _walk(root, file, path + "/")
        elif entry.is_file(follow_symlinks=False):
            yield check_path(path), file
        else:
            raise InvalidInput(
                f"{shown(path)!r} is a {_kind_of(entry)}, not a file.", hint="Remove it from the folder.", path=path
            )


def _linked_file(root: Path, link: Path, path: str) -> Path:
    """Return the file that a link inside the folder leads to, if that is inside as well."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as exc:  # RuntimeError: a loop
        raise InvalidInput(f"{shown(path)!r} is a link that leads nowhere.", hint="Remove it.", path=path) from exc
    if not target.is_relative_to(root):
        raise InvalidInput(
            f"{shown(path)!r} is a link that leads out of the folder.",
            hint="Put a copy of the file in its place (`cp -L`), or save the model without links.",
            path=path,
        )
    if not target.is_file():
        raise InvalidInput(
            f"{shown(path)!r} is a link to something that is no file.", hint="Only links to files are kept.", path=path
        )
    return target


def _kind_of(entry: os.DirEntry[str]) -> str:
    mode = entry.stat(follow_symlinks=False).st_mode
    kinds = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "named pipe", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
    return kinds.get(stat.S_IFMT(mode), "special file")


def _hashed(path: str, file: Path, digests: DigestCache | None, advance: Advance) -> LocalFile:
    try:
        before = stamp_of(file)
        digest = digests.find(file, before) if digests is not None else None
        if digest is None:
            digest = digest_of_file(file, advance)
            if stamp_of(file) != before:
                raise changed(path)
            if digests is not None:
                digests.remember(file, before, digest)
        else:
            advance(before.size_bytes)
    except OSError as exc:
        raise InvalidInput(f"{shown(path)!r} cannot be read: {exc.strerror or exc}.", path=path) from exc
    return LocalFile(path, digest, before.size_bytes, file, before)


def changed(path: str) -> InvalidInput:
    """Return the error for a file that somebody writes to while it is read."""
    return InvalidInput(
        f"{shown(path)!r} changed while it was being read.",
        hint="Wait until it is complete, then try again.",
        path=path,
    )
