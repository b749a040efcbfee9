"""An older database becomes one of this version, all of it or not at all, whoever else is there; a newer one is left
alone.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import psycopg
import pytest

from greenroom.app import open_local, open_shared
from greenroom.core.errors import Conflict, IntegrityFailure, NotFound, Unavailable
from greenroom.services import commands as c
from greenroom.store import migrate
from greenroom.store.migrate import bring_up_to_date, stored_schema
from greenroom.upkeep import jobs
from greenroom.upkeep.checking import check
from greenroom.upkeep.place import Place, opened_database, opened_folder
from tests.postgres import new_database
from tests.promises import sized
from tests.races.kit import SEED, TESTER, Client, problems_of_log, serving, together
from tests.store.carrier import Carrier
from tests.store.later import BEFORE, LATER, become_later

KINDS = ["sqlite", "postgresql"]


def made(kind: str, tmp_path: Path) -> Place:
    """A registry of this version with a model."""
    where = Place(tmp_path / "registry", new_database() if kind == "postgresql" else None)
    registry = opened_registry(where, create=True)
    registry.call_now("create_model", c.CreateModel("churn"), TESTER)
    registry.close()
    return where


def opened_registry(where: Place, *, create: bool = False) -> Any:
    if where.database_url is None:
        return open_local(where.folder, create=create)
    return open_shared(where.database_url, where.folder)


@contextlib.contextmanager
def opened(where: Place) -> Iterator[Any]:
    if where.database_url is None:
        with opened_folder(where.folder, read_only=False) as db:
            yield db
    else:
        with opened_database(where.database_url) as db:
            yield db


def state_of(where: Place) -> tuple[str | None, bool, bool]:
    """The schema that it says, and whether the later table and column are there."""
    with opened(where) as db:
        try:
            db.all("SELECT colour FROM model")
            has_column = True
        except (apsw.SQLError, psycopg.errors.UndefinedColumn):
            has_column = False
        return stored_schema(db), "later" in db.tables(), has_column


OLD, NEW = (BEFORE, False, False), (LATER, True, True)


def set_schema(where: Place, schema: str) -> None:
    with opened(where) as db:
        db.run(f"UPDATE meta SET value = '\"{schema}\"' WHERE key = 'schema'")


def options(where: Place) -> list[str]:
    return ["--data", str(where.folder), *(["--database-url", where.database_url] if where.database_url else [])]


@pytest.mark.parametrize("kind", KINDS)
def test_an_upgrade_and_its_dry_run(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = made(kind, tmp_path)
    assert jobs.upgrade(where).statements == ()
    become_later(monkeypatch.setattr)
    said = jobs.upgrade(where, dry_run=True)
    assert (said.found, said.schema, len(said.statements)) == (BEFORE, LATER, 2)
    assert state_of(where) == OLD
    assert jobs.upgrade(where) == said
    assert state_of(where) == NEW
    assert jobs.upgrade(where).statements == ()
    registry = opened_registry(where)
    assert registry.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"
    registry.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_upgrades_when_it_starts_and_other_commands_say_so(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = made(kind, tmp_path)
    become_later(monkeypatch.setattr)
    with pytest.raises(Unavailable, match=f"has schema {BEFORE}, this version of Greenroom works with {LATER}") as said:
        check(where)
    assert said.value.hint == "Run: greenroom db upgrade"
    assert state_of(where) == OLD
    opened_registry(where).close()
    assert state_of(where) == NEW


def test_an_older_folder_is_backed_up_as_it_is_and_restored_as_this_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment for a backup is before the upgrade."""
    where, backup, new = made("sqlite", tmp_path), tmp_path / "b", tmp_path / "new"
    with monkeypatch.context() as later:
        become_later(later.setattr)
        assert jobs.back_up(where, backup).verified
        jobs.restore(backup, Place(new))
        assert state_of(Place(new)) == NEW
    assert state_of(where) == OLD
    assert problems_of_log(backup) == []  # the version before can go back to it
    with pytest.raises(Unavailable, match=f"has schema {LATER}, this version of Greenroom knows up to {BEFORE}"):
        jobs.restore(new, Place(tmp_path / "back"))
    assert not (tmp_path / "back").exists()


