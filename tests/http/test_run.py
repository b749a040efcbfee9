"""The server process: how it listens, how long it waits for a client, how it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest
from starlette.requests import Request as HTTPRequest
from starlette.responses import PlainTextResponse, Response

from greenroom.core.errors import InvalidInput
from greenroom.http import connections, guards, run
from greenroom.http.routing import Route, Wire
from tests.http.serving import Running, running

SCRIPT = """
import sys
from greenroom.http import asgi, run, service
run.serve(asgi.create_app(None, service.routes(None)), host=sys.argv[1], port=int(sys.argv[2]),
          on_ready=lambda url: print(url, flush=True))
print("closed", flush=True)
"""


def start(host: str = "127.0.0.1", port: int = 0) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, host, str(port)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGTERM, id="SIGTERM"), pytest.param(signal.SIGINT, id="SIGINT")]
)
def test_a_stop_signal_ends_it_cleanly(number: signal.Signals) -> None:
    with start() as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        host, port = url.removeprefix("http://").split(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=20)
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b"OK"  # an idle connection must not keep it up
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=20)
        connection.close()
    assert (process.returncode, out, err) == (0, "closed\n", "")


def test_a_port_in_use_is_one_clear_sentence() -> None:
    taken = run.listen("127.0.0.1", 0)
    taken.listen()
    port = taken.getsockname()[1]
    try:
        with pytest.raises(InvalidInput) as caught:
            run.listen("127.0.0.1", port)
    finally:
        taken.close()
    assert caught.value.message == f"cannot listen on 127.0.0.1 port {port}: another process listens there."
    assert caught.value.hint == "Choose another --port, or --port 0 for any free one."


def test_an_open_server_stays_on_loopback() -> None:
    with pytest.raises(InvalidInput, match="does not listen on"):
        run.serve(None, host="0.0.0.0", port=0, on_ready=print)


def test_the_url_of_a_listener() -> None:
    with run.listen("localhost", 0) as listener:
        assert listener.family == socket.AF_INET
        assert run.url_of("localhost", listener) == f"http://localhost:{listener.getsockname()[1]}"
        assert run.url_of("::1", listener).startswith("http://[::1]:")


def test_answers_are_not_held_back() -> None:
    with run.listen("127.0.0.1", 0) as listener:
        assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert listener.proto == socket.IPPROTO_TCP


# --- slow and greedy clients ---


@pytest.fixture(params=[False, True], ids=["httptools", "h11"])
def impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(connections, "HEAD_TIME_S", 0.2)
    with running(pure_python=request.param) as server:
        yield server


def test_a_slow_head_is_cut_off(impatient: Running) -> None:  # vector DO-16
    assert impatient.raw(b"GET /health HTTP/1.1\r\nHost: loc").startswith(b"HTTP/1.1 408 ")


def test_a_second_slow_head_is_cut_off(impatient: Running) -> None:
    with socket.create_connection(impatient.address, timeout=20) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 " in _until(connection, b"\r\n\r\nOK")
        connection.sendall(b"GET /hea")
        assert _until(connection, None).startswith(b"HTTP/1.1 408 ")


def test_silence_is_closed_without_a_word(impatient: Running) -> None:
    assert impatient.raw(b"") == b""


def test_a_body_that_goes_on_after_its_refusal_is_cut_off(impatient: Running) -> None:
    head = b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\nx"
    with socket.create_connection(impatient.address, timeout=20) as connection:
        connection.sendall(head)
        assert b" 413 " in _until(connection, b"}")
        connection.sendall(b"more")
        assert b"HTTP/1.1" not in _until(connection, None)


def test_a_body_that_stays_away_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "BODY_IDLE_S", 0.1)
    head = b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with running() as server, socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(head + b'Content-Length: 99\r\n\r\n{"name"')
        found = _until(connection, b"}")
    assert b"HTTP/1.1 408 " in found
    assert b"Of the body nothing arrived for" in found


def _until(connection: socket.socket, mark: bytes | None) -> bytes:
    """Return what comes up to `mark` (None: until the server closes)."""
    found = b""
    while mark is None or mark not in found:
        piece = connection.recv(65_536)
        if not piece:
            assert mark is None, found
            break
        found += piece
    return found


@pytest.mark.parametrize("pure_python", [False, True], ids=["httptools", "h11"])
def test_endless_headers(pure_python: bool) -> None:
    with running(pure_python=pure_python) as server:
        many = b"".join(b"X-%d: %s\r\n" % (number, b"x" * 1000) for number in range(400))
        answer = server.raw(b"GET /health HTTP/1.1\r\nHost: localhost\r\n" + many)
    assert answer.split(b" ")[1] in (b"400", b"431")


# --- stopping with work in hand ---


@pytest.mark.parametrize("pure_python", [False, True], ids=["httptools", "h11"])
def test_requests_in_flight_are_finished(pure_python: bool) -> None:
    entered, go = threading.Event(), threading.Event()

    async def slow(request: HTTPRequest) -> Response:
        import asyncio

        entered.set()
        await asyncio.to_thread(go.wait, 20)
        return PlainTextResponse("done")

    answers: list[bytes] = []
    with running(Route("GET", "/slow", "public", slow, Wire.PLAIN), pure_python=pure_python) as server:
        asking = threading.Thread(target=lambda: answers.append(server.ask("GET", "/slow").body))
        asking.start()
        assert entered.wait(20)
        server.stop()
        while _accepts(server.address):
            pass
        go.set()
        asking.join(20)
    assert answers == [b"done"]


def test_a_request_that_hangs_is_cut_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    head = b"POST /api/v1/models HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with running(stop_timeout_s=0.1) as server, socket.create_connection(server.address, timeout=20) as connection:
        connection.sendall(head + b"Content-Length: 99\r\nExpect: 100-continue\r\n\r\n")
        assert b"100 Continue" in _until(connection, b"\r\n\r\n")
        server.stop()
        assert b"name" not in _until(connection, None)
    assert "Traceback" not in caplog.text
    assert "CancelledError" not in caplog.text


def _accepts(address: tuple[str, int]) -> bool:
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True
