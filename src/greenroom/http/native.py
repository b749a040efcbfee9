"""The native REST edge: one route under `/api/v1` for each row of `services.api.OPERATIONS`.

A request names a thing by its path; what else the use case takes travels as query parameters on GET and DELETE and as a
JSON body elsewhere. Nothing is guessed: an unknown parameter, a scalar given twice or a number that is not written as
one is an error that names it. Every success is 200 (a creation too: a retry with the same `Idempotency-Key` gets the
first answer again, and would otherwise have to lie about creating). A refused promotion is an answer as well: 200,
with the status and the reasons in the body (design, section 11).
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.canonical import canonical
from greenroom.core.codec import from_plain, loads_strict
from greenroom.core.digest import digest_of
from greenroom.core.errors import InvalidInput
from greenroom.core.limits import bound
from greenroom.core.names import shown
from greenroom.http.keys import with_key
from greenroom.http.problem import JSONAnswer, UnsupportedMedia, json_bytes
from greenroom.http.routing import Route, Wire, actor_of, read_body, request_of
from greenroom.services.api import OPERATIONS, Mode, Operation
from greenroom.services.ports import Registry, Request

PREFIX = "/api/v1"
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
BODY_BYTES = bound("body")
MANIFEST_BYTES = bound("manifest_body")  # a manifest of 100 000 files
_LIMITS = {"register_version": MANIFEST_BYTES, "pin_version": MANIFEST_BYTES, "missing_blobs": MANIFEST_BYTES}
_INLINE_BYTES = 256 << 10  # a larger body is parsed on a worker thread, so that other requests go on
_MAX_PARAMETERS = bound("query_parameters")

_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,18})")
_HALF_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
_PATH_FIELD = re.compile(r"\{(\w+)\}")


def routes(registry: Registry) -> list[Route]:
    """Return the routes of all operations, in the order of the table."""
    return [_route(registry, operation) for operation in OPERATIONS]


def path_fields(operation: Operation) -> tuple[str, ...]:
    """Return the names of the fields that travel in the path."""
    return tuple(_PATH_FIELD.findall(operation.path))


def limit_of(operation: Operation) -> int:
    """Return how many bytes the operation's body may have; 0 where it takes none."""
    return _LIMITS.get(operation.name, BODY_BYTES) if operation.method in BODY_METHODS else 0


def _route(registry: Registry, operation: Operation) -> Route:
    parse = _body_parser(operation) if operation.method in BODY_METHODS else _query_parser(operation)
    writes = operation.mode is Mode.WRITE

    async def endpoint(request: HTTPRequest) -> Response:
        command = await parse(request)
        identity = _identity(request, operation, command) if writes else request_of(request)
        answer = await registry.call(operation.name, command, actor_of(request), request=identity)
        return JSONAnswer(json_bytes(answer))

    return Route(
        operation.method, PREFIX + operation.path, operation.permission, endpoint, Wire.NATIVE, limit_of(operation)
    )


Parser = Callable[[HTTPRequest], typing.Awaitable[Any]]


def _identity(request: HTTPRequest, operation: Operation, command: Any) -> Request:
    """Return the request's identity with its `Idempotency-Key`, and a fingerprint of what it asks."""
    identity = with_key(request, lambda: digest_of(canonical({"operation": operation.name, "command": command})))
    request.scope["greenroom.request"] = identity
    return identity


# --- parameters in path and query ---


@dataclass(frozen=True)
class _Parameter:
    """How the text of one field is read."""

    read: Callable[[str, str], Any]
    many: bool
    required: bool


def _parameters(operation: Operation) -> dict[str, _Parameter]:
    """Return how each field of the command is read from text. ValueError (our bug) if one cannot be."""
    hints = typing.get_type_hints(operation.command)
    return {
        f.name: _parameter(operation, hints[f.name], required=_is_required(f))
        for f in dataclasses.fields(operation.command)
    }


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _parameter(operation: Operation, hint: Any, *, required: bool) -> _Parameter:
    many = typing.get_origin(hint) is tuple
    if many:
        hint = typing.get_args(hint)[0]
    elif isinstance(hint, types.UnionType):
        hint = next(each for each in typing.get_args(hint) if each is not types.NoneType)
    if hint not in _READERS:
        raise ValueError(f"{operation.name} has a parameter of type {hint} that no query can carry")
    return _Parameter(_READERS[hint], many, required)


def _read_text(name: str, text: str) -> str:
    if "\x00" in text:
        raise InvalidInput(f"the parameter {name!r} holds a NUL character.", parameter=name)
    return text


def _read_integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text) or not -(2**63) <= int(text) < 2**63:
        raise InvalidInput(f"the parameter {name!r} must be an integer, got {shown(text)!r}.", parameter=name)
    return int(text)


