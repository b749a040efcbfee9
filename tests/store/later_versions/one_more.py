"""A migration of a version that is not written yet."""

from __future__ import annotations

import os

from alembic import op

from tests.store.later import BEFORE, LATER

revision = LATER
down_revision = BEFORE
branch_labels = None
depends_on = None

_SLOW = {
    "postgresql": "SELECT pg_sleep(0.3)",
    "sqlite": "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 3000000) SELECT count(*) FROM n",
}


def upgrade() -> None:
    """Add a table, take some time if the test wants to kill it there, add a column."""
    op.execute("CREATE TABLE later (id BIGINT NOT NULL, CONSTRAINT pk_later PRIMARY KEY (id))")
    if os.environ.get("GREENROOM_TEST_SLOW"):
        op.execute(_SLOW[op.get_context().dialect.name])
    op.execute("ALTER TABLE model ADD COLUMN colour TEXT")


def downgrade() -> None:
    """Never asked for."""
    raise RuntimeError("there is no way back")
