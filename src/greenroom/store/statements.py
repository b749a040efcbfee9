"""The fixed queries, by subject. `tools/compile_sql.py` turns them into text once per dialect; nothing imports this
at run time.

Every query that serving uses is one indexed look-up whose cost does not grow with the registry (design, section 6).
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, and_, bindparam, func, or_, select

from greenroom.store import schema as s
from greenroom.store.statements_tracking import TRACKING

_m, _v, _t, _p = s.model.c, s.version.c, s.tenure.c, s.promotion.c
_open = _t.until_event.is_(None)


def _b(name: str) -> Any:
    return bindparam(name)


MODEL_COLUMNS = (
    _m.id,
    _m.name,
    _m.description,
    _m.created_at,
    _m.updated_at,
    _m.author,
    _m.next_version,
    _m.lifecycle,
    _m.deleted_event,
)
VERSION_COLUMNS = tuple(c for c in s.version.c)
TENURE_COLUMNS = tuple(c for c in s.tenure.c)
PROMOTION_COLUMNS = tuple(c for c in s.promotion.c)
_model, _tenures, _promotions = select(*MODEL_COLUMNS), select(*TENURE_COLUMNS), select(*PROMOTION_COLUMNS)
_of_model = _t.model_id == _b("model_id")
_of_slot = and_(_of_model, _t.kind == _b("kind"), _t.slot == _b("slot"))
_older = or_(_t.since_event < _b("event"), and_(_t.since_event == _b("event"), _t.version < _b("before")))
_newest = (_t.since_event.desc(), _t.version.desc())


def _part(table: Any, *columns: Any) -> Select[Any]:
    """Rows of a table that hangs on a version."""
    return select(*columns).where(table.c.model_id == _b("model_id"), table.c.version == _b("version"))


def _history(*conditions: Any) -> Select[Any]:
    return _tenures.where(*conditions, _older).order_by(*_newest).limit(_b("limit"))


MODELS: dict[str, Select[Any]] = {
    "model_by_name": _model.where(_m.name == _b("name"), _m.deleted_event.is_(None)),
    "model_by_key": _model.where(_m.name_key == _b("name_key"), _m.deleted_event.is_(None)),
    "model_tombstone": _model.where(_m.name == _b("name"), _m.deleted_event.is_not(None))
    .order_by(_m.id.desc())
    .limit(1),
    "model_next_number": select(func.max(_m.next_version)).where(_m.name == _b("name")),
    "living_models": select(_m.id, _m.name, _m.lifecycle).where(_m.deleted_event.is_(None)).order_by(_m.id),
    "model_tags": select(s.model_tag.c.key, s.model_tag.c.value)
    .where(s.model_tag.c.model_id == _b("model_id"))
    .order_by(s.model_tag.c.key),
    "model_aliases": select(_t.slot, _t.version).where(_of_model, _t.kind == "alias", _open).order_by(_t.slot),
}

VERSIONS: dict[str, Select[Any]] = {
    "version_row": select(*VERSION_COLUMNS).where(_v.model_id == _b("model_id"), _v.version == _b("version")),
    "version_tags": _part(s.version_tag, s.version_tag.c.key, s.version_tag.c.value).order_by(s.version_tag.c.key),
    "version_metrics": _part(s.version_metric, s.version_metric.c.key, s.version_metric.c.value).order_by(
        s.version_metric.c.key
    ),
    "version_params": _part(s.version_param, s.version_param.c.key, s.version_param.c.value).order_by(
        s.version_param.c.key
    ),
    "version_datasets": _part(
        s.version_dataset, *(s.version_dataset.c[n] for n in ("name", "digest", "source", "context"))
    ).order_by(s.version_dataset.c.position),
    "version_slots": select(_t.kind, _t.slot).where(_of_model, _t.version == _b("version"), _open),
    "living_versions": select(_v.version)
    .where(_v.model_id == _b("model_id"), _v.deleted_event.is_(None))
    .order_by(_v.version),
    "versions_deleted_by": select(_v.version)
    .where(_v.model_id == _b("model_id"), _v.deleted_event == _b("event"))
    .order_by(_v.version),
    "metric_of_versions": select(_v.version, s.version_metric.c.value)
    .select_from(
        s.version.outerjoin(
            s.version_metric,
            and_(
                s.version_metric.c.model_id == _v.model_id,
                s.version_metric.c.version == _v.version,
                s.version_metric.c.key == _b("key"),
            ),
        )
    )
    .where(_v.model_id == _b("model_id"), _v.deleted_event.is_(None)),
    "versions_made_from": select(_m.name, _v.version)
    .join_from(s.version, s.model, _m.id == _v.model_id)
    .where(_v.parent_model == _b("model"), _v.parent_version == _b("version"), _m.deleted_event.is_(None))
    .order_by(_m.id, _v.version)
    .limit(_b("limit")),
    "versions_of_run": select(_m.name, _v.version)
    .join_from(s.version, s.model, _m.id == _v.model_id)
    .where(_v.run_id == _b("run_id"), _v.deleted_event.is_(None), _m.deleted_event.is_(None))
    .order_by(_m.id, _v.version)
    .limit(_b("limit")),
    "pinned_versions": select(_m.id, _m.name, _v.version, _v.manifest)
    .join_from(s.model, s.version, _m.id == _v.model_id)
    .where(_v.manifest.is_not(None))
    .order_by(_m.id, _v.version),
}

SLOTS: dict[str, Select[Any]] = {
    "holders": _tenures.where(_of_slot, _open).limit(_b("limit")),
    "newest_in_slot": select(_t.version).where(_of_slot, _open).order_by(_t.version.desc()).limit(1),
    "versions_in_slot": select(_t.version).where(_of_slot, _open).order_by(_t.version.desc()).limit(_b("limit")),
    "holders_at": _tenures.where(_of_slot, _t.since_at <= _b("at"), or_(_open, _t.until_at > _b("at")))
    .order_by(_t.since_event.desc())
    .limit(_b("limit")),
    "open_tenures": _tenures.where(_of_model, _t.version == _b("version"), _open),
    "tenures_of_version": _tenures.where(_of_model, _t.version == _b("version")).order_by(*_newest).limit(_b("limit")),
    "has_held": select(_t.since_event).where(_of_slot, _t.version == _b("version")).limit(1),
    "history": _history(_of_model),
    "history_of_slot": _history(_of_slot),
    "history_of_version": _history(_of_model, _t.version == _b("version")),
    "history_of_slot_and_version": _history(_of_slot, _t.version == _b("version")),
    "open_of_model": _tenures.where(_of_model, _open).order_by(_t.since_event, _t.version),
    "stages_of_model": select(_t.slot, func.count()).where(_of_model, _t.kind == "stage", _open).group_by(_t.slot),
}

PROMOTIONS: dict[str, Select[Any]] = {
    "promotions": _promotions.where(_p.model_id == _b("model_id"), _p.id < _b("before"))
    .order_by(_p.id.desc())
    .limit(_b("limit")),
    "promotions_of_version": _promotions.where(
        _p.model_id == _b("model_id"), _p.version == _b("version"), _p.id < _b("before")
    )
    .order_by(_p.id.desc())
    .limit(_b("limit")),
}

_l = s.lifecycle.c
_revision = select(_l.name, _l.revision, _l.document, _l.digest, _l.at, _l.applied_by, _l.event, _l.reason)
LIFECYCLES: dict[str, Select[Any]] = {
    "lifecycle_newest": _revision.where(_l.name == _b("name")).order_by(_l.revision.desc()).limit(1),
    "lifecycle_revision": _revision.where(_l.name == _b("name"), _l.revision == _b("revision")),
    "lifecycle_history": _revision.where(_l.name == _b("name")).order_by(_l.revision.desc()),
    "lifecycle_names": select(_l.name).distinct().order_by(_l.name),
    "bindings": select(s.binding.c.position, s.binding.c.lifecycle, s.binding.c.pattern, s.binding.c.tag).order_by(
        s.binding.c.position
    ),
}

_f = s.manifest_entry.c
_blob = select(s.blob.c.digest, s.blob.c.size_bytes, s.blob.c.state, s.blob.c.at)
_unsettled = s.blob.c.state != "present"  # as the partial index says it: blobs that are damaged or being deleted
ARTIFACTS: dict[str, Select[Any]] = {
    "blob": select(s.blob.c.size_bytes, s.blob.c.state).where(s.blob.c.digest == _b("digest")),
    "blobs": select(s.blob.c.digest, s.blob.c.size_bytes, s.blob.c.state).order_by(s.blob.c.digest),
    "blob_row": _blob.where(s.blob.c.digest == _b("digest")),
    "blobs_after": _blob.where(s.blob.c.digest > _b("after")).order_by(s.blob.c.digest).limit(_b("limit")),
    "blobs_in_state": _blob.where(_unsettled, s.blob.c.state == _b("state")).order_by(s.blob.c.digest),
    "blob_totals": select(func.count(), func.coalesce(func.sum(s.blob.c.size_bytes), 0)).select_from(s.blob),
    "unused_blobs": _blob.where(
        s.blob.c.digest > _b("after"),
        s.blob.c.state != "deleting",
        s.blob.c.at <= _b("until"),
        ~select(_f.digest).where(_f.digest == s.blob.c.digest).exists(),
        ~select(s.upload.c.digest).where(s.upload.c.digest == s.blob.c.digest).exists(),
    )
    .order_by(s.blob.c.digest)
    .limit(_b("limit")),
    "blob_in_manifest": select(_f.manifest).where(_f.digest == _b("digest")).limit(1),
    "blob_in_upload": select(s.upload.c.path).where(s.upload.c.digest == _b("digest")).limit(1),
    "blob_versions": select(_m.name, _v.version)
    .select_from(s.manifest_entry)
    .join(s.version, _v.manifest == _f.manifest)
    .join(s.model, _m.id == _v.model_id)
    .where(_f.digest == _b("digest"))
    .order_by(_m.name, _v.version)
    .limit(_b("limit")),
    "damaged_in_manifest": select(s.blob.c.digest)
    .where(
        _unsettled,
        s.blob.c.state == "damaged",
        select(_f.digest).where(_f.digest == s.blob.c.digest, _f.manifest == _b("manifest")).exists(),
    )
    .limit(1),
    "unnamed_manifests": select(s.manifest.c.digest)
    .where(s.manifest.c.digest > _b("after"), ~select(_v.manifest).where(_v.manifest == s.manifest.c.digest).exists())
    .order_by(s.manifest.c.digest)
    .limit(_b("limit")),
    "manifest": select(s.manifest.c.digest, s.manifest.c.size_bytes, s.manifest.c.file_count).where(
        s.manifest.c.digest == _b("digest")
    ),
    "manifests": select(s.manifest.c.digest).order_by(s.manifest.c.digest),
    "manifest_files": select(_f.path, _f.digest, _f.size_bytes).where(_f.manifest == _b("manifest")).order_by(_f.path),
    "manifest_file": select(_f.path, _f.digest, _f.size_bytes).where(
        _f.manifest == _b("manifest"), _f.path == _b("path")
    ),
    "manifest_below": select(_f.path, _f.digest, _f.size_bytes)
    .where(_f.manifest == _b("manifest"), _f.path >= _b("low"), _f.path < _b("high"))
    .order_by(_f.path),
    "upload": select(s.upload.c.path, s.upload.c.digest, s.upload.c.size_bytes).where(s.upload.c.path == _b("path")),
    "uploads_below": select(s.upload.c.path, s.upload.c.digest, s.upload.c.size_bytes)
    .where(s.upload.c.path >= _b("low"), s.upload.c.path < _b("high"))
    .order_by(s.upload.c.path),
}

_a = s.audit_entry.c
_entry = select(
    _a.seq, _a.at, _a.type, _a.actor, _a.request, _a.model, _a.version, _a.body, _a.body_digest, _a.prev, _a.leaf
)
_k = s.request_key.c
AUDIT: dict[str, Select[Any]] = {
    "audit_head": select(s.audit_head.c.size, s.audit_head.c.last, s.audit_head.c.frontier, s.audit_head.c.note).where(
        s.audit_head.c.id == 1
    ),
    "audit_entries": _entry.where(_a.seq > _b("after")).order_by(_a.seq).limit(_b("limit")),
    "audit_entries_of_model": _entry.where(_a.model == _b("model"), _a.seq > _b("after"))
    .order_by(_a.seq)
    .limit(_b("limit")),
    "audit_leaves": select(_a.leaf).where(_a.seq > _b("after"), _a.seq <= _b("until")).order_by(_a.seq),
    "audit_tile": select(s.audit_tile.c.hashes).where(
        s.audit_tile.c.level == _b("level"), s.audit_tile.c.position == _b("position")
    ),
    "audit_tiles": select(s.audit_tile.c.level, s.audit_tile.c.position, s.audit_tile.c.hashes).order_by(
        s.audit_tile.c.level, s.audit_tile.c.position
    ),
    "request_key": select(_k.fingerprint, _k.outcome).where(
        _k.principal == _b("principal"), _k.route == _b("route"), _k.key == _b("key")
    ),
    "old_request_keys": select(_k.principal, _k.route, _k.key).where(_k.at < _b("before")).limit(_b("limit")),
    "old_request_keys_count": select(func.count()).select_from(s.request_key).where(_k.at < _b("before")),
    "meta": select(s.meta.c.value).where(s.meta.c.key == _b("key")),
}

STATEMENTS: dict[str, Select[Any]] = {
    **MODELS,
    **VERSIONS,
    **SLOTS,
    **PROMOTIONS,
    **LIFECYCLES,
    **ARTIFACTS,
    **AUDIT,
    **TRACKING,
}

# Without statistics SQLite cannot know that few tenures are open and many closed, and would walk through a slot's whole
# history to find its holder. PostgreSQL keeps statistics and needs no word from us.
SQLITE_INDEXES: dict[str, str] = {
    "model_aliases": "ix_tenure_open",
    "holders": "ix_tenure_open",
    "newest_in_slot": "ix_tenure_open",
    "versions_in_slot": "ix_tenure_open",
    "open_of_model": "ix_tenure_open",
    "stages_of_model": "ix_tenure_open",
    "version_slots": "ix_tenure_holding",
    "open_tenures": "ix_tenure_holding",
    "tenures_of_version": "ix_tenure_version",
    "history_of_version": "ix_tenure_version",
    "promotions_of_version": "ix_promotion_version",
}
