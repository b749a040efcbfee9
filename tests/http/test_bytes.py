"""Bytes over HTTP, against a real server: what is refused, what is kept, and that wrong bytes never leave."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.digest import digest_of, hex_of
from greenroom.core.model import File
from greenroom.http import workshop
from greenroom.http.bytes import content_disposition
from greenroom.testing.blobs import put, sample
from tests.client.byteserver import Served, serving

API = "/api/v1"
MIB = 1 << 20
SMALL, LARGE = sample(1000), sample(3 * MIB + 5)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("server") / "blobs") as server:
        yield server


@pytest.fixture
def server(served: Served) -> Served:
    """The module's server, emptied."""
    for digest, _ in list(served.registry.blobs.digests()):
        served.registry.blobs.remove(digest)
    eventually(lambda: served.registry.blobs.sweep_staging(-1) == 0 and staged(served) == [])
    served.registry.stored.clear()
    served.registry.files.clear()
    return served


class Answer:
    """One answer, or as much of it as came."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status, self.headers = response.status, response.headers
        self.is_whole = True
        try:
            self.body = response.read()
        except http.client.IncompleteRead as exc:
            self.body, self.is_whole = exc.partial, False

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(server: Served, method: str, target: str, body: Any = None, **headers: str) -> Answer:
    """Send one request as it stands; `_` in a header's name is a dash."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    with contextlib.closing(connection):
        connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
        return Answer(connection.getresponse())


def blob(data: bytes) -> str:
    return f"{API}/blobs/sha256/{hashlib.sha256(data).hexdigest()}"


def staged(server: Served) -> list[str]:
    return sorted(each.name for each in (server.registry.blobs.root / "staging").iterdir())


# --- sending ---


@pytest.mark.parametrize("data", [b"", b"x", SMALL, LARGE])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_blob_is_stored_and_declared(server: Served, data: bytes, chunked: bool) -> None:
    body = iter([data[:7], data[7:]]) if chunked else data
    answer = ask(server, "PUT", blob(data), body)
    assert (answer.status, answer.json) == (
        201,
        {"digest": digest_of(data), "size_bytes": len(data), "received": len(data), "complete": True},
    )
    assert server.registry.stored == {digest_of(data): len(data)}
    assert server.registry.blobs.size(digest_of(data)) == len(data)
    assert ask(server, "PUT", blob(data), data).status == 201  # again: the same


@pytest.mark.parametrize("size", [0, 1, 1023])
def test_it_01_other_bytes_are_refused_and_nothing_is_kept(server: Served, size: int) -> None:
    answer = ask(server, "PUT", f"{API}/blobs/sha256/{'0' * 64}", sample(size))
    assert answer.status == 400
    assert "the bytes are not those of sha256:0000" in answer.json["detail"]
    assert (list(server.registry.blobs.digests()), server.registry.stored, staged(server)) == ([], {}, [])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (f"{API}/blobs/md5/d41d8cd98f00b204e9800998ecf8427e", 404),
        (f"{API}/blobs/sha1/da39a3ee5e6b4b0d3255bfef95601890afd80709", 404),
        (f"{API}/blobs/sha256/{hashlib.sha256(b'').hexdigest().upper()}", 400),
        (f"{API}/blobs/sha256/{'0' * 63}", 400),
        (f"{API}/blobs/sha256/{'0' * 65}", 400),
        (f"{API}/blobs/sha256/sha256:{'0' * 64}", 400),
        (f"{API}/blobs/sha256/..%2f..%2f{'0' * 58}", 400),
        (f"{API}/blobs/sha256/{'0' * 60}%D9%A1%D9%A1", 400),
    ],
)
def test_it_02_only_one_spelling_of_a_digest(server: Served, target: str, status: int) -> None:
    for method in ("PUT", "GET", "HEAD"):
        assert ask(server, method, target, b"" if method == "PUT" else None).status == status


