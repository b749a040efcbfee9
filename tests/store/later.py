"""Greenroom of a later version, with one more migration: what an upgrade meets that is not written yet."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory

import greenroom.upkeep.checking
import greenroom.upkeep.jobs  # noqa: F401 - their copies of the constant are to be changed too
from greenroom.store import migrate, migrations

BEFORE = migrate.SCHEMA
LATER = "9002"
_OURS = Path(migrations.__file__).parent
_ONE_MORE = Path(__file__).parent / "later_versions"


def become_later(change: Callable[[Any, str, Any], None] = setattr) -> None:
    """Make this process the later version. `change` is `setattr`, or a monkeypatch's, which takes it back."""
    for name, module in list(sys.modules.items()):
        if name.startswith("greenroom.") and getattr(module, "SCHEMA", None) == BEFORE:
            change(module, "SCHEMA", LATER)
    change(migrations, "script", _script)


def _script() -> ScriptDirectory:
    return ScriptDirectory(str(_OURS), version_locations=[str(_OURS / "versions"), str(_ONE_MORE)])
