"""The log as static files: tiles of 256 hashes and bundles of 256 entries, which standard monitors fetch.

A tile of level `l` and index `n` holds the roots over 256**l leaves each, from hash `n * 256` of that level on. Its
`width` is 256 once it is full; before that it is *partial* and has its width in its path, so no path ever changes
content. Entry bundles are cut like the tiles of level 0.
Source: C2SP tlog-tiles.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.core.merkle import HASH_BYTES, NodeLookup, root_of
from greenroom.core.names import shown

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
MAX_LEVEL = 63
MAX_ENTRY_BYTES = 0xFFFF

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,6}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")


@dataclass(frozen=True)
class Tile:
    """The name of one file: a tile of hashes, or, with `level` None, a bundle of entries."""

    level: int | None
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """Where it is served, below the log's prefix: `tile/0/x001/x234/067`, `tile/entries/000.p/5`."""
        return tile_path(self.level, self.index, self.width)


def tile_path(level: int | None, index: int, width: int = TILE_WIDTH) -> str:
    """Return the path of a tile, or of an entry bundle (`level` None). ValueError (our bug) for one that cannot be."""
    if index < 0 or not 1 <= width <= TILE_WIDTH or not (level is None or 0 <= level <= MAX_LEVEL):
        raise ValueError(f"no tile has level {level}, index {index} and width {width}")
    digits = str(index)
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    number = "".join(f"x{group}/" for group in groups[:-1]) + groups[-1]
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{'entries' if level is None else level}/{number}{partial}"


def parse_tile_path(path: str) -> Tile:
    """Return what `path` names. InvalidInput unless it is exactly as `tile_path` writes it."""
    match = _PATH.fullmatch(path)
    if match:
        level = None if match[1] == "entries" else int(match[1])
        index = int(match[2].replace("x", "").replace("/", ""))
        width = int(match[3]) if match[3] else TILE_WIDTH
        # One name for one tile: no needless leading groups, no `.p/256`, no level that does not exist.
        if width <= TILE_WIDTH and (level or 0) <= MAX_LEVEL and tile_path(level, index, width) == path:
            return Tile(level, index, width)
    raise InvalidInput(
        f"'{shown(path)}' is not the path of a tile.", hint="Examples: tile/0/x001/067, tile/entries/000.p/5."
    )


def full_tiles_after(old_size: int, new_size: int) -> list[Tile]:
    """Return the tiles of hashes that growing from `old_size` to `new_size` leaves filled; they never change again.

    ValueError (our bug) if the tree shrinks.
    """
    return [tile for tile in tiles_after(old_size, new_size) if tile.width == TILE_WIDTH]


def tiles_after(old_size: int, new_size: int) -> list[Tile]:
    """Return all tiles of hashes to write when the tree grows: what is filled, and the partial ones at the new edge.

    A partial tile that did not grow is left out: it is there already. ValueError (our bug) if the tree shrinks.
    """
    tiles: list[Tile] = []
    for level in range(MAX_LEVEL + 1):
        shift = TILE_HEIGHT * level
        if new_size >> shift == 0:
            break
        tiles += _cut(level, old_size >> shift, new_size >> shift)
    return tiles


def bundles_after(old_size: int, new_size: int) -> list[Tile]:
    """Return the entry bundles to write when the log grows, filled and partial. ValueError (our bug) if it shrinks."""
    return list(_cut(None, old_size, new_size))


def _cut(level: int | None, old: int, new: int) -> Iterator[Tile]:
    if not 0 <= old <= new:
        raise ValueError(f"a tree cannot grow from {old} to {new}")
    for index in range(old // TILE_WIDTH, new // TILE_WIDTH):
        yield Tile(level, index)
    if new % TILE_WIDTH and new > old:
        yield Tile(level, new // TILE_WIDTH, new % TILE_WIDTH)


def tile_bytes(tile: Tile, node: NodeLookup) -> bytes:
    """Return the content of a tile of hashes. ValueError (our bug) for an entry bundle."""
    if tile.level is None:
        raise ValueError("an entry bundle holds entries, not hashes: see entry_bundle")
    level, first = TILE_HEIGHT * tile.level, TILE_WIDTH * tile.index
    return b"".join(node(level, first + offset) for offset in range(tile.width))


def lookup_in_tiles(read: Callable[[Tile], bytes], size: int) -> NodeLookup:
    """Return a lookup of the nodes of the tree of `size` leaves, answered from its tiles; it reads one tile a node.

    `read` gives a tile's content. The lookup raises IntegrityFailure if that is not as long as the tile is wide,
    ValueError (our bug) for a node that the tree does not have.
    """

    def node(level: int, index: int) -> bytes:
        if level < 0 or index < 0 or (index + 1) << level > size:
            raise ValueError(f"a tree of size {size} has no node {index} at level {level}")
        tile_level, height = divmod(level, TILE_HEIGHT)
        start = index << height
        number, offset = divmod(start, TILE_WIDTH)
        tile = Tile(tile_level, number, min((size >> TILE_HEIGHT * tile_level) - number * TILE_WIDTH, TILE_WIDTH))
        data = read(tile)
        if len(data) != tile.width * HASH_BYTES:
            raise IntegrityFailure(f"The tile {tile.path} has {len(data)} bytes instead of {tile.width * HASH_BYTES}.")
        leaves = range(offset * HASH_BYTES, (offset + (1 << height)) * HASH_BYTES, HASH_BYTES)
        return root_of(data[at : at + HASH_BYTES] for at in leaves)

    return node


def entry_bundle(entries: Iterable[bytes]) -> bytes:
    """Return entries as one bundle, each after its length in 2 bytes. ValueError (our bug) if one is too long."""
    parts = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_BYTES:
            raise ValueError(f"an entry of {len(entry)} bytes is longer than a bundle can hold")
        parts += [len(entry).to_bytes(2, "big"), entry]
    return b"".join(parts)


def parse_bundle(data: bytes, width: int = TILE_WIDTH) -> list[bytes]:
    """Return the `width` entries of a bundle. InvalidInput if it is cut off or holds fewer or more."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            raise InvalidInput(f"The entry bundle is cut off in entry {len(entries)}, at byte {at} of {len(data)}.")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != width:
        raise InvalidInput(f"The entry bundle holds {len(entries)} entries instead of {width}.")
    return entries
