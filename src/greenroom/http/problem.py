"""How an answer and an error become bytes, for each wire: problem details (RFC 9457), MLflow's pair, plain text.

The errors that only HTTP knows (no such route, wrong method, a body in a form we do not read) live here too; everything
else that can be answered is a class of `core.errors`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.responses import Response

from greenroom.core.codec import to_plain
from greenroom.core.errors import GreenroomError, InvalidInput, NotFound
from greenroom.http.routing import Wire

PROBLEM_TYPE = "/docs/errors#"
RETRY_AFTER_S = 1

_JSON = b"application/json"
_PROBLEM = b"application/problem+json"

TITLES: dict[str, str] = {
    "error": "The request could not be answered",
    "invalid_input": "The request is wrong",
    "too_large": "The request is over a limit",
    "target_too_long": "The request target is too long",
    "head_too_large": "Request line and headers are over a limit",
    "request_timeout": "The request did not arrive in time",
    "unsupported_media_type": "The body is in a form that is not read here",
    "unauthenticated": "Nobody knows who asks",
    "forbidden": "Not allowed",
    "not_found": "Not found",
    "unknown_stage": "There is no such stage",
    "no_route": "There is nothing at this address",
    "method_not_allowed": "This address does not answer that method",
    "already_exists": "The name is taken",
    "conflict": "Somebody else was faster, or the store is busy",
    "request_reused": "The Idempotency-Key belongs to another request",
    "rate_limited": "Too many requests at once",
    "storage_full": "The disk is full",
    "unavailable": "Not available now",
    "not_implemented": "Not implemented here",
    "integrity_failure": "Stored bytes or rows are not what they were",
    "refused": "The lifecycle said no",
    "internal": "The server failed",
}


class TargetTooLong(InvalidInput):
    """The path and query together are over the limit."""

    code = "target_too_long"
    http_status = 414
    mlflow_status = 414


class HeadTooLarge(InvalidInput):
    """Request line and headers together are over the limit."""

    code = "head_too_large"
    http_status = 431
    mlflow_status = 431


class RequestTimeout(GreenroomError):
    """A head or a body did not arrive in the time that it may take; `details["limit"]` names the limit."""

    code = "request_timeout"
    http_status = 408
    mlflow_code = "DEADLINE_EXCEEDED"
    mlflow_status = 408
    exit_code = 6


class UnsupportedMedia(InvalidInput):
    """The body is compressed, or not of the type that the route reads."""

    code = "unsupported_media_type"
    http_status = 415
    mlflow_status = 415


class NoRoute(NotFound):
    """Nothing answers at this path."""

    code = "no_route"
    mlflow_code = "ENDPOINT_NOT_FOUND"


class WrongMethod(InvalidInput):
    """The path exists, but not for this method; `details["allow"]` lists those that do."""

    code = "method_not_allowed"
    http_status = 405
    mlflow_code = "ENDPOINT_NOT_FOUND"  # what makes MLflow's client fall back to another method
    mlflow_status = 405


class JSONAnswer(Response):
    """A JSON body that is encoded already. Cheaper than Starlette's: its headers are known."""

    def __init__(self, body: bytes, status: int = 200, *, media: bytes = _JSON) -> None:
        self.status_code = status
        self.background = None
        self.body = body
        self.raw_headers = [(b"content-type", media), (b"content-length", b"%d" % len(body))]


def json_bytes(value: Any) -> bytes:
    """Return `value` (plain values, dataclasses, mappings) as UTF-8 JSON; total for whatever an error may carry."""
    try:
        return msgspec.json.encode(value, enc_hook=_plain)
    except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, an integer of more than 64 bits
        return json.dumps(to_plain(value), default=str).encode()


def answer_error(error: GreenroomError, wire: Wire, request_id: str) -> Response:
    """Return the answer that says `error` on `wire`."""
    if wire is Wire.MLFLOW:
        body = json_bytes({"error_code": error.mlflow_code, "message": str(error)})
        answer: Response = JSONAnswer(body, error.mlflow_status)
    elif wire is Wire.PLAIN:
        answer = Response(_utf8(f"{error}\n"), error.http_status, media_type="text/plain")
    else:
        answer = JSONAnswer(json_bytes(_problem(error, request_id)), error.http_status, media=_PROBLEM)
    answer.raw_headers.extend(_headers_of(error))
    return answer


def answer_failure(wire: Wire, request_id: str) -> Response:
    """Return the answer to a request that met a bug of ours: its id, and nothing of what happened inside."""
    hint = "The server's log says more under this id."
    return answer_error(_Failure(f"The server failed at this request ({request_id}).", hint=hint), wire, request_id)


class _Failure(GreenroomError):
    code = "internal"


def _problem(error: GreenroomError, request_id: str) -> dict[str, Any]:
    return {
        "type": PROBLEM_TYPE + error.code,
        "title": TITLES.get(error.code, TITLES["error"]),
        "status": error.http_status,
        "detail": error.message,
        "code": error.code,
        "hint": error.hint,
        "details": error.details,
        "request_id": request_id,
    }


def _headers_of(error: GreenroomError) -> Iterable[tuple[bytes, bytes]]:
    if error.retryable:
        yield b"retry-after", b"%d" % RETRY_AFTER_S
    if error.http_status == 401:
        yield b"www-authenticate", b'Basic realm="greenroom", charset="UTF-8"'
    if isinstance(error, WrongMethod):
        yield b"allow", ", ".join(error.details["allow"]).encode()


def _plain(value: Any) -> Any:
    plain = to_plain(value)
    return str(value) if plain is value else plain


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
