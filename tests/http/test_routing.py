"""Which route answers which request target, byte for byte, and what is said when none does."""

from __future__ import annotations

import pytest
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.model import Actor
from greenroom.http import access
from greenroom.http.asgi import create_app
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire, actor_of, read_body, request_of
from tests.http.serving import Running
from tests.promises import promise

GET = "GET"


async def seen(request: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes({"params": request.path_params, "method": request.method}))


async def body_length(request: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes({"bytes": len(await read_body(request)), "by": actor_of(request).name}))


async def identity(request: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes({"id": request_of(request).id}))


async def buggy(request: HTTPRequest) -> Response:
    raise KeyError("canary-inside")


def extra_routes() -> list[Route]:
    mlflow = "/api/2.0/mlflow/registered-models"
    return [
        Route(GET, "/t/{name}", "read", seen, Wire.NATIVE),
        Route(GET, "/t/fixed", "read", seen, Wire.NATIVE),
        Route(GET, "/t/{name}/n/{number:int}", "read", seen, Wire.NATIVE),
        Route(GET, "/t/{name}/files/{path:path}", "read", seen, Wire.NATIVE),
        Route("HEAD", "/t/{name}/own", "read", seen, Wire.NATIVE),
        Route("PUT", "/t/{name}", "read", seen, Wire.NATIVE),
        Route("POST", "/t/body", "read", body_length, Wire.NATIVE, 1000),
        Route("POST", f"{mlflow}/create", "register", body_length, Wire.MLFLOW, 1000),
        Route(GET, f"{mlflow}/search", "read", seen, Wire.MLFLOW),
        Route(GET, "/identity", "public", identity, Wire.NATIVE),
        Route(GET, "/buggy", "read", buggy, Wire.NATIVE),
        Route(GET, "/api/2.0/mlflow/buggy", "read", buggy, Wire.MLFLOW),
        Route(GET, "/page", "public", buggy, Wire.PLAIN),
    ]


@pytest.mark.parametrize(
    ("target", "params"),
    [
        ("/t/fixed", {}),  # an exact path goes before a template
        ("/t/fixe%64", {"name": "fixed"}),  # ... but only as it is written
        ("/t/my%20model", {"name": "my model"}),
        ("/t/%C3%A9t%C3%A9", {"name": "été"}),
        ("/t/a%252Fb", {"name": "a%2Fb"}),  # decoded once
        ("/t/100%25", {"name": "100%"}),
        ("/t/m/n/12", {"name": "m", "number": 12}),
        ("/t/m/files/a/b.txt", {"name": "m", "path": "a/b.txt"}),
        ("/t/m/files/a%2Fb.txt", {"name": "m", "path": "a/b.txt"}),
    ],
)
def test_parameters_are_decoded_once_after_the_match(server: Running, target: str, params: dict[str, object]) -> None:
    answer = server.ask(GET, target)
    assert (answer.status, answer.json["params"]) == (200, params)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/t/a%2Ffixed", 400),  # an encoded slash must not become part of a name, nor of another route
        ("/%74/fixed", 404),
        ("/T/fixed", 404),
        ("/t/fixed/", 404),
        ("/t//fixed", 400),
        ("//t/fixed", 400),
        ("/t/./fixed", 400),
        ("/t/x/../fixed", 400),
        ("/t/%2e%2E/fixed", 400),
        ("/t/fixed;x", 400),
        ("/t\\fixed", 400),
        ("/t/a%00b", 400),
        ("/t/a%0Ab", 400),
        ("/t/%ff", 400),
        ("/t/m/n/%D9%A1", 404),  # an Arabic digit is no digit of a path
        ("/t/m/n/-1", 404),
        ("/t/m/files/../../x", 400),
        ("/t", 404),
    ],
)
def test_a_path_that_is_not_canonical_matches_nothing(server: Running, target: str, status: int) -> None:
    answer = server.ask(GET, target)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "target", "status", "allow"),
    [
        ("POST", "/t/x", 405, "GET, HEAD, PUT"),
        ("DELETE", "/t/fixed", 405, "GET, HEAD, PUT"),
        ("OPTIONS", "/t/body", 405, "GET, HEAD, POST, PUT"),
        ("POST", "/t/nothing/here", 404, None),
        ("PROPFIND", "/t/fixed", 501, None),
    ],
)
def test_another_method(server: Running, method: str, target: str, status: int, allow: str | None) -> None:
    answer = server.ask(method, target)
    assert (answer.status, answer.headers.get("allow")) == (status, allow)


