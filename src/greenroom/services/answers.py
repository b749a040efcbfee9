"""What use cases answer with, beyond the nouns of `core.model`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from greenroom.core.model import Binding, File, LifecycleRevision, Tenure


@dataclass(frozen=True)
class Manifest:
    """A version's files, sorted by path. `digest` None: the version is unpinned and `files` is empty."""

    model: str
    version: int
    digest: str | None
    size_bytes: int
    files: tuple[File, ...]


@dataclass(frozen=True)
class Holding:
    """Who holds (or held, `at`) a slot. `tenures` is empty when nobody does; more than one only where the lifecycle
    allows it.
    """

    model: str
    slot: str
    at: int | None
    tenures: tuple[Tenure, ...]


@dataclass(frozen=True)
class FileChange:
    """One path that differs. A None digest means the path is not there on that side."""

    path: str
    left: str | None
    right: str | None
    left_bytes: int | None = None
    right_bytes: int | None = None


@dataclass(frozen=True)
class ValueChange:
    """One named value that differs; None means it is not there on that side."""

    name: str
    left: Any
    right: Any


@dataclass(frozen=True)
class Comparison:
    """How version `right` differs from version `left`. `requirements` None: a side has no readable requirements.txt."""

    model: str
    left: int
    right: int
    files: tuple[FileChange, ...] = ()
    unchanged_files: int = 0
    params: tuple[ValueChange, ...] = ()
    metrics: tuple[ValueChange, ...] = ()
    requirements: tuple[ValueChange, ...] | None = None
    requirements_note: str | None = None


@dataclass(frozen=True)
class StageView:
    """A stage as people see it: its rules, and who holds it if the question named a model."""

    name: str
    capacity: str
    occupied: str
    protected: bool
    sources: tuple[str, ...] | None  # None: from any stage
    gates: tuple[str, ...]
    holders: tuple[int, ...] = ()
    held: int = 0


@dataclass(frozen=True)
class LifecycleView:
    """A lifecycle in force: the document as applied, and its stages in order."""

    name: str
    revision: LifecycleRevision
    stages: tuple[StageView, ...]
    bindings: tuple[Binding, ...]
    is_default: bool
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Lifecycles:
    """Every lifecycle, and the bindings in the order in which they are tried (the default is last)."""

    lifecycles: tuple[LifecycleRevision, ...]
    bindings: tuple[Binding, ...]


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a document; `line` counts from 1, None where no line can be named."""

    line: int | None
    message: str


@dataclass(frozen=True)
class LifecycleCheck:
    """What is wrong with a lifecycle document; empty `problems` means that it could be applied now."""

    name: str | None
    problems: tuple[Problem, ...]
    changes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Missing:
    """The digests asked for that are not stored here."""

    missing: tuple[str, ...]


@dataclass(frozen=True)
class AuditEntry:
    """One sealed entry of the audit log."""

    seq: int
    at: int
    type: str
    actor: str
    request: str
    model: str | None
    version: int | None
    body: Mapping[str, Any]
    body_digest: str
    prev: str
    leaf: str


@dataclass(frozen=True)
class AuditEntries:
    """A run of entries; `next_after` None means the log ends here."""

    entries: tuple[AuditEntry, ...]
    next_after: int | None


@dataclass(frozen=True)
class Checkpoint:
    """The signed head of the log: `note` is the C2SP checkpoint text, `key` the verifier key."""

    size: int
    root: str
    note: str
    key: str


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and where."""

    kind: str
    where: str
    message: str


@dataclass(frozen=True)
class VerifyReport:
    """What `audit verify` found. `status` is `ok`, `tampered`, `incomplete` or `unchecked` (exit 0, 1, 2, 3)."""

    status: str
    entries: int
    findings: tuple[Finding, ...]
    checked: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class FilesReport:
    """What re-hashing found: how much was read, and every file that is not what the manifest says."""

    versions: int
    files: int
    bytes: int
    findings: tuple[Finding, ...]
    unpinned: tuple[str, ...] = ()


@dataclass(frozen=True)
class FolderEntry:
    """One name in a folder; `size_bytes` None for a folder."""

    name: str
    is_dir: bool
    size_bytes: int | None = None


@dataclass(frozen=True)
class Folder:
    """What lies directly in a folder, sorted by name; empty when the folder is not there (or is a file)."""

    entries: tuple[FolderEntry, ...]


@dataclass(frozen=True)
class Collected:
    """What garbage collection took away, or (`dry_run`) would take away. `keys` are kept outcomes of old requests."""

    dry_run: bool
    blobs: int
    bytes: int
    staged: int
    keys: int


@dataclass(frozen=True)
class BlobFinding:
    """One thing wrong with the stored bytes.

    `kind` is one of those in `services.fsck.KINDS`. `digest` None: it is about no blob. `versions` are those that name
    the blob, deleted ones too, at most ten. `outcome` is `found` or `repaired`; `is_damage` says that bytes are lost
    unless it was repaired.
    """

    kind: str
    where: str
    message: str
    digest: str | None = None
    versions: tuple[str, ...] = ()
    is_damage: bool = False
    outcome: str = "found"


@dataclass(frozen=True)
class FsckPart:
    """What one call of `fsck` looked at. `next_after` None: that was all. The totals come with the first part only."""

    findings: tuple[BlobFinding, ...]
    blobs: int
    bytes: int
    next_after: str | None
    total_blobs: int = 0
    total_bytes: int = 0
