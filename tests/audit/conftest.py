"""The data folder of tests/tamper, made once for all tests here, in memory where that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.exports import export
from tests.tamper.scene import build, quick_folder


@pytest.fixture(scope="session")
def data_and_note() -> Iterator[tuple[Path, str]]:
    """A data folder, and a checkpoint from the middle of its life."""
    with quick_folder() as folder:
        yield folder / "data", build(folder / "data")


@pytest.fixture(scope="session")
def data(data_and_note: tuple[Path, str]) -> Path:
    return data_and_note[0]


@pytest.fixture(scope="session")
def exported(data: Path) -> Path:
    """An export of that folder; to be copied by who changes it."""
    return export(data, data.parent / "export")


@pytest.fixture
def place() -> Iterator[Path]:
    """Where a test puts its copies."""
    with quick_folder() as folder:
        yield folder
