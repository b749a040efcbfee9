"""Rows to the nouns that callers get."""

from __future__ import annotations

import json

from greenroom.core.codec import from_plain
from greenroom.core.model import Context, Parent, RegisteredModel, SlotKind, Version
from greenroom.services.finding import policy_for
from greenroom.services.ports import ModelRow, ReadTx, VersionRow


def model_view(tx: ReadTx, row: ModelRow) -> RegisteredModel:
    """Return the model. Its cost grows with its tags, aliases and stages, never with its versions."""
    policy, _ = policy_for(tx, row)
    newest = {stage.name: tx.newest_in_slot(row.id, SlotKind.STAGE, stage.name) for stage in policy.stages}
    return RegisteredModel(
        name=row.name,
        description=row.description,
        created_at=row.created_at,
        updated_at=row.updated_at,
        lifecycle=row.lifecycle,
        tags=tx.model_tags(row.id),
        aliases=tx.aliases(row.id),
        latest={stage: version for stage, version in newest.items() if version is not None},
        author=row.author,
    )


def version_view(tx: ReadTx, model: ModelRow, row: VersionRow) -> Version:
    """Return the version with all that hangs on it. A deleted one is in no stage: its `stage` is empty."""
    slots = tx.version_slots(row.model_id, row.version)
    return Version(
        model=model.name,
        version=row.version,
        stage=next((slot for kind, slot in slots if kind is SlotKind.STAGE), ""),
        created_at=row.created_at,
        updated_at=row.updated_at,
        author=row.author,
        aliases=tuple(slot for kind, slot in slots if kind is SlotKind.ALIAS),
        status=row.status,
        digest=row.manifest,
        size_bytes=row.size_bytes,
        file_count=row.file_count,
        source=row.source,
        run_id=row.run_id,
        run_link=row.run_link,
        logged_model=row.logged_model,
        description=row.description,
        tags=tx.version_tags(row.model_id, row.version),
        metrics=tx.version_metrics(row.model_id, row.version),
        params=tx.version_params(row.model_id, row.version),
        datasets=tx.version_datasets(row.model_id, row.version),
        context=_context(row.context),
        parent=Parent(row.parent_model, row.parent_version) if row.parent_model and row.parent_version else None,
        deleted=row.deleted_event is not None,
        damaged=row.manifest is not None and tx.is_damaged(row.manifest),
    )


def _context(text: str) -> Context:
    if text == "{}":
        return _UNKNOWN
    context: Context = from_plain(Context, json.loads(text), lenient=True)
    return context


_UNKNOWN = Context()
