"""Experiments, runs and logged models: what is allowed, what is said where it is not, and what hangs together."""

from __future__ import annotations

import json
from typing import Any

import pytest

from greenroom.core.errors import AlreadyExists, GreenroomError, InvalidInput, NotFound
from greenroom.core.tracking import DatasetInput, LoggedDataset, Metric, ModelOutput
from greenroom.services import tracking_searching
from greenroom.services.commands import tracking as c
from tests.tracking.conftest import Do

RUN, GONE, MODEL = "a" * 32, "d" * 32, "m-" + "b" * 32
DATA = DatasetInput(LoggedDataset("d", "1", "local", "{}"))


@pytest.fixture
def run(do: Do) -> Any:
    """A run, another one that is deleted, and a logged model."""
    do("create_run", c.CreateRun(GONE, 1, 0))
    do("delete_run", c.RunNamed(GONE))
    do("create_logged_model", c.CreateLoggedModel(MODEL, 1, 0, "clf"))
    return do("create_run", c.CreateRun(RUN, 1, 0, name="one"))


def metric(key: str = "m", **fields: Any) -> Metric:
    return Metric(**{"key": key, "value": 1.0, "timestamp": 1, **fields})


def test_everybody_starts_with_an_experiment(do: Do) -> None:
    found = do("get_experiment", c.ExperimentNamed(0))
    assert (found.name, found.artifact_location, found.deleted) == ("Default", "mlflow-artifacts:/0", False)


@pytest.mark.parametrize(
    ("location", "kept", "files"),
    [
        (None, "mlflow-artifacts:/1", f"mlflow-artifacts:/1/{RUN}/artifacts"),
        ("s3://bucket/x/", "s3://bucket/x", f"s3://bucket/x/{RUN}/artifacts"),
        ("mlflow-artifacts:/", "mlflow-artifacts:/", f"mlflow-artifacts:/{RUN}/artifacts"),
        ("mlflow-artifacts:/own/place", "mlflow-artifacts:/own/place", f"mlflow-artifacts:/own/place/{RUN}/artifacts"),
    ],
)
def test_where_files_are_kept(do: Do, location: str | None, kept: str, files: str) -> None:
    made = do("create_experiment", c.CreateExperiment("e", location))
    assert made.artifact_location == kept
    assert do("create_run", c.CreateRun(RUN, 1, made.id)).artifact_uri == files
    model = do("create_logged_model", c.CreateLoggedModel(MODEL, 1, made.id))
    assert model.artifact_uri == files.replace(RUN, f"models/{MODEL}")


