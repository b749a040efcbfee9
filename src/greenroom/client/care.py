"""The client's part in keeping the stored bytes in order: garbage collection, checking, repairing from a good copy."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from greenroom.client.calls import Calls
from greenroom.client.progress import Advance, ignore
from greenroom.core.digest import hex_of
from greenroom.core.errors import InvalidInput
from greenroom.services import answers as a
from greenroom.services import commands as c


@dataclass(frozen=True)
class FsckReport:
    """What `fsck` found in all. `damaged` counts the blobs whose bytes are lost and were not repaired."""

    blobs: int
    bytes: int
    damaged: int
    findings: tuple[a.BlobFinding, ...]


class Care(Calls):
    """Stored bytes in order."""

    def collect_garbage(self, *, grace_s: float = c.GRACE_S, dry_run: bool = False) -> a.Collected:
        """Take away blobs that nothing names and that nobody stored or was promised within `grace_s` seconds.

        Raises Conflict while another collector runs.
        """
        return self._ask("collect_garbage", c.CollectGarbage(grace_s, dry_run), a.Collected)

    def fsck(
        self,
        *,
        repair: bool = False,
        quick: bool = False,
        good_copies: str | os.PathLike[str] | None = None,
        bar: Callable[[int], contextlib.AbstractContextManager[Advance]] | None = None,
    ) -> FsckReport:
        """Check all stored bytes; what is wrong comes back as findings, and damaged versions are marked.

        `quick` does not re-hash. `repair` sets right what can be; with `good_copies`, a data folder or a backup of one,
        lost bytes are copied from there, if they are there and whole. `bar` is given the bytes to be read, to show how
        far it is. Raises InvalidInput for a folder that is none, Conflict while another repair runs.
        """
        source = None if good_copies is None else _folder(Path(good_copies))
        parts = self._parts(c.Fsck(repair, quick))
        first = next(parts)
        blobs = count = 0
        findings: list[a.BlobFinding] = []
        with bar(first.total_bytes) if bar is not None else contextlib.nullcontext(ignore) as advance:
            for part in itertools.chain((first,), parts):
                advance(part.bytes)
                blobs, count = blobs + part.blobs, count + part.bytes
                findings += part.findings
        if source is not None:
            findings = [self._healed(each, source) for each in findings]
        lost = sum(each.is_damage and each.outcome != "repaired" for each in findings)
        return FsckReport(blobs, count, lost, tuple(findings))

    def _parts(self, ask: c.Fsck) -> Iterator[a.FsckPart]:
        after: str | None = ""
        while after is not None:
            part = self._ask("fsck", replace(ask, after=after), a.FsckPart)
            yield part
            after = part.next_after

    def _healed(self, finding: a.BlobFinding, source: Path) -> a.BlobFinding:
        """Send a good copy of a lost blob, if there is one; the receiving side hashes it."""
        from greenroom.client.transfer import carrier_of

        if not finding.is_damage or finding.outcome == "repaired" or finding.digest is None:
            return finding
        for copy in _copies(source, finding.digest):
            with contextlib.suppress(InvalidInput):  # a damaged copy: the next one may be whole
                carrier_of(self.transport).put_blob(finding.digest, copy, copy.stat().st_size, ignore)
                return replace(finding, outcome="repaired")
        return finding


def _folder(path: Path) -> Path:
    if not path.is_dir():
        raise InvalidInput(f"{path} is not a folder.", hint="Name a data folder, or a backup of one.", path=str(path))
    if not any(re.fullmatch("blobs|sha256|[0-9a-f]{2}|[0-9a-f]{64}", each.name) for each in path.iterdir()):
        raise InvalidInput(f"{path} holds no blobs.", hint="Name a data folder, or a backup of one.", path=str(path))
    return path


def _copies(source: Path, digest: str) -> Iterator[Path]:
    """Where a data folder, or its blobs alone, would keep the blob."""
    digits = hex_of(digest)
    for each in (source / "blobs" / "sha256", source / "sha256", source):
        for path in (each / digits[:2] / digits, each / digits):
            if path.is_file():
                yield path
