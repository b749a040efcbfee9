"""Commands to HTTP requests and HTTP answers to values or errors: pure, made from the table of operations.

An answer is believed only when it looks like Greenroom's; anything else (a proxy's HTML, another server) becomes a
clear error and never a value.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from greenroom.core import errors as e
from greenroom.core.codec import from_plain, to_plain
from greenroom.services.api import Operation

API = "/api/v1"
_PART = re.compile(r"\{(\w+)\}")
_BODILESS = frozenset({"GET", "DELETE"})
_OF_PROBLEM = frozenset({"type", "title", "status", "detail", "instance", "code", "hint", "message", "details"})
_BY_STATUS: Mapping[int, type[e.GreenroomError]] = {
    cls.http_status: cls
    for cls in (
        e.InvalidInput, e.TooLarge, e.Unauthenticated, e.Forbidden, e.NotFound, e.Conflict, e.RequestReused,
        e.RateLimited, e.StorageFull, e.Unavailable, e.NotImplementedHere,
    )
}  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One HTTP answer, read to its end. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def media_type(self) -> str:
        """The media type without parameters, lower case; empty when none was given."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


def request_of(operation: Operation, command: Any) -> tuple[str, bytes | None]:
    """Return the request target (under the server's prefix) and the JSON body (None on GET and DELETE).

    Fields that have their default value are left out: an older server need not know them. Raises InvalidInput for a
    value that JSON cannot carry (NaN, a lone surrogate).
    """
    in_path = set(_PART.findall(operation.path))
    path = _PART.sub(lambda part: quote(str(getattr(command, part[1])), safe=""), operation.path)
    left = {f.name: getattr(command, f.name) for f in dataclasses.fields(command) if f.name not in in_path}
    given = {name: value for name, value in left.items() if not _is_default(command, name, value)}
    try:
        if operation.method in _BODILESS:
            query = urlencode(_query(given), doseq=True)
            return f"{API}{path}{f'?{query}' if query else ''}", None
        return API + path, json.dumps(to_plain(given), allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, UnicodeEncodeError):
        raise e.InvalidInput(f"a value of {operation.name} cannot be sent: {_culprit(given)}.") from None
    except TypeError as exc:
        raise e.InvalidInput(f"a value of {operation.name} cannot be sent: {exc}.") from None


def answer_of(operation: Operation, answer: Answer, url: str) -> Any:
    """Return the value that a successful answer holds, or raise what it says went wrong."""
    if not 200 <= answer.status < 300:
        raise error_of(answer, url)
    if operation.result is None:
        return None
    if answer.media_type != "application/json":
        raise _stranger(answer, url)
    try:
        return from_plain(operation.result, json.loads(answer.body), lenient=True)
    except (e.InvalidInput, ValueError, RecursionError) as exc:
        raise e.Unavailable(
            f"{url} answered {operation.name} with something that this client does not understand ({exc}).",
            hint="Is it a Greenroom server, and is this client of about the same version?",
        ) from exc


def plain_answer(answer: Answer, url: str) -> dict[str, Any]:
    """Return the JSON object of a successful answer that is in no table, or raise what went wrong."""
    if not 200 <= answer.status < 300:
        raise error_of(answer, url)
    try:
        data = json.loads(answer.body) if answer.media_type == "application/json" else None
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, dict):
        raise _stranger(answer, url)
    return data


def error_of(answer: Answer, url: str) -> e.GreenroomError:
    """Return the error that a problem document (RFC 9457) describes, or one that says that it is none of ours."""
    if 300 <= answer.status < 400:
        return e.Unavailable(f"{url} redirects to {answer.headers.get('location', '?')}.", hint="Use that address.")
    problem = _problem(answer)
    if problem is None:
        return _stranger(answer, url)
    code = str(problem.get("code") or str(problem.get("type", "")).rstrip("/").rpartition("/")[2])
    cls = _class_of(code) or _BY_STATUS.get(answer.status) or e.GreenroomError
    message = str(problem.get("detail") or problem.get("message") or problem.get("title") or f"HTTP {answer.status}")
    hint = problem.get("hint")
    details = {name: value for name, value in problem.items() if name not in _OF_PROBLEM}
    if isinstance(problem.get("details"), Mapping):
        details |= problem["details"]
    details = {str(name): value for name, value in details.items() if name != "self"}
    return cls(message, hint=str(hint) if hint else None, **details)


def _class_of(code: str) -> type[e.GreenroomError] | None:
    """Return the class that a code stands for: the one that states it, not one that was derived from it elsewhere."""
    found = e.error_classes().get(code)
    return next((cls for cls in found.__mro__ if "code" in vars(cls)), None) if found else None


def retry_after(answer: Answer) -> float | None:
    """Return the seconds that the server asks to wait; None when it does not say (dates are not read)."""
    text = answer.headers.get("retry-after", "").strip()
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else None


def may_retry(answer: Answer) -> bool:
    """Say whether the same request may succeed in a moment: busy or restarting, or a lost race that says so."""
    if answer.status in (429, 502, 503, 504):
        return True
    return answer.status == 409 and "retry-after" in answer.headers


def _problem(answer: Answer) -> dict[str, Any] | None:
    if answer.media_type not in ("application/problem+json", "application/json"):
        return None
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not ({"code", "type", "detail"} & data.keys()):
        return None
    return data


def _stranger(answer: Answer, url: str) -> e.GreenroomError:
    kind = answer.media_type or "no content type"
    if answer.status in (401, 403):
        cls: type[e.GreenroomError] = e.Unauthenticated if answer.status == 401 else e.Forbidden
        return cls(
            f"{url} refused access ({answer.status}).", hint="Give a token in GREENROOM_TOKEN or user and password."
        )
    if answer.status in (502, 503, 504):
        return e.Unavailable(f"{url} is not available now: {answer.status} from something in front of it ({kind}).")
    return e.Unavailable(
        f"{url} does not answer like a Greenroom server: {answer.status}, {kind}.",
        hint="Check the address and the port; a path prefix belongs into the URL.",
    )


def _is_default(command: Any, name: str, value: Any) -> bool:
    spec = command.__dataclass_fields__[name]
    if spec.default is not dataclasses.MISSING:
        return value is spec.default or (type(value) is type(spec.default) and bool(value == spec.default))
    if spec.default_factory is not dataclasses.MISSING:
        return bool(value == spec.default_factory())
    return False


def _query(given: Mapping[str, Any]) -> dict[str, Any]:
    words = {True: "true", False: "false"}
    return {
        name: words[value] if isinstance(value, bool) else list(value) if isinstance(value, tuple) else value
        for name, value in given.items()
        if value is not None
    }


def _culprit(given: Mapping[str, Any]) -> str:
    """Name the field that holds what JSON cannot carry."""
    for name, value in given.items():
        for key, each in value.items() if isinstance(value, Mapping) else ((name, value),):
            if isinstance(each, float) and each - each != 0:
                return f"{name} {key!r} is {each}" if key != name else f"{name} is {each}"
    return "it has characters that are not text"
