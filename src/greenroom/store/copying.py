"""Copy a whole registry from one database to another, of either kind: ids, history and audit tree stay what they are.

A copy is made from one snapshot, in one transaction. What is copied is what verification reads, so a copy verifies
against the same checkpoints as its original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from greenroom.core.errors import AlreadyExists
from greenroom.store.driver import Connection
from greenroom.store.texts import Texts

Rows = Callable[[str], Iterator[dict[str, Any]]]


def copy_rows(rows: Rows, target: Connection, ddl: Sequence[str], *, moved: Callable[[int], None] | None = None) -> int:
    """Make the tables in the empty database `target` and copy every row into them; return how many.

    `moved` hears the number of rows so far, now and then. Raises AlreadyExists when the target is not empty.
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
            insert = texts.insert(table)
            for row in rows(table):
                target.run(insert, row)
                count += 1
                if moved is not None and count % 1000 == 0:
                    moved(count)
        target.commit()
    except BaseException:
        target.rollback()
        raise
    return count