@pytest.mark.parametrize(
    ("query", "headers", "status", "text"),
    [
        ("", {"Content_Encoding": "gzip"}, 415, "encoding 'gzip'"),
        ("", {"Content_Encoding": "identity"}, 201, None),
        ("?size=999", {}, 400, "more than the announced 999 bytes"),
        ("?size=1001", {}, 400, "1001 bytes were announced"),
        ("?size=-1", {}, 400, "`size` must be a number of bytes, got '-1'"),
        ("?size=%D9%A1", {}, 400, "`size` must be a number of bytes"),
        ("?size=99999999999999999999", {}, 400, "`size` must be a number of bytes"),
        ("?size=1000&size=1000", {}, 400, "'size' is given twice"),
        ("?sise=1000", {}, 400, "'sise' is unknown"),
        ("?offset=0", {}, 400, "an offset needs an upload id"),
        ("?upload=u", {}, 400, "`size` is missing"),
        ("?upload=U&size=1000", {}, 400, "'U' is not an upload id"),
        ("?upload=..%2fx&size=1000", {}, 400, "'../x' is not an upload id"),
        ("?upload=u&size=1000&offset=1", {}, 400, "1000 bytes from offset 1 on are more than the announced 1000"),
        ("?upload=u&size=1000", {}, 201, None),
    ],
)
def test_what_a_put_may_say(server: Served, query: str, headers: dict[str, str], status: int, text: str | None) -> None:
    answer = ask(server, "PUT", blob(SMALL) + query, SMALL, **headers)
    assert answer.status == status
    assert text is None or text in answer.json["detail"]
    assert staged(server) == []


def test_an_upload_in_parts(server: Served) -> None:
    target = f"{blob(LARGE)}?upload=u1&size={len(LARGE)}"
    first = ask(server, "PUT", target, LARGE[:MIB])
    assert (first.status, first.json["received"], first.json["complete"]) == (200, MIB, False)
    assert ask(server, "GET", f"{API}/uploads/u1").json == {"received": MIB, "active": False}
    assert server.registry.stored == {}
    for wrong in (0, MIB - 1, MIB + 1):
        answer = ask(server, "PUT", f"{target}&offset={wrong}", LARGE[wrong:])
        assert (answer.status, answer.json["details"]["received"]) == (409, MIB)
        assert f"Go on from offset {MIB}" in answer.json["hint"]
    last = ask(server, "PUT", f"{target}&offset={MIB}", LARGE[MIB:])
    assert (last.status, last.json["complete"]) == (201, True)
    assert server.registry.stored == {digest_of(LARGE): len(LARGE)}
    # The answer was lost, and the client asks again what became of it:
    again = ask(server, "PUT", f"{target}&offset={len(LARGE)}", b"")
    assert (again.status, again.json["complete"]) == (201, True)
    assert staged(server) == []


def test_an_upload_belongs_to_who_began_it(server: Served) -> None:
    target = f"{blob(SMALL)}?upload=u1&size=1000"
    assert ask(server, "PUT", target, SMALL[:10], X_Greenroom_Actor="ana").status == 200
    for actor, received in (("ana", 10), ("bob", 0)):
        assert ask(server, "GET", f"{API}/uploads/u1", X_Greenroom_Actor=actor).json["received"] == received
    assert ask(server, "PUT", f"{target}&offset=10", SMALL[10:], X_Greenroom_Actor="bob").status == 409
    assert ask(server, "PUT", f"{target}&offset=10", SMALL[10:], X_Greenroom_Actor="ana").status == 201


def test_wrong_bytes_end_an_upload_in_parts(server: Served) -> None:
    target = f"{blob(SMALL)}?upload=u1&size=1000"
    ask(server, "PUT", target, b"X" * 10)
    assert ask(server, "PUT", f"{target}&offset=10", SMALL[10:]).status == 400
    assert ask(server, "GET", f"{API}/uploads/u1").json["received"] == 0
    assert staged(server) == []


class Half:
    """A PUT whose client goes silent after some bytes."""

    def __init__(self, server: Served, target: str, announced: int, data: bytes) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        self.connection.putrequest("PUT", target)
        self.connection.putheader("Content-Length", str(announced))
        self.connection.endheaders(data)

    def close(self) -> None:
        self.connection.close()


def eventually(condition: Any) -> None:
    """Wait for another thread's doing: there is no event to wait for on this side of the wire."""
    tries = threading.Event()
    for _ in range(500):
        if condition():
            return
        tries.wait(0.01)
    raise AssertionError("it did not happen within 5 s")


