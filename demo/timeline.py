"""Who held what when, drawn in characters: one line per version, time from left to right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

SHADES: Mapping[str, str] = {"Production": "█", "Staging": "▒", "Archived": "·"}
PLAIN: Mapping[str, str] = {"Production": "#", "Staging": "=", "Archived": "."}


@dataclass(frozen=True)
class Period:
    """One version in one stage; `until` None: it still is. Times in any unit, all the same one."""

    version: int
    stage: str
    since: int
    until: int | None


def timeline(periods: Sequence[Period], *, width: int = 64, shades: Mapping[str, str] = SHADES) -> list[str]:
    """Return the drawing: a line per version, then the legend; empty when there is nothing to draw.

    The steps are drawn equally wide, in the order in which they happened: real time would show long waits and no moves.
    """
    shown = [each for each in periods if each.stage in shades]
    if not shown:
        return []
    moments = sorted({each.since for each in shown} | {each.until for each in shown if each.until is not None})
    columns = _columns(moments, width)
    lines = [_line(version, shown, columns, width, shades) for version in sorted({each.version for each in shown})]
    legend = "   ".join(f"{mark * 3} {stage}" for stage, mark in shades.items())
    return [*lines, f"{'':13}{legend}"]


def _columns(moments: Iterable[int], width: int) -> Mapping[int, int]:
    moments = list(moments)
    return {moment: index * width // len(moments) for index, moment in enumerate(moments)}


def _line(
    version: int, periods: Iterable[Period], columns: Mapping[int, int], width: int, shades: Mapping[str, str]
) -> str:
    cells = [" "] * width
    for each in periods:
        if each.version == version:
            start = columns[each.since]
            end = width if each.until is None else columns[each.until]
            cells[start:end] = shades[each.stage] * (end - start)
    return f"  version {version:<2} |{''.join(cells)}|"
