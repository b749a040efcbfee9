"""Use cases about model versions: registering them with all that makes them traceable, and changing what may change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.core.canonical import canonical_text
from greenroom.core.digest import Manifest, hex_of, manifest_of
from greenroom.core.errors import InvalidInput, Refused
from greenroom.core.lifecycle import delete_refusal
from greenroom.core.model import Actor, Context, File, PromotionKind, Version
from greenroom.core.names import (
    check_dataset_name,
    check_description,
    check_metric_key,
    check_param_key,
    check_param_value,
    check_tag_key,
    check_tag_value,
)
from greenroom.services import commands as c
from greenroom.services.artifacts import being_deleted
from greenroom.services.catalog import insert_model
from greenroom.services.finding import get_model, get_version, policy_for
from greenroom.services.limits import check_count, check_finite, check_short_text
from greenroom.services.ports import ModelRow, WriteTx
from greenroom.services.sources import SNAPSHOTS, Origin, resolve_origin
from greenroom.services.tenures import close_tenure, open_stage
from greenroom.services.tracking_models import note_version
from greenroom.services.tracking_origin import author_of, with_facts
from greenroom.services.views import version_view

READY = "READY"


def register_version(tx: WriteTx, ask: c.RegisterVersion, actor: Actor) -> Version:
    """Register the next version of a model, pinning its files if they are here.

    Raises NotFound (no such model, source version or parent), InvalidInput, Conflict (a blob is just being deleted).
    """
    _check(ask)
    # A model that is made here may be the parent's own line, come back; of an unknown model and an unknown source the
    # source is told, as MLflow does.
    made = _found_or_made(tx, ask, actor) if ask.create_model else None
    origin = resolve_origin(tx, ask)
    model = made or get_model(tx, ask.model)
    policy, _ = policy_for(tx, model)
    ask = with_facts(tx, ask, origin.run_id, origin.logged_model)
    manifest = pin_files(tx, origin.files) if origin.files is not None else None
    number = model.next_version
    tx.insert("version", _row(tx, ask, model, origin, manifest, actor))
    _insert_parts(tx, ask, model.id, number)
    open_stage(tx, model, number, policy.initial, actor, reason=ask.reason)
    tx.update("model", {"id": model.id}, {"next_version": number + 1, "updated_at": tx.now})
    if origin.logged_model is not None:
        note_version(tx, origin.logged_model, model.name, number)
    tx.record(
        "version_registered",
        actor,
        model=model.name,
        version=number,
        body={"digest": manifest.digest if manifest else None, "reason": ask.reason},
    )
    return version_view(tx, model, get_version(tx, model, number))


def _check(ask: c.RegisterVersion) -> None:
    if ask.description is not None:
        check_description(ask.description)
    for what in ("tags", "metrics", "params", "datasets"):
        check_count(what, getattr(ask, what))
    if ask.files is not None:
        check_count("files", ask.files)
    check_count("packages", ask.context.packages)
    for key, value in ask.tags.items():
        check_tag_key(key)
        check_tag_value(value)
    for text, name in (
        (ask.run_link, "run_link"),
        (ask.run_id, "run_id"),
        (ask.logged_model, "logged_model"),
        (ask.reason, "reason"),
    ):
        check_short_text(name, text)


def _found_or_made(tx: WriteTx, ask: c.RegisterVersion, actor: Actor) -> ModelRow:
    return tx.find_model(ask.model) or insert_model(tx, ask.model, None, {}, actor)


def pin_files(tx: WriteTx, files: tuple[File, ...]) -> Manifest:
    """Store the manifest, every blob of which must be here. Raises InvalidInput naming those that are not."""
    if not files:
        raise InvalidInput("a version needs at least one file.", hint="Leave `files` out if the files are elsewhere.")
    manifest = manifest_of(files)
    missing = []
    for each in manifest.entries:
        blob = tx.find_blob(each.digest)
        if blob is not None and blob[1] == "deleting":
            raise being_deleted(each.digest)
        if blob is None or blob[1] == "damaged":
            missing.append(f"{each.path} ({each.digest})")
        elif blob[0] != each.size_bytes:
            raise InvalidInput(
                f"{each.path} is said to have {each.size_bytes} bytes, its blob has {blob[0]}.", path=each.path
            )
    if missing:
        raise InvalidInput(
            f"{len(missing)} file{'s are' if len(missing) > 1 else ' is'} not stored here: {', '.join(missing[:3])}.",
            hint="Upload the missing blobs first (POST /api/v1/blobs/missing says which).",
            missing=missing[:100],
        )
    tx.put_manifest(manifest)
    return manifest


def _row(
    tx: WriteTx, ask: c.RegisterVersion, model: ModelRow, origin: Origin, manifest: Manifest | None, actor: Actor
) -> dict[str, Any]:
    return {
        "model_id": model.id,
        "version": model.next_version,
        "source": origin.source or _snapshot_uri(manifest),
        "run_id": origin.run_id,
        "run_link": ask.run_link or None,
        "logged_model": origin.logged_model,
        "description": ask.description,
        "author": author_of(tx, actor, origin.run_id),
        "created_at": tx.now,
        "updated_at": tx.now,
        "status": READY,
        "manifest": manifest.digest if manifest else None,
        "size_bytes": manifest.size_bytes if manifest else None,
        "file_count": len(manifest.entries) if manifest else None,
        "context": _context(ask.context),
        "parent_model": origin.parent.model if origin.parent else None,
        "parent_version": origin.parent.version if origin.parent else None,
        "created_event": tx.seq,
    }


def _snapshot_uri(manifest: Manifest | None) -> str:
    """Pushed files have no other source than themselves; MLflow's clients can read this one."""
    return f"mlflow-artifacts:/{SNAPSHOTS}/{hex_of(manifest.digest)}" if manifest else ""


