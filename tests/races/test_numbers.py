"""C2: version numbers are 1..n without gap or duplicate, in the order of the commits; who fails consumes nothing."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core.model import File
from greenroom.services import commands as c
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import SEED, TESTER, Client, Server, problems_of_log, serving, together

CLIENTS = 64
CREATES = sized(50, 15_625)
SHARED_CREATES = sized(20, 15_625)
MODEL = "fraud"
ABSENT = (File("model.bin", "sha256:" + "0" * 64, 1),)


@dataclass
class Crowd:
    """What the clients were told."""

    numbers: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    cut: int = 0
    refused: int = 0


def crowd(server: Server, clients: int, creates: int, *more: Server) -> Crowd:
    """Let clients create versions at once: 5 % of the requests are cut, 5 % name a blob that is not there.

    `more` are further servers of the same registry: the clients are spread over all of them.
    """
    seen = Crowd()
    servers = (server, *more)
    with Client(server.address) as client:
        client.do("create_model", c.CreateModel(MODEL))

    def work(number: int) -> None:
        chance = random.Random(f"{SEED}-{number}")
        client = Client(servers[number % len(servers)].address, f"client-{number}")
        for at in range(creates):
            fate = chance.random()
            if fate < 0.05:
                seen.cut += 1
                client.cut("register_version", _good(number, at), keep=chance.choice([0.0, 0.5, 0.99, 1.0]))
                continue
            command = c.RegisterVersion(MODEL, files=ABSENT) if fate < 0.10 else _good(number, at)
            status, answer = client.ask("register_version", command)
            if status == 200:
                seen.numbers.append(answer["version"])
            elif status == 400 and command.files:
                seen.refused += 1
            else:
                seen.errors.append(f"{status}: {answer}")
        client.close()

    seen.errors += [repr(exc) for exc in together(clients, work)]
    return seen


def _good(number: int, at: int) -> c.RegisterVersion:
    return c.RegisterVersion(MODEL, source=f"s3://elsewhere/{number}/{at}", tags={"client": str(number)})


def problems(registry: LocalRegistry, seen: Crowd) -> list[str]:
    """Return what is wrong with the numbers that are stored and with those that were answered. Closes the registry."""
    with registry.snapshot() as tx:
        model = tx.find_model(MODEL)
        assert model is not None
        stored = tx.living_versions(model.id)
        events = [row.created_event for number in stored if (row := tx.find_version(model.id, number)) is not None]
    registry.close()
    found = seen.errors[:3]
    if stored != list(range(1, len(stored) + 1)):
        found.append(f"the numbers are not dense: {len(stored)} of them end at {stored[-1]}")
    if events != sorted(set(events)):
        found.append("the order of the numbers is not that of the commits")
    if len(set(seen.numbers)) != len(seen.numbers):
        found.append("two callers were given the same number")
    if not set(seen.numbers) <= set(stored):
        found.append("a number that was answered is not stored")
    if len(stored) > len(seen.numbers) + seen.cut:
        found.append(f"{len(stored)} versions of {len(seen.numbers)} answered requests and {seen.cut} that were cut")
    return found


@promise(
    "C2",
    "SQLite: {clients} clients of {creates} creates, 5 % cut",
    clients=CLIENTS,
    creates=CREATES,
    mutant="test_a_number_from_elsewhere_is_seen",
)
@pytest.mark.slow
def test_numbers_are_dense(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        seen = crowd(server, CLIENTS, CREATES)
    assert problems(open_local(tmp_path / "data"), seen) == []
    assert seen.cut > 0
    assert seen.refused > 0
    assert problems_of_log(tmp_path / "data") == []


@pytest.mark.parametrize("mutant", ["number_without_lock", "number_from_sequence"])
def test_a_number_from_elsewhere_is_seen(tmp_path: Path, mutant: str) -> None:
    with serving(tmp_path / "data", mutant=mutant) as server:
        seen = crowd(server, 16, 10)
    assert problems(open_local(tmp_path / "data"), seen) != []


@promise(
    "C2",
    "PostgreSQL, 3 servers: {clients} clients of {creates} creates, 5 % cut",
    clients=CLIENTS,
    creates=SHARED_CREATES,
    mutant="test_a_number_from_elsewhere_is_seen_over_two_servers_of_one_postgresql",
)
@pytest.mark.slow
def test_numbers_are_dense_over_servers_of_one_postgresql(tmp_path: Path) -> None:
    url = new_database()
    with contextlib.ExitStack() as stack:
        one, *more = [stack.enter_context(serving(tmp_path, "--database-url", url)) for _ in range(3)]
        seen = crowd(one, CLIENTS, SHARED_CREATES, *more)
        with contextlib.closing(Client(one.address)) as client:
            report = client.do("audit_verify", c.AuditVerify())
    assert problems(open_shared(url, tmp_path), seen) == []
    assert seen.cut > 0
    assert seen.refused > 0
    assert (report["status"], report["findings"]) == ("ok", [])


def test_a_number_from_elsewhere_is_seen_over_two_servers_of_one_postgresql(tmp_path: Path) -> None:
    options = ("--database-url", new_database())
    mutant = "number_without_lock"
    with serving(tmp_path, *options, mutant=mutant) as one, serving(tmp_path, *options, mutant=mutant) as other:
        seen = crowd(one, 16, 10, other)
    assert problems(open_shared(options[1], tmp_path), seen) != []


def test_numbers_go_on_after_a_delete(tmp_path: Path) -> None:
    registry = open_local(tmp_path / "data", create=True)
    ask = c.RegisterVersion(MODEL, source="s3://elsewhere/m", create_model=True)
    given = []
    for _ in range(3):
        given.append(registry.call_now("register_version", ask, TESTER).version)
        registry.call_now("delete_version", c.DeleteVersion(MODEL, given[-1]), TESTER)
    registry.call_now("delete_model", c.DeleteModel(MODEL), TESTER)
    given.append(registry.call_now("register_version", ask, TESTER).version)
    registry.close()
    assert given == [1, 2, 3, 4]
    assert problems_of_log(tmp_path / "data") == []
