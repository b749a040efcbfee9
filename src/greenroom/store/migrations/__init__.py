"""The schema's steps, as Alembic revisions, rendered to SQL text (never run by SQLAlchemy itself)."""

from __future__ import annotations

import io
from pathlib import Path

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory


def script() -> ScriptDirectory:
    """Return Alembic's view of the revisions in this package."""
    return ScriptDirectory(str(Path(__file__).parent))


def statements_between(old: str | None, new: str, dialect: str) -> list[str]:
    """Return the SQL statements that lead from revision `old` (None: an empty database) to `new`."""
    revisions = list(script().iterate_revisions(new, old or "base"))
    buffer = io.StringIO()
    context = MigrationContext.configure(
        dialect_name=dialect, opts={"as_sql": True, "output_buffer": buffer, "literal_binds": True}
    )
    for revision in reversed(revisions):
        with Operations.context(context):
            revision.module.upgrade()
    return [statement.strip() for statement in buffer.getvalue().split(";\n\n") if statement.strip()]
