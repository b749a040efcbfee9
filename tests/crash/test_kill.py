"""F2: killed at any moment (kill -9), the registry loses nothing that it acknowledged and is back at once by itself."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import open_local
from greenroom.services import commands as c
from tests.promises import promise, sized
from tests.races.kit import ROOT, SEED, TESTER, Client, Server, problems_of_log

WRITERS = 2
SERVERS, EMBEDDED, RESTARTS = sized(350, 50_000), sized(150, 10_000), sized(5, 100)
RESTART_S = 2.0


@dataclass
class Ledger:
    """What was acknowledged in a cycle, by the name under which each write was made, and what is wrong after it."""

    acknowledged: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    cycles: int = 0
    writes: int = 0
    slowest_s: float = 0.0


class Zygote:
    """See zygote.py."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.crash.zygote"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
        )

    def ask(self, *words: object) -> str:
        assert self._process.stdout is not None
        print(*words, file=self._process.stdin, flush=True)
        return self._process.stdout.readline().strip()

    def close(self) -> None:
        self._process.communicate(timeout=20)


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


def write(address: tuple[str, int], cycle: int, number: int, ledger: Ledger, stop: threading.Event) -> None:
    """Write until the server is gone. Every request is made under a name of its own, which the log keeps."""
    with Client(address) as client:
        for at in itertools.count():
            name = f"w{cycle}-{number}-{at}"
            operation, command = _work(number, at)
            try:
                status, answer = client.ask(operation, command, actor=name)
            except (OSError, http.client.HTTPException):
                return
            if status == 200:
                ledger.acknowledged.add(name)
            elif not stop.is_set():
                ledger.problems.append(f"{name} was answered {status}: {answer}")
                return


def _work(number: int, at: int) -> tuple[str, Any]:
    kinds: tuple[tuple[str, Any], ...] = (
        ("register_version", c.RegisterVersion("m", source="s3://elsewhere/m", tags={"a": "b"}, metrics={"auc": 0.5})),
        ("promote", c.Promote("m", "Production", 1 + (at + number) % 3, swap=True)),
        ("set_alias", c.SetAlias("m", "champion", 1 + at % 3)),
        ("set_version_tag", c.SetVersionTag("m", 1 + number, "at", str(at))),
    )
    return kinds[at % len(kinds)]


def prepare(folder: Path) -> None:
    registry = open_local(folder, create=True)
    for number in range(3):
        ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=number == 0)
        registry.call_now("register_version", ask, TESTER)
    registry.close()


def recovered(folder: Path, after: int) -> tuple[int, list[str]]:
    """Return the length of the log and under which names its entries after `after` were made."""
    registry = open_local(folder)
    try:
        with registry.snapshot() as tx:
            entries = tx.audit_entries(after=after, limit=1_000_000)
            assert [each.seq for each in entries] == list(range(after + 1, after + 1 + len(entries)))
            return after + len(entries), [each.actor for each in entries]
    finally:
        registry.close()


def settle(folder: Path, ledger: Ledger, after: int) -> int:
    """Compare the ledger of a cycle with what is there; return the log's length."""
    until, names = recovered(folder, after)
    lost = ledger.acknowledged - set(names)
    if lost:
        ledger.problems.append(f"{len(lost)} acknowledged writes are lost: {sorted(lost)[:3]}")
    if len(set(names)) != len(names):
        ledger.problems.append("a write took effect twice")
    ledger.writes += len(ledger.acknowledged)
    ledger.acknowledged.clear()
    ledger.cycles += 1
    return until


