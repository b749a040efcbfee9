"""Commands about model versions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from greenroom.core.model import Context, Dataset, File, Parent


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
class PinVersion:
    """Give an unpinned version its files; every blob must be present. `source` is where they were fetched from, which
    must be the version's still; None does not ask.
    """

    model: str
    version: int
    files: tuple[File, ...]
    source: str | None = None
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
class LatestOfModels:
    """The newest version in each stage of several models; one that is gone by now has none."""

    models: tuple[str, ...]
