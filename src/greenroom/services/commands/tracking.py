"""Commands about experiments, runs and logged models. Ids and random numbers come in: a use case makes none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from greenroom.core.tracking import DatasetInput, GivenMetric, ModelOutput, ModelStatus, RunStatus, Which


@dataclass(frozen=True)
class CreateExperiment:
    """Make an experiment; without `artifact_location` its files are kept here."""

    name: str
    artifact_location: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ExperimentNamed:
    """Name an experiment by its id (get it, deleted ones too; delete; restore)."""

    id: int


@dataclass(frozen=True)
class ExperimentCalled:
    """Name an experiment by its name; deleted ones too."""

    name: str


@dataclass(frozen=True)
class RenameExperiment:
    """Give an experiment another name."""

    id: int
    new_name: str


@dataclass(frozen=True)
class SetExperimentTag:
    """Set one tag of an experiment."""

    id: int
    key: str
    value: str


@dataclass(frozen=True)
class DeleteExperimentTag:
    """Remove one tag of an experiment."""

    id: int
    key: str


@dataclass(frozen=True)
class SearchExperiments:
    """Search experiments."""

    filter: str | None = None
    order_by: tuple[str, ...] = ()
    page_size: int = 1000
    page_token: str | None = None
    which: Which = Which.ACTIVE


@dataclass(frozen=True)
class CreateRun:
    """Start a run. `id` is 32 random hexadecimal digits, `random` any random number, for a name where none is given."""

    id: str
    random: int
    experiment_id: int
    name: str | None = None
    user_id: str = ""
    start_time: int | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunNamed:
    """Name a run by its id (get it, deleted ones too; delete; restore)."""

    id: str


@dataclass(frozen=True)
class UpdateRun:
    """Change a run's status, end or name; None leaves each as it is."""

    id: str
    status: RunStatus | None = None
    end_time: int | None = None
    name: str | None = None


@dataclass(frozen=True)
class LogToRun:
    """Add points of metrics, parameters and tags to a run: all of them or, when one is refused, none.

    `params` are pairs, because a request may hold one key twice. `batch`: errors say which part of the request it was.
    """

    run_id: str
    metrics: tuple[GivenMetric, ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    batch: bool = True


@dataclass(frozen=True)
class DeleteRunTag:
    """Remove one tag of a run. NotFound when it has no such tag."""

    run_id: str
    key: str


@dataclass(frozen=True)
class LogInputs:
    """Note the data sets and logged models that a run reads. The same one twice is one."""

    run_id: str
    datasets: tuple[DatasetInput, ...] = ()
    models: tuple[str, ...] = ()


@dataclass(frozen=True)
class LogOutputs:
    """Note the logged models that a run writes."""

    run_id: str
    models: tuple[ModelOutput, ...]


@dataclass(frozen=True)
class LogModelRecord:
    """Append one record to a run's `mlflow.log-model.history` (what 2.x clients do after they put a model's files)."""

    run_id: str
    record: str


@dataclass(frozen=True)
class SearchRuns:
    """Search runs of experiments."""

    experiment_ids: tuple[int, ...] = ()
    filter: str | None = None
    order_by: tuple[str, ...] = ()
    page_size: int = 1000
    page_token: str | None = None
    which: Which = Which.ACTIVE


@dataclass(frozen=True)
class MetricHistory:
    """Every point of one metric of runs, by run, time, step and value. `page_size` None: all of them."""

    run_ids: tuple[str, ...]
    key: str
    page_size: int | None = None
    page_token: str | None = None


@dataclass(frozen=True)
class CreateLoggedModel:
    """Make a logged model whose files come next. `id` is `m-` and 32 random hexadecimal digits."""

    id: str
    random: int
    experiment_id: int
    name: str | None = None
    model_type: str | None = None
    source_run_id: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LoggedModelNamed:
    """Name a logged model (get, delete). `deleted`: one that was deleted is given too."""

    id: str
    deleted: bool = False


@dataclass(frozen=True)
class FinishLoggedModel:
    """Say whether all files of a logged model are there."""

    id: str
    status: ModelStatus


@dataclass(frozen=True)
class TagLoggedModel:
    """Set tags of a logged model."""

    id: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class UntagLoggedModel:
    """Remove one tag of a logged model. NotFound when it has no such tag."""

    id: str
    key: str


@dataclass(frozen=True)
class LogModelParams:
    """Add parameters to a logged model."""

    id: str
    params: Mapping[str, str]


@dataclass(frozen=True)
class OrderKey:
    """One key of the order of a search over logged models."""

    field: str
    descending: bool = False
    dataset_name: str | None = None
    dataset_digest: str | None = None


@dataclass(frozen=True)
class SearchLoggedModels:
    """Search logged models of experiments. `datasets` are (name, digest or None): only metrics on these count."""

    experiment_ids: tuple[int, ...] = ()
    filter: str | None = None
    datasets: tuple[tuple[str, str | None], ...] = ()
    order_by: tuple[OrderKey, ...] = ()
    page_size: int = 100
    page_token: str | None = None
