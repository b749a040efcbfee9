"""What goes out on MLflow's tracking wire: our nouns as MLflow writes them, nothing that is unset. Pure.

Source: mlflow-compat sections 0 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from greenroom.core.tracking import DatasetInput, Experiment, LoggedModel, Metric, Run

Body = dict[str, Any]


def render_experiment(experiment: Experiment) -> Body:
    """Return an Experiment as MLflow writes it."""
    return {
        "experiment_id": str(experiment.id),
        "name": experiment.name,
        "artifact_location": experiment.artifact_location,
        "lifecycle_stage": _stage(deleted=experiment.deleted),
        "last_update_time": experiment.updated_at,
        "creation_time": experiment.created_at,
        "workspace": "default",  # the only one there is
        **_filled(tags=_pairs(experiment.tags)),
    }


def _stage(*, deleted: bool) -> str:
    return "deleted" if deleted else "active"


def render_run(run: Run, *, with_models: bool = True) -> Body:
    """Return a Run as MLflow writes it; search answers leave out the models that it read (`with_models`)."""
    data = _filled(
        metrics=[render_metric(each) for each in run.metrics], params=_pairs(run.params), tags=_pairs(run.tags)
    )
    inputs = _filled(
        dataset_inputs=[_dataset_input(each) for each in run.datasets],
        model_inputs=[{"model_id": each} for each in run.model_inputs] if with_models else [],
    )
    outputs = _filled(model_outputs=[{"model_id": each.model_id, "step": each.step} for each in run.model_outputs])
    return {"info": render_run_info(run), "data": data, "inputs": inputs, "outputs": outputs}


def render_run_info(run: Run) -> Body:
    """Return a RunInfo as MLflow writes it."""
    ended = {} if run.end_time is None else {"end_time": run.end_time}
    return {
        "run_uuid": run.id,
        "run_id": run.id,
        "run_name": run.name,
        "experiment_id": str(run.experiment_id),
        "user_id": run.user_id,
        "status": run.status.value,
        "start_time": run.start_time,
        **ended,
        "artifact_uri": run.artifact_uri,
        "lifecycle_stage": _stage(deleted=run.deleted),
    }


def render_metric(metric: Metric, *, with_run: bool = True) -> Body:
    """Return a Metric as MLflow writes it: NaN as text."""
    value: float | str = "NaN" if math.isnan(metric.value) else metric.value
    known = {
        "dataset_name": metric.dataset_name,
        "dataset_digest": metric.dataset_digest,
        "model_id": metric.model_id,
        "run_id": metric.run_id if with_run else None,
    }
    point = {"key": metric.key, "value": value, "timestamp": metric.timestamp, "step": metric.step}
    return point | {name: text for name, text in known.items() if text}


def _dataset_input(given: DatasetInput) -> Body:
    dataset = given.dataset
    told = {name: getattr(dataset, name) for name in ("name", "digest", "source_type", "source")}
    more = {"schema": dataset.schema, "profile": dataset.profile}
    return {**_filled(tags=_pairs(given.tags)), "dataset": told | {name: text for name, text in more.items() if text}}


def render_logged_model(model: LoggedModel) -> Body:
    """Return a LoggedModel as MLflow writes it."""
    info = {
        "model_id": model.id,
        "experiment_id": str(model.experiment_id),
        "name": model.name,
        "creation_timestamp_ms": model.created_at,
        "last_updated_timestamp_ms": model.updated_at,
        "artifact_uri": model.artifact_uri,
        "status": f"LOGGED_MODEL_{model.status.value}",
        "model_type": model.model_type or "",
        "source_run_id": model.source_run_id or "",
        **_filled(tags=_pairs(model.tags)),
    }
    data = _filled(params=_pairs(model.params), metrics=[render_metric(each) for each in model.metrics])
    return {"info": info, "data": data}


def render_page(key: str, items: Iterable[Body], token: str | None) -> Body:
    """Return one page of a list."""
    return _filled(**{key: list(items)}) | ({"next_page_token": token} if token else {})


def _filled(**lists: list[Any]) -> Body:
    return {name: items for name, items in lists.items() if items}


def _pairs(texts: Mapping[str, str]) -> list[Body]:
    return [{"key": key, "value": value} for key, value in texts.items()]
