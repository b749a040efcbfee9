"""Queries that serving uses are indexed look-ups; the planner must see it that way too.

Mutant check: take an entry out of SQLITE_INDEXES, or an index out of the schema, and its row here fails.
"""

from __future__ import annotations

import re

import apsw
import pytest

from greenroom.store.compiled.sqlite import DDL, SQL

# What reads a whole table by its nature: lists for administrators and for verification.
WHOLE_TABLES = {"living_models", "pinned_versions", "lifecycle_names", "bindings", "blobs"} | {
    "blob_totals",
    "manifests",
    "audit_tiles",
}
EXPECTED = {
    "model_by_name": "uq_model_living_name (name=?)",
    "version_row": "sqlite_autoindex_version_1 (model_id=? AND version=?)",
    "holders": "ix_tenure_open (model_id=? AND kind=? AND slot=?)",
    "newest_in_slot": "ix_tenure_open (model_id=? AND kind=? AND slot=?)",
    "model_aliases": "ix_tenure_open (model_id=? AND kind=?)",
    "version_slots": "ix_tenure_holding (model_id=? AND version=?)",
    "open_tenures": "ix_tenure_holding (model_id=? AND version=?)",
    "has_held": "(model_id=? AND version=? AND kind=? AND slot=?)",
    "history": "ix_tenure_history (model_id=? AND since_event<?)",
    "history_of_slot": "ix_tenure_slot (model_id=? AND kind=? AND slot=? AND since_event<?)",
    "history_of_version": "ix_tenure_version (model_id=?",
    "holders_at": "ix_tenure_slot (model_id=? AND kind=? AND slot=?)",
    "manifest_file": "sqlite_autoindex_manifest_entry_1 (manifest=? AND path=?)",
    "request_key": "sqlite_autoindex_request_key_1 (principal=? AND route=? AND key=?)",
}


@pytest.fixture(scope="module")
def database() -> apsw.Connection:
    db = apsw.Connection(":memory:")
    for statement in DDL:
        db.execute(statement)
    return db


def plan(database: apsw.Connection, text: str) -> str:
    values = dict.fromkeys(re.findall(r":(\w+)", text), 1)
    return " | ".join(str(row[3]) for row in database.execute("EXPLAIN QUERY PLAN " + text, values))


@pytest.mark.parametrize("name", sorted(set(SQL) - WHOLE_TABLES))
def test_no_fixed_query_reads_a_whole_table(database: apsw.Connection, name: str) -> None:
    assert "SCAN" not in plan(database, SQL[name])


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_serving_queries_use_their_index(database: apsw.Connection, name: str) -> None:
    assert EXPECTED[name] in plan(database, SQL[name])
