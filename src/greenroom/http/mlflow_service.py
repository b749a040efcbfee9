"""What a client may ask about the server itself before it works with it. Source: mlflow-compat section 1.4."""

from __future__ import annotations

from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.http.problem import JSONAnswer, json_bytes
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


def routes() -> list[Route]:
    """Return the routes that tell what the server can do."""
    paths = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
    return [Route("GET", path, "public", _server_info, Wire.MLFLOW) for path in paths]


async def _server_info(http: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes(SERVER_INFO))
