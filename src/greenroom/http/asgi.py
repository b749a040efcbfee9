"""The ASGI application: guards, then the route, then who asks, then the endpoint; every error becomes an answer here.

A plain ASGI 3 callable. Routes with an exact path are one dictionary look-up; templates come after it, grouped by the
number of their segments. Paths are matched as they were sent, percent-encoded: an encoded slash or letter never turns
one route into another. Rights hang on the matched route, not on the text of the path.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from starlette.convertors import Convertor, PathConvertor
from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import Receive, Scope, Send

from greenroom.core.errors import GreenroomError
from greenroom.core.names import shown
from greenroom.http import access, guards
from greenroom.http.guards import HTTPSettings
from greenroom.http.problem import NoRoute, WrongMethod, answer_error, answer_failure
from greenroom.http.routing import MLFLOW_PREFIXES, Route, Wire
from greenroom.services.ports import Registry, Request

__all__ = ["Application", "HTTPSettings", "create_app"]

_LOG = logging.getLogger("greenroom.http")
_GROUP_NAME = re.compile(r"\?P<\w+>")


def create_app(registry: Registry, routes: Sequence[Route], settings: HTTPSettings | None = None) -> Application:
    """Return the application that answers `routes`. Endpoints hold `registry` already; it is kept for whoever asks.

    ValueError (our bug) for two routes with one method and path, a permission that is not in the access table, or a
    method outside the closed set: a route without a rule must not come to life.
    """
    return Application(registry, _Table(routes), settings or HTTPSettings())


class Application:
    """An ASGI 3 callable made by `create_app`."""

    def __init__(self, registry: Registry, table: _Table, settings: HTTPSettings) -> None:
        self.registry = registry
        self.routes = table.routes
        self._table = table
        self._settings = settings
        self._check_host = guards.host_rule(settings)
        self._load = guards.Load()
        self._ids = _request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's lifespan events; a websocket is closed."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = next(self._ids)
        route: Route | None = None
        try:
            path = self._guard(scope)
            route, params = self._table.find(scope["method"], path)
            self._admit(scope, route, params, request_id)
            # Probes are always answered; routes without a limit carry bytes and are counted by the workshop.
            counted = path not in guards.ANY_HOST_PATHS and route.limit_bytes is not None
            with self._load.request(scope) if counted else _NOT_COUNTED:
                answer = await route.endpoint(HTTPRequest(scope, receive))
        except GreenroomError as error:
            if error.http_status == 500:
                _LOG.error("request %s: %s", request_id, error)
            answer = answer_error(error, _wire(route, scope["path"]), request_id)
        except ClientDisconnect:
            return
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer and the log gets the rest
            # The route's template, not the target: a target may hold what must not be in a log.
            where = route.path if route else "(no route)"
            _LOG.exception("request %s failed: %s %s", request_id, scope["method"], where)
            answer = answer_failure(_wire(route, scope["path"]), request_id)
        _complete(answer, request_id)
        await answer(scope, receive, send)

    def _guard(self, scope: Scope) -> str:
        """Return the raw path of a request that passes the guards."""
        headers = guards.headers_of(scope)
        scope["greenroom.headers"] = headers
        path = guards.raw_path_of(scope, self._settings)
        if path not in guards.ANY_HOST_PATHS:
            self._check_host(headers.get(b"host"))
        method = scope["method"]
        guards.check_method(method)
        guards.check_framing(headers)
        guards.check_origin(method, scope["scheme"], headers, self._settings.public_url)
        scope["greenroom.public_url"] = self._settings.public_url
        return path

    def _admit(self, scope: Scope, route: Route, params: dict[str, Any], request_id: str) -> None:
        actor = access.actor_from(scope["greenroom.headers"])
        access.require(actor, route.permission)
        scope["path_params"] = params
        scope["greenroom.actor"] = actor
        scope["greenroom.request"] = Request(request_id)
        scope["greenroom.limit_bytes"] = route.limit_bytes
        scope["greenroom.read_body"] = guards.read_whole_body


@dataclass(frozen=True)
class _Template:
    pattern: re.Pattern[str]
    convertors: dict[str, Convertor[Any]]
    route: Route

    def match(self, path: str) -> dict[str, Any] | None:
        """Return the parameters of `path`, or None. InvalidInput if a part cannot be decoded."""
        found = self.pattern.match(path)
        if found is None:
            return None
        params: dict[str, Any] = {}
        for name, raw in found.groupdict().items():
            convertor = self.convertors[name]
            params[name] = convertor.convert(guards.decode_part(raw, slashes=isinstance(convertor, PathConvertor)))
        return params


@dataclass
class _Methods:
    """The templates of one method: those with a fixed number of segments by that number, the others in a list."""

    by_slashes: dict[int, list[_Template]] = field(default_factory=dict)
    open_ended: list[_Template] = field(default_factory=list)

    def find(self, path: str) -> tuple[Route, dict[str, Any]] | None:
        for template in self.by_slashes.get(path.count("/"), ()):
            params = template.match(path)
            if params is not None:
                return template.route, params
        for template in self.open_ended:
            params = template.match(path)
            if params is not None:
                return template.route, params
        return None


class _Table:
    """All routes, for look-up by method and raw path. Among templates the first declared wins."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self.routes = tuple(routes)
        self._exact: dict[tuple[str, str], Route] = {}
        self._templates: dict[str, _Methods] = {}
        shapes: set[tuple[str, str]] = set()
        for route in self.routes:
            _check_route(route)
            pattern, shape, convertors = compile_path(route.path)
            unnamed = _GROUP_NAME.sub("", pattern.pattern)  # `/{a}` and `/{b}` are one shape
            if (route.method, unnamed) in shapes:
                raise ValueError(f"two routes for {route.method} {shape}")
            shapes.add((route.method, unnamed))
            if not convertors:
                self._exact[route.method, route.path] = route
            else:
                self._add_template(_Template(pattern, convertors, route))

    def _add_template(self, template: _Template) -> None:
        methods = self._templates.setdefault(template.route.method, _Methods())
        if ":path}" in template.route.path:
            methods.open_ended.append(template)
        else:
            methods.by_slashes.setdefault(template.route.path.count("/"), []).append(template)

    def find(self, method: str, path: str) -> tuple[Route, dict[str, Any]]:
        """Return the route and its parameters; HEAD falls back on GET. Raises NoRoute, WrongMethod."""
        found = self._find(method, path)
        if found is None and method == "HEAD":
            found = self._find("GET", path)
        if found is None:
            raise self._none(method, path)
        return found

    def _find(self, method: str, path: str) -> tuple[Route, dict[str, Any]] | None:
        route = self._exact.get((method, path))
        if route is not None:
            return route, {}
        templates = self._templates.get(method)
        return templates.find(path) if templates is not None else None

    def _none(self, method: str, path: str) -> GreenroomError:
        allow = [other for other in sorted(guards.METHODS) if self._find(other, path) is not None]
        if "GET" in allow and "HEAD" not in allow:
            allow.insert(allow.index("GET") + 1, "HEAD")
        if not allow:
            return NoRoute(f"There is nothing at {shown(path)!r}.", hint="The page /docs lists every address.")
        hint = f"It answers {', '.join(allow)}."
        return WrongMethod(f"{shown(path)!r} does not answer {method}.", hint=hint, allow=allow)


