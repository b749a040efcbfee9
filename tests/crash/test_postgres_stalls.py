"""P4, P5: a server that stalls, a network that swallows, sessions that the database ends, conflicts of every kind."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from greenroom.app import LocalRegistry, open_shared
from greenroom.core.errors import Conflict, GreenroomError, Unavailable
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.store import database, door, postgres, writer
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import TESTER, Client, Server, serving, together
from tests.tcp_proxy import Proxy

CONFLICTS = sized(1_000, 100_000)
STALLS = sized(1, 100)
WRITERS = 2
GOES_ON_S = 10.0
MODEL = "m"


def prepare(client: Client) -> None:
    for number in range(3):
        client.do("register_version", c.RegisterVersion(MODEL, source="s3://elsewhere/m", create_model=number == 0))
    client.do("promote", c.Promote(MODEL, "Production", 1))


def waits_for_a_lock(db: psycopg.Connection[Any]) -> bool:
    row = db.execute("SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'promotion'::regclass").fetchone()
    return row is not None and row[0] > 0


def stall(server: Server, url: str, command: c.Promote, heard: list[Any]) -> threading.Thread:
    """Stop a server while it holds the head of the log, in the middle of a promotion; return who waits for it."""

    def ask() -> None:
        with Client(server.address) as client:
            heard.append(client.ask("promote", command))

    caller = threading.Thread(target=ask)
    with psycopg.connect(url) as hostile:
        hostile.execute("LOCK TABLE promotion IN SHARE MODE")
        caller.start()
        with psycopg.connect(url, autocommit=True) as eye:
            while not waits_for_a_lock(eye):
                time.sleep(0.002)  # not for a condition of ours: the server gets there
        os.kill(server.process.pid, signal.SIGSTOP)
    return caller


@promise(
    "P4",
    "{stalls} times a server stopped while it holds the head of the log; another one goes on within 10 s",
    stalls=STALLS,
    mutant="test_without_a_limit_everybody_waits",
    waiting="network partitions between replicas and an object store: they come with that store",
)
@pytest.mark.slow
def test_a_server_that_stalls_is_cut_off_and_tells_the_truth_afterwards(tmp_path: Path) -> None:
    url = new_database()
    options = ("--database-url", url)
    with serving(tmp_path, *options) as one, serving(tmp_path, *options) as other, Client(other.address) as client:
        prepare(client)
        for _ in range(STALLS):
            holder = client.do("get_holder", c.GetHolder(MODEL, "Production"))["tenures"][0]["version"]
            heard: list[Any] = []
            caller = stall(one, url, c.Promote(MODEL, "Production", 2, swap=True, if_holder=holder), heard)
            began = time.monotonic()
            moved = client.do("promote", c.Promote(MODEL, "Production", 3 if holder == 1 else 1, swap=True))
            took_s = time.monotonic() - began
            os.kill(one.process.pid, signal.SIGCONT)
            caller.join(30)
            assert moved["status"] == "succeeded"
            assert 1.0 < took_s < GOES_ON_S
            status, answer = heard[0]  # it decided again, on what is true now: the holder is not who was named
            assert (status, answer["status"]) == (200, "rejected"), heard
            client.do("promote", c.Promote(MODEL, "Production", 1, swap=True))
        with Client(one.address) as again:
            assert again.do("promote", c.Promote(MODEL, "Production", 2, swap=True))["status"] == "succeeded"
        report = client.do("audit_verify", c.AuditVerify())
    assert (report["status"], report["findings"]) == ("ok", [])


def test_without_a_limit_everybody_waits(tmp_path: Path) -> None:
    """The mutant: the database lets the stalled session be."""
    url = new_database()
    options = ("--database-url", url)
    with (
        serving(tmp_path, *options, mutant="no_idle_limit") as one,
        serving(tmp_path, *options, mutant="no_idle_limit") as other,
        Client(other.address) as client,
    ):
        prepare(client)
        heard: list[Any] = []
        caller = stall(one, url, c.Promote(MODEL, "Production", 2, swap=True), heard)
        began = time.monotonic()
        thread = threading.Thread(target=client.ask, args=("promote", c.Promote(MODEL, "Production", 3, swap=True)))
        thread.start()
        thread.join(GOES_ON_S)
        waited_s = time.monotonic() - began
        os.kill(one.process.pid, signal.SIGCONT)
        caller.join(30)
        thread.join(30)
    assert waited_s >= GOES_ON_S


# --- in process ---


@pytest.mark.parametrize("protected", [True, False])
def test_a_server_that_stalls_between_statements_sent_together_is_cut_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protected: bool
) -> None:
    """No timeout of the database ends such a session; who waits for the head does. Without that, nobody goes on."""
    monkeypatch.setitem(door._SESSION, "lock_timeout", 600)
    quick = postgres._END_STALLED.replace(f"{door.IDLE_LIMIT_MS} ms", "300 ms") if protected else "SELECT 1"
    monkeypatch.setattr(postgres, "_END_STALLED", quick)
    url = new_database()
    registry = open_shared(url, tmp_path)
    stalled = psycopg.connect(url, autocommit=True)
    with contextlib.suppress(psycopg.OperationalError), stalled.pipeline():
        stalled.execute("BEGIN")
        stalled.execute("SELECT size FROM audit_head WHERE id = 1 FOR UPDATE")
        with psycopg.connect(url, autocommit=True) as eye:
            query = "SELECT state, wait_event FROM pg_stat_activity WHERE pid = %s"
            while eye.execute(query, (stalled.info.backend_pid,)).fetchone() != ("active", "ClientRead"):
                time.sleep(0.002)  # not for a condition of ours: the session gets there
        if protected:
            registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
        else:
            with pytest.raises(Conflict, match="the database is busy"):
                registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
    stalled.close()
    registry.close()


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[LocalRegistry, str]]:
    url = new_database()
    registry = open_shared(url, tmp_path)
    for number in range(2):
        ask = c.RegisterVersion(MODEL, source="s3://elsewhere/m", create_model=number == 0)
        registry.call_now("register_version", ask, TESTER)
    yield registry, url
    registry.close()


def test_sessions_that_the_database_ends_are_not_noticed_by_callers(shared: tuple[LocalRegistry, str]) -> None:
    registry, url = shared
    name = url.rpartition("/")[2]
    with psycopg.connect(url, autocommit=True) as db:
        for _ in range(20):
            assert registry.call_now("get_model", c.ModelNamed(MODEL), TESTER).name == MODEL
            registry.call_now("set_model_tag", c.SetModelTag(MODEL, "k", "v"), TESTER)
            db.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
                (name,),
            )
    assert registry.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"


def test_a_read_that_loses_its_connection_midway_is_read_again(shared: tuple[LocalRegistry, str]) -> None:
    registry, url = shared
    seen: list[int] = []

    def twice(tx: Any, ask: None, actor: Actor) -> str:
        seen.append(1)
        if len(seen) == 1:
            with psycopg.connect(url, autocommit=True) as db:
                pid = tx.db.one("SELECT pg_backend_pid()")[0]
                db.execute("SELECT pg_terminate_backend(%s)", (pid,))
        return str(tx.find_model(MODEL).name)

    assert registry.store.search_now(twice, None, TESTER) == MODEL
    assert len(seen) == 2


def test_a_network_that_swallows_everything_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection stands and nothing comes back: no keepalive notices that, the watch does."""
    monkeypatch.setattr(database, "SEARCH_LIMIT_S", 0.5)
    monkeypatch.setattr(postgres, "STATEMENT_LIMIT_S", 1.0)
    monkeypatch.setattr(postgres, "_GRACE_S", 0.5)
    parts = urlsplit(new_database())
    assert parts.port is not None
    with Proxy(("127.0.0.1", parts.port)) as proxy:
        url = f"postgresql://greenroom@127.0.0.1:{proxy.port}{parts.path}?connect_timeout=2"
        registry = open_shared(url, tmp_path)
        registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
        registry.call_now("get_model", c.ModelNamed(MODEL), TESTER)
        proxy.swallow(on=True)
        for operation, command in (("get_model", c.ModelNamed(MODEL)), ("create_model", c.CreateModel("x"))):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                registry.call_now(operation, command, TESTER)
            assert time.monotonic() - began < 8
        proxy.swallow(on=False)
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(GreenroomError):
                registry.call_now("set_model_tag", c.SetModelTag(MODEL, "k", "v"), TESTER)
                break
        assert registry.call_now("get_model", c.ModelNamed(MODEL), TESTER).tags == {"k": "v"}
        assert registry.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"
        registry.close()


