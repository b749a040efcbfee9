"""A2 at its size: a long log is verified in one pass, in little memory, and one wrong entry in it is named.

How long it takes is measured, not asserted (`pytest --durations`); on the machine of the first figures it was 0.7 s for
200 000 entries.
"""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace

from greenroom.core.audit import Entry, Event, Head, seal, verify_log

SIZE = 1_000_000 if os.environ.get("GREENROOM_NIGHTLY") else 200_000
BATCH = 1_000


def log() -> Iterator[tuple[Head, list[Entry]]]:
    head = Head()
    event = Event("model_updated", "ana", "r", "m", None, {"changes": []})
    for _ in range(SIZE // BATCH):
        head, entries = seal(head, [event] * BATCH, 5)
        yield head, entries


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
