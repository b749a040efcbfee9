"""What every command needs: where the registry is, how to print, and how an error ends the command.

Commands take a `Session` (`@pass_session`). The commands under `mlflow models …` run without our root command, hence a
session that makes itself from the environment.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenroom.cli.output import Output, choose_output, visible
from greenroom.core.errors import GreenroomError, Refused

if TYPE_CHECKING:
    from greenroom.client.registry import Registry
    from greenroom.core.model import Promotion

F = TypeVar("F", bound=Callable[..., Any])

EXIT_USAGE = 2
EXIT_NOT_FOUND = 4
EXIT_NO_SPACE = 6
EXIT_INTERRUPTED = 130
EXIT_BROKEN_PIPE = 141
EXIT_DAMAGED = 7
EXIT_BUG = 70  # EX_SOFTWARE: 1 is taken, it means that the lifecycle said no


class Session:
    """The options that all commands share, and the registry they lead to (connected on first use)."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.data: str | None = None
        self.output: str | None = None
        self.no_color = False
        self.quiet = False
        self._registry: Registry | None = None

    @property
    def out(self) -> Output:
        """How to print."""
        return choose_output(self.output, no_color=self.no_color, quiet=self.quiet)

    @property
    def registry(self) -> Registry:
        """The registry that the options or the environment name. Raises InvalidInput when nothing names one."""
        if self._registry is None:
            from greenroom.client import connect

            self._registry = connect(url=self.url, data=self.data)
        return self._registry

    def close(self) -> None:
        """Let go of the registry, if one was opened."""
        registry, self._registry = self._registry, None
        if registry is not None:
            registry.close()


def session_of(ctx: click.Context) -> Session:
    """Return the session of a running command; one is made when our root command is not above it."""
    found = ctx.find_object(Session)
    if found is None:
        found = Session()
        ctx.find_root().obj = found
        ctx.find_root().call_on_close(found.close)
    return found


def pass_session(command: F) -> F:
    """Give a command function its `Session` as first argument."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        ctx = click.get_current_context()
        return ctx.invoke(command, session_of(ctx), *args, **kwargs)

    wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
    wrapper.__dict__.update(command.__dict__)  # the parameters that decorators below have collected
    return wrapper  # type: ignore[return-value]


def report(error: BaseException) -> int:
    """Say on standard error what went wrong, without a traceback, and return the exit code.

    A refusal is an answer: it is told with its reasons and ways out. `GREENROOM_DEBUG=1` shows the traceback of
    anything else that is raised.
    """
    if os.environ.get("GREENROOM_DEBUG") and not isinstance(error, Refused):
        import traceback

        traceback.print_exception(error)
    if isinstance(error, Refused):
        say(refusal_text(error, error.details.get("promotion")))
        return error.exit_code
    if isinstance(error, GreenroomError):
        say(f"Error: {_one_line(error.message)}")
        if error.hint:
            say(f"Hint: {_one_line(error.hint)}")
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    if isinstance(error, BrokenPipeError):
        return hush()
    if isinstance(error, OSError):  # a file of the user's that cannot be read or written
        say(f"Error: {_os_error(error)}")
        return EXIT_NO_SPACE if error.errno == errno.ENOSPC else EXIT_USAGE
    say(f"Error: {type(error).__name__}: {_one_line(str(error))}")
    say("Hint: this is a bug in Greenroom; run again with GREENROOM_DEBUG=1 and report what it shows.")
    return EXIT_BUG


def refusal_text(error: Refused, promotion: Promotion | None) -> str:
    """Return a refusal for people: every reason, and under it what would be accepted."""
    if promotion is None or not promotion.refusals:
        return error.message + (f"\n  {error.hint}" if error.hint else "")
    lines = []
    for refusal in promotion.refusals:
        lines.append(refusal.message)
        lines.extend(f"  - {way}" for way in refusal.ways_out)
    return "\n".join(lines)


def _os_error(error: OSError) -> str:
    where = f": {error.filename}" if error.filename else ""
    return _one_line(f"{error.strerror or error}{where}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def hush() -> int:
    """The reader of standard output went away (`| head`): stop quietly, also when Python flushes at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_BROKEN_PIPE


def say(text: str) -> None:
    """Write a line to standard error, with control characters written out."""
    sys.stderr.write(visible(text) + "\n")
