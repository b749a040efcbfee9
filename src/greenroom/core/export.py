"""The log as static files that standard monitors and verifiers read: entry bundles and hash tiles.

Nothing is exported on trust: the files are made from the entries, and the entries must give the root of the checkpoint
that will lie beside them. Source: C2SP tlog-tiles.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from greenroom.core.audit import Entry, entry_bytes
from greenroom.core.errors import IntegrityFailure
from greenroom.core.merkle import leaf_hash, lookup_of, root_of
from greenroom.core.tiles import TILE_WIDTH, Tile, entry_bundle, tile_bytes, tiles_after


def log_files(entries: Iterable[Entry], size: int, root: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (path, content) of every bundle and tile of the log of the first `size` entries, oldest first.

    Raises IntegrityFailure, before the first tile, when the entries are not those of `root`. Write a checkpoint only
    after all files are there.
    """
    leaves: list[bytes] = []
    bundle: list[bytes] = []
    for entry in entries:
        data = entry_bytes(entry)
        bundle.append(data)
        leaves.append(leaf_hash(data))
        if len(bundle) == TILE_WIDTH:
            yield Tile(None, len(leaves) // TILE_WIDTH - 1).path, entry_bundle(bundle)
            bundle = []
    if bundle:
        yield Tile(None, len(leaves) // TILE_WIDTH, len(bundle)).path, entry_bundle(bundle)
    if len(leaves) != size or root_of(leaves) != root:
        raise IntegrityFailure(
            f"the {len(leaves)} entries are not those of the checkpoint of {size}: nothing was proven.",
            hint="Run: greenroom audit verify",
        )
    node = lookup_of(leaves)
    for tile in tiles_after(0, size):
        yield tile.path, tile_bytes(tile, node)
