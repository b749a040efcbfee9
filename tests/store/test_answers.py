"""Kept answers: quick, and never older than what anybody was told."""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.app import begin_tracking
from greenroom.core.errors import NotFound
from greenroom.core.model import Actor
from greenroom.core.tracking import Metric
from greenroom.services import catalog, lifecycles
from greenroom.services import commands as c
from greenroom.services.commands import tracking
from greenroom.services.ports import Request
from greenroom.services.reading import get_model_view
from greenroom.services.tracking_logging import log_to_run
from greenroom.services.tracking_runs import create_run
from greenroom.store import answers
from greenroom.store.answers import Answers, Commits
from greenroom.store.folder import FolderStore

ANA = Actor("ana")
RUN = "a" * 32
CHANGES = 100


@pytest.fixture
def store(tmp_path: Path):
    store = FolderStore(tmp_path / "r", create=True, serve=True)
    run(store, lifecycles.create_registry, lifecycles.CreateRegistry())
    run(store, catalog.create_model, c.CreateModel("m"))
    yield store
    store.close()


def run(store: FolderStore, use_case, command):
    return store.write_now(use_case, command, ANA, request=Request("r"), route="x", result=None)


def look(store: FolderStore):
    return store.read(get_model_view, c.ModelNamed("m"), ANA)


def test_an_answer_is_kept_until_somebody_commits(store: FolderStore) -> None:
    first = look(store)
    assert look(store) is first
    run(store, catalog.set_model_tag, c.SetModelTag("m", "k", "1"))
    assert look(store).tags == {"k": "1"}


def test_a_commit_by_another_process_is_seen(store: FolderStore) -> None:
    """Nobody else may write while a server has the folder; who does all the same is seen a moment later."""
    look(store)
    other = store.connect()
    other.run("UPDATE model SET description = 'changed elsewhere'")
    other.close()
    end = time.monotonic() + 30
    while look(store).description != "changed elsewhere":
        assert time.monotonic() < end


def test_an_answer_after_every_write_is_the_newest(store: FolderStore) -> None:
    async def turns() -> None:
        for number in range(50):
            ask = c.SetModelTag("m", "k", str(number))
            await store.write(catalog.set_model_tag, ask, ANA, request=Request("r"), route="x", result=None)
            assert look(store).tags["k"] == str(number)

    asyncio.run(turns())


def note(store: FolderStore, value: str, at: int) -> None:
    ask = tracking.LogToRun(RUN, (Metric("loss", 0.5, at),), tags={"k": value})
    store.write_now(log_to_run, ask, ANA, request=Request("r"), route="x", result=None, logs_only=True)


def start(store: FolderStore) -> None:
    run(store, begin_tracking, None)
    run(store, create_run, tracking.CreateRun(RUN, 7, 0))


def test_an_answer_stays_while_runs_log(store: FolderStore) -> None:
    start(store)
    first = look(store)
    for at in range(3):
        note(store, str(at), at)
        assert look(store) is first
    run(store, catalog.set_model_tag, c.SetModelTag("m", "k", "1"))
    assert look(store).tags == {"k": "1"}


def test_a_change_beside_logging_runs_is_seen(store: FolderStore) -> None:
    """Whoever is told of a change sees it, however many commits of logs come around it."""
    start(store)
    done = threading.Event()

    def keep_logging() -> None:
        at = 0
        while not done.is_set():
            note(store, str(at), at := at + 1)

    logging = [threading.Thread(target=keep_logging) for _ in range(2)]
    for each in logging:
        each.start()
    wrong = []
    for number in range(CHANGES):
        run(store, catalog.set_model_tag, c.SetModelTag("m", "k", str(number)))
        wrong += [number] if look(store).tags["k"] != str(number) else []
    done.set()
    for each in logging:
        each.join()
    assert wrong == []


class _Base:
    """A database whose state the test decides."""

    def __init__(self) -> None:
        self.state = 1

    def changed(self) -> int:
        return self.state


def seen(commits: Commits, *steps: Callable[[_Base], None]) -> list[int]:
    """Return which look each turn got its answer from, with the steps between the turns."""
    base, kept, looks = _Base(), Answers(commits), itertools.count(1)
    found = []
    for step in (lambda base: None, *steps):
        step(base)
        found.append(kept.get(base, look, "ask", ANA, lambda *given: next(looks)))  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("foreign_s", [0.0, 3600.0])
def test_what_a_commit_does_to_an_answer_at_every_moment(foreign_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit may be visible from before its statement to after its end, and counts for all that time."""
    monkeypatch.setattr(answers, "FOREIGN_S", foreign_s)
    commits = Commits()

    def visible(base: _Base) -> None:
        base.state += 1

    def whole(base: _Base, *, logs_only: bool) -> None:
        with commits.next(logs_only=logs_only):
            base.state += 1

    logs, change = functools.partial(whole, logs_only=True), functools.partial(whole, logs_only=False)
    assert seen(commits, logs, logs) == [1, 1, 1]
    assert seen(commits, logs, change, logs) == [1, 1, 2, 2]
    if not foreign_s:
        assert seen(commits, visible) == [1, 2], "a commit of somebody else"
        assert seen(commits, logs, visible) == [1, 1, 2]
    turn = commits.next(logs_only=False)
    assert seen(commits, lambda base: turn.__enter__(), visible) == [1, 1, 2], "looked at before it was visible"
    assert seen(commits, visible, visible) == [1, 2, 3], "begun before, visible now, not ended: whatever comes counts"
    turn.__exit__(None, None, None)
    turn = commits.next(logs_only=True)
    assert seen(commits, lambda base: turn.__enter__(), visible, visible) == [1, 1, 1, 1]
    turn.__exit__(None, None, None)


def test_errors_are_not_kept(store: FolderStore) -> None:
    for _ in range(2):
        with pytest.raises(NotFound):
            store.read(get_model_view, c.ModelNamed("later"), ANA)
    run(store, catalog.create_model, c.CreateModel("later"))
    assert store.read(get_model_view, c.ModelNamed("later"), ANA).name == "later"


def test_their_number_is_bounded(store: FolderStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_ANSWERS", 1)
    store.read(get_model_view, c.ModelNamed("m"), Actor("first"))
    assert look(store) is not look(store)
    assert look(store) == look(store)


def test_an_embedded_caller_gets_values_of_its_own(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "e", create=True, serve=False)
    run(store, lifecycles.create_registry, lifecycles.CreateRegistry())
    run(store, catalog.create_model, c.CreateModel("m"))
    look(store).tags["mine"] = "x"  # type: ignore[index]
    assert look(store).tags == {}
    store.close()
