"""Answers kept on PostgreSQL: no older than what any server was told, and gone with the head of the log."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.services import catalog
from greenroom.services import commands as c
from greenroom.services.reading import get_model_view
from greenroom.store import answers
from greenroom.store.answers import SharedAnswers
from greenroom.store.keys import load_signer
from greenroom.store.postgres import Postgres
from greenroom.store.shared import PostgresStore
from greenroom.testing.tracking import ME, put, start
from greenroom.testing.writing import write
from tests.postgres import new_database
from tests.promises import sized

CHANGES = sized(60, 3_000)


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[PostgresStore]]:
    """Two servers on one database; answers stay as long as the log lets them."""
    monkeypatch.setattr(answers, "SHARED_S", 3600.0)
    url, signer = new_database(), load_signer(tmp_path, create=True)
    made = [PostgresStore(url, signer) for _ in range(2)]
    start(made[0])
    write(made[0], catalog.create_model, c.CreateModel("m"))
    yield made
    for each in made:
        each.close()


def look(store: PostgresStore) -> Any:
    return store.search_now(get_model_view, c.ModelNamed("m"), ME, audited=True)


def tag(store: PostgresStore, value: str) -> None:
    write(store, catalog.set_model_tag, c.SetModelTag("m", "k", value))


def test_an_answer_stays_until_the_log_grows(stores: list[PostgresStore]) -> None:
    first = look(stores[0])
    assert look(stores[0]) is first
    put(stores[0], tags={"only": "logged"})
    assert look(stores[0]) is first
    tag(stores[1], "1")
    assert look(stores[0]).tags == {"k": "1"}, "changed through another server"


def stale(stores: list[PostgresStore]) -> int:
    """Return how many looks, on either server, did not show what had been acknowledged before them."""
    told, done, wrong = [-1], threading.Event(), []

    def keep_looking(store: PostgresStore) -> None:
        while not done.is_set():
            before = told[0]
            seen = int(look(store).tags.get("k", -1))
            if seen < before:
                wrong.append((before, seen))

    watching = [threading.Thread(target=keep_looking, args=(store,)) for store in stores for _ in range(2)]
    for each in watching:
        each.start()
    for number in range(CHANGES):
        tag(stores[number % 2], str(number))
        told[0] = number
    done.set()
    for each in watching:
        each.join()
    return len(wrong)


def test_no_server_answers_with_less_than_was_acknowledged(stores: list[PostgresStore]) -> None:
    assert stale(stores) == 0


def test_answers_that_outlive_the_head_are_seen(stores: list[PostgresStore], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Postgres, "changed", lambda self: "always the same")
    assert stale(stores) > 0


def test_rows_changed_by_hand_are_seen_a_moment_later(
    stores: list[PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "SHARED_S", 0.0)
    look(stores[0])
    other = stores[1].connect()
    other.run("UPDATE model SET description = 'by hand'")
    other.close()
    assert look(stores[0]).description == "by hand"


def test_a_lost_connection_is_no_answer(stores: list[PostgresStore]) -> None:
    first = look(stores[0])
    with stores[0]._pool.lend() as db:
        db._hang_up()
    assert look(stores[0]) == first
    assert asyncio.run(stores[0].search(get_model_view, c.ModelNamed("m"), ME, audited=True)) == first


class _Base:
    """A database whose head the test decides, before each look at it."""

    def __init__(self, *heads: object) -> None:
        self.heads = iter(heads)

    def changed(self) -> object:
        return next(self.heads)


@pytest.mark.parametrize(
    ("heads", "looks"),
    [
        ((1, 1, 1), [1, 1]),
        ((1, 2, 2, 2), [1, 2]),
        ((1, 2, 1, 1), [1, 2]),
        ((None, None), [1, 2]),
        ((1, 1, None, 1), [1, 2, 1]),
    ],
)
def test_what_a_head_does_to_an_answer(heads: tuple[object, ...], looks: list[int]) -> None:
    base, kept, count = _Base(*heads), SharedAnswers(), iter(range(1, 10))
    assert [kept.get(base, "key", lambda: next(count)) for _ in looks] == looks  # type: ignore[arg-type]
