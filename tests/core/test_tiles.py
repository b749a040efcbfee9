"""Tiles and bundles: names, content, and what to write when the tree grows."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.core.merkle import consistency_proof, inclusion_proof, leaf_hash, lookup_of, root_of, verify_inclusion
from greenroom.core.tiles import (
    Tile,
    bundles_after,
    entry_bundle,
    full_tiles_after,
    lookup_in_tiles,
    parse_bundle,
    parse_tile_path,
    tile_bytes,
    tile_path,
    tiles_after,
)

LEAVES = [leaf_hash(b"%d" % number) for number in range(70_000)]


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(0, 1000), "tile/0/x001/000"),
        (Tile(1, 1067, 5), "tile/1/x001/067.p/5"),
        (Tile(0, 1234067), "tile/0/x001/x234/067"),  # the example of the specification
        (Tile(63, 999_999, 255), "tile/63/x999/999.p/255"),
        (Tile(None, 1234067, 8), "tile/entries/x001/x234/067.p/8"),
        (Tile(None, 0, 1), "tile/entries/000.p/1"),
    ],
)
def test_paths(tile: Tile, path: str) -> None:
    assert tile.path == tile_path(tile.level, tile.index, tile.width) == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/000\n",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/x/000",
        "tile/data/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/1000",
        "tile/0/001/000",
        "tile/0/x000/001",
        "tile/0/x001",
        "tile/0/000.p/0",
        "tile/0/000.p/01",
        "tile/0/000.p/256",
        "tile/0/000.p/999",
        "tile/0/000.p/",
        "tile/0/000.p",
        "tile/0/../000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/" + "x001/" * 50 + "000",
    ],
)
def test_there_is_one_path_for_one_tile(path: str) -> None:
    with pytest.raises(InvalidInput, match="is not the path of a tile"):
        parse_tile_path(path)


@pytest.mark.parametrize(("level", "index", "width"), [(-1, 0, 1), (64, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)])
def test_a_tile_that_cannot_be_is_our_bug(level: int, index: int, width: int) -> None:
    with pytest.raises(ValueError, match="no tile has level"):
        tile_path(level, index, width)


@settings(max_examples=200, deadline=None)
@given(st.none() | st.integers(0, 63), st.integers(0, 10**15), st.integers(1, 256))
def test_every_path_is_read_back(level: int | None, index: int, width: int) -> None:
    assert parse_tile_path(tile_path(level, index, width)) == Tile(level, index, width)


def test_a_tree_of_70_000_is_cut_as_the_specification_says() -> None:
    """Mutant check: writing a full tile's hash one tile late, or an empty partial tile, fails here and below."""
    tiles = tiles_after(0, 70_000)
    assert [tile for tile in tiles if tile.level == 0] == [*(Tile(0, n) for n in range(273)), Tile(0, 273, 112)]
    assert [tile for tile in tiles if tile.level == 1] == [Tile(1, 0), Tile(1, 1, 17)]
    assert [tile for tile in tiles if tile.level == 2] == [Tile(2, 0, 1)]
    assert {tile.level for tile in tiles} == {0, 1, 2}


@pytest.mark.parametrize(
    ("old", "new", "paths"),
    [
        (0, 0, []),
        (5, 5, []),
        (0, 1, ["tile/0/000.p/1"]),
        (1, 3, ["tile/0/000.p/3"]),
        (0, 256, ["tile/0/000", "tile/1/000.p/1"]),
        (255, 257, ["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1"]),
        (256, 257, ["tile/0/001.p/1"]),  # level 1 did not grow: its partial tile is there already
        (300, 900, ["tile/0/001", "tile/0/002", "tile/0/003.p/132", "tile/1/000.p/3"]),
        (65_535, 65_536, ["tile/0/255", "tile/1/000", "tile/2/000.p/1"]),
    ],
)
def test_what_to_write_when_the_tree_grows(old: int, new: int, paths: list[str]) -> None:
    assert [tile.path for tile in tiles_after(old, new)] == paths
    assert [tile.path for tile in full_tiles_after(old, new)] == [path for path in paths if ".p/" not in path]
    assert [tile.path for tile in bundles_after(old, new)] == [
        path.replace("tile/0/", "tile/entries/") for path in paths if path.startswith("tile/0/")
    ]


@pytest.mark.parametrize("write", [tiles_after, full_tiles_after, bundles_after])
@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1)])
def test_a_tree_that_shrinks_is_our_bug(write: object, old: int, new: int) -> None:
    assert callable(write)
    with pytest.raises(ValueError, match=f"a tree cannot grow from {old} to {new}"):
        write(old, new)


