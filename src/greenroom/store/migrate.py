"""Bring a database of an earlier version to this version's schema.

The steps are Alembic migrations, rendered to SQL for the dialect and run on our own driver inside one transaction:
SQLAlchemy never opens the file (it would write pages without checksums). Source: ADR 4.
"""

from __future__ import annotations

import json

from greenroom.core.errors import IntegrityFailure, Unavailable
from greenroom.store.driver import Connection
from greenroom.store.texts import Texts

SCHEMA = "0001"


def stored_schema(db: Connection) -> str | None:
    """Return the schema revision of a database, None for an empty one. Raises IntegrityFailure if it is none of
    ours.
    """
    tables = db.tables()
    if not tables:
        return None
    row = db.one(db.sql["meta"], {"key": "schema"}) if "meta" in tables else None
    if row is None:
        raise IntegrityFailure("the database is not Greenroom's.", hint="Choose another folder.")
    return str(json.loads(row[0]))


def bring_up_to_date(db: Connection) -> None:
    """Apply what is missing. Raises Unavailable for a database that a newer version wrote; it is left as it is."""
    found = stored_schema(db)
    if found == SCHEMA:
        return
    if found is None or found > SCHEMA:
        raise Unavailable(
            f"the database has schema {found}, this version of Greenroom knows up to {SCHEMA}.",
            hint="It was written by a newer version: upgrade Greenroom.",
            schema=found,
        )
    from greenroom.store.migrations import statements_between

    db.begin_schema()
    for statement in statements_between(found, SCHEMA, db.dialect):
        db.run(statement)
    db.run(Texts(db).update("meta", ("key",), ("value",)), {"k_key": "schema", "value": json.dumps(SCHEMA)})
    db.commit()
