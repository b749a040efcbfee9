"""What commands print: JSON for programs, tables and sentences for people.

Standard output carries the answer and nothing else; notes, hints, progress and errors go to standard error. `Output`
decides once which form is wanted, so that no command asks whether there is a terminal. rich is imported only for a
table on a terminal: a promotion must not wait for it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from greenroom.core.codec import to_plain

MISSING = "-"  # how a fact that nobody recorded is shown

_STYLES: Mapping[str, str] = {"production": "bold green", "staging": "yellow", "archived": "dim", "none": "dim"}
_STYLED_COLUMNS = frozenset({"Stage", "Slot", "From", "To"})
_WHOLE_COLUMNS = frozenset(  # are copied, or read at a glance: never broken into lines
    ("Id", "Status", "Version", "Stage", "Started", "Took", "Created", "Updated", "Since", "Until", "At", "Size")
)
_FOLDED, _FOLDED_MOST = 20, 8  # characters of a folded column: where there is room, and at least
_GAP = 2  # spaces between columns
_ANSI = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_HARMLESS = "\n\t\u200d"  # the last joins emoji
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


@dataclass(frozen=True)
class Output:
    """How to print. `mode` is `table` or `json`; `color` allows colour and box drawing; `quiet` drops notes."""

    mode: str
    color: bool
    quiet: bool = False

    @property
    def is_json(self) -> bool:
        """True when the answer is for a program."""
        return self.mode == "json"

    @property
    def width(self) -> int | None:
        """How many characters the window is wide; None where nobody looks at a terminal."""
        return shutil.get_terminal_size().columns if self.color or is_terminal(sys.stdout) else None

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        data: Any,
        *,
        empty: str = "Nothing found.",
        extra: int = 0,
        wanted: int = 0,
    ) -> None:
        """Print `rows` under `columns`, or `data` as JSON.

        Cells are text already, or anything `str()` shows well; None becomes `-`. Without rows a table prints the note
        `empty` on standard error and nothing on standard output. The last `extra` columns are never folded: on a
        terminal that is too narrow those that do not fit are left out, and a note says so. The first `wanted` of them
        are worth folding the others for.
        """
        if self.is_json:
            self.json(data)
            return
        cells = [[_cell(cell) for cell in row] for row in rows]
        if not cells:
            self.note(empty)
            return
        left_out = self._too_many(columns, cells, extra, wanted)
        kept = len(columns) - left_out
        columns, cells = columns[:kept], [row[:kept] for row in cells]
        if self.color:
            _rich_table(columns, cells, whole=columns[kept - (extra - left_out) :])
        else:
            _write(sys.stdout, plain_table(columns, cells))
        if left_out:
            self.note(f"{counted(left_out, 'columns')} left out, for which the window is too narrow.")

    def _too_many(self, columns: Sequence[str], rows: Sequence[Sequence[str]], extra: int, wanted: int) -> int:
        """Return how many of the last `extra` columns do not fit; 0 where nobody looks at a terminal."""
        if self.width is None:
            return 0
        fixed, used = len(columns) - extra, 0
        least = 0  # what the columns so far take when others are folded as far as they can be read
        for at, (name, *cells) in enumerate(zip(columns, *rows, strict=True)):
            width = max(_width(cell) for cell in (name, *cells))
            folds = self.color and at < fixed and name not in _WHOLE_COLUMNS
            used += (min(width, _FOLDED) if folds else width) + (_GAP if at else 0)
            least += (min(width, _FOLDED_MOST) if folds else width) + (_GAP if at else 0)
            if at >= fixed and (least if at < fixed + wanted else used) > self.width:
                return len(columns) - at
        return 0

    def result(self, data: Any, text: str | Callable[[], str]) -> None:
        """Print `data` as JSON, or `text` (a function when making it costs something)."""
        if self.is_json:
            self.json(data)
        else:
            self.line(text if isinstance(text, str) else text())

    def fields(self, pairs: Iterable[tuple[str, object]], data: Any) -> None:
        """Print `name  value` lines for people, or `data` as JSON. A value's further lines are indented."""
        if self.is_json:
            self.json(data)
            return
        shown = [(name, _cell(value, keep_lines=True)) for name, value in pairs]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            first, *rest = value.split("\n")
            label = self.paint(name.ljust(width), "bold")
            self.line(f"{label}  {first}".rstrip())
            for line in rest:
                self.line(f"{'':{width}}  {line}".rstrip())

    def json(self, data: Any) -> None:
        """Print `data` (dataclasses too) as one JSON document on standard output, whatever the mode."""
        text = json.dumps(to_plain(data), indent=2, ensure_ascii=False)
        _write(sys.stdout, text + "\n")

    def line(self, text: str) -> None:
        """Print one sentence on standard output, whatever the mode."""
        _write(sys.stdout, text + "\n")

    def note(self, text: str) -> None:
        """Say something beside the answer, on standard error; nothing when quiet."""
        if not self.quiet:
            _write(sys.stderr, visible(text) + "\n")

    def hint(self, text: str) -> None:
        """Give one hint on standard error; nothing when quiet."""
        self.note(f"Hint: {text}")

    def paint(self, text: str, style: str) -> str:
        """Return `text` in `style` (words of bold, dim, red, green, yellow, cyan) when colour is allowed."""
        return paint(text, style) if self.color else text

    def stage(self, name: str) -> str:
        """Return a stage's name in its colour."""
        style = _STYLES.get(name.casefold())
        return self.paint(name, style) if style else name