# --- P5 ---

_HOSTILE = """
CREATE SEQUENCE conflicts;
CREATE FUNCTION hostile() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF random() < {share} THEN
    CASE nextval('conflicts') % 3
      WHEN 0 THEN RAISE EXCEPTION 'made' USING ERRCODE = '40001';
      WHEN 1 THEN RAISE EXCEPTION 'made' USING ERRCODE = '40P01';
      ELSE RAISE EXCEPTION 'made' USING ERRCODE = '55P03';
    END CASE;
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER hostile BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION hostile();
"""


def conflicts(url: str) -> int:
    with psycopg.connect(url, autocommit=True) as db:
        row = db.execute("SELECT last_value, is_called FROM conflicts").fetchone()
    assert row is not None
    return int(row[0]) if row[1] else 0


def press(registry: LocalRegistry, url: str, count: int) -> tuple[list[str], int]:
    """Promote from several threads until there were so many conflicts; return what nobody should hear, and how often
    a caller was told to try again.
    """
    wrong: list[str] = []
    told: list[str] = []

    def work(number: int) -> None:
        while conflicts(url) < count and not wrong:
            for _ in range(10):
                try:
                    ask = c.Promote(MODEL, "Production", 1 + number % 2, swap=True)
                    registry.call_now("promote", ask, Actor(f"w{number}"))
                except Conflict as exc:
                    told.append(str(exc))
                except Exception as exc:
                    wrong.append(repr(exc))

    wrong += [repr(exc) for exc in together(WRITERS, work)]
    return wrong, len(told)


