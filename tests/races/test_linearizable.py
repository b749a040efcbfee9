"""C3: what concurrent clients were told by real servers could have happened one call after the other.

Histories of 1 000 calls by 8 clients, on each database; the checker is in linearizability.py, its own tests in
test_checker.py.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import random
from pathlib import Path

import pytest

from greenroom.services import commands as c
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import SEED, Client, Server, problems_of_log
from tests.races.linearizability import problems
from tests.races.recording import CLIENTS, Fleet, Plan, record

HISTORIES = sized(20, 2_000)
SHARED = sized(8, 2_000)  # on PostgreSQL a call takes three times as long: 20 in every run would be a minute
CALLS = sized(1_000, 2_000)
KILLED = sized(1, 200)
KILLS = 3
BACKENDS = ["sqlite", "postgresql"]
MUTANTS = "test_a_server_with_a_bug_is_caught"


def fleet(tmp_path: Path, backend: str, *mutants: str | None) -> Fleet:
    """One server on SQLite or two on one PostgreSQL; each may be a mutant."""
    if backend == "sqlite":
        options: tuple[str, ...] = ()
        mutants = mutants[:1] or (None,)
    else:
        options = ("--database-url", new_database())
        mutants = mutants or (None, None)
    start = [functools.partial(Server, tmp_path / "data", *options, mutant=each) for each in mutants]
    return Fleet(start)


def assert_whole(tmp_path: Path, backend: str, servers: Fleet) -> None:
    """C9 after it: the log is dense and the tables are its replay."""
    if backend == "sqlite":
        assert problems_of_log(tmp_path / "data") == []
        return
    with contextlib.closing(Client(servers.pick(random.Random(0)).address)) as client:
        report = client.do("audit_verify", c.AuditVerify())
    assert (report["status"], report["findings"]) == ("ok", [])


def run(servers: Fleet, number: int, *, kills: int = 0, calls: int = CALLS) -> list[str]:
    """Record one history and return what is wrong with it."""
    rng = random.Random(f"{SEED}-{number}")
    at = frozenset(rng.sample(range(calls // 5, calls * 4 // 5), kills))
    histories = record(Plan(f"h{number}", calls, rng, servers, kills=at))
    assert sum(map(len, histories)) > calls * 0.9
    if kills == 0:
        assert all(each.known for each in itertools.chain(*histories))
    return problems(histories)


@promise(
    "C3",
    "{histories} histories of {calls} calls by {clients} clients on SQLite, {shared} on two servers of one PostgreSQL,"
    " with lost replies",
    histories=HISTORIES,
    shared=SHARED,
    calls=CALLS,
    clients=CLIENTS,
    mutant=MUTANTS,
)
@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_recorded_history_is_linearizable(tmp_path: Path, backend: str) -> None:
    print("seed", SEED)
    with fleet(tmp_path, backend) as servers:
        for number in range(HISTORIES if backend == "sqlite" else SHARED):
            found = run(servers, number)
            assert not found, "\n\n".join([f"history {number}, seed {SEED}", *found])
        if backend != "sqlite":
            assert_whole(tmp_path, backend, servers)
    if backend == "sqlite":
        assert_whole(tmp_path, backend, servers)


@promise(
    "C3",
    "{histories} histories of {calls} calls on each database with {kills} kill -9 in the middle;"
    " an unanswered call may have happened",
    histories=KILLED,
    calls=CALLS,
    kills=KILLS,
    mutant=MUTANTS,
)
@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_histories_in_which_servers_are_killed_are_linearizable(tmp_path: Path, backend: str) -> None:
    print("seed", SEED)
    with fleet(tmp_path, backend) as servers:
        for number in range(KILLED):
            found = run(servers, number, kills=KILLS)
            assert not found, "\n\n".join([f"history {number}, seed {SEED}", *found])
        assert servers.kills == KILLED * KILLS
        if backend != "sqlite":
            assert_whole(tmp_path, backend, servers)
    if backend == "sqlite":
        assert_whole(tmp_path, backend, servers)


@pytest.mark.parametrize(
    ("backend", "mutants"),
    [
        ("sqlite", ("no_compare",)),
        ("postgresql", ("stale_reads", None)),  # one of two: a replica that is behind
        ("sqlite", ("stale_reads",)),
        ("postgresql", ("no_keys", "no_keys")),  # a retry is applied again
        ("sqlite", ("lost_update",)),
        ("sqlite", ("swap_in_two_transactions",)),
        ("postgresql", ("swap_in_two_transactions", None)),
        ("sqlite", ("nobody_leaves_no_index",)),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_server_with_a_bug_is_caught(tmp_path: Path, backend: str, mutants: tuple[str | None, ...]) -> None:
    with fleet(tmp_path, backend, *mutants) as servers:
        found = (run(servers, number, calls=400) for number in range(10))
        assert any(found), mutants


def test_a_server_that_answers_before_it_commits_is_caught_when_it_is_killed(tmp_path: Path) -> None:
    with fleet(tmp_path, "sqlite", "answer_before_commit") as servers:
        assert any(run(servers, number, kills=KILLS, calls=400) for number in range(10))
