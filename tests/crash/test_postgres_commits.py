"""P2: a connection lost around a commit. Whatever was lost, each request has exactly one effect and its true answer."""

from __future__ import annotations

import contextlib
import itertools
import random
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from greenroom.app import LocalRegistry, open_shared
from greenroom.client import connect
from greenroom.core.errors import GreenroomError, Unavailable
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.services.ports import Request
from greenroom.store import continuity, writer
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import SEED, TESTER, serving, together
from tests.tcp_proxy import Fate, Proxy

WRITERS = 8
DROPS = sized(300, 50_000)
REPLIES = sized(20, 5_000)
MODEL = "m"
COMMIT = b"COMMIT\0"
# Where the connection is lost: at the commit, and in the middle of a batch.
MOMENTS = (
    (COMMIT, Fate.BEFORE),
    (COMMIT, Fate.REPLY),
    (COMMIT, Fate.LATE),
    (b"RELEASE", Fate.BEFORE),
    (b"audit_entry", Fate.REPLY),
)


@dataclass
class Told:
    """What callers heard, by the name under which each asked."""

    numbers: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    asked: int = 0
    repeated: int = 0


class Dice:
    """Gives every third batch a moment at which it loses its connection, and never the same one twice in a row."""

    def __init__(self, moments: tuple[tuple[bytes, Fate], ...] = MOMENTS) -> None:
        self._chance = random.Random(SEED)
        self._moments = moments
        self._next: tuple[bytes, Fate] | None = None
        self.enabled = False

    def __call__(self, piece: bytes) -> Fate:
        if not self.enabled:
            return Fate.PASS
        if b"FOR UPDATE" in piece:  # a batch begins
            self._next = self._chance.choice(self._moments) if self._chance.random() < 0.35 else None
        if self._next is None or self._next[0] not in piece:
            return Fate.PASS
        fate, self._next = self._next[1], None
        return fate


@contextlib.contextmanager
def through_a_proxy(folder: Path, dice: Dice) -> Iterator[tuple[LocalRegistry, Proxy]]:
    parts = urlsplit(new_database())
    assert parts.port is not None
    with Proxy(("127.0.0.1", parts.port), dice) as proxy:
        registry = open_shared(f"postgresql://greenroom@127.0.0.1:{proxy.port}{parts.path}", folder)
        try:
            registry.call_now("create_model", c.CreateModel(MODEL), TESTER)
            dice.enabled = True
            yield registry, proxy
            dice.enabled = False
        finally:
            dice.enabled = False
            registry.close()


def lose(registry: LocalRegistry, proxy: Proxy, drops: int) -> Told:
    """Write from several threads until so many connections were lost. Half of the requests have a key."""
    told = Told()

    def work(number: int) -> None:
        at = 0
        while proxy.lost.total() < drops and not told.problems:
            at += 1
            name = f"w{number}-{at}"
            key = secrets.token_hex(8) if at % 2 else None
            told.asked += 1
            ask(registry, name, key, told)

    told.problems += [repr(exc) for exc in together(WRITERS, work)]
    return told


def ask(registry: LocalRegistry, name: str, key: str | None, told: Told) -> None:
    """Register a version under a name of its own; with a key, ask again after every answer that is none."""
    command = c.RegisterVersion(MODEL, source=f"s3://elsewhere/{name}")
    for _ in range(20):
        request = Request(secrets.token_hex(8), key, name if key else None)
        try:
            told.numbers[name] = registry.call_now("register_version", command, Actor(name), request=request).version
            return
        except GreenroomError as exc:
            if key is None or not exc.retryable:  # the database is there all the time: nothing may come through
                told.problems.append(f"{name}: {exc}")
                return
            told.repeated += 1
    told.problems.append(f"{name} was never answered")


def problems(registry: LocalRegistry, told: Told) -> list[str]:
    """Hold what callers heard against the log and the rows."""
    found = list(told.problems)
    with registry.snapshot() as tx:
        entries = [each for each in tx.audit_entries(after=0, limit=1_000_000) if each.actor.startswith("w")]
        model = tx.find_model(MODEL)
        assert model is not None
        stored = tx.living_versions(model.id)
    effects: dict[str, list[int | None]] = {}
    for each in entries:
        effects.setdefault(each.actor, []).append(each.version)
    found += [f"{name} took effect {len(each)} times" for name, each in effects.items() if len(each) != 1]
    found += [f"{name} was told {n}" for name, n in told.numbers.items() if effects.get(name) != [n]]
    if stored != list(range(1, len(stored) + 1)):
        found.append("the numbers are not dense")
    report = registry.call_now("audit_verify", c.AuditVerify(), TESTER)
    return found + [each.message for each in report.findings]


