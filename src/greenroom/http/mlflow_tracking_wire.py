"""The endpoints of MLflow's tracking wire as a table. What comes in is read by `mlflow_tracking_in`, what goes out is
written by `mlflow_tracking_out`.

Source: mlflow-compat section 8.
"""

from __future__ import annotations

from typing import Final

from greenroom.http.mlflow_wire import Endpoint, Field, Kind


def _need(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, required=True) for name in names)


def _may(*names: str, kind: Kind = Kind.TEXT) -> tuple[Field, ...]:
    return tuple(Field(name, kind) for name in names)


_GET, _POST, _PATCH, _DELETE, _BOTH = ("GET",), ("POST",), ("PATCH",), ("DELETE",), ("POST", "GET")
_EXPERIMENT = _need("experiment_id")
_RUN = _may("run_id", "run_uuid")
_TAGS = (Field("tags", Kind.TAGS),)
_ORDERED = (*_may("filter", "page_token"), Field("max_results", Kind.INTEGER), Field("order_by", Kind.TEXTS))
_E, _R, _L = "/experiments", "/runs", "/logged-models"
_MODEL = f"{_L}/{{model_id}}"

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint("create_experiment", _POST, f"{_E}/create", "log", (*_need("name"), *_may("artifact_location"), *_TAGS)),
    Endpoint("get_experiment", _GET, f"{_E}/get", "read", _EXPERIMENT),
    Endpoint("find_experiment", _GET, f"{_E}/get-by-name", "read", _need("experiment_name")),
    Endpoint("search_experiments", _BOTH, f"{_E}/search", "read", (*_ORDERED, *_may("view_type", kind=Kind.ANY))),
    Endpoint("delete_experiment", _POST, f"{_E}/delete", "manage", _EXPERIMENT),
    Endpoint("restore_experiment", _POST, f"{_E}/restore", "manage", _EXPERIMENT),
    Endpoint("rename_experiment", _POST, f"{_E}/update", "manage", (*_EXPERIMENT, *_need("new_name"))),
    Endpoint(
        "set_experiment_tag", _POST, f"{_E}/set-experiment-tag", "log", (*_EXPERIMENT, *_need("key"), *_may("value"))
    ),
    Endpoint("delete_experiment_tag", _POST, f"{_E}/delete-experiment-tag", "log", (*_EXPERIMENT, *_need("key"))),
    Endpoint(
        "create_run",
        _POST,
        f"{_R}/create",
        "log",
        (*_EXPERIMENT, *_may("user_id", "run_name"), Field("start_time", Kind.INTEGER), *_TAGS),
    ),
    Endpoint("get_run", _GET, f"{_R}/get", "read", _RUN),
    Endpoint(
        "update_run",
        _POST,
        f"{_R}/update",
        "log",
        (*_RUN, *_may("status", kind=Kind.ANY), Field("end_time", Kind.INTEGER), *_may("run_name")),
    ),
    Endpoint("delete_run", _POST, f"{_R}/delete", "log", _need("run_id")),
    Endpoint("restore_run", _POST, f"{_R}/restore", "log", _need("run_id")),
    Endpoint(
        "search_runs",
        _POST,
        f"{_R}/search",
        "read",
        (Field("experiment_ids", Kind.TEXTS), *_ORDERED, *_may("run_view_type", kind=Kind.ANY)),
    ),
    Endpoint(
        "log_metric",
        _POST,
        f"{_R}/log-metric",
        "log",
        (
            *_RUN,
            *_need("key"),
            *_may("value", kind=Kind.ANY),
            *_may("timestamp", "step", kind=Kind.INTEGER),
            *_may("model_id", "dataset_name", "dataset_digest"),
        ),
    ),
    Endpoint("log_param", _POST, f"{_R}/log-parameter", "log", (*_RUN, *_need("key"), *_may("value"))),
    Endpoint("set_tag", _POST, f"{_R}/set-tag", "log", (*_RUN, *_need("key"), *_may("value"))),
    Endpoint("delete_tag", _POST, f"{_R}/delete-tag", "log", (*_need("run_id", "key"),)),
    Endpoint(
        "log_batch",
        _POST,
        f"{_R}/log-batch",
        "log",
        (*_need("run_id"), *_may("metrics", "params", "tags", kind=Kind.ANY)),
    ),
    Endpoint("log_model", _POST, f"{_R}/log-model", "log", _need("run_id", "model_json")),
    Endpoint(
        "log_inputs", _POST, f"{_R}/log-inputs", "log", (*_need("run_id"), *_may("datasets", "models", kind=Kind.ANY))
    ),
    Endpoint(
        "log_outputs", _POST, f"{_R}/outputs", "log", (*_need("run_id"), Field("models", Kind.ANY, required=True))
    ),
    Endpoint(
        "metric_history",
        _GET,
        "/metrics/get-history",
        "read",
        (*_RUN, *_need("metric_key"), Field("max_results", Kind.INTEGER), *_may("page_token")),
    ),
    Endpoint(
        "metric_history_bulk",
        _GET,
        "/metrics/get-history-bulk",
        "read",
        (Field("run_id", Kind.TEXTS), *_need("metric_key"), Field("max_results", Kind.INTEGER)),
    ),
    Endpoint("list_artifacts", _GET, "/artifacts/list", "read", (*_RUN, *_may("path", "page_token"))),
    Endpoint(
        "create_logged_model",
        _POST,
        _L,
        "log",
        (*_EXPERIMENT, *_may("name", "model_type", "source_run_id"), *_may("params", kind=Kind.ANY), *_TAGS),
    ),
    Endpoint(
        "search_logged_models",
        _POST,
        f"{_L}/search",
        "read",
        (
            Field("experiment_ids", Kind.TEXTS, required=True),
            *_may("filter", "page_token"),
            Field("max_results", Kind.INTEGER),
            *_may("datasets", "order_by", kind=Kind.ANY),
        ),
    ),
    Endpoint("get_logged_model", _GET, _MODEL, "read", (Field("allow_deleted", Kind.FLAG),)),
    Endpoint("finish_logged_model", _PATCH, _MODEL, "log", (Field("status", Kind.ANY, required=True),)),
    Endpoint("delete_logged_model", _DELETE, _MODEL, "log", ()),
    Endpoint("tag_logged_model", _PATCH, f"{_MODEL}/tags", "log", _TAGS),
    Endpoint("untag_logged_model", _DELETE, f"{_MODEL}/tags/{{key:path}}", "log", ()),
    Endpoint("log_model_params", _POST, f"{_MODEL}/params", "log", _may("params", kind=Kind.ANY)),
    Endpoint("list_model_artifacts", _GET, f"{_MODEL}/artifacts/directories", "read", _may("artifact_directory_path")),
)
