"""Kept answers: quick, and never older than what anybody was told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from greenroom.core.errors import NotFound
from greenroom.core.model import Actor
from greenroom.services import catalog, lifecycles
from greenroom.services import commands as c
from greenroom.services.ports import Request
from greenroom.services.reading import get_model_view
from greenroom.store import answers
from greenroom.store.folder import FolderStore

ANA = Actor("ana")


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
    """Mutant check: an `Answers.get` that does not ask `changed()` fails here and above."""
    look(store)
    other = store.connect()
    other.run("UPDATE model SET description = 'changed elsewhere'")
    other.close()
    assert look(store).description == "changed elsewhere"


def test_an_answer_after_every_write_is_the_newest(store: FolderStore) -> None:
    async def turns() -> None:
        for number in range(50):
            ask = c.SetModelTag("m", "k", str(number))
            await store.write(catalog.set_model_tag, ask, ANA, request=Request("r"), route="x", result=None)
            assert look(store).tags["k"] == str(number)

    asyncio.run(turns())


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
