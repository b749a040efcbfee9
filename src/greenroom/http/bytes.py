"""The native routes that carry bytes, and the door to both directions for other edges.

`receive_blob` and `blob_response` serve the MLflow edge as well; how they work is in `bytes_in` and `bytes_out`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request as HTTPRequest
from starlette.responses import JSONResponse, Response

from greenroom.core.digest import PREFIX, hex_of, parse_digest
from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound
from greenroom.core.model import File, Version
from greenroom.core.names import check_path, parse_version, shown
from greenroom.http.bytes_in import Part, private_upload_id, receive_blob, receive_part
from greenroom.http.bytes_out import blob_response, content_disposition, note_damage, verified_stream
from greenroom.http.routing import Endpoint, Route, Wire, actor_of
from greenroom.http.workshop import workshop
from greenroom.services.commands import SnapshotFile, VersionNamed
from greenroom.services.ports import Registry

__all__ = ["blob_response", "content_disposition", "receive_blob", "routes", "verified_stream"]

_MAX_SIZE_BYTES = 2**63 - 1
_NUMBER = re.compile(r"[0-9]{1,19}")
_BLOB = "/api/v1/blobs/sha256/{hex}"
_FILE = "/api/v1/models/{model}/versions/{version}/files/{path:path}"
_Handler = Callable[[HTTPRequest, Registry], Awaitable[Response]]


def routes(registry: Registry) -> list[Route]:
    """Return the native routes that carry bytes."""
    table: list[tuple[str, str, str, _Handler]] = [
        ("PUT", _BLOB, "register", _put_blob),
        ("GET", _BLOB, "read", _get_blob),
        ("HEAD", _BLOB, "read", _get_blob),
        ("GET", _FILE, "read", _get_file),
        ("HEAD", _FILE, "read", _get_file),
        ("GET", "/api/v1/uploads/{upload}", "register", _get_upload),
    ]
    return [
        Route(method, path, permission, _bound(handler, registry), Wire.NATIVE, limit_bytes=None)
        for method, path, permission, handler in table
    ]


def _bound(handler: _Handler, registry: Registry) -> Endpoint:
    async def endpoint(request: HTTPRequest) -> Response:
        return await handler(request, registry)

    return endpoint


async def _put_blob(request: HTTPRequest, registry: Registry) -> Response:
    digest = parse_digest(PREFIX + request.path_params["hex"])
    asked = _query_of(request, ("upload", "offset", "size"))
    size = _number(asked, "size")
    if "upload" not in asked:
        if "offset" in asked:
            raise InvalidInput(
                "an offset needs an upload id.", hint="Add `upload=<id>&size=<bytes of the whole file>`."
            )
        file = await receive_blob(request, registry, digest, size)
        return _progress(digest, file.size_bytes, file.size_bytes)
    if size is None:
        raise InvalidInput("`size` is missing.", hint="Say how many bytes the whole file has: `size=<bytes>`.")
    upload_id = private_upload_id(request, asked["upload"])
    part = Part(upload_id, digest, size, offset=_number(asked, "offset") or 0)
    return _progress(digest, size, await receive_part(request, registry, part))


def _progress(digest: str, size: int, received: int) -> Response:
    complete = received == size
    body = {"digest": digest, "size_bytes": size, "received": received, "complete": complete}
    return JSONResponse(body, status_code=201 if complete else 200)


async def _get_upload(request: HTTPRequest, registry: Registry) -> Response:
    upload_id = private_upload_id(request, request.path_params["upload"])
    shop = workshop(registry.blobs)
    received = await shop.run(registry.blobs.staged, upload_id)
    return JSONResponse({"received": received, "active": upload_id in shop.running})


async def _get_blob(request: HTTPRequest, registry: Registry) -> Response:
    digest = parse_digest(PREFIX + request.path_params["hex"])
    size = await workshop(registry.blobs).run(registry.blobs.size, digest)
    if size is None and await note_damage(registry, digest, request):
        raise IntegrityFailure(
            f"the blob {digest} is gone.", hint="`greenroom fsck` says what needs it.", digest=digest
        )
    if size is None:
        raise NotFound(f"no blob {digest} is stored here.", digest=digest)
    return await blob_response(registry, File("", digest, size), request, hex_of(digest))


async def _get_file(request: HTTPRequest, registry: Registry) -> Response:
    model, path = request.path_params["model"], check_path(request.path_params["path"])
    number = parse_version(request.path_params["version"], model=model)
    actor = actor_of(request)
    version: Version = await registry.call("get_version", VersionNamed(model, number), actor)
    if version.digest is None:
        raise NotFound(
            f"version {number} of {shown(model)!r} is unpinned: its files are not stored here.",
            hint=f"They are at {shown(version.source)}." if version.source else None,
            model=model,
            version=number,
        )
    file: File = await registry.call("snapshot_file", SnapshotFile(version.digest, path), actor)
    return await blob_response(registry, file, request, path.rpartition("/")[2])


def _query_of(request: HTTPRequest, known: tuple[str, ...]) -> Mapping[str, str]:
    """Return the query parameters. Raises InvalidInput for an unknown one and for one that is given twice."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known or name in found:
            fault = "given twice" if name in found else "unknown"
            raise InvalidInput(
                f"the query parameter {shown(name)!r} is {fault}.",
                hint=f"Known: {', '.join(known)}.",
                field=shown(name),
            )
        found[name] = value
    return found


def _number(asked: Mapping[str, str], name: str) -> int | None:
    text = asked.get(name)
    if text is None:
        return None
    if not text.isascii() or not _NUMBER.fullmatch(text) or int(text) > _MAX_SIZE_BYTES:
        raise InvalidInput(f"`{name}` must be a number of bytes, got {shown(text)!r}.", field=name)
    return int(text)
