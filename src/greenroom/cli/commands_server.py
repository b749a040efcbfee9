"""Commands about where the registry is: init, server, info, completion."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from greenroom._version import __version__
from greenroom.cli.command import Command
from greenroom.cli.params import named
from greenroom.cli.session import Session, pass_session
from greenroom.core.errors import GreenroomError, InvalidInput

PORT = 5000  # where people who come from MLflow expect it


@click.command(cls=Command)
@click.argument("folder", metavar="[DIR]", type=click.Path(file_okay=False), required=False)
@click.option(
    "--lifecycle",
    metavar="NAME",
    help="The preset: standard (the default of a new registry), guarded or mlflow; an existing one switches to it.",
)
@pass_session
def init(session: Session, folder: str | None, lifecycle: str | None) -> None:
    """Make a local registry in a folder; no server needed.

    In ./.greenroom unless named: commands find that one from any folder below.

    \b
    Examples:
      greenroom init
      greenroom init /srv/registry --lifecycle guarded
    """
    from greenroom.client import connect
    from greenroom.client.resolve import FOLDER

    if session.url is not None:
        raise InvalidInput("`init` makes a local registry; --url names a server.", hint="Leave --url out.")
    target = Path(folder or session.data or FOLDER)
    with connect(data=target, create=True, lifecycle=lifecycle) as registry:
        view = registry.lifecycle()
        if registry.transport.is_local:
            made = {"folder": str(target), "lifecycle": view.name}
            session.out.result(made, f"A registry is in {target}; lifecycle {view.name}.")
        else:
            made = {"folder": str(target), "lifecycle": view.name, "url": registry.where}
            session.out.result(made, f"A registry is in {target} already, served at {registry.where}.")


_UNITS = {"": 0, "KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40}
_SIZE = re.compile(r"([0-9]{1,15}) ?(|[KMGT]iB)")


def _size(context: click.Context, param: click.Parameter, value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise InvalidInput(f"{value!r} is no size.", hint="Write it like 64MiB or 1GiB, or as a number of bytes.")
    return int(found[1]) << _UNITS[found[2]]


@click.command(cls=Command)
@click.option(
    "--data", "folder", metavar="DIR", envvar="GREENROOM_DATA", default=".greenroom", show_default=True, callback=named
)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option(
    "--lifecycle",
    metavar="NAME",
    help="The preset: standard (the default of a new registry), guarded or mlflow; an existing one switches to it.",
)
@click.option(
    "--database-url",
    metavar="URL",
    envvar="GREENROOM_DATABASE_URL",
    help="A PostgreSQL database (postgresql://…) in place of SQLite; --data then holds the files and the key.",
)
@click.option(
    "--free-space-floor",
    "floor",
    metavar="SIZE",
    envvar="GREENROOM_FREE_SPACE_FLOOR",
    default="64MiB",
    show_default=True,
    callback=_size,
    help="How much of the disk (at most a twentieth) stays free of files, so that the log has room; 0: none.",
)
@click.option(
    "--public-url",
    metavar="URL",
    envvar="GREENROOM_PUBLIC_URL",
    default="",
    help="Where clients find the server, if that is a proxy: https://registry.example.org.",
)
@pass_session
def server(
    session: Session,
    folder: str,
    host: str,
    port: int,
    lifecycle: str | None,
    database_url: str | None,
    floor: int,
    public_url: str,
) -> None:
    """Serve a registry: API, MLflow's API and web pages.

    Prints its URL when it is ready. Ctrl-C or SIGTERM ends it cleanly. One server per folder; with --database-url any
    number of servers share one database and one folder.

    \b
    Examples:
      greenroom server --data ./registry
      greenroom server --data /srv/registry --port 8080 --lifecycle guarded
    """
    from greenroom.client.local import not_installed

    try:
        from greenroom.app import serve_forever

        serve_forever(
            data=Path(folder),
            host=host,
            port=port,
            lifecycle=lifecycle,
            on_ready=_announce,
            database_url=database_url,
            floor_bytes=floor,
            public_url=public_url,
        )
    except ModuleNotFoundError as exc:
        raise not_installed(exc, "server") from exc


def _announce(url: str) -> None:
    click.echo(f"Greenroom {__version__} is ready at {url}")


@click.command(cls=Command)
@pass_session
def info(session: Session) -> None:
    """Show which registry is used, and why."""
    from greenroom.client.resolve import FolderAddress, resolve

    address = resolve(url=session.url, data=session.data, env=os.environ, cwd=Path.cwd())
    found: dict[str, Any] = {"client": __version__, "why": address.why}
    if isinstance(address, FolderAddress):
        found |= {"folder": str(address.folder)}
    try:
        registry = session.registry
        found |= {"registry": registry.where} | registry.info()
        found |= {"lifecycle": registry.lifecycle().name, "reachable": True}
    except GreenroomError as exc:
        found |= {"reachable": False}
        _show_info(session, found)
        raise exc from None
    _show_info(session, found)


def _show_info(session: Session, found: dict[str, Any]) -> None:
    words = {True: "yes", False: "no"}
    shown = ((name, words[value] if isinstance(value, bool) else value) for name, value in found.items())
    session.out.fields(shown, found)


@click.command(cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@pass_session
def completion(session: Session, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    Set up:
      bash   echo 'eval "$(greenroom completion bash)"' >> ~/.bashrc
      zsh    echo 'eval "$(greenroom completion zsh)"' >> ~/.zshrc
      fish   greenroom completion fish > ~/.config/fish/completions/greenroom.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:  # the choice above names what click knows
        raise ValueError(shell)
    source = found(click.get_current_context().find_root().command, {}, "greenroom", "_GREENROOM_COMPLETE").source()
    session.out.line(source.rstrip("\n"))
