"""The OpenAPI 3.1 document of the native API, made from the table of operations and the types of its values.

Only the routes that carry raw bytes and the small ones about the server are written by hand (`openapi_by_hand`).
`additionalProperties` is false on request bodies: the server refuses what it does not know. Answers may grow fields.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom._version import __version__
from greenroom.http.access import ACTOR_HEADER, PERMISSIONS, PUBLIC
from greenroom.http.native import BODY_METHODS, PREFIX, limit_of, path_fields
from greenroom.http.openapi_by_hand import ERRORS, by_hand, parameter
from greenroom.http.problem import TITLES, JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire
from greenroom.services.api import OPERATIONS, Mode, Operation

Document = dict[str, Any]

DIGEST = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

EXAMPLES: Mapping[str, Any] = {
    "name": "fraud",
    "new_name": "card-fraud",
    "model": "fraud",
    "version": 3,
    "left": 3,
    "right": 4,
    "to": "Production",
    "slot": "Production",
    "alias": "champion",
    "key": "team",
    "value": "risk",
    "reason": "better recall on the March data",
    "description": "Scores card payments.",
    "tags": {"team": "risk"},
    "metrics": {"auc": 0.9731},
    "params": {"max_depth": "8"},
    "digests": [DIGEST],
    "files": [{"path": "model.pkl", "digest": DIGEST, "size_bytes": 48213}],
    "run": "keen-hawk-482",
    "run_ids": ["3f2a9c01d5e84b7786a1f0c2d3e4f506"],
    "document": 'lifecycle = "fraud"\n\n[[stage]]\nname = "None"\n\n[[stage]]\nname = "Live"\n',
}
"""One value per field name, so that all examples tell of the same model."""

_TAGS: tuple[tuple[str, str, str], ...] = (
    ("Models", "Named lines of versions.", "model"),
    ("Versions", "Immutable manifests under a model, numbered from 1.", "version"),
    ("Runs", "What MLflow's clients track: only looked at here.", "run"),
    ("Promotions", "Moves of versions into stages and under aliases: asked for, judged, recorded.", "promotion"),
    ("Slots and history", "Who holds what, who held it and why.", "slot"),
    ("Lifecycles", "Stages, their order and capacity, and what a move needs.", "lifecycle"),
    ("Files", "Artifacts by the digest of their bytes.", "file"),
    ("Audit", "The log of every change, its signed head, and what proves it.", "audit"),
    ("Server", "About the server itself.", "server"),
)
_TAG_OF: Mapping[str, str] = {
    "versions:": "Versions",
    "run_reading:": "Runs",
    "packaging:": "Versions",
    "promotion:": "Promotions",
    "lifecycles:": "Lifecycles",
    "artifacts:": "Files",
    "auditing:": "Audit",
    "verifying:": "Audit",
    "collecting:": "Files",
    "fsck:": "Files",
    "comparing:": "Versions",
    "reading:get_version_view": "Versions",
    "reading:latest_versions": "Versions",
    "searching:search_versions": "Versions",
    "reading:list_files": "Files",
    "reading:list_promotions": "Promotions",
    "reading:get_holder": "Slots and history",
    "reading:list_history": "Slots and history",
}


def routes() -> list[Route]:
    """Return the route of the document. It is made when it is first asked for, then kept."""
    made: list[bytes] = []

    async def endpoint(request: HTTPRequest) -> Response:
        if not made:
            made.append(json_bytes(document()))
        return JSONAnswer(made[0])

    return [Route("GET", f"{PREFIX}/openapi.json", PUBLIC, endpoint, Wire.NATIVE, 0)]


def document() -> Document:
    """Return the whole document as plain values."""
    results, components = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation, result in zip(OPERATIONS, results, strict=True):
        item = paths.setdefault(PREFIX + operation.path, {})
        item[operation.method.lower()] = _operation(operation, result, components)
    for path, methods in by_hand(DIGEST).items():
        paths.setdefault(path, {}).update(methods)
    for operation in OPERATIONS:  # commands travel in parts; whole, they would only be noise
        components.pop(operation.command.__name__, None)
    components["ProblemDetails"] = _problem_schema()
    return {
        "openapi": "3.1.0",
        "info": _info(),
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text, _ in _TAGS],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "responses": {"Problem": _problem_response()},
            "parameters": {"IdempotencyKey": _idempotency_key(), "Actor": _actor()},
        },
    }


def _schemas() -> tuple[list[Document], dict[str, Document]]:
    """Return the schema of every operation's answer, and all components (those of the commands too)."""
    kinds = [operation.result for operation in OPERATIONS] + [operation.command for operation in OPERATIONS]
    schemas, found = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    components = {name: _cleaned(schema) for name, schema in found.items()}
    return list(schemas[: len(OPERATIONS)]), components


