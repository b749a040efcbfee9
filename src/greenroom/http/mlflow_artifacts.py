"""The files behind `mlflow-artifacts:` and behind `get-download-uri`.

Two trees under one address. `snapshots/<64 hex>/…` is the manifest of that digest: read only, the same bytes for ever,
and where pinned versions are downloaded from. All other paths are the upload tree, where clients put files before a
version is registered from them.

Source: mlflow-compat section 8.1; security vectors PT-01 to PT-26.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.errors import Forbidden, InvalidInput, NotFound
from greenroom.core.image_names import split_image
from greenroom.core.model import File, Version
from greenroom.core.names import check_path, parse_version, shown
from greenroom.core.tracking import Run
from greenroom.core.tracking_names import tree_path
from greenroom.http import mlflow_wire as wire
from greenroom.http.bytes import blob_response, receive_blob
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Endpoint, Route, Wire, actor_of, request_of
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.commands.tracking import RunNamed
from greenroom.services.ports import Registry

PREFIXES: Final = ("/api/2.0/mlflow-artifacts", "/ajax-api/2.0/mlflow-artifacts")
MAX_DECODINGS: Final = 5
_SNAPSHOTS = "snapshots"
_HEX = re.compile(r"[0-9a-f]{64}")
_TREE = "/artifacts/{path:path}"


@dataclass(frozen=True)
class Place:
    """A path as the tree sees it: `digest` names the snapshot, None means the upload tree; `path` "" is its root."""

    digest: str | None
    path: str


def routes(registry: Registry) -> list[Route]:
    """Return the routes of file transfer, under both of MLflow's prefixes, and of the browser's downloads."""
    table: tuple[tuple[str, str, str, Callable[..., Awaitable[Response]]], ...] = (
        ("GET", "/artifacts", "read", _list),
        ("GET", _TREE, "read", _get),
        ("PUT", _TREE, "register", _put),
        ("DELETE", _TREE, "register", _delete),
    )
    found = [
        Route(method, prefix + path, permission, bound_to(registry, answer), Wire.MLFLOW, _limit_bytes(method))
        for method, path, permission, answer in table
        for prefix in PREFIXES
    ]
    downloads = (("/model-versions/get-artifact", _get_of_version), ("/get-artifact", _get_of_run))
    return found + [Route("GET", path, "read", bound_to(registry, answer), Wire.MLFLOW) for path, answer in downloads]


def _limit_bytes(method: str) -> int | None:
    return None if method == "PUT" else 1 << 20


def bound_to(registry: Registry, answer: Callable[[Registry, HTTPRequest], Awaitable[Response]]) -> Endpoint:
    """Return an endpoint that asks `registry`."""

    async def endpoint(http: HTTPRequest) -> Response:
        return await answer(registry, http)

    return endpoint


def decode_path(path: str) -> str:
    """Return `path` with every layer of percent-encoding taken off, once and for all; it is never decoded again.

    `path` was decoded once by the server. The names of images of older clients are left as MLflow keeps them.
    Raises InvalidInput for more layers than anybody needs, or for no UTF-8.
    """
    for _ in range(MAX_DECODINGS):
        folder, image = split_image(path)
        try:
            plain = unquote(folder, errors="strict")
        except UnicodeDecodeError:
            raise InvalidInput(f"Invalid path: '{shown(path)}' is not UTF-8.") from None
        if plain == folder:
            if "\ufffd" in plain:  # what the HTTP server puts where the bytes were no UTF-8
                raise InvalidInput(f"Invalid path: '{shown(path)}' is not UTF-8.")
            return plain + image
        path = plain + image
    raise InvalidInput(f"Invalid path: '{shown(path)}' is percent-encoded more than {MAX_DECODINGS} times.")


def place_of(path: str) -> Place:
    """Return where `path` (as the server decoded it) leads. Raises InvalidInput for a path that is not clean."""
    plain = check_path(decode_path(path))
    head, _, rest = plain.partition("/")
    if head != _SNAPSHOTS:
        return Place(None, plain)
    name, _, inside = rest.partition("/")
    if not _HEX.fullmatch(name):
        raise NotFound(f"No such artifact: '{shown(plain)}'.", hint="A snapshot is named by 64 hexadecimal digits.")
    return Place(f"sha256:{name}", inside)


async def _ask(registry: Registry, http: HTTPRequest, operation: str, command: Any) -> Any:
    return await registry.call(operation, command, actor_of(http), request=request_of(http))


async def _folder(registry: Registry, http: HTTPRequest, place: Place) -> a.Folder:
    if place.digest is None:
        folder: a.Folder = await _ask(registry, http, "list_uploads", c.UploadPath(place.path))
    else:
        folder = await _ask(registry, http, "snapshot_folder", c.SnapshotFolder(place.digest, place.path))
    return folder


async def file_at(registry: Registry, http: HTTPRequest, place: Place) -> File:
    """Return the file at `place`. Raises NotFound in MLflow's words, InvalidInput when it is a folder."""
    try:
        if place.digest is None:
            file: File = await _ask(registry, http, "get_upload", c.UploadPath(place.path))
        elif place.path:
            file = await _ask(registry, http, "snapshot_file", c.SnapshotFile(place.digest, place.path))
        else:
            raise NotFound("the root of a snapshot is a folder.")
    except NotFound:
        if (await _folder(registry, http, place)).entries:
            text = f"Artifact path refers to a directory, not a file: '{shown(place.path)}'."
            raise InvalidInput(text, hint="List it with GET /artifacts?path=…", path=place.path) from None
        raise NotFound(f"No such artifact: '{shown(place.path)}'.", path=place.path) from None
    return file


