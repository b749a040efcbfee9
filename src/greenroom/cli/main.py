"""The way in: one command line to one exit code.

The help page and the version are answered without loading the command framework: they are asked for most often, and by
people who wait for them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_HELP: tuple[list[str], ...] = ([], ["--help"], ["-h"], ["help"])


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line `args` (None: the process's own) and return its exit code; nothing is raised."""
    line = list(sys.argv[1:] if args is None else args)
    try:
        completing = "_GREENROOM_COMPLETE" in os.environ  # a shell asks; the line is elsewhere then
        if line in _HELP and not completing:
            from greenroom.cli.table import help_text

            return _print(help_text())
        if line == ["--version"]:
            from greenroom._version import __version__

            return _print(f"greenroom {__version__}\n")
        from greenroom.cli.root import run

        return run(line)
    except KeyboardInterrupt:  # while something was still being imported
        return 130


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except UnicodeEncodeError:
        sys.stdout.write(text.encode("ascii", "replace").decode("ascii"))
    except BrokenPipeError:
        from greenroom.cli.session import hush

        return hush()
    return 0
