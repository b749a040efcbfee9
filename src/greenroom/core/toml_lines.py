"""Where the keys of a TOML document stand, so that an error can name its line.

The standard parser gives values without places. This walks the same text once for headers and keys at the start of a
line; what it cannot see (a key inside an inline table) is answered with the line of what encloses it.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]
_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")
_FENCE = re.compile(r"\"\"\"|'''")


def key_lines(text: str) -> dict[Path, int]:
    """Return the line (from 1) of every table header and every key, by path; arrays of tables count from 0."""
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    here: Path = ()
    fence: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if fence is None:
            header, key = _HEADER.match(line), _KEY.match(line)
            if header:
                here = _enter(_parts(header[2]), counts, is_array=header[1] == "[[")
                lines.setdefault(here, number)
            elif key:
                lines.setdefault(here + _parts(key[1]), number)
        fence = _fence_after(line, fence)
    return lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """Return the line of `path`, else of the first thing inside it, else of the nearest that encloses it, else None."""
    while path:
        inside = [line for key, line in lines.items() if key[: len(path)] == path]
        if inside:
            return min(inside)
        path = path[:-1]
    return None


def _parts(dotted: str) -> Path:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _enter(parts: Path, counts: dict[Path, int], *, is_array: bool) -> Path:
    """Return the path a header opens: names, with the index of the newest element wherever a name is an array."""
    path: Path = ()
    for part in parts[:-1]:
        path += (part,)
        if path in counts:
            path += (counts[path],)
    path += (parts[-1],)
    if is_array:
        counts[path] = counts.get(path, -1) + 1
        path += (counts[path],)
    return path


def _fence_after(line: str, fence: str | None) -> str | None:
    for mark in _FENCE.findall(line):
        if fence is None:
            fence = mark
        elif fence == mark:
            fence = None
    return fence
