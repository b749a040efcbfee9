"""F9: an upload that is torn at any byte, by the client or by the end of the server, is invisible until it is whole.

Real servers, ended by kill -9. After each case the folder is read file by file: whatever lies under a digest has it.
What was acknowledged is there, what was not can be sent again or gone on with, and becomes whole.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import itertools
import json
import random
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.digest import digest_of, hex_of
from greenroom.services import commands as c
from tests.crash.test_kill import Zygote
from tests.promises import promise, sized
from tests.races.kit import SEED, Client, problems_of_log

CASES = sized(60, 5_000)
SIZES = (2, 70_000, 600_000, 2_500_000)
CUTS = ("0", "1", "n-1", "n", "n+1", "n, other bytes")
WAYS = ("whole", "part", "mlflow")
FATES = ("disconnect", "kill", "kill a moment later")
_PIECE = 100_000


@dataclass(frozen=True)
class Case:
    """One upload: how it is sent, how much of it, and what ends it."""

    way: str
    cut: str
    fate: str


def cases() -> Iterator[Case]:
    """Every combination, in an order of chance, again and again."""
    chance = random.Random(SEED)
    while True:
        every = [Case(*each) for each in itertools.product(WAYS, CUTS, FATES)]
        chance.shuffle(every)
        yield from every


@dataclass
class Scene:
    """A data folder, its server (a new one after each death), and what is wrong."""

    folder: Path
    zygote: Zygote
    mutant: str
    chance: random.Random
    problems: list[str] = field(default_factory=list)
    acknowledged: int = 0
    deaths: int = 0
    seen: set[tuple[int, int]] = field(default_factory=set)  # files that were read and are what they should be
    pid: str = ""
    address: tuple[str, int] = ("", 0)

    def start(self) -> None:
        said = self.folder.parent / f"url-{self.deaths}"
        self.pid = self.zygote.ask("server", self.folder, said, self.mutant)
        until = time.monotonic() + 30
        while not said.exists():
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.002)
        host, _, port = said.read_text().removeprefix("http://").partition(":")
        self.address = (host, int(port))

    def kill(self) -> None:
        self.zygote.ask("kill", self.pid)
        self.deaths += 1

    def ask(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self.address, timeout=60)
        try:
            connection.request(method, target, body, {"X-Greenroom-Actor": "tester"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def play(scene: Scene, case: Case, number: int) -> None:
    """Tear one upload, look, and bring it to its end."""
    n = scene.chance.choice(SIZES) + number
    data = scene.chance.randbytes(n)
    sent = _bytes_of(case.cut, data)
    target = _target(case, number, data)
    status = _send(scene, case, target, sent, announced=max(n, len(sent)))
    if case.fate != "disconnect":
        scene.kill()
        scene.start()
    whole = sent == data
    claims = case.way != "mlflow"  # whose clients name no digest: other bytes are simply another file
    if status in (200, 201) and not whole and (claims or len(sent) < n):
        scene.problems.append(f"{case} of {n} bytes was acknowledged")
    scene.acknowledged += status in (200, 201)
    _look(scene, case, data, whole=whole, must=status in (200, 201) and whole)
    _finish(scene, case, target, number, data)


def _bytes_of(cut: str, data: bytes) -> bytes:
    if cut == "n, other bytes":
        return data[:-1] + bytes([data[-1] ^ 1])
    return {"0": b"", "1": data[:1], "n-1": data[:-1], "n": data, "n+1": data + b"x"}[cut]


def _target(case: Case, number: int, data: bytes) -> str:
    if case.way == "mlflow":
        return f"/api/2.0/mlflow-artifacts/artifacts/up/{number}/f"
    blob = f"/api/v1/blobs/sha256/{hex_of(digest_of(data))}?size={len(data)}"
    return blob + (f"&upload=u{number}&offset=0" if case.way == "part" else "")


def _send(scene: Scene, case: Case, target: str, sent: bytes, *, announced: int) -> int:
    """Send what is to be sent, then let fate strike; returns the status of the answer, 0 when there was none."""
    head = (
        f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nX-Greenroom-Actor: tester\r\nContent-Length: {announced}\r\n\r\n"
    )
    with socket.create_connection(scene.address, timeout=60) as connection:
        with contextlib.suppress(ConnectionError):  # refused before its end
            connection.sendall(head.encode())
            for start in range(0, len(sent), _PIECE):
                connection.sendall(sent[start : start + _PIECE])
        if case.fate == "kill a moment later":
            time.sleep(scene.chance.uniform(0, 0.03))  # the random moment
        elif len(sent) == announced:
            return _status(connection)
        if case.fate == "disconnect":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        else:
            connection.setblocking(False)
            return _status(connection)
    return 0


def _status(connection: socket.socket) -> int:
    with contextlib.suppress(OSError, http.client.HTTPException):
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        return answer.status
    return 0


def _look(scene: Scene, case: Case, data: bytes, *, whole: bool, must: bool) -> None:
    """What is under a digest is whole; nothing is there of what was not sent whole; what was acknowledged is there."""
    for path in (scene.folder / "blobs" / "sha256").glob("??/*"):
        found = path.stat()
        if (found.st_ino, found.st_mtime_ns) not in scene.seen:
            scene.seen.add((found.st_ino, found.st_mtime_ns))
            if hashlib.sha256(path.read_bytes()).hexdigest() != path.name:
                scene.problems.append(f"{case}: {path.name} holds other bytes")
    digest = digest_of(data)
    status, body = scene.ask("GET", f"/api/v1/blobs/sha256/{hex_of(digest)}")
    if (status, body) != (200, data) and status != 404:
        scene.problems.append(f"{case}: the blob answers {status} {body[:100]!r}")
    if status == 200 and not whole:
        scene.problems.append(f"{case}: the blob is visible")
    with Client(scene.address) as client:
        missing = client.do("missing_blobs", c.MissingBlobs((digest,)))["missing"]
        findings = client.do("fsck", c.Fsck(quick=True))["findings"]
    if must and (missing or status != 200):
        scene.problems.append(f"{case}: acknowledged, and gone")
    if any(each["is_damage"] for each in findings):
        scene.problems.append(f"{case}: {findings}")


def _finish(scene: Scene, case: Case, target: str, number: int, data: bytes) -> None:
    """Go on where it was torn, or begin again: then it is whole."""
    offset = 0
    if case.way == "part":
        status, body = scene.ask("GET", f"/api/v1/uploads/u{number}")
        offset = json.loads(body)["received"]
        if offset > len(data):
            scene.problems.append(f"{case}: {offset} bytes are staged")
    for _ in range(20):
        status, said = scene.ask("PUT", target.replace("offset=0", f"offset={offset}"), data[offset:])
        if status in (200, 201):
            break
        answer: dict[str, Any] = json.loads(said)
        if status == 400 and case.way == "part":
            offset = 0  # what was staged were other bytes; they are dropped
        elif status == 409 and "received" in answer.get("details", {}):
            offset = answer["details"]["received"]
    else:
        scene.problems.append(f"{case}: it cannot be finished: {status} {said[:200]!r}")
    _look(scene, case, data, whole=True, must=True)


def torn(folder: Path, zygote: Zygote, count: int, mutant: str = "") -> Scene:
    """Play so many cases, or until something is wrong."""
    print(f"seed {SEED}")
    scene = Scene(folder, zygote, mutant, random.Random(SEED))
    scene.start()
    try:
        for number, case in zip(range(count), cases(), strict=False):
            play(scene, case, number)
            if scene.problems:
                break
        with Client(scene.address) as client:
            for _ in range(2):
                client.do("collect_garbage", c.CollectGarbage(0))
            if client.do("fsck", c.Fsck())["findings"]:
                scene.problems.append("fsck finds something after all was finished and collected")
    finally:
        scene.kill()
    return scene


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


@pytest.mark.slow
@promise(
    "F9",
    "{cases} uploads torn at {cuts} places, by the client or by kill -9, in {ways} ways to upload",
    cases=CASES,
    cuts=len(CUTS),
    ways=len(WAYS),
    mutant="test_a_lost_protection_is_seen",
)
def test_a_torn_upload_is_invisible_until_it_is_whole(zygote: Zygote, tmp_path: Path) -> None:
    scene = torn(tmp_path / "data", zygote, CASES)
    assert scene.problems == []
    assert scene.deaths > CASES // 2
    assert scene.acknowledged > 0
    assert list((tmp_path / "data" / "blobs" / "staging").iterdir()) == []
    assert problems_of_log(tmp_path / "data") == []


@pytest.mark.parametrize("mutant", ["published_unhashed", "copied_into_place"])
def test_a_lost_protection_is_seen(zygote: Zygote, tmp_path: Path, mutant: str) -> None:
    scene = torn(tmp_path / "data", zygote, 2 * len(WAYS) * len(CUTS) * len(FATES), mutant)
    assert scene.problems != []
