"""What a real MLflow client does when it tracks runs, as small scenarios; runs inside the client's own environment.

    python tracking_calls.py URL PREFIX [SCENARIO ...]

prints one JSON object: the scenario's name -> what the client got. Written for 2.x and 3.x clients alike; only the
tracking URI is set, as in anybody's notebook.
"""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # a 5xx shows at once, not after minutes
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import numpy  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.entities import Metric, Param, RunTag  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402

THREE = not mlflow.__version__.startswith("2.")
SCENARIOS: dict[str, Callable[[MlflowClient, str], Any]] = {}
X, Y = load_iris(return_X_y=True)


def scenario(function: Callable[[MlflowClient, str], Any]) -> Callable[[MlflowClient, str], Any]:
    SCENARIOS[function.__name__] = function
    return function


def tried(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a call gives, or its error as [code, text]."""
    try:
        return function(*args, **kwargs)
    except MlflowException as exc:
        return [exc.error_code, exc.message]


def own(tags: dict[str, str]) -> dict[str, str]:
    """Return the tags that a client does not make itself."""
    return {key: value for key, value in sorted(tags.items()) if not key.startswith("mlflow.")}


@scenario
def a_run(client: MlflowClient, name: str) -> Any:
    mlflow.set_experiment(name)
    with mlflow.start_run(run_name="first", description="about it") as run:
        mlflow.log_param("depth", 3)
        mlflow.log_params({"lr": 0.1, "kind": "tree"})
        for step in range(4):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.log_metrics({"nan": math.nan, "inf": math.inf, "low": -math.inf}, step=2)
        mlflow.set_tag("k", "v")
        mlflow.set_tags({"l": "w", "m": "x"})
        mlflow.delete_tag("m")
        running = client.get_run(run.info.run_id).info.status
    found = client.get_run(run.info.run_id)
    return {
        "states": [running, found.info.status],
        "name": [found.info.run_name, found.data.tags["mlflow.note.content"]],
        "params": dict(found.data.params),
        "metrics": {key: repr(value) for key, value in found.data.metrics.items()},
        "tags": own(found.data.tags),
        "loss": [[each.step, each.value] for each in client.get_metric_history(run.info.run_id, "loss")],
    }


@scenario
def nested_runs(client: MlflowClient, name: str) -> Any:
    experiment = mlflow.set_experiment(name).experiment_id
    with mlflow.start_run() as parent:
        for depth in range(3):
            with mlflow.start_run(nested=True):
                mlflow.log_param("depth", depth)
    try:
        with mlflow.start_run():
            raise ArithmeticError
    except ArithmeticError:
        pass
    children = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent.info.run_id}'")
    failed = client.search_runs([experiment], "attributes.status = 'FAILED'")
    return [sorted(each.data.params["depth"] for each in children), len(failed), len(mlflow.search_runs())]


@scenario
def batches(client: MlflowClient, name: str) -> Any:
    run = client.create_run(client.create_experiment(name)).info.run_id
    points = [Metric(f"m{at % 10}", at, 1000 + at, at) for at in range(1000)]
    client.log_batch(run, points)
    client.log_batch(run, points[:10], [Param("p", "1")], [RunTag("t", "v")])
    again = tried(client.log_batch, run, [Metric("x", 1, 1, 1)], [Param("p", "2")], [RunTag("u", "v")])
    found = client.get_run(run)
    return {
        "refused": again[0],
        "params": dict(found.data.params),
        "tags": own(found.data.tags),
        "metrics": len(found.data.metrics),
        "points": sum(len(client.get_metric_history(run, f"m{at}")) for at in range(10)),
        "many": tried(client.log_batch, run, points + points[:1]),
    }


@scenario
def async_logging(client: MlflowClient, name: str) -> Any:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        waiting = [mlflow.log_metric("m", at, step=at, synchronous=False) for at in range(200)]
        waiting.append(mlflow.log_params({"a": 1}, synchronous=False))
        for each in waiting:
            each.wait()
    found = client.get_run(run.info.run_id)
    return [len(client.get_metric_history(run.info.run_id, "m")), found.data.metrics["m"], dict(found.data.params)]


@scenario
def two_values_at_once(client: MlflowClient, name: str) -> Any:
    run = client.create_run(client.create_experiment(name)).info.run_id
    answers: list[Any] = []
    gate = threading.Barrier(8)

    def put(value: int) -> None:
        gate.wait()
        answers.append(tried(MlflowClient().log_param, run, "p", value))

    threads = [threading.Thread(target=put, args=(value,)) for value in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    refused = [each for each in answers if isinstance(each, list)]
    return [len(answers) - len(refused), sorted({each[0] for each in refused}), len(client.get_run(run).data.params)]


@scenario
def artifacts(client: MlflowClient, name: str) -> Any:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        Path(folder, "ä b.txt").write_text("one")
        Path(folder, "sub").mkdir()
        Path(folder, "sub", "empty").touch()
        mlflow.log_artifact(f"{folder}/ä b.txt")
        mlflow.log_artifacts(folder, "all")
        mlflow.log_text("hello", "notes/a.txt")
        mlflow.log_dict({"a": 1}, "d.json")
    run_id = run.info.run_id

    def listed(path: str | None = None) -> Any:
        return [[each.path, each.is_dir, each.file_size] for each in client.list_artifacts(run_id, path)]

    with tempfile.TemporaryDirectory() as folder:
        mlflow.artifacts.download_artifacts(run_id=run_id, dst_path=folder)
        files = sorted(str(each.relative_to(folder)) for each in Path(folder).rglob("*") if each.is_file())
    text = mlflow.artifacts.load_text(f"runs:/{run_id}/notes/a.txt")
    return {"root": listed(), "all": listed("all"), "none": listed("none"), "files": files, "text": text}


@scenario
def images_by_step(client: MlflowClient, name: str) -> Any:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
        for step in (0, 7, 12, 25, 41, 85, 1000):
            mlflow.log_image(numpy.zeros((4, 4, 3), dtype="uint8"), key="a dog", step=step, synchronous=True)
        files = os.listdir(client.download_artifacts(run.info.run_id, "images", folder))
    return [len(client.list_artifacts(run.info.run_id, "images")), len(files)]


@scenario
def deleted_and_restored(client: MlflowClient, name: str) -> Any:
    experiment = client.create_experiment(name, tags={"k": "v"})
    run = client.create_run(experiment).info.run_id
    client.delete_run(run)
    seen = [tried(client.log_metric, run, "m", 1)[0], client.get_run(run).info.lifecycle_stage]
    client.restore_run(run)
    client.log_metric(run, "m", 1)
    client.delete_experiment(experiment)
    seen += [client.get_run(run).info.lifecycle_stage, tried(client.create_experiment, name)[0]]
    seen += [tried(client.create_run, experiment)[0], client.get_experiment(experiment).lifecycle_stage]
    client.restore_experiment(experiment)
    client.rename_experiment(experiment, f"{name} renamed")
    client.set_experiment_tag(experiment, "l", "w")
    found = client.get_experiment_by_name(f"{name} renamed")
    kept = {key: value for key, value in found.tags.items() if key in "kl"}
    return [*seen, client.get_run(run).data.metrics, kept, client.get_experiment_by_name(name)]


@scenario
def errors(client: MlflowClient, name: str) -> Any:
    run = client.create_run(client.create_experiment(name)).info.run_id
    return [
        tried(client.get_run, "f" * 32),
        tried(client.get_experiment, "987654"),
        tried(client.create_experiment, name)[0],
        tried(client.log_metric, run, "a;b", 1)[0],
        tried(client.log_param, run, "../x", 1)[0],
        tried(client.set_terminated, "f" * 32)[0],
        tried(client.search_runs, ["0"], "nonsense ~ 1")[0],
        tried(client.search_runs, ["0"], max_results=50_001)[0],
        tried(client.delete_tag, run, "none")[0],
    ]


@scenario
def data_sets(client: MlflowClient, name: str) -> Any:
    import pandas as pd

    mlflow.set_experiment(name)
    data = mlflow.data.from_pandas(pd.DataFrame({"a": [1, 2]}), name="two", targets=None)
    with mlflow.start_run() as run:
        mlflow.log_input(data, context="training")
        mlflow.log_input(data, context="training")
    found = client.get_run(run.info.run_id).inputs.dataset_inputs
    return [[each.dataset.name, len(each.dataset.digest), each.tags[0].value] for each in found]


@scenario
def from_run_to_production(client: MlflowClient, name: str) -> Any:
    mlflow.set_experiment(name)
    with mlflow.start_run() as run:
        mlflow.log_param("C", 1)
        mlflow.log_metric("accuracy", 0.5, step=1)
        mlflow.log_metric("accuracy", 0.97, step=2)
        model = LogisticRegression(max_iter=500).fit(X, Y)
        where = {"name": "clf"} if THREE else {"artifact_path": "clf"}
        logged = mlflow.sklearn.log_model(model, pip_requirements=["scikit-learn"], input_example=X[:2], **where)
    versions = [
        mlflow.register_model(logged.model_uri, name),
        mlflow.register_model(f"runs:/{run.info.run_id}/clf", name),
    ]
    client.transition_model_version_stage(name, versions[1].version, "Production")
    sources = [logged.model_uri, f"runs:/{run.info.run_id}/clf", f"models:/{name}/1", f"models:/{name}/Production"]
    scores = [bool(mlflow.sklearn.load_model(each).score(X, Y) > 0.9) for each in sources]
    guessed = mlflow.pyfunc.load_model(f"models:/{name}/Production").predict(X[:3])
    client.delete_run(run.info.run_id)
    after = bool(mlflow.sklearn.load_model(f"models:/{name}/Production").score(X, Y) > 0.9)
    return {
        "versions": [[each.version, each.run_id == run.info.run_id] for each in versions],
        "scores": [*scores, len(guessed), after],
    }


@scenario
def autologging(client: MlflowClient, name: str) -> Any:
    mlflow.set_experiment(name)
    # Types that skops does not know by itself have to be trusted by whoever saves them; saving is tried elsewhere.
    mlflow.sklearn.autolog(log_models=False, silent=True)
    try:
        with mlflow.start_run() as run:
            GridSearchCV(LogisticRegression(max_iter=300), {"C": [0.5, 1.0]}, cv=2).fit(X, Y)
    finally:
        mlflow.sklearn.autolog(disable=True, silent=True)
    found = client.get_run(run.info.run_id)
    children = client.search_runs(
        [found.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'", order_by=["params.C DESC"]
    )
    return [
        found.data.params["best_C"] in ("0.5", "1.0"),
        found.data.metrics["training_score"] > 0.9,
        [each.data.params["C"] for each in children],
        len(found.inputs.dataset_inputs),
    ]


@scenario
def logged_models(client: MlflowClient, name: str) -> Any:
    if not THREE:
        return "2.x has none"
    experiment = mlflow.set_experiment(name).experiment_id
    model = mlflow.initialize_logged_model(name="clf", params={"C": "1"}, tags={"k": "v"}, model_type="kind")
    with mlflow.start_run() as run:
        mlflow.log_metric("f1", 0.5, step=3, model_id=model.model_id)
        mlflow.log_metric("f1", math.nan, step=4, model_id=model.model_id)
    mlflow.finalize_logged_model(model.model_id, "READY")
    client.set_logged_model_tags(model.model_id, {"l": "w", "m": "x"})
    client.delete_logged_model_tag(model.model_id, "m")
    found = client.get_logged_model(model.model_id)
    names = [each.name for each in client.search_logged_models([experiment], "params.C = '1'")]
    client.delete_logged_model(model.model_id)
    return {
        "found": [found.name, str(found.status), found.model_type, found.params, own(found.tags)],
        "metrics": [[each.key, repr(each.value), each.step, each.run_id == run.info.run_id] for each in found.metrics],
        "names": names,
        "gone": tried(client.get_logged_model, model.model_id)[0],
        "left": len(client.search_logged_models([experiment])),
    }


def main(url: str, prefix: str, *wanted: str) -> None:
    """Run the scenarios and print what the client got."""
    mlflow.set_tracking_uri(url)
    answers = {}
    for name in wanted or SCENARIOS:
        try:
            answers[name] = SCENARIOS[name](MlflowClient(), f"{prefix}-{name}")
        except Exception as exc:  # a scenario that cannot be set up is an answer as well
            answers[name] = {"failed": f"{type(exc).__name__}: {exc}"}
    print(json.dumps(answers, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
