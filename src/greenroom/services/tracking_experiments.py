"""Use cases about experiments, the folders of runs."""

from __future__ import annotations

from greenroom.core.audit import EventType
from greenroom.core.errors import AlreadyExists, InvalidInput, NotFound
from greenroom.core.model import Actor
from greenroom.core.names import shown
from greenroom.core.tracking import DEFAULT_EXPERIMENT, Experiment
from greenroom.core.tracking_names import (
    EXPERIMENT_TAG_LENGTH,
    check_experiment_name,
    check_key,
    check_location,
    check_text,
)
from greenroom.services.commands import tracking as c
from greenroom.services.limits import check_count
from greenroom.services.ports import ReadTx, WriteTx
from greenroom.services.tracking_finding import active_experiment, get_experiment
from greenroom.services.tracking_views import experiment_views

ROOT = "mlflow-artifacts:/"
"""Where files are kept unless somebody says otherwise: this server's own artifact tree."""


def begin_tracking(tx: WriteTx, ask: None = None, actor: Actor | None = None) -> None:
    """Make the experiment that everybody starts with, if it is not there; runs and models without a choice go there."""
    row = _row(tx, DEFAULT_EXPERIMENT, "Default", None)
    tx.put("experiment", row, on_clash="keep")


def create_experiment(tx: WriteTx, ask: c.CreateExperiment, actor: Actor) -> Experiment:
    """Make an experiment. Raises AlreadyExists for a name that one has or had, InvalidInput."""
    check_count("tags", ask.tags)
    check_experiment_name(ask.name)
    tags = [_tag(key, value) for key, value in ask.tags.items()]
    location = check_location(ask.artifact_location) if ask.artifact_location else None
    _refuse_taken(tx, ask.name)
    number = tx.next_of("experiment")
    tx.put("experiment", _row(tx, number, ask.name, location))
    tx.put_many("experiment_tag", [{"experiment_id": number, **tag} for tag in tags])
    return _view(tx, number)


def _row(tx: WriteTx, id: int, name: str, location: str | None) -> dict[str, int | str]:
    place = location or f"{ROOT}{id}"
    return {"id": id, "name": name, "artifact_location": place, "created_at": tx.now, "updated_at": tx.now}


def _tag(key: str, value: str) -> dict[str, str]:
    return {"key": check_key(key, "key", "key"), "value": check_text(value, "value", EXPERIMENT_TAG_LENGTH)}


def _refuse_taken(tx: ReadTx, name: str) -> None:
    taken = tx.find_experiment_called(name)
    if taken is not None:
        hint = "It is deleted: restore it, or choose another name." if taken.deleted_at is not None else None
        raise AlreadyExists(
            f"Experiment(name={shown(name)}) already exists.", hint=hint, kind="experiment", experiment=taken.id
        )


def _view(tx: ReadTx, id: int) -> Experiment:
    return experiment_views(tx, [get_experiment(tx, id)])[0]


def get_experiment_view(tx: ReadTx, ask: c.ExperimentNamed, actor: Actor) -> Experiment:
    """Return an experiment, deleted ones too. Raises NotFound."""
    return _view(tx, ask.id)


def find_experiment(tx: ReadTx, ask: c.ExperimentCalled, actor: Actor) -> Experiment:
    """Return the experiment of that name, deleted ones too. Raises NotFound."""
    found = tx.find_experiment_called(ask.name) if "\x00" not in ask.name else None
    if found is None:
        raise NotFound(f"Could not find experiment with name '{shown(ask.name)}'", kind="experiment")
    return experiment_views(tx, [found])[0]


def rename_experiment(tx: WriteTx, ask: c.RenameExperiment, actor: Actor) -> Experiment:
    """Rename an experiment. Raises NotFound, AlreadyExists, InvalidInput for a deleted one or a bad name."""
    check_experiment_name(ask.new_name)
    row = get_experiment(tx, ask.id)
    if row.deleted_at is not None:
        raise InvalidInput("Cannot rename a non-active experiment.", hint="Restore it first.", experiment=ask.id)
    if row.name != ask.new_name:
        _refuse_taken(tx, ask.new_name)
    tx.change("experiment", {"id": row.id}, {"name": ask.new_name, "updated_at": tx.now})
    return _view(tx, row.id)


def delete_experiment(tx: WriteTx, ask: c.ExperimentNamed, actor: Actor) -> None:
    """Delete an experiment and all of its runs (tombstones); its name stays taken. Raises NotFound, also when it is
    deleted.
    """
    row = get_experiment(tx, ask.id)
    if row.deleted_at is not None:
        raise NotFound(f"No Experiment with id={ask.id} exists", kind="experiment")
    _mark(tx, row.id, tx.now)
    tx.record(EventType.EXPERIMENT_DELETED, actor, body={"experiment": row.id, "name": row.name})


def restore_experiment(tx: WriteTx, ask: c.ExperimentNamed, actor: Actor) -> None:
    """Bring back an experiment and all of its runs. Raises NotFound, also when it is not deleted."""
    row = get_experiment(tx, ask.id)
    if row.deleted_at is None:
        raise NotFound(f"No Experiment with id={ask.id} exists", kind="experiment")
    _mark(tx, row.id, None)
    tx.record(EventType.EXPERIMENT_RESTORED, actor, body={"experiment": row.id, "name": row.name})


def _mark(tx: WriteTx, id: int, deleted_at: int | None) -> None:
    tx.change("experiment", {"id": id}, {"deleted_at": deleted_at, "updated_at": tx.now})
    tx.change("run", {"experiment_id": id}, {"deleted_at": deleted_at})


def set_experiment_tag(tx: WriteTx, ask: c.SetExperimentTag, actor: Actor) -> None:
    """Set a tag. Raises NotFound, InvalidInput."""
    row = active_experiment(tx, ask.id)
    check_count("tags", {**tx.experiment_tags([row.id]).get(row.id, {}), ask.key: ask.value})
    tx.put("experiment_tag", {"experiment_id": row.id, **_tag(ask.key, ask.value)}, on_clash="replace")


def delete_experiment_tag(tx: WriteTx, ask: c.DeleteExperimentTag, actor: Actor) -> None:
    """Remove a tag. Raises NotFound for an experiment or a tag that is not there, InvalidInput."""
    row = active_experiment(tx, ask.id)
    check_key(ask.key, "key", "key")
    if not tx.drop("experiment_tag", {"experiment_id": row.id, "key": ask.key}):
        raise NotFound(f"No tag with name: {shown(ask.key)} in experiment with id {ask.id}", kind="tag")