@pytest.mark.parametrize("schema", ["9999", "0000"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_that_is_not_ours_is_left_alone(kind: str, schema: str, tmp_path: Path) -> None:
    where = made(kind, tmp_path)
    set_schema(where, schema)
    error, says = {
        "9999": (Unavailable, "has schema 9999, this version of Greenroom knows up to"),
        "0000": (IntegrityFailure, "has schema 0000, which no version of Greenroom had"),
    }[schema]
    for job in (lambda: jobs.upgrade(where), lambda: opened_registry(where)):
        with pytest.raises(error, match=says):
            job()
    assert state_of(where) == (schema, False, False)


def test_an_empty_database_has_nothing_to_upgrade(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="the database holds no registry"):
        jobs.upgrade(Place(tmp_path, new_database()))
    with pytest.raises(NotFound, match="there is no registry in the folder"):
        jobs.upgrade(Place(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_served_folder_is_not_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = made("sqlite", tmp_path)
    with serving(where.folder):
        become_later(monkeypatch.setattr)
        with pytest.raises(Conflict, match="is in use by a Greenroom server"):
            jobs.upgrade(where)
        assert len(jobs.upgrade(where, dry_run=True).statements) == 2
    assert state_of(where) == OLD


def test_old_servers_go_on_answering_while_a_shared_database_is_upgraded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step only adds: the server of the version before reads and writes, during the upgrade and after it."""
    where = made("postgresql", tmp_path)
    monkeypatch.setenv("GREENROOM_TEST_SLOW", "1")
    with serving(where.folder, *options(where)[2:]) as server, Client(server.address) as client:
        stop, problems, count = threading.Event(), [], [0]

        def write() -> None:
            with Client(server.address) as mine:
                while not stop.is_set():
                    status, answer = mine.ask("set_model_tag", c.SetModelTag("churn", "at", str(count[0])))
                    count[0] += 1
                    if status != 200:
                        problems.append((status, answer))

        writer = threading.Thread(target=write)
        writer.start()
        with monkeypatch.context() as later:
            become_later(later.setattr)
            jobs.upgrade(where)
            assert state_of(where) == NEW
            during = count[0]
            client.do("create_model", c.CreateModel("fraud"))
            stop.set()
            writer.join(30)
            newer = open_shared(str(where.database_url), where.folder)  # a server of the new version beside the old
            newer.call_now("set_model_tag", c.SetModelTag("fraud", "by", "newer"), TESTER)
            assert client.do("get_model", c.ModelNamed("fraud"))["tags"] == {"by": "newer"}
            assert newer.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"
            newer.close()
    assert problems == []
    assert during > 0


def upgraders_at_once(where: Place) -> list[BaseException]:
    return together(4, lambda number: jobs.upgrade(where) and None)


@pytest.mark.parametrize("kind", KINDS)
def test_upgraders_at_the_same_time_do_it_once(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = made(kind, tmp_path)
    monkeypatch.setenv("GREENROOM_TEST_SLOW", "1")
    become_later(monkeypatch.setattr)
    assert upgraders_at_once(where) == []
    assert state_of(where) == NEW


def test_mutant_that_does_not_look_again_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = made("postgresql", tmp_path)
    monkeypatch.setenv("GREENROOM_TEST_SLOW", "1")
    become_later(monkeypatch.setattr)
    pending, seen = migrate.pending, {}

    def first_look(db: Any) -> tuple[str, list[str]]:
        return seen.setdefault(id(db), pending(db))

    monkeypatch.setattr(migrate, "pending", first_look)
    assert upgraders_at_once(where) != []


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    started = Carrier("later", slow=True)
    yield started
    started.close()


KILLS = sized(6, 500)


def killed_upgrades(carrier: Carrier, where: Place, kills: int) -> list[tuple[str | None, bool, bool]]:
    """Kill upgrades at random moments; return the states that were neither the old one nor the new one."""
    chance, odd = random.Random(SEED), []
    for _ in range(kills):
        pid = carrier.start("db", "upgrade", *options(where))
        threading.Event().wait(chance.uniform(0.02, 0.5))  # the random moment
        carrier.kill(pid)
        odd += [state] if (state := state_of(where)) not in (OLD, NEW) else []
        if state == NEW:
            break
    return odd


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_upgrade_was_whole_or_was_not(carrier: Carrier, kind: str, tmp_path: Path) -> None:
    where = made(kind, tmp_path)
    assert killed_upgrades(carrier, where, KILLS) == []
    end = time.monotonic() + 30
    while carrier.wait(carrier.start("db", "upgrade", *options(where))):  # the database may still end the killed one
        assert time.monotonic() < end
    assert state_of(where) == NEW


def test_mutant_without_a_transaction_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kill after the first statement leaves, when each is committed by itself."""
    where = made("sqlite", tmp_path)
    become_later(monkeypatch.setattr)

    class Ended(Exception):
        pass

    with contextlib.suppress(Ended), opened(where) as db:
        run = db.run

        def run_and_commit(sql: str, *given: Any) -> int:
            if sql.startswith("ALTER"):
                raise Ended
            changed = run(sql, *given)
            db.commit()
            db.begin()
            return int(changed)

        db.run = run_and_commit
        bring_up_to_date(db)
    assert state_of(where) not in (OLD, NEW)
