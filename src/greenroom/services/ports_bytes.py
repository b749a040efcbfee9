"""What the use cases need of those who keep bytes: the blob store, and the rows about blobs (see `services.ports`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Final, Protocol

from greenroom.core.digest import Manifest
from greenroom.core.model import File


class BlobUpload(Protocol):
    """Bytes on their way into a blob store. Nothing is visible under a digest before `finish` returns."""

    @property
    def received(self) -> int:
        """Bytes that are staged so far (a resumed upload starts above 0)."""

    def write(self, piece: bytes | memoryview) -> None:
        """Append bytes. Raises StorageFull when the disk is."""

    def finish(self, digest: str, size_bytes: int) -> None:
        """Check size and digest, make durable, publish under the digest, in place of what may be there.

        Raises InvalidInput when the bytes are not those of `digest` (the staged bytes are dropped then).
        """

    def finish_as_hashed(self) -> tuple[str, int]:
        """Make durable and publish under the digest that the bytes have; return it and the size in bytes."""

    def finish_as_part(self, key: str, number: int) -> str:
        """Keep the bytes as part `number` of the upload `key`, in place of what may be there; returns their digest.

        Raises NotFound when that upload has ended (nothing is kept).
        """

    def pause(self) -> None:
        """Close, keeping what is staged for a later resume."""

    def abort(self) -> None:
        """Close and drop what is staged."""


@dataclass(frozen=True)
class Oddity:
    """Something in a blob store that is not as we put it there. `kind`: `stray`, `permissions` or `staging`."""

    kind: str
    where: str
    message: str


PARTS_IDLE_S: Final = 300.0
"""An upload in parts goes on for so long after its last part: nobody takes its parts away, and more may come."""


@dataclass(frozen=True)
class Parts:
    """An upload in `count` parts, to which nothing came for `idle_s` seconds; `done`: it was put together."""

    count: int
    idle_s: float
    done: bool


class BlobStore(Protocol):
    """Bytes under their SHA-256 digest, on durable storage."""

    def size(self, digest: str) -> int | None:
        """Bytes of the blob, or None when it is not here."""

    def open(self, digest: str) -> BinaryIO:
        """Open for reading (seekable). Raises NotFound."""

    def upload(self, upload_id: str, coming: int = 0) -> BlobUpload:
        """Start or resume the upload `upload_id` (64 characters of [a-z0-9-] at most).

        Raises StorageFull when there is no room for the `coming` bytes, Conflict while another process is receiving it.
        """

    def staged(self, upload_id: str) -> int:
        """Bytes staged under `upload_id`; 0 when there are none."""

    def begin_parts(self, key: str, count: int) -> None:
        """Begin the upload `key` (32 hexadecimal digits) in `count` parts. Raises StorageFull, Unavailable."""

    def parts(self, key: str) -> Parts | None:
        """Return how an upload in parts stands; None when there is none, or none any more."""

    def part(self, key: str, number: int, coming: int = 0) -> BlobUpload:
        """Start part `number` of the upload `key`, of `coming` bytes if that is known; `finish_as_part` keeps it.

        Raises StorageFull, Unavailable.
        """

    def join_parts(self, key: str, digests: Sequence[str]) -> tuple[str, int]:
        """Publish the parts, in order, as one blob; returns its digest and size in bytes. The parts stay.

        Raises InvalidInput for a part that is missing or other than `digests` says, NotFound when the upload has ended,
        Conflict while it is being joined, StorageFull.
        """

    def end_parts(self, key: str, *, joined: bool) -> None:
        """Drop what is left of an upload in parts; one that was joined is remembered. Raises Conflict while it joins.

        One that is not there is no error.
        """

    def check(self, digest: str) -> None:
        """Re-hash the blob. Raises IntegrityFailure when the bytes are other bytes, NotFound when there are none."""

    def digests(self, after: str = "") -> Iterator[tuple[str, int]]:
        """Every blob here with its size in bytes, sorted by digest; only those behind `after` if given."""

    def age_s(self, digest: str) -> float | None:
        """Seconds since the blob was published, or None when it is not here."""

    def collecting(self) -> AbstractContextManager[None]:
        """Be the only one who takes blobs away from this store. Raises Conflict while somebody else does.

        Held by the operating system: a collector that is stopped keeps it, one that dies loses it.
        """

    def remove(self, digest: str) -> None:
        """Remove a blob; an absent one is no error. Only within `collecting`."""

    def set_aside(self, digest: str) -> str | None:
        """Move what lies in a blob's place to where nobody reads it, and say where; None when nothing lies there.

        Only within `collecting`.
        """

    def sweep_staging(self, older_than_s: float, parts_idle_s: float = PARTS_IDLE_S) -> int:
        """Drop staged uploads not touched for so long, but none that is being written; returns how many.

        The parts of an upload go together: when none arrived for so long, nor for `parts_idle_s`.
        """

    def stale_staging(self, older_than_s: float, parts_idle_s: float = PARTS_IDLE_S) -> int:
        """Count what `sweep_staging` would drop."""

    def oddities(self, older_than_s: float) -> Iterator[Oddity]:
        """Everything here that is no blob and no fresh upload, or is open to others than its owner."""

    def mend(self, oddity: Oddity) -> None:
        """Set right what `oddities` named: rights are taken back, strays are set aside, never deleted."""


@dataclass(frozen=True)
class BlobRow:
    """A blob as it is stored. `state` is `present`, `damaged` or `deleting`.

    `at` is when it was last stored or promised to a client; it rises with every change of the row.
    """

    digest: str
    size_bytes: int
    state: str
    at: int


class ByteReads(Protocol):
    """The part of a transaction that reads about bytes."""

    def find_blob(self, digest: str) -> tuple[int, str] | None:
        """Return (size in bytes, state) of a blob, or None."""

    def blob_row(self, digest: str) -> BlobRow | None:
        """Return a blob's row, or None."""

    def blobs_after(self, digest: str, limit: int) -> list[BlobRow]:
        """Return at most `limit` blobs behind a digest, in order."""

    def blobs_in_state(self, state: str) -> list[BlobRow]:
        """Return the blobs that are `damaged` or `deleting`."""

    def blob_totals(self) -> tuple[int, int]:
        """Return how many blobs there are, and their bytes."""

    def unused_blobs(self, *, after: str, until: int, limit: int) -> list[BlobRow]:
        """Return blobs behind `after` that nothing names and whose `at` is not later than `until`, in order."""

    def is_pinned(self, digest: str) -> bool:
        """Say whether a manifest names the blob."""

    def is_named(self, digest: str) -> bool:
        """Say whether a manifest or the upload tree names the blob."""

    def blob_versions(self, digest: str, limit: int) -> list[tuple[str, int]]:
        """Return (model, version) of those whose manifest names the blob, deleted ones too."""

    def is_damaged(self, manifest: str) -> bool:
        """Say whether a blob that the manifest names is known to be damaged or lost."""

    def unnamed_manifests(self, *, after: str, limit: int) -> list[str]:
        """Return manifests behind `after` that no version has, in order."""

    def sweeps(self) -> int:
        """Return how often blobs were taken away so far."""

    def old_keys(self, before: int) -> int:
        """Count the kept outcomes of requests made before a time."""

    def find_manifest(self, digest: str) -> tuple[int, int] | None:
        """Return (size in bytes, number of files) of a manifest, or None."""

    def manifest_files(self, digest: str) -> tuple[File, ...]:
        """Return a manifest's files, by path; empty when there is no such manifest."""

    def manifest_file(self, digest: str, path: str) -> File | None:
        """Return one file of a manifest, or None."""

    def manifest_below(self, digest: str, prefix: str) -> tuple[File, ...]:
        """Return the files of a manifest below a folder, by path."""

    def find_upload(self, path: str) -> File | None:
        """Return a file of the upload tree, or None."""

    def uploads_below(self, prefix: str) -> tuple[File, ...]:
        """Return the files of the upload tree below a folder, by path."""


