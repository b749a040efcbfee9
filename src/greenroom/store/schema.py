"""The tables, once, for every database. `tools/compile_sql.py` makes the DDL and the statements from here.

Tables marked `AUDITED` are the registry's state: they change only through `WriteTx.insert/update/remove`, which puts
every row change into the audit event of the same transaction, so that state = replay(audit). The others are derived or
certify themselves (a manifest by its digest), or are no lifecycle state (uploads).
Times are UTC milliseconds. Flags are 0 and 1. JSON is canonical text.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    SmallInteger,
    text,
)

from greenroom.store.columns import flag, integer, key, start, string, table


def _of_version() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["model_id", "version"], ["version.model_id", "version.version"])


meta = table("meta", key("key"), string("value"))

model = table(
    "model",
    key("id", BigInteger),  # the sequence number of the event that created it
    string("name"),
    string("name_key"),
    string("description", null=True),
    integer("created_at"),
    integer("updated_at"),
    string("author", null=True),
    integer("next_version"),
    string("lifecycle"),
    integer("deleted_event", null=True),
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

model_tag = table(
    "model_tag",
    key("model_id", BigInteger),
    key("key"),
    string("value"),
    ForeignKeyConstraint(["model_id"], ["model.id"]),
)
Index("ix_model_tag_key", model_tag.c.key, start(model_tag.c.value))

version = table(
    "version",
    key("model_id", BigInteger),
    key("version", BigInteger),
    string("source"),
    string("run_id", null=True),
    string("run_link", null=True),
    string("logged_model", null=True),
    string("description", null=True),
    string("author", null=True),
    integer("created_at"),
    integer("updated_at"),
    string("status"),
    string("manifest", null=True),
    integer("size_bytes", null=True),
    integer("file_count", null=True),
    string("context"),
    string("parent_model", null=True),
    integer("parent_version", null=True),
    integer("created_event"),
    integer("deleted_event", null=True),
    ForeignKeyConstraint(["model_id"], ["model.id"]),
    ForeignKeyConstraint(["manifest"], ["manifest.digest"]),
    CheckConstraint("version >= 1", name="number"),
)
Index("ix_version_updated", version.c.updated_at, version.c.model_id, version.c.version)
Index("ix_version_created", version.c.created_at, version.c.model_id, version.c.version)
Index("ix_version_run", version.c.run_id)
Index("ix_version_manifest", version.c.manifest)
Index("ix_version_parent", version.c.parent_model, version.c.parent_version)

version_tag = table(
    "version_tag", key("model_id", BigInteger), key("version", BigInteger), key("key"), string("value"), _of_version()
)
Index("ix_version_tag_key", version_tag.c.key, start(version_tag.c.value))
version_metric = table(
    "version_metric",
    key("model_id", BigInteger),
    key("version", BigInteger),
    key("key"),
    Column("value", Double, nullable=False),
    _of_version(),
)
Index("ix_version_metric_key", version_metric.c.key, version_metric.c.value)
version_param = table(
    "version_param",
    key("model_id", BigInteger),
    key("version", BigInteger),
    key("key"),
    string("value"),
    _of_version(),
)
Index("ix_version_param_key", version_param.c.key, start(version_param.c.value))
version_dataset = table(
    "version_dataset",
    key("model_id", BigInteger),
    key("version", BigInteger),
    key("position", BigInteger),
    string("name"),
    string("digest", null=True),
    string("source", null=True),
    string("context", null=True),
    _of_version(),
)

tenure = table(
    "tenure",
    key("model_id", BigInteger),
    key("version", BigInteger),
    key("kind"),
    key("slot"),
    key("since_event", BigInteger),
    flag("exclusive"),
    integer("since_at"),
    string("since_by", null=True),
    string("reason", null=True),
    integer("promotion", null=True),
    integer("until_event", null=True),
    integer("until_at", null=True),
    string("until_by", null=True),
    string("until_kind", null=True),
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

promotion = table(
    "promotion",
    key("id", BigInteger),  # the sequence number of its event
    integer("model_id"),
    integer("version"),
    string("slot"),
    string("slot_kind"),
    string("kind"),
    string("status"),
    string("lifecycle"),
    integer("lifecycle_revision"),
    integer("at"),
    string("requested_by"),
    string("from_stage", null=True),
    string("digest", null=True),
    string("reason", null=True),
    string("displaced"),
    string("refusals"),
    string("gates"),
    string("warnings"),
    string("chosen_because", null=True),
    _of_version(),
)
Index("ix_promotion_model", promotion.c.model_id, promotion.c.id)
Index("ix_promotion_version", promotion.c.model_id, promotion.c.version, promotion.c.id)

lifecycle = table(
    "lifecycle",
    key("name"),
    key("revision", BigInteger),
    string("document"),
    string("digest"),
    integer("at"),
    string("applied_by"),
    integer("event"),
    string("reason", null=True),
)
binding = table(
    "binding",
    key("position", BigInteger),
    string("lifecycle"),
    string("pattern", null=True),
    string("tag", null=True),
    CheckConstraint("(pattern IS NULL) <> (tag IS NULL)", name="one_rule"),
)

manifest = table("manifest", key("digest"), integer("size_bytes"), integer("file_count"))
manifest_entry = table(
    "manifest_entry",
    key("manifest"),
    key("path"),
    string("digest"),
    integer("size_bytes"),
    ForeignKeyConstraint(["manifest"], ["manifest.digest"]),
    ForeignKeyConstraint(["digest"], ["blob.digest"]),
)
Index("ix_manifest_entry_digest", manifest_entry.c.digest, manifest_entry.c.manifest)
blob = table(
    "blob",
    key("digest"),
    integer("size_bytes"),
    string("state"),
    integer("at"),
    CheckConstraint("state IN ('present', 'deleting', 'damaged')", name="state"),
    CheckConstraint("size_bytes >= 0", name="size"),
)
Index(
    "ix_blob_unsettled",
    blob.c.state,
    sqlite_where=text("state <> 'present'"),
    postgresql_where=text("state <> 'present'"),
)
upload = table(
    "upload",
    key("path"),
    string("digest"),
    integer("size_bytes"),
    integer("at"),
    ForeignKeyConstraint(["digest"], ["blob.digest"]),
)
Index("ix_upload_digest", upload.c.digest)

request_key = table(
    "request_key", key("principal"), key("route"), key("key"), string("fingerprint"), string("outcome"), integer("at")
)
Index("ix_request_key_at", request_key.c.at)

audit_entry = table(
    "audit_entry",
    key("seq", BigInteger),
    integer("at"),
    string("type"),
    string("actor"),
    string("request"),
    string("model", null=True),
    integer("version", null=True),
    string("body"),
    string("body_digest"),
    string("prev"),
    string("leaf"),
    CheckConstraint("seq >= 1", name="seq"),
)
Index("ix_audit_entry_model", audit_entry.c.model, audit_entry.c.seq)
audit_head = table(
    "audit_head",
    key("id", SmallInteger),
    integer("size"),
    string("last"),
    Column("frontier", LargeBinary, nullable=False),
    string("note"),
    CheckConstraint("id = 1", name="one"),
)
audit_tile = table(
    "audit_tile", key("level", BigInteger), key("position", BigInteger), Column("hashes", LargeBinary, nullable=False)
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