def _context(context: Context) -> str:
    known = {name: value for name, value in context.__dict__.items() if value}
    for value in known.values():
        if isinstance(value, str):
            check_param_value(value)
        else:
            for package, version in value.items():
                check_param_value(package)
                check_param_value(version)
    return canonical_text({name: dict(value) if isinstance(value, Mapping) else value for name, value in known.items()})


def _insert_parts(tx: WriteTx, ask: c.RegisterVersion, model_id: int, number: int) -> None:
    of = {"model_id": model_id, "version": number}
    for key, value in ask.tags.items():
        tx.insert("version_tag", {**of, "key": key, "value": value})
    _put_metrics(tx, of, ask.metrics)
    for key, text in ask.params.items():
        tx.insert("version_param", {**of, "key": check_param_key(key), "value": check_param_value(text)})
    for position, each in enumerate(ask.datasets):
        for fact in (each.digest, each.source, each.context):
            if fact is not None:
                check_param_value(fact)
        row = {
            "name": check_dataset_name(each.name),
            "digest": each.digest,
            "source": each.source,
            "context": each.context,
        }
        tx.insert("version_dataset", {**of, "position": position, **row})


def _put_metrics(tx: WriteTx, of: Mapping[str, int], metrics: Mapping[str, float]) -> None:
    for key, value in metrics.items():
        tx.remove("version_metric", {**of, "key": check_metric_key(key)})
        tx.insert("version_metric", {**of, "key": key, "value": check_finite(key, value)})


def update_version(tx: WriteTx, ask: c.UpdateVersion, actor: Actor) -> Version:
    """Overwrite the description; None clears it. Raises NotFound, InvalidInput."""
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    if ask.description is not None:
        check_description(ask.description)
    tx.update(
        "version",
        {"model_id": model.id, "version": row.version},
        {"description": ask.description, "updated_at": tx.now},
    )
    tx.record("version_updated", actor, model=model.name, version=row.version)
    return version_view(tx, model, get_version(tx, model, row.version))