@pytest.mark.parametrize(
    ("operation", "command", "kind", "said"),
    [
        ("create_experiment", c.CreateExperiment("  "), InvalidInput, "Invalid experiment name: '  '"),
        ("create_experiment", c.CreateExperiment("x" * 501), InvalidInput, "'name' exceeds the maximum length of 500"),
        ("create_experiment", c.CreateExperiment("a\x00b"), InvalidInput, "NUL"),
        ("create_experiment", c.CreateExperiment("a\u202eb"), InvalidInput, "invisible"),
        ("create_experiment", c.CreateExperiment("Default"), AlreadyExists, "Experiment(name=Default) already exists."),
        (
            "create_experiment",
            c.CreateExperiment("e", "s3://b/#x"),
            InvalidInput,
            "can't include fragments or params",
        ),
        ("create_experiment", c.CreateExperiment("e", "s3://b/../c"), InvalidInput, "'..' segment"),
        ("create_experiment", c.CreateExperiment("e", "runs:/x"), InvalidInput, "cannot be a runs:/ URI"),
        ("create_experiment", c.CreateExperiment("e", tags={"a;": "b"}), InvalidInput, "Names may only contain"),
        ("get_experiment", c.ExperimentNamed(99), NotFound, "No Experiment with id=99 exists"),
        ("get_experiment", c.ExperimentNamed(2**80), NotFound, "No Experiment with id="),
        ("find_experiment", c.ExperimentCalled("x"), NotFound, "Could not find experiment with name 'x'"),
        ("find_experiment", c.ExperimentCalled("\x00"), NotFound, "Could not find experiment"),
        ("rename_experiment", c.RenameExperiment(0, ""), InvalidInput, "Invalid experiment name"),
        ("restore_experiment", c.ExperimentNamed(0), NotFound, "No Experiment with id=0 exists"),
        (
            "delete_experiment_tag",
            c.DeleteExperimentTag(0, "k"),
            NotFound,
            "No tag with name: k in experiment with id 0",
        ),
        ("create_run", c.CreateRun("f" * 32, 1, 5), NotFound, "No Experiment with id=5 exists"),
        (
            "create_run",
            c.CreateRun("f" * 32, 1, 0, name="a", tags={"mlflow.runName": "b"}),
            InvalidInput,
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values",
        ),
        ("create_run", c.CreateRun("f" * 32, 1, 0, user_id="u\x00"), InvalidInput, "NUL"),
        ("get_run", c.RunNamed("f" * 32), NotFound, f"Run with id={'f' * 32} not found"),
        ("get_run", c.RunNamed("\x00"), NotFound, "Run with id=\\x00 not found"),
        ("update_run", c.UpdateRun(GONE, name="x"), InvalidInput, f"The run {GONE} must be in the 'active' state."),
        ("log_to_run", c.LogToRun(GONE, (metric(),)), InvalidInput, "Current state is deleted."),
        ("log_to_run", c.LogToRun("f/", (metric(),)), NotFound, "Run with id=f/ not found"),
        ("log_to_run", c.LogToRun(RUN, (metric("m;"),)), InvalidInput, "for parameter 'metrics[0].name' supplied"),
        ("log_to_run", c.LogToRun(RUN, (metric("m;"),), batch=False), InvalidInput, "for parameter 'name' supplied"),
        ("log_to_run", c.LogToRun(RUN, (metric("../m"),)), InvalidInput, "This name would resolve to '../m'"),
        ("log_to_run", c.LogToRun(RUN, (metric(""),)), InvalidInput, "Names may only contain"),
        ("log_to_run", c.LogToRun(RUN, (metric("m" * 251),)), InvalidInput, "'Metric name' exceeds the maximum length"),
        ("log_to_run", c.LogToRun(RUN, (metric(timestamp=-1),)), InvalidInput, "Timestamp must be a nonnegative long"),
        ("log_to_run", c.LogToRun(RUN, (metric(),) * 1001), InvalidInput, "at most 1000 metrics. Got 1001 metrics."),
        ("log_to_run", c.LogToRun(RUN, params=(("p", "1"),) * 101), InvalidInput, "at most 100 params"),
        (
            "log_to_run",
            c.LogToRun(RUN, (metric(),) * 1000, (("p", "1"),)),
            InvalidInput,
            "at most 1000 metrics, params, and tags",
        ),
        ("log_to_run", c.LogToRun(RUN, params=(("p", "1"), ("p", "1"))), InvalidInput, "Duplicate parameter keys"),
        ("log_to_run", c.LogToRun(RUN, params=(("p", "\x00"),)), InvalidInput, "NUL"),
        ("log_to_run", c.LogToRun(RUN, tags={"t": "\ud800"}), InvalidInput, "surrogate"),
        ("log_to_run", c.LogToRun(RUN, (metric(model_id="m-1"),)), NotFound, "Logged model with ID 'm-1' not found."),
        ("delete_run_tag", c.DeleteRunTag(RUN, "k"), NotFound, f"No tag with name: k in run with id {RUN}"),
        ("log_inputs", c.LogInputs(RUN, (DATA,) * 1001), InvalidInput, "1001 inputs are too many"),
        ("log_inputs", c.LogInputs(RUN, models=("x",)), InvalidInput, "'x' is not the id of a logged model"),
        (
            "log_inputs",
            c.LogInputs(RUN, (DatasetInput(LoggedDataset("d", "1" * 37, "", "")),)),
            InvalidInput,
            "'digest' exceeds the maximum length of 36 characters",
        ),
        ("log_outputs", c.LogOutputs(GONE, (ModelOutput(MODEL),)), InvalidInput, "Current state is deleted."),
        ("create_logged_model", c.CreateLoggedModel("m-1", 1, 0, "a/b"), InvalidInput, "Invalid model name ('a/b')"),
        ("create_logged_model", c.CreateLoggedModel("m-1", 1, 9), NotFound, "No Experiment with id=9 exists"),
        ("get_logged_model", c.LoggedModelNamed("m-x"), NotFound, "Logged model with ID 'm-x' not found."),
        ("untag_logged_model", c.UntagLoggedModel(MODEL, "k"), NotFound, "No tag with key 'k' found for model with ID"),
        ("log_model_params", c.LogModelParams(MODEL, {"a;": ""}), InvalidInput, "Names may only contain"),
        ("search_runs", c.SearchRuns((0,), page_size=0), InvalidInput, "It must be a positive integer"),
        ("search_runs", c.SearchRuns((0,), page_size=50_001), InvalidInput, "It must be at most 50000"),
        ("search_runs", c.SearchRuns((0,), page_token="x"), InvalidInput, "Invalid page token"),
        ("search_runs", c.SearchRuns(tuple(range(30_001))), InvalidInput, "30001 experiment_ids are too many"),
        (
            "search_logged_models",
            c.SearchLoggedModels((0,), datasets=(("d", "1"),) * 201),
            InvalidInput,
            "201 datasets are too many",
        ),
        ("metric_history", c.MetricHistory((RUN,), "m", 1, "x"), InvalidInput, "Invalid page token"),
    ],
)
def test_what_is_refused(do: Do, run: Any, operation: str, command: Any, kind: type[GreenroomError], said: str) -> None:
    with pytest.raises(kind) as caught:
        do(operation, command)
    assert said in str(caught.value)
    assert do("get_run", c.RunNamed(RUN)) == run  # nothing of it happened


