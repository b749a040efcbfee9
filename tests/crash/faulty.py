"""What a process does while its file system fails it: opens a registry, writes, uploads, promotes, rolls back, closes.

How each step ended goes into a ledger with `writev`, which nobody makes fail: `NAME ok`, `NAME STATUS unknown|undone`,
or `NAME BUG traceback` for what must never happen.
"""

from __future__ import annotations

import functools
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom.app import LocalRegistry, open_local
from greenroom.core.errors import GreenroomError
from greenroom.core.model import Actor, File
from greenroom.services import commands as c
from greenroom.services.api import BY_NAME

ELSEWHERE = "s3://elsewhere/m"
DATA = bytes(range(256)) * 600


def _upload(registry: LocalRegistry, actor: Actor) -> None:
    upload = registry.blobs.upload("u")
    try:
        upload.write(DATA[:100_000])
        upload.write(DATA[100_000:])
        digest, size = upload.finish_as_hashed()
    except BaseException:
        upload.abort()
        raise
    registry.call_now("blob_stored", c.BlobStored(digest, size), actor)
    ask = c.RegisterVersion("m", files=(File("model.bin", digest, size),))
    registry.call_now("register_version", ask, actor)


def _ask(operation: str, command: Any) -> Callable[[LocalRegistry, Actor], None]:
    return lambda registry, actor: registry.call_now(operation, command, actor)


def _collect(registry: LocalRegistry, actor: Actor) -> None:
    row = BY_NAME["collect_garbage"]
    registry.call_now(row.name, row.command(), actor)


def _checkpoint(registry: LocalRegistry, actor: Actor) -> None:
    """Let the next write be followed by a checkpoint, as after a thousand pages."""
    db: Any = registry.store._db
    db._wal_pages = 1_000_000


STEPS: tuple[tuple[str, Callable[[LocalRegistry, Actor], None]], ...] = (
    ("register", _ask("register_version", c.RegisterVersion("m", source=ELSEWHERE))),
    ("upload", _upload),
    ("collect", _collect),
    ("checkpoint", _checkpoint),
    ("promote", _ask("promote", c.Promote("m", "Production", 2, swap=True))),
    ("alias", _ask("set_alias", c.SetAlias("m", "champion", 2))),
    ("rollback", _ask("rollback", c.Rollback("m"))),
)


def prepare(folder: Path) -> None:
    """Make a registry with three versions, two of which were in production."""
    registry = open_local(folder, create=True)
    actor = Actor("tester")
    for number in range(3):
        ask = c.RegisterVersion("m", source=ELSEWHERE, create_model=number == 0)
        registry.call_now("register_version", ask, actor)
    for number in (1, 3, 1):
        registry.call_now("promote", c.Promote("m", "Production", number, swap=True), actor)
    registry.close()


@functools.cache
def warm_up() -> None:
    """Import whatever is imported late: what fails in the tests is the registry's files, not the interpreter's."""
    with tempfile.TemporaryDirectory() as place:
        prepare(Path(place) / "data")
        registry = open_local(Path(place) / "data")
        for name, step in STEPS:
            step(registry, Actor(name))
        registry.close()


def play(folder: str, ledger: str, go: str) -> int:
    """Wait for the file `go`, then play all steps; returns the exit status."""
    noted = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    while not os.path.exists(go):
        time.sleep(0.001)
    path = Path(folder)
    try:
        registry = open_local(path, create=not path.exists())
    except Exception as exc:
        _note(noted, "open", exc)
        return 0
    os.writev(noted, [b"open ok\n"])
    if not registry.call_now("search_models", c.SearchModels(), Actor("tester")).items:
        _begin(registry, noted)
    for name, step in STEPS:
        try:
            step(registry, Actor(name))
        except Exception as exc:
            _note(noted, name, exc)
        else:
            os.writev(noted, [f"{name} ok\n".encode()])
    try:
        registry.close()
    except Exception as exc:
        _note(noted, "close", exc)
    return 0


def _begin(registry: LocalRegistry, noted: int) -> None:
    """The first steps in a registry that was made a moment ago."""
    asks: list[tuple[str, Any]] = [
        ("register_version", c.RegisterVersion("m", source=ELSEWHERE, create_model=True)) for _ in range(3)
    ]
    asks += [("promote", c.Promote("m", "Production", version, swap=True)) for version in (1, 3)]
    for number, (operation, ask) in enumerate(asks):
        try:
            registry.call_now(operation, ask, Actor(f"begin-{number}"))
        except Exception as exc:
            _note(noted, f"begin-{number}", exc)
        else:
            os.writev(noted, [f"begin-{number} ok\n".encode()])


def _note(noted: int, name: str, exc: Exception) -> None:
    if isinstance(exc, GreenroomError):
        after = "unknown" if "shows after a restart" in exc.message else "undone"
        text = f"{name} {exc.http_status} {after} {exc.message}"
    else:
        text = f"{name} BUG " + " | ".join(traceback.format_exception(exc)).replace("\n", " ")
    os.writev(noted, [f"{text}\n".encode()])
