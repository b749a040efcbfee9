"""The kind of command that all of ours are: shared options anywhere on the line, errors told in one line.

`Command` guards itself, so that it behaves the same below our root command and below `mlflow models`.
"""

from __future__ import annotations

from typing import Any

import click

from greenroom.cli.session import report, session_of
from greenroom.core.errors import GreenroomError

_EPILOG = "Options of every command: --url, --data, --output table|json, --no-color, -q; see `greenroom --help`."


def shared_options(*, hidden: bool) -> list[click.Parameter]:
    """Return the options that every command takes; each stores itself in the session."""
    rows: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
        (("--url",), {"metavar": "URL", "help": "Talk to the server at this address."}),
        (("--data",), {"metavar": "DIR", "help": "Use the registry in this folder, without a server."}),
        (("--output",), {"type": click.Choice(["table", "json"]), "help": "How to print."}),
        (("--no-color",), {"is_flag": True, "help": "No colour."}),
        (("--quiet", "-q"), {"is_flag": True, "help": "No notes, hints and progress."}),
    )
    return [
        click.Option(names, expose_value=False, hidden=hidden, callback=_remember, **settings)
        for names, settings in rows
    ]


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
    if value and not ctx.resilient_parsing and param.name:
        setattr(session_of(ctx), param.name, value)
    return value


class Command(click.Command):
    """A command that takes the shared options too and never ends in a traceback."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("epilog", _EPILOG)
        super().__init__(*args, **kwargs)
        taken = {name for param in self.params for name in param.opts}
        self.params += [option for option in shared_options(hidden=True) if not taken.intersection(option.opts)]

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error of ours ends it with its exit code."""
        try:
            return super().invoke(ctx)
        except (GreenroomError, OSError) as exc:
            ctx.exit(report(exc))


class Group(click.Group):
    """A group of such commands."""

    command_class = Command
    group_class = type

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += shared_options(hidden=True)
