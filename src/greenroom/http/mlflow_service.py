"""What a client may ask about the server itself before it works with it. Source: mlflow-compat section 1.4."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.errors import NotImplementedHere
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Endpoint, Route, Wire

# What a client should do with this server by itself: it acts on each `true`. Nothing here may need a log-in to be told.
# Parts and ranges are served to those who ask for them (in their environment), and not proposed: on one machine a
# large file takes three times as long in parts, and each small one would cost a request more.
SERVER_INFO: Final[dict[str, Any]] = {
    "store_type": "SqlStore",
    "workspaces_enabled": False,
    "trace_archival_enabled": False,
    "multipart_uploads_enabled": False,
    "multipart_downloads_enabled": False,
    "artifact_serving_enabled": True,
    "artifacts_presigned_only": False,
    "presigned_upload_run_id_supported": False,
    "presigned_upload_model_id_supported": False,
    "model_artifact_presigned_downloads_supported": False,
    "features_enabled": {"gateway": False},
}


# What MLflow's clients may ask for and this server does not have: said at once and clearly, so that nobody waits.
OUT: Final[dict[str, tuple[str, ...]]] = {
    "traces": ("/api/{v}/mlflow/traces", "/ajax-api/{v}/mlflow/traces", "/v1/traces", "/v1/metrics"),
    "evaluation data sets": ("/api/3.0/mlflow/datasets", "/ajax-api/3.0/mlflow/datasets"),
    "scorers": ("/api/3.0/mlflow/scorers", "/ajax-api/3.0/mlflow/scorers"),
    "the AI gateway": ("/api/3.0/mlflow/gateway", "/ajax-api/3.0/mlflow/gateway", "/gateway"),
    "jobs": ("/api/3.0/mlflow/jobs", "/ajax-api/3.0/mlflow/jobs", "/api/3.0/jobs", "/ajax-api/3.0/jobs"),
    "webhooks": ("/api/2.0/mlflow/webhooks", "/ajax-api/2.0/mlflow/webhooks"),
    "sampled metric histories": (
        "/api/{v}/mlflow/metrics/get-history-bulk-interval",
        "/ajax-api/{v}/mlflow/metrics/get-history-bulk-interval",
    ),
    "lists of data sets": (
        "/api/{v}/mlflow/experiments/search-datasets",
        "/ajax-api/{v}/mlflow/experiments/search-datasets",
    ),
    "workspaces": ("/api/3.0/mlflow/workspaces", "/ajax-api/3.0/mlflow/workspaces"),
    "GraphQL": ("/graphql",),
}


def routes() -> list[Route]:
    """Return the routes that tell what the server can do, and those that say clearly what it cannot."""
    paths = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
    told = [Route("GET", path, "public", _server_info, Wire.MLFLOW) for path in paths]
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    out = [
        Route(method, f"{path}{rest}", "public", _without(what), Wire.MLFLOW)
        for what, roots in OUT.items()
        for root in roots
        for path in dict.fromkeys(root.format(v=version) for version in ("2.0", "3.0", "4.0"))
        for rest in ("", "/{rest:path}")
        for method in methods
    ]
    return told + out


def without_text(what: str) -> str:
    """Return what a client shows to whoever asks for what is not here."""
    return f"Greenroom does not have {what}."


def _without(what: str) -> Endpoint:
    async def answer(http: HTTPRequest) -> Response:
        raise NotImplementedHere(without_text(what), hint="Use another server for them.")

    return answer


async def _server_info(http: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes(SERVER_INFO))
