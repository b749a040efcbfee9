"""What a client may ask about the server itself before it works with it. Source: mlflow-compat section 1.4."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.http.problem import JSONAnswer, NoRoute, json_bytes
from greenroom.http.routing import Route, Wire

# What is true of this server, and no more: a client acts on each `true`. Nothing here may need a log-in to be told.
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


# What MLflow's client asks of a tracking server, and this one is none yet.
_TRACKING = ("experiments", "runs", "metrics", "logged-models", "traces", "artifacts")


def routes() -> list[Route]:
    """Return the routes that tell what the server can do, and those that say clearly what it cannot."""
    paths = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
    told = [Route("GET", path, "public", _server_info, Wire.MLFLOW) for path in paths]
    families = [
        f"/{prefix}/{version}/mlflow/{family}{rest}"
        for prefix in ("api", "ajax-api")
        for version in ("2.0", "3.0")
        for family in _TRACKING
        for rest in ("", "/{rest:path}")
    ]
    methods = ("GET", "POST", "PUT", "PATCH", "DELETE")
    return told + [Route(method, path, "public", _no_tracking, Wire.MLFLOW) for path in families for method in methods]


async def _no_tracking(http: HTTPRequest) -> Response:
    raise NoRoute(
        "Greenroom does not track runs yet.",
        hint="Point MLFLOW_REGISTRY_URI at it and leave MLFLOW_TRACKING_URI where your runs are.",
    )


async def _server_info(http: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes(SERVER_INFO))
