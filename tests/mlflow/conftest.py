"""Servers that are started once for all scenarios, and stopped by their own process id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.mlflow.servers import greenroom_server, stock_server


@pytest.fixture(scope="session")
def mlflow_server() -> Iterator[str]:
    """Our server under the lifecycle that behaves as MLflow does."""
    with greenroom_server("mlflow") as url:
        yield url


@pytest.fixture(scope="session")
def standard_server() -> Iterator[str]:
    """Our server under the standard lifecycle."""
    with greenroom_server("standard") as url:
        yield url


@pytest.fixture(scope="session")
def stock() -> Iterator[str]:
    """A stock MLflow server, for comparison and as the tracking server of others."""
    with stock_server() as url:
        yield url
