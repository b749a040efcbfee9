"""Use cases about logged models: what a run wrote, with files of its own, before anybody registers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from greenroom.core.audit import EventType
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import Actor
from greenroom.core.names import shown
from greenroom.core.tracking import LoggedModel, ModelStatus, run_name
from greenroom.core.tracking_names import (
    NAME_LENGTH,
    PARAM_LENGTH,
    RUN_TAG_LENGTH,
    check_key,
    check_logged_model_name,
    check_text,
    clipped,
)
from greenroom.services.commands import tracking as c
from greenroom.services.limits import check_count
from greenroom.services.ports import ReadTx, WriteTx
from greenroom.services.ports_tracking import LoggedModelRow
from greenroom.services.tracking_finding import active_experiment, get_logged_model
from greenroom.services.tracking_views import logged_model_views

VERSIONS_TAG = "mlflow.modelVersions"
"""The tag that lists, as JSON, which versions were registered from a logged model."""


def create_logged_model(tx: WriteTx, ask: c.CreateLoggedModel, actor: Actor) -> LoggedModel:
    """Make a logged model; one that is there under this id already is returned as it is. Raises NotFound,
    InvalidInput.
    """
    known = tx.find_logged_model(ask.id)
    if known is not None:
        return _view(tx, known)
    name = check_logged_model_name(ask.name) if ask.name is not None else run_name(ask.random)
    row = {
        "id": ask.id,
        "experiment_id": active_experiment(tx, ask.experiment_id).id,
        "name": name,
        "status": ModelStatus.PENDING.value,
        "model_type": check_text(ask.model_type or "", "model_type", NAME_LENGTH),
        "source_run_id": check_text(ask.source_run_id or "", "source_run_id", NAME_LENGTH),
        "created_at": tx.now,
        "updated_at": tx.now,
    }
    tx.put("logged_model", row)
    _put_params(tx, ask.id, ask.params)
    _put_tags(tx, ask.id, ask.tags)
    return _view(tx, get_logged_model(tx, ask.id))


def _view(tx: ReadTx, row: LoggedModelRow) -> LoggedModel:
    return logged_model_views(tx, [row])[0]


def _put_params(tx: WriteTx, id: str, params: Mapping[str, str]) -> None:
    """Write first and look then, as with the parameters of a run."""
    check_count("params", params)
    clean = {check_key(key, "key", "Param key"): clipped(value, "value", PARAM_LENGTH) for key, value in params.items()}
    rows = [{"model_id": id, "key": key, "value": value} for key, value in clean.items()]
    tx.put_many("logged_model_param", rows, on_clash="keep")
    known = tx.logged_model_params(id, list(clean))
    for key, value in clean.items():
        if known[key] != value:
            raise InvalidInput(
                f"Changing param values is not allowed. Param with key='{key}' was already logged with value="
                f"'{shown(known[key])}' for logged model '{id}'. Attempted logging new value '{shown(value)}'.",
                param=key,
            )


def _put_tags(tx: WriteTx, id: str, tags: Mapping[str, str]) -> None:
    check_count("tags", tags)
    rows = [
        {"model_id": id, "key": check_key(key, "key", "key"), "value": clipped(value, "value", RUN_TAG_LENGTH)}
        for key, value in tags.items()
    ]
    tx.put_many("logged_model_tag", rows, on_clash="replace")


def get_logged_model_view(tx: ReadTx, ask: c.LoggedModelNamed, actor: Actor) -> LoggedModel:
    """Return a logged model; a deleted one if asked for. Raises NotFound."""
    return _view(tx, get_logged_model(tx, ask.id, deleted=ask.deleted))


def finish_logged_model(tx: WriteTx, ask: c.FinishLoggedModel, actor: Actor) -> LoggedModel:
    """Set the status. Raises NotFound."""
    row = get_logged_model(tx, ask.id)
    tx.change("logged_model", {"id": row.id}, {"status": ask.status.value, "updated_at": tx.now})
    return _view(tx, get_logged_model(tx, row.id))


def delete_logged_model(tx: WriteTx, ask: c.LoggedModelNamed, actor: Actor) -> None:
    """Delete a logged model (a tombstone); one that is deleted stays so. Raises NotFound."""
    row = get_logged_model(tx, ask.id, deleted=True)
    if row.deleted_at is None:
        tx.change("logged_model", {"id": row.id}, {"deleted_at": tx.now, "updated_at": tx.now})
        tx.record(EventType.LOGGED_MODEL_DELETED, actor, body={"logged_model": row.id, "experiment": row.experiment_id})


def tag_logged_model(tx: WriteTx, ask: c.TagLoggedModel, actor: Actor) -> None:
    """Set tags. Raises NotFound, InvalidInput."""
    _put_tags(tx, get_logged_model(tx, ask.id).id, ask.tags)


def untag_logged_model(tx: WriteTx, ask: c.UntagLoggedModel, actor: Actor) -> None:
    """Remove a tag. Raises NotFound for a model or a tag that is not there."""
    row = get_logged_model(tx, ask.id)
    check_key(ask.key, "key", "key")
    if not tx.drop("logged_model_tag", {"model_id": row.id, "key": ask.key}):
        raise NotFound(f"No tag with key {ask.key!r} found for model with ID {row.id!r}.", kind="tag")


def log_model_params(tx: WriteTx, ask: c.LogModelParams, actor: Actor) -> None:
    """Add parameters, which never change. Raises NotFound, InvalidInput."""
    _put_params(tx, get_logged_model(tx, ask.id).id, ask.params)


def note_version(tx: WriteTx, id: str, model: str, version: int) -> None:
    """Add a version to the list of those that were registered from a logged model, where it is one of ours."""
    row = tx.find_logged_model(id)
    if row is None:
        return
    known = list_in(tx.logged_model_parts([id])[id].tags.get(VERSIONS_TAG))
    one = {"name": model, "version": version}
    if one not in known:
        value = json.dumps([*known, one])
        tx.put("logged_model_tag", {"model_id": id, "key": VERSIONS_TAG, "value": value}, on_clash="replace")


def list_in(text: str | None) -> list[Any]:
    """Return the JSON list that a tag holds; an empty one for whatever else a client may have put there."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else []
