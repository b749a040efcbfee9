"""The tables of experiments, runs and logged models: what MLflow's clients log.

None is lifecycle state: points come by the thousand and carry no audit event. What matters of them is copied, under the
version's digest, when a version is registered (design, section 6). Rows are durable when answered, like all others.
Runs have a number of their own (`run_no`), so that a point costs eight bytes and not the run's 32 letters.
Times are UTC milliseconds. A NaN is stored as value 0 with `is_nan` 1, infinities as the largest doubles, as in MLflow.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    SmallInteger,
    Table,
    UniqueConstraint,
)

from greenroom.store.columns import flag, integer, key, start, string, table


def _value() -> tuple[Column[Any], Column[Any]]:
    return Column("value", Double, nullable=False), flag("is_nan")


def _of_run() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run_no"], ["run.no"])


def _pairs(name: str, owner: Column[Any], of: ForeignKeyConstraint) -> Table:
    """Texts by key that hang on something: tags, parameters."""
    made = table(name, owner, key("key"), string("value"), of)
    Index(f"ix_{name}_key", made.c.key, start(made.c.value))
    return made


experiment = table(
    "experiment",
    key("id", BigInteger),
    string("name"),
    string("artifact_location"),
    integer("created_at"),
    integer("updated_at"),
    integer("deleted_at", null=True),
    UniqueConstraint("name"),  # deleted ones keep their names, as on a stock server
)
Index("ix_experiment_created", experiment.c.created_at, experiment.c.id)
experiment_tag = _pairs(
    "experiment_tag",
    key("experiment_id", BigInteger),
    ForeignKeyConstraint(["experiment_id"], ["experiment.id"]),
)

run = table(
    "run",
    key("no", BigInteger),
    string("id"),
    integer("experiment_id"),
    string("name"),
    string("user_id"),
    string("status"),
    integer("start_time"),  # the time of the request where the client gives none: runs are listed by it
    integer("end_time", null=True),
    integer("deleted_at", null=True),
    ForeignKeyConstraint(["experiment_id"], ["experiment.id"]),
    UniqueConstraint("id"),
    CheckConstraint("status IN ('RUNNING', 'SCHEDULED', 'FINISHED', 'FAILED', 'KILLED')", name="status"),
)
Index("ix_run_experiment", run.c.experiment_id, run.c.start_time, run.c.id)
Index("ix_run_start", run.c.start_time, run.c.id)  # the newest runs of all experiments
Index("ix_run_name", run.c.name, run.c.start_time)
run_tag = _pairs("run_tag", key("run_no", BigInteger), _of_run())
run_param = _pairs("run_param", key("run_no", BigInteger), _of_run())

# The newest value of every metric of a run: newest by step, then time, then value.
run_metric = table(
    "run_metric",
    key("run_no", BigInteger),
    key("key"),
    *_value(),
    integer("timestamp"),
    integer("step"),
    _of_run(),
)
Index("ix_run_metric_key", run_metric.c.key, run_metric.c.value)
# Every point, once: the same point sent again is the same row, so a client that retries doubles nothing.
metric_point = table(
    "metric_point",
    key("run_no", BigInteger),
    key("key"),
    key("timestamp", BigInteger),
    key("step", BigInteger),
    Column("value", Double, primary_key=True, nullable=False),
    Column("is_nan", SmallInteger, primary_key=True, nullable=False),
    _of_run(),
    sqlite_with_rowid=False,
)

dataset = table(
    "dataset",
    key("no", BigInteger),
    integer("experiment_id"),
    string("name"),
    string("digest"),
    string("source_type"),
    string("source"),
    string("schema", null=True),
    string("profile", null=True),
    ForeignKeyConstraint(["experiment_id"], ["experiment.id"]),
    UniqueConstraint("experiment_id", "name", "digest"),
)
run_dataset = table(
    "run_dataset",
    key("run_no", BigInteger),
    key("dataset_no", BigInteger),
    integer("position"),
    string("tags"),  # JSON object: MLflow's input tags, `mlflow.data.context` above all
    string("context", null=True),  # that tag's value once more, to be searched
    _of_run(),
    ForeignKeyConstraint(["dataset_no"], ["dataset.no"]),
)
Index("ix_run_dataset_dataset", run_dataset.c.dataset_no)

logged_model = table(
    "logged_model",
    key("id"),
    integer("experiment_id"),
    string("name"),
    string("status"),
    string("status_message", null=True),
    string("model_type", null=True),
    string("source_run_id", null=True),
    integer("created_at"),
    integer("updated_at"),
    integer("deleted_at", null=True),
    ForeignKeyConstraint(["experiment_id"], ["experiment.id"]),
)
Index("ix_logged_model_experiment", logged_model.c.experiment_id, logged_model.c.created_at, logged_model.c.id)
Index("ix_logged_model_run", logged_model.c.source_run_id)


def _of_model() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["model_id"], ["logged_model.id"])


logged_model_tag = _pairs("logged_model_tag", key("model_id"), _of_model())
logged_model_param = _pairs("logged_model_param", key("model_id"), _of_model())
logged_model_metric = table(
    "logged_model_metric",
    key("model_id"),
    key("key"),
    key("timestamp", BigInteger),
    key("step", BigInteger),
    key("run_id"),
    key("dataset_name"),  # "" where the point names no data set
    key("dataset_digest"),
    *_value(),
    _of_model(),
)
# Which logged models a run read and wrote.
run_model = table(
    "run_model",
    key("run_no", BigInteger),
    key("direction"),
    key("model_id"),
    integer("step"),
    integer("position"),
    _of_run(),
    CheckConstraint("direction IN ('input', 'output')", name="direction"),
)
Index("ix_run_model_model", run_model.c.model_id)

TRACKED = (
    experiment,
    experiment_tag,
    run,
    run_tag,
    run_param,
    run_metric,
    metric_point,
    dataset,
    run_dataset,
    logged_model,
    logged_model_tag,
    logged_model_param,
    logged_model_metric,
    run_model,
)
