"""The scene that the tests of a module share, in memory where that is possible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tamper.scene import build, quick_folder


@pytest.fixture(scope="module")
def scene_and_note() -> Iterator[tuple[Path, str]]:
    """A data folder, and a checkpoint from the middle of its life."""
    with quick_folder() as folder:
        yield folder / "data", build(folder / "data")


@pytest.fixture(scope="module")
def scene(scene_and_note: tuple[Path, str]) -> Path:
    return scene_and_note[0]


@pytest.fixture
def place() -> Iterator[Path]:
    """Where a test puts its copies."""
    with quick_folder() as folder:
        yield folder
