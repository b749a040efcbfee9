"""Presigned download on MLflow's wire: an address of this server for the ranges of one file.

Clients fetch large files through it in several ranges at a time, if they are told to. The address is its own
permission (clients send no credentials there): sealed for one actor, one path and the bytes that are there now, and
over after five minutes, or as soon as the path holds something else or nothing (IT-08). Asking for it reads the file
once, so that each range is verified by itself afterwards.

`artifacts/presigned-upload-url` and `…-download-url` are something else: addresses of a cloud's store, past the server.
No client of MLflow's own asks for them (a plug-in for one cloud does); here all files go through this server, and the
answer is the one that a stock server gives then.

Source: mlflow-compat section 8.1.
"""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.digest import PREFIX, hex_of
from greenroom.core.errors import Forbidden, IntegrityFailure, InvalidInput, NotFound, NotImplementedHere
from greenroom.core.model import Actor
from greenroom.core.names import check_path, shown
from greenroom.core.presigned import check_seal, seal
from greenroom.core.tracking_names import tree_path
from greenroom.http import mlflow_wire as wire
from greenroom.http.access import PUBLIC
from greenroom.http.bytes import blob_response
from greenroom.http.bytes_out import note_damage
from greenroom.http.mlflow_artifacts import PREFIXES, Place, bound_to, decode_path, file_at, place_of
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire, actor_of, own_url, read_body
from greenroom.http.sums import sums_of
from greenroom.http.workshop import workshop
from greenroom.services import commands as c
from greenroom.services.commands.tracking import LoggedModelNamed, RunNamed
from greenroom.services.ports import Registry

VALID_S: Final = 300
PURPOSE: Final = "file"
_SERVER = Actor("greenroom", verified=True)
_NUMBER = re.compile(r"[0-9]{1,15}")
_DIRECT = ("/api/2.0/mlflow/artifacts", "/ajax-api/2.0/mlflow/artifacts")
_PATH = wire.Field("path", required=True)
_UPLOAD = (wire.Field("run_id"), wire.Field("model_id"), _PATH, wire.Field("expiration", wire.Kind.INTEGER))
_DOWNLOAD = (wire.Field("run_id", required=True), _PATH, wire.Field("expiration", wire.Kind.INTEGER))


def routes(registry: Registry) -> list[Route]:
    """Return the routes of presigned download, under both of MLflow's prefixes, and of what is refused."""
    ask, get = bound_to(registry, _presign), bound_to(registry, _get)
    direct: tuple[tuple[str, str, Callable[[Registry, HTTPRequest], Awaitable[Response]]], ...] = (
        ("upload", "register", _direct_upload),
        ("download", "read", _direct_download),
    )
    refused = [
        Route("POST", f"{prefix}/presigned-{way}-url", permission, bound_to(registry, answer), Wire.MLFLOW)
        for way, permission, answer in direct
        for prefix in _DIRECT
    ]
    return refused + [
        route
        for prefix in PREFIXES
        for route in (
            Route("GET", f"{prefix}/presigned/{{path:path}}", "read", ask, Wire.MLFLOW),
            Route("GET", f"{prefix}/presigned-file/{{path:path}}", PUBLIC, get, Wire.MLFLOW, None),
        )
    ]


def _name(place: Place) -> str:
    return place.path if place.digest is None else f"snapshots/{hex_of(place.digest)}/{place.path}"


async def _presign(registry: Registry, http: HTTPRequest) -> Response:
    place = place_of(http.path_params["path"])
    file = await file_at(registry, http, place)
    try:
        await sums_of(workshop(registry.blobs), registry.blobs, file)
    except (IntegrityFailure, NotFound):
        await note_damage(registry, file.digest, http)
        raise
    until, actor, digest = int((time.time() + VALID_S) * 1000), actor_of(http).name, hex_of(file.digest)
    sealing = await registry.call("address_key", c.Nothing(), _SERVER)
    given = seal(sealing, PURPOSE, _name(place), digest, actor, until=until)
    url = (
        f"{own_url(http)}{PREFIXES[0]}/presigned-file/{quote(_name(place))}"
        f"?digest={digest}&actor={quote(actor, safe='')}&until={until}&seal={given}"
    )
    return JSONAnswer(json_bytes({"url": url, "headers": {}, "file_size": file.size_bytes}))


async def _get(registry: Registry, http: HTTPRequest) -> Response:
    asked = {name: http.query_params.get(name, "") for name in ("digest", "actor", "until", "seal")}
    place = place_of(http.path_params["path"])
    if not _NUMBER.fullmatch(asked["until"]):
        raise Forbidden("This address was not made by this server, or was changed.", hint="Ask for a new one.")
    sealing = await registry.call("address_key", c.Nothing(), _SERVER)
    named = (_name(place), asked["digest"], asked["actor"])
    now = int(time.time() * 1000)
    check_seal(sealing, asked["seal"], PURPOSE, *named, until=int(asked["until"]), now=now)
    http.scope["greenroom.actor"] = Actor(asked["actor"])  # for whom it was made, with the rights of now
    file = await file_at(registry, http, place)
    if file.digest != PREFIX + asked["digest"]:
        raise NotFound(f"'{shown(place.path)}' is another file by now.", hint="Ask for a new address.")
    sums = await sums_of(workshop(registry.blobs), registry.blobs, file)
    return await blob_response(registry, file, http, place.path.rpartition("/")[2], sums)


async def _direct(http: HTTPRequest, way: str, fields: tuple[wire.Field, ...]) -> dict[str, Any]:
    asked = wire.Endpoint(way, ("POST",), "", "", fields)
    given = wire.read_request(asked, "POST", "", http.headers.get("content-type"), await read_body(http))
    check_path(decode_path(given["path"]))
    return given


async def _direct_upload(registry: Registry, http: HTTPRequest) -> Response:
    given = await _direct(http, "upload", _UPLOAD)
    if bool(given["run_id"]) == bool(given["model_id"]):
        raise InvalidInput("Exactly one of run_id and model_id must be provided.", hint="Name the owner of the file.")
    if given["run_id"]:
        root = (await registry.call("get_run", RunNamed(given["run_id"]), actor_of(http))).artifact_uri
    else:
        model = await registry.call("get_logged_model", LoggedModelNamed(given["model_id"]), actor_of(http))
        root = model.artifact_location
    raise _past_us("upload", root)


async def _direct_download(registry: Registry, http: HTTPRequest) -> Response:
    given = await _direct(http, "download", _DOWNLOAD)
    run = await registry.call("get_run", RunNamed(given["run_id"]), actor_of(http))
    raise _past_us("download", run.artifact_uri)


def _past_us(way: str, root: str) -> InvalidInput | NotImplementedHere:
    """Return why there is no address of a store: the files are here, or where this server holds no key."""
    if tree_path(root) is None:
        text = f"Presigned {way} is not supported for the current artifact repository: '{shown(root)}'."
        return NotImplementedHere(text, hint="This server never connects to it. Go there directly.")
    return InvalidInput(
        f"Presigned {way} is not supported for files that go through this server (mlflow-artifacts).",
        hint="Use mlflow-artifacts/artifacts/PATH, or for ranges of a large file mlflow-artifacts/presigned/PATH.",
    )
