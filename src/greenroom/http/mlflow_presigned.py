"""Presigned download on MLflow's wire: an address of this server for the ranges of one file.

Clients fetch large files through it in several ranges at a time, if they are told to. The address is its own
permission (clients send no credentials there): sealed for one actor, one path and the bytes that are there now, and
over after five minutes, or as soon as the path holds something else or nothing (IT-08). Asking for it reads the file
once, so that each range is verified by itself afterwards.

Source: mlflow-compat section 8.1.
"""

from __future__ import annotations

import re
import time
from typing import Final
from urllib.parse import quote

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.digest import PREFIX, hex_of
from greenroom.core.errors import Forbidden, IntegrityFailure, NotFound
from greenroom.core.model import Actor
from greenroom.core.names import shown
from greenroom.core.presigned import check_seal, seal
from greenroom.http.access import PUBLIC
from greenroom.http.bytes import blob_response
from greenroom.http.bytes_out import note_damage
from greenroom.http.mlflow_artifacts import PREFIXES, Place, bound_to, file_at, place_of
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire, actor_of
from greenroom.http.sums import sums_of
from greenroom.http.workshop import workshop
from greenroom.services import commands as c
from greenroom.services.ports import Registry

VALID_S: Final = 300
PURPOSE: Final = "file"
_SERVER = Actor("greenroom", verified=True)
_NUMBER = re.compile(r"[0-9]{1,15}")


def routes(registry: Registry) -> list[Route]:
    """Return the routes of presigned download, under both of MLflow's prefixes."""
    ask, get = bound_to(registry, _presign), bound_to(registry, _get)
    return [
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
        f"{http.url.scheme}://{http.headers['host']}{PREFIXES[0]}/presigned-file/{quote(_name(place))}"
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
