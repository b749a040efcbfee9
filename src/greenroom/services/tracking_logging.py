"""Use cases that add to a run: points of metrics, parameters, tags, what it reads and writes; and metric histories.

They run without the chain's head, on several servers at once, so they never decide by what they read before they wrote:
points are a set, the newest one is found by the database as it writes, a parameter is written first and compared then.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import Actor, Page
from greenroom.core.names import shown
from greenroom.core.paging import decode_token, encode_token, page_scope
from greenroom.core.tracking import LARGEST, DatasetInput, GivenMetric, Metric, check_params, stored_value
from greenroom.core.tracking_names import (
    DATASET_LENGTHS,
    DATASETS_PER_REQUEST,
    INPUT_TAG_LENGTHS,
    INPUTS_PER_RUN,
    NAME_LENGTH,
    NAME_TAG,
    PARAM_LENGTH,
    check_batch,
    check_key,
    check_text,
    check_unique,
    clipped,
    is_model_id,
    is_run_id,
)
from greenroom.services.commands import tracking as c
from greenroom.services.ports import ReadTx, WriteTx
from greenroom.services.ports_tracking import Point, PointRow, RunRow
from greenroom.services.tracking_finding import active_run, get_logged_model
from greenroom.services.tracking_models import list_in
from greenroom.services.tracking_runs import tag_row

HISTORY_TAG = "mlflow.log-model.history"
HISTORY_LENGTH = 4 << 20  # it is read and written as a whole with every record, while other writes wait
CONTEXT_TAG = "mlflow.data.context"
_MOST_POINTS = 250_000  # points of one answer; a longer history goes on behind its page token
_LARGEST_TIME = 2**63
_NO_NAME = (NAME_TAG, "")  # a run keeps its name


def log_to_run(tx: WriteTx, ask: c.LogToRun, actor: Actor) -> None:
    """Log metrics, parameters and tags: all or, with an error, none. What is there already is no error.

    Raises NotFound (no such run or logged model), InvalidInput (a deleted run, another value of a parameter, limits).
    """
    _check_metrics(ask)
    params = [_param(*each, _path(ask, "params", at)) for at, each in enumerate(ask.params)]
    checked = [tag_row(0, *each, _path(ask, "tags", at)) for at, each in enumerate(ask.tags.items())]
    check_batch(metrics=ask.metrics, params=ask.params, tags=ask.tags)
    check_unique(key for key, _ in ask.params)
    run = active_run(tx, ask.run_id)
    tags = [row | {"run_no": run.no} for row in checked if (row["key"], row["value"]) != _NO_NAME]
    _log_params(tx, run, params, listed=ask.batch)
    _log_metrics(tx, run, ask.metrics)
    tx.put_many("run_tag", tags, on_clash="replace")
    if ask.tags.get(NAME_TAG):
        name = clipped(ask.tags[NAME_TAG], NAME_TAG, NAME_LENGTH)
        tx.change("run", {"no": run.no}, {"name": name})


def _path(ask: c.LogToRun, what: str, at: int) -> str:
    return f"{what}[{at}]." if ask.batch else ""


def _check_metrics(ask: c.LogToRun) -> None:
    """Raise InvalidInput for a point that cannot be kept."""
    for at, each in enumerate(ask.metrics):
        check_key(each.key, f"{_path(ask, 'metrics', at)}name", "Metric name")
        if not 0 <= each.timestamp < _LARGEST_TIME:
            parameter = f"{_path(ask, 'metrics', at)}timestamp"
            raise InvalidInput(
                f"Invalid value {each.timestamp} for parameter '{parameter}' supplied: metric '{shown(each.key)}' "
                f"(value={each.value}). Timestamp must be a nonnegative long (64-bit integer) ",
                parameter=parameter,
            )
        if bool(each.dataset_name) != bool(each.dataset_digest):
            raise InvalidInput("Both dataset_name and dataset_digest must be provided if one is provided.")
        for text, what in ((each.dataset_name, "name"), (each.dataset_digest, "digest")):
            if text:
                check_text(text, f"{_path(ask, 'metrics', at)}dataset_{what}", DATASET_LENGTHS[what])


def _param(key: str, value: str, path: str) -> tuple[str, str]:
    return check_key(key, f"{path}key", "Param key"), clipped(value, "Param value", PARAM_LENGTH)


def _log_params(tx: WriteTx, run: RunRow, params: Sequence[tuple[str, str]], *, listed: bool) -> None:
    """Write first and look then: of two who write at once, the second waits for the first and sees its value."""
    rows = [{"run_no": run.no, "key": key, "value": value} for key, value in params]
    if len(rows) == 1 and tx.put("run_param", rows[0], on_clash="keep"):
        return
    tx.put_many("run_param", rows, on_clash="keep")
    check_params(tx.run_params(run.no, [key for key, _ in params]), params, run.id, listed=listed)


def _log_metrics(tx: WriteTx, run: RunRow, metrics: Sequence[GivenMetric]) -> None:
    tx.put_points([_point_row(run.no, each) for each in metrics])
    of_models = [each for each in metrics if each.model_id]
    for model_id in {str(each.model_id) for each in of_models}:
        get_logged_model(tx, model_id, deleted=True)
    once = {tuple(row.values())[:7]: row for row in (_model_row(run, each) for each in of_models)}
    tx.put_many("logged_model_metric", list(once.values()), on_clash="keep")


def _point_row(run_no: int, metric: GivenMetric) -> PointRow:
    value = metric.value
    if -LARGEST < value < LARGEST:  # as nearly all are, and they come by the thousand
        return run_no, metric.key, metric.timestamp, metric.step, value + 0.0, 0
    return run_no, metric.key, *_point(metric)


def _point(metric: GivenMetric) -> Point:
    """Return where a point stands in its history; NaN is kept as 0 with a mark."""
    is_nan = metric.value != metric.value
    return metric.timestamp, metric.step, 0.0 if is_nan else stored_value(metric.value), int(is_nan)


def _model_row(run: RunRow, metric: GivenMetric) -> dict[str, Any]:
    timestamp, step, value, is_nan = _point(metric)
    return {
        "model_id": metric.model_id,
        "key": metric.key,
        "timestamp": timestamp,
        "step": step,
        "run_id": run.id,
        "dataset_name": metric.dataset_name or "",
        "dataset_digest": metric.dataset_digest or "",
        "value": value,
        "is_nan": is_nan,
    }


def delete_run_tag(tx: WriteTx, ask: c.DeleteRunTag, actor: Actor) -> None:
    """Remove a tag. Raises NotFound for a run or a tag that is not there, InvalidInput for a deleted run."""
    run = active_run(tx, ask.run_id)
    if "\x00" in ask.key or not tx.drop("run_tag", {"run_no": run.no, "key": ask.key}):
        raise NotFound(f"No tag with name: {shown(ask.key)} in run with id {run.id}", kind="tag", run=run.id)


def log_model_record(tx: WriteTx, ask: c.LogModelRecord, actor: Actor) -> None:
    """Append a record, a JSON object, to the run's list of models; one that is in it already is not added again.

    Raises NotFound, InvalidInput.
    """
    run = active_run(tx, ask.run_id)
    check_text(ask.record, "model_json", 1 << 20)
    record = json.loads(ask.record)
    known = list_in(tx.run_tag(run.no, HISTORY_TAG))
    if record not in known:
        value = check_text(json.dumps([*known, record]), HISTORY_TAG, HISTORY_LENGTH)
        tx.put("run_tag", {"run_no": run.no, "key": HISTORY_TAG, "value": value}, on_clash="replace")


def log_inputs(tx: WriteTx, ask: c.LogInputs, actor: Actor) -> None:
    """Note data sets and logged models that a run reads; one that is noted already stays as it is.

    Raises NotFound, InvalidInput.
    """
    if len(ask.datasets) + len(ask.models) > DATASETS_PER_REQUEST:
        raise InvalidInput(
            f"{len(ask.datasets) + len(ask.models)} inputs are too many.",
            hint=f"At most {DATASETS_PER_REQUEST} fit into one request.",
        )
    for each in ask.datasets:
        _check_dataset(each)
    run = active_run(tx, ask.run_id)
    first = _room(tx, run, len(ask.datasets) + len(ask.models))
    for at, each in enumerate(ask.datasets):
        _log_dataset(tx, run, each, first + at)
    _note_models(tx, run, "input", [(model_id, 0) for model_id in ask.models], first)


def _room(tx: WriteTx, run: RunRow, more: int) -> int:
    """Return how many inputs and outputs a run has noted. Raises InvalidInput when it cannot have more."""
    count = tx.run_inputs_count(run.no)
    if count + more > INPUTS_PER_RUN:
        raise InvalidInput(
            f"run {run.id} has {count} inputs and outputs; {more} more are too many.",
            hint=f"At most {INPUTS_PER_RUN} are kept.",
        )
    return count


def _check_dataset(given: DatasetInput) -> None:
    for name, limit in DATASET_LENGTHS.items():
        text = getattr(given.dataset, name)
        if text is not None:
            check_text(text, name, limit)
    for key, value in given.tags.items():
        check_text(key, "key", INPUT_TAG_LENGTHS[0])
        check_text(value, "value", INPUT_TAG_LENGTHS[1])


def _log_dataset(tx: WriteTx, run: RunRow, given: DatasetInput, position: int) -> None:
    dataset = given.dataset
    row = {name: getattr(dataset, name) for name in DATASET_LENGTHS}
    no = tx.find_dataset(run.experiment_id, dataset.name, dataset.digest)
    if no is None:
        no = tx.next_of("dataset")
        tx.put("dataset", {"no": no, "experiment_id": run.experiment_id, **row})
    tags = json.dumps(dict(given.tags), ensure_ascii=False)
    context = given.tags.get(CONTEXT_TAG)
    of = {"run_no": run.no, "dataset_no": no}
    tx.put("run_dataset", {**of, "position": position, "tags": tags, "context": context}, on_clash="keep")


def log_outputs(tx: WriteTx, ask: c.LogOutputs, actor: Actor) -> None:
    """Note logged models that a run writes; one that is noted already stays. Raises NotFound, InvalidInput."""
    run = active_run(tx, ask.run_id)
    first = _room(tx, run, len(ask.models))
    _note_models(tx, run, "output", [(each.model_id, each.step) for each in ask.models], first)


def _note_models(tx: WriteTx, run: RunRow, direction: str, models: Sequence[tuple[str, int]], first: int) -> None:
    for model_id, _ in models:
        if not is_model_id(model_id):
            raise InvalidInput(f"'{shown(model_id)}' is not the id of a logged model.", parameter="model_id")
    of = {"run_no": run.no, "direction": direction}
    rows = {
        model_id: {**of, "model_id": model_id, "step": step, "position": first + at}
        for at, (model_id, step) in enumerate(models)
    }
    tx.put_many("run_model", list(rows.values()), on_clash="keep")


def metric_history(tx: ReadTx, ask: c.MetricHistory, actor: Actor) -> Page[Metric]:
    """Return points by run, time, step and value; each says its run. A run that is not there has none.

    Raises InvalidInput for a page token.
    """
    size = min(ask.page_size or _MOST_POINTS, _MOST_POINTS)
    scope = page_scope("metric_history", ask.key, *ask.run_ids)
    cursor = decode_token(tx.page_secret(), scope, ask.page_token) if ask.page_token else None
    ids = sorted(set(ask.run_ids))
    found: list[Metric] = []
    for run_id in ids:
        run = tx.find_run(run_id) if is_run_id(run_id) else None
        if run is None or (cursor is not None and run_id < str(cursor[0])) or "\x00" in ask.key:
            continue
        after: Any = tuple(cursor[1:]) if cursor is not None and run_id == cursor[0] else None
        points = tx.metric_history(run.no, ask.key, after, size + 1 - len(found))
        found += [_with_run(each, run_id) for each in points]
        if len(found) > size:
            last = found[size - 1]
            return Page(tuple(found[:size]), encode_token(tx.page_secret(), scope, [str(last.run_id), *_point(last)]))
    return Page(tuple(found))


def _with_run(metric: Metric, run_id: str) -> Metric:
    return Metric(metric.key, metric.value, metric.timestamp, metric.step, run_id=run_id)
