"""The jobs of `greenroom db`: what may be carried where, and who must not be there meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from greenroom.core.errors import AlreadyExists, IntegrityFailure, InvalidInput, NotFound
from greenroom.services.answers import Finding
from greenroom.store.drafts import is_draft
from greenroom.store.driver import Connection
from greenroom.store.folder import BLOBS, DATABASE
from greenroom.store.inspection import page_findings
from greenroom.store.keys import KEY_FILE
from greenroom.store.lock import check_not_served, turn
from greenroom.store.migrate import SCHEMA, bring_up_to_date, pending, stored_schema
from greenroom.store.tx import ReadTx
from greenroom.upkeep.carrying import Carried, How, Progress, into_database, into_folder, silent
from greenroom.upkeep.place import Place, opened_database, opened_folder, owned
from greenroom.upkeep.proving import damage

_LOCKS = ("server.lock", "turn.lock")


def back_up(source: Place, target: Path, *, verify: bool = True, progress: Progress = silent) -> Carried:
    """Make a backup of a registry, in use or not: a data folder of its own at `target`, which must not exist yet.

    Raises AlreadyExists, NotFound, IntegrityFailure (the registry is damaged), Conflict (run it again), StorageFull.
    """
    if target.exists() or target.is_symlink():
        raise AlreadyExists(f"{target} is there already.", hint="A backup never replaces anything: name a new folder.")
    try:
        return into_folder(source, target, How(newest=False, verify=verify, progress=progress))
    except IntegrityFailure as exc:
        hint = exc.hint or "Run: greenroom audit verify. With --no-verify it is backed up as it is."
        raise IntegrityFailure(f"{source} is damaged: {exc.message}", hint=hint, **exc.details) from exc


def restore(backup: Path, target: Place, *, checkpoints: Sequence[str] = (), progress: Progress = silent) -> Carried:
    """Put a backup into an empty or new folder, or its rows into an empty database and its files into a folder.

    A folder that lost its database, and holds files under the same key, is taken too: its files are kept and checked.

    Raises IntegrityFailure naming what is damaged in the backup, AlreadyExists, Conflict when a server owns the folder.
    """
    if _same(backup, target.folder):
        raise InvalidInput("a backup cannot be restored into itself.", hint="Name another folder with --data.")
    _require_backup(backup)
    how = How(checkpoints=tuple(checkpoints), progress=progress)
    try:
        return _carry(Place(backup), target, how)
    except IntegrityFailure as exc:
        if exc.details.get("kept"):  # not of the backup
            raise
        raise IntegrityFailure(
            f"the backup {backup} is damaged: {exc.message}",
            hint="Nothing was restored. Take another backup.",
            **exc.details,
        ) from exc


def _require_backup(backup: Path) -> None:
    """Raise unless the folder's database is whole, page by page, and the key is there."""
    if is_draft(backup) or not backup.is_dir():
        raise NotFound(f"there is no backup in {backup}.", hint="Name the folder that `greenroom db backup` made.")
    if (backup / BLOBS).is_dir() and not (backup / DATABASE).is_file():
        raise IntegrityFailure(f"the backup {backup} has no {DATABASE}.", hint="Take another backup.")
    try:
        with opened_folder(backup, read_only=True):
            found = [Finding("page", where, what) for where, what in page_findings(backup / DATABASE, read_only=True)]
    except IntegrityFailure as exc:
        raise IntegrityFailure(f"the backup {backup} is damaged: {exc.message}", hint="Take another backup.") from exc
    if found:
        raise IntegrityFailure(f"the backup {backup} is damaged: {damage(found).message}", hint="Take another backup.")


def copy(source: Place, target: Place, *, progress: Progress = silent) -> Carried:
    """Copy a registry between a folder and a database, either way; where both name one folder, the files stay in it.

    A source folder is kept from being written to meanwhile; of a source database one snapshot is taken, and `behind`
    says how many entries it has got since. Raises Conflict when a server owns a folder, AlreadyExists,
    IntegrityFailure.
    """
    how = How(moves_files=not _same(source.folder, target.folder), progress=progress)
    if source.database_url is None:
        with opened_folder(source.folder):  # says what is wrong before a lock file is made
            pass
        with owned(source.folder):
            return _carry(source, target, how, held=(source.folder,))
    done = _carry(source, target, how)
    with opened_database(source.database_url) as db:
        now = ReadTx(db).audit_head()[0].size
    return replace(done, behind=now - done.entries)


def _carry(source: Place, target: Place, how: How, *, held: Sequence[Path] = ()) -> Carried:
    _require_free(source, target, moves_files=how.moves_files)
    ours = any(_same(each, target.folder) for each in held)
    with owned(*([target.folder] if target.folder.is_dir() and not ours else [])):
        _require_free(source, target, moves_files=how.moves_files)  # again: nobody comes in from here on
        if target.database_url is None:
            return into_folder(source, target.folder, how)
        return into_database(source, target, how)


def _require_free(source: Place, target: Place, *, moves_files: bool) -> None:
    """Raise AlreadyExists unless nothing can be overwritten in the target's folder."""
    folder = target.folder
    if not folder.exists():
        return
    if not folder.is_dir():
        raise AlreadyExists(f"{folder} is a file.", hint="Name a folder.")
    in_database = target.database_url is not None
    if (folder / DATABASE).exists() and not (in_database and not moves_files):
        raise AlreadyExists(f"there is a registry in {folder} already.", hint="Name a new or an empty folder.")
    names = {each.name for each in folder.iterdir() if each.name not in _LOCKS and not is_draft(each)}
    remains = sorted(name for name in names if name.startswith(f"{DATABASE}-"))
    if remains and not in_database:  # SQLite would take its changes for those of the new database
        raise AlreadyExists(f"{folder} holds {remains[0]} of another database.", hint="Put it away first.")
    if not names or not moves_files or _has_same_key(source.folder, folder):
        return
    raise AlreadyExists(
        f"the folder {folder} is not empty ({', '.join(sorted(names)[:3])}).", hint="Name a new or an empty folder."
    )


def _has_same_key(one: Path, other: Path) -> bool:
    """The files of this very registry: they are kept, and what is missing is added."""
    try:
        return (one / KEY_FILE).read_bytes() == (other / KEY_FILE).read_bytes()
    except OSError:
        return False


def _same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve()


@dataclass(frozen=True)
class Upgrade:
    """From which schema to which, and the statements of it."""

    found: str
    schema: str
    statements: tuple[str, ...]


def upgrade(place: Place, *, dry_run: bool = False) -> Upgrade:
    """Bring an older schema up to this version's, all of it or nothing; with `dry_run` only say how.

    Raises Conflict when a server owns the folder, Unavailable for a newer schema, NotFound.
    """
    if place.database_url is not None:
        with opened_database(place.database_url) as db:
            return _upgrade(db, dry_run=dry_run)
    with opened_folder(place.folder) as db:
        found, statements = pending(db)
        if dry_run or not statements:
            return Upgrade(found, SCHEMA, tuple(statements))
    check_not_served(place.folder)
    with turn(place.folder):
        check_not_served(place.folder)
        with opened_folder(place.folder, read_only=False) as db:
            _upgrade(db, dry_run=False)
            return Upgrade(found, SCHEMA, tuple(statements))


def _upgrade(db: Connection, *, dry_run: bool) -> Upgrade:
    if stored_schema(db) is None:
        raise NotFound("the database holds no registry.", hint="A server makes the tables when it starts.")
    found, statements = pending(db)
    if statements and not dry_run:
        bring_up_to_date(db)
    return Upgrade(found, SCHEMA, tuple(statements))
