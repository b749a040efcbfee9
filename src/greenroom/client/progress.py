"""A progress bar for what takes long, on a terminal, and nothing at all elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

Advance = Callable[[int], None]
"""Called, from any thread, with the bytes done since the last call; less than 0 when some must be done again."""

DELAY_S = 0.7


def ignore(_count: int) -> None:
    """An `Advance` that shows nothing."""


@contextmanager
def progress(
    description: str, total_bytes: int, *, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
) -> Iterator[Advance]:
    """Show how far `total_bytes` are while the block runs, on `stream` (None: standard error).

    The bar appears after `DELAY_S` only, and only on a terminal; what is quick and what is piped stays silent. Without
    the package `rich` there is no bar, which is no error.
    """
    out = sys.stderr if stream is None else stream
    if not out.isatty():
        yield ignore
        return
    bar = _Bar(description, total_bytes, out, clock)
    try:
        yield bar.advance
    finally:
        bar.close()


class _Bar:
    def __init__(self, description: str, total: int, out: TextIO, clock: Callable[[], float]) -> None:
        self._description, self._total, self._out, self._clock = description, total, out, clock
        self._since = clock()
        self._lock = threading.Lock()
        self._done = 0
        self._shown: Any = None
        self._is_hopeless = False

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            if self._shown is None and not self._is_hopeless and self._clock() - self._since >= DELAY_S:
                self._show()
            if self._shown is not None:
                display, task = self._shown
                display.update(task, completed=self._done)

    def close(self) -> None:
        if self._shown is not None:
            self._shown[0].stop()

    def _show(self) -> None:
        try:
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, ProgressColumn, Task, TextColumn
            from rich.text import Text
        except ImportError:
            self._is_hopeless = True
            return

        class Rate(ProgressColumn):
            """MiB as everywhere else in our output; rich's own column knows MB only."""

            def render(self, task: Task) -> Text:
                speed = task.finished_speed or task.speed
                return Text("" if speed is None else f"{speed / 2**20:.1f} MiB/s", style="progress.data.speed")

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True), Rate())
        display = Progress(*columns, console=Console(file=self._out), transient=True)
        # Not `[...]` markup: a description may hold a model's name.
        task = display.add_task(self._description.replace("[", r"\["), total=self._total, completed=self._done)
        display.start()
        self._shown = display, task
