"""One server for all scripts of a process; each has an experiment and a model of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import greenroom
from greenroom import Registry
from tests.races.kit import Server, serving


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Our server under the standard lifecycle, on a folder of its own."""
    with serving(Path(tmp_path_factory.mktemp("frameworks")) / "data") as started:
        yield started


@pytest.fixture
def registry(server: Server) -> Iterator[Registry]:
    """Our own client: how those who did not train see what was trained."""
    with greenroom.connect(server.url) as connected:
        yield connected
