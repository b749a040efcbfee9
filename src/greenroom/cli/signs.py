"""Pictures made of letters: sparklines and trees, and their stand-ins where a terminal has no such letters. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from greenroom.core.tracking import LARGEST

_STEPS = "▁▂▃▅▇"
_PLAIN_STEPS = "_.-=#"
_NAN = "x"
_ARROWS = {"←": "<-", "→": "->", "├─": "|-", "└─": "`-", "│": "|", "…": "..."}


@dataclass(frozen=True)
class Signs:
    """What can be drawn with; `plain` means ASCII alone."""

    plain: bool = False

    def sparkline(self, points: Sequence[float | None], width: int, scale: Sequence[float | None] | None = None) -> str:
        """Return at most `width` letters for a history: the lowest value is the lowest letter, None (NaN) an `x`.

        With `scale` the lowest and the highest are those of these values: lines side by side are comparable then. A
        history that never changes is a line in the middle; infinite values are at the edges. Empty for no points.
        """
        steps = _PLAIN_STEPS if self.plain else _STEPS
        picked = _picked(points, width)
        finite = [value for value in (picked if scale is None else scale) if value is not None and abs(value) < LARGEST]
        low, high = (min(finite), max(finite)) if finite else (0.0, 0.0)
        return "".join(_letter(value, low, high, steps) for value in picked)

    def text(self, text: str) -> str:
        """Return a line with arrows and branches of trees as this terminal can show them."""
        if self.plain:
            for sign, plain in _ARROWS.items():
                text = text.replace(sign, plain)
        return text

    def branches(self, depths: Sequence[int]) -> Iterator[str]:
        """Yield what stands before each line of a tree, whose lines are `depths` deep (0: no branch before it)."""
        for number, depth in enumerate(depths):
            lead = [_goes_on(depths, number, level) for level in range(1, depth)]
            last = not _goes_on(depths, number, depth)
            sign = ("└─ " if last else "├─ ") if depth else ""
            yield self.text("".join("│  " if goes_on else "   " for goes_on in lead) + sign)


def signs_of(stream: TextIO) -> Signs:
    """Return what a stream's encoding can show."""
    try:
        (_STEPS + "".join(_ARROWS)).encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Signs(plain=True)
    return Signs()


def metric_text(value: float | None) -> str:
    """Return a metric for people; None is NaN, the largest doubles stand for infinity."""
    if value is None or math.isnan(value):
        return "NaN"
    if abs(value) >= LARGEST:
        return "inf" if value > 0 else "-inf"
    return f"{value:.6g}"


def _picked(points: Sequence[float | None], width: int) -> list[float | None]:
    """Return at most `width` of the points, evenly spread, the last one among them."""
    count = len(points)
    if count <= width:
        return list(points)
    return [points[(number + 1) * count // width - 1] for number in range(width)]


def _letter(value: float | None, low: float, high: float, steps: str) -> str:
    if value is None:
        return _NAN
    if abs(value) >= LARGEST:
        return steps[-1] if value > 0 else steps[0]
    if high <= low:
        return steps[len(steps) // 2]
    part = 0.5 if math.isinf(high - low) else 1.0  # a difference of two doubles may be too large for one
    share = (value * part - low * part) / (high * part - low * part)
    return steps[min(int(share * len(steps)), len(steps) - 1)]


def _goes_on(depths: Sequence[int], number: int, level: int) -> bool:
    """Say whether a later line of the same branch is at this level."""
    for depth in depths[number + 1 :]:
        if depth <= level:
            return depth == level
    return False
