"""Killed at any moment, a backup, restore or copy leaves nothing that looks whole and is not."""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from greenroom.app import open_shared
from greenroom.core.errors import AlreadyExists, GreenroomError, IntegrityFailure
from greenroom.store import drafts
from greenroom.upkeep import carrying, jobs
from greenroom.upkeep.checking import check
from greenroom.upkeep.place import Place, opened_database
from tests.promises import sized
from tests.races.kit import SEED, problems_of_log
from tests.store.carrier import Carrier
from tests.store.scene import KINDS, filled, note_of, options, place, whole


@pytest.fixture(scope="module")
def carrier() -> Iterator[Carrier]:
    started = Carrier()
    yield started
    started.close()


def looks_whole_and_is_not(parent: Path) -> list[str]:
    """Every folder below `parent` that opens as a registry is whole."""
    found = []
    for each in [parent, *(path for path in parent.rglob("*") if path.is_dir())]:
        if not (each / "greenroom.db").exists():
            continue
        try:
            problems = problems_of_log(each)
        except GreenroomError as exc:
            problems = [str(exc)]
        found += [f"{each}: {problem}" for problem in problems]
    return found


def killed(
    carrier: Carrier, arguments: Callable[[int], list[object]], rounds: int, look: Callable[[int], None]
) -> None:
    """Run a command line once to its end, then kill it `rounds` times at random moments; look after each."""
    chance = random.Random(SEED)
    started = time.monotonic()
    assert carrier.wait(carrier.start(*arguments(0))) == 0
    took = time.monotonic() - started
    look(0)
    for at in range(1, rounds + 1):
        pid = carrier.start(*arguments(at))
        threading.Event().wait(chance.uniform(0, took * 1.05))  # the random moment
        carrier.kill(pid)
        look(at)


KILLS = sized(10, 1_000)


@pytest.mark.slow
def test_a_killed_backup_leaves_nothing_that_looks_like_one(carrier: Carrier, tmp_path: Path) -> None:
    folder, target = filled(tmp_path / "r", versions=20), tmp_path / "backups"

    def look(at: int) -> None:
        assert looks_whole_and_is_not(target) == []
        with_a_name = [each for each in target.iterdir() if not drafts.is_draft(each)] if target.exists() else []
        for each in with_a_name:
            with pytest.raises(AlreadyExists):
                jobs.back_up(Place(folder), each)

    killed(carrier, lambda at: ["db", "backup", target / f"b{at}", "--data", folder], KILLS, look)
    jobs.back_up(Place(folder), target / "last")
    assert [each.name for each in target.iterdir() if drafts.is_draft(each)] == []  # abandoned ones are swept up
    assert problems_of_log(folder) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_restore_leaves_no_half_registry(carrier: Carrier, kind: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "r", versions=20)
    jobs.back_up(Place(folder), tmp_path / "b")
    _killed_into(carrier, kind, tmp_path, lambda to: ["db", "restore", tmp_path / "b", *_options_of(to)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_copy_leaves_no_half_registry(carrier: Carrier, kind: str, tmp_path: Path) -> None:
    folder = filled(tmp_path / "r", versions=20)
    note = note_of(folder)

    def line(to: Place) -> list[object]:
        if to.database_url is None:
            return ["db", "copy", "--from", folder, "--to", to.folder]
        return ["db", "copy", "--from", folder, "--to", to.database_url, "--data", to.folder]

    _killed_into(carrier, kind, tmp_path, line)
    assert note_of(folder) == note
    assert problems_of_log(folder) == []


def _options_of(to: Place) -> list[object]:
    return ["--data", to.folder, *options(to)]


def _killed_into(carrier: Carrier, kind: str, tmp_path: Path, line: Callable[[Place], list[object]]) -> None:
    places: dict[int, Place] = {}

    def arguments(at: int) -> list[object]:
        parent = tmp_path / f"to-{at}"
        parent.mkdir()
        if at % 2:  # an empty folder that is there, as a mounted volume is
            (parent / "registry").mkdir(mode=0o700)
        places[at] = place(kind, parent)
        return line(places[at])

    def look(at: int) -> None:
        assert looks_whole_and_is_not(tmp_path / f"to-{at}") == []
        if kind == "postgresql":
            _whole_or_empty(places[at], may_be_empty=at > 0)

    killed(carrier, arguments, sized(5, 500), look)


def _wait_for_the_killed(database_url: str) -> None:
    """A commit that was sent before the kill goes on at the other end: wait until nobody is connected any more."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    end = time.monotonic() + 60
    with psycopg.connect(database_url, autocommit=True) as db:
        while db.execute(f"{others} AND backend_type = 'client backend'").fetchone() != (0,):
            assert time.monotonic() < end


def _whole_or_empty(where: Place, *, may_be_empty: bool) -> None:
    _wait_for_the_killed(str(where.database_url))
    with opened_database(str(where.database_url)) as db:
        is_empty = not db.tables()
    if not is_empty:
        assert check(where).findings == ()
        assert whole(where) == []
        return
    assert may_be_empty
    if (where.folder / "blobs").is_dir():
        with pytest.raises(IntegrityFailure, match="the database is empty, but"):
            open_shared(str(where.database_url), where.folder)


def test_mutant_made_under_its_own_name_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database has its name from the beginning: whoever looks in the middle takes it for a registry."""
    folder = filled(tmp_path / "r")
    monkeypatch.setattr(carrying, "UNFINISHED", "greenroom.db")
    looks: list[list[str]] = []
    take_files = carrying.Draft._take_files

    def looking(self: Any, named: Any, how: Any) -> list[str]:
        shutil.copytree(self.database.parent, tmp_path / "seen")  # as a kill at this moment leaves it
        looks.append(looks_whole_and_is_not(tmp_path / "seen"))
        return take_files(self, named, how)

    monkeypatch.setattr(carrying.Draft, "_take_files", looking)
    jobs.back_up(Place(folder), tmp_path / "b")
    assert looks[0] != []
