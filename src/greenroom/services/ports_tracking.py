"""What the use cases need of the rows about experiments, runs and logged models. Part of `services.ports`.

None of these rows is audited: they are written by `put`, `change` and `drop`, never by `insert`, `update` and `remove`.
Numbers of runs, experiments and data sets are given by whoever holds the chain's head (`Mode.WRITE`); what only adds to
them (`Mode.LOG`) may run on several servers at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from greenroom.core.search import Filter, Order
from greenroom.core.tracking import DatasetInput, Metric, ModelOutput, Which

OnClash = Literal["refuse", "keep", "replace"]
"""What becomes of a row whose key is taken: an error, the old row stays, the new one takes its place."""

Point = tuple[int, int, float, int]
"""Where a point of a metric stands in its history: time, step, value, 1 for NaN."""

PointRow = tuple[int, str, int, int, float, int]
"""A point of a metric as it is stored: the run's number, the metric's key, and its `Point`."""


@dataclass(frozen=True)
class ExperimentRow:
    """An experiment as it is stored, without its tags."""

    id: int
    name: str
    artifact_location: str
    created_at: int
    updated_at: int
    deleted_at: int | None


@dataclass(frozen=True)
class RunRow:
    """A run as it is stored, without what hangs on it. `no` is its number in the store, `location` its experiment's."""

    no: int
    id: str
    experiment_id: int
    name: str
    user_id: str
    status: str
    start_time: int
    end_time: int | None
    deleted_at: int | None
    location: str


@dataclass(frozen=True)
class LoggedModelRow:
    """A logged model as it is stored, without what hangs on it. `location` is its experiment's."""

    id: str
    experiment_id: int
    name: str
    status: str
    status_message: str | None
    model_type: str | None
    source_run_id: str | None
    created_at: int
    updated_at: int
    deleted_at: int | None
    location: str


@dataclass
class Parts:
    """What hangs on a run or a logged model."""

    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    datasets: list[DatasetInput] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    outputs: list[ModelOutput] = field(default_factory=list)


class TrackingReads(Protocol):
    """The part of a transaction that reads about what was trained."""

    def find_experiment(self, id: int) -> ExperimentRow | None:
        """Return an experiment, deleted ones too, or None."""

    def find_experiment_called(self, name: str) -> ExperimentRow | None:
        """Return the experiment of that name, deleted ones too, or None."""

    def experiments(self, ids: Sequence[int]) -> dict[int, ExperimentRow]:
        """Return experiments by their ids."""

    def experiment_tags(self, ids: Sequence[int]) -> dict[int, dict[str, str]]:
        """Return the tags of experiments; one without any is left out."""

    def find_run(self, id: str) -> RunRow | None:
        """Return a run, deleted ones too, or None."""

    def runs(self, numbers: Sequence[int]) -> dict[int, RunRow]:
        """Return runs by their numbers in the store."""

    def run_parts(self, numbers: Sequence[int]) -> dict[int, Parts]:
        """Return what hangs on each of the runs, by their numbers."""

    def run_tag(self, run_no: int, key: str) -> str | None:
        """Return one tag of a run, or None."""

    def run_params(self, run_no: int, keys: Sequence[str]) -> dict[str, str]:
        """Return those parameters of a run that it has."""

    def metric_history(self, run_no: int, key: str, after: Point | None, limit: int) -> list[Metric]:
        """Return points of one metric of a run by time, step and value; those behind `after` if given."""

    def find_dataset(self, experiment_id: int, name: str, digest: str) -> int | None:
        """Return the number of a data set, or None."""

    def run_inputs_count(self, run_no: int) -> int:
        """Return how many data sets and logged models a run has noted."""

    def find_logged_model(self, id: str) -> LoggedModelRow | None:
        """Return a logged model, deleted ones too, or None."""

    def logged_models(self, ids: Sequence[str]) -> dict[str, LoggedModelRow]:
        """Return logged models by their ids."""

    def find_model_of_run(self, run_id: str, name: str) -> LoggedModelRow | None:
        """Return the newest living logged model of that name which a run wrote, or None."""

    def logged_model_parts(self, ids: Sequence[str]) -> dict[str, Parts]:
        """Return what hangs on each of the logged models: tags, parameters and every point of their metrics."""

    def logged_model_params(self, id: str, keys: Sequence[str]) -> dict[str, str]:
        """Return those parameters of a logged model that it has."""

    def search_runs(
        self,
        experiment_ids: Sequence[int] | None,
        which: Which,
        filter: Filter,
        order: Sequence[Order],
        after: Sequence[Any] | None,
        limit: int,
    ) -> list[tuple[Any, list[Any]]]:
        """Return (number, cursor) of runs of experiments (None: all) that meet the filter, in order, behind `after`."""

    def search_experiments(
        self, which: Which, filter: Filter, order: Sequence[Order], after: Sequence[Any] | None, limit: int
    ) -> list[tuple[Any, list[Any]]]:
        """Return (id, cursor) of the experiments that meet the filter, in order."""

    def search_logged_models(
        self,
        experiment_ids: Sequence[int],
        datasets: Sequence[tuple[str, str | None]],
        filter: Filter,
        order: Sequence[Order],
        after: Sequence[Any] | None,
        limit: int,
    ) -> list[tuple[Any, list[Any]]]:
        """Return (id, cursor) of logged models. With `datasets` only metrics measured on one of them count."""

    def next_of(self, table: Literal["experiment", "run", "dataset"]) -> int:
        """Return the number after the highest that was ever given there."""


class TrackingWrites(TrackingReads, Protocol):
    """The part of a transaction that changes rows about what was trained. A table that is audited is our bug."""

    def put(self, table: str, row: Mapping[str, Any], *, on_clash: OnClash = "refuse") -> bool:
        """Write a row; False when one with its key was there and stays."""

    def put_many(self, table: str, rows: Sequence[Mapping[str, Any]], *, on_clash: OnClash = "refuse") -> None:
        """Write rows of different keys, in the order of the keys, so that two writers never wait for one another."""

    def put_points(self, rows: Sequence[PointRow]) -> None:
        """Add points to the histories, each once. The newest of a run's metric is the run's value of it from then on,
        unless a newer one is there (`core.tracking.rank`).
        """

    def change(self, table: str, key: Mapping[str, Any], changes: Mapping[str, Any]) -> int:
        """Change the rows with these values; return how many there were."""

    def drop(self, table: str, key: Mapping[str, Any]) -> int:
        """Remove the rows with these values; return how many there were."""
