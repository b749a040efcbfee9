"""The limits on searches and on heavy work, in the process itself: what waits, how long, and what it is told."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom import app
from greenroom.core.errors import GreenroomError, InvalidInput, RateLimited, Unavailable
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.store import database
from tests.races.kit import TESTER

_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[app.LocalRegistry]:
    made = app._in_folder(tmp_path / "registry", create=True, serve=True, lifecycle=None)
    yield made
    made.close()


def told(error: GreenroomError, limit: str, number: float) -> None:
    assert error.details["limit"] == limit
    assert error.details["maximum"] == number
    assert f"{number:g}" in str(error)


class Slow:
    """A use case that waits until it is let go."""

    def __init__(self) -> None:
        self.entered, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, tx: Any, command: Any, actor: Actor) -> str:
        self.entered.release()
        assert self.go.wait(30)
        return "done"


async def _crowded(ask: Any, slow: Slow, running: int, more: int) -> list[Any]:
    """Start `running` calls, wait until all threads are busy, then ask `more` times; return what these got."""
    busy = [asyncio.ensure_future(ask()) for _ in range(running)]
    await asyncio.to_thread(slow.entered.acquire)
    late = await asyncio.gather(*(ask() for _ in range(more)), return_exceptions=True)
    slow.go.set()
    assert await asyncio.gather(*busy) == ["done"] * running
    return list(late)


def test_searches(registry: app.LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SEARCHES", 3)
    slow = Slow()
    got = asyncio.run(_crowded(lambda: registry.store.search(slow, None, TESTER), slow, 3, 1))
    assert isinstance(got[0], RateLimited)
    told(got[0], "searches", 3)
    assert asyncio.run(registry.call("search_models", c.SearchModels(), TESTER)).items == ()


def test_a_search_that_waits_too_long(registry: app.LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "READER_WAIT_S", 0.05)
    slow = Slow()

    async def run() -> Any:
        busy = [asyncio.ensure_future(registry.store.search(slow, None, TESTER)) for _ in range(registry.store.readers)]
        await asyncio.to_thread(lambda: [slow.entered.acquire() for _ in busy])
        late = asyncio.ensure_future(registry.store.search(slow, None, TESTER))
        await asyncio.sleep(0.1)
        slow.go.set()
        await asyncio.gather(*busy)
        return (await asyncio.gather(late, return_exceptions=True))[0]

    error = asyncio.run(run())
    assert isinstance(error, Unavailable)
    told(error, "reader_wait", 0.05)


def test_a_search_that_takes_too_long(registry: app.LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "SEARCH_LIMIT_S", 0.2)
    with pytest.raises(InvalidInput) as caught:
        asyncio.run(registry.store.search(lambda tx, command, actor: tx.db.one(_ENDLESS), None, TESTER))
    assert caught.value.http_status == 400
    told(caught.value, "search_time", 10)


def test_heavy_requests(registry: app.LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = Slow()
    monkeypatch.setattr(app, "bound", lambda name: 5)
    got = asyncio.run(_crowded(lambda: registry._heavy.run(slow, None, None, TESTER), slow, 5, 1))
    assert isinstance(got[0], RateLimited)
    told(got[0], "heavy_requests", 5)
    assert "verifications" in str(got[0])