def test_experiments_that_cannot_be_are_not_found(do: Do, run: Any) -> None:
    ids = (2**63, -(2**63) - 1, 10**39, -1, *[0] * 40_000)
    assert [each.id for each in do("search_runs", c.SearchRuns(ids)).items] == [RUN]
    assert do("search_runs", c.SearchRuns((2**63,))).items == ()
    assert do("search_logged_models", c.SearchLoggedModels((2**63, 0))).items
    most = tuple((f"d{at}", "1") for at in range(200))
    full = c.SearchLoggedModels((0,), " AND ".join(["metrics.a > 1"] * 64), most, (c.OrderKey("metrics.a"),) * 8)
    assert do("search_logged_models", full).items == ()
    assert do("search_runs", c.SearchRuns(tuple(range(30_000)), "params.a = '1'")).items == ()


@pytest.mark.parametrize(
    ("key", "value", "kept"),
    [("p", "x" * 6001, "x" * 6000), ("p", "é" * 6000, "é" * 6000)],
)
def test_long_parameters_are_cut(do: Do, run: Any, key: str, value: str, kept: str) -> None:
    for _ in range(2):  # the same again is the same value
        do("log_to_run", c.LogToRun(RUN, params=((key, value),), tags={key: value * 2}))
    found = do("get_run", c.RunNamed(RUN))
    assert found.params == {key: kept}
    assert found.tags[key] == (value * 2)[:8000]


def test_a_name_and_its_tag_are_one(do: Do, run: Any) -> None:
    def names() -> tuple[str, str]:
        found = do("get_run", c.RunNamed(RUN))
        return found.name, found.tags["mlflow.runName"]

    assert names() == ("one", "one")
    do("log_to_run", c.LogToRun(RUN, tags={"mlflow.runName": "two"}, batch=False))
    assert names() == ("two", "two")
    do("update_run", c.UpdateRun(RUN, name="three"))
    assert names() == ("three", "three")
    do("log_to_run", c.LogToRun(RUN, tags={"mlflow.runName": ""}))  # no name is no new name
    assert names() == ("three", "three")


def test_names_are_made_where_none_is_given(do: Do) -> None:
    made = do("create_run", c.CreateRun(RUN, 123456, 0))
    assert made.name == made.tags["mlflow.runName"]
    assert made.name.count("-") == 2


