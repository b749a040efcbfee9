"""Markdown in small pieces, and the marks between which generated text stands in a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_BLOCK = re.compile(
    r"(<!-- generated: (?P<name>[a-z-]+) -->\n)(?P<text>.*?)(<!-- end of generated: (?P=name) -->)", re.DOTALL
)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; a cell's line breaks and bars are made harmless."""
    lines = [_row(head), "|" + "---|" * len(head)]
    return "\n".join(lines + [_row(row) for row in rows]) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(cell(each) for each in cells) + " |"


def cell(value: object) -> str:
    """Return a value as the text of one table cell."""
    return " ".join(str(value).split()).replace("|", "\\|")


def code(value: object) -> str:
    """Return a value as code; a bar inside is safe in tables through `cell`."""
    return f"`{value}`"


def fenced(text: str, language: str = "text") -> str:
    """Return a fenced block."""
    return f"```{language}\n{text.rstrip()}\n```\n"


def block_names(page: str) -> list[str]:
    """Return the names of the generated blocks of a page, in order."""
    return [found["name"] for found in _BLOCK.finditer(page)]


def fill(page: str, blocks: dict[str, str]) -> str:
    """Return the page with the text of every generated block that it marks. Raises KeyError for an unknown name."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n{blocks[found['name']].strip()}\n\n{found[4]}", page)
