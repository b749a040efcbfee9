"""The blobs that a database names, carried from one blob store to another: each read, hashed, and made durable."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.services.ports import BlobStore
from greenroom.store.driver import Connection

_PIECE = 1 << 20
_NAMED = 'SELECT "digest", "path" FROM "manifest_entry" UNION ALL SELECT "digest", "path" FROM "upload"'


@dataclass(frozen=True)
class NamedBlob:
    """A blob and one of the paths under which it is known."""

    digest: str
    size_bytes: int
    path: str


def named_blobs(db: Connection) -> list[NamedBlob]:
    """Return the blobs that a manifest or the upload tree names and that are said to be whole, by digest."""
    rows = db.all(
        'SELECT b."digest", b."size_bytes", min(n."path") FROM "blob" b '
        f'JOIN ({_NAMED}) n ON n."digest" = b."digest" WHERE b."state" = \'present\' '
        'GROUP BY b."digest", b."size_bytes" ORDER BY b."digest"'
    )
    return [NamedBlob(str(row[0]), int(row[1]), str(row[2])) for row in rows]


def given_up_blobs(db: Connection) -> list[str]:
    """Return the digests of blobs that are named, and that the registry itself knows not to be whole."""
    rows = db.all(
        f'SELECT DISTINCT b."digest" FROM "blob" b JOIN ({_NAMED}) n ON n."digest" = b."digest" '
        'WHERE b."state" <> \'present\' ORDER BY b."digest"'
    )
    return [str(row[0]) for row in rows]


def names_blob(db: Connection, digest: str) -> bool:
    """Say whether a manifest or the upload tree names a blob."""
    sql = f'SELECT count(*) FROM ({_NAMED}) n WHERE n."digest" = {db.mark("digest")}'
    row = db.one(sql, {"digest": digest})
    return row is not None and row[0] > 0


def forget_unnamed(db: Connection) -> None:
    """Remove the rows of blobs that nothing names: their bytes do not come along."""
    db.run(f'DELETE FROM "blob" WHERE "digest" NOT IN (SELECT "digest" FROM ({_NAMED}) n)')


def carry_blobs(blobs: Iterable[NamedBlob], source: BlobStore, target: BlobStore, moved: Callable[[int], None]) -> None:
    """Copy the blobs, each durable and under its digest; `moved` hears the bytes. One that is there is checked.

    Raises IntegrityFailure for a blob of either side that holds other bytes, NotFound for one that the source lacks,
    StorageFull.
    """
    for blob in blobs:
        if target.size(blob.digest) is not None:
            _check_kept(blob, target)
            moved(blob.size_bytes)
        else:
            _carry(blob, source, target, moved)


def _check_kept(blob: NamedBlob, target: BlobStore) -> None:
    try:
        target.check(blob.digest)
    except IntegrityFailure as exc:
        raise IntegrityFailure(
            f"the blob {blob.digest} ({blob.path}), which is where it is to go already, holds other bytes.",
            hint="Put that file away, then try again: a good one takes its place.",
            digest=blob.digest,
            kept=True,
        ) from exc


def _carry(blob: NamedBlob, source: BlobStore, target: BlobStore, moved: Callable[[int], None]) -> None:
    with source.open(blob.digest) as file:
        upload = target.upload(f"copy-{secrets.token_hex(8)}")
        try:
            while piece := file.read(_PIECE):
                upload.write(piece)
                moved(len(piece))
            upload.finish(blob.digest, blob.size_bytes)
        except InvalidInput as exc:
            raise IntegrityFailure(
                f"the blob {blob.digest} ({blob.path}) holds other bytes than its digest says.",
                hint="Take another copy.",
                digest=blob.digest,
            ) from exc
        except BaseException:
            upload.abort()
            raise
