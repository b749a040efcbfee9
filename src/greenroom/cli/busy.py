"""A sign of life for a single long question, where there is nothing to count."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from greenroom.cli.output import Output, is_terminal

DELAY_S = 1.0
_TICK_S = 0.5


@contextmanager
def busy(out: Output, doing: str) -> Iterator[None]:
    """Say on a terminal's standard error that something goes on, and for how long, once it takes more than a second."""
    if out.quiet or not is_terminal(sys.stderr):
        yield
        return
    done = threading.Event()
    sign = threading.Thread(target=_tell, args=(doing, done), daemon=True)
    sign.start()
    try:
        yield
    finally:
        done.set()
        sign.join()


def _tell(doing: str, done: threading.Event) -> None:
    started, shown, wait_s = time.monotonic(), False, DELAY_S
    while not done.wait(wait_s):
        sys.stderr.write(f"\r{doing} … {time.monotonic() - started:.0f} s")
        sys.stderr.flush()
        shown, wait_s = True, _TICK_S
    if shown:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
