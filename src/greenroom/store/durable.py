"""Folders that are still there after a power loss: a name is durable once the folder that holds it was synced."""

from __future__ import annotations

import os
from pathlib import Path


def make_folder(path: Path, mode: int = 0o700) -> None:
    """Make a folder and those above that are missing, durably. Raises OSError."""
    missing = [each for each in (path, *path.parents) if not each.exists()]
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    for each in reversed(missing):
        sync_names(each.parent)


def sync_names(folder: Path) -> None:
    """Make the names in a folder durable, where the platform can and the folder may be opened."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except PermissionError:  # a folder that one may enter and not list: the file system has to do it by itself
        return
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
