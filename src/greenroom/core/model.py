"""The registry's nouns as plain frozen values.

Times are UTC milliseconds since the epoch, sizes are bytes, digests are `sha256:<64 hex>`. None means "not known": a
missing fact is shown as missing, never invented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


class SlotKind(StrEnum):
    """What kind of name a version holds."""

    STAGE = "stage"
    ALIAS = "alias"


class PromotionKind(StrEnum):
    """Why a version moves."""

    PROMOTE = "promote"
    ROLLBACK = "rollback"
    REGISTER = "register"
    DELETE = "delete"
    RESTORE = "restore"


class PromotionStatus(StrEnum):
    """What became of the request to move a version into a slot."""

    REQUESTED = "requested"
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    REJECTED = "rejected"
    ERRORED = "errored"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    PLANNED = "planned"  # the answer to a dry run: nothing was recorded


class Verdict(StrEnum):
    """What a gate says. Only PASSED lets anything through."""

    PASSED = "passed"
    FAILED = "failed"
    PENDING = "pending"
    ERRORED = "errored"


@dataclass(frozen=True)
class Actor:
    """Who asks. `verified` says whether the name was proven or only claimed (a server without accounts)."""

    name: str
    verified: bool = False
    rights: frozenset[str] = frozenset({"*"})

    def may(self, permission: str) -> bool:
        """Say whether this actor holds `permission` (a word such as `promote`)."""
        return "*" in self.rights or permission in self.rights


@dataclass(frozen=True)
class File:
    """One artifact of a version."""

    path: str
    digest: str
    size_bytes: int


@dataclass(frozen=True)
class Dataset:
    """Data that made or judged a version. `context` is a word such as `training` or `evaluation`."""

    name: str
    digest: str | None = None
    source: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class Context:
    """Where a version was trained. Every field may be unknown.

    `run_name`, `parent_run` (its id) and `user` are those of the run, as they were when the version was registered.
    """

    git_commit: str | None = None
    git_branch: str | None = None
    git_remote: str | None = None
    git_dirty_digest: str | None = None  # digest of the uncommitted changes, None when clean or unknown
    entry_point: str | None = None
    python: str | None = None
    platform: str | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    run_name: str | None = None
    parent_run: str | None = None
    user: str | None = None


@dataclass(frozen=True)
class Parent:
    """The version that this one was made from."""

    model: str
    version: int


@dataclass(frozen=True)
class RegisteredModel:
    """A named line of versions. `holders` lists who is in every exclusive stage; `latest` the newest of each stage."""

    name: str
    description: str | None
    created_at: int
    updated_at: int
    lifecycle: str
    tags: Mapping[str, str] = field(default_factory=dict)
    aliases: Mapping[str, int] = field(default_factory=dict)
    latest: Mapping[str, int] = field(default_factory=dict)
    author: str | None = None


@dataclass(frozen=True)
class Version:
    """One immutable manifest under a model, with all that makes it traceable and repeatable.

    `digest` identifies the manifest; None means the version is unpinned (its bytes are elsewhere, at `source`).
    `damaged` says that some of its bytes are known to be lost; `greenroom fsck` says which.
    """

    model: str
    version: int
    stage: str
    created_at: int
    updated_at: int
    author: str | None = None
    aliases: tuple[str, ...] = ()
    status: str = "READY"
    digest: str | None = None
    size_bytes: int | None = None
    file_count: int | None = None
    source: str = ""
    run_id: str | None = None
    run_link: str | None = None
    logged_model: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    context: Context = field(default_factory=Context)
    parent: Parent | None = None
    deleted: bool = False
    damaged: bool = False


@dataclass(frozen=True)
class Tenure:
    """One version's period in one slot. `until` None means it still holds it; `ended_by` says what kind of move
    ended it.
    """

    model: str
    version: int
    slot: str
    kind: SlotKind
    since: int  # sequence number of the audit event that opened it
    since_at: int
    by: str | None
    reason: str | None = None
    promotion: int | None = None
    until: int | None = None
    until_at: int | None = None
    until_by: str | None = None
    ended_by: PromotionKind | None = None


@dataclass(frozen=True)
class Refusal:
    """One reason why a move was not made, as data and as text; `ways_out` says what would be accepted."""

    code: str
    message: str
    ways_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Displaced:
    """A version pushed out of an exclusive slot, and the stage it went to (None: an alias just moves on)."""

    version: int
    to: str | None


@dataclass(frozen=True)
class GateResult:
    """One gate's judgement: what it said and about what."""

    gate: str
    verdict: Verdict
    message: str
    level: str = "mandatory"


@dataclass(frozen=True)
class Promotion:
    """A recorded request to move a version into a slot, and what became of it."""

    model: str
    version: int
    slot: str
    slot_kind: SlotKind
    kind: PromotionKind
    status: PromotionStatus
    lifecycle: str
    lifecycle_revision: int
    at: int
    requested_by: str
    id: int | None = None  # None for a plan
    from_stage: str | None = None
    digest: str | None = None
    reason: str | None = None
    displaced: tuple[Displaced, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    gates: tuple[GateResult, ...] = ()
    warnings: tuple[str, ...] = ()
    chosen_because: str | None = None
    event: int | None = None  # sequence number of its audit event

    @property
    def succeeded(self) -> bool:
        """True when the version holds the slot because of this request."""
        return self.status is PromotionStatus.SUCCEEDED


@dataclass(frozen=True)
class LifecycleRevision:
    """One revision of a lifecycle policy, as it was applied."""

    name: str
    revision: int
    document: str
    digest: str
    at: int
    by: str
    event: int
    reason: str | None = None


@dataclass(frozen=True)
class Binding:
    """One rule of which lifecycle applies: by model name `pattern` (fnmatch) or by a tag `key=value`; first match
    wins.
    """

    lifecycle: str
    pattern: str | None = None
    tag: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list; `next_page_token` None means there is no more."""

    items: tuple[T, ...]
    next_page_token: str | None = None
