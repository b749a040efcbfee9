"""Verify a database file with its files and key, without opening it as a registry and without changing a byte of it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.core.audit import Fault
from greenroom.core.errors import IntegrityFailure
from greenroom.core.model import Actor
from greenroom.services.answers import Finding, VerifyReport
from greenroom.services.commands import AuditVerify
from greenroom.services.ports import BlobStore, ReadTx, Signer
from greenroom.services.verifying import audit_verify
from greenroom.store.compiled.sqlite import AUDITED, KEYS
from greenroom.store.inspection import page_findings, stored_rows
from greenroom.store.sqlite import SQLite
from greenroom.store.tx import ReadTx as StoredTx

_KEEPER = Actor("greenroom", verified=True)


@dataclass(frozen=True)
class Proof:
    """A registry as verification reads it: `services.ports.Desk` over a database file."""

    database: Path
    signer: Signer
    blobs: BlobStore

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[ReadTx]:
        """See the port."""
        db = SQLite(self.database, read_only=True)
        try:
            with db.snapshot():
                yield StoredTx(db)
        finally:
            db.close()

    def rows(self) -> AbstractContextManager[Callable[[str], Iterator[dict[str, Any]]]]:
        """See the port."""
        return stored_rows(self.database, read_only=True)

    def pages(self) -> Iterator[tuple[str, str]]:
        """See the port."""
        return page_findings(self.database, read_only=True)

    def audited(self) -> Mapping[str, tuple[str, ...]]:
        """See the port."""
        return {table: KEYS[table] for table in AUDITED}


def prove(desk: Any, *, checkpoints: Sequence[str] = (), deep: bool) -> int:
    """Return how many entries the checkpoints cover that are not in this log: 0 when it holds all of them.

    Raises IntegrityFailure naming the first thing that is wrong, InvalidInput for a checkpoint that is not this log's.
    """
    report = verified(desk, checkpoints=checkpoints, deep=deep)
    bad = [each for each in report.findings if each.kind != Fault.SHORTER.value]
    if bad:
        raise damage(bad)
    covered = [int(note.split("\n")[1]) for note in checkpoints]
    return max([0, *(size - report.entries for size in covered)])


def verified(desk: Any, *, checkpoints: Sequence[str] = (), deep: bool) -> VerifyReport:
    """Return what `audit verify` says of a desk."""
    return audit_verify(desk, AuditVerify(tuple(checkpoints), deep), _KEEPER)


def damage(findings: Sequence[Finding]) -> IntegrityFailure:
    """Return the error that names the first finding and counts the others."""
    first, more = findings[0], len(findings) - 1
    text = f"{first.where}: {first.message.rstrip('.')}" + (f", and {more} more findings" if more else "") + "."
    return IntegrityFailure(text, findings=[f"{each.kind} {each.where}: {each.message}" for each in findings])
