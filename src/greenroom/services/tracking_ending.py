"""What a version gets when its run ends: metrics, parameters and data that were logged after it was registered.

Autologging registers a model while its run still goes on, and logs what it measured afterwards. So a version that was
registered during its run is completed once, before the run is marked as ended, and never again: a run that is taken up
later does not change it. What is missing is added. What the version has stays, but for a metric of which it took an
early point because the others were still on their way: XGBoost's autologging registers the model between the values
of the first round, which it sends at once, and those of all other rounds. Then it gets the newest of those that were
measured before it was registered.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from greenroom.core.audit import EventType
from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor, Dataset
from greenroom.core.names import check_metric_key, check_param_key, check_param_value
from greenroom.core.tracking import RunStatus, rank
from greenroom.services import commands as c
from greenroom.services.commands.tracking import UpdateRun
from greenroom.services.limits import COUNTS
from greenroom.services.ports import ModelRow, ReadTx, VersionRow, WriteTx
from greenroom.services.tracking_origin import facts_of, find_run
from greenroom.services.tracking_runs import check_update

MOST_VERSIONS = 100
MOST_POINTS = 10_000  # that are looked at for what was on its way, of all metrics of a version
_GOING_ON = (RunStatus.RUNNING.value, RunStatus.SCHEDULED.value)


@dataclass(frozen=True)
class _Missing:
    """What a version does not have of what its run tells."""

    metrics: Mapping[str, float]
    params: Mapping[str, str]
    datasets: tuple[Dataset, ...]


def versions_to_complete(tx: ReadTx, ask: UpdateRun, actor: Actor) -> tuple[c.VersionNamed, ...]:
    """Return the living versions of a run that lack something of it; none of a run that has ended.

    At most 100, the oldest model's first. Raises what `update_run` would: a run whose end is refused completes nothing.
    """
    check_update(tx, ask)
    named = (
        [c.VersionNamed(*each) for each in tx.versions_of_run(ask.id, MOST_VERSIONS)] if _goes_on(tx, ask.id) else []
    )
    return tuple(each for each in named if _incomplete(tx, each) is not None)


def complete_version(tx: WriteTx, ask: c.VersionNamed, actor: Actor) -> None:
    """Add to a version what its run has logged since. Nothing happens to one that is complete or gone by now."""
    found = _incomplete(tx, ask)
    if found is None:
        return
    model, row, missing = found
    of = {"model_id": model.id, "version": row.version}
    for key, value in missing.metrics.items():
        tx.remove("version_metric", {**of, "key": key})
        tx.insert("version_metric", {**of, "key": key, "value": value or 0.0})
    for key, text in missing.params.items():
        tx.insert("version_param", {**of, "key": key, "value": text})
    for position, each in enumerate(missing.datasets):
        tx.insert("version_dataset", {**of, "position": position, **each.__dict__})
    tx.update("version", of, {"updated_at": tx.now})
    body: dict[str, Any] = {"run": row.run_id, "metrics": dict(missing.metrics), "params": dict(missing.params)}
    tx.record(EventType.VERSION_METRICS_RECORDED, actor, model=model.name, version=row.version, body=body)


def _goes_on(tx: ReadTx, run_id: str | None) -> bool:
    run = find_run(tx, run_id)
    return run is not None and run.end_time is None and run.status in _GOING_ON


def _incomplete(tx: ReadTx, ask: c.VersionNamed) -> tuple[ModelRow, VersionRow, _Missing] | None:
    """Return a living version whose run goes on, and what it lacks; None where there is no such thing."""
    model = tx.find_model(ask.model)
    row = tx.find_version(model.id, ask.version) if model is not None else None
    if model is None or row is None or row.deleted_event is not None or not _goes_on(tx, row.run_id):
        return None
    facts = facts_of(tx, row.run_id, row.logged_model)
    metrics, params = tx.version_metrics(model.id, row.version), tx.version_params(model.id, row.version)
    used = tx.version_datasets(model.id, row.version)
    missing = _Missing(
        {
            **_new("metrics", metrics, {key: each for key, each in facts.metrics.items() if _can_be_kept(key)}),
            **(_arrived_late(tx, row, metrics, facts.metrics) if facts.whole_run else {}),
        },
        _new("params", params, {key: each for key, each in facts.params.items() if _can_be_kept(key, each)}),
        () if used else facts.datasets,
    )
    return (model, row, missing) if missing.metrics or missing.params or missing.datasets else None


def _arrived_late(
    tx: ReadTx, row: VersionRow, known: Mapping[str, float], told: Mapping[str, float]
) -> dict[str, float]:
    """Return the newest values measured before the version was registered, where it has an earlier one of its run."""
    run, left, found = find_run(tx, row.run_id), MOST_POINTS, dict[str, float]()
    if run is None:
        return found
    for key in sorted(key for key in told if known.get(key, told[key]) != told[key]):
        points = tx.metric_history(run.no, key, None, left + 1)
        left -= len(points)
        if left < 0:
            break
        before = [each for each in points if each.timestamp <= row.created_at and math.isfinite(each.value)]
        last = max(before, key=rank).value if known[key] in {each.value for each in before} else known[key]
        if last != known[key]:
            found[key] = last
    return found


def _new(what: str, known: Mapping[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is told and not known, as far as a version can hold it, in the order of the keys."""
    room = max(COUNTS[what] - len(known), 0)
    return {key: told[key] for key in sorted(set(told) - set(known))[:room]}


def _can_be_kept(key: str, param: str | None = None) -> bool:
    """Say whether a version can hold a metric, or with `param` a parameter, of that key."""
    try:
        if param is None:
            check_metric_key(key)
        else:
            check_param_key(key)
            check_param_value(param)
    except InvalidInput:
        return False
    return True
