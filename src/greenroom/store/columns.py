"""How tables are written down: names of constraints, kinds of columns. The tables: `schema`, `tracking_schema`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, MetaData, SmallInteger, Table, Text, func, text
from sqlalchemy.dialects import postgresql

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)


# Texts are compared by code point everywhere: as SQLite does, as Python sorts, as prefix ranges need it.
TEXT = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")


def table(name: str, *items: Any, **options: Any) -> Table:
    """Return a new table of the registry's schema."""
    return Table(name, metadata, *items, **options)


def key(name: str, kind: Any = TEXT) -> Column[Any]:
    """A part of the primary key."""
    return Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def integer(name: str, *, null: bool = False) -> Column[Any]:
    """A whole number of 64 bits."""
    return Column(name, BigInteger, nullable=null)


def string(name: str, *, null: bool = False) -> Column[Any]:
    """A text."""
    return Column(name, TEXT, nullable=null)


def flag(name: str) -> Column[Any]:
    """A flag: 0 or 1."""
    return Column(name, SmallInteger, nullable=False)


def start(column: Column[Any]) -> Any:
    """The first characters of a long text, for an index: PostgreSQL refuses a row over 2 704 bytes in one."""
    return func.substr(column, text("1"), text("200"))
