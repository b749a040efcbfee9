"""A folder that is being made: it has another name until it is whole, and what a kill leaves behind is swept up.

Whoever makes one holds a lock on it (of the folder itself: no lock file travels along), so that the next one who makes
something in the same place can tell an abandoned draft from one at work.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

_PREFIX = ".greenroom-unfinished-"
_NAME = re.compile(re.escape(_PREFIX) + "[0-9a-f]{16}")


@contextlib.contextmanager
def draft(parent: Path) -> Iterator[Path]:
    """Make a private folder in `parent` for something unfinished; gone at the end, unless it was renamed.

    Drafts in `parent` whose maker was killed are removed first.
    """
    parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    sweep(parent)
    path, fd = _make(parent)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if fd is not None:
            os.close(fd)


def sweep(parent: Path) -> int:
    """Remove the drafts in `parent` that nobody works on; returns how many."""
    count = 0
    for each in parent.iterdir():
        if not _NAME.fullmatch(each.name):
            continue
        fd = _hold(each)
        if fd is not None:
            shutil.rmtree(each, ignore_errors=True)
            os.close(fd)
            count += 1
    return count


def is_draft(path: Path) -> bool:
    """Say whether `path` has the name of an unfinished folder."""
    return _NAME.fullmatch(path.name) is not None


def _make(parent: Path) -> tuple[Path, int | None]:
    while True:
        path = parent / f"{_PREFIX}{secrets.token_hex(8)}"
        path.mkdir(mode=0o700)
        fd = _hold(path)
        if sys.platform == "win32":  # pragma: no cover - not run here
            return path, None
        # Between the two lines above somebody may have swept it: then it is another folder, or none.
        if fd is not None and path.is_dir() and os.path.samestat(os.fstat(fd), path.stat()):
            return path, fd
        if fd is not None:
            os.close(fd)


if sys.platform == "win32":  # pragma: no cover - not run here

    def _hold(folder: Path) -> int | None:
        """A folder cannot be locked here; abandoned drafts stay until somebody removes them."""
        return None
else:
    import fcntl

    def _hold(folder: Path) -> int | None:
        """Return a descriptor that locks the folder until it is closed; None when somebody else has it."""
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return fd


def sync(path: Path) -> None:
    """Make a file's bytes, or a folder's names, durable."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):  # pragma: no cover - Windows needs it for no folder
        return
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
