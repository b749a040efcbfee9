"""The exported log: bundles and tiles that belong together, or nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenroom.core.audit import Event, Head, entry_bytes, seal
from greenroom.core.errors import IntegrityFailure
from greenroom.core.export import log_files
from greenroom.core.merkle import leaf_hash, root_of
from greenroom.core.tiles import parse_bundle, parse_tile_path


def log(size: int):
    return seal(Head(), [Event("model_created", "ana", "r", f"m{i}", None, {"n": i}) for i in range(size)], 5)


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 600])
def test_the_files_hold_the_log(size: int) -> None:
    head, entries = log(size)
    files = dict(log_files(entries, size, head.root))
    bundles = {parse_tile_path(path).index: content for path, content in files.items() if "entries" in path}
    told = [data for at in sorted(bundles) for data in parse_bundle(bundles[at], min(256, size - 256 * at))]
    assert told == [entry_bytes(entry) for entry in entries]
    assert root_of(leaf_hash(data) for data in told) == head.root
    level_0 = b"".join(files[path] for path in sorted(files) if path.startswith("tile/0/"))
    assert level_0 == b"".join(bytes.fromhex(entry.leaf) for entry in entries)
    assert ("tile/1/000.p/2" in files) is (size == 600)


def test_entries_of_another_log_are_not_exported() -> None:
    head, entries = log(10)
    for wrong in (entries[:-1], [*entries[:-1], replace(entries[-1], actor="eve")]):
        with pytest.raises(IntegrityFailure, match="nothing was proven"):
            list(log_files(wrong, 10, head.root))
