"""F4, F5: any call to the file system fails, or the process dies in it: full success, or nothing and a clear answer."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import open_local
from greenroom.core.digest import digest_of
from greenroom.services import commands as c
from tests.crash import faulty, syscalls
from tests.crash.test_kill import Zygote
from tests.promises import NIGHTLY, promise, sized
from tests.races.kit import SEED, Client, problems_of_log

CALLS = ("fsync", "fdatasync", "pwrite64", "write", "openat", "rename", "link", "unlink", "ftruncate", "mkdir")
FAULTS = ("error=EIO", "error=ENOSPC", "error=EDQUOT", "error=EROFS", "signal=KILL")
POINTS = sized(120, 1_500)
SYNCS = sized(5, 100)
MEMORY = Path("/dev/shm")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(syscalls.why_not() is not None, reason=str(syscalls.why_not())),
]


@dataclass(frozen=True)
class Point:
    """The `at`-th call of a kind, and what happens to it; in a registry that is there, or while one is made."""

    call: str
    at: int
    fault: str
    made: bool = True

    def __str__(self) -> str:
        return f"{self.call} number {self.at}{'' if self.made else ' of a first start'}: {self.fault}"


class Fault:
    """Plays the steps of faulty.py in a fresh copy of a registry, with one call made to fail."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self.zygote = Zygote()
        self._base = place / "base"
        faulty.prepare(self._base)
        self._runs = 0

    def close(self) -> None:
        self.zygote.close()

    def run(self, *options: str, made: bool = True) -> tuple[Path, int, dict[str, str]]:
        """Play under strace with these options; return the folder, the exit status and how each step ended."""
        folder = self.fresh() if made else self._place / f"first-{self._runs}"
        self._runs += 1
        ledger, go = folder.with_suffix(".ledger"), folder.with_suffix(".go")
        pid = self.zygote.ask("faulty", folder, ledger, go)
        while not ledger.exists():
            threading.Event().wait(0.001)  # opened by another process, and none of the calls that count
        tracer = attach(pid, *options)
        go.touch()
        status = int(self.zygote.ask("wait", pid))
        tracer.communicate(timeout=20)
        text = ledger.read_text() if ledger.exists() else ""
        return folder, status, dict(line.split(" ", 1) for line in text.splitlines())

    def fresh(self) -> Path:
        """Return a copy of the registry."""
        self._runs += 1
        folder = self._place / f"run-{self._runs}"
        shutil.copytree(self._base, folder)
        return folder

    def points(self) -> list[Point]:
        """Return every point there is."""
        return [
            Point(call, at, how, made)
            for made in (True, False)
            for call, count in self._counts(made).items()
            for at in range(1, count + 1)
            for how in FAULTS
        ]

    def _counts(self, made: bool) -> dict[str, int]:
        """Return how often each call is made when nothing fails."""
        log = self._place / "log"
        folder, status, ended = self.run("-e", f"trace={','.join(CALLS)}", "-o", str(log), made=made)
        assert status == 0
        assert set(ended.values()) == {"ok"}, ended
        shutil.rmtree(folder)
        found = re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE)
        return {call: found.count(call) for call in CALLS if call in found}

    def problems(self, point: Point) -> list[str]:
        """Play with one call failing; return what is wrong afterwards."""
        log = str(self._place / "log")
        inject = f"inject={point.call}:{point.fault}:when={point.at}"
        folder, status, ended = self.run("-e", f"trace={point.call}", "-e", inject, "-o", log, made=point.made)
        found = [f"{name}: {how}" for name, how in ended.items() if " BUG " in f" {how}"]
        if status != (-9 if "KILL" in point.fault else 0):
            found.append(f"it ended with {status}")
        found += _four_hundreds(ended) + _after(folder, ended, point.made)
        shutil.rmtree(folder, ignore_errors=True)
        return [f"{point} (seed {SEED}): {each}" for each in found]


