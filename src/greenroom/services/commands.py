"""What can be asked of the registry, one frozen value each; the edges build them, the use cases take them.

A slot is written as people say it: `Production` is a stage, `@champion` an alias. Versions are ints from 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from greenroom.core.model import Context, Dataset, File, Parent

NOBODY = 0  # `if_holder=NOBODY`: go on only while the slot is empty


@dataclass(frozen=True)
class CreateModel:
    """Create a registered model without versions."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelNamed:
    """Name one registered model (get)."""

    name: str


@dataclass(frozen=True)
class UpdateModel:
    """Overwrite a model's description; None clears it."""

    name: str
    description: str | None = None


@dataclass(frozen=True)
class RenameModel:
    """Give a model another name; versions, tags, aliases and history follow."""

    name: str
    new_name: str


@dataclass(frozen=True)
class DeleteModel:
    """Delete a model and its versions (tombstones)."""

    name: str
    reason: str | None = None


@dataclass(frozen=True)
class RestoreModel:
    """Bring a deleted model back with the versions that were deleted with it."""

    name: str
    reason: str | None = None


@dataclass(frozen=True)
class SetModelTag:
    """Set one tag of a model."""

    name: str
    key: str
    value: str


@dataclass(frozen=True)
class DeleteModelTag:
    """Remove one tag of a model; an absent one is no error."""

    name: str
    key: str


@dataclass(frozen=True)
class SearchModels:
    """Search models; `filter` and `order_by` as in the reference, `dialect` `native` or `mlflow`."""

    filter: str | None = None
    order_by: tuple[str, ...] = ()
    page_size: int = 100
    page_token: str | None = None
    dialect: str = "native"


@dataclass(frozen=True)
class RegisterVersion:
    """Register the next version of `model`.

    `files` is the manifest (every blob must be present); None means the files are elsewhere, at `source`, and the
    version is unpinned unless the source is one of ours (`models:/…`, an upload), which is then copied by digest.
    `create_model` makes the model when it is not there yet.
    """

    model: str
    files: tuple[File, ...] | None = None
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
    create_model: bool = False
    reason: str | None = None


@dataclass(frozen=True)
class VersionNamed:
    """Name one version (get, list its files)."""

    model: str
    version: int


@dataclass(frozen=True)
class UpdateVersion:
    """Overwrite a version's description; None clears it."""

    model: str
    version: int
    description: str | None = None


@dataclass(frozen=True)
class DeleteVersion:
    """Delete a version (a tombstone: its number, bytes and history stay)."""

    model: str
    version: int
    reason: str | None = None


@dataclass(frozen=True)
class RestoreVersion:
    """Bring a deleted version back, into the lifecycle's first stage."""

    model: str
    version: int
    reason: str | None = None


@dataclass(frozen=True)
class SetVersionTag:
    """Set one tag of a version."""

    model: str
    version: int
    key: str
    value: str


@dataclass(frozen=True)
class DeleteVersionTag:
    """Remove one tag of a version; an absent one is no error."""

    model: str
    version: int
    key: str


@dataclass(frozen=True)
class RecordMetrics:
    """Add metrics and parameters to a version; a metric may be recorded again (the history keeps both), a parameter
    may not change.
    """

    model: str
    version: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchVersions:
    """Search versions over all models; as `SearchModels`."""

    filter: str | None = None
    order_by: tuple[str, ...] = ()
    page_size: int = 100
    page_token: str | None = None
    dialect: str = "native"


@dataclass(frozen=True)
class LatestVersions:
    """The newest version in each of `stages` (empty: in every stage that has one)."""

    model: str
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class CompareVersions:
    """Compare two versions of one model: files, parameters, metrics, requirements."""

    model: str
    left: int
    right: int


@dataclass(frozen=True)
class Promote:
    """Move a version into the slot `to`.

    Without `version`: the best by `best` (`auc`, `auc:max`, `loss:min`), else the newest in the stage before `to`.
    `swap` archives whoever holds an exclusive slot in the same transaction; without it the lifecycle decides.
    `if_holder` refuses unless that version (or `NOBODY`) holds the slot. `dry_run` only plans.
    """

    model: str
    to: str
    version: int | None = None
    best: str | None = None
    swap: bool = False
    if_holder: int | None = None
    reason: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Rollback:
    """Give the slot back to its last healthy earlier holder, or to `version` if that held it before."""

    model: str
    slot: str = "Production"
    version: int | None = None
    if_holder: int | None = None
    reason: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class SetAlias:
    """Point an alias at a version. An alias that the lifecycle guards is a promotion like any other."""

    model: str
    alias: str
    version: int
    if_holder: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class DeleteAlias:
    """Take an alias away; an absent one is no error."""

    model: str
    alias: str
    reason: str | None = None


@dataclass(frozen=True)
class GetHolder:
    """Who holds a slot now, or who held it `at` a time (UTC milliseconds)."""

    model: str
    slot: str
    at: int | None = None


@dataclass(frozen=True)
class ListHistory:
    """Tenures of a model, newest first; of one slot and one version if given."""

    model: str
    slot: str | None = None
    version: int | None = None
    page_size: int = 100
    page_token: str | None = None


@dataclass(frozen=True)
class ListPromotions:
    """Promotions of a model, refused ones too, newest first."""

    model: str
    version: int | None = None
    page_size: int = 100
    page_token: str | None = None


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
class MissingBlobs:
    """Which of these digests are not stored here yet."""

    digests: tuple[str, ...]


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


@dataclass(frozen=True)
class BlobStored:
    """A blob's bytes are on durable storage under their digest: make it usable by manifests."""

    digest: str
    size_bytes: int


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
