"""Queries about blobs, manifests, uploads and the audit log."""

from __future__ import annotations

import json
from typing import Any

from greenroom.core.audit import Entry, Head
from greenroom.core.errors import IntegrityFailure
from greenroom.core.merkle import Frontier
from greenroom.core.model import File
from greenroom.core.tiles import Tile
from greenroom.services.ports import BlobRow
from greenroom.store.driver import Connection
from greenroom.store.nodes import stored_tile

SWEEPS = "sweeps"


def path_range(prefix: str) -> tuple[str, str]:
    """Return the half-open range of paths that lie below a folder; of all paths for the root."""
    if not prefix:
        return "", "\U0010ffff"
    return prefix + "/", prefix + "0"  # "0" is the character after "/"


class ByteReads:
    """The part of `services.ports.ReadTx` about bytes and about the log."""

    db: Connection

    def find_blob(self, digest: str) -> tuple[int, str] | None:
        """Return (size in bytes, state) of a blob, or None."""
        row = self.db.one(self.db.sql["blob"], {"digest": digest})
        return (int(row[0]), str(row[1])) if row else None

    def blob_row(self, digest: str) -> BlobRow | None:
        """Return a blob's row, or None."""
        row = self.db.one(self.db.sql["blob_row"], {"digest": digest})
        return BlobRow(*row) if row else None

    def blobs_after(self, digest: str, limit: int) -> list[BlobRow]:
        """Return at most `limit` blobs behind a digest, in order."""
        return [BlobRow(*row) for row in self.db.all(self.db.sql["blobs_after"], {"after": digest, "limit": limit})]

    def blobs_in_state(self, state: str) -> list[BlobRow]:
        """Return the blobs that are `damaged` or `deleting`."""
        return [BlobRow(*row) for row in self.db.all(self.db.sql["blobs_in_state"], {"state": state})]

    def blob_totals(self) -> tuple[int, int]:
        """Return how many blobs there are, and their bytes."""
        row = self.db.one(self.db.sql["blob_totals"])
        return (int(row[0]), int(row[1])) if row else (0, 0)

    def unused_blobs(self, *, after: str, until: int, limit: int) -> list[BlobRow]:
        """Return blobs behind `after` that nothing names and whose `at` is not later than `until`, in order."""
        params = {"after": after, "until": until, "limit": limit}
        return [BlobRow(*row) for row in self.db.all(self.db.sql["unused_blobs"], params)]

    def is_pinned(self, digest: str) -> bool:
        """Say whether a manifest names the blob."""
        return self.db.one(self.db.sql["blob_in_manifest"], {"digest": digest}) is not None

    def is_named(self, digest: str) -> bool:
        """Say whether a manifest or the upload tree names the blob."""
        return self.is_pinned(digest) or self.db.one(self.db.sql["blob_in_upload"], {"digest": digest}) is not None

    def blob_versions(self, digest: str, limit: int) -> list[tuple[str, int]]:
        """Return (model, version) of those whose manifest names the blob, deleted ones too."""
        found = self.db.all(self.db.sql["blob_versions"], {"digest": digest, "limit": limit})
        return [(str(name), int(version)) for name, version in found]

    def is_damaged(self, manifest: str) -> bool:
        """Say whether a blob that the manifest names is known to be damaged or lost."""
        return self.db.one(self.db.sql["damaged_in_manifest"], {"manifest": manifest}) is not None

    def unnamed_manifests(self, *, after: str, limit: int) -> list[str]:
        """Return manifests behind `after` that no version has, in order."""
        found = self.db.all(self.db.sql["unnamed_manifests"], {"after": after, "limit": limit})
        return [str(row[0]) for row in found]

    def sweeps(self) -> int:
        """Return how often blobs were taken away so far."""
        row = self.db.one(self.db.sql["meta"], {"key": SWEEPS})
        return int(json.loads(row[0])) if row else 0

    def old_keys(self, before: int) -> int:
        """Count the kept outcomes of requests made before a time."""
        row = self.db.one(self.db.sql["old_request_keys_count"], {"before": before})
        return int(row[0]) if row else 0

    def find_manifest(self, digest: str) -> tuple[int, int] | None:
        """Return (size in bytes, number of files) of a manifest, or None."""
        row = self.db.one(self.db.sql["manifest"], {"digest": digest})
        return (int(row[1]), int(row[2])) if row else None

    def manifest_files(self, digest: str) -> tuple[File, ...]:
        """Return a manifest's files, by path; empty when there is no such manifest."""
        return tuple(File(*row) for row in self.db.all(self.db.sql["manifest_files"], {"manifest": digest}))

    def manifest_file(self, digest: str, path: str) -> File | None:
        """Return one file of a manifest, or None."""
        row = self.db.one(self.db.sql["manifest_file"], {"manifest": digest, "path": path})
        return File(*row) if row else None

    def manifest_below(self, digest: str, prefix: str) -> tuple[File, ...]:
        """Return the files of a manifest below a folder, by path."""
        low, high = path_range(prefix)
        params = {"manifest": digest, "low": low, "high": high}
        return tuple(File(*row) for row in self.db.all(self.db.sql["manifest_below"], params))

    def find_upload(self, path: str) -> File | None:
        """Return a file of the upload tree, or None."""
        row = self.db.one(self.db.sql["upload"], {"path": path})
        return File(*row) if row else None

    def uploads_below(self, prefix: str) -> tuple[File, ...]:
        """Return the files of the upload tree below a folder, by path."""
        low, high = path_range(prefix)
        return tuple(File(*row) for row in self.db.all(self.db.sql["uploads_below"], {"low": low, "high": high}))

    def audit_entries(self, *, after: int, limit: int, model: str | None = None) -> list[Entry]:
        """Return at most `limit` entries after sequence number `after`, oldest first; of one model if given."""
        params: dict[str, Any] = {"after": after, "limit": limit}
        if model is None:
            rows = self.db.all(self.db.sql["audit_entries"], params)
        else:
            rows = self.db.all(self.db.sql["audit_entries_of_model"], params | {"model": model})
        return [Entry(*row) for row in rows]

    def audit_head(self) -> tuple[Head, str]:
        """Return the head of the log and the signed checkpoint of it ("" for an empty log)."""
        row = self.db.one(self.db.sql["audit_head"])
        if row is None:
            return Head(), ""
        return Head(int(row[0]), str(row[1]), Frontier.from_bytes(bytes(row[2]))), str(row[3])

    def audit_tile(self, tile: Tile) -> bytes:
        """Return the hashes of a tile that the log has. Raises IntegrityFailure when entries are missing."""
        return stored_tile(self.db, tile)

    def page_secret(self) -> bytes:
        """Return the secret that page tokens are signed with. Raises IntegrityFailure when it is not there."""
        row = self.db.one(self.db.sql["meta"], {"key": "page_secret"})
        if row is None:
            raise IntegrityFailure("the database has no page secret.", hint="Run: greenroom audit verify")
        return bytes.fromhex(json.loads(row[0]))
