"""The audit log as C2SP tlog-tiles has it: checkpoint, tiles and entry bundles for standard monitors and witnesses.

Below the log's prefix: `checkpoint`, `key` (the verifier key), `tile/<level>/<index>` and `tile/entries/<index>`.
Source: C2SP tlog-tiles, tlog-checkpoint.
"""

from __future__ import annotations

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.tiles import TILE_WIDTH, parse_tile_path
from greenroom.http.routing import Route, Wire, actor_of
from greenroom.services.answers import Checkpoint
from greenroom.services.commands import AuditCheckpoint, AuditTile
from greenroom.services.ports import Registry

PREFIX = "/api/v1/audit/tlog"
_PERMISSION = "audit"
_PLAIN = "text/plain; charset=utf-8"
_FOR_EVER = "private, max-age=31536000, immutable"


def routes(registry: Registry) -> list[Route]:
    """Return the routes of the log; they need the permission `audit`."""

    async def checkpoint(request: HTTPRequest) -> Response:
        head: Checkpoint = await registry.call("audit_checkpoint", AuditCheckpoint(), actor_of(request))
        return Response(head.note, media_type=_PLAIN, headers={"cache-control": "no-store"})

    async def key(request: HTTPRequest) -> Response:
        head: Checkpoint = await registry.call("audit_checkpoint", AuditCheckpoint(), actor_of(request))
        return Response(head.key + "\n", media_type=_PLAIN, headers={"cache-control": "no-store"})

    async def tile(request: HTTPRequest) -> Response:
        path = "tile/" + request.path_params["path"]
        content: bytes = await registry.call("audit_tile", AuditTile(path), actor_of(request))
        caching = _FOR_EVER if parse_tile_path(path).width == TILE_WIDTH else "no-store"
        return Response(content, media_type="application/octet-stream", headers={"cache-control": caching})

    return [
        Route("GET", f"{PREFIX}/checkpoint", _PERMISSION, checkpoint, Wire.NATIVE, 0),
        Route("GET", f"{PREFIX}/key", _PERMISSION, key, Wire.NATIVE, 0),
        Route("GET", f"{PREFIX}/tile/{{path:path}}", _PERMISSION, tile, Wire.NATIVE, 0),
    ]
