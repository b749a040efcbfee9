"""Harm done on purpose, to copies only: a byte of a blob, a byte of the database, a row behind the log's back."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import greenroom
from demo.story import Untrue

DATABASE = "greenroom.db"
_NOT_COPIED = shutil.ignore_patterns("server.lock", "turn.lock")


def copy_registry(data: Path, to: Path) -> Path:
    """Copy a data folder while nothing writes to it, and bring what waits in its log into the database file."""
    shutil.copytree(data, to, ignore=_NOT_COPIED)
    with greenroom.connect(data=to) as registry:  # the last to close it brings its write-ahead log in
        registry.lifecycle()
    return to


def flip_bit(path: Path, offset: int) -> str:
    """Change the lowest bit of one byte; return what was done, as `0x41 -> 0x40 at byte 12`."""
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(offset)
        before = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([before ^ 1]))
    return f"0x{before:02x} -> 0x{before ^ 1:02x} at byte {offset}"


def blob_path(data: Path, digest: str) -> Path:
    """Return the file that holds the bytes of `digest`. Raises Untrue when there is none."""
    algorithm, _, name = digest.partition(":")
    path = data / "blobs" / algorithm / name[:2] / name
    if not path.is_file():
        raise Untrue(f"the bytes of {digest} are the file {path}")
    return path


def flip_in_text(path: Path, text: str) -> str:
    """Change one bit of the first place in a file where `text` stands. Raises Untrue when it does not stand there."""
    offset = path.read_bytes().find(text.encode())
    if offset < 0:
        raise Untrue(f"{text!r} stands in {path.name}")
    return flip_bit(path, offset)


def run_sql(data: Path, statement: str, values: tuple[object, ...]) -> int:
    """Change rows as somebody with a database tool would; return how many."""
    with contextlib.closing(sqlite3.connect(data / DATABASE)) as db:
        changed = db.execute(statement, values).rowcount
        db.commit()
        return changed
