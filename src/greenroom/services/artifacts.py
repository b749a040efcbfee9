"""Use cases about bytes: which are here, what a snapshot holds, and the tree that MLflow clients upload into."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from greenroom.core.digest import parse_digest
from greenroom.core.errors import Conflict, InvalidInput, NotFound
from greenroom.core.model import Actor, File
from greenroom.core.names import check_path
from greenroom.core.presigned import address_key
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.collecting import resume
from greenroom.services.damage import record
from greenroom.services.limits import check_count
from greenroom.services.ports import Desk, ReadTx, WriteTx

_TRIES = 5
_SWEPT = "swept"


def missing_blobs(desk: Desk, ask: c.MissingBlobs, actor: Actor) -> a.Missing:
    """Return which of the digests are not stored here, or not whole. Raises InvalidInput for what is no digest.

    The others are promised: they stay at least for the grace of garbage collection, so that a version can be registered
    from them.
    """
    check_count("digests", ask.digests)
    wanted = dict.fromkeys(parse_digest(each) for each in ask.digests)
    resume(desk, actor)
    with desk.snapshot() as tx:
        present = [each for each in wanted if (tx.find_blob(each) or (0, ""))[1] == "present"]
        loose = [each for each in present if not tx.is_pinned(each)]  # the others stay anyway
    gone = set(wanted) - set(present)
    if loose:
        gone |= set(loose) - set(desk.write(_hold, tuple(loose), actor))
    return a.Missing(tuple(each for each in wanted if each in gone))


def _hold(tx: WriteTx, digests: tuple[str, ...], actor: Actor) -> list[str]:
    """Begin the time of these blobs anew; return those that are here to be held."""
    held = [each for each in digests if (tx.find_blob(each) or (0, ""))[1] == "present"]
    for each in held:
        tx.hold_blob(each)
    return held


def declare_blob(desk: Desk, ask: c.BlobStored, actor: Actor) -> None:
    """Note a blob that was published just now. Raises Conflict when it was taken away meanwhile: send it again.

    The order of the three looks is what makes this safe, see `services.collecting`.
    """
    for _ in range(_TRIES):
        with desk.snapshot() as tx:
            sweeps = tx.sweeps()
        if not _is_there(desk, ask):
            break
        try:
            desk.write(blob_stored, replace(ask, sweeps=sweeps), actor)
        except Conflict as exc:
            if exc.details.get("state") == "deleting":
                resume(desk, actor)
                raise
            if exc.details.get("state") != _SWEPT:
                raise
        else:
            return
    raise Conflict(f"the blob {ask.digest} was just taken away.", hint="Send it again.", digest=ask.digest)


def _is_there(desk: Desk, ask: c.BlobStored) -> bool:
    try:
        # Opened, not only looked up: a network file system may remember for a while what it has looked up.
        with desk.blobs.open(ask.digest) as file:
            return file.seek(0, os.SEEK_END) == ask.size_bytes
    except NotFound:
        return False


def blob_stored(tx: WriteTx, ask: c.BlobStored, actor: Actor) -> None:
    """Note that a blob is durable on disk, so that manifests may name it. Raises Conflict while it is being deleted."""
    digest = parse_digest(ask.digest)
    row = tx.blob_row(digest)
    if row is not None and row.state == "deleting":
        raise being_deleted(digest)
    if (row is None or row.state == "damaged") and ask.sweeps not in (None, tx.sweeps()):
        raise Conflict(f"blobs were taken away while {digest} was being stored.", hint="Try again.", state=_SWEPT)
    tx.put_blob(digest, ask.size_bytes)
    if row is not None and row.state == "damaged":
        record(tx, digest, None, actor)


def being_deleted(digest: str) -> Conflict:
    """Return what a commit that meets a blob in the state `deleting` is answered."""
    return Conflict(
        f"the blob {digest} is being deleted.", hint="Push it again in a moment.", digest=digest, state="deleting"
    )


def snapshot_file(tx: ReadTx, ask: c.SnapshotFile, actor: Actor) -> File:
    """Return one file of a manifest. Raises NotFound, InvalidInput."""
    digest, path = parse_digest(ask.digest), check_path(ask.path)
    found = tx.manifest_file(digest, path)
    if found is None:
        raise NotFound(f"the snapshot {digest} has no file {path!r}.", kind="file", path=path)
    return found


def snapshot_folder(tx: ReadTx, ask: c.SnapshotFolder, actor: Actor) -> a.Folder:
    """Return what lies directly in a folder of a manifest. Raises NotFound for an unknown manifest, InvalidInput."""
    digest = parse_digest(ask.digest)
    if tx.find_manifest(digest) is None:
        raise NotFound(f"there is no snapshot {digest}.", kind="snapshot")
    path = check_path(ask.path) if ask.path else ""
    return _folder(tx.manifest_below(digest, path), path)


def put_upload(tx: WriteTx, ask: c.PutUpload, actor: Actor) -> None:
    """Put a stored blob under a path. Raises InvalidInput when a folder is there, or a file is where a folder must
    be; Conflict while the blob is being deleted, and when it was.
    """
    path, digest = check_path(ask.path), parse_digest(ask.digest)
    blob = tx.find_blob(digest)
    if blob is not None and blob[1] == "deleting":
        raise being_deleted(digest)
    if blob is None or blob[1] != "present":  # it was, a moment ago: whoever puts a file has just stored it
        raise Conflict(f"the blob {digest} was just taken away.", hint="Send it again.", digest=digest)
    _require_place(tx, path)
    tx.put_upload(path, digest, blob[0])


def check_place(tx: ReadTx, ask: c.UploadPath, actor: Actor) -> None:
    """Raise InvalidInput where `put_upload` would: who sends a large file wants to know it before."""
    _require_place(tx, check_path(ask.path))


def _require_place(tx: ReadTx, path: str) -> None:
    parts = path.split("/")
    for end in range(1, len(parts)):
        if tx.find_upload("/".join(parts[:end])) is not None:
            raise InvalidInput(
                f"Invalid path: {'/'.join(parts[:end])!r} is a file.", hint="A file cannot hold others.", path=path
            )
    if tx.uploads_below(path):
        raise InvalidInput(f"Invalid path: {path!r} is a folder.", hint="Choose another name.", path=path)


def address_key_of(tx: ReadTx, ask: c.Nothing, actor: Actor) -> bytes:
    """Return the key that presigned addresses are sealed with. Raises IntegrityFailure when there is none."""
    return address_key(tx.page_secret())


def get_upload(tx: ReadTx, ask: c.UploadPath, actor: Actor) -> File:
    """Return a file of the upload tree. Raises NotFound, InvalidInput for a folder."""
    path = check_path(ask.path)
    found = tx.find_upload(path)
    if found is None and tx.uploads_below(path):
        raise InvalidInput(f"Invalid path: {path!r} is a folder.", path=path)
    if found is None:
        raise NotFound(f"there is no file {path!r}.", kind="file", path=path)
    return found


def list_uploads(tx: ReadTx, ask: c.UploadPath, actor: Actor) -> a.Folder:
    """Return what lies directly in a folder of the upload tree; empty for one that is not there. Raises
    InvalidInput.
    """
    path = check_path(ask.path) if ask.path else ""
    return _folder(tx.uploads_below(path), path)


def delete_uploads(tx: WriteTx, ask: c.UploadPath, actor: Actor) -> None:
    """Delete a file, or a folder with all below it, from the upload tree; an absent one is no error. Raises
    InvalidInput.

    Versions keep their bytes: they were pinned when they were registered.
    """
    tx.remove_uploads(check_path(ask.path))


def _folder(files: Iterable[File], path: str) -> a.Folder:
    start = len(path) + 1 if path else 0
    entries: dict[str, a.FolderEntry] = {}
    for each in files:
        name, slash, _ = each.path[start:].partition("/")
        if name not in entries:
            entries[name] = a.FolderEntry(name, bool(slash), None if slash else each.size_bytes)
    return a.Folder(tuple(entries[name] for name in sorted(entries)))
