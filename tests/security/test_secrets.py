"""S7: whatever comes in as a secret comes out nowhere: no answer, no log line, no row, no error text of a command."""

from __future__ import annotations

import base64
import os
import re
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom import app
from greenroom.app import open_local
from greenroom.http.asgi import create_app
from tests.promises import promise
from tests.security.scene import ROOT, Scene, live, scene

SECRETS = {
    name: f"canary{name}{secrets.token_hex(12)}"
    for name in ("token", "cookie", "password", "query", "proxy", "aws", "userinfo")
}
_BASIC = base64.b64encode(f"bob:{SECRETS['password']}".encode()).decode()
HEADERS = (
    {"Authorization": f"Bearer {SECRETS['token']}"},
    {"Authorization": f"Basic {_BASIC}"},
    {"Authorization": f"Basic {_BASIC}!"},
    {"Authorization": f"Digest response={SECRETS['token']}"},
    {
        "Cookie": f"session={SECRETS['cookie']}",
        "Proxy-Authorization": f"Basic {SECRETS['proxy']}",
        "X-Amz-Security-Token": SECRETS["aws"],
        "X-Api-Key": SECRETS["token"],
        "Referer": f"http://u:{SECRETS['userinfo']}@h/?X-Amz-Signature={SECRETS['query']}",
    },
)
QUERIES = ("", f"access_token={SECRETS['query']}", f"X-Amz-Signature={SECRETS['query']}&sig={SECRETS['query']}")
BODIES = (None, b"{}", b"{", b'{"name": 1}', b"\xff")
BROKEN = (
    "GET /{secret} HTTP/9.9\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: attacker\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n",
    "GET /x HTTP/1.1\r\nHost: localhost\r\nAuthorization : Bearer {secret}\r\n\r\n",
    "GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nCookie: {secret}\r\nCookie: {secret}\r\n"
    "Authorization: Bearer {secret}\r\nAuthorization: Bearer {secret}\r\nConnection: close\r\n\r\n",
    "POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
    "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET /api/v1/models?token={secret} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {secret}\r\n"
    "X: " + "y" * 140_000,
)


def _leaks(data: bytes) -> list[str]:
    return [name for name, value in SECRETS.items() if value.encode() in data or value.encode().hex().encode() in data]


