"""What a route is, for all HTTP edges: method, path, the permission it needs, and how its errors are written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.limits import bound
from greenroom.core.model import Actor
from greenroom.services.ports import Request

MLFLOW_PREFIXES = ("/api/2.0/", "/api/3.0/", "/ajax-api/")
"""Where MLflow's wire answers, errors of no route included."""

Endpoint = Callable[[HTTPRequest], Awaitable[Response]]


class Wire(Enum):
    """Whose error format a route answers with."""

    NATIVE = "native"  # problem details, RFC 9457
    MLFLOW = "mlflow"  # {"error_code", "message"}
    PLAIN = "plain"  # health checks and pages


@dataclass(frozen=True)
class Route:
    """One route. `path` is exact, or a template in Starlette's form (`/models/{name}`, `/files/{path:path}`).

    `permission` is a word of the access table, or `public` for what anybody may see (health, version).
    `limit_bytes` bounds a body that is read whole; None means the endpoint streams it.
    """

    method: str
    path: str
    permission: str
    endpoint: Endpoint
    wire: Wire
    limit_bytes: int | None = bound("body")


def actor_of(request: HTTPRequest) -> Actor:
    """Return who asks, as the access layer found out before the endpoint ran."""
    actor: Actor = request.scope["greenroom.actor"]
    return actor


def request_of(request: HTTPRequest) -> Request:
    """Return the request's identity (made, or from `Idempotency-Key`); the dispatcher set it before the endpoint
    ran.
    """
    identity: Request = request.scope["greenroom.request"]
    return identity


def own_url(request: HTTPRequest) -> str:
    """Return where clients find this server, without a slash at the end: for the addresses that they are given.

    What the operator said, else what this request says; never what a proxy's header says, which anybody may send.
    """
    public: str = request.scope["greenroom.public_url"]
    return public or f"{request.scope['scheme']}://{request.headers['host']}"


async def read_body(request: HTTPRequest) -> bytes:
    """Return the whole body. Raises TooLarge over the route's limit, before and while reading; 415 for an encoded
    body.
    """
    reader: Callable[[HTTPRequest], Awaitable[bytes]] = request.scope["greenroom.read_body"]
    return await reader(request)
