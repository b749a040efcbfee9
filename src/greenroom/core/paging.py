"""Page tokens: where a list goes on, sealed so that only the server that made one can read it.

A token is base64url(MAC || cursor). The MAC (HMAC-SHA256) covers the cursor and the scope, a digest of what was asked
(filter, order, actor), so a token fits its own search only and cannot be forged or edited. Sources: security vector
DO-13; mlflow-compat 0.13 (opaque to clients, "" and absent mean the first page) and section 5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Sequence

from greenroom.core import names
from greenroom.core.errors import InvalidInput

Scalar = str | int | float | bool | None

_MAC_BYTES = 32
_LABEL = b"greenroom page token 1"
_SIZE = re.compile(r"[0-9]{1,10}")


def page_scope(*parts: str) -> str:
    """Return a digest of what a list was asked for; other parts, or other borders between them, give another."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def encode_token(secret: bytes, scope: str, cursor: Sequence[Scalar]) -> str:
    """Return a token that leads back to `cursor` (the sort keys of the last row shown) within `scope` only.

    Raises ValueError, our bug, for NaN and infinities or a cursor too large for a token.
    """
    body = json.dumps(list(cursor), separators=(",", ":"), allow_nan=False, ensure_ascii=False).encode()
    token = _text(_mac(secret, scope, body) + body)
    if len(token) > names.LIMITS["page_token"].value:
        raise ValueError(f"a page token of {len(token)} characters is too long")
    return token


def decode_token(secret: bytes, scope: str, token: object) -> list[Scalar]:
    """Return the cursor in `token`; raises InvalidInput unless this secret made it for this scope.

    The caller treats None and "" as the first page and does not ask.
    """
    if not isinstance(token, str):
        raise _invalid()
    names.require_length(token, "page token", "page_token")
    try:
        raw = base64.b64decode(token.encode("ascii") + b"=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error) as exc:
        raise _invalid() from exc
    if _text(raw) != token:  # base64 has several spellings of the same bytes; ours is one of them
        raise _invalid()
    seal, body = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
    if not hmac.compare_digest(seal, _mac(secret, scope, body)):
        raise _invalid()
    cursor: list[Scalar] = json.loads(body)
    return cursor


def check_page_size(value: object, *, default: int, maximum: int, parameter: str = "max_results") -> int:
    """Return the number of items of a page: `default` for None, else an int (or its digits) from 1 to `maximum`.

    Raises InvalidInput for anything else; never clamps (mlflow-compat 0.12).
    """
    if value is None:
        return default
    size = int(value) if isinstance(value, str) and len(value) <= 10 and _SIZE.fullmatch(value) else value
    text = f"Invalid value {names.shown(value)} for parameter '{parameter}' supplied."
    hint = f"Give a number from 1 to {maximum}."
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise InvalidInput(f"{text} It must be a positive integer", hint=hint, parameter=parameter)
    if size > maximum:
        raise InvalidInput(f"{text} It must be at most {maximum}", hint=hint, parameter=parameter)
    return size


def _mac(secret: bytes, scope: str, body: bytes) -> bytes:
    label = hashlib.sha256(_LABEL + scope.encode("utf-8", "surrogatepass")).digest()
    return hmac.digest(secret, label + body, "sha256")


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _invalid() -> InvalidInput:
    text = "Invalid page token, it was not made by this server for this search."
    return InvalidInput(text, hint="Start again from the first page, without a token.")
