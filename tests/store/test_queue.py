"""Which requests share a batch, and who waits for whom."""

from __future__ import annotations

import queue as queues
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.core.errors import Unavailable
from greenroom.core.model import Actor
from greenroom.services.ports import Request
from greenroom.store import queue
from greenroom.store.writer import Job

LONG_S = 60.0
ANA = Actor("ana")


class Runner:
    """Notes the batches it is given; the first one is held until `go`, so that others can wait behind it."""

    is_in_doubt = False

    def __init__(self) -> None:
        self.batches: queues.SimpleQueue[list[str]] = queues.SimpleQueue()
        self.go = threading.Event()
        self.ended = threading.Event()

    def run(self, jobs: list[Job]) -> None:
        self.batches.put([job.route for job in jobs])
        assert self.go.wait(LONG_S)

    def give_up(self) -> None:
        self.ended.set()

    def next(self) -> list[str]:
        """Return what the next batch held; a test that waits as long as GATHER_S here fails."""
        return self.batches.get(timeout=LONG_S / 4)


def job(name: str) -> Job:
    return Job(lambda *given: None, None, ANA, Request("r"), name, None, logs_only=name.startswith("log"))


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[Runner]:
    """A runner behind a writer in which logs wait very long, so that every wait that ends has a reason."""
    monkeypatch.setattr(queue, "GATHER_S", LONG_S)
    made = Runner()
    made.writer = queue.Writer(made)  # type: ignore[attr-defined, arg-type]
    yield made
    made.go.set()
    made.writer.stop(LONG_S)  # type: ignore[attr-defined]


def give(runner: Any, *names: str) -> None:
    for name in names:
        runner.writer.submit(job(name))


def two_at_once(runner: Runner) -> None:
    """Two logs come together, so that the next one waits for another."""
    give(runner, "first")
    assert runner.next() == ["first"]
    give(runner, "log a", "log b")
    runner.go.set()
    assert runner.next() == ["log a", "log b"]


def test_who_logs_alone_never_waits(runner: Runner) -> None:
    runner.go.set()
    for name in ("log a", "log b", "log c"):
        give(runner, name)
        assert runner.next() == [name]


def test_logs_wait_for_as_many_as_came_together_last_time(runner: Runner) -> None:
    two_at_once(runner)
    give(runner, "log c")
    assert runner.batches.empty()
    give(runner, "log d")
    assert runner.next() == ["log c", "log d"]


def test_what_changes_the_registry_waits_for_no_logs(runner: Runner) -> None:
    two_at_once(runner)
    give(runner, "promote")
    assert runner.next() == ["promote"]
    give(runner, "log c")
    assert runner.next() == ["log c"], "the last batch had no logs"


def test_what_changes_the_registry_ends_the_wait_of_logs(runner: Runner) -> None:
    two_at_once(runner)
    give(runner, "log c", "promote")
    assert runner.next() == ["log c", "promote"]


def test_the_end_waits_for_nobody(runner: Any) -> None:
    two_at_once(runner)
    give(runner, "log c")
    runner.writer.stop(LONG_S / 4)
    assert runner.next() == ["log c"]
    assert runner.ended.is_set()
    with pytest.raises(Unavailable):
        give(runner, "log d")


def test_a_wait_has_an_end(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    two_at_once(runner)
    monkeypatch.setattr(queue, "GATHER_S", 0.01)
    give(runner, "log c")
    assert runner.next() == ["log c"]


def test_a_batch_has_a_largest_size(runner: Runner) -> None:
    give(runner, "first")
    assert runner.next() == ["first"]
    give(runner, *(f"log {at}" for at in range(queue.MAX_BATCH + 1)))
    runner.go.set()
    assert len(runner.next()) == queue.MAX_BATCH
