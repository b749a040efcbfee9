"""Commands about blobs, snapshots and the upload tree."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MissingBlobs:
    """Which of these digests are not stored here yet."""

    digests: tuple[str, ...]


@dataclass(frozen=True)
class BlobStored:
    """A blob's bytes are on durable storage under their digest: make it usable by manifests.

    `sweeps` is what `ReadTx.sweeps` said *before* the bytes were seen there; None: nobody can take them away.
    """

    digest: str
    size_bytes: int
    sweeps: int | None = None


@dataclass(frozen=True)
class SnapshotFile:
    """One file of the immutable snapshot (manifest) `digest`."""

    digest: str
    path: str


@dataclass(frozen=True)
class SnapshotFolder:
    """What lies directly in a folder of the snapshot `digest`; `path` empty is its root."""

    digest: str
    path: str = ""


@dataclass(frozen=True)
class PutUpload:
    """Put a stored blob under a path of the mutable upload tree (where MLflow clients write)."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class UploadPath:
    """A path of the upload tree: read one file, list a folder, or delete either with all below it."""

    path: str = ""
