"""The tables, once, for every database. `tools/compile_sql.py` makes the DDL and the statements from here.

Tables marked `AUDITED` are the registry's state: they change only through `WriteTx.insert/update/remove`, which puts
every row change into the audit event of the same transaction, so that state = replay(audit). The others are derived or
certify themselves (a manifest by its digest), or are no lifecycle state (uploads).
Times are UTC milliseconds. Flags are 0 and 1. JSON is canonical text.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    func,
    text,
)
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


def _table(name: str, *items: Any) -> Table:
    return Table(name, metadata, *items)


def _key(name: str, kind: Any = TEXT) -> Column[Any]:
    return Column(name, kind, primary_key=True, nullable=False, autoincrement=False)


def _int(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, BigInteger, nullable=null)


def _text(name: str, *, null: bool = False) -> Column[Any]:
    return Column(name, TEXT, nullable=null)


def _flag(name: str) -> Column[Any]:
    return Column(name, SmallInteger, nullable=False)


def _start(column: Column[Any]) -> Any:
    """The first characters of a long text, for an index: PostgreSQL refuses a row over 2 704 bytes in one."""
    return func.substr(column, text("1"), text("200"))


def _of_version() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["model_id", "version"], ["version.model_id", "version.version"])


meta = _table("meta", _key("key"), _text("value"))

model = _table(
    "model",
    _key("id", BigInteger),  # the sequence number of the event that created it
    _text("name"),
    _text("name_key"),
    _text("description", null=True),
    _int("created_at"),
    _int("updated_at"),
    _text("author", null=True),
    _int("next_version"),
    _text("lifecycle"),
    _int("deleted_event", null=True),
    CheckConstraint("next_version >= 1", name="next_version"),
)
# Two living models never share a name, nor two names that only look different.
Index(
    "uq_model_living_name",
    model.c.name,
    unique=True,
    sqlite_where=text("deleted_event IS NULL"),
    postgresql_where=text("deleted_event IS NULL"),
)
Index(
    "uq_model_living_key",
    model.c.name_key,
    unique=True,
    sqlite_where=text("deleted_event IS NULL"),
    postgresql_where=text("deleted_event IS NULL"),
)
Index("ix_model_updated", model.c.updated_at, model.c.name)
Index("ix_model_name", model.c.name, model.c.id)

model_tag = _table(
    "model_tag",
    _key("model_id", BigInteger),
    _key("key"),
    _text("value"),
    ForeignKeyConstraint(["model_id"], ["model.id"]),
)
Index("ix_model_tag_key", model_tag.c.key, _start(model_tag.c.value))

version = _table(
    "version",
    _key("model_id", BigInteger),
    _key("version", BigInteger),
    _text("source"),
    _text("run_id", null=True),
    _text("run_link", null=True),
    _text("logged_model", null=True),
    _text("description", null=True),
    _text("author", null=True),
    _int("created_at"),
    _int("updated_at"),
    _text("status"),
    _text("manifest", null=True),
    _int("size_bytes", null=True),
    _int("file_count", null=True),
    _text("context"),
    _text("parent_model", null=True),
    _int("parent_version", null=True),
    _int("created_event"),
    _int("deleted_event", null=True),
    ForeignKeyConstraint(["model_id"], ["model.id"]),
    ForeignKeyConstraint(["manifest"], ["manifest.digest"]),
    CheckConstraint("version >= 1", name="number"),
)
Index("ix_version_updated", version.c.updated_at, version.c.model_id, version.c.version)
Index("ix_version_created", version.c.created_at, version.c.model_id, version.c.version)
Index("ix_version_run", version.c.run_id)
Index("ix_version_manifest", version.c.manifest)

version_tag = _table(
    "version_tag", _key("model_id", BigInteger), _key("version", BigInteger), _key("key"), _text("value"), _of_version()
)
Index("ix_version_tag_key", version_tag.c.key, _start(version_tag.c.value))
version_metric = _table(
    "version_metric",
    _key("model_id", BigInteger),
    _key("version", BigInteger),
    _key("key"),
    Column("value", Double, nullable=False),
    _of_version(),
)
Index("ix_version_metric_key", version_metric.c.key, version_metric.c.value)
version_param = _table(
    "version_param",
    _key("model_id", BigInteger),
    _key("version", BigInteger),
    _key("key"),
    _text("value"),
    _of_version(),
)
Index("ix_version_param_key", version_param.c.key, _start(version_param.c.value))
version_dataset = _table(
    "version_dataset",
    _key("model_id", BigInteger),
    _key("version", BigInteger),
    _key("position", BigInteger),
    _text("name"),
    _text("digest", null=True),
    _text("source", null=True),
    _text("context", null=True),
    _of_version(),
)

tenure = _table(
    "tenure",
    _key("model_id", BigInteger),
    _key("version", BigInteger),
    _key("kind"),
    _key("slot"),
    _key("since_event", BigInteger),
    _flag("exclusive"),
    _int("since_at"),
    _text("since_by", null=True),
    _text("reason", null=True),
    _int("promotion", null=True),
    _int("until_event", null=True),
    _int("until_at", null=True),
    _text("until_by", null=True),
    _text("until_kind", null=True),
    _of_version(),
    CheckConstraint("kind IN ('stage', 'alias')", name="kind"),
    CheckConstraint("until_event IS NULL OR until_event > since_event", name="order"),
    CheckConstraint("kind = 'stage' OR exclusive = 1", name="alias"),
)
_OPEN = "until_event IS NULL"
# The promise itself: an exclusive slot has one holder, whatever any code believes.
Index(
    "uq_tenure_exclusive_holder",
    tenure.c.model_id,
    tenure.c.kind,
    tenure.c.slot,
    unique=True,
    sqlite_where=text(f"{_OPEN} AND exclusive = 1"),
    postgresql_where=text(f"{_OPEN} AND exclusive = 1"),
)
# A version is in one stage at a time.
Index(
    "uq_tenure_one_stage",
    tenure.c.model_id,
    tenure.c.version,
    unique=True,
    sqlite_where=text(f"{_OPEN} AND kind = 'stage'"),
    postgresql_where=text(f"{_OPEN} AND kind = 'stage'"),
)
Index(
    "ix_tenure_open",
    tenure.c.model_id,
    tenure.c.kind,
    tenure.c.slot,
    tenure.c.version,
    sqlite_where=text(_OPEN),
    postgresql_where=text(_OPEN),
)
Index("ix_tenure_slot", tenure.c.model_id, tenure.c.kind, tenure.c.slot, tenure.c.since_event)
Index("ix_tenure_version", tenure.c.model_id, tenure.c.version, tenure.c.since_event)
Index("ix_tenure_history", tenure.c.model_id, tenure.c.since_event)
Index(
    "ix_tenure_holding",
    tenure.c.model_id,
    tenure.c.version,
    sqlite_where=text(_OPEN),
    postgresql_where=text(_OPEN),
)

promotion = _table(
    "promotion",
    _key("id", BigInteger),  # the sequence number of its event
    _int("model_id"),
    _int("version"),
    _text("slot"),
    _text("slot_kind"),
    _text("kind"),
    _text("status"),
    _text("lifecycle"),
    _int("lifecycle_revision"),
    _int("at"),
    _text("requested_by"),
    _text("from_stage", null=True),
    _text("digest", null=True),
    _text("reason", null=True),
    _text("displaced"),
    _text("refusals"),
    _text("gates"),
    _text("warnings"),
    _text("chosen_because", null=True),
    _of_version(),
)
Index("ix_promotion_model", promotion.c.model_id, promotion.c.id)
Index("ix_promotion_version", promotion.c.model_id, promotion.c.version, promotion.c.id)

lifecycle = _table(
    "lifecycle",
    _key("name"),
    _key("revision", BigInteger),
    _text("document"),
    _text("digest"),
    _int("at"),
    _text("applied_by"),
    _int("event"),
    _text("reason", null=True),
)
binding = _table(
    "binding",
    _key("position", BigInteger),
    _text("lifecycle"),
    _text("pattern", null=True),
    _text("tag", null=True),
    CheckConstraint("(pattern IS NULL) <> (tag IS NULL)", name="one_rule"),
)

manifest = _table("manifest", _key("digest"), _int("size_bytes"), _int("file_count"))
manifest_entry = _table(
    "manifest_entry",
    _key("manifest"),
    _key("path"),
    _text("digest"),
    _int("size_bytes"),
    ForeignKeyConstraint(["manifest"], ["manifest.digest"]),
    ForeignKeyConstraint(["digest"], ["blob.digest"]),
)
Index("ix_manifest_entry_digest", manifest_entry.c.digest)
blob = _table(
    "blob",
    _key("digest"),
    _int("size_bytes"),
    _text("state"),
    _int("at"),
    CheckConstraint("state IN ('present', 'deleting')", name="state"),
    CheckConstraint("size_bytes >= 0", name="size"),
)
upload = _table(
    "upload",
    _key("path"),
    _text("digest"),
    _int("size_bytes"),
    _int("at"),
    ForeignKeyConstraint(["digest"], ["blob.digest"]),
)

request_key = _table(
    "request_key", _key("principal"), _key("route"), _key("key"), _text("fingerprint"), _text("outcome"), _int("at")
)
Index("ix_request_key_at", request_key.c.at)

audit_entry = _table(
    "audit_entry",
    _key("seq", BigInteger),
    _int("at"),
    _text("type"),
    _text("actor"),
    _text("request"),
    _text("model", null=True),
    _int("version", null=True),
    _text("body"),
    _text("body_digest"),
    _text("prev"),
    _text("leaf"),
    CheckConstraint("seq >= 1", name="seq"),
)
Index("ix_audit_entry_model", audit_entry.c.model, audit_entry.c.seq)
audit_head = _table(
    "audit_head",
    _key("id", SmallInteger),
    _int("size"),
    _text("last"),
    Column("frontier", LargeBinary, nullable=False),
    _text("note"),
    CheckConstraint("id = 1", name="one"),
)
audit_tile = _table(
    "audit_tile", _key("level", BigInteger), _key("position", BigInteger), Column("hashes", LargeBinary, nullable=False)
)

AUDITED = (
    model,
    model_tag,
    version,
    version_tag,
    version_metric,
    version_param,
    version_dataset,
    tenure,
    promotion,
    lifecycle,
    binding,
)

# What no metadata can say. An entry of the log is never changed or removed, not even by our own mistake.
_RULES = (
    ("audit_entry_no_update", "audit_entry", "UPDATE", "", "the audit log is append-only"),
    ("audit_entry_no_delete", "audit_entry", "DELETE", "", "the audit log is append-only"),
    ("tenure_no_delete", "tenure", "DELETE", "", "history is never deleted"),
    ("tenure_closed", "tenure", "UPDATE", "WHEN {old}.until_event IS NOT NULL", "a closed tenure never changes"),
)


def _sqlite_rule(name: str, table: str, event: str, when: str, why: str) -> str:
    condition = when.format(old="OLD") + " " if when else ""
    return f"CREATE TRIGGER {name} BEFORE {event} ON {table} {condition}BEGIN SELECT RAISE(ABORT, '{why}'); END"


def _postgresql_rule(name: str, table: str, event: str, when: str, why: str) -> tuple[str, str]:
    condition = f"WHEN ({when.format(old='OLD').removeprefix('WHEN ')}) " if when else ""
    refuse = f"BEGIN RAISE EXCEPTION '{why}' USING ERRCODE = 'integrity_constraint_violation'; END"
    return (
        f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {refuse} $$",
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW {condition}EXECUTE FUNCTION {name}()",
    )


SQLITE_EXTRAS = tuple(_sqlite_rule(*rule) for rule in _RULES)
POSTGRESQL_EXTRAS = tuple(statement for rule in _RULES for statement in _postgresql_rule(*rule))
