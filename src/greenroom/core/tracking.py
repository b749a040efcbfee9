"""What was trained: experiments, runs with their metrics, parameters and tags, data sets, logged models. Pure.

These are no lifecycle state. A version that is registered from a run copies what matters of it and pins it by digest;
the run may change or go afterwards. Times are UTC milliseconds; ids of runs are 32 hexadecimal digits, those of logged
models `m-` and 32 of them. None means "not known" or "not yet".
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from greenroom.core.errors import InvalidInput
from greenroom.core.names import shown

DEFAULT_EXPERIMENT = 0
LARGEST = 1.7976931348623157e308
"""What stands for infinity: stores and JSON have none."""


class RunStatus(StrEnum):
    """How far a run is."""

    RUNNING = "RUNNING"
    SCHEDULED = "SCHEDULED"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


class ModelStatus(StrEnum):
    """How far a logged model is; only its client knows when the last file is there."""

    PENDING = "PENDING"
    READY = "READY"
    UPLOAD_FAILED = "UPLOAD_FAILED"


class Which(StrEnum):
    """Which of living and deleted experiments or runs an answer holds."""

    ACTIVE = "active"
    DELETED = "deleted"
    ALL = "all"


@dataclass(frozen=True)
class Experiment:
    """A folder of runs. `artifact_location` is the URI below which its runs keep their files."""

    id: int
    name: str
    artifact_location: str
    created_at: int
    updated_at: int
    deleted: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Metric:
    """One point of a metric. `value` may be NaN; infinities are the largest doubles.

    `model_id`, `dataset_name`, `dataset_digest` and `run_id` say what was measured, where the client told it.
    """

    key: str
    value: float
    timestamp: int
    step: int = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None
    run_id: str | None = None


class GivenMetric(Protocol):
    """A point as it comes in: a `Metric`, or what an edge reads quicker, for points come by the thousand."""

    @property
    def key(self) -> str:
        """See `Metric`, also for the others."""

    @property
    def value(self) -> float:
        """See `Metric`."""

    @property
    def timestamp(self) -> int:
        """See `Metric`."""

    @property
    def step(self) -> int:
        """See `Metric`."""

    @property
    def model_id(self) -> str | None:
        """See `Metric`."""

    @property
    def dataset_name(self) -> str | None:
        """See `Metric`."""

    @property
    def dataset_digest(self) -> str | None:
        """See `Metric`."""


@dataclass(frozen=True)
class LoggedDataset:
    """A data set that a run used. Within an experiment name and digest identify it."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None = None
    profile: str | None = None


@dataclass(frozen=True)
class DatasetInput:
    """A data set as a run used it; `tags` holds `mlflow.data.context` (training, evaluation, ...)."""

    dataset: LoggedDataset
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelOutput:
    """A logged model that a run wrote, and at which step."""

    model_id: str
    step: int = 0


@dataclass(frozen=True)
class Run:
    """One training. `metrics` holds the newest point of every key; the whole history is asked for by key."""

    id: str
    experiment_id: int
    name: str
    user_id: str
    status: RunStatus
    start_time: int
    end_time: int | None
    artifact_uri: str
    deleted: bool = False
    metrics: tuple[Metric, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DatasetInput, ...] = ()
    model_inputs: tuple[str, ...] = ()
    model_outputs: tuple[ModelOutput, ...] = ()


@dataclass(frozen=True)
class LoggedModel:
    """A model that a run wrote: its files are below `artifact_uri`, its status says whether all are there."""

    id: str
    experiment_id: int
    name: str
    artifact_uri: str
    status: ModelStatus
    created_at: int
    updated_at: int
    model_type: str | None = None
    source_run_id: str | None = None
    status_message: str | None = None
    deleted: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()


def rank(metric: Metric) -> tuple[int, int, float, bool]:
    """Return what makes a point newer than another of its key: step, then time, then value; NaN is just below 0."""
    nan = math.isnan(metric.value)
    return metric.step, metric.timestamp, 0.0 if nan else metric.value, not nan


def newest(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Return the newest point of every key."""
    found: dict[str, Metric] = {}
    for each in metrics:
        known = found.get(each.key)
        if known is None or rank(each) > rank(known):
            found[each.key] = each
    return found


def stored_value(value: float) -> float:
    """Return the value as it is kept: infinities as the largest doubles, -0.0 as 0.0, anything else as it is."""
    return math.copysign(LARGEST, value) if math.isinf(value) else value + 0.0


def check_params(known: Mapping[str, str], given: Iterable[tuple[str, str]], run_id: str, *, listed: bool) -> None:
    """Raise InvalidInput naming every parameter whose value in the store is another. A parameter never changes.

    `listed`: they came in a batch, and the sentence is that for batches.
    """
    changed = [(key, known[key], value) for key, value in given if known.get(key, value) != value]
    if not changed:
        return
    hint = "Log it under another key, or start a new run."
    if not listed:
        key, old, new = changed[0]
        raise InvalidInput(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with value="
            f"'{shown(old)}' for run ID='{run_id}'. Attempted logging new value '{shown(new)}'.",
            hint=hint,
            param=key,
        )
    told = [{"key": key, "old_value": shown(old), "new_value": shown(new)} for key, old, new in changed[:10]]
    raise InvalidInput(
        f"Changing param values is not allowed. Params were already logged='{told}' for run ID='{run_id}'.", hint=hint
    )


_ADJECTIVES = (
    "able amber bold brave bright brisk calm candid clever crisp curious deft eager fair fond gentle glad grand handy "
    "honest humble jolly keen kind light lively lucid lucky merry mild modest neat nimble noble patient plucky polite "
    "proud quick quiet rapid rare ready robust shy silent sleek smart smooth spry steady sturdy subtle sunny swift "
    "tidy true upbeat vivid warm wise witty zesty"
).split()
_NOUNS = (
    "ant auk bat bear bee bird boar bug carp cat chimp cod colt conch cow crab crane croc crow cub deer doe dog dove "
    "duck eel elk fawn finch fish flea fly foal fowl fox frog gnat gnu goat goose grouse grub gull hare hawk hen hog "
    "horse hound jay kit kite koi lamb lark loon lynx mare midge mink mole moose moth mouse mule newt owl ox panda "
    "perch pig pug quail ram rat ray robin roo rook seal shad shark sheep shoat shrew shrike shrimp skink skunk sloth "
    "slug snail snake snipe sow sponge squid squirrel stag steed stoat stork swan tern toad trout turtle vole wasp "
    "whale wolf worm wren yak"
).split()


def run_name(number: int) -> str:
    """Return a name for a run without one, such as `keen-hawk-482`; `number` is any random one."""
    number, adjective = divmod(number, len(_ADJECTIVES))
    number, noun = divmod(number, len(_NOUNS))
    return f"{_ADJECTIVES[adjective]}-{_NOUNS[noun]}-{number % 1000}"
