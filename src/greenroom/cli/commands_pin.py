"""The command that brings the files of an unpinned version here: pin."""

from __future__ import annotations

import click

from greenroom.cli.command import Command
from greenroom.cli.output import counted, size
from greenroom.cli.params import model_argument, need_version, reason_option, version_argument
from greenroom.cli.session import Session, pass_session


@click.command(cls=Command)
@model_argument
@version_argument
@click.option(
    "--from",
    "folder",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Take the files from this folder.",
)
@click.option("--tracking", metavar="URL", help="The tracking server that has them  [env: MLFLOW_TRACKING_URI]")
@reason_option
@pass_session
def pin(
    session: Session,
    model: str,
    version: str | None,
    folder: str | None,
    tracking: str | None,
    reason: str | None,
) -> None:
    """Fetch the files of a version that are elsewhere, and keep them.

    A version that was registered from another tracking server is unpinned: its bytes could change or go. This command
    fetches them from there to this machine, sends them, and pins the version to them; its number, stage and history
    stay. It can be done once. A command that was cut goes on where it stopped.

    \b
    Examples:
      greenroom pin churn 3 --tracking http://tracking.example.org:5000
      greenroom pin churn 3 --from ./model
    """
    name, number = need_version(session, model, version)
    made = session.registry.pin(
        name, number, folder=folder, tracking=tracking, reason=reason, progress=not session.quiet
    )
    held = f"{counted(made.file_count or 0, 'files')}, {size(made.size_bytes)}, {made.digest}"
    session.out.result(made, f"{made.model} version {made.version} is pinned: {held}")
