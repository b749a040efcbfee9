"""How the demo talks: numbered chapters, what one could type, and claims that are checked as they are made."""

from __future__ import annotations

import sys
import textwrap
import time
from collections.abc import Sequence
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH = 108


class Untrue(Exception):
    """A claim of the story does not hold: the demo fails, as a test would."""


class Story:
    """Tells the story on a terminal with colour, elsewhere plainly, and counts the claims that held."""

    def __init__(self, out: TextIO | None = None) -> None:
        self.console = Console(file=out or sys.stdout, highlight=False, soft_wrap=True)
        if not self.console.is_terminal:
            self.console.width = WIDTH + 12
        self.claims = 0
        self.chapters = 0
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self._began

    @property
    def unicode(self) -> bool:
        """True when the output can show more than ASCII."""
        return "utf" in (self.console.encoding or "").lower()

    def chapter(self, title: str) -> None:
        """Begin the next chapter."""
        self.chapters += 1
        self.line("")
        heading = f"{self.chapters}. {title}"
        self.line(heading, "bold cyan")
        self.line(("─" if self.unicode else "-") * len(heading), "cyan")

    def say(self, text: str) -> None:
        """Tell a paragraph."""
        self.line("")
        for line in textwrap.wrap(" ".join(text.split()), WIDTH, break_on_hyphens=False):
            self.line(line)

    def python(self, code: str) -> None:
        """Show Python that runs next, as one could type it."""
        self.line("")
        for number, line in enumerate(textwrap.dedent(code).strip().splitlines()):
            self.line(f"    {'... ' if number and line[:1] in ' )' else '>>> '}{line}", "magenta")

    def command(self, text: str) -> None:
        """Show a command that runs next, as one could type it."""
        self.line("")
        self.line(f"    $ {text}", "bold magenta")

    def error(self, text: str) -> None:
        """Show the text of an exception, wrapped."""
        self.output("\n".join(textwrap.wrap(text, WIDTH - 6, subsequent_indent="  ", break_on_hyphens=False)))

    def output(self, text: str) -> None:
        """Show what a command or a call printed."""
        for line in text.rstrip("\n").splitlines():
            self.console.print(Text("      ") + Text.from_ansi(line))

    def check(self, holds: bool, claim: str, otherwise: object = "") -> None:
        """Make a claim. Raises Untrue, with what was seen `otherwise`, when it does not hold."""
        if not holds:
            raise Untrue(f"{claim}" + (f"\n  instead: {otherwise}" if str(otherwise) else ""))
        self.claims += 1
        self.line(f"  {'✓' if self.unicode else '+'} {claim}", "green")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], *, right: Sequence[str] = ()) -> None:
        """Show a small table; the columns named in `right` hold numbers."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for column in columns:
            table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
        for row in rows:
            table.add_row(*(Text(str(cell)) for cell in row))
        self.line("")
        self.console.print(table, soft_wrap=False)

    def line(self, text: str, style: str = "") -> None:
        """Print one line as it is; what the terminal cannot show is left out rather than an error."""
        if not self.unicode:
            text = text.encode("ascii", "replace").decode()
        self.console.print(Text(text, style=style))
