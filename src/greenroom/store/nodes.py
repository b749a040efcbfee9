"""The tree's nodes as the database holds them: full tiles as rows, the growing edge from the entries themselves."""

from __future__ import annotations

from greenroom.core.errors import IntegrityFailure
from greenroom.core.merkle import HASH_BYTES, NodeLookup, root_of
from greenroom.core.tiles import TILE_WIDTH, Tile, lookup_in_tiles
from greenroom.store.driver import Connection


def stored_nodes(db: Connection, size: int) -> NodeLookup:
    """Return a lookup of the nodes of the stored tree of `size` leaves."""
    return lookup_in_tiles(lambda tile: stored_tile(db, tile), size)


def stored_tile(db: Connection, tile: Tile) -> bytes:
    """Return a tile's hashes. Raises IntegrityFailure when entries that it is made from are not there."""
    if tile.level is None:
        raise ValueError("an entry bundle is no tile of hashes")
    if tile.width == TILE_WIDTH:
        row = db.one(db.sql["audit_tile"], {"level": tile.level, "position": tile.index})
        if row is not None:
            return bytes(row[0])
    first = tile.index * TILE_WIDTH
    if tile.level == 0:
        rows = db.all(db.sql["audit_leaves"], {"after": first, "until": first + tile.width})
        hashes = b"".join(bytes.fromhex(row[0]) for row in rows)
    else:
        below = (stored_tile(db, Tile(tile.level - 1, first + offset)) for offset in range(tile.width))
        hashes = b"".join(
            root_of(each[at : at + HASH_BYTES] for at in range(0, len(each), HASH_BYTES)) for each in below
        )
    if len(hashes) != tile.width * HASH_BYTES:
        raise IntegrityFailure(f"the log's tile {tile.path} cannot be made: entries are missing.")
    return hashes
