"""What goes out on MLflow's tracking wire: our nouns as MLflow writes them, nothing that is unset. Pure.

Source: mlflow-compat sections 0 and 8.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from greenroom.core.tracking import DatasetInput, Experiment, LoggedModel, Metric, ModelOutput, Run
from greenroom.http.long_answers import Long, listed

Body = dict[str, Any]

ITEMS_AT_ONCE: Final = 5
"""Runs, experiments and logged models that make one piece of a page: each may hold as much as several pieces."""
_DATASETS_AT_ONCE = 8  # their schemas and profiles are long


class Point(msgspec.Struct, omit_defaults=True, gc=False):
    """A Metric as MLflow writes it. There are many: this takes a quarter of the time that a dict does."""

    key: str
    value: float | str
    timestamp: int
    step: int
    dataset_name: str | None = None
    dataset_digest: str | None = None
    model_id: str | None = None
    run_id: str | None = None


class Pair(msgspec.Struct, gc=False):
    """A tag or a parameter as MLflow writes it."""

    key: str
    value: str


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
    data = _filled(metrics=listed(run.metrics, render_metric), params=_pairs(run.params), tags=_pairs(run.tags))
    inputs = _filled(
        dataset_inputs=listed(run.datasets, _dataset_input, _DATASETS_AT_ONCE),
        model_inputs=listed(run.model_inputs, _model_input) if with_models else [],
    )
    outputs = _filled(model_outputs=listed(run.model_outputs, _model_output))
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


def render_run_found(run: Run) -> Body:
    """Return a Run as the answer of a search has it."""
    return render_run(run, with_models=False)


def render_metric(metric: Metric) -> Point:
    """Return a Metric as MLflow writes it: NaN as text."""
    return Point(
        metric.key,
        "NaN" if math.isnan(metric.value) else metric.value,
        metric.timestamp,
        metric.step,
        metric.dataset_name or None,
        metric.dataset_digest or None,
        metric.model_id or None,
        metric.run_id or None,
    )


def render_point(metric: Metric) -> Point:
    """Return a Metric of a history, whose reader knows the run."""
    point = render_metric(metric)
    point.run_id = None
    return point


def _model_input(model_id: str) -> Body:
    return {"model_id": model_id}


def _model_output(output: ModelOutput) -> Body:
    return {"model_id": output.model_id, "step": output.step}


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
    data = _filled(params=_pairs(model.params), metrics=listed(model.metrics, render_metric))
    return {"info": info, "data": data}


def render_page(
    key: str, items: Sequence[Any], render: Callable[[Any], Any], token: str | None, at_once: int = ITEMS_AT_ONCE
) -> Body:
    """Return one page of a list, whose items are rendered `at_once` at a time."""
    return _filled(**{key: Long(items, render, at_once)}) | ({"next_page_token": token} if token else {})


def _filled(**lists: list[Any] | Long) -> Body:
    return {name: items for name, items in lists.items() if items}


def _pairs(texts: Mapping[str, str]) -> list[Any] | Long:
    return listed(tuple(texts.items()), _pair)


def _pair(text: tuple[str, str]) -> Pair:
    return Pair(*text)
