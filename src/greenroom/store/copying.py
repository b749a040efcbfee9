"""Copy a whole registry from one database to another, of either kind: ids, history and audit tree stay what they are.

A copy is made from one snapshot, in one transaction, and read back before that is committed. What is copied is what
verification reads, so a copy verifies against the same checkpoints as its original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from itertools import islice
from typing import Any

from greenroom.core.errors import AlreadyExists, IntegrityFailure
from greenroom.store.driver import Connection
from greenroom.store.sqlite import SQLite
from greenroom.store.texts import Texts, select_text

Rows = Callable[[str], Iterator[dict[str, Any]]]
_AT_ONCE = 1000
_PAGES_AT_ONCE = 2000


def copy_rows(rows: Rows, target: Connection, ddl: Sequence[str], *, moved: Callable[[int], None] | None = None) -> int:
    """Make the tables in the empty database `target` and copy every row into them; return how many.

    `moved` hears how many rows went, now and then. Raises AlreadyExists when the target is not empty, IntegrityFailure
    when it does not give back what it was given; nothing is left in it then.
    """
    texts = Texts(target)
    target.begin_schema()
    try:
        if target.tables():
            raise AlreadyExists("the target database is not empty.", hint="Choose an empty one.")
        for statement in ddl:
            target.run(statement)
        count = 0
        for table in target.columns:  # in the order of their references
            sent, moved_here = sha256(), rows(table)
            while batch := list(islice(moved_here, _AT_ONCE)):
                target.run_many(texts.insert(table), batch)
                for row in batch:
                    sent.update(_seen(row[column] for column in target.columns[table]))
                count += len(batch)
                if moved is not None:
                    moved(len(batch))
            _read_back(target, table, sent.digest())
        target.commit()
    except BaseException:
        target.rollback()
        raise
    return count


def _read_back(target: Connection, table: str, sent: bytes) -> None:
    """Raise IntegrityFailure unless the table holds exactly the rows that were sent, in the order of its key."""
    kept = sha256()
    for row in target.stream(select_text(target, table)):
        kept.update(_seen(row))
    if kept.digest() != sent:
        raise IntegrityFailure(
            f"the table {table} does not hold what was copied into it.", hint="Check the databases, then try again."
        )


def _seen(row: Any) -> bytes:
    """What two databases must agree on: -0.0 and 0.0 are one number (SQLite keeps one of them)."""
    return repr([value + 0.0 if isinstance(value, float) else value for value in row]).encode(
        "utf-8", "backslashreplace"
    )


def copy_pages(source: SQLite, target: SQLite, *, moved: Callable[[int], None] | None = None) -> None:
    """Copy the pages of one snapshot of `source` into the new database `target`, while others write to `source`.

    `moved` hears how many pages went. A page whose checksum does not fit is an error of the driver, as for any reader.
    """
    with source.snapshot():
        source.tables()  # the first read fixes the snapshot; the pages come from the same connection, so from it
        with target.raw.backup("main", source.raw, "main") as backup:
            while not backup.done:
                before = backup.remaining
                backup.step(_PAGES_AT_ONCE)
                if moved is not None and before:
                    moved(before - backup.remaining)


def make_single_file(db: SQLite) -> None:
    """Leave the database as one file without a log beside it, which can be read where nothing can be written."""
    db.checkpoint_wal()
    mode = db.raw.execute("PRAGMA journal_mode = DELETE").get
    if mode != "delete":
        raise RuntimeError(f"the new database stays in journal mode {mode}")
