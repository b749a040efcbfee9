"""S2: the path and URI attacks in random encodings, over kept connections: no leak, no failure of the server."""

from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.promises import promise, sized
from tests.races.kit import SEED
from tests.security.binding import path_payloads
from tests.security.scene import MODEL_B, Live, Scene, percent, scene

PAYLOADS = 55
EACH = sized(200, 18_200)
BURST = 40  # requests sent ahead on one connection, fewer than are allowed

Encoder = Callable[[str, random.Random], str]
_OVERLONG = {"/": ("%c0%af", "%e0%80%af", "%f0%80%80%af"), ".": ("%c0%ae", "%e0%80%ae"), "\\": ("%c1%9c",)}
_LOOK_ALIKE = {"/": "\uff0f\u2215\u2044\u29f8", ".": "\uff0e\u2024\u3002", "\\": "\uff3c\ufe68", "%": "\uff05"}


def _some(change: Callable[[str, random.Random], str]) -> Encoder:
    """Return an encoder that changes some characters, the telling ones more often."""

    def encode(text: str, chance: random.Random) -> str:
        share = chance.choice((0.2, 0.6, 1.0))
        return "".join(
            change(each, chance) if chance.random() < share * (1.0 if each in "/.\\%:" else 0.3) else each
            for each in text
        )

    return encode


def _percent(each: str, chance: random.Random) -> str:
    found = percent(each, 1)
    return found.lower() if chance.random() < 0.5 else found


ENCODERS: tuple[Encoder, ...] = (
    lambda text, chance: text,
    _some(_percent),
    _some(lambda each, chance: percent(each, chance.choice((2, 2, 3, 5, 6, 12)))),
    lambda text, chance: percent(text, chance.randint(1, 4)),
    _some(lambda each, chance: chance.choice(_OVERLONG.get(each, (each,)))),
    _some(lambda each, chance: f"%u{ord(each):04x}" if ord(each) < 65_536 else each),
    _some(lambda each, chance: quote(chance.choice(_LOOK_ALIKE.get(each, each)))),
    lambda text, chance: text.replace("/", chance.choice(("\\", "%5c", "%255C", "/\\", "\\/"))),
    lambda text, chance: text.replace("../", chance.choice(("....//", "..;/", ".././", "..%00/", "%2e%2e/", ".%2e/"))),
    lambda text, chance: text.replace("/", chance.choice(("//", "/./", "/%2e/", "/;/", "/x/../"))),
    lambda text, chance: text + chance.choice(("%00", "%00.txt", "%23", "#x", "?x=1", "%3f", ";", "%20", "%0d%0a")),
    lambda text, chance: chance.choice(("./", "/", "//", "file:", "file://", "\\\\", "~/", "C:", "%2f", " ")) + text,
    lambda text, chance: "".join(each.upper() if chance.random() < 0.5 else each for each in text),
)  # fmt: skip