def _check_route(route: Route) -> None:
    if route.permission not in access.PERMISSIONS:
        raise ValueError(f"{route.method} {route.path} needs the unknown permission {route.permission!r}")
    if route.method not in guards.METHODS:
        raise ValueError(f"{route.path} has the unknown method {route.method!r}")


def _wire(route: Route | None, path: str) -> Wire:
    if route is not None:
        return route.wire
    return Wire.MLFLOW if path.startswith(MLFLOW_PREFIXES) else Wire.NATIVE


_NOT_COUNTED = contextlib.nullcontext()
_NOSNIFF = (b"x-content-type-options", b"nosniff")
_FRAMES = (b"x-frame-options", b"SAMEORIGIN")
_NO_STORE = (b"cache-control", b"no-store")


def _complete(answer: Response, request_id: str) -> None:
    """Add the headers that every answer has; what an endpoint set itself stays."""
    headers = answer.raw_headers
    present = dict(headers)
    headers.append(_NOSNIFF)
    headers.append((b"x-request-id", request_id.encode()))
    if b"x-frame-options" not in present:
        headers.append(_FRAMES)
    if b"cache-control" not in present and b"json" in present.get(b"content-type", b""):
        headers.append(_NO_STORE)


def _request_ids() -> Iterator[str]:
    """Yield names for requests. Chance comes by the kilobyte: while the system is asked for it, other threads go on."""
    while True:
        chance = secrets.token_hex(4096)
        yield from (chance[at : at + 32] for at in range(0, len(chance), 32))


async def _live(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
