"""Commands about the database as a whole: db check, upgrade, backup, restore, copy."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenroom.cli.busy import busy
from greenroom.cli.command import Command, Group
from greenroom.cli.output import counted, size, when
from greenroom.cli.params import named, read_document
from greenroom.cli.session import EXIT_DAMAGED, Session, pass_session
from greenroom.core.errors import InvalidInput

if TYPE_CHECKING:
    from greenroom.upkeep.carrying import Carried, Progress
    from greenroom.upkeep.place import Place

F = TypeVar("F", bound=Callable[..., Any])
_FOLDER = ".greenroom"


@click.group(cls=Group)
def db() -> None:
    """Back up, restore, move, check and upgrade a registry.

    These commands work on the folder or database itself, not through a server: --data and --database-url name it as
    they do for `greenroom server`.
    """


def _where(command: F) -> F:
    """Take --data and --database-url as `greenroom server` does."""
    command = click.option(
        "--database-url",
        metavar="URL",
        envvar="GREENROOM_DATABASE_URL",
        help="The PostgreSQL database (postgresql://…) with the rows; --data then holds the files and the key.",
    )(command)
    text = "The data folder.  [default: .greenroom]"
    return click.option("--data", "folder", metavar="DIR", callback=named, help=text)(command)


def _place(session: Session, folder: str | None, database_url: str | None = None) -> Place:
    from greenroom.upkeep.place import Place

    if session.url is not None:
        raise InvalidInput(
            "`db` works on the registry itself; --url names a server.", hint="Give --data, and --database-url if any."
        )
    data = folder or session.data or os.environ.get("GREENROOM_DATA") or _FOLDER
    return Place(Path(data), database_url or None)


def _progress(session: Session) -> Progress:
    from greenroom.client.progress import progress
    from greenroom.upkeep.carrying import silent

    return silent if session.quiet else progress


@db.command("backup", cls=Command)
@click.argument("dest", metavar="DEST", type=click.Path())
@_where
@click.option("--no-verify", is_flag=True, help="Do not verify the backup; also takes a registry that is damaged.")
@pass_session
def backup(session: Session, dest: str, folder: str | None, database_url: str | None, no_verify: bool) -> None:
    """Make a backup, also while a server serves.

    DEST, which must not exist, becomes a data folder of its own: database, files and key, all of one moment, verified.
    Keep the checkpoint that is printed somewhere else: it proves later that nothing is missing.

    \b
    Examples:
      greenroom db backup /backup/2026-11-21 --data /srv/registry
      greenroom db backup /backup/2026-11-21 --data /srv/files --database-url postgresql://db/greenroom
    """
    from greenroom.upkeep.jobs import back_up

    place = _place(session, folder, database_url)
    done = back_up(place, Path(dest), verify=not no_verify, progress=_progress(session))
    for digest in done.left_out:
        session.out.note(f"Not in the backup, for it is damaged or missing: {digest}")
    how = "verified" if done.verified else "not verified"
    session.out.result(
        done, f"The backup of {_sum(done)} is in {dest}, {how}. Its checkpoint:\n\n{done.checkpoint.rstrip()}"
    )


@db.command("restore", cls=Command)
@click.argument("source", metavar="BACKUP", type=click.Path())
@_where
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="A signed checkpoint, kept elsewhere: says which entries the backup lacks; may be repeated.",
)
@pass_session
def restore(
    session: Session, source: str, folder: str | None, database_url: str | None, checkpoints: tuple[str, ...]
) -> None:
    """Restore a backup into a new folder or an empty database.

    The backup is verified first; nothing is ever overwritten. With --database-url the rows go into that (empty)
    database and the files into --data, which may hold files of the same registry.

    \b
    Examples:
      greenroom db restore /backup/2026-11-21 --data /srv/registry
      greenroom db restore /backup/2026-11-21 --data /srv/files --database-url postgresql://db/greenroom
    """
    from greenroom.upkeep.jobs import restore as restored

    place = _place(session, folder, database_url)
    notes = [read_document(each) for each in checkpoints]
    done = restored(Path(source), place, checkpoints=notes, progress=_progress(session))
    session.out.result(done, f"Restored into {done.place}: {_sum(done)}.")
    if done.lacks:
        first, last = done.entries + 1, done.entries + done.lacks
        session.out.note(f"Entries {first} to {last}, which the checkpoint covers, are not in this backup.")
    else:
        session.out.note(f"What was acknowledged after entry {done.entries} ({when(done.at)}) is not in it.")
    if not notes:
        session.out.hint("Compare with your newest checkpoint: greenroom audit verify --checkpoint FILE")


@db.command("copy", cls=Command)
@click.option(
    "--from", "source", metavar="DIR|URL", required=True, callback=named, help="A data folder or a PostgreSQL database."
)
@click.option(
    "--to",
    "target",
    metavar="DIR|URL",
    required=True,
    callback=named,
    help="A new or empty folder, or an empty database.",
)
@click.option(
    "--data", "folder", metavar="DIR", callback=named, help="The folder with files and key that goes with a database."
)
@pass_session
def copy(session: Session, source: str, target: str, folder: str | None) -> None:
    """Move a registry between a folder and PostgreSQL.

    Ids, history and audit log are kept: every checkpoint stays valid. A database always goes with a folder of files
    (--data): name the same folder as on the other side and the files stay where they are. Stop the servers of the
    source first; the copy is of one moment, and the source is left as it is.

    \b
    Examples:
      greenroom db copy --from /srv/registry --to postgresql://db/greenroom
      greenroom db copy --from postgresql://db/greenroom --data /srv/registry --to /srv/other
    """
    from greenroom.upkeep.jobs import copy as copied

    places = _both(session, source, target, folder)
    done = copied(*places, progress=_progress(session))
    session.out.result(done, f"Copied to {done.place}: {_sum(done)}.")
    if done.behind:
        session.out.note(f"The source has got {counted(done.behind, 'entries')} since, which the copy lacks.")
    session.out.note(f"From now on use only the copy: whatever is written to {places[0]} is not in it.")
    if places[1].database_url is not None:
        session.out.hint(f"greenroom server --data {places[1].folder} --database-url …")


def _both(session: Session, source: str, target: str, folder: str | None) -> tuple[Place, Place]:
    from greenroom.upkeep.place import Place, is_url

    _place(session, folder)  # refuses --url
    given = folder or session.data
    from_url, to_url = is_url(source), is_url(target)
    if not from_url and not to_url:
        if given is not None:
            raise InvalidInput("--data goes with a database; here both sides are folders.", hint="Leave --data out.")
        return Place(Path(source)), Place(Path(target))
    if given is None and from_url:
        raise InvalidInput("the folder with the files of the database is not named.", hint="Name it with --data.")
    files = Path(given or source)
    first = Place(files, source) if from_url else Place(Path(source))
    return first, Place(files, target) if to_url else Place(Path(target))


@db.command("check", cls=Command)
@_where
@pass_session
def check(session: Session, folder: str | None, database_url: str | None) -> None:
    """Check schema, pages, constraints and the audit log.

    Also while a server serves; changes nothing. Files are compared by size only: `greenroom audit verify` reads every
    byte. Ends with 0: all is as it should be; 7: something is damaged, and named; 6: the schema is older or newer.
    """
    from greenroom.upkeep.checking import check as checked

    place = _place(session, folder, database_url)
    with busy(session.out, "Checking"):
        found = checked(place)
    looked = ", ".join(counted(count, what) for what, count in found.checked.items())
    state = "damaged" if found.findings else "ok"
    named = "; tables, indexes and triggers by name only (no right to make a schema)" if found.by_name else ""
    lines = [f"{state}: schema {found.schema}; checked {looked}{named}"]
    lines += [f"  {each.kind}  {each.where}  {each.message}" for each in found.findings]
    session.out.result(found, "\n".join(lines))
    click.get_current_context().exit(EXIT_DAMAGED if found.findings else 0)


@db.command("upgrade", cls=Command)
@_where
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@pass_session
def upgrade(session: Session, folder: str | None, database_url: str | None, dry_run: bool) -> None:
    """Bring an older database up to this version.

    All of it happens or nothing. A server does the same when it starts; with several servers on one database, do it
    first: those of the version before go on answering.
    """
    from greenroom.upkeep.jobs import upgrade as upgraded

    place = _place(session, folder, database_url)
    done = upgraded(place, dry_run=dry_run)
    if not done.statements:
        session.out.result(done, f"The schema is {done.schema} already; nothing to do.")
    elif dry_run:
        text = "\n".join((f"Schema {done.found} -> {done.schema}, by:", *(f"  {each};" for each in done.statements)))
        session.out.result(done, text)
    else:
        session.out.result(done, f"Schema {done.found} -> {done.schema}.")


def _sum(done: Carried) -> str:
    files = f"{counted(done.blobs, 'files')} ({size(done.size_bytes)})"
    return f"{counted(done.entries, 'entries')} and {files}"
