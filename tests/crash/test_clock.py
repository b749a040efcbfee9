"""F7: the clock jumps. Order is by sequence number alone; tokens, keys, history and waiting do not mind."""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import open_local
from greenroom.services import commands as c
from tests.promises import promise, sized
from tests.races.kit import Client, Server, problems_of_log

LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)
# What the clock shows in turn, as libfaketime reads it; a story goes on over every change.
JUMPS = {
    "ten years ahead": ("+0", "+3650d"),
    "ten years back": ("+0", "-3650d"),
    "an hour back": ("+0", "-1h"),
    "to and fro": ("+0", "+3650d", "-3650d", "+0"),
    "five times as fast": ("+0 x5", "+0 x5"),
    "behind 2038": ("+0", "+5000d"),
}
ROUNDS = sized(1, 50)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed (one of the Makefile's DEBIAN_PACKAGES)"),
]


class Clock:
    """What processes that start from here on take for the time; `time.monotonic` stays what it is."""

    def __init__(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._file = file
        self.set("+0")
        monkeypatch.setenv("LD_PRELOAD", str(LIBRARY))
        monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(file))
        monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
        monkeypatch.setenv("DONT_FAKE_MONOTONIC", "1")
        monkeypatch.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")

    def set(self, shown: str) -> None:
        draft = self._file.with_suffix(".draft")
        draft.write_text(shown + "\n")
        draft.replace(self._file)


@dataclasses.dataclass
class Story:
    """What is done between two jumps, and what must be as it was before."""

    client: Client
    asked: int = 0
    promotions: list[int] = dataclasses.field(default_factory=list)

    def begin(self) -> None:
        for _ in range(2):
            self.client.do("register_version", c.RegisterVersion("m", source="s3://e/m", create_model=True))

    def go_on(self) -> None:
        for _ in range(4):
            self.asked += 1
            ask = c.Promote("m", "Production", 1 + self.asked % 2, swap=True)
            made = self.client.do("promote", ask, key=f"k{self.asked}")
            assert self.client.do("promote", ask, key=f"k{self.asked}") == made
            self.promotions.append(made["id"])
            self.client.do("set_alias", c.SetAlias("m", "champion", ask.version or 0))
            held = self.client.do("get_holder", c.GetHolder("m", "Production"))
            assert [each["version"] for each in held["tenures"]] == [ask.version], held
        old = c.Promote("m", "Production", 2, swap=True)
        assert self.client.do("promote", old, key="k1")["id"] == self.promotions[0]

    def page(self) -> tuple[str, list[Any]]:
        found = self.client.do("list_history", c.ListHistory("m", page_size=3))
        return found["next_page_token"], found["items"]

    def rest(self, token: str) -> list[Any]:
        return list(self.client.do("list_history", c.ListHistory("m", page_size=100, page_token=token))["items"])


@promise(
    "F7",
    "{jumps} jumps of the clock, each played {rounds} times",
    jumps=len(JUMPS),
    rounds=ROUNDS,
    mutant="test_order_by_time_is_seen",
)
@pytest.mark.parametrize("jump", JUMPS)
def test_a_clock_that_jumps(jump: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(tmp_path / "clock", monkeypatch)
    for round_ in range(ROUNDS):
        folder = tmp_path / f"data-{round_}"
        clock.set(JUMPS[jump][0])
        server = Server(folder)
        try:
            with Client(server.address) as client:
                _play(Story(client), clock, JUMPS[jump])
            started = time.monotonic()
            server.stop()
            assert time.monotonic() - started < 5
        finally:
            _end(server)
        _judge(folder, jump)
        shutil.rmtree(folder)


def _end(server: Server) -> None:
    """Kill what still runs, and take away what libfaketime leaves behind in memory."""
    server.kill()
    for each in ("faketime_shm", "sem.faketime_sem"):
        Path(f"/dev/shm/{each}_{server.process.pid}").unlink(missing_ok=True)


def _play(story: Story, clock: Clock, shown: tuple[str, ...]) -> None:
    story.begin()
    story.go_on()
    for each in shown[1:]:
        token, before = story.page()
        clock.set(each)
        started = time.monotonic()
        assert story.page()[1] == before
        assert story.rest(token), "a page token of before the jump leads on"
        story.go_on()
        assert time.monotonic() - started < 10, "something waits by the clock"
        for at in (0, 1_000_000_000_000, 4_000_000_000_000):
            held = story.client.do("get_holder", c.GetHolder("m", "Production", at=at))
            assert len(held["tenures"]) <= 1, held
    assert story.promotions == sorted(set(story.promotions))


def _judge(folder: Path, jump: str) -> None:
    """The log is whole and in one order, and its times show the jump."""
    assert problems_of_log(folder) == []
    registry = open_local(folder)
    with registry.snapshot() as tx:
        entries = tx.audit_entries(after=0, limit=10_000)
    registry.close()
    assert [each.seq for each in entries] == list(range(1, len(entries) + 1))
    assert _goes_back(entries) == (jump in ("ten years back", "an hour back", "to and fro"))


def _goes_back(entries: Any) -> bool:
    return any(after.at < before.at for before, after in itertools.pairwise(entries))


def test_order_by_time_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: whoever sorts by time gets another order, and the check of the order sees it."""
    clock = Clock(tmp_path / "clock", monkeypatch)
    server = Server(tmp_path / "data")
    try:
        with Client(server.address) as client:
            story = Story(client)
            story.begin()
            clock.set("-1h")
            story.go_on()
    finally:
        _end(server)
    registry = open_local(tmp_path / "data")
    with registry.snapshot() as tx:
        entries = tx.audit_entries(after=0, limit=10_000)
    registry.close()
    by_time = sorted(entries, key=lambda each: each.at)
    assert [each.seq for each in by_time] != list(range(1, len(entries) + 1))
