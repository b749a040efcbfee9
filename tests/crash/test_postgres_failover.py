"""P1: the primary is killed under load and its synchronous standby takes over; a database that goes, and comes back.

Nothing that was acknowledged is lost, whatever was not answered is settled by its key, and service is back at once.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

from greenroom.app import open_shared
from greenroom.core.errors import InvalidInput, Unavailable
from greenroom.services import commands as c
from greenroom.store import continuity
from tests.postgres import Cluster
from tests.postgres_pair import Pair, kill
from tests.promises import promise, sized
from tests.races.kit import TESTER, Client, Server, serving

WRITERS = 4
FAILOVERS = sized(3, 500)
BACK_S = 10.0
GONE_S = 3.0
MODEL = "m"


@dataclass
class Ledger:
    """What was acknowledged, by the name under which each write was made, and what is wrong."""

    numbers: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    repeated: int = 0
    last_s: float = 0.0  # time.monotonic() of the newest acknowledgement


class Load:
    """Clients that write all the time; one that gets no answer asks again with the same key until it gets one."""

    def __init__(self, servers: list[Server], ledger: Ledger, tag: str = "w", *, patient: bool = True) -> None:
        self._servers, self._ledger, self._tag, self._patient = servers, ledger, tag, patient
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WRITERS)]

    def __enter__(self) -> Load:
        for each in self._threads:
            each.start()
        return self

    def stop(self) -> None:
        """Begin nothing new."""
        self._stop.set()

    def __exit__(self, *exc: object) -> None:
        self.stop()
        for each in self._threads:
            each.join()

    def _work(self, number: int) -> None:
        for at in itertools.count():
            if self._stop.is_set():
                return
            self._write(f"{self._tag}{number}-{at}", number + at)

    def _write(self, name: str, turn: int) -> None:
        key = secrets.token_hex(8)
        command = c.RegisterVersion(MODEL, source=f"s3://elsewhere/{name}")
        end = time.monotonic() + 30
        for attempt in itertools.count():
            server = self._servers[(turn + attempt) % len(self._servers)]  # another server knows the key as well
            with Client(server.address, name) as client, contextlib.suppress(OSError, http.client.HTTPException):
                status, answer = client.ask("register_version", command, key=key)
                if status == 200:
                    self._ledger.numbers[name] = answer["version"]
                    self._ledger.last_s = time.monotonic()
                    return
                if status not in (409, 503):
                    self._ledger.problems.append(f"{name} was answered {status}: {answer}")
                    return
            self._ledger.repeated += 1
            if not self._patient and self._stop.is_set():
                return
            if time.monotonic() > end:
                self._ledger.problems.append(f"{name} was never answered")
                return
            threading.Event().wait(0.05)  # what `Retry-After` asks for, in small


def settle(server: Server, ledger: Ledger) -> list[str]:
    """Hold what callers heard against the log."""
    found = list(ledger.problems)
    effects: dict[str, list[int]] = {}
    after = 0
    with Client(server.address) as client:
        while True:
            page = client.do("audit_log", c.AuditLog(after=after, limit=1000))
            for each in page["entries"]:
                if each["actor"] in ledger.numbers:
                    effects.setdefault(each["actor"], []).append(each["version"])
            after = page["next_after"] if "next_after" in page else page[next(k for k in page if k != "entries")]
            if not after:
                break
        report = client.do("audit_verify", c.AuditVerify())
    lost = set(ledger.numbers) - set(effects)
    if lost:
        found.append(f"{len(lost)} acknowledged writes are lost: {sorted(lost)[:3]}")
    wrong = [name for name, number in ledger.numbers.items() if name in effects and effects[name] != [number]]
    if wrong:
        found.append(f"{wrong[:3]} took effect twice, or as another one: {[effects[each] for each in wrong[:3]]}")
    return found + [each["message"] for each in report["findings"]]


@contextlib.contextmanager
def two_servers(folder: Path, url: str, **given: Any) -> Iterator[list[Server]]:
    options = ("--database-url", url)
    with serving(folder, *options, **given) as one, serving(folder, *options, **given) as other:
        with Client(one.address) as client:
            client.do("create_model", c.CreateModel(MODEL))
        yield [one, other]


def wait_for_writes(ledger: Ledger, count: int) -> None:
    until = len(ledger.numbers) + count
    end = time.monotonic() + 30
    while len(ledger.numbers) < until and time.monotonic() < end:
        time.sleep(0.005)  # not for a condition of ours: the clients write


@promise(
    "P1",
    "{failovers} times the primary killed under load of two servers, the synchronous standby promoted",
    failovers=FAILOVERS,
    mutant="test_a_commit_that_does_not_wait_for_the_standby_is_seen",
)
@pytest.mark.slow
def test_a_failover_loses_nothing(tmp_path: Path) -> None:
    pair, ledger = Pair(), Ledger()
    try:
        with two_servers(tmp_path, pair.url()) as servers:
            slowest = 0.0
            for round_ in range(FAILOVERS):
                with Load(servers, ledger, f"w{round_}-"):
                    wait_for_writes(ledger, 40)
                    began = time.monotonic()
                    pair.fail_over()
                    wait_for_writes(ledger, 40)
                    slowest = max(slowest, ledger.last_s - began)
                pair.restore()
            assert settle(servers[0], ledger) == []
            assert ledger.repeated > 0
            print(f"{len(ledger.numbers)} acknowledged, {ledger.repeated} asked again, back after {slowest:.1f} s")
            assert slowest < BACK_S
    finally:
        pair.remove()


def test_a_commit_that_does_not_wait_for_the_standby_is_seen(tmp_path: Path) -> None:
    """The standby is away for the last writes, then the primary dies and the standby comes back as the primary."""
    pair, ledger = Pair(), Ledger()
    try:
        assert pair.standby is not None
        with two_servers(tmp_path, pair.url(), mutant="no_standby") as servers:
            with Load(servers, ledger, patient=False) as load:
                wait_for_writes(ledger, 20)
                kill(pair.standby)
                wait_for_writes(ledger, 20)
                load.stop()
            pair.fail_over()
            for each in servers:
                each.stop()
            with serving(tmp_path, "--database-url", pair.primary.url("registry")) as last:
                found = settle(last, ledger)
    finally:
        pair.remove()
    assert any("acknowledged writes are lost" in each for each in found), found


def test_nothing_is_acknowledged_that_only_one_of_the_two_has(tmp_path: Path) -> None:
    """The same with the protection: while the standby is away nobody is told that a write is durable."""
    pair = Pair()
    heard: list[Any] = []
    try:
        assert pair.standby is not None
        with serving(tmp_path, "--database-url", pair.url()) as server:

            def ask() -> None:
                with Client(server.address) as client:
                    heard.append(client.ask("create_model", c.CreateModel("x"), key="k"))

            kill(pair.standby)
            caller = threading.Thread(target=ask)
            caller.start()
            caller.join(1.0)
            assert heard == []
            pair.standby.start()
            caller.join(20)
            assert heard[0][0] == 200
    finally:
        pair.remove()


# --- gone, and back ---


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.remove()


def new_database(cluster: Cluster) -> str:
    name = f"t{secrets.token_hex(6)}"
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name}")
    return cluster.url(name)


def asked(client: Client, operation: str, command: Any) -> tuple[int, Any, float]:
    began = time.monotonic()
    status, answer = client.ask(operation, command)
    return status, answer, time.monotonic() - began


def test_a_database_that_goes_away_is_said_to_be_gone_and_is_found_again(tmp_path: Path, cluster: Cluster) -> None:
    url = new_database(cluster)
    with two_servers(tmp_path, url) as servers, Client(servers[0].address) as client:
        client.do("register_version", c.RegisterVersion(MODEL, source="s3://e/1"))
        kill(cluster)
        for operation, command in (
            ("get_model", c.ModelNamed(MODEL)),
            ("search_models", c.SearchModels()),
            ("register_version", c.RegisterVersion(MODEL, source="s3://e/2")),
            ("audit_checkpoint", c.AuditCheckpoint()),
        ):
            for _ in range(2):
                status, answer, took_s = asked(client, operation, command)
                assert (status, answer["code"]) == (503, "unavailable"), answer
                assert "greenroom@" not in answer["detail"]
                assert took_s < GONE_S
        assert _ready(servers[0]) == 503
        cluster.start()
        end = time.monotonic() + BACK_S
        for server in servers:
            while _ready(server) != 200:
                assert time.monotonic() < end
            with Client(server.address) as each:
                each.do("register_version", c.RegisterVersion(MODEL, source="s3://e/3"))
                each.do("get_model", c.ModelNamed(MODEL))
        assert client.do("audit_verify", c.AuditVerify())["status"] == "ok"


def _ready(server: Server) -> int:
    connection = http.client.HTTPConnection(*server.address, timeout=20)
    connection.request("GET", "/ready")
    answer = connection.getresponse()
    answer.read()
    if answer.status == 503:
        assert answer.getheader("Retry-After") is not None
    connection.close()
    return answer.status


def _swap(cluster: Cluster, url: str, other: str) -> None:
    """Put another database where one was."""
    name, new = url.rpartition("/")[2], other.rpartition("/")[2]
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        db.execute(f"ALTER DATABASE {name} RENAME TO {name}_before")
        db.execute(f"ALTER DATABASE {new} RENAME TO {name}")


@pytest.mark.parametrize(("which", "told"), [("other", "another registry"), ("older", "lacks the entry 6")])
def test_another_database_in_its_place_is_not_written_to(
    tmp_path: Path, cluster: Cluster, which: str, told: str
) -> None:
    """Mutant check: the next test takes the look after the reconnect away."""
    url, instead = new_database(cluster), new_database(cluster)
    registry = open_shared(url, tmp_path / "data")
    registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
    if which == "older":
        _copy(cluster, url, instead)
    else:
        other = open_shared(instead, tmp_path / "other")
        for number in range(9):
            other.call_now("create_model", c.CreateModel(f"theirs-{number}"), TESTER)
        other.close()
    for number in range(4):
        registry.call_now("create_model", c.CreateModel(f"later-{number}"), TESTER)
    _swap(cluster, url, instead)
    before = _size(url)
    for _ in range(2):
        for operation, command in (("create_model", c.CreateModel("fork")), ("get_model", c.ModelNamed(MODEL))):
            with pytest.raises(Unavailable, match=told):
                registry.call_now(operation, command, TESTER)
    assert _size(url) == before
    registry.close()
    again = open_shared(url, tmp_path / ("data" if which == "older" else "other"))  # whoever restarts it accepts it
    again.call_now("create_model", c.CreateModel("on"), TESTER)
    assert again.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"
    again.close()


def test_without_the_look_the_log_would_be_forked(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, instead = new_database(cluster), new_database(cluster)
    registry = open_shared(url, tmp_path / "data")
    _copy(cluster, url, instead)
    registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
    _swap(cluster, url, instead)
    monkeypatch.setattr(continuity.Continuity, "_require", lambda self, known, leaf: None)
    registry.call_now("create_model", c.CreateModel("fork"), TESTER)
    registry.close()


def _copy(cluster: Cluster, url: str, target: str) -> None:
    name, new = url.rpartition("/")[2], target.rpartition("/")[2]
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute(f"DROP DATABASE {new}")
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        db.execute(f"CREATE DATABASE {new} TEMPLATE {name}")


def _size(url: str) -> int:
    with psycopg.connect(url) as db:
        row = db.execute("SELECT size FROM audit_head").fetchone()
    assert row is not None
    return int(row[0])


def test_a_database_that_becomes_read_only_is_read_and_says_so(tmp_path: Path, cluster: Cluster) -> None:
    url = new_database(cluster)
    name = url.rpartition("/")[2]
    registry = open_shared(url, tmp_path)
    registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
    with psycopg.connect(cluster.url(), autocommit=True) as db:
        db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
        with pytest.raises(Unavailable, match="the database is read-only"):
            registry.call_now("create_model", c.CreateModel("x"), TESTER)
        assert registry.call_now("get_model", c.ModelNamed(MODEL), TESTER).name == MODEL
        db.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = off")
    registry.call_now("create_model", c.CreateModel("x"), TESTER)  # without anybody restarting anything
    registry.close()


def test_a_standby_is_read_and_says_that_it_cannot_be_written(tmp_path: Path) -> None:
    pair = Pair()
    try:
        assert pair.standby is not None
        first = open_shared(pair.primary.url("registry"), tmp_path)
        first.call_now("create_model", c.CreateModel(MODEL), TESTER)
        first.close()
        _wait_for_replay(pair.standby.url("registry"), _size(pair.primary.url("registry")))
        there = open_shared(pair.standby.url("registry"), tmp_path)
        assert there.call_now("get_model", c.ModelNamed(MODEL), TESTER).name == MODEL
        with pytest.raises(Unavailable, match="the database is read-only"):
            there.call_now("create_model", c.CreateModel("x"), TESTER)
        there.close()
    finally:
        pair.remove()


def _wait_for_replay(url: str, size: int) -> None:
    """A standby has what was committed before it shows it."""
    while True:
        with contextlib.suppress(psycopg.Error):
            if _size(url) >= size:
                return
        time.sleep(0.02)  # not for a condition of ours: PostgreSQL replays its log


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("""UPDATE meta SET value = '"9999"' WHERE key = 'schema'""", "upgrade Greenroom"),
        ("DELETE FROM meta WHERE key = 'schema'", "is not Greenroom's"),
    ],
)
def test_a_database_of_somebody_else_or_of_a_newer_version_is_refused(
    tmp_path: Path, cluster: Cluster, statement: str, told: str
) -> None:
    url = new_database(cluster)
    open_shared(url, tmp_path).close()
    with psycopg.connect(url) as db:
        db.execute(statement)
    with pytest.raises(Exception, match=told):
        open_shared(url, tmp_path)


@pytest.mark.parametrize(
    "url", ["postgresql://u:secret@[::1/db", "secret", "postgresql://u:secret@127.0.0.1/db?nonsense=1"]
)
def test_a_url_that_cannot_be_read_is_refused_without_repeating_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(InvalidInput, match="database URL cannot be read") as caught:
        open_shared(url, tmp_path)
    assert "secret" not in str(caught.value)


def test_two_servers_with_different_keys_do_not_both_begin_a_log(tmp_path: Path, cluster: Cluster) -> None:
    """They start at the same moment on an empty database: one decides who signs, the other is refused."""
    for round_ in range(5):
        url = new_database(cluster)
        gate, begun, refused = threading.Barrier(2), [], []

        def start(number: int, url: str = url, round_: int = round_, gate: Any = gate, **seen: Any) -> None:
            gate.wait()
            try:
                seen["begun"].append(open_shared(url, tmp_path / f"{round_}-{number}"))
            except InvalidInput as exc:
                seen["refused"].append(str(exc))

        threads = [
            threading.Thread(target=start, args=(number,), kwargs={"begun": begun, "refused": refused})
            for number in range(2)
        ]
        for each in threads:
            each.start()
        for each in threads:
            each.join(20)
        assert len(begun) == len(refused) == 1
        assert "is not the one that signs the log" in refused[0]
        assert begun[0].call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"
        begun[0].close()
