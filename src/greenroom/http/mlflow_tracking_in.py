"""What comes in on MLflow's tracking wire: parts of requests become our nouns. Pure.

An enum may come by its name or its number, a field of an object inside in either spelling, an integer as text. Errors
say where in the request they are, as a stock server does.

Source: mlflow-compat sections 0, 1 and 8.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final, TypeVar

from greenroom.core.errors import InvalidInput
from greenroom.core.names import shown
from greenroom.core.tracking import (
    DatasetInput,
    LoggedDataset,
    Metric,
    ModelOutput,
    ModelStatus,
    RunStatus,
    Which,
)
from greenroom.core.tracking_names import is_run_id
from greenroom.http.mlflow_wire import SEE_API_DOCS, Field, invalid_value

T = TypeVar("T", bound=Enum)
_INT64: Final = 2**63
_DATASET: Final = ("name", "digest", "source_type", "source", "schema", "profile")


def missing(parameter: str) -> InvalidInput:
    """Return the error for a required field that is not there, in MLflow's words."""
    return InvalidInput(f"Missing value for required parameter '{parameter}'. {SEE_API_DOCS}", parameter=parameter)


def run_of(given: Mapping[str, Any]) -> str:
    """Return the run that a request names, by either of the two names of the field."""
    run = given.get("run_id") or given.get("run_uuid")
    if not run:
        raise missing("run_id")
    return str(run)


def clean_run_of(given: Mapping[str, Any]) -> str:
    """Return the run that a request names. Raises InvalidInput for what can be no run's id."""
    run = run_of(given)
    if not is_run_id(run):
        raise InvalidInput(f"Invalid value \"{shown(run)}\" for parameter 'run_id' supplied.", parameter="run_id")
    return run


def read_experiment_id(text: str) -> int:
    """Return the id of an experiment. Raises InvalidInput for what is no number."""
    try:
        return int(text) if len(text) <= 40 else int("none")
    except ValueError:
        raise InvalidInput(
            f"Invalid experiment ID '{shown(text)}'. Experiment ID must be a valid integer.", parameter="experiment_id"
        ) from None


_PLAIN: Final[Mapping[str, type]] = {"key": str, "value": float, "timestamp": int, "step": int}


def read_metrics(value: Any) -> tuple[Metric, ...]:
    """Return the points of a batch. Raises InvalidInput."""
    return tuple(read_metric(item, f"metrics[{at}].") for at, item in enumerate(_objects("metrics", value)))


def read_metric(item: Mapping[str, Any], path: str = "") -> Metric:
    """Return one point; `path` is where it stands in the request. Raises InvalidInput."""
    if item.keys() == _PLAIN.keys() and all(type(item[name]) is kind for name, kind in _PLAIN.items()):
        point = Metric(**item)  # as clients send points by the thousand: look-ups wait for the time that this takes
        if point.key and -_INT64 <= point.timestamp < _INT64 and -_INT64 <= point.step < _INT64:
            return point
    for name in ("key", "value", "timestamp"):
        if _part(item, name) in (None, ""):
            raise missing(f"{path}{name}")
    return Metric(
        _text(item, "key", path),
        _number(_part(item, "value"), f"{path}value"),
        _integer(item, "timestamp", path),
        _integer(item, "step", path),
        _text(item, "model_id", path) or None,
        _text(item, "dataset_name", path) or None,
        _text(item, "dataset_digest", path) or None,
    )


def read_pairs(name: str, value: Any) -> tuple[tuple[str, str], ...]:
    """Return the keys and values of a list of parameters or tags, in order. Raises InvalidInput."""
    found = []
    for at, item in enumerate(_objects(name, value)):
        path = f"{name}[{at}]."
        if not _part(item, "key"):
            raise missing(f"{path}key")
        found.append((_text(item, "key", path), _text(item, "value", path)))
    return tuple(found)


def read_datasets(value: Any) -> tuple[DatasetInput, ...]:
    """Return the data sets of a request. Raises InvalidInput for one that does not say which it is."""
    found = []
    for at, item in enumerate(_objects("datasets", value)):
        path = f"datasets[{at}].dataset"
        dataset = _part(item, "dataset")
        if not isinstance(dataset, Mapping):
            raise missing(path)
        name, digest, kind, source, schema, profile = (_text(dataset, each, f"{path}.") for each in _DATASET)
        if not name or not digest:
            raise missing(f"{path}.{'digest' if name else 'name'}")
        known = LoggedDataset(name, digest, kind, source, schema or None, profile or None)
        found.append(DatasetInput(known, dict(read_pairs("tags", _part(item, "tags")))))
    return tuple(found)


def read_models(value: Any) -> tuple[ModelOutput, ...]:
    """Return the logged models of a request, with the steps at which they were written. Raises InvalidInput."""
    found = []
    for at, item in enumerate(_objects("models", value)):
        path = f"models[{at}]."
        found.append(ModelOutput(_text(item, "model_id", path), _integer(item, "step", path)))
    return tuple(found)


