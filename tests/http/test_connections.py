"""What connections may do, one by one and together: both parsers, with limits made small where time is the limit."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import threading
from collections.abc import Iterator

import pytest
from starlette.requests import Request as HTTPRequest
from starlette.responses import PlainTextResponse, Response

from greenroom.http import bytes_in, crowd, guards, run
from greenroom.http.routing import Route, Wire, read_body
from tests.http.serving import Running, running

JSON = b"Host: localhost\r\nContent-Type: application/json\r\n"


@pytest.fixture(params=[False, True], ids=["httptools", "h11"])
def parser(request: pytest.FixtureRequest) -> dict[str, bool]:
    return {"pure_python": request.param}


def everything(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            found += piece
    return found


@contextlib.contextmanager
def opened(server: Running, data: bytes = b"") -> Iterator[socket.socket]:
    with socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(data)
        yield connection


def ask_again(connection: socket.socket) -> None:
    """Have one request answered, to its last byte, on a connection that stays open."""
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    assert (answer.status, answer.read()) == (200, b"OK")


def crowd_of(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    monkeypatch.setattr(run, "connections_for", lambda files: most)


def test_the_number_of_connections(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that waits longest without a request goes; one that was asked on goes after those that were not."""
    crowd_of(monkeypatch, 3)
    with running(**parser) as server, contextlib.ExitStack() as stack:
        asked = stack.enter_context(opened(server))
        ask_again(asked)
        begun = stack.enter_context(opened(server, b"GET /api/2.0/mlflow/x"))
        for _ in range(3):  # an answer on another connection: by then the server has read what came before
            ask_again(asked)
        stack.enter_context(opened(server))
        assert server.ask("GET", "/health").status == 200
        answer = everything(begun)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b'{"error_code":"REQUEST_LIMIT_EXCEEDED","message":"More than 3 connections are open' in answer
        assert b"\r\nretry-after: 1\r\n" in answer
        asked.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert everything(asked).startswith(b"HTTP/1.1 200 ")


def test_all_at_work(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be sent away the newcomer is told."""
    crowd_of(monkeypatch, 1)
    entered, go = threading.Event(), threading.Event()

    async def slow(request: HTTPRequest) -> Response:
        entered.set()
        await asyncio.to_thread(go.wait, 20)
        return PlainTextResponse("done")

    request = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with (
        running(Route("GET", "/slow", "public", slow, Wire.PLAIN), **parser) as server,
        opened(server, request) as work,
    ):
        assert entered.wait(20)
        with opened(server) as late:
            answer = everything(late)
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b'"limit":"connections"' in answer
        go.set()
        assert everything(work).endswith(b"done")


@pytest.mark.parametrize(("files", "most"), [(None, 2048), (1 << 20, 2048), (1024, 768), (300, 150), (64, 32), (4, 8)])
def test_connections_for_so_many_files(files: int | None, most: int) -> None:
    assert run.connections_for(files) == most


def test_requests_in_flight(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "IN_FLIGHT", 2)
    entered, go = threading.Semaphore(0), threading.Event()

    async def slow(request: HTTPRequest) -> Response:
        entered.release()
        await asyncio.to_thread(go.wait, 20)
        return PlainTextResponse("done")

    with (
        running(Route("GET", "/slow", "public", slow, Wire.NATIVE), **parser) as server,
        contextlib.ExitStack() as stack,
    ):
        request = b"GET /slow HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        waiting = [stack.enter_context(opened(server, request)) for _ in range(2)]
        assert all(entered.acquire(timeout=20) for _ in waiting)
        refused = server.ask("GET", "/api/v1/models")
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.json["details"] == {"limit": "in_flight", "maximum": 2}
        assert "2 requests" in refused.json["detail"]
        assert server.ask("GET", "/health").status == 200  # probes are answered all the same
        go.set()
        assert all(everything(each).endswith(b"done") for each in waiting)
        assert server.ask("GET", "/api/v1/models").status == 200


def test_a_body_that_takes_too_long(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte at a time is never idle, and still has an end."""
    monkeypatch.setattr(guards, "BODY_TIME_S", 0.3)
    with running(**parser) as server, opened(server, b"POST /api/v1/models HTTP/1.1\r\n" + JSON) as connection:
        connection.sendall(b"Content-Length: 999999\r\n\r\n")
        answer = b""
        connection.settimeout(0.05)
        while b"}" not in answer:
            with contextlib.suppress(TimeoutError):
                answer += connection.recv(65_536)
            with contextlib.suppress(ConnectionError):
                connection.sendall(b" ")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"body_time"' in answer
    assert b"0.3 s" in answer


def test_an_upload_below_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bytes_in, "PACE_S", 0.3)

    async def take(request: HTTPRequest) -> Response:
        count = 0
        async for piece in bytes_in._pieces(request):
            count += len(piece)
        return PlainTextResponse(str(count))

    route = Route("PUT", "/take", "public", take, Wire.NATIVE, None)
    with running(route) as server:
        with opened(server, b"PUT /take HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n\r\n") as connection:
            answer = b""
            connection.settimeout(0.05)
            while b"}" not in answer:
                with contextlib.suppress(TimeoutError):
                    answer += connection.recv(65_536)
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"x")
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b'"upload_pace"' in answer
        assert server.ask("PUT", "/take", bytes(500_000)).body == b"500000"


