"""Use cases about registered models."""

from __future__ import annotations

from collections.abc import Mapping
from shlex import quote

from greenroom.core.binding import lifecycle_for
from greenroom.core.errors import AlreadyExists, NotFound, Refused
from greenroom.core.lifecycle import delete_refusal
from greenroom.core.model import Actor, PromotionKind, RegisteredModel
from greenroom.core.names import check_description, check_model_name, check_tag_key, check_tag_value, name_key, shown
from greenroom.services import commands as c
from greenroom.services.finding import get_model, policy_for, policy_of
from greenroom.services.fitting import refuse_misfit
from greenroom.services.limits import check_count, check_short_text
from greenroom.services.ports import ModelRow, WriteTx
from greenroom.services.tenures import close_tenure
from greenroom.services.views import model_view


def create_model(tx: WriteTx, ask: c.CreateModel, actor: Actor) -> RegisteredModel:
    """Create a model without versions. Raises AlreadyExists for its name or one that looks the same, InvalidInput."""
    row = insert_model(tx, ask.name, ask.description, ask.tags, actor)
    tx.record("model_created", actor, model=row.name)
    return model_view(tx, row)


def insert_model(tx: WriteTx, name: str, description: str | None, tags: Mapping[str, str], actor: Actor) -> ModelRow:
    """Insert a model and its tags; the caller records the event. Raises AlreadyExists, InvalidInput.

    Where numbers continue, a deleted model of that name is the same line: it begins anew, empty, and its earlier
    versions stay what they are, deleted, with their history.
    """
    check_model_name(name)
    for key, value in tags.items():
        check_tag_key(key)
        check_tag_value(value)
    _refuse_taken(tx, name)
    if description is not None:
        check_description(description)
    check_count("tags", tags)
    lifecycle = lifecycle_for(name, tags, [row.binding for row in tx.bindings()])
    policy, _ = policy_of(tx, lifecycle)
    old = tx.find_tombstone(name) if policy.numbering == "continue" else None
    first = tx.next_number(name) if old is not None else 1
    model_id = old.id if old is not None else tx.seq
    row = ModelRow(model_id, name, description, tx.now, tx.now, actor.name, first, lifecycle, None)
    if old is None:
        tx.insert("model", {**row.__dict__, "name_key": name_key(name)})
    else:
        _empty(tx, old, actor)
        tx.update(
            "model", {"id": old.id}, {key: value for key, value in row.__dict__.items() if key not in ("id", "name")}
        )
    for key, value in tags.items():
        tx.insert("model_tag", {"model_id": row.id, "key": key, "value": value})
    return row


def _empty(tx: WriteTx, model: ModelRow, actor: Actor) -> None:
    """Take everything away from a deleted model that a new one of its name must not have."""
    for tenure in tx.open_tenures(model, None):
        close_tenure(tx, model, tenure, actor, PromotionKind.DELETE)
    for version in tx.living_versions(model.id):
        tx.update("version", {"model_id": model.id, "version": version}, {"deleted_event": tx.seq})
    for key in tx.model_tags(model.id):
        tx.remove("model_tag", {"model_id": model.id, "key": key})


def _refuse_taken(tx: WriteTx, name: str, *, but: int | None = None) -> None:
    twin = tx.find_model(name) or tx.find_twin(name_key(name))
    if twin is not None and twin.id != but:
        same = twin.name == name
        text = (
            f"there is a registered model {name!r} already."
            if same
            else f"the name {name!r} looks like that of the model {twin.name!r}."
        )
        raise AlreadyExists(text, hint="Choose another name.", kind="model", model=name, twin=twin.name)


def update_model(tx: WriteTx, ask: c.UpdateModel, actor: Actor) -> RegisteredModel:
    """Overwrite the description; None clears it. Raises NotFound, InvalidInput."""
    model = get_model(tx, ask.name)
    if ask.description is not None:
        check_description(ask.description)
    tx.update("model", {"id": model.id}, {"description": ask.description, "updated_at": tx.now})
    tx.record("model_updated", actor, model=model.name)
    return model_view(tx, get_model(tx, ask.name))


def rename_model(tx: WriteTx, ask: c.RenameModel, actor: Actor) -> RegisteredModel:
    """Give a model another name; everything follows. Raises NotFound, AlreadyExists, InvalidInput.

    Another lifecycle may apply to the new name: then its versions' stages must fit it.
    """
    model = get_model(tx, ask.name)
    check_model_name(ask.new_name)
    _refuse_taken(tx, ask.new_name, but=model.id)
    changes: dict[str, object] = {"name": ask.new_name, "name_key": name_key(ask.new_name), "updated_at": tx.now}
    changes |= _moved_lifecycle(tx, model, ask.new_name, tx.model_tags(model.id))
    tx.update("model", {"id": model.id}, changes)
    for version in tx.living_versions(model.id):  # MLflow's clients see the rename in every version's time
        tx.update("version", {"model_id": model.id, "version": version}, {"updated_at": tx.now})
    tx.record("model_renamed", actor, model=ask.new_name, body={"from": model.name})
    return model_view(tx, get_model(tx, ask.new_name))


