"""Nothing that a client can send makes the server fail: every field of every endpoint with values nobody expects."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import pytest

from greenroom.http import mlflow_wire as wire

API = wire.PREFIXES[0]
NASTY: list[Any] = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "a\nb",
    "a\u200bb",
    "\ud800",
    "é" * 200_000,
    "a" * 70_000,
    "../../etc/passwd",
    "..%2f..%2f",
    "%252e%252e",
    "a/b",
    "a:b",
    "@champion",
    "models:/",
    "models:/m/",
    "models:/m@",
    "models://x/1",
    "http://[::1",
    "http://[zz]/x",
    "runs:/x",
    "file:///etc/passwd",
    "mlflow-artifacts:/snapshots/zz",
    "-1",
    "0",
    "1.5",
    "٣",
    "9" * 30,
    "9" * 5000,
    "name IN (a)",
    "name = 'a",
    "name LIKE '" + "%a" * 200 + "'",
    "(" * 5000,
    "name ASC, name ASC",
    "eyJvZmZzZXQiOiAtMX0=",
    "e30=",
    "AAAA",
    "{}",
    "null",
    "CON",
    "DROP TABLE model",
    0,
    -1,
    2**63,
    -(2**63) - 1,
    10**400,
    1.5,
    True,
    None,
    [],
    ["name", "name"],
    ["name ASC"] * 100,
    [None],
    [[]],
    {},
    {"key": "k"},
    [{"key": "k"}] * 3,
    [{"key": "../x", "value": "y"}],
    [{"value": "y"}],
    [{"key": {}, "value": []}],
    [{"key": f"k{n}", "value": "v"} for n in range(1500)],
]


def requests() -> Iterator[tuple[str, str, bytes | None]]:
    """Yield (method, target, body): one field is nasty, the others are fine."""
    fine = {"name": "bad-input", "version": "1", "stage": "Staging", "key": "k", "alias": "a", "source": "s3://b/x"}
    for endpoint in wire.ENDPOINTS:
        path = API + endpoint.path
        # Anew for each endpoint: some nasty names are good ones to rename to.
        yield "POST", f"{API}/registered-models/create", b'{"name": "bad-input"}'
        yield "POST", f"{API}/model-versions/create", b'{"name": "bad-input", "source": "s3://b/x"}'
        for field in endpoint.fields:
            for value in NASTY:
                given = {f.name: fine[f.name] for f in endpoint.fields if f.name in fine} | {field.name: value}
                yield endpoint.methods[0], path, json.dumps(given).encode()
                if "GET" in endpoint.methods and isinstance(value, str) and len(value) < 2000 and value != "\ud800":
                    yield "GET", f"{path}?{urlencode(given)}", None


BODIES: list[bytes] = [
    b"",
    b"[",
    b"[]",
    b"{}" * 2,
    b"null",
    b"5",
    b'"x"',
    b'"\\"\\""',
    b"\xff\xfe",
    b"\x00",
    b"[" * 100_000,
    b'{"name":' * 20_000,
    b'{"name": NaN}',
    b'{"name": 1e999}',
    b'{"name": "a", "name": "b"}',
    b'{"name": ' + b"9" * 10_000 + b"}",
    b" " * 500_000,
]


def ask(link: http.client.HTTPConnection, method: str, target: str, body: bytes | None) -> tuple[int, bytes]:
    link.request(method, target, body, {"Content-Type": "application/json"})
    answer = link.getresponse()
    return answer.status, answer.read()


def complaint(status: int, text: bytes) -> str | None:
    """Return what is wrong with an answer: it must be 200 or a refusal that says what is wrong, and quick to read."""
    try:
        body = json.loads(text)
    except ValueError:
        return f"{status}: no JSON: {text[:100]!r}"
    if status == 200:
        return None
    if not 400 <= status < 500:
        return f"{status}: {text[:300]!r}"
    if set(body) != {"error_code", "message"} or len(body["message"]) > 1000 or "Traceback" in body["message"]:
        return f"{status}: an odd error: {text[:300]!r}"
    return None


@pytest.fixture
def link(standard_server: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(standard_server).netloc, timeout=30)
    yield connection
    connection.close()


def test_no_value_of_any_field_breaks_the_server(link: http.client.HTTPConnection):
    asked = list(requests())
    assert len(asked) > 3000
    wrong = {}
    for method, target, body in asked:
        problem = complaint(*ask(link, method, target, body))
        if problem:
            wrong[method, target[:200], (body or b"")[:200]] = problem
    assert wrong == {}


def test_no_body_breaks_the_server(link: http.client.HTTPConnection):
    wrong = {}
    for endpoint in wire.ENDPOINTS:
        for body in BODIES:
            problem = complaint(*ask(link, endpoint.methods[0], API + endpoint.path, body))
            if problem:
                wrong[endpoint.name, body[:50]] = problem
    assert wrong == {}


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "a/../b",
        "a/./b",
        "/etc/passwd",
        "a//b",
        "a\\b",
        "a%00b",
        "a%0ab",
        "a#b",
        "%2e%2e/x",
        "%252e%252e/x",
        "%25252e%25252e/x",
        quote(quote(quote(quote(quote(quote(quote("../x"))))))),
        "%ff",
        "%c0%ae%c0%ae/x",
        "aux.txt%20",
        "C:/x",
        "a" * 5000,
        "/".join(["a"] * 100),
        "file:%2f%2f%2fetc",
        "..%5c..%5cx",
    ],
)
def test_no_path_leaves_the_tree(link: http.client.HTTPConnection, path: str):
    sent = quote(path, safe="/%:") if "%" not in path else path
    for method, target in (
        ("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{sent}"),
        ("GET", f"/api/2.0/mlflow-artifacts/artifacts/{sent}"),
        ("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/{sent}"),
        ("GET", f"/api/2.0/mlflow-artifacts/artifacts?path={quote(path)}"),
        ("GET", f"/model-versions/get-artifact?name=a&version=1&path={quote(path)}"),
        ("GET", f"/get-artifact?run_id=a&path={quote(path)}"),
    ):
        status, text = ask(link, method, target, b"x" if method == "PUT" else None)
        assert 400 <= status < 500, (method, target[:100], status, text[:200])