def _targets(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield every method and path that the server has, with parts that are good, unknown and wrong."""
    registry = open_local(folder, create=True)
    try:
        routes = create_app(registry, app._routes(registry)).routes
    finally:
        registry.close()
    for route in routes:
        for part in ("bob-scores", "unknown", "..%2f", "1"):
            yield route.method, re.sub(r"\{[^}]*\}", part, route.path)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("secrets")) as made:
        yield made


@promise("S7", "every route x {headers} ways to send a secret", headers=len(HEADERS), mutant="test_a_leak_is_seen")
def test_nothing_that_came_in_as_a_secret_comes_out(stage: Scene, tmp_path: Path) -> None:
    """IN-04. Each route gets each kind of secret; target parts, queries and bodies take turns."""
    found = []
    skipped = ("/fsck", "/gc")
    targets = sorted({each for each in _targets(tmp_path / "routes") if not each[1].endswith(skipped)})
    for number, (method, path) in enumerate(targets):
        query = QUERIES[number % len(QUERIES)]
        target = path + (f"?{query}" if query else "")
        body = BODIES[number % len(BODIES)] if method in ("POST", "PUT", "PATCH") else None
        answer = stage.server.ask(
            method, target, body, **HEADERS[number % len(HEADERS)], Content_Type="application/json"
        )
        found += [f"{method} {target}: {each}" for each in _leaks(answer.raw)]
        assert answer.status < 500 or answer.status == 501, (method, target, answer.raw)
    for text in BROKEN:
        raw = text.replace("{secret}", SECRETS["token"]).encode()
        found += [f"{text[:40]!r}: {each}" for each in _leaks(_abrupt(stage, raw)) if "/{secret}" not in text]
    assert found == []
    _nowhere_on_disk(stage)


def _abrupt(stage: Scene, raw: bytes) -> bytes:
    with stage.server.connect() as connection:
        connection.sendall(raw)
        connection.shutdown(socket.SHUT_WR)
        found = b""
        while piece := connection.recv(65_536):
            found += piece
    return found


def _nowhere_on_disk(stage: Scene) -> None:
    """Neither the log nor the database (rows, audit entries, request keys) nor any file has one."""
    for file in (stage.server.log, *stage.data.rglob("*")):
        if file.is_file() and not file.is_symlink():
            assert _leaks(file.read_bytes()) == [], file


def test_a_failure_of_ours_is_logged_without_what_was_sent(tmp_path: Path) -> None:
    """A bug's traceback names the route and the request's id, never target, header or body."""
    with live(tmp_path / "registry", mutant="always_fails") as server:
        token = SECRETS["token"]
        answer = server.ask("POST", "/api/v1/models", {"name": token}, Authorization=f"Bearer {token}", Cookie=token)
        assert answer.status == 500
        assert _leaks(answer.raw) == []
    log = server.log.read_bytes()
    assert b"Traceback" in log
    assert _leaks(log) == []


@pytest.mark.parametrize(
    ("arguments", "env"),
    [
        (["info"], {"GREENROOM_URL": "http://user:{pw}@127.0.0.1:9"}),
        (["info"], {"GREENROOM_URL": "http://user:{pw}@[::1"}),
        (["info"], {"GREENROOM_URL": "ftp://user:{pw}@host/x"}),
        (["info"], {"GREENROOM_URL": "http://user:{pw}@127.0.0.1:9/?token={pw}"}),
        (["info"], {"GREENROOM_URL": "http://user:{pw}@127.0.0.1:port/"}),
        (["info"], {"GREENROOM_URL": "http://user:{pw}@127.0.0.1:99999/"}),
        (["info"], {"GREENROOM_URL": "http://127.0.0.1:9", "GREENROOM_TOKEN": "{pw} x"}),
        (["--url", "http://user:{pw}@127.0.0.1:9", "info"], {}),
        (["info"], {"MLFLOW_REGISTRY_URI": "http://user:{pw}@127.0.0.1:9"}),
        (["server", "--data", "{tmp}/a", "--port", "0", "--database-url", "postgresql://u:{pw}@127.0.0.1:9/x"], {}),
        (["server", "--data", "{tmp}/a", "--port", "0", "--database-url", "postgresql://u:{pw}@127.0.0.1:x/x"], {}),
        (["server", "--data", "{tmp}/a", "--port", "0", "--database-url", "postgresql://u:{pw}@db.invalid/x"], {}),
        (["server", "--data", "{tmp}/a", "--port", "0", "--database-url", "host=127.0.0.1 password={pw} no=1"], {}),
        (["server", "--data", "{tmp}/a", "--port", "0", "--database-url", "mysql://u:{pw}@127.0.0.1/x"], {}),
        (["server", "--data", "{tmp}/a"], {"GREENROOM_DATABASE_URL": "postgresql://u:{pw}@127.0.0.1:9/x"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("debug", ["", "1"])
def test_commands_do_not_repeat_a_password(
    arguments: list[str], env: dict[str, str], debug: str, tmp_path: Path
) -> None:
    def fill(text: str) -> str:
        return text.replace("{pw}", SECRETS["password"]).replace("{tmp}", str(tmp_path))

    clean = {name: value for name, value in os.environ.items() if not name.startswith(("GREENROOM", "MLFLOW"))}
    done = subprocess.run(
        [sys.executable, "-m", "greenroom", *map(fill, arguments)],
        env=clean | {name: fill(value) for name, value in env.items()} | ({"GREENROOM_DEBUG": debug} if debug else {}),
        cwd=ROOT,
        capture_output=True,
        timeout=60,
    )
    assert done.returncode not in (0, 70)
    assert _leaks(done.stdout + done.stderr) == [], done.stderr


def test_a_leak_is_seen(tmp_path: Path) -> None:
    with live(tmp_path / "registry", mutant="echoes") as server:
        assert _leaks(server.ask("GET", "/api/v1/nothing", Authorization=f"Bearer {SECRETS['token']}").raw) == ["token"]
    assert _leaks(server.log.read_bytes()) == ["token"]
