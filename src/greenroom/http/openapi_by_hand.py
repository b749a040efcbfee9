"""The part of the OpenAPI document that no table makes: routes that carry raw bytes, and those about the server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from greenroom.http.access import PUBLIC
from greenroom.http.native import PREFIX

Document = dict[str, Any]

# Every status that an error may have, one by one: a status that is not here is not answered (goal S4).
ERRORS: Document = {
    str(status): {"$ref": "#/components/responses/Problem"}
    for status in (400, 401, 403, 404, 405, 408, 409, 413, 414, 415, 422, 429, 431, 500, 501, 503, 507)
}

_TEXT: Document = {"type": "string"}
_COUNT: Document = {"type": "integer", "minimum": 0}
_FLAG: Document = {"type": "boolean"}
_BYTES: Document = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


def by_hand(digest: str) -> dict[str, dict[str, Document]]:
    """Return path items by path, then method; `digest` is the one of the examples."""
    hexadecimal = parameter(
        "path", "hex", {"type": "string", "pattern": "^[0-9a-f]{64}$"}, required=True, example=digest[7:]
    )
    return {
        f"{PREFIX}/blobs/sha256/{{hex}}": {"put": _put_blob(hexadecimal), "get": _get_blob(hexadecimal)},
        f"{PREFIX}/uploads/{{upload}}": {"get": _get_upload()},
        f"{PREFIX}/models/{{model}}/versions/{{version}}/files/{{path}}": {"get": _get_file()},
        **_about_the_log(),
        **_about_the_server(),
    }


def parameter(where: str, name: str, schema: Document, *, required: bool, example: Any = None) -> Document:
    """Return a parameter object; `example` None leaves it out."""
    found: Document = {"name": name, "in": where, "required": required, "schema": schema}
    if example is not None:
        found["example"] = example
    return found


def _entry(name: str, summary: str, tag: str, permission: str, parameters: Iterable[Document] = ()) -> Document:
    return {
        "operationId": name,
        "summary": summary,
        "description": summary + ".",
        "tags": [tag],
        "x-permission": permission,
        "parameters": list(parameters),
        "responses": dict(ERRORS),
    }


def _put_blob(hexadecimal: Document) -> Document:
    entry = _entry("put_blob", "Store a blob under its digest", "Files", "register", [hexadecimal])
    entry["description"] = (
        "Stream the bytes: they are hashed on the way and refused unless they are those of the digest. With `upload` "
        "the transfer can be taken up again: `size` is that of the whole file, `offset` where these bytes begin."
    )
    entry["parameters"] += [
        parameter("query", "upload", _TEXT, required=False),
        parameter("query", "offset", _COUNT, required=False),
        parameter("query", "size", _COUNT, required=False),
    ]
    entry["requestBody"] = {"required": True, "content": _BYTES}
    schema = _object(digest=_TEXT, size_bytes=_COUNT, received=_COUNT, complete=_FLAG)
    entry["responses"]["200"] = _json("A part is staged; more must follow.", schema)
    entry["responses"]["201"] = _json("The blob is stored.", schema)
    return entry


def _get_blob(hexadecimal: Document) -> Document:
    return _bytes_out(_entry("get_blob", "Read a blob", "Files", "read", [hexadecimal]))


def _get_upload() -> Document:
    entry = _entry("get_upload_state", "How far an upload has come", "Files", "register")
    entry["parameters"] = [parameter("path", "upload", _TEXT, required=True, example="3f2a-1")]
    entry["responses"]["200"] = _json("Bytes staged so far.", _object(received=_COUNT, active=_FLAG))
    return entry


def _get_file() -> Document:
    entry = _bytes_out(_entry("get_file", "Read one file of a version", "Files", "read"))
    entry["description"] = "Read one file of a version. `path` holds its slashes as they are."
    entry["parameters"] = [
        parameter("path", "model", _TEXT, required=True, example="fraud"),
        parameter("path", "version", {"type": "integer"}, required=True, example=3),
        parameter("path", "path", _TEXT, required=True, example="model.pkl"),
    ]
    return entry


def _bytes_out(entry: Document) -> Document:
    entry["responses"]["200"] = {"description": "The bytes.", "content": _BYTES}
    entry["responses"]["206"] = {"description": "A range of the bytes.", "content": _BYTES}
    entry["responses"]["304"] = {"description": "The client has these bytes already."}
    entry["responses"]["416"] = {"description": "No byte of the range exists."}
    return entry


def _object(**properties: Document) -> Document:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _json(text: str, schema: Document) -> Document:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _about_the_log() -> dict[str, dict[str, Document]]:
    plain: Document = {"text/plain": {"schema": _TEXT}}
    rows = (
        ("checkpoint", "tlog_checkpoint", "The signed head of the log, as a C2SP checkpoint", plain),
        ("key", "tlog_key", "The verifier key of the log's checkpoints", plain),
        ("tile/{path}", "tlog_tile", "A tile of hashes or a bundle of entries, as C2SP tlog-tiles names it", _BYTES),
    )
    found: dict[str, dict[str, Document]] = {}
    for path, name, summary, content in rows:
        entry = _entry(name, summary, "Audit", "audit")
        if content is _BYTES:
            entry["parameters"] = [parameter("path", "path", _TEXT, required=True, example="entries/000.p/1")]
        entry["responses"]["200"] = {"description": "The answer.", "content": content}
        found[f"{PREFIX}/audit/tlog/{path}"] = {"get": entry}
    return found


def _about_the_server() -> dict[str, dict[str, Document]]:
    rows = (
        ("/health", "health", "Say OK while the process lives", "text/plain"),
        ("/ready", "ready", "Say whether requests can be answered now (503 if not)", "application/json"),
        ("/version", "mlflow_version", "The version of MLflow whose wire is spoken", "text/plain"),
        (f"{PREFIX}/info", "info", "Name and version of this server", "application/json"),
        (f"{PREFIX}/openapi.json", "openapi", "This document", "application/json"),
    )
    found: dict[str, dict[str, Document]] = {}
    for path, name, summary, media in rows:
        entry = _entry(name, summary, "Server", PUBLIC)
        entry["responses"]["200"] = {"description": "The answer.", "content": {media: {}}}
        found[path] = {"get": entry}
    return found
