"""Servers that are started once for a file, and stopped by their own process id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mlflow.servers import greenroom_server, stock_server


@pytest.fixture(scope="module")
def ours() -> Iterator[str]:
    """Our server under the lifecycle that behaves as MLflow does."""
    with greenroom_server("mlflow") as url:
        yield url


@pytest.fixture(scope="module")
def stock() -> Iterator[str]:
    """A stock MLflow server."""
    with stock_server() as url:
        yield url