def choose_output(mode: str | None, *, no_color: bool = False, quiet: bool = False) -> Output:
    """Return how to print: as asked, else a table on a terminal and JSON anywhere else.

    `NO_COLOR` and `TERM=dumb` switch colour off (no-color.org).
    """
    on_terminal = is_terminal(sys.stdout)
    plain = no_color or bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Output(mode or ("table" if on_terminal else "json"), on_terminal and not plain, quiet)


def is_terminal(stream: TextIO) -> bool:
    """Say whether `stream` is shown to a person; a closed or missing stream is not."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def paint(text: str, style: str) -> str:
    """Return `text` wrapped in the terminal codes of `style`."""
    codes = ";".join(_ANSI[word] for word in style.split())
    return f"\x1b[{codes}m{text}\x1b[0m"


def plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an aligned text table: a line of headings, a line per row, two spaces between columns."""
    widths = [max(_width(cell) for cell in column) for column in zip(columns, *rows, strict=True)]
    lines = []
    for row in (columns, *rows):
        padded = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines) + "\n"


def when(at: int | None) -> str:
    """Return UTC milliseconds as local time, `2026-11-21 10:00:03`; `-` for None."""
    if at is None:
        return MISSING
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at / 1000))
    except (OverflowError, ValueError, OSError):  # a year the platform cannot show
        return str(at)


def size(size_bytes: int | None) -> str:
    """Return a number of bytes for people: `340 B`, `1.2 MiB`; `-` for None."""
    if size_bytes is None:
        return MISSING
    value, unit = float(size_bytes), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{size_bytes} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def counted(count: int, things: str) -> str:
    """Return a count with its plural noun, `3 files`, or the singular of it, `1 file`."""
    if count != 1:
        return f"{count} {things}"
    return f"1 {things.removesuffix('ies')}y" if things.endswith("ies") else f"1 {things.removesuffix('s')}"


def short_digest(digest: str) -> str:
    """Return as much of `sha256:…` as people compare; JSON output has all of it."""
    return digest[:19] if digest.startswith("sha256:") else digest


def number(value: float) -> str:
    """Return a metric's value as short as it can be read back."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def pairs(values: Mapping[str, object], *, sep: str = ", ") -> str:
    """Return `a=1, b=2`; empty text when there is nothing."""
    return sep.join(f"{key}={number(value) if isinstance(value, float) else value}" for key, value in values.items())


def visible(text: str) -> str:
    """Return `text` with control characters written out, so that stored text cannot drive somebody's terminal."""
    if text.isprintable():
        return text
    return "".join(ch if _is_harmless(ch) else _escaped(ch) for ch in text)


def _is_harmless(ch: str) -> bool:
    return ch in _HARMLESS or ch.isprintable() or unicodedata.category(ch) == "Zs"


def _escaped(ch: str) -> str:
    return ch.encode("unicode_escape", "backslashreplace").decode("ascii")


def _cell(value: object, *, keep_lines: bool = False) -> str:
    if value is None or value == "":
        return MISSING
    text = visible(number(value) if isinstance(value, float) else str(value))
    return text if keep_lines else " ".join(text.split())


def _width(text: str) -> int:
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(ch) else 2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in text)


def _write(stream: TextIO, text: str) -> None:
    """Write whole text at once; what the terminal's encoding cannot show is written as an escape."""
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, whole: Sequence[str] = ()) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=box.SIMPLE_HEAD, header_style="bold", show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0)
    )
    for column in columns:
        table.add_column(Text(column), overflow="fold", no_wrap=column in _WHOLE_COLUMNS or column in whole)
    for row in rows:
        cells = (_styled(column, cell) for column, cell in zip(columns, row, strict=True))
        table.add_row(*(Text(text, style=style) for text, style in cells))
    Console(file=sys.stdout, highlight=False).print(table)


def _styled(column: str, cell: str) -> tuple[str, str]:
    if cell == MISSING:
        return cell, "dim"
    return cell, _STYLES.get(cell.casefold(), "") if column in _STYLED_COLUMNS else ""
