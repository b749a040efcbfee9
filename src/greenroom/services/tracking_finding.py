"""Look-ups that the use cases about experiments, runs and logged models share."""

from __future__ import annotations

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.names import shown
from greenroom.core.tracking_names import is_model_id, is_run_id
from greenroom.services.ports import ReadTx
from greenroom.services.ports_tracking import ExperimentRow, LoggedModelRow, RunRow

_LARGEST = 2**63


def get_experiment(tx: ReadTx, id: int) -> ExperimentRow:
    """Return an experiment, deleted ones too. Raises NotFound."""
    found = tx.find_experiment(id) if -_LARGEST <= id < _LARGEST else None
    if found is None:
        raise NotFound(f"No Experiment with id={shown(id)} exists", kind="experiment", experiment=shown(id))
    return found


def active_experiment(tx: ReadTx, id: int) -> ExperimentRow:
    """Return an experiment that is not deleted. Raises NotFound, or InvalidInput for a deleted one."""
    found = get_experiment(tx, id)
    if found.deleted_at is not None:
        raise _not_active("experiment", str(id))
    return found


def get_run(tx: ReadTx, id: str) -> RunRow:
    """Return a run, deleted ones too. Raises NotFound."""
    found = tx.find_run(id) if is_run_id(id) else None
    if found is None:
        raise NotFound(f"Run with id={shown(id)} not found", kind="run", run=shown(id))
    return found


def active_run(tx: ReadTx, id: str) -> RunRow:
    """Return a run that is not deleted. Raises NotFound, or InvalidInput for a deleted one."""
    found = get_run(tx, id)
    if found.deleted_at is not None:
        raise _not_active("run", id)
    return found


def get_logged_model(tx: ReadTx, id: str, *, deleted: bool = False) -> LoggedModelRow:
    """Return a logged model; a deleted one only if asked for. Raises NotFound."""
    found = tx.find_logged_model(id) if is_model_id(id) else None
    if found is None or (found.deleted_at is not None and not deleted):
        raise NotFound(f"Logged model with ID '{shown(id)}' not found.", kind="logged_model", logged_model=shown(id))
    return found


def _not_active(what: str, id: str) -> InvalidInput:
    return InvalidInput(
        f"The {what} {id} must be in the 'active' state. Current state is deleted.",
        hint="Restore it first.",
        **{what: id},
    )
