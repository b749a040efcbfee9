"""Multipart upload on MLflow's wire, with parts that come to this server.

A client asks for an address per part, sends the parts in any order and several at a time, then completes the upload
with the ETag of every part, which is the digest of its bytes. A part that failed is sent again; the others stay.

The address of a part is its own permission, for clients send no credentials there. It names one part of one upload,
sealed, and holds for a day at most; but only while the upload goes on: after five minutes in which no part arrived it
is worth nothing. Completing and aborting need the rights, the actor and the path that the upload was begun with.

Source: mlflow-compat section 8.1.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.digest import PREFIX, hex_of
from greenroom.core.errors import Forbidden, InvalidInput, NotFound, NotImplementedHere
from greenroom.core.limits import bound
from greenroom.core.model import Actor
from greenroom.core.names import shown
from greenroom.core.presigned import check_seal, seal
from greenroom.http import mlflow_wire as wire
from greenroom.http.access import PUBLIC
from greenroom.http.bytes_in import declare, receive_one_of
from greenroom.http.mlflow_artifacts import PREFIXES, bound_to, writable
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire, actor_of, own_url, read_body, request_of
from greenroom.http.workshop import workshop
from greenroom.services import commands as c
from greenroom.services.ports import PARTS_IDLE_S, Parts, Registry

MOST_PARTS: Final = 10_000
LONGEST_S: Final = 24 * 3600
PURPOSE: Final = "part"
_SERVER = Actor("greenroom", verified=True)
_WINDOWS = re.compile(r"(?:[A-Za-z]:\\|\\\\).*\\|[A-Za-z]:\\")
_ETAG = re.compile(r'"?([0-9a-f]{64})"?')
_NUMBER = re.compile(r"[0-9]{1,15}")

# The start of this text is what clients look for before they go on without, and send the file whole.
_NO_MULTIPART = "Multipart upload is not supported for the current artifact repository"

_PATH = wire.Field("path", required=True)
_UPLOAD = wire.Field("upload_id", required=True)
_FIELDS: Mapping[str, tuple[wire.Field, ...]] = {
    "create": (_PATH, wire.Field("num_parts", wire.Kind.INTEGER)),
    "complete": (_PATH, _UPLOAD, wire.Field("parts", wire.Kind.ANY)),
    "abort": (_PATH, _UPLOAD),
}


def routes(registry: Registry) -> list[Route]:
    """Return the routes of multipart upload, under both of MLflow's prefixes."""
    steps: tuple[tuple[str, Callable[[Registry, HTTPRequest], Awaitable[Response]], int], ...] = (
        ("create", _create, bound("body")),
        ("complete", _complete, bound("manifest_body")),
        ("abort", _abort, bound("body")),
    )
    found = [
        Route("POST", f"{prefix}/mpu/{step}/{{path:path}}", "register", bound_to(registry, answer), Wire.MLFLOW, limit)
        for step, answer, limit in steps
        for prefix in PREFIXES
    ]
    part = bound_to(registry, _put_part)
    return found + [
        Route("PUT", f"{prefix}/mpu/parts/{{key}}/{{number}}", PUBLIC, part, Wire.MLFLOW, None) for prefix in PREFIXES
    ]


async def _given(http: HTTPRequest, step: str) -> dict[str, Any]:
    fields = wire.Endpoint(step, ("POST",), "", "register", _FIELDS[step])
    return wire.read_request(fields, "POST", "", http.headers.get("content-type"), await read_body(http))


def _target(http: HTTPRequest, given: Mapping[str, Any]) -> str:
    """Return where the file is to be: clients name the folder in the path, and the file as it is called at home."""
    name = str(given["path"])
    match = _WINDOWS.match(name)
    name = (name[match.end() :] if match else name).rpartition("/")[2]
    if not name:
        raise InvalidInput(f"Invalid path: '{shown(str(given['path']))}' names no file.", parameter="path")
    return writable("/".join(part for part in (http.path_params["path"].strip("/"), name) if part))


def _key(http: HTTPRequest, upload_id: str, path: str) -> str:
    """Return the key of an upload: nobody reaches it as another actor or with another path."""
    text = json.dumps([actor_of(http).name, path, upload_id])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


