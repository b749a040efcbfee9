"""The reference of the command line, from click: what `--help` says is what the page says."""

from __future__ import annotations

from collections.abc import Iterator

import click

from greenroom.cli.root import make_root
from greenroom.cli.table import SECTIONS, help_text
from greenroom.cli.verbs_tables import FORMS, SPELLINGS
from tools.pages.text import fenced, table

_WIDTH = 100


def commands() -> Iterator[tuple[str, str]]:
    """Yield (full name, help page) of every command that is not hidden, groups before what is in them."""
    root = make_root()
    # The root's own settings too: click keeps the first help option that a command was asked for, so a page made
    # without them would depend on what ran before it in the process.
    settings = {**root.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    top = click.Context(root, info_name="greenroom", **settings)
    for _, entries in SECTIONS:
        for entry in entries:
            command = root.get_command(top, entry.name)
            if command is not None and not entry.hidden:
                yield from _with_children(command, entry.name, top)


def _with_children(command: click.Command, name: str, parent: click.Context) -> Iterator[tuple[str, str]]:
    ctx = click.Context(command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH)
    yield ctx.command_path, command.get_help(ctx)
    if isinstance(command, click.Group):
        for child in command.list_commands(ctx):
            found = command.get_command(ctx, child)
            if found is not None and not found.hidden:
                yield from _with_children(found, child, ctx)


def reference() -> str:
    """Return the help pages of all commands."""
    parts = [fenced(help_text())]
    for path, page in commands():
        level = "##" if path.count(" ") == 1 else "###"
        parts.append(f"{level} {path}\n\n{fenced(page)}")
    return "\n".join(parts)


def verbs() -> str:
    """Return the table of the `models …` commands: one operation, its canonical form, the other spellings."""
    rows = []
    for operation, form in FORMS.items():
        if operation == "help":
            continue
        first = form.verbs[0]
        others = sorted(verb for verb, said in SPELLINGS.items() if said.operation == operation)
        spelled = ", ".join(f"`{verb}`" for verb in others if verb != first.replace(" ", "-"))
        if spelled:
            rows.append((f"`models {first}`", spelled))
    return table(("canonical", "also understood"), rows)
