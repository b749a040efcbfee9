"""The Merkle tree of RFC 6962: roots, and proofs that an entry is in a tree and that one tree continues another.

Hashes are 32 raw bytes. A *node* is a complete subtree: `node(level, index)` is the root over the leaves
`index << level` up to `(index + 1) << level`, level 0 being leaf hashes. Proofs are made from a lookup of nodes, so
that a store answers from tiles or rows without reading the leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from greenroom.core.errors import IntegrityFailure, InvalidInput

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

NodeLookup = Callable[[int, int], bytes]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of an entry. Source: RFC 6962, 2.1 (the prefix keeps an entry from passing for a node)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbouring subtrees. Source: RFC 6962, 2.1."""
    return sha256(b"\x01" + left + right).digest()


class TreeBuilder:
    """Grows a tree leaf by leaf, holding only the roots of its complete subtrees ("peaks", largest first).

    Mutable, for loops over many leaves (about 1 us each); `frontier()` gives the value to keep.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, frontier: Frontier | None = None) -> None:
        self.size = frontier.size if frontier else 0
        self._peaks = list(frontier.peaks) if frontier else []

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        peaks = self._peaks
        carry = self.size
        while carry & 1:  # each trailing one bit is a subtree of the same height that the new one completes
            leaf = sha256(b"\x01" + peaks.pop() + leaf).digest()
            carry >>= 1
        peaks.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return _folded(self._peaks)

    def frontier(self) -> Frontier:
        """Return the state as a value."""
        return Frontier(self.size, tuple(self._peaks))


@dataclass(frozen=True)
class Frontier:
    """All it takes to go on appending to a tree: its size and the roots of its complete subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> Frontier:
        """Return the frontier with one more leaf hash."""
        return self.extend((leaf,))

    def extend(self, leaves: Iterable[bytes]) -> Frontier:
        """Return the frontier with these leaf hashes added in order."""
        builder = TreeBuilder(self)
        for leaf in leaves:
            builder.append(leaf)
        return builder.frontier()

    @property
    def root(self) -> bytes:
        """The root of the tree; EMPTY_ROOT for no leaves."""
        return _folded(self.peaks)

    def to_bytes(self) -> bytes:
        """Return the size as 8 bytes, big-endian, followed by the peaks."""
        return self.size.to_bytes(8, "big") + b"".join(self.peaks)

    @staticmethod
    def from_bytes(data: bytes) -> Frontier:
        """Return the frontier that `to_bytes` wrote. IntegrityFailure if the length does not fit the size in it."""
        size = int.from_bytes(data[:8], "big")
        if len(data) != 8 + HASH_BYTES * size.bit_count():
            raise IntegrityFailure(
                f"The stored frontier of the audit tree has {len(data)} bytes, which fit no tree size."
            )
        return Frontier(size, tuple(data[i : i + HASH_BYTES] for i in range(8, len(data), HASH_BYTES)))


def _folded(peaks: Sequence[bytes]) -> bytes:
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root over `leaf_hashes`; EMPTY_ROOT for none."""
    return Frontier().extend(leaf_hashes).root


def lookup_of(leaf_hashes: Sequence[bytes]) -> NodeLookup:
    """Return a lookup over leaf hashes held in memory. It computes every node once, at the start."""
    levels = [list(leaf_hashes)]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def range_root(node: NodeLookup, start: int, end: int) -> bytes:
    """Return the root over leaves `start` to `end` (not included), which must be a subtree of RFC 6962.

    That is: `start` is a multiple of the smallest power of two that is at least `end - start`.
    """
    peaks = []
    for level in range((end - start).bit_length() - 1, -1, -1):
        if (end - start) >> level & 1:
            peaks.append(node(level, start >> level))
            start += 1 << level
    return _folded(peaks)


def _split(start: int, end: int) -> int:
    """Return where the range's left subtree ends: after the largest power of two smaller than its width."""
    return start + (1 << (end - start - 1).bit_length() - 1)


def inclusion_proof(node: NodeLookup, index: int, size: int) -> tuple[bytes, ...]:
    """Return the proof that leaf `index` (from 0) is in the tree of the first `size` leaves, leaf end first.

    InvalidInput if that tree has no such leaf. Source: RFC 6962, 2.1.1.
    """
    if not 0 <= index < size:
        raise InvalidInput(f"There is no leaf {index} in a tree of size {size}.", index=index, size=size)
    proof = []
    start, end = 0, size
    while end - start > 1:
        middle = _split(start, end)
        if index < middle:
            proof.append(range_root(node, middle, end))
            end = middle
        else:
            proof.append(range_root(node, start, middle))
            start = middle
    return tuple(reversed(proof))


def consistency_proof(node: NodeLookup, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Return the proof that the tree of `new_size` leaves continues the tree of its first `old_size`.

    It is empty for equal sizes and for an empty old tree, which everything continues. InvalidInput if the new tree is
    the smaller one. Source: RFC 6962, 2.1.2.
    """
    if not 0 <= old_size <= new_size:
        raise InvalidInput(
            f"A tree of size {new_size} cannot continue one of size {old_size}.", old_size=old_size, new_size=new_size
        )
    if old_size == 0:
        return ()
    proof = []
    start, end = 0, new_size
    while end != old_size:
        middle = _split(start, end)
        if old_size <= middle:
            proof.append(range_root(node, middle, end))
            end = middle
        else:
            proof.append(range_root(node, start, middle))
            start = middle
    if start > 0:  # else the rest is the old tree itself, whose root the verifier has
        proof.append(range_root(node, start, end))
    return tuple(reversed(proof))


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Say whether `proof` shows that `leaf`, a leaf hash, is number `index` (from 0) of the tree of `size` and `root`.

    Strict: a proof with a hash too many or too few, or a hash of another length, shows nothing.
    Source: RFC 9162, 2.1.3.2.
    """
    if not 0 <= index < size or not _all_hashes((leaf, root, *proof)):
        return False
    position, last = index, size - 1
    current = leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and current == root


def verify_consistency(old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Say whether `proof` shows that the new tree begins with exactly the leaves of the old one.

    Strict like `verify_inclusion`; an empty tree has EMPTY_ROOT and no other. Source: RFC 9162, 2.1.4.2.
    """
    if not 0 <= old_size <= new_size or not _all_hashes((old_root, new_root, *proof)):
        return False
    if (old_size == 0 and old_root != EMPTY_ROOT) or (new_size == 0 and new_root != EMPTY_ROOT):
        return False
    if old_size == new_size:
        return not proof and old_root == new_root
    if old_size == 0:
        return not proof
    if old_size & (old_size - 1):
        return _consistent(old_size, old_root, new_size, new_root, proof)
    return _consistent(old_size, old_root, new_size, new_root, (old_root, *proof))


def _consistent(old_size: int, old_root: bytes, new_size: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Climb from the old tree's last complete subtree, folding what the two trees share into both roots."""
    if not path:
        return False
    position, last = old_size - 1, new_size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and old == old_root and new == new_root


def _all_hashes(values: Iterable[bytes]) -> bool:
    return all(isinstance(value, bytes) and len(value) == HASH_BYTES for value in values)
