"""Servers that the tests of a module share. A module's own routes come from its `extra_routes()`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from greenroom.http.routing import Route
from tests.http.serving import Registry, Running, running


@pytest.fixture(scope="module", params=[False, True], ids=["httptools", "h11"])
def both(request: pytest.FixtureRequest) -> Iterator[Running]:
    """One server per parser for the whole module; tests use routes of their own where state matters."""
    with running(*_extra(request), pure_python=request.param) as server:
        yield server


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    """One server for the whole module."""
    with running(*_extra(request)) as server:
        yield server


def _extra(request: pytest.FixtureRequest) -> list[Route]:
    make: Callable[[], list[Route]] | None = getattr(request.module, "extra_routes", None)
    return make() if make is not None else []


@pytest.fixture
def registry(request: pytest.FixtureRequest) -> Iterator[Registry]:
    """The module server's registry, empty before and after each test that asks for it."""
    found: Registry = request.getfixturevalue("server").registry
    found.calls.clear()
    found.answers.clear()
    yield found
    found.answers.clear()
    found.is_ready = True
