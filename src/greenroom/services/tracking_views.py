"""Rows about experiments, runs and logged models to the nouns that callers get."""

from __future__ import annotations

from collections.abc import Sequence

from greenroom.core.tracking import Experiment, LoggedModel, ModelStatus, Run, RunStatus
from greenroom.services.ports import ReadTx
from greenroom.services.ports_tracking import ExperimentRow, LoggedModelRow, Parts, RunRow


def run_files(row: RunRow) -> str:
    """Return the URI of a run's files."""
    return _below(row.location, f"{row.id}/artifacts")


def model_files(row: LoggedModelRow) -> str:
    """Return the URI of a logged model's files."""
    return _below(row.location, f"models/{row.id}/artifacts")


def _below(location: str, path: str) -> str:
    return location + path if location.endswith("/") else f"{location}/{path}"


def experiment_views(tx: ReadTx, rows: Sequence[ExperimentRow]) -> tuple[Experiment, ...]:
    """Return the experiments with their tags."""
    tags = tx.experiment_tags([row.id for row in rows])
    return tuple(
        Experiment(
            row.id,
            row.name,
            row.artifact_location,
            row.created_at,
            row.updated_at,
            row.deleted_at is not None,
            tags.get(row.id, {}),
        )
        for row in rows
    )


def run_views(tx: ReadTx, rows: Sequence[RunRow]) -> tuple[Run, ...]:
    """Return the runs with all that hangs on them but the histories of their metrics."""
    parts = tx.run_parts([row.no for row in rows])
    return tuple(run_view(row, parts[row.no]) for row in rows)


def run_view(row: RunRow, parts: Parts) -> Run:
    """Return the run with what hangs on it."""
    return Run(
        id=row.id,
        experiment_id=row.experiment_id,
        name=row.name,
        user_id=row.user_id,
        status=RunStatus(row.status),
        start_time=row.start_time,
        end_time=row.end_time,
        artifact_uri=run_files(row),
        deleted=row.deleted_at is not None,
        metrics=tuple(parts.metrics),
        params=parts.params,
        tags=parts.tags,
        datasets=tuple(parts.datasets),
        model_inputs=tuple(parts.inputs),
        model_outputs=tuple(parts.outputs),
    )


def logged_model_views(tx: ReadTx, rows: Sequence[LoggedModelRow]) -> tuple[LoggedModel, ...]:
    """Return the logged models with all that hangs on them."""
    parts = tx.logged_model_parts([row.id for row in rows])
    return tuple(
        LoggedModel(
            id=row.id,
            experiment_id=row.experiment_id,
            name=row.name,
            artifact_uri=model_files(row),
            status=ModelStatus(row.status),
            created_at=row.created_at,
            updated_at=row.updated_at,
            model_type=row.model_type,
            source_run_id=row.source_run_id,
            status_message=row.status_message,
            deleted=row.deleted_at is not None,
            params=parts[row.id].params,
            tags=parts[row.id].tags,
            metrics=tuple(parts[row.id].metrics),
        )
        for row in rows
    )