def _cleaned(schema: Document) -> Document:
    """Return the schema with its docstring set flush left."""
    cleaned = dict(schema)
    if "description" in cleaned:
        cleaned["description"] = inspect.cleandoc(cleaned["description"])
    return cleaned


def _operation(operation: Operation, result: Document, components: Mapping[str, Document]) -> Document:
    command = components[operation.command.__name__]
    entry: Document = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": command["description"],
        "tags": [_tag_of(operation)],
        "x-permission": operation.permission,
        "parameters": _parameters(operation, command),
    }
    if operation.method in BODY_METHODS:
        body = _body_schema(operation, command)
        if body["properties"]:
            entry["requestBody"] = _request_body(operation, body)
    entry["responses"] = {"200": _answer(result, _answer_text(operation)), **ERRORS}
    return entry


def _tag_of(operation: Operation) -> str:
    module = operation.use_case.partition(":")[0] + ":"
    return _TAG_OF.get(operation.use_case) or _TAG_OF.get(module) or "Models"


def _answer_text(operation: Operation) -> str:
    if operation.name in ("promote", "rollback", "set_alias"):
        return "What became of the request. A refusal is an answer too: read `status` and `refusals`."
    return "The answer."


def _parameters(operation: Operation, command: Document) -> list[Document]:
    in_path = path_fields(operation)
    required = command.get("required", [])
    found = [_parameter("path", name, command["properties"][name], required=True) for name in in_path]
    if operation.method not in BODY_METHODS:
        for name, schema in command["properties"].items():
            if name not in in_path:
                found.append(_parameter("query", name, schema, required=name in required))
    if operation.mode is Mode.WRITE:
        found.append({"$ref": "#/components/parameters/IdempotencyKey"})
    found.append({"$ref": "#/components/parameters/Actor"})
    return found


def _parameter(where: str, name: str, schema: Document, *, required: bool) -> Document:
    example = EXAMPLES.get(name) if required else None
    return parameter(where, name, _without_null(schema), required=required, example=example)


def _without_null(schema: Document) -> Document:
    """Return the schema of a parameter: text cannot say null, an absent one does."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    return dict(options[0]) if options else schema


def _body_schema(operation: Operation, command: Document) -> Document:
    in_path = path_fields(operation)
    schema = copy.deepcopy(command)
    schema["title"] = f"{schema['title']} body"
    schema["properties"] = {name: each for name, each in schema["properties"].items() if name not in in_path}
    required = [name for name in schema.pop("required", []) if name not in in_path]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema


def _request_body(operation: Operation, schema: Document) -> Document:
    required = schema.get("required", [])
    example = {
        name: EXAMPLES[name]
        for name in schema["properties"]
        if name in EXAMPLES and (name in required or name in _TELLING)
    }
    return {
        "required": bool(required),
        "description": f"At most {limit_of(operation)} bytes.",
        "content": {"application/json": {"schema": schema, "example": example}},
    }


_TELLING = frozenset({"description", "tags", "metrics", "params", "files", "version", "reason"})


def _answer(schema: Document, text: str) -> Document:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


_RULES = (
    "Every success is 200, a creation too. A refused promotion is an answer: 200, with `status` and `refusals` in the "
    "body. Errors are problem details (RFC 9457): `code` is stable, `hint` says what to do. Lists come in pages: give "
    "`next_page_token` back as `page_token`. Times are UTC milliseconds since the epoch, sizes are bytes, digests are "
    "`sha256:` and 64 hexadecimal digits."
)


def _info() -> Document:
    permissions = " ".join(f"`{word}`: {meaning}" for word, meaning in PERMISSIONS.items())
    return {
        "title": "Greenroom",
        "version": __version__,
        "summary": "A model registry in which going into production is a transaction.",
        "description": f"{_RULES}\n\nPermissions: {permissions}",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }


def _idempotency_key() -> Document:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key with the same request gives the first answer again, without a second effect; with "
        "another request it is an error (422).",
        "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    }


def _actor() -> Document:
    return {
        "name": ACTOR_HEADER,
        "in": "header",
        "required": False,
        "description": "Who asks, percent-encoded, where there are no accounts. The user name of Basic goes first.",
        "schema": {"type": "string", "maxLength": 2300},
    }


def _problem_schema() -> Document:
    return {
        "title": "ProblemDetails",
        "description": "What was wrong, and what to do about it (RFC 9457).",
        "type": "object",
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What was wrong, with the value."},
            "code": {"type": "string", "enum": sorted(TITLES)},
            "hint": {"type": ["string", "null"], "description": "What to do."},
            "details": {"type": "object", "description": "The same facts as fields."},
            "request_id": {"type": "string", "description": "Names this request in the server's log."},
        },
        "required": ["type", "title", "status", "detail", "code", "hint", "details", "request_id"],
    }


def _problem_response() -> Document:
    return {
        "description": "An error, as problem details.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}},
    }