def attach(pid: str, *options: str) -> subprocess.Popen[str]:
    """Trace a running process and all its threads from here on."""
    tracer = subprocess.Popen(["strace", "-f", "-p", pid, *options], stderr=subprocess.PIPE, text=True)
    assert tracer.stderr is not None
    said = tracer.stderr.readline()
    assert "attached" in said, said
    return tracer


def _four_hundreds(ended: dict[str, str]) -> list[str]:
    """A failing disk is nobody's mistake: what is refused is refused with 503 or 507."""
    failed = any(how.startswith(("503", "507")) for how in ended.values())  # later steps miss what this one made
    return [
        f"{name}: {how}"
        for name, how in ended.items()
        if not how.startswith(("ok", "503", "507", "BUG")) and not (how.startswith(("404", "409")) and failed)
    ]


def _after(folder: Path, ended: dict[str, str], made: bool) -> list[str]:
    """Restart: the log holds what was acknowledged, not what was refused, and everything fits together."""
    registry = open_local(folder, create=not made and ended.get("open") != "ok")
    try:
        with registry.snapshot() as tx:
            actors = {each.actor for each in tx.audit_entries(after=0, limit=1_000)}
    finally:
        registry.close()
    silent = {"open", "close", "collect", "checkpoint"}
    lost = {name for name, how in ended.items() if how == "ok"} - actors - silent
    half = {name for name, how in ended.items() if "undone" in how} & actors
    found = [f"acknowledged and lost: {sorted(lost)}"] if lost else []
    found += [f"refused and yet there: {sorted(half)}"] if half else []
    return found + problems_of_log(folder)


@pytest.fixture(scope="module")
def fault() -> Iterator[Fault]:
    with tempfile.TemporaryDirectory(prefix="greenroom-f4-", dir=MEMORY) as place:
        started = Fault(Path(place))
        yield started
        started.close()


@promise(
    "F4",
    "{points} points: each call of the file system fails or is the last, in open, register, upload, promote, rollback",
    points=POINTS,
    mutant="test_a_swallowed_error_is_seen",
)
def test_a_failing_call_costs_nothing_acknowledged(fault: Fault) -> None:
    every = fault.points()
    points = every if NIGHTLY else random.Random(SEED).sample(every, min(POINTS, len(every)))
    problems = [each for point in points for each in fault.problems(point)]
    assert problems == [], "\n".join(problems)


def test_a_swallowed_error_is_seen(fault: Fault) -> None:
    """The judge itself: a write that was answered although its call failed, and one that was refused and is there."""
    ended = {"open": "ok", "promote": "ok", "alias": "507 undone the disk is full."}
    folder, _, real = fault.run("-e", "trace=fsync", "-o", "/dev/null")
    assert set(real.values()) == {"ok"}
    found = _after(folder, ended | {"never": "ok"}, True)
    assert found == ["acknowledged and lost: ['never']", "refused and yet there: ['alias']"]
    assert _four_hundreds({"promote": "400 undone no"}) == ["promote: 400 undone no"]


# Which sync fails: of a commit (the write-ahead log), of a file, of the folder that the file got its name in. The
# second one is SQLite's of the log's folder: it tells nobody when that fails, so the store synced the folder before.
SYNC_POINTS = (("fdatasync", 1), ("fdatasync", 3), ("fdatasync", 5), ("fsync", 1), ("fsync", 2))


