"""Look at a data folder below the store's own protections: damaged pages, a damaged write-ahead log, raw rows.

Verification must name what is wrong, so it reads rows past the page checksums that protect every other reader.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw

from greenroom.store.sqlite import SQLite
from greenroom.store.texts import select_text

_PAGE = 4096
_TRIES = 5  # a checkpoint may be writing the very page that is read
_WAL_HEADER, _FRAME_HEADER = 32, 24
_MAGIC = (0x377F0682, 0x377F0683)


@contextlib.contextmanager
def stored_rows(path: Path, *, read_only: bool = False) -> Iterator[Callable[[str], Iterator[dict[str, Any]]]]:
    """Give a function from a table's name to its rows by column, in key order, all from one snapshot of the file."""
    db = SQLite(path, checksums=False, read_only=read_only)
    try:
        with db.snapshot():

            def rows(table: str) -> Iterator[dict[str, Any]]:
                for row in db.stream(select_text(db, table)):
                    yield dict(zip(db.columns[table], row, strict=True))

            yield rows
    finally:
        db.close()


def page_findings(path: Path, *, read_only: bool = False) -> Iterator[tuple[str, str]]:
    """Yield (where, what) for everything wrong with the file: pages, write-ahead log, structure, references."""
    yield from _bad_pages(path, read_only=read_only)
    yield from _bad_wal(path.with_name(path.name + "-wal"))
    yield from _bad_structure(path, read_only=read_only)


def _bad_pages(path: Path, *, read_only: bool) -> Iterator[tuple[str, str]]:
    """Every page carries a checksum in its last bytes; a page that fails it was changed by something else than us."""
    judge = SQLite(path, read_only=read_only).raw
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size % _PAGE:
                yield path.name, f"the file has {size} bytes, which is no whole number of pages"
            for number in range(size // _PAGE):
                if not _page_is_whole(judge, file, number):
                    yield f"page {number + 1} of {path.name}", "its checksum does not fit its bytes"
    finally:
        judge.close()


def _page_is_whole(judge: apsw.Connection, file: Any, number: int) -> bool:
    for attempt in range(_TRIES):
        file.seek(number * _PAGE)
        if judge.execute("SELECT verify_checksum(?)", (file.read(_PAGE),)).get == 1:
            return True
        time.sleep(0.01 * attempt)
    return False


def _bad_structure(path: Path, *, read_only: bool) -> Iterator[tuple[str, str]]:
    db = SQLite(path, checksums=False, read_only=read_only)
    try:
        for (text,) in db.raw.execute("PRAGMA integrity_check(20)"):
            if text != "ok":
                yield path.name, str(text)
        for table, row, other, _ in db.raw.execute("PRAGMA foreign_key_check"):
            yield f"{table} row {row}", f"it refers to a row of {other} that is not there"
    except apsw.Error as exc:
        yield path.name, f"its structure cannot be read: {exc}"
    finally:
        db.close()


def _bad_wal(path: Path) -> Iterator[tuple[str, str]]:
    """Find damage in the middle of the write-ahead log, where SQLite would silently stop reading.

    A log that merely *ends* in a frame that does not fit was cut off by a crash, before anybody was answered. But a
    commit was synced before the next one began: whole commits behind a bad frame mean that the frame was good once.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return
    if len(data) < _WAL_HEADER + _FRAME_HEADER:
        return
    magic, _, page, _, salt_1, salt_2, check_1, check_2 = struct.unpack(">8I", data[:_WAL_HEADER])
    order = ">" if magic & 1 else "<"
    if magic not in _MAGIC or page != _PAGE or _checksum(data[:24], 0, 0, order) != (check_1, check_2):
        yield path.name, "its header is damaged: changes that were acknowledged may be missing"
        return
    bad, commits = _walk(data, (salt_1, salt_2), (check_1, check_2), order)
    if bad is not None and commits > 1:
        yield f"frame {bad} of {path.name}", "it is damaged: changes behind it that were acknowledged are missing"


def _walk(data: bytes, salts: tuple[int, int], sums: tuple[int, int], order: str) -> tuple[int | None, int]:
    """Return the first frame that does not fit the chain of checksums, and how many commits of this log follow it."""
    bad, commits = None, 0
    width = _FRAME_HEADER + _PAGE
    for number in range((len(data) - _WAL_HEADER) // width):
        at = _WAL_HEADER + number * width
        _, size, salt_1, salt_2, check_1, check_2 = struct.unpack(">6I", data[at : at + _FRAME_HEADER])
        if (salt_1, salt_2) != salts and bad is not None:
            break  # frames of an older round
        if bad is None:
            sums = _checksum(data[at : at + 8], *sums, order)
            sums = _checksum(data[at + _FRAME_HEADER : at + width], *sums, order)
            if (salt_1, salt_2) != salts or sums != (check_1, check_2):
                bad = number + 1
        if bad is not None and size:
            commits += 1
    return bad, commits


def _checksum(data: bytes, one: int, two: int, order: str) -> tuple[int, int]:
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) & 0xFFFFFFFF
        two = (two + words[at + 1] + one) & 0xFFFFFFFF
    return one, two
