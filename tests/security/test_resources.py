"""S10: hostile and slow clients cost little, and others are answered meanwhile. A process with its real limits."""

from __future__ import annotations

import contextlib
import hashlib
import resource
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.core.limits import bound
from tests.promises import promise, sized
from tests.security.scene import Live, live

MIB = 1 << 20
RSS_BYTES = 64 * MIB
CPU_S = 2.0
HEALTH_S = 1.0
SLOW = sized(200, 1000)
MANY = sized(1200, 1900)
LARGE = bytes(range(256)) * (32 * MIB // 256)
PLACE = f"/api/v1/blobs/sha256/{hashlib.sha256(LARGE).hexdigest()}"


@pytest.fixture(scope="module", autouse=True)
def many_files() -> Iterator[None]:
    """This process holds the other ends of all connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 8192 if hard == resource.RLIM_INFINITY else min(8192, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted) if soft != resource.RLIM_INFINITY else soft, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("resources") / "registry") as running:
        assert running.ask("PUT", PLACE, LARGE).status == 201
        assert running.ask("GET", PLACE).status == 200  # threads and buffers that stay are there before anything counts
        yield running


class Watch:
    """What an attack costs the server, and how long `/health` takes meanwhile."""

    def __init__(self, server: Live, *, cpu_s: float = CPU_S, rss: int = RSS_BYTES, health_s: float = HEALTH_S) -> None:
        self._server, self._cpu_limit_s, self._rss_limit, self._health_limit_s = server, cpu_s, rss, health_s
        self.health: list[float] = []
        self._spun_s, self._spun_cpu_s = 0.0, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._probe)

    def _probe(self) -> None:
        self.health.append(self._server.health_s())
        while not self._ended.wait(0.02):
            self.health.append(self._server.health_s())
            self._spin()

    def _spin(self) -> None:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        while time.thread_time() - began_cpu_s < 0.002:
            pass
        self._spun_s += time.perf_counter() - began_s
        self._spun_cpu_s += time.thread_time() - began_cpu_s

    def _crowding(self) -> float:
        """Return how many times longer than its processor time anything takes here and now: others are at work too."""
        return max(1.0, self._spun_s / self._spun_cpu_s) if self._spun_cpu_s else 1.0

    def __enter__(self) -> Watch:
        self._server.forget_peak()
        self._rss, self._cpu_s = self._server.rss(), self._server.cpu_s()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        self._ended.set()
        self._thread.join(20)
        if kind is None:
            worst = sorted(self.health)[int(len(self.health) * 0.99)]
            cost = (worst, self._server.cpu_s() - self._cpu_s, (self._server.peak() - self._rss) / MIB)
            crowding = self._crowding()
            print(f"health p99 {cost[0]:.3f} s (x{crowding:.1f}), processor {cost[1]:.2f} s, {cost[2]:.1f} MiB")
            assert cost[0] < self._health_limit_s * crowding, (cost, crowding)
            assert cost[1] < self._cpu_limit_s + 0.004 * len(self.health), cost
            assert cost[2] * MIB <= self._rss_limit, cost


@contextlib.contextmanager
def crowd(server: Live, count: int, data: bytes = b"", *, small: bool = False) -> Iterator[list[socket.socket]]:
    """Open connections that have sent `data`; `small` ones take few bytes of an answer."""
    opened: list[socket.socket] = []
    try:
        for _ in range(count):
            connection = socket.socket()
            connection.settimeout(20)
            if small:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.connect(server.address)
            opened.append(connection)
            if data:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(data)
        yield opened
    finally:
        for connection in opened:
            connection.close()


def closed(connections: list[socket.socket]) -> list[int]:
    """Return the positions of those that the server has closed or answered."""
    poll = select.poll()
    at = {connection.fileno(): number for number, connection in enumerate(connections)}
    for number in at:
        poll.register(number, select.POLLIN)
    return sorted(at[number] for number, _ in poll.poll(0))


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def everything(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(1 << 16):
            found += piece
    return found


@promise(
    "S10",
    "{slow} heads byte by byte, {many} silent connections, {many} that do not read, and 9 more",
    slow=SLOW,
    many=MANY,
    mutant="test_an_unbounded_server_is_caught",
)
def test_slow_heads(server: Live) -> None:
    """DO-16: one byte a second each; all are told 408 when their time is over, and nobody else notices."""
    text = b"GET /api/v1/models HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
    with Watch(server), crowd(server, SLOW) as clients:
        end = time.monotonic() + bound("head_time") + 8
        for byte in range(bound("head_time") + 2):
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.sendall(text[byte : byte + 1])
            if len(closed(clients)) == SLOW or time.monotonic() > end:
                break
            select.select([], [], [], 1.0)
        until(lambda: len(closed(clients)) == SLOW)
        answers = [everything(client) for client in clients]
    assert {answer[9:12] for answer in answers} == {b"408"}
    assert all(b"10 s" in answer and b"head_time" in answer for answer in answers)


def test_silent_connections(server: Live) -> None:
    """Those that came first and say nothing go; whoever comes last is let in at once."""
    most = bound("silent_connections")
    with Watch(server), crowd(server, MANY) as clients:
        until(lambda: len(closed(clients)) >= MANY - most)
        gone = closed(clients)
        assert gone[: MANY - most] == list(range(MANY - most))
        assert server.ask("GET", "/api/v1/models").status == 200
        last = clients[-1]
        last.sendall(server.request("GET", "/health", Connection="close"))
        assert b" 200 " in everything(last)


def test_too_many_connections_are_told(server: Live) -> None:
    """A head that had begun is told why it has to go."""
    with crowd(server, 1, b"GET /he") as first, crowd(server, bound("silent_connections")):
        answer = everything(first[0])
    assert answer.startswith(b"HTTP/1.1 429 ")
    assert b"retry-after: " in answer
    assert str(bound("connections")).encode() in answer


def test_downloads_that_nobody_reads(server: Live) -> None:
    """Memory stays bounded, more than a number of them are told 429, and a reader that reads gets its bytes."""
    request = server.request("GET", PLACE, Connection="close")
    # A thousand answers at the same time are work, not idleness: the machine is shared with the clients here.
    with Watch(server, cpu_s=20.0, rss=RSS_BYTES + 16 * MIB, health_s=10.0), crowd(server, 1, request) as reading:
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(everything(reading[0])))
        reader.start()
        with crowd(server, MANY, request, small=True) as clients:
            until(lambda: len(closed(clients)) >= MANY)
            starts = [client.recv(12) for client in clients]
        reader.join(60)
    assert got[0].endswith(LARGE[-1000:])
    statuses = {start[9:12] for start in starts if start}
    assert statuses == {b"200", b"429"}
    assert sum(start[9:12] == b"200" for start in starts) <= bound("downloads")


def test_pages_that_nobody_reads(server: Live) -> None:
    """A page is bounded, and so are all pages together that wait for their readers."""
    for number in range(100):
        description = "d" * 99_000
        body = {"name": f"wordy-{number}", "description": description}
        assert server.ask("POST", "/api/v1/models", body).status in (200, 409)
    page = server.ask("GET", "/api/v1/models?page_size=1000")
    assert bound("page_bytes") <= len(page.body) < bound("page_bytes") + 200_000
    assert page.json["next_page_token"]
    request = server.request("GET", "/api/v1/models?page_size=1000", Connection="keep-alive")
    with Watch(server, cpu_s=30.0, rss=3 * RSS_BYTES), crowd(server, 60, request, small=True) as clients:
        until(lambda: len(closed(clients)) == len(clients))


def test_requests_sent_ahead(server: Live) -> None:
    """A hundred thousand requests in one go: as many as are allowed are kept, then the connection ends."""
    request = server.request("GET", "/api/v1/models/none", Connection="keep-alive")
    with Watch(server):
        answers = server.send([request * 1000] * 100)
    assert 1 <= answers.answers <= bound("pipeline") + 1


def test_requests_sent_ahead_within_the_limit(server: Live) -> None:
    request = server.request("GET", "/health", Connection="keep-alive")
    last = server.request("GET", "/version", Connection="close")
    assert server.send(request * (bound("pipeline") - 2) + last).raw.count(b"HTTP/1.1 200 ") == bound("pipeline") - 1


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("/api/v1/models", {400, 413, 408}),
        ("/api/2.0/mlflow/registered-models/create", {400, 413, 408}),
        (PLACE, {400}),
    ],
)
def test_tiny_chunks(server: Live, target: str, wrong: set[int]) -> None:
    """Two bytes a chunk, for ever: bounded as a body, bounded in memory as an upload."""
    method = "PUT" if target == PLACE else "POST"
    head = server.request(method, target, b"", Transfer_Encoding="chunked", Content_Type="application/json")
    chunks = [b"2\r\nab\r\n" * 10_000] * 60 + [b"0\r\n\r\n"]
    with Watch(server, cpu_s=6.0):
        assert server.send([head, *chunks]).status in wrong


@pytest.mark.parametrize(
    "tail", [b"1;" + b"x" * 65_536, b"0\r\n" + b"X-T: " + b"y" * 65_536, b"0\r\nX-A: b\r\n" + b"X-A: b\r\n" * 9000]
)
def test_a_body_of_nothing_but_framing(server: Live, tail: bytes) -> None:
    """Chunk extensions and trailers without end are cut off like headers without end."""
    head = server.request("POST", "/api/v1/models", b"", Transfer_Encoding="chunked", Content_Type="application/json")
    with Watch(server):
        answer = server.send([head, tail, *[b"z" * 65_536] * 400])
    assert answer.status in (400, 431)


def test_bodies_held_at_once(server: Live) -> None:
    """Many bodies that stop one byte before their end: those over the bound are told 429, others go on."""
    size = bound("body") - 1
    head = server.request("POST", "/api/v1/models", Content_Length=str(size), Content_Type="application/json")
    with Watch(server, rss=RSS_BYTES * 2, cpu_s=8.0), crowd(server, 100, head + b" " * (size - 1)) as clients:
        refused = closed(clients)
        until(lambda: len(closed(clients)) >= 30)
        refused = closed(clients)
        answers = [clients[number].recv(4096) for number in refused]
        assert server.ask("GET", "/api/v1/models?page_size=1").status == 200
    assert {answer[9:12] for answer in answers} == {b"429"}
    assert all(str(bound("bodies")).encode() in answer for answer in answers)


def test_slow_uploads(server: Live) -> None:
    """As many as there are places may dawdle; the next is told, and the places come back when they leave."""
    most = bound("uploads")
    digest = hashlib.sha256(b"slow").hexdigest()
    head = server.request("PUT", f"/api/v1/blobs/sha256/{digest}", Content_Length="4")
    with Watch(server), crowd(server, most, head + b"s") as clients:
        until(lambda: server.ask("PUT", f"/api/v1/blobs/sha256/{digest}", b"slow").status == 429)
        told = server.ask("PUT", f"/api/v1/blobs/sha256/{digest}", b"slow")
        assert (told.status, told.json["details"]) == (429, {"limit": "uploads", "maximum": most})
        assert told.header("retry-after") is not None
        assert closed(clients) == []
    until(lambda: server.ask("PUT", f"/api/v1/blobs/sha256/{digest}", b"slow").status == 201)


def test_few_file_descriptors(tmp_path: Path) -> None:
    """Out of descriptors the server neither ends nor spins; who is there is served, and later everybody."""
    with live(tmp_path / "registry", files=96) as server:
        with crowd(server, 300):
            began, cpu_s = time.monotonic(), server.cpu_s()
            select.select([], [], [], 1.0)
            assert server.cpu_s() - cpu_s < 0.5 * (time.monotonic() - began)
            assert server.health_s() < HEALTH_S
        assert server.ask("GET", "/api/v1/models").status == 200
    assert "Traceback" not in server.log.read_text()


def test_an_unbounded_server_is_caught(tmp_path: Path) -> None:
    with live(tmp_path / "registry", mutant="unbounded") as server:
        with crowd(server, MANY) as clients:
            assert server.ask("GET", "/health").status == 200
            assert closed(clients) == []
        request = server.request("GET", "/api/v1/models/none", Connection="keep-alive")
        last = server.request("GET", "/health")
        assert server.send([request * 1000, last]).answers > bound("pipeline") + 1
