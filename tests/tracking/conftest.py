"""A registry in a folder, opened in this process: use cases in microseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local
from greenroom.core.model import Actor

ANA = Actor("ana")
Do = Callable[..., Any]


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    made = open_local(tmp_path / "data", create=True)
    yield made
    made.close()


@pytest.fixture
def do(registry: LocalRegistry) -> Do:
    """Run one operation: do("get_run", command)."""

    def call(operation: str, command: Any, actor: Actor = ANA) -> Any:
        return registry.call_now(operation, command, actor)

    return call
