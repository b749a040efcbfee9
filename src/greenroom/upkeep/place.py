"""Where a registry is, and its database opened from outside the store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound, Unavailable
from greenroom.store.folder import DATABASE
from greenroom.store.lock import ServerLock
from greenroom.store.migrate import SCHEMA, refuse_newer, stored_schema
from greenroom.store.sqlite import SQLite

if TYPE_CHECKING:
    from greenroom.store.postgres import Postgres

_READ_VERSION = 19  # the byte of the header that says 2 for a database with a write-ahead log
_SCHEMES = ("postgresql://", "postgres://")


@dataclass(frozen=True)
class Place:
    """A registry: `folder` holds its files, its key, and its database too unless `database_url` names another."""

    folder: Path
    database_url: str | None = None

    @property
    def database(self) -> Path:
        """The database file, where the rows are in the folder."""
        return self.folder / DATABASE

    def __str__(self) -> str:
        return str(self.folder) if self.database_url is None else shown_url(self.database_url)


def is_url(text: str) -> bool:
    """Say whether `text` names a database, not a folder. Raises InvalidInput for the URL of anything else."""
    if text.startswith(_SCHEMES):
        return True
    if "://" in text:
        raise InvalidInput(
            f"{shown_url(text)!r} is neither a folder nor a PostgreSQL database.",
            hint="Write it like postgresql://user@host/name.",
        )
    return False


def shown_url(url: str) -> str:
    """Return a database's URL without its password and parameters."""
    try:
        parts = urlsplit(url)
        where = parts.netloc.rpartition("@")
    except ValueError:
        return "the database"
    user = where[0].partition(":")[0]
    return f"{parts.scheme}://{user}{'@' if user else ''}{where[2]}{parts.path}"


@contextlib.contextmanager
def opened_folder(folder: Path, *, read_only: bool | None = None) -> Iterator[SQLite]:
    """Open the database of a data folder. Raises NotFound when there is none, IntegrityFailure, Unavailable.

    `read_only` None: one in use is opened as others open it (a connection that may only read would leave the files of
    the write-ahead log behind), a backup so that nothing is written.
    """
    path = folder / DATABASE
    if not path.is_file():
        raise NotFound(f"there is no registry in the folder {folder}.", hint="Name the folder that holds greenroom.db.")
    with path.open("rb") as file:
        head = file.read(_READ_VERSION + 1)
    if not head:
        raise IntegrityFailure(f"the database {path} is empty.", hint="Restore it from your backup.")
    has_log = head[_READ_VERSION:] == b"\x02"
    with closing(SQLite(path, read_only=not has_log if read_only is None else read_only)) as db:
        if stored_schema(db) is None:
            raise IntegrityFailure(f"the database {path} is empty.", hint="Restore it from your backup.")
        yield db


@contextlib.contextmanager
def opened_database(url: str) -> Iterator[Postgres]:
    """Open the PostgreSQL database at `url`, whatever is in it. Raises Unavailable, InvalidInput (no such URL)."""
    if not is_url(url):
        raise InvalidInput(
            "--database-url names no PostgreSQL database.", hint="Write it like postgresql://user@host/name."
        )
    try:
        from greenroom.store.postgres import Postgres
    except ImportError as exc:
        raise Unavailable(
            "PostgreSQL needs a driver that is not installed.", hint="Install it: pip install 'greenroom[postgres]'"
        ) from exc
    with closing(Postgres(url)) as db:
        yield db


@contextlib.contextmanager
def closing(db: Any) -> Iterator[Any]:
    """Close a connection at the end of a block, and raise its driver's errors as ours."""
    try:
        yield db
    except Exception as exc:
        ours = db.translate(exc)
        if ours is exc:
            raise
        raise ours from exc
    finally:
        db.close()


def require_current(db: Any) -> None:
    """Raise NotFound for a database without a registry, Unavailable for an older or a newer schema."""
    found = stored_schema(db)
    if found is None:
        raise NotFound("the database holds no registry.", hint="Check --database-url.")
    refuse_newer(found)
    if found != SCHEMA:
        raise Unavailable(
            f"the database has schema {found}, this version of Greenroom works with {SCHEMA}.",
            hint="Run: greenroom db upgrade",
            schema=found,
        )


@contextlib.contextmanager
def owned(*folders: Path) -> Iterator[None]:
    """Keep servers and embedded writers out of data folders meanwhile. Raises Conflict naming who is there."""
    with contextlib.ExitStack() as held:
        for folder in dict.fromkeys(each.resolve() for each in folders):
            lock = ServerLock(folder)
            lock.acquire()
            held.callback(lock.release)
        yield
