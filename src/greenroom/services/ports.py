"""What the use cases need from the world. Adapters implement these; `greenroom.testing` holds their conformance
suites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from greenroom.core.audit import Entry, Head
from greenroom.core.model import Actor, Binding, Dataset, LifecycleRevision, Promotion, SlotKind, Tenure
from greenroom.core.search import Filter, Order
from greenroom.core.tiles import Tile
from greenroom.services.ports_bytes import (
    PARTS_IDLE_S,
    BlobRow,
    BlobStore,
    BlobUpload,
    ByteReads,
    ByteWrites,
    Oddity,
    Parts,
)
from greenroom.services.ports_runs import RunReads
from greenroom.services.ports_tracking import TrackingReads, TrackingWrites

__all__ = [
    "PARTS_IDLE_S", "BindingRow", "BlobRow", "BlobStore", "BlobUpload", "Desk", "ModelRow", "Oddity", "Parts",
    "ReadTx", "Registry", "Request", "Signer", "VersionRow", "WriteTx",
]  # fmt: skip


@dataclass(frozen=True)
class Request:
    """The identity of a request: `id` goes into the audit log; with a `key` its first outcome is kept and given again.

    `fingerprint` is a digest of what was asked, so that a key that comes back with another request is refused.
    """

    id: str
    key: str | None = None
    fingerprint: str | None = None


class Signer(Protocol):
    """Signs the log's checkpoints."""

    @property
    def name(self) -> str:
        """The key's name: the log's origin."""

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the Ed25519 public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature (64 bytes)."""

    def verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """Say whether `signature` is that of `public_key` over `message`."""


class Registry(Protocol):
    """The running registry as the edges use it; `greenroom.app` builds it."""

    blobs: BlobStore

    async def call(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        """Run one use case of `services.api` and return its answer (async edges)."""

    def call_now(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        """The same where nothing is async (the embedded registry)."""


@dataclass(frozen=True)
class ModelRow:
    """A registered model as it is stored. `next_version` is the number that the next version gets."""

    id: int
    name: str
    description: str | None
    created_at: int
    updated_at: int
    author: str | None
    next_version: int
    lifecycle: str
    deleted_event: int | None


@dataclass(frozen=True)
class VersionRow:
    """A version as it is stored, without what hangs on it. `context` is JSON text."""

    model_id: int
    version: int
    source: str
    run_id: str | None
    run_link: str | None
    logged_model: str | None
    description: str | None
    author: str | None
    created_at: int
    updated_at: int
    status: str
    manifest: str | None
    size_bytes: int | None
    file_count: int | None
    context: str
    parent_model: str | None
    parent_version: int | None
    created_event: int
    deleted_event: int | None


@dataclass(frozen=True)
class BindingRow:
    """A binding with its place; the smallest place is tried first."""

    position: int
    binding: Binding


class ReadTx(ByteReads, TrackingReads, RunReads, Protocol):
    """A consistent look at the store. Methods that name a model by `ModelRow` or id never meet a wrong one."""

    def find_model(self, name: str) -> ModelRow | None:
        """Return the living model of that name, or None."""

    def find_twin(self, name_key: str) -> ModelRow | None:
        """Return the living model whose name looks the same, or None."""

    def find_tombstone(self, name: str) -> ModelRow | None:
        """Return the model of that name that was deleted last, or None."""

    def next_number(self, name: str) -> int:
        """Return the number after the highest ever given under that name, deleted models included; 1 for a new name."""

    def living_models(self) -> list[tuple[int, str, str]]:
        """Return (id, name, lifecycle) of every living model, oldest first."""

    def model_tags(self, model_id: int) -> dict[str, str]:
        """Return a model's tags, by key."""

    def aliases(self, model_id: int) -> dict[str, int]:
        """Return a model's aliases and the version each points at."""

    def find_version(self, model_id: int, version: int) -> VersionRow | None:
        """Return a version, deleted ones too, or None."""

    def versions_made_from(self, model: str, version: int, limit: int) -> list[tuple[str, int]]:
        """Return (model, number) of the versions whose parent is this one, oldest model first."""

    def versions_of_run(self, run_id: str, limit: int) -> list[tuple[str, int]]:
        """Return (model, number) of the living versions that came of a run, oldest model first."""

    def version_tags(self, model_id: int, version: int) -> dict[str, str]:
        """Return a version's tags, by key."""

    def version_metrics(self, model_id: int, version: int) -> dict[str, float]:
        """Return a version's newest value of every metric."""

    def version_params(self, model_id: int, version: int) -> dict[str, str]:
        """Return a version's parameters."""

    def version_datasets(self, model_id: int, version: int) -> tuple[Dataset, ...]:
        """Return the data sets of a version, in the order in which they were given."""

    def version_slots(self, model_id: int, version: int) -> list[tuple[SlotKind, str]]:
        """Return the stage and the aliases that a version holds."""

    def living_versions(self, model_id: int) -> list[int]:
        """Return the numbers of the versions that are not deleted, ascending."""

    def versions_deleted_by(self, model_id: int, event: int) -> list[int]:
        """Return the versions that one event deleted, ascending."""

    def metric_of_versions(self, model_id: int, key: str) -> dict[int, float | None]:
        """Return one metric of every living version; None where it is not recorded."""

    def holders(self, model: ModelRow, kind: SlotKind, slot: str) -> tuple[Tenure, ...]:
        """Return who holds the slot now, oldest first: one look-up in one index."""

    def holders_at(self, model: ModelRow, kind: SlotKind, slot: str, at: int) -> tuple[Tenure, ...]:
        """Return who held the slot at a time, newest first."""

    def newest_in_slot(self, model_id: int, kind: SlotKind, slot: str) -> int | None:
        """Return the highest version in the slot, or None."""

    def versions_in_slot(self, model_id: int, kind: SlotKind, slot: str) -> list[int]:
        """Return the versions in the slot, newest first."""

    def open_tenures(self, model: ModelRow, version: int | None) -> tuple[Tenure, ...]:
        """Return what a version holds now; with None what every version of the model holds."""

    def tenures_of_version(self, model: ModelRow, version: int) -> tuple[Tenure, ...]:
        """Return the newest tenures of a version, newest first."""

    def has_held(self, model_id: int, version: int, kind: SlotKind, slot: str) -> bool:
        """Say whether a version holds or ever held a slot."""

    def history(
        self,
        model: ModelRow,
        *,
        kind: SlotKind | None,
        slot: str | None,
        version: int | None,
        before: tuple[int, int],
        limit: int,
    ) -> tuple[Tenure, ...]:
        """Return tenures older than `before` (event, version), newest first; of one slot and one version if given."""

    def stages_of_model(self, model_id: int) -> dict[str, int]:
        """Return how many versions of a model are in each stage that has any."""

    def promotions(self, model: ModelRow, *, version: int | None, before: int, limit: int) -> tuple[Promotion, ...]:
        """Return promotions with an id below `before`, newest first, refused ones too."""

    def find_lifecycle(self, name: str, revision: int | None = None) -> LifecycleRevision | None:
        """Return a revision of a lifecycle (None: the newest), or None."""

    def lifecycle_history(self, name: str) -> tuple[LifecycleRevision, ...]:
        """Return every revision, newest first."""

    def lifecycle_names(self) -> list[str]:
        """Return the names of all lifecycles."""

    def bindings(self) -> list[BindingRow]:
        """Return the bindings in the order in which they are tried."""

    def audit_entries(self, *, after: int, limit: int, model: str | None = None) -> list[Entry]:
        """Return at most `limit` entries after sequence number `after`, oldest first; of one model if given."""

    def audit_head(self) -> tuple[Head, str]:
        """Return the head of the log and the signed checkpoint of it ("" for an empty log)."""

    def audit_tile(self, tile: Tile) -> bytes:
        """Return the hashes of a tile that the log has. Raises IntegrityFailure when entries are missing."""

    def page_secret(self) -> bytes:
        """Return the secret that page tokens are signed with. Raises IntegrityFailure when it is not there."""

    def search_models(
        self, filter: Filter, order: Sequence[Order], after: Sequence[Any] | None, limit: int
    ) -> list[tuple[ModelRow, list[Any]]]:
        """Return living models that meet the filter, in order, each with its cursor; those behind `after` if given."""

    def search_versions(
        self, filter: Filter, order: Sequence[Order], after: Sequence[Any] | None, limit: int
    ) -> list[tuple[ModelRow, VersionRow, list[Any]]]:
        """Return living versions of living models that meet the filter, in order, each with its cursor."""


