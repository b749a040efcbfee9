"""Write the first Alembic revision from the schema as it stands. Only until the first release: then revisions are
written by hand.

A revision is history: it holds its statements itself and never reads the living schema.
"""

from __future__ import annotations

from pathlib import Path

from greenroom.store.compiled import postgresql, sqlite

TARGET = Path(__file__).parent.parent / "src/greenroom/store/migrations/versions/0001_initial.py"
HEADER = '''"""The first schema."""
# fmt: off
# ruff: noqa: E501

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

'''
FOOTER = '''

def upgrade() -> None:
    """Make the tables, indexes and triggers."""
    for statement in STATEMENTS[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing before the first schema. Raises RuntimeError."""
    raise RuntimeError("the first schema cannot be taken back")
'''


def render() -> str:
    """Return the revision's text."""
    parts = [HEADER, "STATEMENTS: dict[str, tuple[str, ...]] = {\n"]
    for name, module in (("sqlite", sqlite), ("postgresql", postgresql)):
        parts += [f"    {name!r}: (\n", *(f"        {each!r},\n" for each in module.DDL), "    ),\n"]
    return "".join([*parts, "}\n", FOOTER])


if __name__ == "__main__":
    TARGET.write_text(render(), encoding="utf-8")
    print(f"{TARGET.name} written")