def delete_version(tx: WriteTx, ask: c.DeleteVersion, actor: Actor) -> Version | Refused:
    """Delete a version: a tombstone; its aliases go, its number, bytes and history stay. Raises NotFound.

    Refused (a recorded value) while it holds a protected slot. InvalidInput for a reason that cannot be kept.
    """
    check_short_text("reason", ask.reason)
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    policy, _ = policy_for(tx, model)
    held = tx.open_tenures(model, row.version)
    refusal = delete_refusal(policy, model.name, held)
    if refusal is not None:
        tx.record(
            "deletion_rejected",
            actor,
            model=model.name,
            version=row.version,
            body={"reason": ask.reason, "refusal": refusal.message},
        )
        return refusal
    for tenure in held:
        close_tenure(tx, model, tenure, actor, PromotionKind.DELETE)
    tx.update(
        "version", {"model_id": model.id, "version": row.version}, {"deleted_event": tx.seq, "updated_at": tx.now}
    )
    tx.update("model", {"id": model.id}, {"updated_at": tx.now})
    tx.record("version_deleted", actor, model=model.name, version=row.version, body={"reason": ask.reason})
    return version_view(tx, model, get_version(tx, model, row.version, deleted=True))


def restore_version(tx: WriteTx, ask: c.RestoreVersion, actor: Actor) -> Version:
    """Bring a deleted version back into the first stage; what it held stays with those who hold it now.

    Raises NotFound; a version that is not deleted is InvalidInput.
    """
    check_short_text("reason", ask.reason)
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version, deleted=True)
    if row.deleted_event is None:
        raise InvalidInput(
            f"version {row.version} of {model.name!r} is not deleted.", model=model.name, version=row.version
        )
    policy, _ = policy_for(tx, model)
    tx.update("version", {"model_id": model.id, "version": row.version}, {"deleted_event": None, "updated_at": tx.now})
    open_stage(tx, model, row.version, policy.initial, actor, reason=ask.reason)
    tx.update("model", {"id": model.id}, {"updated_at": tx.now})
    tx.record("version_restored", actor, model=model.name, version=row.version, body={"reason": ask.reason})
    return version_view(tx, model, get_version(tx, model, row.version))


def set_version_tag(tx: WriteTx, ask: c.SetVersionTag, actor: Actor) -> Version:
    """Set a tag. Raises NotFound, InvalidInput."""
    check_tag_key(ask.key)
    check_tag_value(ask.value)
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    of = {"model_id": model.id, "version": row.version}
    check_count("tags", {**tx.version_tags(model.id, row.version), ask.key: ask.value})
    tx.remove("version_tag", {**of, "key": ask.key})
    tx.insert("version_tag", {**of, "key": ask.key, "value": ask.value})
    tx.record("version_tag_set", actor, model=model.name, version=row.version, body={"key": ask.key})
    return version_view(tx, model, row)


def delete_version_tag(tx: WriteTx, ask: c.DeleteVersionTag, actor: Actor) -> Version:
    """Remove a tag; an absent one is no error and no event. Raises NotFound, InvalidInput."""
    check_tag_key(ask.key)
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    if tx.remove("version_tag", {"model_id": model.id, "version": row.version, "key": ask.key}):
        tx.record("version_tag_deleted", actor, model=model.name, version=row.version, body={"key": ask.key})
    return version_view(tx, model, row)


def record_metrics(tx: WriteTx, ask: c.RecordMetrics, actor: Actor) -> Version:
    """Add metrics (a new value replaces the old, the log keeps both) and parameters (which never change).

    Raises NotFound, InvalidInput.
    """
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    of = {"model_id": model.id, "version": row.version}
    if not ask.metrics and not ask.params:
        raise InvalidInput("there is nothing to record.", hint="Give metrics or params.")
    check_count("metrics", {**tx.version_metrics(model.id, row.version), **ask.metrics})
    known = tx.version_params(model.id, row.version)
    check_count("params", {**known, **ask.params})
    _put_metrics(tx, of, ask.metrics)
    for key, value in ask.params.items():
        if known.get(check_param_key(key), value) != value:
            raise InvalidInput(
                f"the parameter {key!r} is {known[key]!r} already.",
                hint="Parameters do not change; register a new version.",
                param=key,
            )
        if key not in known:
            tx.insert("version_param", {**of, "key": key, "value": check_param_value(value)})
    tx.update("version", of, {"updated_at": tx.now})
    tx.record(
        "version_metrics_recorded",
        actor,
        model=model.name,
        version=row.version,
        body={"metrics": dict(ask.metrics), "params": dict(ask.params)},
    )
    return version_view(tx, model, get_version(tx, model, row.version))
