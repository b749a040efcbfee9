"""The store on a PostgreSQL database that any number of servers share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from greenroom.core.errors import IntegrityFailure
from greenroom.services.ports import Signer
from greenroom.store.compiled.postgresql import COLUMNS, DDL
from greenroom.store.continuity import Continuity
from greenroom.store.database import DatabaseStore, make_schema, wall_clock
from greenroom.store.door import Door
from greenroom.store.heads import check_key
from greenroom.store.health import Health
from greenroom.store.migrate import bring_up_to_date, stored_schema
from greenroom.store.postgres import Postgres
from greenroom.store.texts import select_text
from greenroom.store.writer import Clock


class PostgresStore(DatabaseStore):
    """The store of one database. Every server has a writer; the chain head's lock makes their batches one order."""

    reads_inline = False  # a read waits for the network: it must not hold the event loop
    readers = 8
    pool_size = 12  # the reader threads, and some for reports, which have threads of their own

    def __init__(
        self,
        url: str,
        signer: Signer,
        *,
        may_begin: bool = True,
        clock: Clock = wall_clock,
        health: Health | None = None,
    ) -> None:
        """Connect; `may_begin`: make the tables in an empty database. `health` watches the disk of the files.

        Raises Unavailable, IntegrityFailure, InvalidInput when another key signs the log of this database.
        """
        self._url = url
        self._may_begin = may_begin
        self._door = Door(url)
        self._continuity = Continuity()
        db = Postgres(url, door=self._door, admit=self._continuity.admit)
        try:
            self._prepare(db, signer)
            check_key(db, signer)
        except Exception as exc:
            ours = db.translate(exc)
            db.close()
            if ours is exc:
                raise
            raise ours from exc
        super().__init__(
            db, signer, serve=True, clock=clock, health=health or Health(Path()), continuity=self._continuity
        )

    def _prepare(self, db: Postgres, signer: Signer) -> None:
        if stored_schema(db) is None:
            if not self._may_begin:
                raise IntegrityFailure(
                    "the database is empty, but the data folder holds the files of a registry.",
                    hint="Check --database-url; bring the rows back with: greenroom db restore.",
                )
            make_schema(db, DDL, signer=signer)
        bring_up_to_date(db)
        self._continuity.admit(db)

    def connect(self) -> Postgres:
        """See `DatabaseStore`."""
        db = Postgres(self._url, door=self._door, admit=self._continuity.admit)
        try:
            self._continuity.admit(db)
        except BaseException:
            db.close()
            raise
        return db

    def announce(self, url: str) -> None:
        """Nobody needs to know: the database is shared."""

    @contextlib.contextmanager
    def rows(self) -> Iterator[Callable[[str], Iterator[dict[str, Any]]]]:
        """Give a function from a table's name to its rows by column, in key order, all from one snapshot."""
        db = self.connect()
        try:
            with database_rows(db) as rows:
                yield rows
        finally:
            db.close()

    def close(self) -> None:
        """See `DatabaseStore`."""
        super().close()
        self._door.close()

    def pages(self) -> Iterator[tuple[str, str]]:
        """Nothing to look at below the tables: PostgreSQL guards its own pages (data checksums)."""
        yield from ()


@contextlib.contextmanager
def database_rows(db: Postgres) -> Iterator[Callable[[str], Iterator[dict[str, Any]]]]:
    """Give a function from a table's name to its rows by column, in key order, all from one snapshot."""
    with db.snapshot():
        # Whoever reads may work on a row for long; the limit is for writers, and this one holds nobody up.
        db.run("SET LOCAL idle_in_transaction_session_timeout = 0")

        def rows(table: str) -> Iterator[dict[str, Any]]:
            for row in db.stream(select_text(db, table)):
                yield dict(zip(COLUMNS[table], row, strict=True))

        yield rows