def test_a_deleted_name_stays_taken(do: Do) -> None:
    made = do("create_experiment", c.CreateExperiment("e"))
    do("delete_experiment", c.ExperimentNamed(made.id))
    with pytest.raises(AlreadyExists, match="It is deleted: restore it"):
        do("create_experiment", c.CreateExperiment("e"))
    with pytest.raises(InvalidInput, match="Cannot rename a non-active experiment"):
        do("rename_experiment", c.RenameExperiment(made.id, "f"))
    do("restore_experiment", c.ExperimentNamed(made.id))
    assert do("rename_experiment", c.RenameExperiment(made.id, "f")).name == "f"
    assert do("create_experiment", c.CreateExperiment("e")).id == made.id + 1


def test_records_of_models_are_a_list(do: Do, run: Any) -> None:
    for name in ("a", "b", "a"):
        do("log_model_record", c.LogModelRecord(RUN, json.dumps({"artifact_path": name})))
    kept = json.loads(do("get_run", c.RunNamed(RUN)).tags["mlflow.log-model.history"])
    assert [each["artifact_path"] for each in kept] == ["a", "b"]


def test_records_of_models_do_not_grow_for_ever(do: Do, run: Any) -> None:
    for at in range(4):
        do("log_model_record", c.LogModelRecord(RUN, json.dumps({"artifact_path": str(at) * 1_000_000})))
    with pytest.raises(InvalidInput, match=r"'mlflow.log-model.history' exceeds the maximum length of 4194304"):
        do("log_model_record", c.LogModelRecord(RUN, json.dumps({"artifact_path": "4" * 1_000_000})))
    assert len(json.loads(do("get_run", c.RunNamed(RUN)).tags["mlflow.log-model.history"])) == 4


@pytest.mark.parametrize("nonsense", ["x", "{}", "[" * 100_000, "3"])
def test_records_survive_nonsense_in_their_place(do: Do, run: Any, nonsense: str) -> None:
    do("log_to_run", c.LogToRun(RUN, tags={"mlflow.log-model.history": nonsense}))
    do("log_model_record", c.LogModelRecord(RUN, "{}"))
    assert do("get_run", c.RunNamed(RUN)).tags["mlflow.log-model.history"] == "[{}]"


def test_a_data_set_is_one_in_its_experiment(do: Do, run: Any) -> None:
    do("create_run", c.CreateRun("c" * 32, 1, 0))
    for run_id in (RUN, "c" * 32):
        do("log_inputs", c.LogInputs(run_id, (DATA,)))
        assert do("get_run", c.RunNamed(run_id)).datasets == (DATA,)


def test_a_page_of_long_texts_ends_early(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next page goes on where it ended, and nothing is left out."""
    monkeypatch.setattr(tracking_searching, "PAGE_BYTES", 20_000)
    monkeypatch.setattr(tracking_searching, "_PORTION", 3)
    ids = [f"{number:032x}" for number in range(20)]
    for run_id in ids:
        do("create_run", c.CreateRun(run_id, 1, 0, tags={"long": "x" * 3000}))
    seen: list[str] = []
    sizes: list[int] = []
    token = None
    while True:
        page = do("search_runs", c.SearchRuns((0,), page_token=token, order_by=("run_id",)))
        seen += [run.id for run in page.items]
        sizes.append(len(page.items))
        token = page.next_page_token
        if token is None:
            break
    assert seen == ids
    assert sizes == [6, 6, 6, 2]


def test_names_that_fit_into_no_token_are_told(do: Do) -> None:
    """Every order and every text gives a page or a clear answer."""
    for number in range(3):
        made = do("create_experiment", c.CreateExperiment(f"{number}" + "\U0001f600" * 499))
        for at in range(2):
            name = "\U0001f600" * 300
            do("create_run", c.CreateRun(f"{number}{at}" * 16, 1, made.id, name, user_id="\U0001f600" * 250))
    with pytest.raises(InvalidInput, match="too long to go on behind them"):
        do("search_experiments", c.SearchExperiments(order_by=("name",), page_size=1))
    with pytest.raises(InvalidInput, match="too long to go on behind them"):
        do("search_runs", c.SearchRuns((1, 2, 3), order_by=("user_id", "run_name"), page_size=1))
    assert len(do("search_experiments", c.SearchExperiments(order_by=("name",))).items) == 4
    assert do("search_runs", c.SearchRuns((1, 2, 3), page_size=1)).next_page_token
