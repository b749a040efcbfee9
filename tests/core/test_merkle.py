"""The tree, against published roots and proofs, a naive second implementation and `pymerkle`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    TreeBuilder,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    lookup_of,
    node_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)

# The test tree of Certificate Transparency: eight entries and the root after each.
ENTRIES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]

_9 = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_5 = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_6 = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_B = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_C = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_0 = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"


@pytest.mark.parametrize(("size", "root"), list(enumerate(ROOTS, start=1)))
def test_published_roots(size: int, root: str) -> None:
    """Mutant check: swapping the prefixes 00 and 01, or the children, fails here."""
    assert root_of(LEAVES[:size]).hex() == root


def test_the_empty_tree() -> None:
    assert root_of([]) == EMPTY_ROOT == sha256(b"").digest()
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize(
    ("leaf", "size", "proof"),
    [  # leaf from 1, as published
        (1, 1, []),
        (1, 8, [_9, _5, _6]),
        (6, 8, [_B, _C, ROOTS[3]]),
        (3, 3, [ROOTS[1]]),
        (2, 5, [ROOTS[0], _5, _B]),
    ],
)
def test_published_inclusion_proofs(leaf: int, size: int, proof: list[str]) -> None:
    made = inclusion_proof(lookup_of(LEAVES), leaf - 1, size)
    assert [step.hex() for step in made] == proof
    assert verify_inclusion(LEAVES[leaf - 1], leaf - 1, size, made, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [(1, 1, []), (1, 8, [_9, _5, _6]), (6, 8, [_0, _C, ROOTS[3]]), (2, 5, [_5, _B])],
)
def test_published_consistency_proofs(old: int, new: int, proof: list[str]) -> None:
    made = consistency_proof(lookup_of(LEAVES), old, new)
    assert [step.hex() for step in made] == proof
    assert verify_consistency(old, bytes.fromhex(ROOTS[old - 1]), new, bytes.fromhex(ROOTS[new - 1]), made)


# A second implementation, word for word the recursive definitions of RFC 6962, 2.1.


def half(count: int) -> int:
    k = 1
    while k * 2 < count:
        k *= 2
    return k


def naive_root(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = half(len(leaves))
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = half(len(leaves))
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = half(len(leaves))
    if m <= k:
        return [*naive_subproof(m, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(m - k, leaves[k:], False), naive_root(leaves[:k])]


def some_leaves(count: int) -> list[bytes]:
    return [leaf_hash(b"entry %d" % number) for number in range(count)]


MANY = some_leaves(70)


def test_every_proof_of_every_small_tree_equals_the_definition_and_verifies() -> None:
    for size in range(1, len(MANY) + 1):
        leaves = MANY[:size]
        node, root = lookup_of(leaves), naive_root(leaves)
        assert root_of(leaves) == root
        for index in range(size):
            proof = inclusion_proof(node, index, size)
            assert list(proof) == naive_path(index, leaves)
            assert verify_inclusion(leaves[index], index, size, proof, root)
        for old in range(1, size + 1):
            proof = consistency_proof(node, old, size)
            assert list(proof) == naive_subproof(old, leaves, True)
            assert verify_consistency(old, naive_root(leaves[:old]), size, root, proof)


def test_proofs_of_earlier_trees_come_from_the_lookup_of_a_later_one() -> None:
    node = lookup_of(MANY)
    for size in range(1, len(MANY) + 1):
        assert list(inclusion_proof(node, size // 2, size)) == naive_path(size // 2, MANY[:size])
        assert list(consistency_proof(node, (size + 1) // 2, size)) == naive_subproof(
            (size + 1) // 2, MANY[:size], True
        )


def test_pymerkle_finds_the_same_roots_and_paths() -> None:
    theirs = InmemoryTree(algorithm="sha256")
    for size in range(1, 130):
        theirs.append_entry(b"entry %d" % (size - 1))
        leaves = some_leaves(size)
        assert root_of(leaves) == theirs.get_root(size)
        for index in {0, size // 3, size - 1}:
            path = theirs.prove_inclusion(index + 1, size).path
            assert [leaves[index], *inclusion_proof(lookup_of(leaves), index, size)] == path


def test_a_frontier_goes_on_where_it_was_left() -> None:
    """Mutant check: a carry that stops one level early fails here."""
    frontier, builder = Frontier(), TreeBuilder()
    for size, leaf in enumerate(MANY, start=1):
        frontier = Frontier.from_bytes(frontier.to_bytes()).append(leaf)
        builder.append(leaf)
        assert frontier == builder.frontier() == Frontier().extend(MANY[:size])
        assert frontier.size == size
        assert frontier.root == builder.root() == naive_root(MANY[:size])
        assert len(frontier.to_bytes()) == 8 + 32 * size.bit_count()
    assert Frontier().root == EMPTY_ROOT
    assert Frontier.from_bytes(Frontier().to_bytes()) == Frontier()


@pytest.mark.parametrize("cut", [0, 7, 8, 39, -1])
def test_a_damaged_frontier_is_not_taken(cut: int) -> None:
    data = Frontier().extend(MANY[:5]).to_bytes()
    with pytest.raises(IntegrityFailure, match="fit no tree size"):
        Frontier.from_bytes(data[:cut] if cut else b"\x00")
    with pytest.raises(IntegrityFailure):
        Frontier.from_bytes(data + b"\x00")


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 3), (3, 3)])
def test_there_is_no_proof_for_a_leaf_outside(index: int, size: int) -> None:
    with pytest.raises(InvalidInput, match=f"There is no leaf {index} in a tree of size {size}"):
        inclusion_proof(lookup_of(MANY), index, size)
    assert not verify_inclusion(MANY[0], index, size, (), MANY[0])


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1), (1, 0)])
def test_a_smaller_tree_continues_nothing(old: int, new: int) -> None:
    with pytest.raises(InvalidInput, match=f"A tree of size {new} cannot continue one of size {old}"):
        consistency_proof(lookup_of(MANY), old, new)
    assert not verify_consistency(old, MANY[0], new, MANY[0], ())


def test_the_empty_tree_is_continued_by_all_and_has_one_root() -> None:
    root = root_of(MANY[:3])
    assert consistency_proof(lookup_of(MANY), 0, 3) == ()
    assert verify_consistency(0, EMPTY_ROOT, 3, root, ())
    assert verify_consistency(0, EMPTY_ROOT, 0, EMPTY_ROOT, ())
    assert not verify_consistency(0, root, 3, root, ())
    assert not verify_consistency(0, EMPTY_ROOT, 3, root, (root,))
    assert not verify_consistency(0, root, 0, root, ())
    assert not verify_consistency(3, root, 3, MANY[0], ())
    assert not verify_consistency(3, root, 3, root, (root,))


Change = Callable[[list[bytes], int], list[bytes]]
# Every way to spoil a proof by one step.
CHANGES: dict[str, Change] = {
    "cut off": lambda proof, at: proof[:-1],
    "step left out": lambda proof, at: proof[:at] + proof[at + 1 :],
    "step added": lambda proof, at: [*proof[:at], bytes(32), *proof[at:]],
    "one more": lambda proof, at: [*proof, bytes(32)],
    "step twice": lambda proof, at: [*proof[: at + 1], *proof[at:]],
    "bit flipped": lambda proof, at: [*proof[:at], bytes([proof[at][0] ^ 1]) + proof[at][1:], *proof[at + 1 :]],
    "step shortened": lambda proof, at: [*proof[:at], proof[at][:31], *proof[at + 1 :]],
    "steps joined": lambda proof, at: [b"".join(proof)],
}


@pytest.mark.parametrize("change", list(CHANGES))
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_spoiled_proof_shows_nothing(change: str, data: st.DataObject) -> None:
    """Mutant check: a verifier that ignores what is left of the proof when it has reached the root fails here."""
    new = data.draw(st.integers(5, len(MANY)))
    old = data.draw(st.integers(3, new - 1).filter(lambda size: size & (size - 1) > 0))
    node, root = lookup_of(MANY[:new]), root_of(MANY[:new])
    good = inclusion_proof(node, old, new)
    bad = CHANGES[change](list(good), data.draw(st.integers(0, len(good) - 1)))
    if bad != list(good):
        assert not verify_inclusion(MANY[old], old, new, bad, root)
    good = consistency_proof(node, old, new)
    bad = CHANGES[change](list(good), data.draw(st.integers(0, len(good) - 1)))
    if bad != list(good):
        assert not verify_consistency(old, root_of(MANY[:old]), new, root, bad)


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 70), st.data())
def test_a_proof_shows_one_thing_only(new: int, data: st.DataObject) -> None:
    """Another leaf, index or root is not shown. Another size may be: a path can have the same shape in both trees, and
    then it is the root, which depends on the size, that tells them apart."""
    index = data.draw(st.integers(0, new - 1))
    other = data.draw(st.integers(0, new - 1).filter(lambda value: value != index)) if new > 1 else None
    node, root = lookup_of(MANY[:new]), root_of(MANY[:new])
    proof = inclusion_proof(node, index, new)
    assert not verify_inclusion(leaf_hash(b"other"), index, new, proof, root)
    assert not verify_inclusion(MANY[index], index, new, proof, leaf_hash(b"other"))
    if other is not None:
        assert not verify_inclusion(MANY[other], index, new, proof, root)
        assert not verify_inclusion(MANY[index], other, new, proof, root)
    for size in {new - 1, new + 1} & set(range(1, 71)):
        assert not verify_inclusion(MANY[index], index, size, proof, root_of(MANY[:size])) or proof == ()


@settings(max_examples=300, deadline=None)
@given(st.integers(1, 70), st.data())
def test_a_fork_has_no_consistency_proof(new: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, new))
    forked = data.draw(st.integers(0, old - 1))
    others = [*MANY[:forked], leaf_hash(b"other"), *MANY[forked + 1 : new]]
    for leaves in (others, MANY[:new]):
        proof = consistency_proof(lookup_of(leaves), old, new)
        assert not verify_consistency(old, root_of(MANY[:old]), new, root_of(others), proof)


def test_a_proof_does_not_pass_for_a_tree_of_another_height() -> None:
    """Sizes come from a checkpoint, but a proof must fit them. Mutant check: each line needs one of the checks that
    the proof is used up exactly when the top is reached."""
    node, roots = lookup_of(MANY), [root_of(MANY[:size]) for size in range(9)]
    assert not verify_inclusion(MANY[7], 3, 4, inclusion_proof(node, 7, 8), roots[8])
    assert not verify_inclusion(MANY[3], 3, 8, inclusion_proof(node, 3, 4), roots[4])
    assert not verify_consistency(3, roots[7], 4, roots[8], consistency_proof(node, 7, 8))
    assert not verify_consistency(2, roots[2], 8, roots[4], consistency_proof(node, 2, 4))


def test_hashes_cannot_be_cut_elsewhere() -> None:
    """Left and right are hashed one after the other, so 31 and 33 bytes would give what 32 and 32 give."""
    root = root_of(MANY[:2])
    assert node_hash(MANY[0][:31], MANY[0][31:] + MANY[1]) == root
    assert not verify_inclusion(MANY[0][:31], 0, 2, (MANY[0][31:] + MANY[1],), root)
    assert not verify_consistency(0, EMPTY_ROOT, 2, root[:31], ())


def test_proofs_of_a_large_tree_are_short() -> None:
    """A2: at most 20 hashes for inclusion and 40 for consistency at a million entries. No tree is needed to count."""
    sizes = [1_000_000, 999_999, 2**20 - 1, 2**19 + 1]
    for size in sizes:
        for index in (0, 1, size // 2, 524_287, size - 1):
            assert len(inclusion_proof(lambda level, at: bytes(32), index, size)) <= 20
            assert len(consistency_proof(lambda level, at: bytes(32), index + 1, size)) <= 40


def test_a_leaf_does_not_pass_for_a_node() -> None:
    assert leaf_hash(MANY[0] + MANY[1]) != node_hash(MANY[0], MANY[1])
