"""A registry in a folder, what is put into it, and what must be true of its bytes whatever happened."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom.app import LocalRegistry, open_local
from greenroom.core.digest import digest_of
from greenroom.core.errors import GreenroomError
from greenroom.core.model import File
from greenroom.services import commands as c
from tests.races.kit import TESTER

_IDS = itertools.count()


class Clock:
    """The time of a registry, moved by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def forward(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


def opened(folder: Path, clock: Callable[[], int] | None = None) -> LocalRegistry:
    """Open (or make) the embedded registry of a folder."""
    registry = open_local(folder, create=True)
    if clock is not None:
        registry.store._runner._clock = clock
    return registry


def publish(registry: LocalRegistry, data: bytes) -> str:
    """Put bytes under their digest without telling the registry."""
    upload = registry.blobs.upload(f"u{next(_IDS)}")
    upload.write(data)
    upload.finish(digest_of(data), len(data))
    return digest_of(data)


def store(registry: LocalRegistry, data: bytes) -> File:
    """Store a blob as clients do."""
    digest = publish(registry, data)
    registry.call_now("declare_blob", c.BlobStored(digest, len(data)), TESTER)
    return File("f", digest, len(data))


def register(registry: LocalRegistry, *datas: bytes, model: str = "m") -> Any:
    """Store blobs and register a version of them."""
    files = [store(registry, data) for data in datas]
    named = tuple(File(f"f{at}", each.digest, each.size_bytes) for at, each in enumerate(files))
    ask = c.RegisterVersion(model, files=named, create_model=True)
    return registry.call_now("register_version", ask, TESTER)


def gc(registry: LocalRegistry, grace_s: float = c.GRACE_S, **options: Any) -> Any:
    """Run garbage collection."""
    return registry.call_now("collect_garbage", c.CollectGarbage(grace_s, **options), TESTER)


def fsck(registry: LocalRegistry, **options: Any) -> list[Any]:
    """Check everything; returns the findings of all parts."""
    found: list[Any] = []
    after: str | None = ""
    while after is not None:
        part = registry.call_now("fsck", c.Fsck(after=after, **options), TESTER)
        found += part.findings
        after = part.next_after
    return found


def kinds(findings: list[Any]) -> list[tuple[str, str]]:
    """Return kind and outcome of findings, sorted."""
    return sorted((each.kind, each.outcome) for each in findings)


def problems(registry: LocalRegistry) -> list[str]:
    """I7: every blob that the database calls present, or that a manifest or the upload tree names, is there, whole."""
    found = []
    with registry.rows() as rows:
        states = {row["digest"]: row["state"] for row in rows("blob")}
        named = {row["digest"] for table in ("manifest_entry", "upload") for row in rows(table)}
    for digest in sorted(named | {each for each, state in states.items() if state == "present"}):
        if states.get(digest) != "present":
            found.append(f"{digest} is named and {states.get(digest, 'unknown')}")
        try:
            registry.blobs.check(digest)
        except GreenroomError as exc:
            found.append(f"{digest}: {exc.message}")
    return found
