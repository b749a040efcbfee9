"""Keeping a folder of blobs in order: one collector at a time, damaged files set aside, what does not belong named.

Layout besides the blobs: `damaged/<hex>.<n>` is what was set aside, `collector.lock` is held by who takes blobs away.
Nothing that is not ours, and nothing that was ever a blob of a version, is deleted here; it is moved to `damaged/`.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import stat
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from greenroom.blobs.disk import (
    DiskWatch,
    create_folder,
    is_at,
    names_in,
    open_staged,
    plain_size,
    remove_file,
    require_folder,
    sync_folder,
    translated,
    try_lock,
)
from greenroom.core.digest import hex_of
from greenroom.core.errors import Conflict
from greenroom.services.ports import PARTS_IDLE_S, Oddity

ASIDE = "damaged"
LOCK = "collector.lock"
_PART = re.compile(r"(mp-[0-9a-f]{32})-[a-z0-9]+")
_BLOB_NAME = re.compile(r"[0-9a-f]{64}")
_OURS = frozenset({"sha256", "staging", ASIDE, LOCK})
_BLOB_MODE = 0o444
_FOLDER_MODE = 0o700


class Upkeep:
    """The part of `FilesystemBlobs` that is about order."""

    root: Path
    disk: DiskWatch
    _blobs: Path
    _staging: Path
    _guard: threading.Lock
    _open_uploads: Mapping[str, object]

    def path_of(self, digest: str) -> Path:
        """Where the blob lies, whether it is there or not."""
        raise NotImplementedError

    @contextlib.contextmanager
    def collecting(self) -> Iterator[None]:
        """Be the only one who takes blobs away. Raises Conflict while another process or thread does, Unavailable."""
        try:
            fd = open_staged(self.root / LOCK)
        except OSError as exc:
            raise translated(exc, f"the blob folder {self.root}") from exc
        try:
            if not try_lock(fd):
                raise Conflict(
                    "another process is collecting or repairing blobs already.", hint="Wait until it is done."
                )
            yield
        finally:
            os.close(fd)

    def age_s(self, digest: str) -> float | None:
        """Seconds since the blob was published, or None when it is not here."""
        try:
            return time.time() - self.path_of(digest).lstat().st_mtime
        except (FileNotFoundError, NotADirectoryError):
            return None

    def set_aside(self, digest: str) -> str | None:
        """Move what lies in a blob's place to `damaged/`, whatever it is; None when nothing lies there."""
        return self._move_aside(self.path_of(digest), hex_of(digest))

    def _move_aside(self, path: Path, name: str) -> str | None:
        aside = self.root / ASIDE
        try:
            create_folder(aside)
            require_folder(aside)
            free = (each for number in itertools.count(1) if not os.path.lexists(each := aside / f"{name}.{number}"))
            target = next(free)
            path.rename(target)
            sync_folder(aside, self.disk)
            sync_folder(path.parent, self.disk)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise translated(exc, str(path)) from exc
        return target.name

    def sweep_staging(self, older_than_s: float, parts_idle_s: float = PARTS_IDLE_S) -> int:
        """Drop staged uploads not touched for so long, but none that is being written; returns how many.

        The parts of an upload go together: when none arrived for so long, nor for `parts_idle_s`.
        """
        # In the order of their names, in which the note that speaks for the parts of an upload is the last of them.
        return sum(self._drop(path, older_than_s, parts_idle_s) for path in self._stale(older_than_s, parts_idle_s))

    def stale_staging(self, older_than_s: float, parts_idle_s: float = PARTS_IDLE_S) -> int:
        """Count what `sweep_staging` would drop."""
        return sum(1 for _ in self._stale(older_than_s, parts_idle_s))

    def _stale(self, older_than_s: float, parts_idle_s: float = PARTS_IDLE_S) -> Iterator[Path]:
        for path in names_in(self._staging):
            if path.name not in self._open_uploads and self._is_stale(path, older_than_s, parts_idle_s):
                yield path

    def _is_stale(self, path: Path, older_than_s: float, parts_idle_s: float) -> bool:
        """Say whether nobody went on with an upload for so long. Of one in parts its note speaks for all of them."""
        found = _PART.fullmatch(path.name)
        if found is not None:
            with contextlib.suppress(FileNotFoundError):
                idle_s = time.time() - path.with_name(f"{found[1]}-open").lstat().st_mtime
                return idle_s > max(older_than_s, parts_idle_s)
        with contextlib.suppress(FileNotFoundError):
            return path.lstat().st_mtime < time.time() - older_than_s
        return False

    def _drop(self, path: Path, older_than_s: float, parts_idle_s: float) -> bool:
        """Remove a staging file unless this process or another one is writing it."""
        if plain_size(path) is None:
            return False  # a link, a folder: not ours; `oddities` names it
        with self._guard:
            if path.name in self._open_uploads:
                return False
            if path.lstat().st_nlink > 1:  # a blob's second name: the file itself is not ours to open any more
                remove_file(path)
                return True
            try:
                fd = open_staged(path)
            except OSError as exc:
                raise translated(exc, f"the upload {path.name}") from exc
            try:
                fresh = not self._is_stale(path, older_than_s, parts_idle_s)
                if fresh or not try_lock(fd) or not is_at(fd, path):
                    return False
                remove_file(path)
            finally:
                os.close(fd)
        return True

    def oddities(self, older_than_s: float) -> Iterator[Oddity]:
        """Everything that is no blob and no fresh upload, or is open to others than its owner, by place."""
        for path in names_in(self.root):
            if path.name not in _OURS:
                yield self._stray(path)
        for folder in (self.root, self._blobs, self._staging):
            yield from self._mode(folder, _FOLDER_MODE)
        for path in self._stale(older_than_s):
            if plain_size(path) is None:
                yield self._stray(path)
            else:
                yield Oddity("staging", self._shown(path), "an upload that nobody went on with")
        for folder in names_in(self._blobs):
            yield from self._odd_folder(folder)

    def _odd_folder(self, folder: Path) -> Iterator[Oddity]:
        if not re.fullmatch(r"[0-9a-f]{2}", folder.name) or folder.is_symlink() or not folder.is_dir():
            yield self._stray(folder)
            return
        yield from self._mode(folder, _FOLDER_MODE)
        for path in names_in(folder):
            if not _BLOB_NAME.fullmatch(path.name) or path.name[:2] != folder.name or plain_size(path) is None:
                yield self._stray(path)
            else:
                yield from self._mode(path, _BLOB_MODE)

    def _mode(self, path: Path, wanted: int) -> Iterator[Oddity]:
        """Blobs are read-only and folders are their owner's. Windows has no such bits."""
        try:
            mode = stat.S_IMODE(path.lstat().st_mode)
        except FileNotFoundError:  # taken away meanwhile
            return
        if os.name != "nt" and mode != wanted:
            yield Oddity("permissions", self._shown(path), f"its rights are {mode:04o} instead of {wanted:04o}")

    def _stray(self, path: Path) -> Oddity:
        return Oddity("stray", self._shown(path), "it is no blob and nothing that we put there")

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def mend(self, oddity: Oddity) -> None:
        """Set right what `oddities` named. Raises Unavailable when the system refuses it."""
        path = self.root / oddity.where
        if oddity.kind == "stray":
            self._move_aside(path, f"stray-{re.sub(r'[^A-Za-z0-9_-]', '_', path.name)[:60]}")
        elif oddity.kind == "permissions":
            try:
                path.chmod(_FOLDER_MODE if path.is_dir() else _BLOB_MODE)
            except FileNotFoundError:
                return
            except OSError as exc:
                raise translated(exc, str(path)) from exc
