"""Requests that must be refused before any route sees them, sent as bytes to both parsers. Ids are security vectors."""

from __future__ import annotations

import gzip
import socket

import pytest
from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.errors import InvalidInput
from greenroom.http.asgi import HTTPSettings
from greenroom.http.guards import parse_public_url
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire, actor_of, read_body
from tests.http.serving import Running, running

CREATE = "/api/2.0/mlflow/registered-models/create"
SEARCH = "/api/2.0/mlflow/registered-models/search"


async def echo(request: HTTPRequest) -> Response:
    return JSONAnswer(json_bytes({"bytes": len(await read_body(request)), "by": actor_of(request).name}))


def extra_routes() -> list[Route]:
    return [
        Route("POST", CREATE, "register", echo, Wire.MLFLOW),
        Route("GET", SEARCH, "read", echo, Wire.MLFLOW),
        Route("GET", "/api/2.0/mlflow/users/current", "read", echo, Wire.MLFLOW),
    ]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("LOCALHOST:1", 200),
        ("127.0.0.1:5000", 200),
        ("[::1]:5000", 200),
        ("attacker.example", 403),  # BR-01
        ("127.0.0.1.attacker.example", 403),  # BR-02
        ("10.evil.example", 403),
        ("localhost.", 403),
        ("0.0.0.0", 403),
        ("127.0.0.1/health?x=", 400),  # AZ-16
        ("localhost:99999", 400),
        ("localhost@attacker.example", 400),
        ("", 400),
        ("local host", 400),
    ],
)
def test_host(both: Running, host: str, status: int) -> None:
    answer = both.raw(f"GET {SEARCH} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())


def test_hosts_that_the_operator_allows() -> None:
    settings = HTTPSettings(host="::1", allowed_hosts=("Registry.example.org", "other.example:8443"))
    with running(settings=settings) as server:
        for host, status in (
            ("registry.example.org:1", 200),
            ("other.example:8443", 200),
            ("other.example:8444", 403),
            ("other.example", 403),
            ("[::1]:9", 200),
        ):
            assert server.ask("GET", "/api/v1/info", Host=host).status == status, host


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("https://Registry.Example.org", "https://registry.example.org"), ("http://h:80/", "http://h"),
        ("https://h:8443/a/b-c/", "https://h:8443/a/b-c"), ("https://[2001:db8::1]:443", "https://[2001:db8::1]"),
        ("", None), ("registry.example.org", None), ("ftp://h", None), ("https://", None), ("https://h:99999", None),
        ("https://user:secret@h", None), ("https://h/?a=b", None), ("https://h/#x", None), ("https://h//x", None),
        ("https://h/../x", None), ("https://h/%2e", None), ("https://h /", None), ("https://h\n", None),
    ],
)  # fmt: skip
def test_public_urls(given: str, told: str | None) -> None:
    if told is not None:
        assert parse_public_url(given) == told
        return
    with pytest.raises(InvalidInput, match="cannot be a public URL"):
        parse_public_url(given)


@pytest.mark.parametrize("target", ["/health", "/version", "/ready"])
def test_probes_may_name_any_host(both: Running, target: str) -> None:
    assert both.ask("GET", target, Host="10.1.2.3:8080").status == 200


@pytest.mark.parametrize(
    "lines",
    [
        "Host: localhost\r\nHost: attacker.example",
        "Host: localhost\r\nContent-Length: 1\r\nContent-Length: 2",
        "Host: localhost\r\nAuthorization: Basic YTpi\r\nAuthorization: Basic YTpj",
        "Host: localhost\r\nOrigin: http://localhost\r\nOrigin: null",
        "X-No-Host: 1",
    ],
)
def test_headers_that_must_be_there_once(both: Running, lines: str) -> None:
    answer = both.raw(f"POST {CREATE} HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{hostport}", 200),
        ("HTTP://{hostport}", 200),
        ("null", 403),  # BR-04
        ("http://127.0.0.1:1", 403),  # BR-05
        ("http://localhost:{port}", 403),
        ("https://{hostport}", 403),
        ("http://{hostport}.attacker.example", 403),
        ("https://attacker.example", 403),
        ("", 403),
    ],
)
def test_origin_of_a_write(both: Running, origin: str, status: int) -> None:
    given = origin.format(hostport=both.hostport, port=both.address[1])
    assert both.ask("POST", CREATE, b"{}", Origin=given).status == status
    assert both.ask("GET", SEARCH, Origin=given).status == 200  # a read gives the page nothing without CORS headers