def _read_bool(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise InvalidInput(f"the parameter {name!r} must be true or false, got {shown(text)!r}.", parameter=name)
    return text == "true"


_READERS: Mapping[Any, Callable[[str, str], Any]] = {str: _read_text, int: _read_integer, bool: _read_bool}


def _query_parser(operation: Operation) -> Parser:
    parameters = _parameters(operation)
    in_path = path_fields(operation)
    in_query = {name: each for name, each in parameters.items() if name not in in_path}
    required = tuple(name for name, each in in_query.items() if each.required)

    async def parse(request: HTTPRequest) -> Any:
        _refuse_body(request)
        values = _path_values(request, in_path, parameters)
        query: bytes = request.scope["query_string"]
        if query:
            _read_query(query, in_query, values)
        for name in required:
            if name not in values:
                raise InvalidInput(f"missing value for the required parameter {name!r}.", parameter=name)
        return operation.command(**values)

    return parse


def _path_values(request: HTTPRequest, names: tuple[str, ...], parameters: Mapping[str, _Parameter]) -> dict[str, Any]:
    given = request.scope["path_params"]
    return {name: parameters[name].read(name, given[name]) for name in names}


def _read_query(query: bytes, known: Mapping[str, _Parameter], values: dict[str, Any]) -> None:
    """Add the query's parameters to `values`. InvalidInput names the wrong one, without the value of an unknown one."""
    lists: dict[str, list[Any]] = {}
    for name, text in _pairs(query):
        parameter = known.get(name)
        if parameter is None:
            hint = f"Known parameters: {', '.join(known)}." if known else "This address takes no query parameters."
            raise InvalidInput(f"unknown parameter {shown(name)!r}.", hint=hint, parameter=shown(name))
        if parameter.many:
            lists.setdefault(name, []).append(parameter.read(name, text))
        elif name in values:
            raise InvalidInput(f"the parameter {name!r} is given twice.", hint="Give it once.", parameter=name)
        else:
            values[name] = parameter.read(name, text)
    for name, items in lists.items():
        values[name] = tuple(items)


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
    except UnicodeDecodeError:
        raise InvalidInput("the query is not percent-encoded UTF-8.") from None
    except ValueError:
        text = f"the query has more than {_MAX_PARAMETERS} parameters."
        raise InvalidInput(text, hint="Send fewer.", limit="query_parameters", maximum=_MAX_PARAMETERS) from None


def _refuse_body(request: HTTPRequest) -> None:
    headers: Mapping[bytes, bytes] = request.scope["greenroom.headers"]
    if b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0":
        raise InvalidInput(f"{request.method} takes no body here.", hint="Give parameters in the path and the query.")


# --- bodies ---


def _body_parser(operation: Operation) -> Parser:
    in_path = path_fields(operation)
    parameters = _path_parameters(operation, in_path)

    async def parse(request: HTTPRequest) -> Any:
        if request.scope["query_string"]:
            _read_query(request.scope["query_string"], {}, {})
        values = _path_values(request, in_path, parameters)
        body = await read_body(request)
        if body:
            _require_json(request)
        if len(body) > _INLINE_BYTES:
            return await asyncio.to_thread(_command, operation, body, values)
        return _command(operation, body, values)

    return parse


def _path_parameters(operation: Operation, in_path: tuple[str, ...]) -> dict[str, _Parameter]:
    hints = typing.get_type_hints(operation.command)
    return {name: _parameter(operation, hints[name], required=True) for name in in_path}


def _require_json(request: HTTPRequest) -> None:
    """Raise UnsupportedMedia for anything but JSON: this also keeps another site's form from writing here (BR-07)."""
    kind: bytes = request.scope["greenroom.headers"].get(b"content-type", b"")
    if kind.split(b";", 1)[0].strip().lower() != b"application/json":
        given = shown(kind.decode("latin-1")) or "none"
        raise UnsupportedMedia(f"the body has the Content-Type {given!r}.", hint="Send JSON as application/json.")


def _command(operation: Operation, body: bytes, path_values: dict[str, Any]) -> Any:
    data = _parse_json(body) if body else {}
    if not isinstance(data, dict):
        raise InvalidInput("the body must be a JSON object.")
    for name, value in path_values.items():
        if name in data and (data[name] != value or isinstance(data[name], bool)):
            raise InvalidInput(
                f"the body's {name!r} is not the one in the path.", hint=f"Leave {name!r} out of the body.", field=name
            )
        data[name] = value
    return from_plain(operation.command, data)


def _parse_json(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"the body is not UTF-8: byte {exc.start} does not fit.") from None
    data = loads_strict(text)
    if _HALF_PAIR.search(text):
        _refuse_half_pairs(data)
    return data


def _refuse_half_pairs(data: Any) -> None:
    """Raise InvalidInput for text that JSON can spell and UTF-8 cannot: neither a database nor a digest takes it."""
    try:
        json.dumps(data, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput("the body holds half of a surrogate pair.", hint="Send valid Unicode text.") from None