def test_head_is_get_without_the_body(server: Running) -> None:
    get, head = server.ask("GET", "/health"), server.ask("HEAD", "/health")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", get.headers["content-length"])
    assert server.ask("HEAD", "/t/x/own").status == 200


@pytest.mark.parametrize("prefix", ["/api/2.0/", "/api/3.0/", "/ajax-api/2.0/", "/ajax-api/3.0/"])
def test_an_unknown_mlflow_path_answers_in_mlflows_form(server: Running, prefix: str) -> None:
    answer = server.ask(GET, f"{prefix}mlflow/nothing")
    assert (answer.status, answer.json["error_code"]) == (404, "ENDPOINT_NOT_FOUND")
    assert set(answer.json) == {"error_code", "message"}
    assert answer.headers["content-type"] == "application/json"


def test_a_write_by_get_is_refused_with_the_code_that_mlflow_falls_back_on(server: Running) -> None:
    answer = server.ask(GET, "/api/2.0/mlflow/registered-models/create?name=c5")  # vector BR-08
    assert (answer.status, answer.json["error_code"]) == (405, "ENDPOINT_NOT_FOUND")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("target", "is_mlflow"), [("/buggy", False), ("/api/2.0/mlflow/buggy", True), ("/page", False)]
)
def test_a_bug_is_answered_with_the_request_id_and_nothing_else(
    server: Running, caplog: pytest.LogCaptureFixture, target: str, is_mlflow: bool
) -> None:
    answer = server.ask(GET, f"{target}?secret=hidden")
    request_id = answer.headers["x-request-id"]
    assert answer.status == 500
    assert request_id.encode() in answer.body
    assert b"canary" not in answer.body
    assert (b"INTERNAL_ERROR" in answer.body) is is_mlflow
    logged = caplog.text
    assert request_id in logged
    assert "canary-inside" in logged
    assert "hidden" not in logged


def test_every_request_has_an_id_of_its_own(server: Running) -> None:
    first, second = server.ask(GET, "/identity", X_Request_Id="mine"), server.ask(GET, "/identity")
    assert first.json["id"] == first.headers["x-request-id"]
    assert len({first.json["id"], second.json["id"], "mine"}) == 3


def test_every_answer_has_the_security_headers(server: Running) -> None:
    for target in ("/health", "/t/fixed", "/nothing", "/t//x", "/buggy"):
        headers = server.ask(GET, target).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert headers["server"] == "greenroom"
        assert "json" not in headers["content-type"] or headers["cache-control"] == "no-store"
        assert not any(name.startswith("access-control") for name in headers)


def test_the_body_of_a_route_is_limited(server: Running) -> None:
    assert server.ask("POST", "/t/body", b"x" * 1000).json["bytes"] == 1000
    assert server.ask("POST", "/t/body", b"x" * 1001).status == 413


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        (Route(GET, "/a", "whatever", seen, Wire.NATIVE), "needs the unknown permission 'whatever'"),
        (Route("get", "/a", "read", seen, Wire.NATIVE), "has the unknown method 'get'"),
        (Route(GET, "/x/{b}", "read", seen, Wire.NATIVE), "two routes for GET /x/{b}"),
        (Route(GET, "/y", "read", seen, Wire.NATIVE), "two routes for GET /y"),
    ],
)
def test_a_wrong_route_does_not_come_to_life(wrong: Route, text: str) -> None:
    good = [Route(GET, "/x/{a}", "read", seen, Wire.NATIVE), Route(GET, "/y", "read", seen, Wire.NATIVE)]
    with pytest.raises(ValueError, match=text.replace("{", r"\{")):
        create_app(None, [*good, wrong])  # type: ignore[arg-type]


@promise("S3", "every route of the server")
def test_rights_hang_on_the_route(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "ANONYMOUS", Actor("rea", rights=frozenset({"read"})))
    refused = server.ask("POST", "/api/2.0/mlflow/registered-models/create", b"{}")
    assert (refused.status, refused.json["error_code"]) == (403, "PERMISSION_DENIED")
    assert "needs the permission 'register'" in refused.json["message"]
    assert server.ask(GET, "/t/fixed").status == 200
    assert server.ask(GET, "/identity").status == 200
    monkeypatch.setattr(access, "ANONYMOUS", Actor("nobody", rights=frozenset()))
    assert [server.ask(GET, target).status for target in ("/t/fixed", "/identity", "/health")] == [403, 200, 200]
