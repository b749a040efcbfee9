"""What the use cases need to show runs to people: look-ups by part of an id, families of runs, sampled histories.

Part of `services.ports`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Tally:
    """One metric of a run in numbers. `lowest` and `highest` leave NaN out; None: every point is NaN."""

    key: str
    count: int
    lowest: float | None
    highest: float | None
    nans: int
    first_step: int
    last_step: int


class RunReads(Protocol):
    """The part of a transaction that answers what people ask about runs."""

    def runs_beginning(self, prefix: str, limit: int) -> list[str]:
        """Return ids of runs that begin so, deleted ones too, in order."""

    def runs_called(self, name: str, limit: int) -> list[str]:
        """Return ids of the living runs of that name, newest first."""

    def runs_within(self, parents: Sequence[str], limit: int) -> list[tuple[str, int]]:
        """Return (parent's id, number) of the living runs that name one of these runs as their parent, oldest first."""

    def tallies(self, run_no: int, keys: Sequence[str]) -> list[Tally]:
        """Return those metrics of a run (none named: all) in numbers, by key."""

    def samples(self, run_no: int, keys: Sequence[str], points: int) -> dict[str, list[float | None]]:
        """Return about so many values of each of those metrics (none named: all), spread evenly over its history.

        First and last are among them; None is NaN.
        """