def cycles_of_servers(zygote: Zygote, folder: Path, cycles: int, mutant: str = "") -> Ledger:
    """Start a server, let two clients write, kill it at a random moment, look; again and again."""
    chance, ledger = random.Random(SEED), Ledger()
    prepare(folder)
    length, _ = recovered(folder, 0)
    for cycle in range(cycles):
        said = folder.parent / f"url-{cycle}"
        started = time.monotonic()
        pid = zygote.ask("server", folder, said, mutant)
        url = _wait_for(said, started, ledger)
        stop = threading.Event()
        host, _, port = url.removeprefix("http://").partition(":")
        threads = [
            threading.Thread(target=write, args=((host, int(port)), cycle, number, ledger, stop))
            for number in range(WRITERS)
        ]
        for each in threads:
            each.start()
        stop.wait(chance.uniform(0, 0.08))  # the random moment
        stop.set()
        zygote.ask("kill", pid)
        for each in threads:
            each.join(30)
        length = settle(folder, ledger, length)
        if cycle % 50 == 49 or ledger.problems or (mutant and cycle % 5 == 4):
            ledger.problems += problems_of_log(folder)
        if ledger.problems:
            break
    return ledger


def _wait_for(said: Path, started: float, ledger: Ledger) -> str:
    """Return the URL once the server says that it is ready."""
    while not said.exists():
        assert time.monotonic() - started < 20, "the server did not start"
        time.sleep(0.001)
    ledger.slowest_s = max(ledger.slowest_s, time.monotonic() - started)
    with contextlib.suppress(FileNotFoundError):
        return said.read_text()
    raise AssertionError(said)


@promise("F2", "a writing server killed {cycles} times", cycles=SERVERS, mutant="test_a_lost_protection_is_seen")
@pytest.mark.slow
def test_nothing_acknowledged_is_lost(zygote: Zygote, tmp_path: Path) -> None:
    cycles = SERVERS
    ledger = cycles_of_servers(zygote, tmp_path / "data", cycles)
    assert ledger.problems == []
    assert ledger.cycles == cycles
    assert ledger.writes > cycles  # the killed ones were really writing
    assert ledger.slowest_s < RESTART_S
    assert problems_of_log(tmp_path / "data") == []


@promise("F2", "two embedded writers killed {cycles} times", cycles=EMBEDDED, mutant="test_a_lost_protection_is_seen")
@pytest.mark.slow
def test_embedded_writers_lose_nothing(zygote: Zygote, tmp_path: Path) -> None:
    chance, ledger, folder = random.Random(SEED), Ledger(), tmp_path / "data"
    prepare(folder)
    length, _ = recovered(folder, 0)
    cycles = EMBEDDED
    for cycle in range(cycles):
        said = [tmp_path / f"ledger-{cycle}-{number}" for number in range(2)]
        pids = [zygote.ask("embedded", folder, each, f"{cycle}-{at}", 1) for at, each in enumerate(said)]
        threading.Event().wait(chance.uniform(0.03, 0.1))  # the random moment
        for pid in pids:
            zygote.ask("kill", pid)
        for each in said:
            ledger.acknowledged |= set(each.read_text().split()) if each.exists() else set()
        length = settle(folder, ledger, length)
        assert ledger.problems == []
    assert ledger.writes > cycles
    assert problems_of_log(folder) == []


@promise("F2", "back within two seconds after each of {restarts} kills", restarts=RESTARTS)
@pytest.mark.slow
def test_a_killed_server_is_back_within_two_seconds(tmp_path: Path) -> None:
    """The whole way, interpreter and imports included, with a write-ahead log to recover."""
    prepare(tmp_path / "data")
    for cycle in range(RESTARTS):
        server = Server(tmp_path / "data")
        assert server.ready_s < RESTART_S or cycle == 0
        ledger, stop = Ledger(), threading.Event()
        writer = threading.Thread(target=write, args=(server.address, cycle, 0, ledger, stop))
        writer.start()
        stop.wait(0.2)
        stop.set()
        server.kill()
        writer.join(30)
    assert problems_of_log(tmp_path / "data") == []


@pytest.mark.parametrize(
    ("mutant", "told"),
    [("answer_before_commit", "acknowledged writes are lost"), ("event_after_commit", "is in no entry of the log")],
)
def test_a_lost_protection_is_seen(zygote: Zygote, tmp_path: Path, mutant: str, told: str) -> None:
    ledger = cycles_of_servers(zygote, tmp_path / "data", 60, mutant)
    assert any(told in each for each in ledger.problems), ledger.problems
