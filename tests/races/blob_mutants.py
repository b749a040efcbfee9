"""Protections of stored bytes taken away, for `tests.races.mutants`: what a checker must catch to be trusted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from greenroom.blobs import filesystem
from greenroom.http import bytes_out
from greenroom.services import artifacts, collecting, damage, versions


def unverified_download() -> None:
    """Bytes are sent as they lie there."""

    def pieces(blobs: Any, file: Any, span: Any, closed: Any, piece_bytes: Any) -> Any:
        with blobs.open(file.digest) as source:
            yield source.read()[span[0] : span[1]]

    bytes_out._pieces = pieces
    bytes_out._require_present = lambda blobs, file: None


def nothing_remembered() -> None:
    """Damage that is met is told to who met it, and forgotten."""
    damage._remember = lambda tx, ask, actor: True


def published_unhashed() -> None:
    """A blob takes its place as soon as its size fits."""
    from greenroom.blobs import uploading

    finish = uploading.FilesystemUpload.finish

    def blind(self: Any, digest: str, size_bytes: int) -> None:
        if self.received == size_bytes:
            self._publish(digest)
        else:
            finish(self, digest, size_bytes)

    uploading.FilesystemUpload.finish = blind  # type: ignore[method-assign]


def copied_into_place() -> None:
    """A blob is copied to where it is read from, instead of being renamed."""

    def publish(self: Any, staged: Any, digest: str, size_bytes: int) -> None:
        target, data = self.path_of(digest), staged.read_bytes()
        self._make_durable_folder(target.parent)
        with target.open("wb") as out:
            for start in range(0, len(data), 1 + len(data) // 8):
                out.write(data[start : start + 1 + len(data) // 8])
                out.flush()
                time.sleep(0.002)
        staged.unlink()

    filesystem.FilesystemBlobs.publish = publish  # type: ignore[method-assign]


def no_second_look() -> None:
    """What the list says is unused is marked, whatever happened since."""

    def mark(tx: Any, ask: Any, actor: Any) -> Any:
        marked = [row for digest in ask.digests if (row := tx.blob_row(digest)) is not None]
        for row in marked:
            tx.set_blob_state(row.digest, "deleting")
        return marked

    collecting._mark = mark
    collecting._forget = _forget_whatever
    _slow_list()


def _forget_whatever(tx: Any, ask: Any, actor: Any) -> None:
    for row in ask:
        if not tx.is_named(row.digest):
            tx.forget_blob(row.digest)
    tx.count_sweep()
    tx.record("blobs_collected", actor)


def _slow_list() -> None:
    """Give others time between the list and the mark, as a long list does."""
    take = collecting._Marking

    def marking(*args: Any) -> Any:
        time.sleep(0.02)
        return take(*args)

    collecting._Marking = marking  # type: ignore[assignment, misc]


def no_grace() -> None:
    """Whatever nothing names goes, however recently it was stored or promised."""
    collecting._ms = lambda seconds: 0
    collecting._is_orphan = lambda desk, tx, digest, grace_s: tx.blob_row(digest) is None


def no_conflict() -> None:
    """A commit that meets a blob in the state `deleting` goes on."""

    def stored(tx: Any, ask: Any, actor: Any) -> None:
        tx.put_blob(ask.digest, ask.size_bytes)

    artifacts.blob_stored = stored
    quiet = lambda digest: RuntimeError("not raised")  # noqa: E731
    versions.being_deleted = artifacts.being_deleted = quiet  # type: ignore[assignment]
    pin = versions.pin_files

    def blind(tx: Any, files: Any) -> Any:
        find = tx.find_blob
        tx.find_blob = lambda digest: (row[0], "present") if (row := find(digest)) else None
        try:
            return pin(tx, files)
        finally:
            del tx.find_blob

    versions.pin_files = blind
    collecting._forget = _forget_whatever
    remove = filesystem.FilesystemBlobs.remove

    def slow(self: Any, digest: str) -> None:
        time.sleep(0.005)
        remove(self, digest)

    filesystem.FilesystemBlobs.remove = slow  # type: ignore[method-assign]


def no_sweep_number() -> None:
    """Declaring does not ask whether blobs were taken away since the file was seen."""
    stored = artifacts.blob_stored

    def blind(tx: Any, ask: Any, actor: Any) -> None:
        stored(tx, type(ask)(ask.digest, ask.size_bytes), actor)

    artifacts.blob_stored = blind
    there = artifacts._is_there

    def slow(desk: Any, ask: Any) -> bool:
        found = there(desk, ask)
        time.sleep(0.02)
        return found

    artifacts._is_there = slow


BLOB_MUTANTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        unverified_download,
        nothing_remembered,
        published_unhashed,
        copied_into_place,
        no_second_look,
        no_grace,
        no_conflict,
        no_sweep_number,
    )
}