def test_default_ports_are_the_same_origin(both: Running) -> None:
    assert both.ask("POST", CREATE, b"{}", Host="localhost:80", Origin="http://localhost").status == 200
    assert both.ask("POST", CREATE, b"{}", Host="localhost", Origin="http://localhost:80").status == 200
    assert both.ask("POST", CREATE, b"{}", Host="localhost", Origin="http://localhost:443").status == 403


def test_preflight_gets_no_permission(both: Running) -> None:  # BR-16
    answer = both.ask("OPTIONS", CREATE, Origin="https://attacker.example", Access_Control_Request_Method="POST")
    assert answer.status == 405
    assert not any(name.startswith("access-control") for name in answer.headers)


def test_an_unknown_method(both: Running) -> None:  # AZ-17
    answer = both.raw(f"_ADMIN {SEARCH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer.split(b" ")[1] in (b"400", b"501")


def test_a_look_alike_path(both: Running) -> None:  # AZ-19
    answer = both.raw(
        b"GET /api/2.0/mlflow//registered-models/search;x?a=1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    )
    assert answer.startswith(b"HTTP/1.1 400 ")


def test_identity_headers_of_a_proxy_and_tokens_in_the_url_are_nothing(both: Running) -> None:  # AZ-20, AZ-22
    answer = both.ask(
        "GET", "/api/2.0/mlflow/users/current?access_token=x", X_Forwarded_User="admin", Remote_User="admin"
    )
    assert answer.json["by"] == "anonymous"


def test_a_huge_body_is_refused_before_it_is_read(both: Running) -> None:  # DO-01
    head = f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16777216\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(both.address, timeout=20) as connection:
        connection.sendall(head.encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")  # and no "100 Continue"


def test_a_huge_body_that_is_sent_anyway_gets_its_answer(both: Running) -> None:
    answer = both.ask("POST", CREATE, b" " * (16 << 20))
    assert (answer.status, answer.json["error_code"]) == (413, "INVALID_PARAMETER_VALUE")


def test_a_huge_body_without_a_length(both: Running) -> None:  # DO-02
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    answer = both.ask("POST", CREATE, chunk * 32 + b"0\r\n\r\n", Transfer_Encoding="chunked")
    assert answer.status == 413


def test_a_compressed_body(both: Running) -> None:  # DO-05
    bomb = gzip.compress(b" " * 1_000_000)
    assert both.ask("POST", CREATE, bomb, Content_Encoding="gzip").status == 415
    assert both.ask("POST", CREATE, b"{}", Content_Encoding="identity").status == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n"
        "Connection: close\r\n\r\n0\r\n\r\n",
        f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
        f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: +4\r\n\r\nabcd",
        f"POST {CREATE} HTTP/1.1\r\nHost : localhost\r\n\r\n",
    ],
)
def test_two_readings_of_where_a_body_ends(both: Running, request_bytes: str) -> None:  # DO-19
    data = (
        request_bytes
        if "Connection" in request_bytes
        else request_bytes.replace("Host", "Connection: close\r\nHost", 1)
    )
    answer = both.raw(data.encode())
    assert answer.split(b" ")[1] in (b"400", b"501")
    assert answer.count(b"HTTP/1.1 ") == 1


def test_a_bare_line_feed_does_not_end_a_chunk() -> None:
    with running(*extra_routes()) as server:
        head = f"POST {CREATE} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        assert b" 200 " not in server.raw(head.encode() + b"2\n{}\n0\n\n")


def test_a_long_target(both: Running) -> None:
    assert both.ask("GET", f"{SEARCH}?filter=" + "x" * 40_000).status == 200
    answer = both.ask("GET", f"{SEARCH}?filter=" + "x" * 62_000)
    assert (answer.status, answer.json["error_code"]) == (414, "INVALID_PARAMETER_VALUE")
    assert both.ask("GET", f"{SEARCH}?filter=" + "x" * 100_000).status in (400, 414)