async def _list(registry: Registry, http: HTTPRequest) -> Response:
    path = http.query_params.get("path", "").rstrip("/")
    if path == _SNAPSHOTS:  # there are as many as versions, and nobody has to browse them
        return _answer({})
    folder = await _folder(registry, http, place_of(path) if path else Place(None, ""))
    files = [{"path": e.name, "is_dir": e.is_dir} | _size(e) for e in folder.entries]
    return _answer({"files": files} if files else {})


def _size(entry: a.FolderEntry) -> dict[str, int]:
    return {} if entry.is_dir or entry.size_bytes is None else {"file_size": entry.size_bytes}


def _answer(body: dict[str, Any]) -> Response:
    return JSONAnswer(json_bytes(body))


async def _get(registry: Registry, http: HTTPRequest) -> Response:
    place = place_of(http.path_params["path"])
    return await _download(registry, http, place)


async def _download(registry: Registry, http: HTTPRequest, place: Place) -> Response:
    file = await file_at(registry, http, place)
    return await blob_response(registry, file, http, place.path.rpartition("/")[2])


def writable(path: str) -> str:
    """Return the path in the upload tree. Raises Forbidden for a snapshot: what was registered does not change."""
    plain = check_path(decode_path(path))
    if plain.partition("/")[0] == _SNAPSHOTS:
        raise Forbidden(
            f"'{shown(plain)}' belongs to a registered version, whose files never change.",
            hint="Upload to another path and register it as a new version.",
        )
    return plain


async def _put(registry: Registry, http: HTTPRequest) -> Response:
    path = writable(http.path_params["path"])
    blob = await receive_blob(http, registry)
    await _ask(registry, http, "put_upload", c.PutUpload(path, blob.digest, blob.size_bytes))
    return _answer({})


async def _delete(registry: Registry, http: HTTPRequest) -> Response:
    path = writable(http.path_params["path"].removesuffix("/"))  # clients end the name of a folder with it
    await _ask(registry, http, "delete_uploads", c.UploadPath(path))
    return _answer({})


def _query(http: HTTPRequest, name: str) -> str:
    value = http.query_params.get(name, "")
    if not value:
        raise InvalidInput(f"Missing value for required parameter '{name}'. {wire.SEE_API_DOCS}", parameter=name)
    return value


async def _get_of_version(registry: Registry, http: HTTPRequest) -> Response:
    """Send one file of a version, for browsers."""
    name, path = _query(http, "name"), check_path(decode_path(_query(http, "path")))
    number = parse_version(_query(http, "version"), model=name)
    try:
        version: Version = await _ask(registry, http, "get_version", c.VersionNamed(name, number))
    except NotFound as exc:
        raise NotFound(wire.version_not_found(name, number), **exc.details) from exc
    if version.digest is None:
        text = f"The files of version {number} of '{shown(name)}' are not stored here but at '{shown(version.source)}'."
        raise NotFound(text, hint="Fetch them from there.", model=name, version=number)
    return await _download(registry, http, Place(version.digest, path))


async def _get_of_run(registry: Registry, http: HTTPRequest) -> Response:
    """Send one file of a run, for browsers."""
    path = check_path(decode_path(_query(http, "path")))
    either = "run_uuid" if not http.query_params.get("run_id") and "run_uuid" in http.query_params else "run_id"
    run: Run = await _ask(registry, http, "get_run", RunNamed(_query(http, either)))
    root = tree_path(run.artifact_uri)
    if root is None:
        text = f"The files of run {run.id} are not stored here but at '{shown(run.artifact_uri)}'."
        raise NotFound(text, hint="Fetch them from there.", run=run.id)
    return await _download(registry, http, place_of(f"{root}/{path}"))