@pytest.mark.parametrize("sent", [0, 1, 999, 700_000])
def test_a_lost_connection_keeps_what_can_be_resumed(server: Served, sent: int) -> None:
    data = sample(700_001)
    half = Half(server, f"{blob(data)}?upload=lost&size={len(data)}", len(data), data[:sent])
    question = f"{API}/uploads/lost"
    eventually(lambda: ask(server, "GET", question).json["active"])
    least = min(sent, 1) if sent > MIB // 2 else 0  # what waits for a whole batch may go down with the connection
    eventually(lambda: ask(server, "GET", question).json["received"] >= least)
    half.close()
    eventually(lambda: not ask(server, "GET", question).json["active"])
    received = ask(server, "GET", question).json["received"]
    assert least <= received <= sent
    assert server.registry.blobs.size(digest_of(data)) is None
    rest = ask(server, "PUT", f"{blob(data)}?upload=lost&size={len(data)}&offset={received}", data[received:])
    assert rest.status == 201


@pytest.mark.parametrize("sent", [0, 1, 700_000])
def test_a_lost_connection_drops_what_cannot_be_resumed(server: Served, sent: int) -> None:
    data = sample(700_001)
    half = Half(server, blob(data), len(data), data[:sent])
    eventually(lambda: len(staged(server)) == 1)
    half.close()
    eventually(lambda: staged(server) == [])
    assert list(server.registry.blobs.digests()) == []


def test_who_comes_back_takes_the_upload_over(server: Served) -> None:
    """The server has not noticed yet that the first connection is dead."""
    data = sample(2 * MIB)
    target = f"{blob(data)}?upload=again&size={len(data)}"
    dead = Half(server, target, len(data), data[:MIB])
    eventually(lambda: ask(server, "GET", f"{API}/uploads/again").json["received"])
    state = ask(server, "GET", f"{API}/uploads/again").json
    assert state["active"]
    assert ask(server, "PUT", f"{target}&offset={state['received']}", data[state["received"] :]).status == 201
    dead.close()
    server.registry.blobs.check(digest_of(data))


def test_uploads_at_once_are_bounded(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workshop, "MAX_UPLOADS", 3)
    halves = [Half(server, blob(SMALL), 1000, b"x") for _ in range(3)]
    eventually(lambda: len(staged(server)) == 3)
    answer = ask(server, "PUT", blob(b"abc"), b"abc")
    assert (answer.status, answer.json["code"], answer.json["details"]) == (
        429,
        "rate_limited",
        {"limit": "uploads", "maximum": 3},
    )
    for half in halves:
        half.close()
    eventually(lambda: ask(server, "PUT", blob(b"abc"), b"abc").status == 201)


def test_many_uploads_at_once(server: Served) -> None:
    datas = [sample(900_000 + index, seed=index + 1) for index in range(8)]
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda data=data: statuses.append(ask(server, "PUT", blob(data), data).status))
        for data in datas
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [201] * 8
    for data in datas:
        server.registry.blobs.check(digest_of(data))


# --- fetching ---


@pytest.mark.parametrize("data", [b"", b"x", SMALL, sample(MIB), sample(MIB + 1), LARGE])
def test_what_a_download_says_about_itself(server: Served, data: bytes) -> None:
    """BR-10: whatever the bytes are, a browser saves them and shows nothing."""
    put(server.registry.blobs, data)
    server.registry.files["page.html"] = File("page.html", digest_of(data), len(data))
    value = base64.b64encode(hashlib.sha256(data).digest()).decode()
    for target, name in (
        (blob(data), hex_of(digest_of(data))),
        (f"{API}/models/m/versions/1/files/page.html", "page.html"),
    ):
        for method in ("GET", "HEAD"):
            answer = ask(server, method, target)
            assert (answer.status, answer.body) == (200, data if method == "GET" else b"")
            said = {key.lower(): answer.headers[key] for key in answer.headers}
            assert said["content-length"] == str(len(data))
            assert said["etag"] == f'"{digest_of(data)}"'
            assert said["repr-digest"] == f"sha-256=:{value}:"
            assert said["content-type"] == "application/octet-stream"
            assert said["content-disposition"] == f"attachment; filename=\"{name}\"; filename*=UTF-8''{name}"
            assert said["x-content-type-options"] == "nosniff"
            assert said["content-security-policy"] == "sandbox; default-src 'none'"
            assert said["accept-ranges"] == "bytes"


