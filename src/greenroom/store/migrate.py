"""Bring a database of an earlier version to this version's schema.

The steps are Alembic migrations, rendered to SQL for the dialect and run on our own driver inside one transaction:
SQLAlchemy never opens the file (it would write pages without checksums). A step only adds, so that servers of the
version before go on answering. Source: ADR 4.
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
    try:
        return str(json.loads(row[0]))
    except ValueError as exc:
        raise IntegrityFailure(f"the database names no schema but {row[0]!r}.", hint="Restore a backup.") from exc


def refuse_newer(found: str | None) -> None:
    """Raise Unavailable for the schema of a database that a newer version wrote; it is left as it is."""
    if found is None or found > SCHEMA:
        raise Unavailable(
            f"the database has schema {found}, this version of Greenroom knows up to {SCHEMA}.",
            hint="It was written by a newer version: upgrade Greenroom.",
            schema=found,
        )


def pending(db: Connection) -> tuple[str, list[str]]:
    """Return the schema of a database and the statements that are missing to this version's, none if it is there.

    Raises Unavailable for a newer schema, IntegrityFailure for one that no version of ours had.
    """
    found = stored_schema(db)
    refuse_newer(found)
    if found is None or found == SCHEMA:
        return SCHEMA, []
    from alembic.script.revision import RevisionError
    from alembic.util import CommandError

    from greenroom.store.migrations import statements_between

    try:
        return found, statements_between(found, SCHEMA, db.dialect)
    except (CommandError, RevisionError) as exc:
        raise IntegrityFailure(
            f"the database has schema {found}, which no version of Greenroom had.",
            hint="Restore a backup, or use the version that wrote it.",
            schema=found,
        ) from exc


def bring_up_to_date(db: Connection) -> None:
    """Apply what is missing, all of it or nothing. Raises what `pending` raises; the database is as it was then."""
    if stored_schema(db) == SCHEMA:
        return
    pending(db)  # said before anything is locked
    db.begin_schema()
    try:
        _, statements = pending(db)  # again: another process may have done it while this one waited
        for statement in statements:
            db.run(statement)
        if statements:
            change = {"k_key": "schema", "value": json.dumps(SCHEMA)}
            db.run(Texts(db).update("meta", ("key",), ("value",)), change)
        db.commit()
    except BaseException:
        db.rollback()
        raise
