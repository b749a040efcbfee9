"""Use cases about runs as a whole: start, look at, end, delete, restore."""

from __future__ import annotations

from greenroom.core.audit import EventType
from greenroom.core.model import Actor
from greenroom.core.tracking import Run, RunStatus, run_name
from greenroom.core.tracking_names import (
    NAME_LENGTH,
    NAME_TAG,
    RUN_TAG_LENGTH,
    check_key,
    check_text,
    clipped,
    one_name,
)
from greenroom.services.commands import tracking as c
from greenroom.services.limits import check_count
from greenroom.services.ports import ReadTx, WriteTx
from greenroom.services.ports_tracking import Parts, RunRow
from greenroom.services.tracking_finding import active_experiment, active_run, get_run
from greenroom.services.tracking_views import run_view, run_views


def create_run(tx: WriteTx, ask: c.CreateRun, actor: Actor) -> Run:
    """Start a run; one that is there under this id already is returned as it is, so a request may be repeated.

    Raises NotFound (no such experiment), InvalidInput (a deleted experiment, two different names, a bad tag).
    """
    known = tx.find_run(ask.id)
    if known is not None:
        return run_views(tx, [known])[0]
    experiment = active_experiment(tx, ask.experiment_id)
    check_count("tags", ask.tags)
    name = _name(ask)
    no = tx.next_of("run")
    row = {
        "no": no,
        "id": ask.id,
        "experiment_id": experiment.id,
        "name": name,
        "user_id": check_text(ask.user_id, "user_id", NAME_LENGTH),
        "status": RunStatus.RUNNING.value,
        "start_time": ask.start_time or 0,
    }
    tx.put("run", row)
    tags = ask.tags if ask.tags.get(NAME_TAG) else {**ask.tags, NAME_TAG: name}
    tx.put_many("run_tag", [tag_row(no, key, value) for key, value in tags.items()])
    return run_views(tx, [get_run(tx, ask.id)])[0]


def _name(ask: c.CreateRun) -> str:
    return clipped(one_name(ask.name, ask.tags) or run_name(ask.random), "run_name", NAME_LENGTH)


def tag_row(run_no: int, key: str, value: str, path: str = "") -> dict[str, int | str]:
    """Return the row of a run's tag. Raises InvalidInput; a value that is too long is cut."""
    return {
        "run_no": run_no,
        "key": check_key(key, f"{path}key", f"{path}key"),
        "value": clipped(value, f"{path}value", RUN_TAG_LENGTH),
    }


def get_run_view(tx: ReadTx, ask: c.RunNamed, actor: Actor) -> Run:
    """Return a run, deleted ones too. Raises NotFound."""
    return run_views(tx, [get_run(tx, ask.id)])[0]


def check_update(tx: ReadTx, ask: c.UpdateRun) -> RunRow:
    """Return the run that may be changed so. Raises NotFound, InvalidInput."""
    if ask.name:
        clipped(ask.name, "run_name", NAME_LENGTH)
        tag_row(0, NAME_TAG, ask.name)
    return active_run(tx, ask.id)


def update_run(tx: WriteTx, ask: c.UpdateRun, actor: Actor) -> Run:
    """Change status, end or name; returns the run without what hangs on it. Raises NotFound, InvalidInput."""
    row = check_update(tx, ask)
    changes: dict[str, int | str] = {}
    if ask.status is not None:
        changes["status"] = ask.status.value
    if ask.end_time is not None:
        changes["end_time"] = ask.end_time
    if ask.name:
        changes["name"] = clipped(ask.name, "run_name", NAME_LENGTH)
        tx.put("run_tag", tag_row(row.no, NAME_TAG, ask.name), on_clash="replace")
    if changes:
        tx.change("run", {"no": row.no}, changes)
    return run_view(get_run(tx, row.id), Parts())


def delete_run(tx: WriteTx, ask: c.RunNamed, actor: Actor) -> None:
    """Delete a run (a tombstone); one that is deleted stays so. Raises NotFound."""
    row = get_run(tx, ask.id)
    if row.deleted_at is None:
        tx.change("run", {"no": row.no}, {"deleted_at": tx.now})
        tx.record(EventType.RUN_DELETED, actor, body={"run": row.id, "experiment": row.experiment_id})


def restore_run(tx: WriteTx, ask: c.RunNamed, actor: Actor) -> None:
    """Bring back a run; one that is not deleted stays as it is. Raises NotFound."""
    row = get_run(tx, ask.id)
    if row.deleted_at is not None:
        tx.change("run", {"no": row.no}, {"deleted_at": None})
        tx.record(EventType.RUN_RESTORED, actor, body={"run": row.id, "experiment": row.experiment_id})
