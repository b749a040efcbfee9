"""A2 at its size: a long log is verified in one pass, in little memory, and one wrong entry in it is named.

How long it takes is measured, not asserted (`pytest --durations`); on the machine of the first figures it was 0.7 s for
200 000 entries.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

import pytest

from greenroom.core import audit
from greenroom.core.audit import Entry, Event, Head, seal, verify_log
from greenroom.core.merkle import consistency_proof, inclusion_proof, lookup_of
from tests.promises import promise, sized

SIZE = sized(200_000, 1_000_000)
BATCH = 1_000


def log() -> Iterator[tuple[Head, list[Entry]]]:
    head = Head()
    event = Event("model_updated", "ana", "r", "m", None, {"changes": []})
    for _ in range(SIZE // BATCH):
        head, entries = seal(head, [event] * BATCH, 5)
        yield head, entries


@promise(
    "A2", "{entries} entries in one pass and less than 1 MiB; one wrong entry named", entries=SIZE,
    mutant="test_a_verifier_that_stops_comparing_is_seen",
)  # fmt: skip
def test_a_long_log_is_verified_and_one_wrong_entry_named() -> None:
    """Mutant check: `verify_log` that keeps every entry, or stops comparing after a while, fails here."""
    batches = list(log())
    head, entries = batches[-1][0], [entry for _, batch in batches for entry in batch]
    tracemalloc.start()
    assert verify_log(iter(entries), head=head) == []
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20  # bytes: nothing is kept but the edge of the tree
    wrong = SIZE - 10
    entries[wrong] = replace(entries[wrong], actor="eve")
    (finding,) = verify_log(iter(entries), head=head)
    assert finding.seq == wrong + 1
    leaves = [bytes.fromhex(entry.leaf) for entry in entries]
    node = lookup_of(leaves)
    assert len(inclusion_proof(node, SIZE // 3, SIZE)) <= 20
    assert max(len(consistency_proof(node, old, SIZE)) for old in (1, SIZE // 3, SIZE // 2 - 1, SIZE - 1)) <= 40


def test_a_verifier_that_stops_comparing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    head, entries = next(log())
    leaf_of = audit._leaf_of

    def tired(entry: Entry) -> bytes | None:
        return bytes.fromhex(entry.leaf) if entry.seq > BATCH // 2 else leaf_of(entry)

    monkeypatch.setattr(audit, "_leaf_of", tired)
    entries[-10] = replace(entries[-10], actor="eve")
    with pytest.raises(ValueError, match="not enough values"):
        (_,) = verify_log(iter(entries), head=head)