def encoded(text: str, chance: random.Random) -> str:
    """Return `text` through one to three encoders."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        text = chance.choice(ENCODERS)(text, chance)[:3000]
    return text


def _places(text: str, chance: random.Random, server: Live) -> tuple[str, str, bytes | None]:
    """Return method, target and body of a request that carries the payload where a path or URI is read."""
    line = re.sub(r"[\x00-\x20\x7f]", lambda found: f"%{ord(found[0]):02X}", text)
    line = quote(line, safe="".join(chr(code) for code in range(33, 127)))  # what is left is ASCII on one line
    prefix = chance.choice(("/api/2.0", "/ajax-api/2.0"))
    trees = f"{prefix}/mlflow-artifacts/artifacts"
    version = f"/api/v1/models/{MODEL_B}/versions"
    body = json.dumps({"name": MODEL_B, "source": text}).encode()
    files = [{"path": text, "digest": "sha256:" + "0" * 64, "size_bytes": 1}]
    return chance.choice(
        (
            ("GET", f"{trees}/{line}", None),
            ("GET", f"{trees}/bob/1/{line}", None),
            ("GET", f"{trees}/snapshots/{line}", None),
            ("GET", f"{trees}?path={line}", None),
            ("PUT", f"{trees}/{line}", b"x"),
            ("DELETE", f"{trees}/{line}", None),
            ("GET", f"/get-artifact?run_id={'b' * 32}&path={line}", None),
            ("GET", f"/model-versions/get-artifact?name={MODEL_B}&version=1&path={line}", None),
            ("GET", f"{version}/1/files/{line}", None),
            ("GET", f"/api/v1/blobs/sha256/{line}", None),
            ("GET", f"/api/v1/uploads/{line}", None),
            ("GET", f"/docs/{line}", None),
            ("GET", f"/{line}", None),
            ("GET", f"http://{server.hostport}/{line}", None),
            ("GET", f"http://{server.hostport}{trees}/{line}", None),
            ("GET", line, None),
            ("POST", f"{prefix}/mlflow/model-versions/create", body),
            ("POST", version, json.dumps({"source": text}).encode()),
            ("POST", version, json.dumps({"files": files}).encode()),
            ("POST", f"{prefix}/mlflow/registered-models/create", json.dumps({"name": text}).encode()),
        )
    )


def requests(server: Live, payloads: list[str], each: int, chance: random.Random) -> Iterator[bytes]:
    for payload in payloads:
        for _ in range(each):
            method, target, body = _places(encoded(payload, chance), chance, server)
            head = f"{method} {target} HTTP/1.1\r\nHost: {server.hostport}\r\n"
            if body is not None:
                head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            yield head.encode("ascii", "replace") + b"\r\n" + (body or b"")


def converse(server: Live, asked: list[bytes]) -> list[tuple[int, bytes, bytes]]:
    """Send requests ahead, in bursts, on kept connections; return (status, answer, request) of each.

    A request that is malformed ends its connection: those behind it are sent again on a new one.
    """
    found: list[tuple[int, bytes, bytes]] = []
    while len(found) < len(asked):
        with server.connect() as connection:
            found += _answers(connection, asked[len(found) :])
    return found


def _answers(connection: socket.socket, asked: list[bytes]) -> list[tuple[int, bytes, bytes]]:
    found: list[tuple[int, bytes, bytes]] = []
    reader = connection.makefile("rb")
    for start in range(0, len(asked), BURST):
        burst = asked[start : start + BURST]
        try:
            connection.sendall(b"".join(burst))
            for data in burst:
                answer = _answer(reader)
                found.append((int(answer[9:12]), answer, data))
                if b"\r\nconnection: close" in answer:
                    return found
        except ConnectionError:
            break
        except EOFError:
            break
    assert found, f"no answer at all to {asked[0][:300]!r}"
    return found


def _answer(reader: object) -> bytes:
    lines: list[bytes] = []
    length, chunked = 0, False
    while (line := reader.readline()) not in (b"\r\n", b""):  # type: ignore[attr-defined]
        name, _, value = line.lower().partition(b":")
        length = int(value) if name == b"content-length" else length
        chunked = chunked or name == b"transfer-encoding"
        lines.append(line)
    if not lines or not line:
        raise EOFError
    assert not chunked
    return b"".join(lines) + b"\r\n" + reader.read(length)  # type: ignore[attr-defined,no-any-return]


def complaints(place: Scene, each: int, chance: random.Random) -> list[str]:
    """Send every payload `each` times and return what must not be: leaks, failures, writes outside."""
    payloads = path_payloads(place.variables())
    assert len(payloads) >= PAYLOADS - 15, len(payloads)
    payloads = (payloads * 2)[:PAYLOADS]
    found: list[str] = []
    canary = place.canary.encode()
    batch: list[bytes] = []
    for request in requests(place.server, payloads, each, chance):
        batch.append(request)
        if len(batch) == 2000:
            found += _judged(place, batch, canary)
            batch = []
    found += _judged(place, batch, canary)
    if place.written_outside():
        found.append("something was written outside the data folder")
    if place.sink.connections:
        found.append("the server connected to the sink")
    return found


def _judged(place: Scene, batch: list[bytes], canary: bytes) -> Iterator[str]:
    for status, answer, request in converse(place.server, batch):
        if canary in answer:
            yield f"the canary came out: {request[:300]!r}"
        if status >= 500 and status != 501:
            yield f"{status} to {request[:300]!r}: {answer[-300:]!r}"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("encodings")) as made:
        yield made


@promise("S2", "{payloads} attacks x {each} encodings", payloads=PAYLOADS, each=EACH, mutant="test_a_leak_is_seen")
def test_no_encoding_leads_out(stage: Scene) -> None:
    print(f"seed {SEED}")
    assert complaints(stage, EACH, random.Random(SEED)) == []


def test_a_leak_is_seen(tmp_path: Path) -> None:
    with scene(tmp_path, mutant="any_path") as weak:
        assert any("the canary came out" in each for each in complaints(weak, 10, random.Random(SEED)))