def test_a_connection_is_kept_for_a_while(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "KEEP_ALIVE_S", 0.2)
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running(**parser) as server, opened(server, request) as connection:
        assert everything(connection).count(b"HTTP/1.1 200") == 1


async def _large(request: HTTPRequest) -> Response:
    return Response(bytes(32 << 20))


def test_an_answer_that_nobody_reads(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who does not keep the pace of reading is cut off; who reads gets all of it."""
    monkeypatch.setattr(crowd, "ANSWER_PACE_S", 0.2)
    with running(Route("GET", "/large", "public", _large, Wire.PLAIN), **parser) as server:
        with opened(server, b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as reader:
            assert reader.recv(12) == b"HTTP/1.1 200"
            threading.Event().wait(1.6)  # the server looks once a second
            assert len(everything(reader)) < 32 << 20
        assert len(server.ask("GET", "/large").body) == 32 << 20


def test_answers_that_nobody_reads_together(parser: dict[str, bool], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "UNREAD_BYTES", 40 << 20)
    request = b"GET /large HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    route = Route("GET", "/large", "public", _large, Wire.PLAIN)
    with running(route, **parser) as server, opened(server, request) as first:
        assert first.recv(12) == b"HTTP/1.1 200"
        with opened(server, request) as second:
            assert second.recv(12) == b"HTTP/1.1 200"
            assert len(everything(first)) < 32 << 20
            assert len(everything(second)) > 32 << 20


@pytest.mark.parametrize("target", [b"/api/v1/models", b"/api/2.0/mlflow/registered-models/create"])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET %s HTTP/1.1\r\nHost : localhost\r\n\r\n", 400),
        (b"GET %s HTTP/9.9.9\r\n\r\n", 400),
        (b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST %s HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"GET %s HTTP/1.1\r\nX: " + b"y" * 200_000, 431),
        (b"GET %s?" + b"y" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 414),
    ],
)
def test_what_the_parser_refuses(parser: dict[str, bool], target: bytes, data: bytes, status: int) -> None:
    """Also a request that no application sees gets the error format of its wire, and nothing in plain text."""
    with running(**parser) as server:
        answer = server.raw(data.replace(b"%s", target))
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    kind = b"application/json" if b"mlflow" in target else b"application/problem+json"
    assert b"\r\ncontent-type: %s\r\n" % kind in answer
    assert b"\r\nx-request-id: " in answer


def test_what_came_before_a_malformed_request_is_answered() -> None:
    good = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with running() as server:
        answer = server.raw(good * 3 + b"no HTTP at all\r\n\r\n" + good)
    assert answer.count(b"HTTP/1.1 200 ") == 3


def test_a_trailer_is_no_header() -> None:
    seen: list[list[tuple[bytes, bytes]]] = []

    async def take(request: HTTPRequest) -> Response:
        await read_body(request)
        seen.append(list(request.scope["headers"]))
        return PlainTextResponse("ok")

    with running(Route("POST", "/take", "public", take, Wire.PLAIN)) as server:
        head = b"POST /take HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert b" 200 " in server.raw(head + b"1\r\nx\r\n0\r\nX-Greenroom-Actor: root\r\n\r\n")
    assert b"x-greenroom-actor" not in dict(seen[0])
