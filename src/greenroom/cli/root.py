"""The root command: finds a command by name, imports it, runs it, and turns whatever happens into an exit code."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from greenroom._version import __version__
from greenroom.cli.command import shared_options
from greenroom.cli.session import EXIT_BROKEN_PIPE, EXIT_INTERRUPTED, Session, hush, report, say
from greenroom.cli.table import ENTRIES, help_text


class Root(click.Group):
    """The root command: sub-commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, in the order of the help page."""
        return [name for name, entry in ENTRIES.items() if not entry.hidden]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None when there is none of that name."""
        entry = ENTRIES.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        command: click.Command = getattr(importlib.import_module(f"greenroom.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command of a line; an unknown one is named together with the one that looks like it."""
        name = args[0] if args else ""
        if name not in ENTRIES and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.6)
            ways = f"Did you mean {near[0]!r}?" if near else "`greenroom --help` lists the commands."
            raise click.UsageError(f"there is no command {name!r}. {ways}", ctx)
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the page that `main` writes without click."""
        formatter.write(help_text())


def make_root() -> click.Group:
    """Return the root command."""
    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
    root = Root("greenroom", params=shared_options(hidden=False), context_settings=settings)
    return click.version_option(__version__, prog_name="greenroom", message="%(prog)s %(version)s")(root)


def run(args: Sequence[str]) -> int:
    """Run a command line and return its exit code; nothing is raised."""
    _prepare_streams()
    session = Session()
    try:
        try:
            code = make_root().main(list(args), "greenroom", standalone_mode=False, obj=session)
            sys.stdout.flush()
        finally:
            session.close()
        return code if isinstance(code, int) else 0
    except click.ClickException as exc:
        return _usage(exc)
    except (click.Abort, KeyboardInterrupt):
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return hush()
    except SystemExit:
        # click leaves like this when the shell asked for completions, and when the reader of a help page went away.
        if type(sys.stdout).__name__.endswith("PacifyFlushWrapper"):
            return EXIT_BROKEN_PIPE
        raise
    except Exception as exc:  # noqa: BLE001 - the last resort: people get a sentence, never a traceback
        return report(exc)


def _usage(exc: click.ClickException) -> int:
    if type(exc).__name__ == "NoArgsIsHelpError":  # not there before click 8.2
        say(exc.format_message())
        return exc.exit_code
    say(f"Error: {' '.join(exc.format_message().split())}")
    ctx: Any = getattr(exc, "ctx", None)
    if ctx is not None and ctx.command_path != "greenroom":
        say(f"Hint: `{ctx.command_path} --help` shows what it takes.")
    return exc.exit_code


def _prepare_streams() -> None:
    """Let a terminal that knows few characters show the others as escapes rather than fail."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            with contextlib.suppress(ValueError, OSError):
                reconfigure(errors="backslashreplace")