def read_orders(value: Any) -> tuple[tuple[str, bool, str | None, str | None], ...]:
    """Return (field, descending, data set's name, its digest) of every key of an order. Raises InvalidInput."""
    found = []
    for at, item in enumerate(_objects("order_by", value)):
        path = f"order_by[{at}]."
        ascending = _part(item, "ascending")
        if ascending is not None and not isinstance(ascending, bool):
            raise invalid_value(f"{path}ascending", ascending)
        name, digest = (_text(item, f"dataset_{what}", path) or None for what in ("name", "digest"))
        found.append((_text(item, "field_name", path), ascending is False, name, digest))
    return tuple(found)


def read_dataset_names(value: Any) -> tuple[tuple[str, str | None], ...]:
    """Return (name, digest or None) of the data sets that a search is about. Raises InvalidInput."""
    return tuple(
        (_text(item, "dataset_name", f"datasets[{at}]."), _text(item, "dataset_digest", f"datasets[{at}].") or None)
        for at, item in enumerate(_objects("datasets", value))
    )


def read_record(text: str) -> str:
    """Return what is kept of the description of a model among a run's files: a JSON object. Raises InvalidInput."""
    try:
        model = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidInput(f"Malformed model info. \n {shown(text)} \n is not a valid JSON.") from None
    if not isinstance(model, dict):
        raise InvalidInput(f"Malformed model info. \n {shown(text)} \n is no JSON object.")
    absent = [name for name in ("artifact_path", "flavors", "utc_time_created", "run_id") if name not in model]
    if absent:
        raise InvalidInput(f"Model json is missing mandatory fields: {set(absent)}")
    kept = {name: model.get(name) for name in ("run_id", "artifact_path", "utc_time_created", "model_uuid")}
    flavors = model["flavors"] if isinstance(model["flavors"], dict) else {}
    plain = {
        name: {key: value for key, value in each.items() if key != "config"} if isinstance(each, dict) else each
        for name, each in flavors.items()
    }
    return json.dumps({**kept, "flavors": plain})


_VIEWS: Final = {"ACTIVE_ONLY": Which.ACTIVE, "DELETED_ONLY": Which.DELETED, "ALL": Which.ALL}
_STATUSES: Final = {name: RunStatus(name) for name in ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")}
_MODEL_STATUSES: Final = {f"LOGGED_MODEL_{each.value}": each for each in ModelStatus}


def read_view(name: str, value: Any) -> Which:
    """Return which of the living and the deleted are asked for; None means the living."""
    return Which.ACTIVE if value is None else _enum(name, value, _VIEWS)


def read_run_status(value: Any) -> RunStatus | None:
    """Return the status of a run, None when none is given."""
    return None if value is None else _enum("status", value, _STATUSES)


def read_model_status(value: Any) -> ModelStatus:
    """Return the status of a logged model."""
    return _enum("status", value, _MODEL_STATUSES)


def _enum(name: str, value: Any, known: Mapping[str, T]) -> T:
    """Enums come by name or by number, which count from 1."""
    if isinstance(value, str) and value in known:
        return known[value]
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 4 else value
    if isinstance(number, int) and not isinstance(number, bool) and 1 <= number <= len(known):
        return list(known.values())[number - 1]
    raise InvalidInput(
        f"Invalid value {shown(value)} for parameter '{name}' supplied. It must be one of {', '.join(known)}.",
        parameter=name,
    )


def _objects(name: str, value: Any) -> list[Mapping[str, Any]]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid_value(name, value)
    return value


def _part(item: Mapping[str, Any], name: str) -> Any:
    value = item.get(name)
    return item.get(Field(name).camel_name) if value is None else value


def _text(item: Mapping[str, Any], name: str, path: str) -> str:
    value = _part(item, name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise invalid_value(f"{path}{name}", value)
    return value


def _integer(item: Mapping[str, Any], name: str, path: str) -> int:
    value = _part(item, name)
    if value is None:
        return 0
    number = int(value) if _is_integral(value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not -_INT64 <= number < _INT64:
        raise invalid_value(f"{path}{name}", value)
    return number


def _is_integral(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= 20 and value.isascii() and value.removeprefix("-").isdigit()
    return isinstance(value, float) and value.is_integer()


_NAMED_NUMBERS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def _number(value: Any, parameter: str) -> float:
    """JSON has no NaN and no infinities: they come as text."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            raise invalid_value(parameter, shown(value)) from None
    if isinstance(value, str) and value in _NAMED_NUMBERS:
        return _NAMED_NUMBERS[value]
    if isinstance(value, str) and len(value) <= 400 and value.isascii() and "_" not in value:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if math.isfinite(number):
            return number
    raise invalid_value(parameter, value)