class Files:
    """A store of tiles that is fed as the tree grows, and holds nothing else."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.size = 0

    def grow(self, size: int) -> None:
        for tile in tiles_after(self.size, size):
            self.content[tile.path] = tile_bytes(tile, lookup_of(LEAVES[:size]))
        self.size = size

    def read(self, tile: Tile) -> bytes:
        return self.content[tile.path]


def test_proofs_come_from_tiles_alone() -> None:
    """Whatever steps the tree grew in, its tiles hold every node of it. Mutant check: `start & 127` fails here."""
    files = Files()
    for size in (1, 2, 3, 200, 255, 256, 257, 300, 511, 512, 600, 3000):
        files.grow(size)
        ours, theirs = lookup_in_tiles(files.read, size), lookup_of(LEAVES[:size])
        for index in {0, 1, 255, 256, size // 2, size - 1} & set(range(size)):
            proof = inclusion_proof(ours, index, size)
            assert proof == inclusion_proof(theirs, index, size)
            assert verify_inclusion(LEAVES[index], index, size, proof, root_of(LEAVES[:size]))
            assert consistency_proof(ours, index + 1, size) == consistency_proof(theirs, index + 1, size)
        for level in range(size.bit_length()):
            last = (size >> level) - 1
            assert ours(level, last) == theirs(level, last)


def test_tiles_of_higher_levels() -> None:
    node = lookup_of(LEAVES)
    content = {tile.path: tile_bytes(tile, node) for tile in tiles_after(0, 70_000)}
    assert content["tile/0/273.p/112"] == b"".join(LEAVES[273 * 256 :])
    assert content["tile/1/001.p/17"][:32] == root_of(LEAVES[65_536 : 65_536 + 256])
    assert content["tile/2/000.p/1"] == root_of(LEAVES[:65_536])
    ours = lookup_in_tiles(lambda tile: content[tile.path], 70_000)
    for index in (0, 65_535, 65_536, 69_999):
        assert inclusion_proof(ours, index, 70_000) == inclusion_proof(node, index, 70_000)


@pytest.mark.parametrize(("level", "index"), [(0, 300), (1, 150), (8, 1), (9, 0), (-1, 0), (0, -1)])
def test_a_node_outside_the_tree_is_our_bug(level: int, index: int) -> None:
    node = lookup_in_tiles(lambda tile: bytes(32 * tile.width), 300)
    with pytest.raises(ValueError, match=f"a tree of size 300 has no node {index} at level {level}"):
        node(level, index)


def test_a_damaged_tile_is_named() -> None:
    node = lookup_in_tiles(lambda tile: bytes(32 * tile.width - 1), 300)
    with pytest.raises(IntegrityFailure, match=r"tile/0/001\.p/44 has 1407 bytes instead of 1408"):
        node(0, 299)
    with pytest.raises(ValueError, match="see entry_bundle"):
        tile_bytes(Tile(None, 0), lookup_of(LEAVES[:1]))


def test_a_bundle_is_entries_after_their_lengths() -> None:
    assert entry_bundle([b"", b"ab", b"c"]) == b"\x00\x00\x00\x02ab\x00\x01c"
    assert parse_bundle(b"\x00\x00\x00\x02ab\x00\x01c", 3) == [b"", b"ab", b"c"]
    longest = [b"x" * 65_535, b""]
    assert parse_bundle(entry_bundle(longest), 2) == longest
    with pytest.raises(ValueError, match="an entry of 65536 bytes"):
        entry_bundle([b"x" * 65_536])


@pytest.mark.parametrize(
    ("data", "width", "reason"),
    [
        (b"", 1, "holds 0 entries instead of 1"),
        (b"\x00\x00", 2, "holds 1 entries instead of 2"),
        (b"\x00\x00\x00\x00", 1, "holds 2 entries instead of 1"),
        (b"\x00", 1, "cut off in entry 0, at byte 0 of 1"),
        (b"\x00\x02a", 1, "cut off in entry 0, at byte 0 of 3"),
        (b"\x00\x01a\x00", 2, "cut off in entry 1, at byte 3 of 4"),
        (b"\x00\x00", 256, "holds 1 entries instead of 256"),
    ],
)
def test_a_damaged_bundle_is_refused(data: bytes, width: int, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_bundle(data, width)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=300), min_size=1, max_size=256))
def test_every_bundle_is_read_back(entries: list[bytes]) -> None:
    assert parse_bundle(entry_bundle(entries), len(entries)) == entries
