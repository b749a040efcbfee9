"""What is answered about runs to people and programs. A metric that is NaN is None here: JSON has no word for it.

Infinite metrics are the largest doubles, as everywhere (`core.tracking.LARGEST`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from greenroom.core.model import Context
from greenroom.core.tracking import RunStatus
from greenroom.services.answers import FolderEntry


@dataclass(frozen=True)
class RunSummary:
    """A run as a list shows it. `metrics` has the newest value of each; `parent` is the id of the run around it."""

    id: str
    name: str
    experiment_id: int
    experiment: str
    user: str | None
    status: RunStatus
    started_at: int
    ended_at: int | None
    deleted: bool = False
    parent: str | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricSummary:
    """A metric of a run: its newest value, how its history went, and some real points of it, oldest first.

    `lowest` and `highest` leave the `nans` out. `count` is how many points there are.
    """

    run_id: str
    key: str
    last: float | None
    lowest: float | None
    highest: float | None
    count: int
    nans: int
    first_step: int
    last_step: int
    points: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class MetricPoint:
    """One point of a metric's history; `value` None is NaN."""

    value: float | None
    timestamp: int
    step: int


@dataclass(frozen=True)
class UsedDataset:
    """A data set that a run read; `context` is a word such as `training`."""

    name: str
    digest: str
    context: str | None
    source_type: str
    source: str


@dataclass(frozen=True)
class RelatedRun:
    """A run in the family of another one; `parent` is the id of the run right around it."""

    id: str
    name: str
    status: RunStatus
    started_at: int
    ended_at: int | None
    parent: str | None = None


@dataclass(frozen=True)
class RunModel:
    """A logged model that a run wrote (`output`) or read (`input`). `name` None: it is not kept here."""

    id: str
    direction: str
    step: int = 0
    name: str | None = None
    status: str | None = None


@dataclass(frozen=True)
class MadeVersion:
    """A version that was registered from a run. `stage` is the one it is in now."""

    model: str
    version: int
    stage: str


@dataclass(frozen=True)
class RunReport:
    """Everything about one run. `parents` are nearest first, `children` with all below them, a parent before its own.

    `files` lies directly in the run's folder. `more_children` and `more_versions` say that some were left out.
    """

    run: RunSummary
    metrics: tuple[MetricSummary, ...]
    datasets: tuple[UsedDataset, ...]
    context: Context
    parents: tuple[RelatedRun, ...]
    children: tuple[RelatedRun, ...]
    models: tuple[RunModel, ...]
    versions: tuple[MadeVersion, ...]
    artifact_uri: str
    files: tuple[FolderEntry, ...]
    more_children: bool = False
    more_versions: bool = False
