"""C1: an exclusive stage has exactly one holder at every read, whoever promotes at the same time."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from greenroom.app import open_local
from greenroom.services import commands as c
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import ROOT, TESTER, Client, Server, problems_of_log, serving, together

AT_ONCE = 8
READS_A_ROUND = 50
MODEL = "credit risk"


@dataclass
class Race:
    """What was seen: a violation is a sentence, `reads` how often somebody looked, `refused` the conflicts answered."""

    violations: list[str] = field(default_factory=list)
    reads: int = 0
    refused: int = 0
    rounds: int = 0


class Poller:
    """Reads the holder in every way there is, as fast as it can, until told to stop."""

    def __init__(self, server: Server, race: Race) -> None:
        self._client = Client(server.address)
        self._race = race
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Poller:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as exc:
            self._race.violations.append(f"a read raised {exc!r}")

    def _work(self) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            if number % 10:
                answer = self._client.do("get_holder", c.GetHolder(MODEL, "Production"))
                holders = [each["version"] for each in answer["tenures"]]
            else:
                found = c.SearchVersions(filter=f"stage = 'Production' AND name = '{MODEL}'")
                answer = self._client.do("search_versions", found)
                holders = [each["version"] for each in answer["items"]]
            self._race.reads += 1
            if len(holders) != 1:
                self._race.violations.append(f"a read found the holders {sorted(holders)}")


def prepare(client: Client) -> None:
    for number in range(AT_ONCE + 1):
        client.do("register_version", c.RegisterVersion(MODEL, source="s3://elsewhere/m", create_model=number == 0))
    client.do("promote", c.Promote(MODEL, "Production", AT_ONCE + 1))


def race(server: Server, rounds: int, *more: Server) -> Race:
    """Run rounds of simultaneous promotions, every other one with `if_holder`; return what was seen.

    `more` are further servers of the same registry: the clients are spread over all of them.
    """
    seen = Race()
    servers = (server, *more)
    clients = [Client(servers[number % len(servers)].address, f"racer-{number}") for number in range(AT_ONCE)]
    prepare(clients[0])
    with Poller(server, seen):
        for number in range(rounds):
            enough = seen.reads + READS_A_ROUND
            play_round(clients, seen, compare=number % 2 == 1)
            seen.rounds += 1
            while seen.reads < enough and not seen.violations:
                time.sleep(0.001)  # not for a condition of ours: this gives the poller its turn
            if seen.violations:
                break
    for each in clients:
        each.close()
    return seen


def play_round(clients: list[Client], seen: Race, *, compare: bool) -> None:
    before = holder(clients[0], seen)
    expected = before if compare else None
    answers: list[Any] = [None] * AT_ONCE

    def promote(number: int) -> None:
        command = c.Promote(MODEL, "Production", number + 1, swap=True, if_holder=expected)
        answers[number] = clients[number].ask("promote", command)

    for exc in together(AT_ONCE, promote):
        seen.violations.append(f"a promotion raised {exc!r}")
        return
    won = []
    for number, (status, answer) in enumerate(answers):
        if status == 409:
            seen.refused += 1
        elif status != 200:
            seen.violations.append(f"a promotion was answered {status}: {answer}")
        elif answer["status"] == "succeeded":
            won.append(number + 1)
        else:
            seen.refused += 1
    after = holder(clients[0], seen)
    if after not in (won or [before]):
        seen.violations.append(f"{after} holds it, but {won} were told that they had won")
    moved = [version for version in won if version != before]
    if compare and len(moved) > 1:
        seen.violations.append(f"all of {moved} replaced {before}, which each of them named as the holder")


def holder(client: Client, seen: Race) -> int:
    answer = client.do("get_holder", c.GetHolder(MODEL, "Production"))
    if len(answer["tenures"]) != 1:
        seen.violations.append(f"after a round there are {len(answer['tenures'])} holders")
    return int(answer["tenures"][0]["version"]) if answer["tenures"] else 0


ROUNDS = sized(200, 20_000)


@promise(
    "C1",
    "SQLite: {rounds} rounds of {at_once} simultaneous promotions, {reads} reads a round",
    rounds=ROUNDS,
    at_once=AT_ONCE,
    reads=READS_A_ROUND,
    mutant="test_a_lost_protection_is_seen_within_5_rounds",
)
@pytest.mark.slow
def test_one_holder_at_every_read(tmp_path: Path) -> None:
    rounds = ROUNDS
    with serving(tmp_path / "data") as server:
        seen = race(server, rounds)
    assert seen.violations == []
    assert seen.rounds == rounds
    assert seen.reads >= rounds * READS_A_ROUND
    assert seen.refused > rounds  # rounds with `if_holder` refuse nearly all
    assert problems_of_log(tmp_path / "data") == []


@pytest.mark.parametrize("mutant", ["nobody_leaves_no_index", "stale_decision_no_index"])
def test_a_lost_protection_is_seen_within_5_rounds(tmp_path: Path, mutant: str) -> None:
    with serving(tmp_path / "data", mutant=mutant) as server:
        seen = race(server, 5)
    assert any("holders" in each for each in seen.violations)


def test_the_database_itself_refuses_a_second_holder(tmp_path: Path) -> None:
    """With a decision that displaces nobody and the index in place there are conflicts, and still one holder."""
    with serving(tmp_path / "data", mutant="nobody_leaves") as server:
        seen = race(server, 3)
    assert seen.violations == []
    assert seen.refused > AT_ONCE


SHARED_ROUNDS = sized(40, 20_000)


@promise(
    "C1",
    "PostgreSQL, {servers} servers: {rounds} rounds of {at_once} simultaneous promotions, {reads} reads a round",
    servers=3,
    rounds=SHARED_ROUNDS,
    at_once=AT_ONCE,
    reads=READS_A_ROUND,
    mutant="test_two_servers_of_one_postgresql_that_lost_their_protection_are_caught",
)
@promise(
    "C9",
    "`audit verify` after each run of C1 to C8 and of every fault, on both databases; here {rounds} rounds",
    rounds=SHARED_ROUNDS,
    mutant="tests/crash/test_kill.py::test_a_lost_protection_is_seen",
)
@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 3])
def test_one_holder_at_every_read_over_servers_of_one_postgresql(tmp_path: Path, count: int) -> None:
    options = ("--database-url", new_database())
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(serving(tmp_path / "data", *options)) for _ in range(count)]
        seen = race(servers[0], SHARED_ROUNDS, *servers[1:])
        with contextlib.closing(Client(servers[-1].address)) as client:
            report = client.do("audit_verify", c.AuditVerify())
    assert seen.violations == []
    assert seen.rounds == SHARED_ROUNDS
    assert seen.reads >= SHARED_ROUNDS * READS_A_ROUND
    assert seen.refused > SHARED_ROUNDS
    assert (report["status"], report["findings"]) == ("ok", [])


def test_two_servers_of_one_postgresql_that_lost_their_protection_are_caught(tmp_path: Path) -> None:
    url = new_database()
    options = ("--database-url", url)
    with serving(tmp_path / "data", *options, mutant="nobody_leaves") as one:
        with contextlib.closing(Client(one.address)) as client:
            client.do("create_model", c.CreateModel("x"))
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("DROP INDEX uq_tenure_exclusive_holder")
        with serving(tmp_path / "data", *options, mutant="nobody_leaves") as other:
            seen = race(one, 5, other)
    assert any("holders" in each for each in seen.violations)


# --- embedded: two processes that share a folder and take turns ---

_EMBEDDED = """
import json, sys, threading
from pathlib import Path
from greenroom.app import open_local
from greenroom.core.errors import Conflict
from greenroom.core.model import Actor
from greenroom.services import commands as c
registry = open_local(Path(sys.argv[1]))
for line in sys.stdin:
    version = int(line)
    ask = c.Promote(sys.argv[2], "Production", version, swap=True)
    status = registry.call_now("promote", ask, Actor("embedded")).status
    print(json.dumps([version, status]), flush=True)
registry.close()
"""


def test_one_holder_with_two_embedded_processes(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    registry = open_local(folder, create=True)
    for number in range(5):
        ask = c.RegisterVersion(MODEL, source="s3://elsewhere/m", create_model=number == 0)
        registry.call_now("register_version", ask, TESTER)
    registry.call_now("promote", c.Promote(MODEL, "Production", 5), TESTER)
    rounds = sized(100, 5_000)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", _EMBEDDED, str(folder), MODEL],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        for _ in range(2)
    ]
    found: set[int] = set()
    reads = 0
    try:
        for number in range(rounds):
            for at, each in enumerate(others):
                print(1 + (number + at) % 4, file=each.stdin, flush=True)
            for _ in range(READS_A_ROUND):
                reads += 1
                found.add(len(registry.call_now("get_holder", c.GetHolder(MODEL, "Production"), TESTER).tenures))
            for each in others:
                assert each.stdout is not None
                assert json.loads(each.stdout.readline())[1] == "succeeded"
    finally:
        for each in others:
            each.communicate(timeout=30)
        registry.close()
    assert found == {1}
    assert reads == rounds * READS_A_ROUND
    assert problems_of_log(folder) == []
