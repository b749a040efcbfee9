"""Multipart upload and presigned download, as clients ask for them and as nobody should: over plain HTTP."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from greenroom.core import presigned
from greenroom.http import mlflow_multipart as multipart
from tests.promises import sized
from tests.races.kit import SEED, Server, serving

FILES = "/api/2.0/mlflow-artifacts"
NO_LEASE = 301
ROUNDS = sized(20, 500)


class Wire:
    """One connection after the other to a server."""

    def __init__(self, server: Server, data: Path) -> None:
        self.server, self.data = server, data

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, bytes, Any]:
        connection = http.client.HTTPConnection(*self.server.address, timeout=30)
        try:
            if isinstance(body, dict):
                body, headers = json.dumps(body).encode(), {"Content-Type": "application/json", **headers}
            connection.request(method, target, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read(), answer.headers
        finally:
            connection.close()

    def post(self, step: str, folder: str, **body: Any) -> tuple[int, Any]:
        status, answer, _ = self.ask("POST", f"{FILES}/mpu/{step}/{quote(folder)}", body)
        return status, json.loads(answer)

    def create(self, folder: str, path: str, parts: int) -> tuple[str, list[str]]:
        status, made = self.post("create", folder, path=path, num_parts=parts)
        assert status == 200, made
        assert [each["part_number"] for each in made.get("credentials", [])] == list(range(1, parts + 1))
        assert all(each["url"].startswith(f"{self.server.url}{FILES}/mpu/parts/") for each in made["credentials"])
        return made["upload_id"], [each["url"].removeprefix(self.server.url) for each in made["credentials"]]

    def put(self, url: str, data: bytes) -> str:
        status, answer, headers = self.ask("PUT", url, data)
        assert status == 200, answer
        assert headers["etag"] == f'"{hashlib.sha256(data).hexdigest()}"'
        return str(headers["etag"])

    def get(self, path: str) -> bytes | None:
        status, answer, _ = self.ask("GET", f"{FILES}/artifacts/{quote(path)}")
        assert status in (200, 404), answer
        return answer if status == 200 else None

    def staged(self) -> list[str]:
        return sorted(path.name for path in (self.data / "blobs" / "staging").iterdir())

    def left(self, url: str) -> list[str]:
        """Return what is staged of the upload that an address belongs to, without its name."""
        key = url.split("/")[-2]
        return [name.rpartition("-")[2] for name in self.staged() if key in name]

    def marker(self, url: str) -> Path:
        return self.data / "blobs" / "staging" / f"mp-{url.split('/')[-2]}-open"


def listed(etags: list[str]) -> list[dict[str, Any]]:
    return [{"part_number": number, "etag": etag, "url": "unused"} for number, etag in enumerate(etags, 1)]


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    data = tmp_path_factory.mktemp("multipart") / "data"
    with serving(data) as server:
        yield Wire(server, data)


@pytest.mark.parametrize(
    ("path", "name"),
    [("big.bin", "big.bin"), ("/home/ana/with space ü.bin", "with space ü.bin"), ("C:\\models\\w.bin", "w.bin"),
     ("\\\\host\\share\\v.bin", "v.bin"), ("100%", "100%")],
)  # fmt: skip
def test_parts_in_any_order_are_the_file(wire: Wire, path: str, name: str) -> None:
    data = [os.urandom(size) for size in (70_000, 70_000, 12_345, 0, 1)]
    upload, urls = wire.create("any/order", path, len(data))
    order = list(range(len(data)))
    random.Random(SEED).shuffle(order)
    etags = [""] * len(data)
    for at in order:
        etags[at] = wire.put(urls[at], data[at])
    assert wire.get(f"any/order/{name}") is None  # nothing is seen before it is complete
    parts = listed(etags)[::-1]
    for _ in range(2):  # the answer got lost, and the client asks again
        assert wire.post("complete", "any/order", path=path, upload_id=upload, parts=parts) == (200, {})
    assert wire.get(f"any/order/{name}") == b"".join(data)
    assert wire.left(urls[0]) == ["done"]


def test_no_parts_are_an_empty_file(wire: Wire) -> None:
    status, made = wire.post("create", "none", path="empty", num_parts=0)
    assert (status, made["credentials"]) == (200, [])
    assert wire.post("complete", "none", path="empty", upload_id=made["upload_id"], parts=[]) == (200, {})
    assert wire.get("none/empty") == b""


def test_a_part_is_sent_again(wire: Wire) -> None:
    upload, urls = wire.create("again", "f", 2)
    for data in (b"first", b"first", b"second"):
        etag = wire.put(urls[0], data)
    other = wire.put(urls[1], b"!")
    stale = f'"{hashlib.sha256(b"first").hexdigest()}"'
    status, answer = wire.post("complete", "again", path="f", upload_id=upload, parts=listed([stale, other]))
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
    assert "part 1" in answer["message"]
    assert wire.get("again/f") is None
    assert wire.post("complete", "again", path="f", upload_id=upload, parts=listed([etag, other])) == (200, {})
    assert wire.get("again/f") == b"second!"


def test_a_part_that_was_cut_is_not_there(wire: Wire) -> None:
    upload, urls = wire.create("cut", "f", 2)
    first = wire.put(urls[0], b"whole")
    connection = http.client.HTTPConnection(*wire.server.address)
    connection.putrequest("PUT", urls[1])
    connection.putheader("Content-Length", "100000")
    connection.endheaders()
    connection.send(b"x" * 5000)
    connection.close()
    until = time.monotonic() + 20
    while [name for name in wire.staged() if name.startswith("whole-")]:
        assert time.monotonic() < until
    status, answer = wire.post("complete", "cut", path="f", upload_id=upload, parts=listed([first, first]))
    assert (status, "1 did not arrive, the first of them is part 2" in answer["message"]) == (400, True), answer
    again = wire.put(urls[1], b" again")
    assert wire.post("complete", "cut", path="f", upload_id=upload, parts=listed([first, again])) == (200, {})
    assert wire.get("cut/f") == b"whole again"


def test_a_part_that_was_cut_has_its_place_again(wire: Wire) -> None:
    upload, urls = wire.create("cut", "g", 2)
    body = b"y" * 100_000
    connection = http.client.HTTPConnection(*wire.server.address)
    connection.putrequest("PUT", urls[0])
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders()
    connection.send(b"x" * 5000)
    until = time.monotonic() + 20
    while "in1" not in wire.left(urls[0]):
        assert time.monotonic() < until
    connection.close()
    while "in1" in wire.left(urls[0]):
        assert time.monotonic() < until
    etags = [wire.put(url, body) for url in urls]
    assert wire.left(urls[0]) == ["2", "at100000", "in1", "open"]
    assert wire.post("complete", "cut", path="g", upload_id=upload, parts=listed(etags)) == (200, {})
    assert wire.get("cut/g") == body * 2


def test_abort_leaves_nothing(wire: Wire) -> None:
    upload, urls = wire.create("gone", "f", 3)
    etags = [wire.put(url, b"x") for url in urls]
    assert wire.post("abort", "gone", path="f", upload_id=upload) == (200, {})
    assert wire.left(urls[0]) == []
    assert wire.post("abort", "gone", path="f", upload_id=upload) == (200, {})
    status, answer, _ = wire.ask("PUT", urls[0], b"late")
    assert (status, json.loads(answer)["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")
    assert wire.post("complete", "gone", path="f", upload_id=upload, parts=listed(etags))[0] == 404
    assert (wire.left(urls[0]), wire.get("gone/f")) == ([], None)


def test_abort_and_parts_at_once(wire: Wire) -> None:
    """A part that arrives while the upload is aborted is not left behind, whoever is faster."""
    for number in range(ROUNDS):
        upload, urls = wire.create("race", f"f{number}", 3)
        gate = threading.Barrier(4)

        def send(url: str, gate: threading.Barrier = gate) -> None:
            gate.wait()
            assert wire.ask("PUT", url, b"x" * 100)[0] in (200, 404)

        threads = [threading.Thread(target=send, args=(url,)) for url in urls]
        for each in threads:
            each.start()
        gate.wait()
        assert wire.post("abort", "race", path=f"f{number}", upload_id=upload)[0] == 200
        for each in threads:
            each.join()
        assert wire.left(urls[0]) == []


def changed(url: str, name: str, value: str) -> str:
    return re.sub(f"{name}=[^&]*", f"{name}={value}", url)


@pytest.mark.parametrize(
    "fault", ["part", "upload", "until", "seal", "no seal", "no until", "other", "long ago", "path"]
)
def test_an_address_holds_for_one_part_of_one_upload(wire: Wire, fault: str) -> None:
    _, urls = wire.create("sealed", "f", 2)
    _, others = wire.create("sealed", "g", 2)
    key, other = urls[0].split("/")[-2], others[0].split("/")[-2]
    until = re.search("until=([0-9]+)", urls[0])
    assert until is not None
    wrong = {
        "part": urls[0].replace("/1?", "/2?"),
        "upload": urls[0].replace(key, other),
        "until": changed(urls[0], "until", str(int(until[1]) + 1)),
        "seal": changed(urls[0], "seal", "A" * 43),
        "no seal": urls[0].partition("&")[0],
        "no until": changed(urls[0], "until", ""),
        "other": urls[0].partition("?")[0] + "?" + others[0].partition("?")[2],
        "long ago": changed(urls[0], "until", "1"),
        "path": urls[0].replace(key, "..%2f" + key[:10]),
    }[fault]
    status, answer, _ = wire.ask("PUT", wrong, b"evil")
    assert status in (400, 403, 404), answer
    assert wire.left(urls[0]) == wire.left(others[0]) == ["open"]


def test_an_upload_that_stands_still_is_over(wire: Wire) -> None:
    """Five minutes after the last part the addresses are worth nothing, though they would hold for a day."""
    upload, urls = wire.create("still", "f", 2)
    old = time.time() - NO_LEASE
    os.utime(wire.marker(urls[0]), (old, old))
    status, answer, _ = wire.ask("PUT", urls[0], b"x")
    assert (status, json.loads(answer)["error_code"]) == (403, "PERMISSION_DENIED")
    assert "no part of the upload arrived for 300 s" in json.loads(answer)["message"]
    recent = time.time() - NO_LEASE + 20
    os.utime(wire.marker(urls[0]), (recent, recent))
    wire.put(urls[0], b"x")  # a part that arrives keeps the others' addresses alive
    assert time.time() - wire.marker(urls[0]).stat().st_mtime < 60
    assert wire.post("abort", "still", path="f", upload_id=upload)[0] == 200


def test_another_actor_or_path_reaches_nothing(wire: Wire) -> None:
    upload, urls = wire.create("mine", "f", 1)
    etag = wire.put(urls[0], b"x")
    body = {"path": "f", "upload_id": upload, "parts": listed([etag])}
    for folder, more in (("mine", {"X-Greenroom-Actor": "mallory"}), ("yours", {}), ("snapshots", {})):
        assert wire.ask("POST", f"{FILES}/mpu/complete/{folder}", body, **more)[0] in (403, 404)
        assert wire.ask("POST", f"{FILES}/mpu/abort/{folder}", body, **more)[0] in (200, 403)
    assert wire.left(urls[0]) == ["1", "open"]
    assert wire.post("complete", "mine", **body) == (200, {})


@pytest.mark.parametrize(
    ("folder", "path", "status"),
    [
        ("a/../b", "f", 400), ("a", "..", 400), ("a", ".", 400), ("%2e%2e", "f", 400), ("a", "x\x00", 400),
        ("a", "a/b/", 400), ("snapshots/" + "0" * 64, "f", 403), ("a", "x" * 300, 400), ("a", "", 400),
        ("file-here", "f", 400), ("file-here/deeper", "f", 400), ("", "folder-here", 400),
    ],
)  # fmt: skip
def test_places_where_no_file_can_be_are_said_before_anything_is_sent(
    wire: Wire, folder: str, path: str, status: int
) -> None:
    wire.ask("PUT", f"{FILES}/artifacts/file-here", b"x")
    wire.ask("PUT", f"{FILES}/artifacts/folder-here/f", b"x")
    before = wire.staged()
    assert wire.post("create", folder, path=path, num_parts=1)[0] == status
    assert wire.staged() == before


@pytest.mark.parametrize("count", [-1, multipart.MOST_PARTS + 1, 1 << 62])
def test_too_many_parts_make_clients_send_the_file_whole(wire: Wire, count: int) -> None:
    status, answer = wire.post("create", "many", path="f", num_parts=count)
    assert (status, answer["error_code"]) == (501, "NOT_IMPLEMENTED")
    assert answer["message"].startswith("Multipart upload is not supported for the current artifact repository")


def test_as_many_parts_as_there_may_be(wire: Wire) -> None:
    upload, urls = wire.create("many", "f", multipart.MOST_PARTS)
    parts = listed(['"' + "0" * 64 + '"'] * len(urls))
    for each, url in zip(parts, urls, strict=True):
        each["url"] = wire.server.url + url
    status, answer = wire.post("complete", "many", path="f", upload_id=upload, parts=parts)  # it fits into a body
    assert (status, "10000 did not arrive" in answer["message"]) == (400, True)
    assert wire.post("abort", "many", path="f", upload_id=upload)[0] == 200


GOOD = '"' + "0" * 64 + '"'


@pytest.mark.parametrize(
    "parts",
    [
        None, [], {}, "x", [1], [None], [{}], listed([GOOD]), listed([GOOD] * 3), listed([GOOD, "x"]),
        listed([GOOD, ""]), listed([GOOD, GOOD.upper().replace("0", "A")]),
        [*listed([GOOD]), {"part_number": 1, "etag": GOOD}], [{"part_number": n, "etag": GOOD} for n in (0, 1)],
        [{"part_number": n, "etag": GOOD} for n in (True, 2)], [{"part_number": n, "etag": GOOD} for n in (1.5, 2)],
        [{"part_number": n, "etag": GOOD} for n in ("٢", 1)], [{"part_number": n, "etag": 5} for n in (1, 2)],
        [{"part_number": n, "etag": GOOD} for n in (1, 10**30)], [{"part_number": n, "etag": GOOD} for n in (None, 1)],
    ],
)  # fmt: skip
def test_lists_of_parts_that_cannot_be(wire: Wire, parts: Any) -> None:
    upload, urls = wire.create("lists", "f", 2)
    for url in urls:
        wire.put(url, b"x")
    status, answer = wire.post("complete", "lists", path="f", upload_id=upload, parts=parts)
    assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE"), answer
    assert wire.left(urls[0]) == ["2", "at1", "in1", "open"]


def test_what_nobody_goes_on_with_is_collected(wire: Wire) -> None:
    upload, urls = wire.create("left", "f", 2)
    etag = wire.put(urls[0], b"x")
    _, others = wire.create("goes on", "f", 2)
    wire.put(others[0], b"x")
    assert wire.ask("POST", "/api/v1/gc", {"grace_s": 0})[0] == 200
    assert wire.left(urls[0]) == wire.left(others[0]) == ["at1", "in1", "open"]  # whatever the grace, it goes on
    etags = [etag, wire.put(urls[1], b"y")]
    assert wire.post("complete", "left", path="f", upload_id=upload, parts=listed(etags)) == (200, {})
    assert wire.get("left/f") == b"xy"
    old = time.time() - 25 * 3600
    os.utime(wire.marker(others[0]), (old, old))
    assert wire.ask("POST", "/api/v1/gc", {})[0] == 200
    assert wire.left(others[0]) == []


def test_collecting_without_grace_while_files_are_sent(wire: Wire) -> None:
    """What is not named yet may be taken away at once; then the client is told to send it again, and nothing else."""
    stop, told = threading.Event(), []

    def collect() -> None:
        while not stop.is_set():
            told.append(wire.ask("POST", "/api/v1/gc", {"grace_s": 0})[0])

    def until_it_is_there(send: Callable[[], int]) -> None:
        for _ in range(200):
            status = send()
            if status == 200:
                return
            assert status == 503, status
        raise AssertionError("it was taken away 200 times")

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        for number in range(ROUNDS):
            whole, data = f"{SEED} {number}".encode(), [os.urandom(3000), os.urandom(5)]
            until_it_is_there(lambda n=number, b=whole: wire.ask("PUT", f"{FILES}/artifacts/swept/w{n}", b)[0])
            upload, urls = wire.create("swept", f"p{number}", 2)
            body = {"path": f"p{number}", "upload_id": upload}
            body["parts"] = listed([wire.put(url, part) for url, part in zip(urls, data, strict=True)])  # type: ignore[assignment]
            until_it_is_there(lambda b=body: wire.post("complete", "swept", **b)[0])
            assert (wire.get(f"swept/w{number}"), wire.get(f"swept/p{number}")) == (whole, b"".join(data))
    finally:
        stop.set()
        collector.join()
    assert told.count(200) > ROUNDS // 4
    assert [wire.get(f"swept/w{number}") for number in range(ROUNDS)].count(None) == 0


def bytes_written(pid: int) -> int:
    found = re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_file(wire: Wire) -> None:
    """96 MiB in parts, joined, and fetched in ranges: the server never holds more than a few MiB of it."""
    status = Path(f"/proc/{wire.server.process.pid}/status")

    def peak() -> int:
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        assert found is not None
        return int(found[1]) << 10

    part = bytes(16 << 20)
    wire.put(wire.create("memory", "first", 6)[1][0], part[:1])  # what a first part needs anyway
    upload, urls = wire.create("memory", "f", 6)
    before = peak()
    etags = [wire.put(url, part) for url in urls]
    written = bytes_written(wire.server.process.pid)
    assert wire.post("complete", "memory", path="f", upload_id=upload, parts=listed(etags)) == (200, {})
    assert bytes_written(wire.server.process.pid) - written < 17 << 20  # of six parts only the last one is copied
    url, size = presign(wire, "memory/f")
    for start in range(0, size, 32 << 20):
        assert len(wire.ask("GET", url, Range=f"bytes={start}-{start + (32 << 20) - 1}")[1]) == 32 << 20
    assert peak() - before < 32 << 20


# --- presigned download ---


def presign(wire: Wire, path: str) -> tuple[str, int]:
    status, answer, _ = wire.ask("GET", f"{FILES}/presigned/{quote(path)}")
    assert status == 200, answer
    found = json.loads(answer)
    assert found["headers"] == {}
    return found["url"].removeprefix(wire.server.url), found["file_size"]


@pytest.fixture(scope="module")
def large(wire: Wire) -> bytes:
    data = random.Random(SEED).randbytes(700_001)
    assert wire.ask("PUT", f"{FILES}/artifacts/pre/large%20%C3%BC.bin", data)[0] == 200
    return data


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("", 200, (0, 700_001)), ("bytes=0-0", 206, (0, 1)), ("bytes=262143-262144", 206, (262_143, 262_145)),
        ("bytes=262144-524287", 206, (262_144, 524_288)), ("bytes=-1", 206, (700_000, 700_001)),
        ("bytes=100-700000", 206, (100, 700_001)), ("bytes=5-999999999", 206, (5, 700_001)),
        ("bytes=700001-", 416, (0, 0)),
    ],
)  # fmt: skip
def test_ranges_of_a_presigned_file(wire: Wire, large: bytes, asked: str, status: int, span: tuple[int, int]) -> None:
    url, size = presign(wire, "pre/large ü.bin")
    assert size == len(large)
    found, body, headers = wire.ask("GET", url, **({"Range": asked} if asked else {}))
    assert (found, body) == (status, large[slice(*span)])
    if found == 206:
        assert headers["content-range"] == f"bytes {span[0]}-{span[1] - 1}/{size}"


def test_an_empty_file_can_be_presigned(wire: Wire) -> None:
    wire.ask("PUT", f"{FILES}/artifacts/pre/empty", b"")
    url, size = presign(wire, "pre/empty")
    assert (size, wire.ask("GET", url)[:2]) == (0, (200, b""))


@pytest.mark.parametrize("name", ["digest", "actor", "until", "seal"])
def test_no_value_of_a_presigned_address_can_be_changed(wire: Wire, large: bytes, name: str) -> None:
    url, _ = presign(wire, "pre/large ü.bin")
    for value in ("", "1", "9" * 15, "0" * 64, "../x", "%00"):
        assert wire.ask("GET", changed(url, name, value))[0] == 403
    other = url.replace("large%20%C3%BC.bin", "empty")
    assert wire.ask("GET", other)[0] == 403


def test_a_presigned_address_ends_with_what_it_was_made_for(wire: Wire) -> None:
    """IT-08: deleted, replaced, or gone below a folder: the address is worth nothing, and says nothing."""
    for end in ("delete", "replace", "folder"):
        wire.ask("PUT", f"{FILES}/artifacts/ends/{end}/f", b"secret")
        url, _ = presign(wire, f"ends/{end}/f")
        assert wire.ask("GET", url)[:2] == (200, b"secret")
        if end == "replace":
            wire.ask("PUT", f"{FILES}/artifacts/ends/{end}/f", b"other!")
        else:
            wire.ask("DELETE", f"{FILES}/artifacts/ends/{end}" + ("/f" if end == "delete" else ""))
        status, body, _ = wire.ask("GET", url)
        assert (status, b"secret" in body, b"other!" in body) == (404, False, False)


@pytest.mark.parametrize(
    ("path", "status"), [("nobody/here", 404), ("pre", 400), ("..", 400), ("a/../b", 400), ("snapshots/x/y", 404)]
)
def test_what_cannot_be_presigned(wire: Wire, large: bytes, path: str, status: int) -> None:
    assert wire.ask("GET", f"{FILES}/presigned/{quote(path)}")[0] in (status, 400)


def test_a_damaged_piece_does_not_leave(wire: Wire) -> None:
    """Each range is compared with what was hashed when the address was made; whole and sound ranges still come."""
    data = random.Random(SEED + 1).randbytes(600_000)
    wire.ask("PUT", f"{FILES}/artifacts/pre/damaged", data)
    url, _ = presign(wire, "pre/damaged")
    digest = hashlib.sha256(data).hexdigest()
    blob = wire.data / "blobs" / "sha256" / digest[:2] / digest
    blob.chmod(0o600)
    with blob.open("r+b") as file:
        file.seek(300_000)
        file.write(bytes([data[300_000] ^ 1]))
    blob.chmod(0o444)
    assert wire.ask("GET", url, Range="bytes=0-99999")[:2] == (206, data[:100_000])
    status, body, _ = wire.ask("GET", url, Range="bytes=299990-300010")
    assert (status, data[299_990:300_000] in body) == (410, False)
    with pytest.raises(http.client.IncompleteRead):
        wire.ask("GET", url, Range="bytes=100-400000")
    status, answer, _ = wire.ask("GET", f"{FILES}/presigned/pre/damaged")
    assert status in (200, 410), answer  # known sums may answer; no wrong byte leaves all the same
    blob.unlink()


def test_addresses_are_not_in_the_log(wire: Wire) -> None:
    _, urls = wire.create("log", "f", 1)
    wire.put(urls[0], b"x")
    wire.ask("PUT", changed(urls[0], "seal", "x"), b"x")
    said = "".join(wire.server.said())
    assert "seal=" not in said
    assert urlsplit(urls[0]).query not in said


# --- mutants ---


MUTANTS = {
    "seal_is_not_compared": lambda patch: patch.setattr(presigned.hmac, "compare_digest", lambda a, b: True),
    "part_is_not_named": lambda patch: patch.setattr(
        presigned, "seal", lambda key, purpose, *values, until, seal=presigned.seal: seal(key, purpose, until=until)
    ),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_seal_that_does_not_hold_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.core import test_presigned as checks

    MUTANTS[mutant](monkeypatch)
    key, given = (
        presigned.address_key(b"secret"),
        presigned.seal(presigned.address_key(b"secret"), "part", "ab", 7, until=1000),
    )
    with pytest.raises(pytest.fail.Exception):
        checks.test_another_value_is_another_seal(key, given, ("part", "ab", 8), 1000)
