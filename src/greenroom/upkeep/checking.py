"""`greenroom db check`: is the database of this version, whole, and built as the code says; does its log hold?"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Any

from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.core.errors import IntegrityFailure, NotFound
from greenroom.services.answers import Finding
from greenroom.services.ports import BlobStore, Signer
from greenroom.store.folder import BLOBS
from greenroom.store.heads import check_key
from greenroom.store.keys import load_signer
from greenroom.store.migrate import SCHEMA
from greenroom.store.structure import postgresql_findings, sqlite_findings
from greenroom.upkeep.place import Place, closing, opened_database, opened_folder, require_current
from greenroom.upkeep.proving import Proof, verified


@dataclass(frozen=True)
class Checked:
    """What was looked at, and what is wrong; nothing is wrong when `findings` is empty.

    `by_name`: tables, indexes and triggers were looked for by name only, for want of the right to make a schema.
    """

    place: str
    schema: str
    entries: int
    findings: tuple[Finding, ...]
    checked: dict[str, int] = field(default_factory=dict)
    by_name: bool = False


def check(place: Place) -> Checked:
    """Check a registry's database, in use or not; changes nothing. Files are looked at by size only.

    Raises NotFound, Unavailable for an older or newer schema, InvalidInput for a key that is not this log's.
    """
    if place.database_url is None and not place.folder.joinpath(BLOBS).is_dir() and not place.database.exists():
        raise NotFound(
            f"there is no registry in the folder {place.folder}.", hint="Name the folder that holds greenroom.db."
        )
    if not place.folder.is_dir():
        raise NotFound(f"there is no folder {place.folder}.", hint="Name the folder with the files.")
    if not (place.folder / BLOBS).is_dir():
        raise IntegrityFailure(f"the folder {place.folder} has no {BLOBS}.", hint="Name the folder with the files.")
    signer = load_signer(place.folder, create=False)
    blobs = FilesystemBlobs(place.folder / BLOBS)
    if place.database_url is None:
        with opened_folder(place.folder) as db:
            require_current(db)
            return _checked(place, [*sqlite_findings(db)], Proof(place.database, signer, blobs))
    with opened_database(place.database_url) as shared:
        require_current(shared)
        check_key(shared, signer)
        odd, by_name = postgresql_findings(shared)
    return replace(_checked(place, odd, _Shared(place.database_url, signer, blobs)), by_name=by_name)


def _checked(place: Place, odd: Sequence[tuple[str, str]], desk: Any) -> Checked:
    report = verified(desk, deep=False)
    findings = (*(Finding("structure", where, what) for where, what in odd), *report.findings)
    return Checked(str(place), SCHEMA, report.entries, findings, dict(report.checked))


@dataclass(frozen=True)
class _Shared(Proof):
    """The same desk over a PostgreSQL database."""

    database: Any
    signer: Signer
    blobs: BlobStore

    def rows(self) -> AbstractContextManager[Callable[[str], Iterator[dict[str, Any]]]]:
        """See the port."""

        @contextlib.contextmanager
        def opened() -> Iterator[Callable[[str], Iterator[dict[str, Any]]]]:
            from greenroom.store.postgres import Postgres
            from greenroom.store.shared import database_rows

            with closing(Postgres(self.database)) as db, database_rows(db) as rows:
                yield rows

        return opened()

    def pages(self) -> Iterator[tuple[str, str]]:
        """PostgreSQL guards its own pages."""
        yield from ()
