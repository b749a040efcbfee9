"""Small routes about the server itself: is it alive, is it ready, what is it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request as HTTPRequest
from starlette.responses import PlainTextResponse, Response

from greenroom._version import __version__
from greenroom.core.errors import Unavailable
from greenroom.http.access import PUBLIC
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire
from greenroom.services.ports import Registry

MLFLOW_LEVEL = "3.17.2"
"""The MLflow whose wire this server speaks; its clients ask for it at `/version`."""

INFO: Mapping[str, str] = {"name": "greenroom", "version": __version__, "api": "v1", "mlflow": MLFLOW_LEVEL}


def routes(registry: Registry) -> list[Route]:
    """Return the routes; all are public, and probes may call the first three under any Host."""

    async def ready(request: HTTPRequest) -> Response:
        if not await _is_ready(registry):
            raise Unavailable("The registry is not ready.", hint="Try again in a moment.")
        return JSONAnswer(b'{"ready":true}')

    return [
        Route("GET", "/health", PUBLIC, _health, Wire.PLAIN, 0),
        Route("GET", "/version", PUBLIC, _version, Wire.PLAIN, 0),
        Route("GET", "/ready", PUBLIC, ready, Wire.NATIVE, 0),
        Route("GET", "/api/v1/info", PUBLIC, _info, Wire.NATIVE, 0),
    ]


async def _is_ready(registry: Registry) -> bool:
    """Ask the registry's optional `ready` (a value, a function or a coroutine function); without one it is ready.

    None is a yes: such a registry raises Unavailable with the reason.
    """
    answer: Any = getattr(registry, "ready", True)
    if callable(answer):
        answer = answer()
    if inspect.isawaitable(answer):
        answer = await answer
    return answer is None or bool(answer)


async def _health(request: HTTPRequest) -> Response:
    return PlainTextResponse("OK")


async def _version(request: HTTPRequest) -> Response:
    return PlainTextResponse(MLFLOW_LEVEL)


async def _info(request: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes(INFO))
