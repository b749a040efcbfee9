"""Back up, restore and copy: one way to carry a registry from one place to another.

The rows of one snapshot go first, into a draft; then the bytes that these rows name, so that nothing is named that is
not there; then the key. The draft is verified, and only then gets its name, or goes into the empty database in one
transaction. A kill at any moment leaves a draft, which nobody takes for a registry.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.core.errors import AlreadyExists, Conflict, GreenroomError, IntegrityFailure, NotFound
from greenroom.store.compiled import sqlite as compiled
from greenroom.store.copying import copy_pages, copy_rows, make_single_file
from greenroom.store.drafts import draft, sync
from greenroom.store.folder import BLOBS, DATABASE
from greenroom.store.heads import check_key
from greenroom.store.inspection import stored_rows
from greenroom.store.keys import KEY_FILE, load_signer
from greenroom.store.migrate import SCHEMA, bring_up_to_date, refuse_newer, stored_schema
from greenroom.store.named_blobs import NamedBlob, carry_blobs, forget_unnamed, given_up_blobs, named_blobs, names_blob
from greenroom.store.sqlite import SQLite
from greenroom.store.tx import ReadTx
from greenroom.upkeep.place import Place, closing, opened_database, opened_folder, require_current
from greenroom.upkeep.proving import Proof, prove

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
UNFINISHED = "unfinished.db"
_FILES = "files"


@contextlib.contextmanager
def silent(doing: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """A `Progress` that shows nothing."""
    yield lambda count: None


@dataclass(frozen=True)
class How:
    """What a carrying is to do besides. `newest` upgrades an older schema; `moves_files` False leaves files in place.

    `checkpoints` are signed heads that the log must agree with as far as it goes; `verify` may be left out only where
    the copy is not put to use by it.
    """

    newest: bool = True
    moves_files: bool = True
    verify: bool = True
    checkpoints: Sequence[str] = ()
    progress: Progress = silent


@dataclass(frozen=True)
class Carried:
    """What was carried: the signed `checkpoint` of the log in it, the time of its last entry, the files.

    `left_out` names blobs that could not be had (only without verification); `lacks` counts entries that a given
    checkpoint covers and that are not in it; `behind` those that the source has got since.
    """

    place: str
    entries: int
    at: int | None
    checkpoint: str
    blobs: int
    size_bytes: int
    verified: bool
    left_out: tuple[str, ...] = ()
    lacks: int = 0
    behind: int = 0


class Draft:
    """A registry on its way: the database in one file, the files beside it in a folder of their own."""

    def __init__(self, folder: Path, source: Place, files: Path | None) -> None:
        """`files` is where the blobs are to be in the end, None for a folder inside the draft."""
        self.source = source
        self.database = folder / UNFINISHED
        self.files = folder / _FILES if files is None else files
        self._judged = folder / "judged.db"

    def fill(self, how: How) -> Carried:
        """Carry everything here and prove it. Raises what is wrong with the source, naming it."""
        self._take_rows(how)
        with closing(SQLite(self.database, read_only=True)) as db:
            named, given_up = named_blobs(db), given_up_blobs(db)
            head, note = ReadTx(db).audit_head()
            last = ReadTx(db).audit_entries(after=head.size - 1, limit=1) if head.size else []
        left_out = [*given_up, *self._take_files(named, how)]
        signer = load_signer(self.files, create=False)
        with closing(SQLite(self.database, read_only=True)) as db:
            check_key(db, signer)
        lacks = self._prove(how) if how.verify else 0
        size_bytes = sum(each.size_bytes for each in named)
        at = last[0].at if last else None
        return Carried("", head.size, at, note, len(named), size_bytes, how.verify, tuple(left_out), lacks)

    def _take_rows(self, how: How) -> None:
        with closing(SQLite(self.database, create=True)) as new:
            if self.source.database_url is None:
                with opened_folder(self.source.folder) as db:
                    refuse_newer(stored_schema(db))
                    with how.progress("Copying the database", self.source.database.stat().st_size >> 12 << 12) as moved:
                        copy_pages(db, new, moved=lambda pages: moved(pages << 12))
            else:
                from greenroom.store.shared import database_rows

                with opened_database(self.source.database_url) as shared:
                    require_current(shared)
                    with database_rows(shared) as rows:
                        copy_rows(rows, new, compiled.DDL)
            if how.newest:
                bring_up_to_date(new)
            if how.moves_files:
                forget_unnamed(new)
            make_single_file(new)
        sync(self.database)

    def _take_files(self, named: Sequence[NamedBlob], how: How) -> list[str]:
        if not how.moves_files:
            return []
        source = self.source.folder
        if not (source / BLOBS).is_dir():
            if named:
                raise IntegrityFailure(f"the folder {source} has no {BLOBS}.", hint="Name the folder with the files.")
            (self.files / BLOBS).mkdir(mode=0o700, parents=True)
        else:
            self.files.mkdir(mode=0o700, exist_ok=True)
        left_out = self._take_blobs(named, how) if named else []
        FilesystemBlobs(self.files / BLOBS)
        _copy_key(source, self.files)
        return left_out

    def _take_blobs(self, named: Sequence[NamedBlob], how: How) -> list[str]:
        have, get = FilesystemBlobs(self.source.folder / BLOBS), FilesystemBlobs(self.files / BLOBS)
        left_out = []
        with how.progress("Copying files", sum(each.size_bytes for each in named)) as moved:
            for blob in named:
                try:
                    carry_blobs([blob], have, get, moved)
                except (IntegrityFailure, NotFound) as exc:
                    if how.verify:
                        raise self._why_lost(blob, exc) from exc
                    left_out.append(blob.digest)
        return left_out

    def _why_lost(self, blob: NamedBlob, error: GreenroomError) -> GreenroomError:
        """A blob that is missing is damage, unless it was deleted since the snapshot."""
        if isinstance(error, IntegrityFailure):
            return error
        with _opened(self.source) as db:
            if not names_blob(db, blob.digest):
                return Conflict(
                    f"the file {blob.path} was deleted while it was copied.", hint="Nothing is wrong: run it again."
                )
        return IntegrityFailure(
            f"the blob {blob.digest} ({blob.path}) is missing in {self.source.folder}.", digest=blob.digest
        )

    def _prove(self, how: How) -> int:
        database = self.database
        with closing(SQLite(database, read_only=True)) as db:
            current = stored_schema(db) == SCHEMA
        if not current:  # a backup stays what it was; what is verified is a copy in words of today
            shutil.copyfile(database, self._judged)
            with closing(SQLite(self._judged)) as db:
                bring_up_to_date(db)
                make_single_file(db)
            database = self._judged
        signer, blobs = load_signer(self.files, create=False), FilesystemBlobs(self.files / BLOBS)
        return prove(Proof(database, signer, blobs), checkpoints=how.checkpoints, deep=how.moves_files)


@contextlib.contextmanager
def _opened(place: Place) -> Iterator[Any]:
    opening: Any = opened_folder(place.folder) if place.database_url is None else opened_database(place.database_url)
    with opening as db:
        yield db


def _copy_key(source: Path, target: Path) -> None:
    """Copy the key, so that only its owner can read it; a key that is there already stays (it was compared)."""
    load_signer(source, create=False)
    path = target / KEY_FILE
    if path.exists():
        return
    draft_of_key = path.with_name(f"{KEY_FILE}.new")
    draft_of_key.unlink(missing_ok=True)
    draft_of_key.touch(mode=0o600)
    draft_of_key.write_bytes((source / KEY_FILE).read_bytes())
    sync(draft_of_key)
    draft_of_key.replace(path)
    sync(target)


def into_folder(source: Place, target: Path, how: How) -> Carried:
    """Carry a registry into a folder that is not there yet, or is empty, or holds (some of) its files already.

    The caller has seen to it that it is no other. Raises what `Draft.fill` raises.
    """
    fresh = not target.exists()
    has_files = (target / KEY_FILE).exists()
    with draft(target.parent if fresh else target) as folder:
        work = Draft(folder, source, target if has_files else None)
        done = work.fill(how)
        if fresh:
            work.database.rename(work.files / DATABASE)
            sync(work.files)
            _rename_folder(work.files, target)
            sync(target.parent)
        else:
            if not has_files:
                _move_all(work.files, target)
            work.database.rename(target / DATABASE)  # last: without it nobody takes the folder for a registry
            sync(target)
    return replace(done, place=str(target))


def into_database(source: Place, target: Place, how: How) -> Carried:
    """Carry a registry into an empty database, its files into a folder that may hold (some of) them already."""
    from greenroom.store.compiled import postgresql

    url = str(target.database_url)
    with opened_database(url) as db:  # before anything is copied; `copy_rows` looks again, under its lock
        _require_empty(db, target)
    fresh = not target.folder.exists()
    with draft(target.folder.parent if fresh else target.folder) as folder:
        work = Draft(folder, source, None if fresh else target.folder)
        done = work.fill(how)
        if fresh:
            _rename_folder(work.files, target.folder)
            sync(target.folder.parent)
        try:
            with opened_database(url) as db, stored_rows(work.database, read_only=True) as rows:
                copy_rows(rows, db, postgresql.DDL)
        except BaseException:
            if fresh:
                shutil.rmtree(target.folder, ignore_errors=True)
            raise
    return replace(done, place=str(target))


def _require_empty(db: Any, target: Place) -> None:
    if db.tables():
        raise AlreadyExists(f"the database {target} is not empty.", hint="Make an empty one and name that.")


def _rename_folder(draft_of: Path, target: Path) -> None:
    try:
        draft_of.rename(target)
    except OSError as exc:
        if target.exists():
            raise AlreadyExists(f"{target} came to be meanwhile.", hint="Choose another name.") from exc
        raise


def _move_all(source: Path, target: Path) -> None:
    for each in sorted(source.iterdir(), key=lambda path: path.name == KEY_FILE):  # a key alone looks like a new folder
        each.rename(target / each.name)
    sync(target)