async def _create(registry: Registry, http: HTTPRequest) -> Response:
    given = await _given(http, "create")
    count = 1 if given["num_parts"] is None else given["num_parts"]
    if not 0 <= count <= MOST_PARTS:
        text = f"{_NO_MULTIPART}: it takes 0 to {MOST_PARTS} parts, not {count}."
        raise NotImplementedHere(text, hint="Send the file whole, with PUT, or in larger parts.")
    path = _target(http, given)
    await registry.call("check_place", c.UploadPath(path), actor_of(http))
    upload_id = secrets.token_hex(16)
    key = _key(http, upload_id, path)
    await workshop(registry.blobs).run(registry.blobs.begin_parts, key, count)
    sealing = await registry.call("address_key", c.Nothing(), _SERVER)
    until = int((time.time() + LONGEST_S) * 1000)
    root = f"{own_url(http)}{PREFIXES[0]}/mpu/parts/{key}"
    credentials = [
        {
            "url": f"{root}/{number}?until={until}&seal={seal(sealing, PURPOSE, key, number, until=until)}",
            "part_number": number,
            "headers": {},
        }
        for number in range(1, count + 1)
    ]
    return JSONAnswer(json_bytes({"upload_id": upload_id, "credentials": credentials}))


async def _put_part(registry: Registry, http: HTTPRequest) -> Response:
    key, number, until = http.path_params["key"], http.path_params["number"], http.query_params.get("until", "")
    if not _NUMBER.fullmatch(number) or not _NUMBER.fullmatch(until):
        raise Forbidden("This address was not made by this server, or was changed.", hint="Ask for a new one.")
    sealing = await registry.call("address_key", c.Nothing(), _SERVER)
    now, given = int(time.time() * 1000), http.query_params.get("seal", "")
    check_seal(sealing, given, PURPOSE, key, int(number), until=int(until), now=now)
    state = await _state(registry, key)
    if state is None or state.done:
        raise _no_upload()
    if state.idle_s > PARTS_IDLE_S:
        text = f"The time of this address is over: no part of the upload arrived for {PARTS_IDLE_S:g} s."
        raise Forbidden(text, hint="Begin the upload again.")
    digest = await receive_one_of(http, registry.blobs, key, int(number))
    return Response(status_code=200, headers={"etag": f'"{hex_of(digest)}"', "content-length": "0"})


async def _state(registry: Registry, key: str) -> Parts | None:
    return await workshop(registry.blobs).run(registry.blobs.parts, key)


async def _complete(registry: Registry, http: HTTPRequest) -> Response:
    given = await _given(http, "complete")
    path = _target(http, given)
    key = _key(http, given["upload_id"], path)
    state = await _state(registry, key)
    if state is None:
        raise _no_upload()
    if not state.done:  # else the answer was lost, and this is the same request again
        digests = _digests(given["parts"], state.count)
        shop = workshop(registry.blobs)
        digest, size = await shop.run_long(registry.blobs.join_parts, key, digests)
        await declare(http, registry, digest, size)
        await registry.call("put_upload", c.PutUpload(path, digest, size), actor_of(http), request=request_of(http))
        await shop.run(_end, registry, key)
    return JSONAnswer(json_bytes({}))


def _end(registry: Registry, key: str) -> None:
    registry.blobs.end_parts(key, joined=True)


def _digests(parts: Any, count: int) -> list[str]:
    """Return the digests of parts 1 to `count` in order. Raises InvalidInput unless exactly these are listed."""
    listed = parts if parts is not None else []
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        text = "Invalid value for parameter 'parts' supplied: it is no list of objects."
        raise InvalidInput(f"{text} {wire.SEE_API_DOCS}")
    found: dict[int, str] = {}
    for each in listed:
        number, etag = each.get("part_number", each.get("partNumber")), each.get("etag")
        match = _ETAG.fullmatch(etag) if isinstance(etag, str) else None
        if isinstance(number, bool) or not isinstance(number, int | str) or not str(number).isascii() or match is None:
            text = f"Part {shown(str(number))} has no ETag of this server: '{shown(str(etag))}'."
            raise InvalidInput(text, hint="Send the part again; the answer's ETag is what to give here.")
        if not _NUMBER.fullmatch(str(number)) or not 1 <= int(number) <= count or int(number) in found:
            text = f"Part {shown(str(number))} is listed twice, or is none of the {count} parts of this upload."
            raise InvalidInput(text, hint=f"List each part from 1 to {count} once.")
        found[int(number)] = PREFIX + match[1]
    if len(found) != count:
        raise InvalidInput(f"{len(found)} of the {count} parts of this upload are listed.", hint="List all of them.")
    return [found[number] for number in range(1, count + 1)]


async def _abort(registry: Registry, http: HTTPRequest) -> Response:
    given = await _given(http, "abort")
    key = _key(http, given["upload_id"], _target(http, given))
    await workshop(registry.blobs).run(_abandon, registry, key)
    return JSONAnswer(json_bytes({}))


def _abandon(registry: Registry, key: str) -> None:
    registry.blobs.end_parts(key, joined=False)


def _no_upload() -> NotFound:
    return NotFound("There is no such upload: it was completed, aborted or given up.", hint="Begin it again.")