def _moved_lifecycle(tx: WriteTx, model: ModelRow, name: str, tags: Mapping[str, str]) -> dict[str, object]:
    """Return the change of lifecycle that a new name or new tags bring, after checking that the model fits it."""
    lifecycle = lifecycle_for(name, tags, [row.binding for row in tx.bindings()])
    if lifecycle == model.lifecycle:
        return {}
    policy, _ = policy_of(tx, lifecycle)
    refuse_misfit(tx, model, policy)
    return {"lifecycle": lifecycle}


def delete_model(tx: WriteTx, ask: c.DeleteModel, actor: Actor) -> RegisteredModel | Refused:
    """Delete a model: a tombstone, from which it can be restored whole. Raises NotFound, InvalidInput.

    Refused (a recorded value) while one of its versions is in a protected slot.
    """
    check_short_text("reason", ask.reason)
    model = get_model(tx, ask.name)
    policy, _ = policy_for(tx, model)
    refusal = delete_refusal(policy, model.name, tx.open_tenures(model, None))
    if refusal is not None:
        tx.record("deletion_rejected", actor, model=model.name, body={"reason": ask.reason, "refusal": refusal.message})
        return refusal
    view = model_view(tx, model)
    tx.update("model", {"id": model.id}, {"deleted_event": tx.seq, "updated_at": tx.now})
    tx.record("model_deleted", actor, model=model.name, body={"reason": ask.reason})
    return view


def restore_model(tx: WriteTx, ask: c.RestoreModel, actor: Actor) -> RegisteredModel:
    """Bring the model of that name that was deleted last back, as it was.

    Raises NotFound, AlreadyExists when the name is in use again, InvalidInput when its stages no longer fit its
    lifecycle.
    """
    check_model_name(ask.name)
    check_short_text("reason", ask.reason)
    if tx.find_model(ask.name) is not None:
        raise AlreadyExists(
            f"the model {ask.name!r} is not deleted.",
            hint=f"A deleted version comes back with: greenroom restore {quote(ask.name)} VERSION",
            kind="model",
            model=ask.name,
        )
    _refuse_taken(tx, ask.name)
    model = tx.find_tombstone(ask.name)
    if model is None:
        raise NotFound(
            f"no deleted model has the name {shown(ask.name)!r}.",
            hint="See: greenroom audit log",
            kind="model",
            model=ask.name,
        )
    changes: dict[str, object] = {"deleted_event": None, "updated_at": tx.now}
    lifecycle = lifecycle_for(model.name, tx.model_tags(model.id), [row.binding for row in tx.bindings()])
    policy, _ = policy_of(tx, lifecycle)
    changes["lifecycle"] = lifecycle
    refuse_misfit(tx, model, policy, hint="Its versions are where they were: bring a lifecycle back that has them.")
    tx.update("model", {"id": model.id}, changes)
    tx.record("model_restored", actor, model=model.name, body={"reason": ask.reason})
    return model_view(tx, get_model(tx, ask.name))


def set_model_tag(tx: WriteTx, ask: c.SetModelTag, actor: Actor) -> RegisteredModel:
    """Set a tag. Raises NotFound, InvalidInput. A lifecycle bound to the tag applies from now on."""
    check_tag_key(ask.key)
    check_tag_value(ask.value)
    model = get_model(tx, ask.name)
    tags = {**tx.model_tags(model.id), ask.key: ask.value}
    check_count("tags", tags)
    tx.remove("model_tag", {"model_id": model.id, "key": ask.key})
    tx.insert("model_tag", {"model_id": model.id, "key": ask.key, "value": ask.value})
    _follow_tags(tx, model, tags)
    tx.record("model_tag_set", actor, model=model.name, body={"key": ask.key})
    return model_view(tx, get_model(tx, ask.name))


def delete_model_tag(tx: WriteTx, ask: c.DeleteModelTag, actor: Actor) -> RegisteredModel:
    """Remove a tag; an absent one is no error and no event. Raises NotFound, InvalidInput."""
    check_tag_key(ask.key)
    model = get_model(tx, ask.name)
    if tx.remove("model_tag", {"model_id": model.id, "key": ask.key}):
        _follow_tags(tx, model, tx.model_tags(model.id))
        tx.record("model_tag_deleted", actor, model=model.name, body={"key": ask.key})
    return model_view(tx, get_model(tx, ask.name))


def _follow_tags(tx: WriteTx, model: ModelRow, tags: Mapping[str, str]) -> None:
    changes = _moved_lifecycle(tx, model, model.name, tags)
    if changes:
        tx.update("model", {"id": model.id}, changes)