@promise(
    "P2",
    "{drops} connections to the database lost before, at, during and after a commit; {replies} replies to a client",
    drops=DROPS,
    replies=REPLIES,
    mutant=("test_a_lost_protection_is_seen",),
)
@pytest.mark.slow
def test_every_request_has_one_effect_whatever_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "_PAUSE_S", 0.002)  # how long it waits is not the subject
    with through_a_proxy(tmp_path, Dice()) as (registry, proxy):
        told = lose(registry, proxy, DROPS)
        assert problems(registry, told) == []
        assert len(told.numbers) == told.asked > DROPS
    assert set(proxy.lost) == {Fate.BEFORE, Fate.REPLY, Fate.LATE}


def _blind(self: Any) -> Any:
    """A commit without an answer is taken for one that failed."""
    doubt, self._doubt = self._doubt, None
    return doubt.jobs if doubt is not None else []


def _unlocked(self: Any) -> Any:
    """The log is asked without waiting for a commit that is still under way."""
    doubt, self._doubt = self._doubt, None
    if doubt is None:
        return []
    if continuity.leaf_at(self._db, doubt.head.size) != doubt.head.last:
        return doubt.jobs
    writer._answer_all(doubt.outcomes)
    return []


def _said_to_have_failed(self: Any) -> Any:
    """Who waits for a lost answer is told an error at once."""
    self.give_up()
    return []


@pytest.mark.parametrize(
    ("mutant", "moments", "told"),
    [
        (_blind, MOMENTS[1:2], "took effect 2 times"),
        (_unlocked, MOMENTS[2:3], "took effect 2 times"),
        (_said_to_have_failed, MOMENTS[1:2], "whether it took place is not known"),
    ],
)
def test_a_lost_protection_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mutant: Callable[[Any], Any], moments: Any, told: str
) -> None:
    with through_a_proxy(tmp_path, Dice(moments)) as (registry, proxy):
        monkeypatch.setattr(writer.BatchRunner, "_settled", mutant)
        seen = lose(registry, proxy, 30)
        monkeypatch.undo()
        assert any(told in each for each in problems(registry, seen))


def test_an_outcome_that_nobody_can_find_out_is_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is gone for good after a commit: its caller hears that nobody knows, others that it is gone."""
    monkeypatch.setattr(writer, "RUN_LIMIT_S", 2.0)
    dice = Dice(((COMMIT, Fate.REPLY),))
    with through_a_proxy(tmp_path, dice) as (registry, proxy):
        dice._chance.random = lambda: 0.0  # type: ignore[method-assign]
        proxy.target, there = ("127.0.0.1", 1), proxy.target
        caller = threading.Thread(target=lambda: heard.append(_fails(registry, "first", None)))
        heard: list[GreenroomError | None] = []
        caller.start()
        while not proxy.lost:  # until the commit is lost
            pass
        other = _fails(registry, "second", None)
        caller.join(20)
        dice.enabled = False
        proxy.target = there
        assert isinstance(other, Unavailable)
        assert "cannot be reached" in other.message
        assert heard[0] is not None
        assert heard[0].details == {"outcome": "unknown"}
        while _fails(registry, "third", "key") is not None:  # until it is noticed that the database is back
            pass
        with registry.snapshot() as tx:
            model = tx.find_model(MODEL)
            assert model is not None
            assert tx.living_versions(model.id) == [1, 2]  # the first one did take place
        assert registry.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"


def _fails(registry: LocalRegistry, name: str, key: str | None) -> GreenroomError | None:
    request = Request(name, key, name if key else None)
    try:
        registry.call_now(
            "register_version", c.RegisterVersion(MODEL, source=f"s3://e/{name}"), TESTER, request=request
        )
    except GreenroomError as exc:
        return exc
    return None


# --- between client and server: the client's own retry carries its key ---


@pytest.mark.slow
def test_a_client_whose_replies_are_lost_has_one_effect_for_each_request(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    url = new_database()

    in_a_row = itertools.cycle([0, 1, 0, 2])
    left = 0

    def fate(piece: bytes) -> Fate:
        nonlocal left
        if not piece.startswith(b"POST"):
            return Fate.PASS
        left -= 1
        if left < 0:  # this attempt is answered; the next request loses so many of its own
            left = next(in_a_row)
            return Fate.PASS
        return chance.choice([Fate.REPLY, Fate.LATE, Fate.BEFORE])

    with serving(tmp_path, "--database-url", url) as server, Proxy(server.address, fate) as proxy:
        told = Told()
        with connect(f"http://127.0.0.1:{proxy.port}") as registry:
            registry.create_model(MODEL)
            while proxy.lost.total() < REPLIES:
                told.asked += 1
                told.numbers[f"w{told.asked}"] = registry.register(MODEL, source=f"s3://e/{told.asked}").version
    direct = open_shared(url, tmp_path)
    with direct.snapshot() as tx:
        model = tx.find_model(MODEL)
        assert model is not None
        assert tx.living_versions(model.id) == list(told.numbers.values())
    assert direct.call_now("audit_verify", c.AuditVerify(), TESTER).status == "ok"
    direct.close()