LAST = len(LARGE) - 1


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=5-9", 5, 10),
        ("bytes=-5", LAST - 4, LAST + 1),
        (f"bytes={LAST}-", LAST, LAST + 1),
        (f"bytes={MIB - 1}-{MIB}", MIB - 1, MIB + 1),
        (f"bytes=1-{LAST}", 1, LAST + 1),
        (f"bytes=7-{2 * MIB + 100}", 7, 2 * MIB + 101),
        (f"bytes=3-{10 * LAST}", 3, LAST + 1),
    ],
)
def test_one_range(server: Served, asked: str, start: int, stop: int) -> None:
    put(server.registry.blobs, LARGE)
    answer = ask(server, "GET", blob(LARGE), Range=asked)
    assert (answer.status, answer.body == LARGE[start:stop]) == (206, True)
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(LARGE)}"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Range": "bytes=1000-"}, 416),
        ({"Range": "bytes=-0"}, 416),
        ({"Range": "bytes=5-4"}, 200),
        ({"Range": "bytes=-"}, 200),
        ({"Range": "bytes=a-b"}, 200),
        ({"Range": "lines=0-1"}, 200),
        ({"Range": "bytes=0-1,3-4"}, 200),
        ({"Range": "bytes=0-1", "If_Range": f'"{digest_of(SMALL)}"'}, 206),
        ({"Range": "bytes=0-1", "If_Range": '"another"'}, 200),
        ({"If_None_Match": f'"x", W/"{digest_of(SMALL)}"'}, 304),
        ({"If_None_Match": "*"}, 304),
        ({"If_None_Match": '"x"'}, 200),
    ],
)
def test_conditions(server: Served, headers: dict[str, str], status: int) -> None:
    put(server.registry.blobs, SMALL)
    answer = ask(server, "GET", blob(SMALL), **headers)
    assert answer.status == status
    if status == 416:
        assert answer.headers["content-range"] == "bytes */1000"
    if status == 200:
        assert answer.body == SMALL


@pytest.mark.parametrize(
    ("target", "status", "text"),
    [
        ("models/m/versions/1/files/absent", 404, "no snapshot_file"),
        ("models/m/versions/2/files/x", 404, "version 2 of 'm' is unpinned"),
        ("models/m/versions/x/files/x", 400, "must be an integer"),
        ("models/m/versions/%D9%A1/files/x", 400, "must be an integer"),
        ("models/m/versions/1/files/../../x", 400, None),
        ("models/m/versions/1/files/%2e%2e%2f%2e%2e%2fx", 400, None),
        ("models/m/versions/1/files/%252e%252e%252fx", 400, None),
        ("models/m/versions/1/files/..%5C..%5Cx", 400, None),
        ("models/m/versions/1/files/C:/Windows/win.ini", 400, "drive letter"),
        ("models/m/versions/1/files//127.0.0.1/share/x", 400, None),
        ("models/m/versions/1/files/a%23/x", 400, None),
        ("models/m/versions/1/files/a;/x", 400, None),
        ("models/m/versions/1/files/%c0%ae%c0%ae/x", 400, None),
        ("models/m/versions/1/files/%EF%BC%8E%EF%BC%8E/x", 400, None),
        ("models/m/versions/1/files/a%0d%0aSet-Cookie:%20x=1", 400, None),
        ("models/m/versions/1/files/" + "a/" * 5000 + "a", 400, None),
        (f"blobs/sha256/{'0' * 64}", 404, "no blob sha256:0000"),
    ],
)
def test_what_is_not_there_or_cannot_be(server: Served, target: str, status: int, text: str | None) -> None:
    answer = ask(server, "GET", f"{API}/{target}")
    assert answer.status == status
    assert text is None or text in answer.json["detail"]
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("model.bin", "attachment; filename=\"model.bin\"; filename*=UTF-8''model.bin"),
        ('a"b\\c;d%e', "attachment; filename=\"a_b_c_d_e\"; filename*=UTF-8''a%22b%5Cc%3Bd%25e"),
        ("a\r\nSet-Cookie: x", "attachment; filename=\"a__Set-Cookie: x\"; filename*=UTF-8''a%0D%0ASet-Cookie%3A%20x"),
        ("größe.bin", "attachment; filename=\"gr__e.bin\"; filename*=UTF-8''gr%C3%B6%C3%9Fe.bin"),
        ("", "attachment; filename=\"file\"; filename*=UTF-8''"),
    ],
)
def test_pt_25_a_name_cannot_leave_its_header(name: str, header: str) -> None:
    assert content_disposition(name) == header
    header.encode("ascii")