@promise(
    "P5",
    "{conflicts} serialization failures, deadlocks and lock timeouts",
    conflicts=CONFLICTS,
    mutant="test_a_conflict_that_is_not_retried_is_seen",
)
@pytest.mark.slow
def test_conflicts_are_retried_and_never_a_failure(
    shared: tuple[LocalRegistry, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, url = shared
    monkeypatch.setattr(writer, "_PAUSE_S", 0.002)  # how long it waits is not the subject
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(_HOSTILE.format(share="0.25", table="promotion"))
    wrong, told = press(registry, url, CONFLICTS)
    assert wrong == []
    assert told < CONFLICTS / 10  # five in a row are rare, and are an answer that says: try again
    assert registry.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"


def test_a_conflict_that_is_not_retried_is_seen(
    shared: tuple[LocalRegistry, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    registry, url = shared
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(_HOSTILE.format(share="0.25", table="promotion"))
    monkeypatch.setattr(postgres.Postgres, "is_race", lambda self, error: False)
    wrong, told = press(registry, url, 60)
    assert wrong or told >= 60 / 10


@pytest.mark.parametrize("table", ["promotion", "audit_entry"])
def test_a_conflict_that_never_ends_is_tried_five_times(shared: tuple[LocalRegistry, str], table: str) -> None:
    """In a request, and in the sealing of the batch."""
    registry, url = shared
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(_HOSTILE.format(share="2", table=table))
    with pytest.raises(Conflict, match="the database is busy") as caught:
        registry.call_now("promote", c.Promote(MODEL, "Production", 1), TESTER)
    assert (caught.value.retryable, caught.value.http_status) == (True, 409)
    assert conflicts(url) == writer.MAX_TRIES
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"DROP TRIGGER hostile ON {table}")
    assert registry.call_now("promote", c.Promote(MODEL, "Production", 1), TESTER).succeeded


def test_a_real_deadlock_is_survived(shared: tuple[LocalRegistry, str]) -> None:
    """A session of somebody else holds the model and wants the head; the batch holds the head and wants the model."""
    registry, url = shared
    for _ in range(3):
        with psycopg.connect(url) as hostile:
            hostile.execute("SELECT 1 FROM model FOR UPDATE")
            heard: list[Any] = []
            ask = c.UpdateModel(MODEL, secrets.token_hex(4))
            caller = threading.Thread(
                target=lambda ask=ask, heard=heard: heard.append(registry.call_now("update_model", ask, TESTER))
            )
            caller.start()
            with psycopg.connect(url, autocommit=True) as eye:
                while not _waiting(eye):
                    time.sleep(0.002)  # not for a condition of ours: the batch gets there
            with contextlib.suppress(psycopg.errors.DeadlockDetected):  # either of the two is chosen
                hostile.execute("SELECT 1 FROM audit_head FOR UPDATE")
            hostile.rollback()
            caller.join(20)
            assert heard[0].description == ask.description
    assert registry.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"


def _waiting(db: psycopg.Connection[Any]) -> bool:
    row = db.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone()
    return row is not None and row[0] > 0
