"""Changes of rows about blobs, manifests, the upload tree and kept outcomes: none of them is an audited row."""

from __future__ import annotations

import json

from greenroom.core.digest import Manifest
from greenroom.store.read_bytes import SWEEPS, ByteReads, path_range
from greenroom.store.texts import Texts


class ByteWrites(ByteReads):
    """The part of `services.ports.WriteTx` about bytes."""

    _texts: Texts
    _now: int

    def put_blob(self, digest: str, size_bytes: int) -> None:
        """See the port."""
        self.adopt_blob(digest, size_bytes, "present")

    def set_blob_state(self, digest: str, state: str) -> None:
        """See the port."""
        row = self.blob_row(digest)
        if row is not None:
            self._change(digest, row.at, {"state": state})

    def hold_blob(self, digest: str) -> None:
        """See the port."""
        row = self.blob_row(digest)
        if row is not None:
            self._change(digest, row.at, {})

    def adopt_blob(self, digest: str, size_bytes: int, state: str) -> None:
        """See the port."""
        row = self.blob_row(digest)
        if row is None:
            new = {"digest": digest, "size_bytes": size_bytes, "state": state, "at": self._now}
            self.db.run(self._texts.insert("blob"), new)
        else:
            self._change(digest, row.at, {"size_bytes": size_bytes, "state": state})

    def _change(self, digest: str, at: int, changes: dict[str, int | str]) -> None:
        # Strictly later than before, whatever the clock does: who looked at the row can tell that it was changed since.
        values = {**changes, "at": max(self._now, at + 1)}
        self.db.run(self._texts.update("blob", ("digest",), tuple(values)), {"k_digest": digest, **values})

    def forget_blob(self, digest: str) -> None:
        """See the port."""
        self.db.run(self._texts.delete("blob", ("digest", "state")), {"k_digest": digest, "k_state": "deleting"})

    def count_sweep(self) -> None:
        """See the port."""
        values = {"key": SWEEPS, "value": json.dumps(self.sweeps() + 1)}
        self.db.run(self._texts.delete("meta", ("key",)), {"k_key": SWEEPS})
        self.db.run(self._texts.insert("meta"), values)

    def forget_keys(self, before: int, limit: int) -> int:
        """See the port."""
        found = self.db.all(self.db.sql["old_request_keys"], {"before": before, "limit": limit})
        delete = self._texts.delete("request_key", ("principal", "route", "key"))
        for principal, route, key in found:
            self.db.run(delete, {"k_principal": principal, "k_route": route, "k_key": key})
        return len(found)

    def put_manifest(self, manifest: Manifest) -> None:
        """See the port."""
        row = {"digest": manifest.digest, "size_bytes": manifest.size_bytes, "file_count": len(manifest.entries)}
        if self.db.run(self._texts.insert("manifest", keep=True), row) == 0:
            return
        entry = self._texts.insert("manifest_entry")
        for each in manifest.entries:
            self.db.run(
                entry,
                {"manifest": manifest.digest, "path": each.path, "digest": each.digest, "size_bytes": each.size_bytes},
            )

    def put_upload(self, path: str, digest: str, size_bytes: int) -> None:
        """See the port."""
        self.db.run(self._texts.delete("upload", ("path",)), {"k_path": path})
        self.db.run(
            self._texts.insert("upload"), {"path": path, "digest": digest, "size_bytes": size_bytes, "at": self._now}
        )

    def remove_uploads(self, prefix: str) -> int:
        """See the port."""
        low, high = path_range(prefix)
        return self.db.run(self._texts.delete_uploads, {"path": prefix, "low": low, "high": high})