def damaged(server: Served, data: bytes, position: int) -> str:
    path = server.registry.blobs.path_of(put(server.registry.blobs, data))
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(position)
        file.write(bytes([data[position] ^ 1]))
    return blob(data)


@pytest.mark.parametrize("asked", [None, "bytes=0-9", "bytes=990-"])
@pytest.mark.parametrize("position", [0, 500, 999])
def test_it_04_a_small_blob_with_a_flipped_bit_is_an_error(
    server: Served, caplog: pytest.LogCaptureFixture, position: int, asked: str | None
) -> None:
    """The verdict comes before the first header, for a range too that does not hold the bit."""
    answer = ask(server, "GET", damaged(server, SMALL, position), **({"Range": asked} if asked else {}))
    assert (answer.status, answer.json["code"]) == (500, "integrity_failure")
    alerts = [record for record in caplog.records if record.name == "greenroom.integrity"]
    assert len(alerts) == 1
    assert alerts[0].levelname == "CRITICAL"
    assert digest_of(SMALL) in alerts[0].getMessage()


@pytest.mark.parametrize("asked", [None, f"bytes=0-{2 * MIB}", f"bytes={MIB}-"])
@pytest.mark.parametrize("position", [0, MIB, LAST])
def test_it_04_a_large_blob_with_a_flipped_bit_never_comes_whole(
    server: Served, caplog: pytest.LogCaptureFixture, position: int, asked: str | None
) -> None:
    answer = ask(server, "GET", damaged(server, LARGE, position), **({"Range": asked} if asked else {}))
    assert not answer.is_whole
    assert len(answer.body) <= int(answer.headers["content-length"]) - 1
    assert [record.name for record in caplog.records if record.levelname == "CRITICAL"] == ["greenroom.integrity"]


@pytest.mark.parametrize("spoil", [os.unlink, lambda path: os.truncate(path, 10)])
def test_a_registered_file_whose_blob_is_gone_is_an_integrity_failure(server: Served, spoil: Any) -> None:
    path = server.registry.blobs.path_of(put(server.registry.blobs, SMALL))
    server.registry.files["x"] = File("x", digest_of(SMALL), len(SMALL))
    path.chmod(0o600)
    spoil(path)
    answer = ask(server, "GET", f"{API}/models/m/versions/1/files/x")
    assert (answer.status, answer.json["code"]) == (500, "integrity_failure")


def test_a_download_that_nobody_waits_for_ends(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    data = sample(64 * MIB)
    put(server.registry.blobs, data)
    opened: list[Counted] = []

    def open_counted(digest: str) -> Counted:
        opened.append(Counted(server.registry.blobs.path_of(digest), "rb"))
        return opened[0]

    monkeypatch.setattr(server.registry.blobs, "open", open_counted)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("GET", blob(data))
    response = connection.getresponse()
    response.read(10)
    response.close()
    connection.close()
    eventually(lambda: opened[0].closed)
    assert opened[0].count < len(data) // 2


class Counted(FileIO):
    """A file that knows how much of it was read."""

    count = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size) or b""
        self.count += len(data)
        return data


_SERVER = """
import sys
from pathlib import Path
from tests.client.byteserver import serving
with serving(Path(sys.argv[1])) as server:
    print(server.port, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """256 MiB up and down through a server of its own, with what it holds at most looked at afterwards."""
    piece = sample(MIB)
    digest = hashlib.sha256()
    for _ in range(256):
        digest.update(piece)
    command = [sys.executable, "-c", _SERVER, str(tmp_path / "blobs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            server = Served(None, int(process.stdout.readline()))  # type: ignore[arg-type]
            assert ask(server, "PUT", blob(b"warm"), b"warm").status == 201
            before = _peak_kib(process.pid)
            target = f"{API}/blobs/sha256/{digest.hexdigest()}"
            assert ask(server, "PUT", target, iter([piece] * 256)).status == 201
            after_upload = _peak_kib(process.pid)
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
            with contextlib.closing(connection):
                connection.request("GET", target)
                response = connection.getresponse()
                while response.read(MIB):
                    pass
            after_download = _peak_kib(process.pid)
        finally:
            process.stdin.close()
    assert (after_upload - before) / 1024 < 32
    assert (after_download - before) / 1024 < 32


def _peak_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
