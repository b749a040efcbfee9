"""The first schema."""
# fmt: off
# ruff: noqa: E501

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS: dict[str, tuple[str, ...]] = {
    'sqlite': (
        'CREATE TABLE audit_entry ( seq BIGINT NOT NULL, at BIGINT NOT NULL, type TEXT NOT NULL, actor TEXT NOT NULL, request TEXT NOT NULL, model TEXT, version BIGINT, body TEXT NOT NULL, body_digest TEXT NOT NULL, prev TEXT NOT NULL, leaf TEXT NOT NULL, CONSTRAINT pk_audit_entry PRIMARY KEY (seq), CONSTRAINT ck_audit_entry_seq CHECK (seq >= 1) )',
        'CREATE TABLE audit_head ( id SMALLINT NOT NULL, size BIGINT NOT NULL, last TEXT NOT NULL, frontier BLOB NOT NULL, note TEXT NOT NULL, CONSTRAINT pk_audit_head PRIMARY KEY (id), CONSTRAINT ck_audit_head_one CHECK (id = 1) )',
        'CREATE TABLE audit_tile ( level BIGINT NOT NULL, position BIGINT NOT NULL, hashes BLOB NOT NULL, CONSTRAINT pk_audit_tile PRIMARY KEY (level, position) )',
        'CREATE TABLE binding ( position BIGINT NOT NULL, lifecycle TEXT NOT NULL, pattern TEXT, tag TEXT, CONSTRAINT pk_binding PRIMARY KEY (position), CONSTRAINT ck_binding_one_rule CHECK ((pattern IS NULL) <> (tag IS NULL)) )',
        "CREATE TABLE blob ( digest TEXT NOT NULL, size_bytes BIGINT NOT NULL, state TEXT NOT NULL, at BIGINT NOT NULL, CONSTRAINT pk_blob PRIMARY KEY (digest), CONSTRAINT ck_blob_state CHECK (state IN ('present', 'deleting')), CONSTRAINT ck_blob_size CHECK (size_bytes >= 0) )",
        'CREATE TABLE lifecycle ( name TEXT NOT NULL, revision BIGINT NOT NULL, document TEXT NOT NULL, digest TEXT NOT NULL, at BIGINT NOT NULL, applied_by TEXT NOT NULL, event BIGINT NOT NULL, reason TEXT, CONSTRAINT pk_lifecycle PRIMARY KEY (name, revision) )',
        'CREATE TABLE manifest ( digest TEXT NOT NULL, size_bytes BIGINT NOT NULL, file_count BIGINT NOT NULL, CONSTRAINT pk_manifest PRIMARY KEY (digest) )',
        'CREATE TABLE meta ( "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_meta PRIMARY KEY ("key") )',
        'CREATE TABLE model ( id BIGINT NOT NULL, name TEXT NOT NULL, name_key TEXT NOT NULL, description TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, author TEXT, next_version BIGINT NOT NULL, lifecycle TEXT NOT NULL, deleted_event BIGINT, CONSTRAINT pk_model PRIMARY KEY (id), CONSTRAINT ck_model_next_version CHECK (next_version >= 1) )',
        'CREATE TABLE request_key ( principal TEXT NOT NULL, route TEXT NOT NULL, "key" TEXT NOT NULL, fingerprint TEXT NOT NULL, outcome TEXT NOT NULL, at BIGINT NOT NULL, CONSTRAINT pk_request_key PRIMARY KEY (principal, route, "key") )',
        'CREATE TABLE manifest_entry ( manifest TEXT NOT NULL, path TEXT NOT NULL, digest TEXT NOT NULL, size_bytes BIGINT NOT NULL, CONSTRAINT pk_manifest_entry PRIMARY KEY (manifest, path), CONSTRAINT fk_manifest_entry_manifest FOREIGN KEY(manifest) REFERENCES manifest (digest), CONSTRAINT fk_manifest_entry_digest FOREIGN KEY(digest) REFERENCES blob (digest) )',
        'CREATE TABLE model_tag ( model_id BIGINT NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_model_tag PRIMARY KEY (model_id, "key"), CONSTRAINT fk_model_tag_model_id FOREIGN KEY(model_id) REFERENCES model (id) )',
        'CREATE TABLE upload ( path TEXT NOT NULL, digest TEXT NOT NULL, size_bytes BIGINT NOT NULL, at BIGINT NOT NULL, CONSTRAINT pk_upload PRIMARY KEY (path), CONSTRAINT fk_upload_digest FOREIGN KEY(digest) REFERENCES blob (digest) )',
        'CREATE TABLE version ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, source TEXT NOT NULL, run_id TEXT, run_link TEXT, logged_model TEXT, description TEXT, author TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, status TEXT NOT NULL, manifest TEXT, size_bytes BIGINT, file_count BIGINT, context TEXT NOT NULL, parent_model TEXT, parent_version BIGINT, created_event BIGINT NOT NULL, deleted_event BIGINT, CONSTRAINT pk_version PRIMARY KEY (model_id, version), CONSTRAINT fk_version_model_id FOREIGN KEY(model_id) REFERENCES model (id), CONSTRAINT fk_version_manifest FOREIGN KEY(manifest) REFERENCES manifest (digest), CONSTRAINT ck_version_number CHECK (version >= 1) )',
        'CREATE TABLE promotion ( id BIGINT NOT NULL, model_id BIGINT NOT NULL, version BIGINT NOT NULL, slot TEXT NOT NULL, slot_kind TEXT NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL, lifecycle TEXT NOT NULL, lifecycle_revision BIGINT NOT NULL, at BIGINT NOT NULL, requested_by TEXT NOT NULL, from_stage TEXT, digest TEXT, reason TEXT, displaced TEXT NOT NULL, refusals TEXT NOT NULL, gates TEXT NOT NULL, warnings TEXT NOT NULL, chosen_because TEXT, CONSTRAINT pk_promotion PRIMARY KEY (id), CONSTRAINT fk_promotion_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE tenure ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, kind TEXT NOT NULL, slot TEXT NOT NULL, since_event BIGINT NOT NULL, "exclusive" SMALLINT NOT NULL, since_at BIGINT NOT NULL, since_by TEXT, reason TEXT, promotion BIGINT, until_event BIGINT, until_at BIGINT, until_by TEXT, until_kind TEXT, CONSTRAINT pk_tenure PRIMARY KEY (model_id, version, kind, slot, since_event), CONSTRAINT fk_tenure_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version), CONSTRAINT ck_tenure_kind CHECK (kind IN (\'stage\', \'alias\')), CONSTRAINT ck_tenure_order CHECK (until_event IS NULL OR until_event > since_event), CONSTRAINT ck_tenure_alias CHECK (kind = \'stage\' OR exclusive = 1) )',
        'CREATE TABLE version_dataset ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, position BIGINT NOT NULL, name TEXT NOT NULL, digest TEXT, source TEXT, context TEXT, CONSTRAINT pk_version_dataset PRIMARY KEY (model_id, version, position), CONSTRAINT fk_version_dataset_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE version_metric ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, "key" TEXT NOT NULL, value DOUBLE NOT NULL, CONSTRAINT pk_version_metric PRIMARY KEY (model_id, version, "key"), CONSTRAINT fk_version_metric_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE version_param ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_version_param PRIMARY KEY (model_id, version, "key"), CONSTRAINT fk_version_param_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE version_tag ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, "key" TEXT NOT NULL, value TEXT NOT NULL, CONSTRAINT pk_version_tag PRIMARY KEY (model_id, version, "key"), CONSTRAINT fk_version_tag_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE INDEX ix_audit_entry_model ON audit_entry (model, seq)',
        'CREATE INDEX ix_model_name ON model (name, id)',
        'CREATE INDEX ix_model_updated ON model (updated_at, name)',
        'CREATE UNIQUE INDEX uq_model_living_key ON model (name_key) WHERE deleted_event IS NULL',
        'CREATE UNIQUE INDEX uq_model_living_name ON model (name) WHERE deleted_event IS NULL',
        'CREATE INDEX ix_request_key_at ON request_key (at)',
        'CREATE INDEX ix_manifest_entry_digest ON manifest_entry (digest)',
        'CREATE INDEX ix_model_tag_key ON model_tag ("key", substr(value, 1, 200))',
        'CREATE INDEX ix_version_created ON version (created_at, model_id, version)',
        'CREATE INDEX ix_version_manifest ON version (manifest)',
        'CREATE INDEX ix_version_run ON version (run_id)',
        'CREATE INDEX ix_version_updated ON version (updated_at, model_id, version)',
        'CREATE INDEX ix_promotion_model ON promotion (model_id, id)',
        'CREATE INDEX ix_promotion_version ON promotion (model_id, version, id)',
        'CREATE INDEX ix_tenure_history ON tenure (model_id, since_event)',
        'CREATE INDEX ix_tenure_holding ON tenure (model_id, version) WHERE until_event IS NULL',
        'CREATE INDEX ix_tenure_open ON tenure (model_id, kind, slot, version) WHERE until_event IS NULL',
        'CREATE INDEX ix_tenure_slot ON tenure (model_id, kind, slot, since_event)',
        'CREATE INDEX ix_tenure_version ON tenure (model_id, version, since_event)',
        'CREATE UNIQUE INDEX uq_tenure_exclusive_holder ON tenure (model_id, kind, slot) WHERE until_event IS NULL AND exclusive = 1',
        "CREATE UNIQUE INDEX uq_tenure_one_stage ON tenure (model_id, version) WHERE until_event IS NULL AND kind = 'stage'",
        'CREATE INDEX ix_version_metric_key ON version_metric ("key", value)',
        'CREATE INDEX ix_version_param_key ON version_param ("key", substr(value, 1, 200))',
        'CREATE INDEX ix_version_tag_key ON version_tag ("key", substr(value, 1, 200))',
        "CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
        "CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END",
        "CREATE TRIGGER tenure_no_delete BEFORE DELETE ON tenure BEGIN SELECT RAISE(ABORT, 'history is never deleted'); END",
        "CREATE TRIGGER tenure_closed BEFORE UPDATE ON tenure WHEN OLD.until_event IS NOT NULL BEGIN SELECT RAISE(ABORT, 'a closed tenure never changes'); END",
    ),
    'postgresql': (
        'CREATE TABLE audit_entry ( seq BIGINT NOT NULL, at BIGINT NOT NULL, type TEXT COLLATE "C" NOT NULL, actor TEXT COLLATE "C" NOT NULL, request TEXT COLLATE "C" NOT NULL, model TEXT COLLATE "C", version BIGINT, body TEXT COLLATE "C" NOT NULL, body_digest TEXT COLLATE "C" NOT NULL, prev TEXT COLLATE "C" NOT NULL, leaf TEXT COLLATE "C" NOT NULL, CONSTRAINT pk_audit_entry PRIMARY KEY (seq), CONSTRAINT ck_audit_entry_seq CHECK (seq >= 1) )',
        'CREATE TABLE audit_head ( id SMALLINT NOT NULL, size BIGINT NOT NULL, last TEXT COLLATE "C" NOT NULL, frontier BYTEA NOT NULL, note TEXT COLLATE "C" NOT NULL, CONSTRAINT pk_audit_head PRIMARY KEY (id), CONSTRAINT ck_audit_head_one CHECK (id = 1) )',
        'CREATE TABLE audit_tile ( level BIGINT NOT NULL, position BIGINT NOT NULL, hashes BYTEA NOT NULL, CONSTRAINT pk_audit_tile PRIMARY KEY (level, position) )',
        'CREATE TABLE binding ( position BIGINT NOT NULL, lifecycle TEXT COLLATE "C" NOT NULL, pattern TEXT COLLATE "C", tag TEXT COLLATE "C", CONSTRAINT pk_binding PRIMARY KEY (position), CONSTRAINT ck_binding_one_rule CHECK ((pattern IS NULL) <> (tag IS NULL)) )',
        'CREATE TABLE blob ( digest TEXT COLLATE "C" NOT NULL, size_bytes BIGINT NOT NULL, state TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, CONSTRAINT pk_blob PRIMARY KEY (digest), CONSTRAINT ck_blob_state CHECK (state IN (\'present\', \'deleting\')), CONSTRAINT ck_blob_size CHECK (size_bytes >= 0) )',
        'CREATE TABLE lifecycle ( name TEXT COLLATE "C" NOT NULL, revision BIGINT NOT NULL, document TEXT COLLATE "C" NOT NULL, digest TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, applied_by TEXT COLLATE "C" NOT NULL, event BIGINT NOT NULL, reason TEXT COLLATE "C", CONSTRAINT pk_lifecycle PRIMARY KEY (name, revision) )',
        'CREATE TABLE manifest ( digest TEXT COLLATE "C" NOT NULL, size_bytes BIGINT NOT NULL, file_count BIGINT NOT NULL, CONSTRAINT pk_manifest PRIMARY KEY (digest) )',
        'CREATE TABLE meta ( key TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, CONSTRAINT pk_meta PRIMARY KEY (key) )',
        'CREATE TABLE model ( id BIGINT NOT NULL, name TEXT COLLATE "C" NOT NULL, name_key TEXT COLLATE "C" NOT NULL, description TEXT COLLATE "C", created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, author TEXT COLLATE "C", next_version BIGINT NOT NULL, lifecycle TEXT COLLATE "C" NOT NULL, deleted_event BIGINT, CONSTRAINT pk_model PRIMARY KEY (id), CONSTRAINT ck_model_next_version CHECK (next_version >= 1) )',
        'CREATE TABLE request_key ( principal TEXT COLLATE "C" NOT NULL, route TEXT COLLATE "C" NOT NULL, key TEXT COLLATE "C" NOT NULL, fingerprint TEXT COLLATE "C" NOT NULL, outcome TEXT COLLATE "C" NOT NULL, at BIGINT NOT NULL, CONSTRAINT pk_request_key PRIMARY KEY (principal, route, key) )',
        'CREATE TABLE manifest_entry ( manifest TEXT COLLATE "C" NOT NULL, path TEXT COLLATE "C" NOT NULL, digest TEXT COLLATE "C" NOT NULL, size_bytes BIGINT NOT NULL, CONSTRAINT pk_manifest_entry PRIMARY KEY (manifest, path), CONSTRAINT fk_manifest_entry_manifest FOREIGN KEY(manifest) REFERENCES manifest (digest), CONSTRAINT fk_manifest_entry_digest FOREIGN KEY(digest) REFERENCES blob (digest) )',
        'CREATE TABLE model_tag ( model_id BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, CONSTRAINT pk_model_tag PRIMARY KEY (model_id, key), CONSTRAINT fk_model_tag_model_id FOREIGN KEY(model_id) REFERENCES model (id) )',
        'CREATE TABLE upload ( path TEXT COLLATE "C" NOT NULL, digest TEXT COLLATE "C" NOT NULL, size_bytes BIGINT NOT NULL, at BIGINT NOT NULL, CONSTRAINT pk_upload PRIMARY KEY (path), CONSTRAINT fk_upload_digest FOREIGN KEY(digest) REFERENCES blob (digest) )',
        'CREATE TABLE version ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, source TEXT COLLATE "C" NOT NULL, run_id TEXT COLLATE "C", run_link TEXT COLLATE "C", logged_model TEXT COLLATE "C", description TEXT COLLATE "C", author TEXT COLLATE "C", created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, status TEXT COLLATE "C" NOT NULL, manifest TEXT COLLATE "C", size_bytes BIGINT, file_count BIGINT, context TEXT COLLATE "C" NOT NULL, parent_model TEXT COLLATE "C", parent_version BIGINT, created_event BIGINT NOT NULL, deleted_event BIGINT, CONSTRAINT pk_version PRIMARY KEY (model_id, version), CONSTRAINT fk_version_model_id FOREIGN KEY(model_id) REFERENCES model (id), CONSTRAINT fk_version_manifest FOREIGN KEY(manifest) REFERENCES manifest (digest), CONSTRAINT ck_version_number CHECK (version >= 1) )',
        'CREATE TABLE promotion ( id BIGINT NOT NULL, model_id BIGINT NOT NULL, version BIGINT NOT NULL, slot TEXT COLLATE "C" NOT NULL, slot_kind TEXT COLLATE "C" NOT NULL, kind TEXT COLLATE "C" NOT NULL, status TEXT COLLATE "C" NOT NULL, lifecycle TEXT COLLATE "C" NOT NULL, lifecycle_revision BIGINT NOT NULL, at BIGINT NOT NULL, requested_by TEXT COLLATE "C" NOT NULL, from_stage TEXT COLLATE "C", digest TEXT COLLATE "C", reason TEXT COLLATE "C", displaced TEXT COLLATE "C" NOT NULL, refusals TEXT COLLATE "C" NOT NULL, gates TEXT COLLATE "C" NOT NULL, warnings TEXT COLLATE "C" NOT NULL, chosen_because TEXT COLLATE "C", CONSTRAINT pk_promotion PRIMARY KEY (id), CONSTRAINT fk_promotion_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE tenure ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, kind TEXT COLLATE "C" NOT NULL, slot TEXT COLLATE "C" NOT NULL, since_event BIGINT NOT NULL, exclusive SMALLINT NOT NULL, since_at BIGINT NOT NULL, since_by TEXT COLLATE "C", reason TEXT COLLATE "C", promotion BIGINT, until_event BIGINT, until_at BIGINT, until_by TEXT COLLATE "C", until_kind TEXT COLLATE "C", CONSTRAINT pk_tenure PRIMARY KEY (model_id, version, kind, slot, since_event), CONSTRAINT fk_tenure_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version), CONSTRAINT ck_tenure_kind CHECK (kind IN (\'stage\', \'alias\')), CONSTRAINT ck_tenure_order CHECK (until_event IS NULL OR until_event > since_event), CONSTRAINT ck_tenure_alias CHECK (kind = \'stage\' OR exclusive = 1) )',
        'CREATE TABLE version_dataset ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, position BIGINT NOT NULL, name TEXT COLLATE "C" NOT NULL, digest TEXT COLLATE "C", source TEXT COLLATE "C", context TEXT COLLATE "C", CONSTRAINT pk_version_dataset PRIMARY KEY (model_id, version, position), CONSTRAINT fk_version_dataset_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE version_metric ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL, value DOUBLE PRECISION NOT NULL, CONSTRAINT pk_version_metric PRIMARY KEY (model_id, version, key), CONSTRAINT fk_version_metric_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE version_param ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, CONSTRAINT pk_version_param PRIMARY KEY (model_id, version, key), CONSTRAINT fk_version_param_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE TABLE version_tag ( model_id BIGINT NOT NULL, version BIGINT NOT NULL, key TEXT COLLATE "C" NOT NULL, value TEXT COLLATE "C" NOT NULL, CONSTRAINT pk_version_tag PRIMARY KEY (model_id, version, key), CONSTRAINT fk_version_tag_model_id_version FOREIGN KEY(model_id, version) REFERENCES version (model_id, version) )',
        'CREATE INDEX ix_audit_entry_model ON audit_entry (model, seq)',
        'CREATE INDEX ix_model_name ON model (name, id)',
        'CREATE INDEX ix_model_updated ON model (updated_at, name)',
        'CREATE UNIQUE INDEX uq_model_living_key ON model (name_key) WHERE deleted_event IS NULL',
        'CREATE UNIQUE INDEX uq_model_living_name ON model (name) WHERE deleted_event IS NULL',
        'CREATE INDEX ix_request_key_at ON request_key (at)',
        'CREATE INDEX ix_manifest_entry_digest ON manifest_entry (digest)',
        'CREATE INDEX ix_model_tag_key ON model_tag (key, substr(value, 1, 200))',
        'CREATE INDEX ix_version_created ON version (created_at, model_id, version)',
        'CREATE INDEX ix_version_manifest ON version (manifest)',
        'CREATE INDEX ix_version_run ON version (run_id)',
        'CREATE INDEX ix_version_updated ON version (updated_at, model_id, version)',
        'CREATE INDEX ix_promotion_model ON promotion (model_id, id)',
        'CREATE INDEX ix_promotion_version ON promotion (model_id, version, id)',
        'CREATE INDEX ix_tenure_history ON tenure (model_id, since_event)',
        'CREATE INDEX ix_tenure_holding ON tenure (model_id, version) WHERE until_event IS NULL',
        'CREATE INDEX ix_tenure_open ON tenure (model_id, kind, slot, version) WHERE until_event IS NULL',
        'CREATE INDEX ix_tenure_slot ON tenure (model_id, kind, slot, since_event)',
        'CREATE INDEX ix_tenure_version ON tenure (model_id, version, since_event)',
        'CREATE UNIQUE INDEX uq_tenure_exclusive_holder ON tenure (model_id, kind, slot) WHERE until_event IS NULL AND exclusive = 1',
        "CREATE UNIQUE INDEX uq_tenure_one_stage ON tenure (model_id, version) WHERE until_event IS NULL AND kind = 'stage'",
        'CREATE INDEX ix_version_metric_key ON version_metric (key, value)',
        'CREATE INDEX ix_version_param_key ON version_param (key, substr(value, 1, 200))',
        'CREATE INDEX ix_version_tag_key ON version_tag (key, substr(value, 1, 200))',
        "CREATE FUNCTION audit_entry_no_update() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        'CREATE TRIGGER audit_entry_no_update BEFORE UPDATE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_no_update()',
        "CREATE FUNCTION audit_entry_no_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        'CREATE TRIGGER audit_entry_no_delete BEFORE DELETE ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_entry_no_delete()',
        "CREATE FUNCTION tenure_no_delete() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'history is never deleted' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        'CREATE TRIGGER tenure_no_delete BEFORE DELETE ON tenure FOR EACH ROW EXECUTE FUNCTION tenure_no_delete()',
        "CREATE FUNCTION tenure_closed() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'a closed tenure never changes' USING ERRCODE = 'integrity_constraint_violation'; END $$",
        'CREATE TRIGGER tenure_closed BEFORE UPDATE ON tenure FOR EACH ROW WHEN (OLD.until_event IS NOT NULL) EXECUTE FUNCTION tenure_closed()',
    ),
}


def upgrade() -> None:
    """Make the tables, indexes and triggers."""
    for statement in STATEMENTS[op.get_context().dialect.name]:
        op.execute(statement)


def downgrade() -> None:
    """There is nothing before the first schema. Raises RuntimeError."""
    raise RuntimeError("the first schema cannot be taken back")
