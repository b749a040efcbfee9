"""The store on a PostgreSQL database that any number of servers share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.note import VerifierKey, open_note
from greenroom.services.ports import Signer
from greenroom.store.compiled.postgresql import COLUMNS, DDL, KEYS
from greenroom.store.database import DatabaseStore, make_schema, wall_clock
from greenroom.store.migrate import bring_up_to_date, stored_schema
from greenroom.store.postgres import Postgres
from greenroom.store.tx import ReadTx
from greenroom.store.writer import Clock


class PostgresStore(DatabaseStore):
    """The store of one database. Every server has a writer; the chain head's lock makes their batches one order."""

    reads_inline = False  # a read waits for the network: it must not hold the event loop
    readers = 8

    def __init__(self, url: str, signer: Signer, *, clock: Clock = wall_clock) -> None:
        """Connect, making the tables in an empty database.

        Raises Unavailable, IntegrityFailure, InvalidInput when another key signs the log of this database.
        """
        self._url = url
        db = Postgres(url)
        try:
            self._prepare(db)
            _check_key(db, signer)
        except Exception as exc:
            ours = db.translate(exc)
            db.close()
            if ours is exc:
                raise
            raise ours from exc
        super().__init__(db, signer, serve=True, clock=clock)

    def _prepare(self, db: Postgres) -> None:
        if stored_schema(db) is None:
            make_schema(db, DDL)
        bring_up_to_date(db)
        db.remember()

    def connect(self) -> Postgres:
        """See `DatabaseStore`."""
        db = Postgres(self._url)
        db.remember()
        return db

    def announce(self, url: str) -> None:
        """Nobody needs to know: the database is shared."""

    @contextlib.contextmanager
    def rows(self) -> Iterator[Callable[[str], Iterator[dict[str, Any]]]]:
        """Give a function from a table's name to its rows by column, in key order, all from one snapshot."""
        db = self.connect()
        try:
            with db.snapshot():

                def rows(table: str) -> Iterator[dict[str, Any]]:
                    names = ", ".join(f'"{column}"' for column in COLUMNS[table])
                    order = ", ".join(f'"{column}"' for column in KEYS[table])
                    for row in db.all(f'SELECT {names} FROM "{table}" ORDER BY {order}'):
                        yield dict(zip(COLUMNS[table], row, strict=True))

                yield rows
        finally:
            db.close()

    def pages(self) -> Iterator[tuple[str, str]]:
        """Nothing to look at below the tables: PostgreSQL guards its own pages (data checksums)."""
        yield from ()


def _check_key(db: Postgres, signer: Signer) -> None:
    """Raise InvalidInput unless `signer` signed the head of the log: two keys would make it two logs."""
    _, note = ReadTx(db).audit_head()
    if not note:
        return
    try:
        open_note(note, [VerifierKey(signer.name, signer.public_key)], signer.verify)
    except InvalidInput as exc:
        raise InvalidInput(
            "the signing key of this data folder is not the one that signs the log of this database.",
            hint="Give every server of a database the same --data.",
        ) from exc
