"""What can be asked about experiments, runs and logged models. No native routes: MLflow's client is the logging API."""

from __future__ import annotations

from typing import Any

from greenroom.core import tracking as t
from greenroom.core.model import Page
from greenroom.services.commands import tracking as c
from greenroom.services.commands.versions import VersionNamed
from greenroom.services.operation import Mode, Operation


def _row(
    name: str, permission: str, mode: Mode, command: type[Any], result: Any, module: str, summary: str
) -> Operation:
    function = f"{name}_view" if name.startswith("get_") else name
    return Operation(name, "", "", permission, mode, command, result, f"tracking_{module}:{function}", summary)


_SEARCH, _WRITE, _LOG = Mode.SEARCH, Mode.WRITE, Mode.LOG

# What gives a number (of an experiment, a run, a data set), reads before it writes, or is audited is WRITE.
TRACKING: tuple[Operation, ...] = (
    _row("create_experiment", "log", _WRITE, c.CreateExperiment, t.Experiment, "experiments", "Make an experiment"),
    _row("get_experiment", "read", _SEARCH, c.ExperimentNamed, t.Experiment, "experiments", "Read an experiment"),
    _row(
        "find_experiment",
        "read",
        _SEARCH,
        c.ExperimentCalled,
        t.Experiment,
        "experiments",
        "Read an experiment by name",
    ),
    _row(
        "rename_experiment", "manage", _WRITE, c.RenameExperiment, t.Experiment, "experiments", "Rename an experiment"
    ),
    _row(
        "delete_experiment",
        "manage",
        _WRITE,
        c.ExperimentNamed,
        None,
        "experiments",
        "Delete an experiment and its runs",
    ),
    _row(
        "restore_experiment",
        "manage",
        _WRITE,
        c.ExperimentNamed,
        None,
        "experiments",
        "Restore an experiment and its runs",
    ),
    _row("set_experiment_tag", "log", _LOG, c.SetExperimentTag, None, "experiments", "Set a tag of an experiment"),
    _row(
        "delete_experiment_tag",
        "log",
        _LOG,
        c.DeleteExperimentTag,
        None,
        "experiments",
        "Remove a tag of an experiment",
    ),
    _row(
        "search_experiments",
        "read",
        _SEARCH,
        c.SearchExperiments,
        Page[t.Experiment],
        "searching",
        "Search experiments",
    ),
    _row("create_run", "log", _WRITE, c.CreateRun, t.Run, "runs", "Start a run"),
    _row("get_run", "read", _SEARCH, c.RunNamed, t.Run, "runs", "Read a run"),
    _row("update_run", "log", _LOG, c.UpdateRun, t.Run, "runs", "Change a run's status, end or name"),
    _row(
        "versions_to_complete",
        "read",
        _SEARCH,
        c.UpdateRun,
        tuple[VersionNamed, ...],
        "ending",
        "List versions that lack something of their run",
    ),
    _row("complete_version", "log", _WRITE, VersionNamed, None, "ending", "Add to a version what its run logged since"),
    _row("delete_run", "log", _WRITE, c.RunNamed, None, "runs", "Delete a run"),
    _row("restore_run", "log", _WRITE, c.RunNamed, None, "runs", "Restore a run"),
    _row("search_runs", "read", _SEARCH, c.SearchRuns, Page[t.Run], "searching", "Search runs"),
    _row("log_to_run", "log", _LOG, c.LogToRun, None, "logging", "Add metrics, parameters and tags to a run"),
    _row("delete_run_tag", "log", _LOG, c.DeleteRunTag, None, "logging", "Remove a tag of a run"),
    _row("log_inputs", "log", _WRITE, c.LogInputs, None, "logging", "Note what a run reads"),
    _row("log_outputs", "log", _LOG, c.LogOutputs, None, "logging", "Note the models that a run writes"),
    _row("log_model_record", "log", _WRITE, c.LogModelRecord, None, "logging", "Note a model among a run's files"),
    _row("metric_history", "read", _SEARCH, c.MetricHistory, Page[t.Metric], "logging", "Every point of a metric"),
    _row("create_logged_model", "log", _LOG, c.CreateLoggedModel, t.LoggedModel, "models", "Make a logged model"),
    _row("get_logged_model", "read", _SEARCH, c.LoggedModelNamed, t.LoggedModel, "models", "Read a logged model"),
    _row(
        "finish_logged_model",
        "log",
        _LOG,
        c.FinishLoggedModel,
        t.LoggedModel,
        "models",
        "Say whether a logged model is whole",
    ),
    _row("delete_logged_model", "log", _WRITE, c.LoggedModelNamed, None, "models", "Delete a logged model"),
    _row("tag_logged_model", "log", _LOG, c.TagLoggedModel, None, "models", "Set tags of a logged model"),
    _row("untag_logged_model", "log", _LOG, c.UntagLoggedModel, None, "models", "Remove a tag of a logged model"),
    _row("log_model_params", "log", _LOG, c.LogModelParams, None, "models", "Add parameters to a logged model"),
    _row(
        "search_logged_models",
        "read",
        _SEARCH,
        c.SearchLoggedModels,
        Page[t.LoggedModel],
        "searching",
        "Search logged models",
    ),
)