class Sick:
    """A server whose n-th sync of a thread fails."""

    def __init__(self, fault: Fault, call: str, at: int, errno: str = "EIO", *, mutant: str = "") -> None:
        self.folder = fault.fresh()
        self.log = self.folder.with_suffix(".log")
        said = self.folder.with_suffix(".said")
        self._zygote = fault.zygote
        self.pid = self._zygote.ask("server", self.folder, said, mutant)
        while not said.exists():
            threading.Event().wait(0.002)  # asks for a file that another process writes
        host, _, port = said.read_text().removeprefix("http://").partition(":")
        self.address = (host, int(port))
        inject = f"inject={call}:error={errno}:when={at}"
        self._tracer = attach(self.pid, "-y", "-e", "trace=fsync,fdatasync", "-e", inject, "-o", str(self.log))

    def __enter__(self) -> Sick:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._tracer.returncode is None:
            self._zygote.ask("kill", self.pid)
            self._tracer.communicate(timeout=20)

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection(*self.address, timeout=20)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            text = answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else {"text": text.decode()}
        finally:
            connection.close()

    def end(self) -> int:
        """Stop it as an administrator would; return its exit status."""
        os.kill(int(self.pid), signal.SIGTERM)
        status = int(self._zygote.ask("wait", self.pid))
        self._tracer.communicate(timeout=20)
        return status

    def syncs_after_the_failure(self) -> list[str]:
        """Return the lines of the database's and the blobs' syncs that came behind the one that failed."""
        lines = self.log.read_text().splitlines()
        failed = next(at for at, line in enumerate(lines) if "INJECTED" in line)
        return [line for line in lines[failed + 1 :] if "sync(" in line]


@promise(
    "F5",
    "{points} failed syncs: of commits, of files, of folders",
    points=SYNCS,
    mutant="test_a_sync_that_is_tried_again_is_seen",
)
@pytest.mark.parametrize("number", range(SYNCS))
def test_a_failed_sync_ends_writing(fault: Fault, number: int) -> None:
    call, at = SYNC_POINTS[number % len(SYNC_POINTS)]
    with Sick(fault, call, at, ("EIO", "ENOSPC")[number // len(SYNC_POINTS) % 2]) as sick:
        acknowledged, refused = _write_on(sick)
        assert refused, "no sync failed"
        _reads_go_on(sick)
        assert sick.end() == 0
    assert sick.syncs_after_the_failure() == []
    registry = open_local(sick.folder)
    with registry.snapshot() as tx:
        actors = [each.actor for each in tx.audit_entries(after=0, limit=1_000)]
    registry.close()
    assert set(acknowledged) <= set(actors)
    assert not set(refused[1:]) & set(actors), "only the commit that failed may have taken place"
    assert problems_of_log(sick.folder) == []


def _write_on(sick: Sick) -> tuple[list[str], list[str]]:
    """Write and upload by turns; return who was answered, and who was refused, clearly."""
    acknowledged: list[str] = []
    refused: list[str] = []
    with Client(sick.address) as client:
        for step in range(12):
            body = bytes([step]) * 5_000
            if step % 3 == 2:
                status, answer = sick.ask("PUT", f"/api/v1/blobs/{digest_of(body).replace(':', '/')}", body)
            else:
                ask = c.RegisterVersion("m", source=faulty.ELSEWHERE)
                status, answer = client.ask("register_version", ask, actor=f"s{step}")
                (acknowledged if status == 200 else refused).append(f"s{step}")
            assert status in (200, 201, 503), answer
            assert status != 503 or "durable" in answer["detail"] or "cannot use the blob" in answer["detail"], answer
    return acknowledged, refused


def _reads_go_on(sick: Sick) -> None:
    with Client(sick.address) as client:
        assert client.ask("get_version", c.VersionNamed("m", 1))[0] == 200
        assert client.ask("search_versions", c.SearchVersions())[0] == 200
    status, answer = sick.ask("GET", "/ready")
    assert (status, answer["details"]["reason"]) == (503, "sync_failed")
    assert "could not be made durable" in answer["detail"]
    assert sick.ask("GET", "/health") == (200, {"text": "OK"})


def test_a_sync_that_is_tried_again_is_seen(fault: Fault) -> None:
    """The mutant: a server that goes on as if nothing had happened."""
    with Sick(fault, "fdatasync", 1, mutant="goes_on") as sick:
        with Client(sick.address) as client:
            ask = c.RegisterVersion("m", source=faulty.ELSEWHERE)
            assert [client.ask("register_version", ask)[0] for _ in range(3)] == [503, 200, 200]
        assert sick.end() == 0
        assert sick.syncs_after_the_failure() != []
