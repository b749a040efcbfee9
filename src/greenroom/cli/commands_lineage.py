"""The command that draws where a version comes from: lineage."""

from __future__ import annotations

import sys

import click

from greenroom.cli.command import Command
from greenroom.cli.output import visible
from greenroom.cli.params import model_argument, need_version, version_argument
from greenroom.cli.session import Session, pass_session
from greenroom.cli.signs import signs_of


@click.command(cls=Command)
@model_argument
@version_argument
@click.option("--dot", is_flag=True, help="Print the graph in the DOT language, for `dot -Tsvg`.")
@pass_session
def lineage(session: Session, model: str, version: str | None, *, dot: bool) -> None:
    """Draw what a version came of, and what came of it.

    Runs, data sets, code, logged models, parent versions and copies, as far as they were recorded. N is a version
    number; MODEL@NAME names one by its stage or alias.

    \b
    Examples:
      greenroom lineage churn 3
      greenroom lineage churn@Production --dot | dot -Tsvg > lineage.svg
    """
    from greenroom.core import lineage as drawing

    name, number = need_version(session, model, version)
    found = session.registry.lineage(name, number)
    if dot:
        for line in drawing.dot(found).splitlines():
            session.out.line(visible(line))
    elif session.out.is_json:
        session.out.json(found)
    else:
        signs = signs_of(sys.stdout)
        root, *branches = (visible(signs.text(line)) for line in drawing.tree(found))
        session.out.line(session.out.paint(root, "bold"))
        for line in branches:
            session.out.line(line)
