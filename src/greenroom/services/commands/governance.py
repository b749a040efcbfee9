"""Commands about lifecycle policies, the audit log and verification."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LifecycleOf:
    """Show a lifecycle by `name`, or the one that applies to `model`; neither: the default."""

    name: str | None = None
    model: str | None = None
    revision: int | None = None


@dataclass(frozen=True)
class CheckLifecycle:
    """Check a lifecycle document without applying it: errors with line numbers, and the models it would break."""

    document: str


@dataclass(frozen=True)
class ApplyLifecycle:
    """Apply a lifecycle document as the next revision of the lifecycle it names."""

    document: str
    reason: str | None = None


@dataclass(frozen=True)
class UseLifecycle:
    """Make a lifecycle the default, or bind it to models by `pattern` or by `tag` (`key=value`)."""

    name: str
    pattern: str | None = None
    tag: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class AddStage:
    """Add a stage to a lifecycle (None: the default one), after the stage `after`."""

    name: str
    after: str | None = None
    capacity: str = "many"
    lifecycle: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class AuditLog:
    """Entries of the audit log after sequence number `after`, oldest first; of one model if given."""

    after: int = 0
    limit: int = 100
    model: str | None = None


@dataclass(frozen=True)
class AuditCheckpoint:
    """Ask for the signed head of the log."""


@dataclass(frozen=True)
class AuditTile:
    """One file of the log as C2SP tlog-tiles cuts it: a tile of hashes or a bundle of entries, by its path."""

    path: str


@dataclass(frozen=True)
class AuditVerify:
    """Verify the log, the tables and the blobs; `checkpoints` are older signed heads, `deep` re-hashes every blob."""

    checkpoints: tuple[str, ...] = ()
    deep: bool = True


@dataclass(frozen=True)
class VerifyFiles:
    """Re-hash the files of one version (None: of every version) of a model (None: of every model)."""

    model: str | None = None
    version: int | None = None


@dataclass(frozen=True)
class Nothing:
    """No parameters."""