class WriteTx(ReadTx, ByteWrites, TrackingWrites, Protocol):
    """One request's turn in the writer's batch. Every row change goes into the audit event that `record` writes."""

    @property
    def now(self) -> int:
        """The batch's time, UTC milliseconds."""

    @property
    def seq(self) -> int:
        """The sequence number that this request's audit event will have."""

    def insert(self, table: str, row: Mapping[str, Any]) -> None:
        """Insert a row of an audited table."""

    def update(self, table: str, key: Mapping[str, Any], changes: Mapping[str, Any]) -> None:
        """Change one row of an audited table, found by its whole primary key; a row that is not there is our bug."""

    def remove(self, table: str, key: Mapping[str, Any]) -> bool:
        """Remove one row of an audited table; False when it was not there."""

    def record(
        self,
        type: str,
        actor: Actor,
        *,
        model: str | None = None,
        version: int | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the one audit event of this request, with every row change made so far. Last of all."""


class Desk(Protocol):
    """What a slow use case works with, outside any transaction of its own: views of the store, the bytes, the key."""

    @property
    def blobs(self) -> BlobStore:
        """The blob store."""

    @property
    def signer(self) -> Signer:
        """The key that signs the log."""

    def snapshot(self) -> AbstractContextManager[ReadTx]:
        """A consistent view of the store."""

    def write(self, use_case: Callable[..., Any], command: Any, actor: Actor) -> Any:
        """Run one step of a slow use case in the writer's next batch; its answer, once it is durable."""

    def rows(self) -> AbstractContextManager[Callable[[str], Iterator[dict[str, Any]]]]:
        """The raw rows of every table, from one snapshot, read past the protections that keep damaged rows from
        others.
        """

    def pages(self) -> Iterator[tuple[str, str]]:
        """(where, what) for everything wrong with the store below its tables."""

    def audited(self) -> Mapping[str, tuple[str, ...]]:
        """The audited tables and their primary keys."""
