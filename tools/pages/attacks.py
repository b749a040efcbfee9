"""The table of attacks that cannot be replayed yet, and what they wait for, from the test that replays the others."""

from __future__ import annotations

from tests.security.binding import VECTORS, WAITING
from tools.pages.text import code, table


def waiting() -> str:
    """Return how many attacks are replayed, and one row per reason to wait."""
    reasons: dict[str, list[str]] = {}
    for name, reason in WAITING.items():
        reasons.setdefault(reason, []).append(name)
    rows = [(reason, len(names), ", ".join(map(code, sorted(names)))) for reason, names in sorted(reasons.items())]
    told = f"{len(VECTORS) - len(WAITING)} of {len(VECTORS)} are replayed. These wait:\n"
    return f"{told}\n{table(('for', 'attacks', 'ids'), rows)}"