class ByteWrites(Protocol):
    """The part of a write transaction that is about bytes. None of it is an audited row."""

    def put_blob(self, digest: str, size_bytes: int) -> None:
        """Note that a blob is on disk, whole, and in somebody's use from now on."""

    def set_blob_state(self, digest: str, state: str) -> None:
        """Change a blob's state; its `at` rises."""

    def hold_blob(self, digest: str) -> None:
        """Note that somebody was told that a blob is here: its time begins anew."""

    def adopt_blob(self, digest: str, size_bytes: int, state: str) -> None:
        """Note a blob, whatever is known of it so far, with a size and a state."""

    def forget_blob(self, digest: str) -> None:
        """Remove the row of a blob in the state `deleting`."""

    def count_sweep(self) -> None:
        """Note that blobs were taken away: `sweeps` rises."""

    def forget_keys(self, before: int, limit: int) -> int:
        """Forget the outcomes of at most `limit` requests made before a time; returns how many."""

    def put_manifest(self, manifest: Manifest) -> None:
        """Store a manifest and its entries; the same one twice is one."""

    def put_upload(self, path: str, digest: str, size_bytes: int) -> None:
        """Put or replace a file of the upload tree."""

    def remove_uploads(self, prefix: str) -> int:
        """Remove a file of the upload tree, or all below a folder; returns how many went."""
