"""`Idempotency-Key`: one effect per request, however often a client has to send it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from starlette.requests import Request as HTTPRequest

from greenroom.core.digest import digest_of
from greenroom.core.errors import InvalidInput
from greenroom.http.routing import request_of
from greenroom.services.api import BY_NAME, Mode
from greenroom.services.ports import Request

BODY: Final = "greenroom.body"  # in the scope of a request on MLflow's wire, once its body was read
_KEY = re.compile(rb"[\x21-\x7e]{1,255}")

# On MLflow's wire: all that changes the registry or gives a number, and what would not be there a second time. Points,
# parameters and tags need no key, for they are sets. One request may complete several versions, each of its own.
ONCE: Final = frozenset(
    {each.name for each in BY_NAME.values() if each.mode is Mode.WRITE} - {"complete_version"}
    | {"create_logged_model", "delete_run_tag", "delete_experiment_tag", "untag_logged_model"}
)


def with_key(request: HTTPRequest, fingerprint: Callable[[], str]) -> Request:
    """Return the request's identity, with its key and the fingerprint of what it asks if it has one.

    Raises InvalidInput for a header that can be no key.
    """
    identity = request_of(request)
    key: bytes | None = request.scope["greenroom.headers"].get(b"idempotency-key")
    if key is None:
        return identity
    if not _KEY.fullmatch(key):
        raise InvalidInput("The header Idempotency-Key must be 1 to 255 visible ASCII characters.")
    return Request(identity.id, key.decode("ascii"), fingerprint())


def identity_for(request: HTTPRequest, operation: str) -> Request:
    """Return the identity under which a request on MLflow's wire asks for `operation`. Raises InvalidInput."""
    return with_key(request, lambda: _asked(request)) if operation in ONCE else request_of(request)


def _asked(request: HTTPRequest) -> str:
    """Return the digest of a request's method, path, query and body."""
    scope = request.scope
    parts = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], scope.get(BODY, b""))
    return digest_of(b"\n".join(parts))
