"""Whether the tables, constraints, indexes and triggers of a database are those that the code says.

SQLite keeps the text of each; PostgreSQL keeps a catalogue, so there the DDL is run in a schema of its own inside a
transaction that is rolled back, and the two catalogues are compared.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from greenroom.store.compiled import sqlite as compiled
from greenroom.store.sqlite import SQLite

if TYPE_CHECKING:
    from greenroom.store.postgres import Postgres

_HEAD = re.compile(r"CREATE (?:UNIQUE )?(TABLE|INDEX|TRIGGER) \"?(\w+)\"?", re.IGNORECASE)
Parts = Mapping[tuple[str, str], frozenset[str]]


def sqlite_findings(db: SQLite) -> Iterator[tuple[str, str]]:
    """Yield (where, what) for each table, index and trigger that is missing, different, or a trigger too many."""
    stored = (str(row[0]) for row in db.all("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"))
    yield from _differences(_parts_of_texts(compiled.DDL), _parts_of_texts(stored))


def _parts_of_texts(texts: Iterable[str]) -> Parts:
    found: dict[tuple[str, str], frozenset[str]] = {}
    for text in texts:
        flat = " ".join(text.split())
        head = _HEAD.match(flat)
        if head:
            kind = head[1].lower()
            found[kind, head[2]] = frozenset(_clauses(flat)) if kind == "table" else frozenset([flat])
    return found


def _clauses(text: str) -> Iterator[str]:
    """Yield the columns and constraints of a CREATE TABLE: their order says when they came, not what they mean."""
    inside = text[text.index("(") + 1 : text.rindex(")")]
    depth, begin, quoted = 0, 0, False
    for at, ch in enumerate(inside):
        if ch == "'":
            quoted = not quoted
        if not quoted:
            depth += (ch == "(") - (ch == ")")
            if ch == "," and not depth:
                yield inside[begin:at].strip()
                begin = at + 1
    yield inside[begin:].strip()


def postgresql_findings(db: Postgres) -> tuple[list[tuple[str, str]], bool]:
    """Return the same for PostgreSQL; constraints and indexes that the database itself holds for invalid are told too.

    The second is True where no schema may be made: then tables, indexes and triggers were looked for by name only.
    """
    from psycopg import errors as pg

    from greenroom.store.compiled import postgresql

    db.run("BEGIN")
    try:
        ours = str((db.one("SELECT current_schema()") or ("public",))[0])
        stored = _catalogue(db, ours)
        try:
            wanted = _wanted(db, postgresql.DDL)
        except (pg.ReadOnlySqlTransaction, pg.InsufficientPrivilege):
            names = _parts_of_texts(postgresql.DDL)
            return [(f"{kind} {name}", "it is missing") for kind, name in sorted(set(names) - set(stored))], True
    finally:
        db.rollback()
    return list(_differences(wanted, stored)), False


def _wanted(db: Postgres, ddl: Sequence[str]) -> Parts:
    scratch = f"greenroom_check_{secrets.token_hex(6)}"
    db.run(f"CREATE SCHEMA {scratch}")
    db.run(f"SET LOCAL search_path TO {scratch}")
    for statement in ddl:
        db.run(statement)
    return _catalogue(db, scratch)


_COLUMNS = """SELECT 'table', c.relname::text, a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '
 || a.attnotnull || ' ' || coalesce(l.collname, '')
 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_collation l ON l.oid = a.attcollation
 WHERE c.relnamespace = %(s)s::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped"""
_CONSTRAINTS = """SELECT 'constraint', conname::text, conrelid::regclass::text || ' ' || pg_get_constraintdef(oid)
 || ' ' || convalidated FROM pg_constraint
 WHERE connamespace = %(s)s::regnamespace AND contype IN ('c', 'f', 'p', 'u')"""
_INDEXES = """SELECT 'index', c.relname::text, pg_get_indexdef(i.indexrelid) || ' ' || i.indisvalid
 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = %(s)s::regnamespace"""
_TRIGGERS = """SELECT 'trigger', t.tgname::text, pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text || ' ' || p.prosrc
 FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
 WHERE c.relnamespace = %(s)s::regnamespace AND NOT t.tgisinternal"""


def _catalogue(db: Postgres, schema: str) -> Parts:
    found: dict[tuple[str, str], set[str]] = {}
    for query in (_COLUMNS, _CONSTRAINTS, _INDEXES, _TRIGGERS):
        for kind, name, text in db.all(query, {"s": schema}):
            found.setdefault((str(kind), str(name)), set()).add(str(text).replace(f"{schema}.", ""))
    return {key: frozenset(parts) for key, parts in found.items()}


def _differences(wanted: Parts, stored: Parts) -> Iterator[tuple[str, str]]:
    for kind, name in sorted(wanted):
        if (kind, name) not in stored:
            yield f"{kind} {name}", "it is missing"
        elif wanted[kind, name] != stored[kind, name]:
            odd = min(wanted[kind, name] ^ stored[kind, name])
            yield f"{kind} {name}", f"it is not as the code says: {odd}"
    for kind, name in sorted(set(stored) - set(wanted)):
        if kind == "trigger":  # a further table or index does no harm; a trigger may change what is written
            yield f"{kind} {name}", "it is none of Greenroom's"
