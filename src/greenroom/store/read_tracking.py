"""Queries about experiments, runs and logged models."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from greenroom.core.tracking import DatasetInput, LoggedDataset, Metric, ModelOutput
from greenroom.services.ports_tracking import ExperimentRow, LoggedModelRow, Parts, Point, RunRow
from greenroom.store.driver import Connection, Row
from greenroom.store.tracking_searching import TrackingSearches

_AT_ONCE = 500  # ids in one statement
_METRIC = '"key", "value", "is_nan", "timestamp", "step"'
_MODEL_METRIC = f"{_METRIC}, model_id, run_id, dataset_name, dataset_digest"
_DATASET = "d.name, d.digest, d.source_type, d.source, d.schema, d.profile, u.tags"


def value_of(value: float, is_nan: int) -> float:
    """Return a metric's value as it was logged."""
    return math.nan if is_nan else float(value)


class TrackingReads(TrackingSearches):
    """The part of `services.ports.ReadTx` about what was trained."""

    db: Connection

    def find_experiment(self, id: int) -> ExperimentRow | None:
        """See the port."""
        row = self.db.one(self.db.sql["experiment"], {"id": id})
        return ExperimentRow(*row) if row else None

    def find_experiment_called(self, name: str) -> ExperimentRow | None:
        """See the port."""
        row = self.db.one(self.db.sql["experiment_called"], {"name": name})
        return ExperimentRow(*row) if row else None

    def experiments(self, ids: Sequence[int]) -> dict[int, ExperimentRow]:
        """See the port."""
        return {row[0]: ExperimentRow(*row) for row in self._of(self._base("experiment"), "experiment.id", ids)}

    def experiment_tags(self, ids: Sequence[int]) -> dict[int, dict[str, str]]:
        """See the port."""
        found: dict[int, dict[str, str]] = {}
        source = 'SELECT experiment_id, "key", "value" FROM experiment_tag'
        for experiment, key, value in self._of(source, "experiment_id", ids):
            found.setdefault(experiment, {})[key] = value
        return found

    def find_run(self, id: str) -> RunRow | None:
        """See the port."""
        row = self.db.one(self.db.sql["run"], {"id": id})
        return RunRow(*row) if row else None

    def run_tag(self, run_no: int, key: str) -> str | None:
        """See the port."""
        row = self.db.one(self.db.sql["run_tag"], {"run_no": run_no, "key": key})
        return str(row[0]) if row else None

    def run_params(self, run_no: int, keys: Sequence[str]) -> dict[str, str]:
        """See the port."""
        return self._params("run_param", "run_no", run_no, keys)

    def runs(self, numbers: Sequence[int]) -> dict[int, RunRow]:
        """See the port."""
        rows = (RunRow(*row) for row in self._of(self._base("run"), "run.no", numbers))
        return {row.no: row for row in rows}

    def run_parts(self, numbers: Sequence[int]) -> dict[int, Parts]:
        """See the port."""
        found = {number: Parts() for number in numbers}
        for number, key, value in self._of('SELECT run_no, "key", "value" FROM run_tag', "run_no", numbers):
            found[number].tags[key] = value
        for number, key, value in self._of('SELECT run_no, "key", "value" FROM run_param', "run_no", numbers):
            found[number].params[key] = value
        for number, *point in self._of(f"SELECT run_no, {_METRIC} FROM run_metric", "run_no", numbers):
            found[number].metrics.append(_metric(point))
        source = f"SELECT u.run_no, {_DATASET} FROM run_dataset u JOIN dataset d ON d.no = u.dataset_no"
        for number, *facts, tags in self._of(source, "u.run_no", numbers, order="u.run_no, u.position"):
            found[number].datasets.append(DatasetInput(LoggedDataset(*facts), json.loads(tags)))
        source = "SELECT run_no, direction, model_id, step FROM run_model"
        for number, direction, model_id, step in self._of(
            source, "run_no", numbers, order="run_no, position, model_id"
        ):
            if direction == "input":
                found[number].inputs.append(model_id)
            else:
                found[number].outputs.append(ModelOutput(model_id, step))
        return found

    def metric_history(self, run_no: int, key: str, after: Point | None, limit: int) -> list[Metric]:
        """See the port."""
        params: dict[str, Any] = {"run_no": run_no, "key": key, "limit": limit}
        name = "metric_history"
        if after is not None:
            name = "metric_history_after"
            params |= zip(("after_timestamp", "after_step", "after_value", "after_is_nan"), after, strict=True)
        rows = self.db.all(self.db.sql[name], params)
        return [Metric(key, value_of(value, is_nan), time, step) for time, step, value, is_nan in rows]

    def find_dataset(self, experiment_id: int, name: str, digest: str) -> int | None:
        """See the port."""
        params = {"experiment_id": experiment_id, "name": name, "digest": digest}
        row = self.db.one(self.db.sql["dataset"], params)
        return int(row[0]) if row else None

    def run_inputs_count(self, run_no: int) -> int:
        """See the port."""
        names = ("run_datasets_count", "run_models_count")
        found = [self.db.one(self.db.sql[name], {"run_no": run_no}) for name in names]
        return sum(int(row[0]) for row in found if row)

    def find_logged_model(self, id: str) -> LoggedModelRow | None:
        """See the port."""
        row = self.db.one(self.db.sql["logged_model"], {"id": id})
        return LoggedModelRow(*row) if row else None

    def logged_models(self, ids: Sequence[str]) -> dict[str, LoggedModelRow]:
        """See the port."""
        return {row[0]: LoggedModelRow(*row) for row in self._of(self._base("logged_model"), "logged_model.id", ids)}

    def find_model_of_run(self, run_id: str, name: str) -> LoggedModelRow | None:
        """See the port."""
        row = self.db.one(self.db.sql["logged_model_of_run"], {"run_id": run_id, "name": name})
        return LoggedModelRow(*row) if row else None

    def logged_model_parts(self, ids: Sequence[str]) -> dict[str, Parts]:
        """See the port."""
        found = {model: Parts() for model in ids}
        for model, key, value in self._of('SELECT model_id, "key", "value" FROM logged_model_tag', "model_id", ids):
            found[model].tags[key] = value
        for model, key, value in self._of('SELECT model_id, "key", "value" FROM logged_model_param', "model_id", ids):
            found[model].params[key] = value
        order = 'model_id, "key", step, "timestamp"'
        for *point, model, run, name, digest in self._of(
            f"SELECT {_MODEL_METRIC} FROM logged_model_metric", "model_id", ids, order=order
        ):
            found[model].metrics.append(_metric(point, model, name or None, digest or None, run))
        return found

    def logged_model_params(self, id: str, keys: Sequence[str]) -> dict[str, str]:
        """See the port."""
        return self._params("logged_model_param", "model_id", id, keys)

    def next_of(self, table: Literal["experiment", "run", "dataset"]) -> int:
        """See the port."""
        row = self.db.one(self.db.sql[f"last_{table}"])
        return int(row[0]) + 1 if row and row[0] is not None else 1

    def _base(self, name: str) -> str:
        return self.db.sql[name].partition(" WHERE ")[0]

    def _params(self, table: str, column: str, owner: int | str, keys: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for at in range(0, len(keys), _AT_ONCE):
            names = {f"k{number}": key for number, key in enumerate(keys[at : at + _AT_ONCE])}
            listed = ", ".join(self.db.mark(name) for name in names)
            owned = f"{column} = {self.db.mark('owner')}"
            text = f'SELECT "key", "value" FROM {table} WHERE {owned} AND "key" IN ({listed})'
            found |= dict(self.db.all(text, {"owner": owner, **names}))
        return found

    def _of(self, select: str, column: str, owners: Sequence[int | str], *, order: str = "") -> Iterator[Row]:
        """Yield the rows that hang on the owners, in that order or by the owner."""
        for at in range(0, len(owners), _AT_ONCE):
            names = {f"o{number}": owner for number, owner in enumerate(owners[at : at + _AT_ONCE])}
            listed = ", ".join(self.db.mark(name) for name in names)
            yield from self.db.all(f"{select} WHERE {column} IN ({listed}) ORDER BY {order or column}", names)


def _metric(
    point: Sequence[Any],
    model: str | None = None,
    name: str | None = None,
    digest: str | None = None,
    run: str | None = None,
) -> Metric:
    key, value, is_nan, time, step = point
    return Metric(key, value_of(value, is_nan), time, step, model, name, digest, run)
