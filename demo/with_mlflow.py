"""The chapters told with the real, unmodified `mlflow` client."""

from __future__ import annotations

import logging
import os
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from demo.scene import Scene, now_ms
from demo.training import Candidate

# What keeps mlflow's own messages short; no part of the story.
_BARE = {
    "MLFLOW_REGISTRY_URI": "",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def prepare(url: str) -> Any:
    """Point MLflow at the server, as its users do, and return its client."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "2"  # a failure of ours must end the demo, not hang it for minutes
    os.environ["GIT_PYTHON_REFRESH"] = "quiet"
    import mlflow

    # MLflow says that stages are deprecated; here they are the point.
    warnings.filterwarnings("ignore", category=FutureWarning, module=__name__)
    for noisy in (
        "mlflow.store.model_registry.abstract_store",
        "mlflow.utils.requirements_utils",
        "mlflow.models.model",
    ):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    mlflow.set_tracking_uri(url)
    return mlflow.MlflowClient()


def register(scene: Scene, client: Any) -> None:
    """Chapter: ordinary training code logs and registers here, and what it made is served by the same client."""
    story, name = scene.story, scene.names["tumour"]
    story.chapter("The code you have: plain mlflow, one address changed")
    story.say(
        "demo/train.py is ordinary training code for the breast cancer data: it starts runs, logs parameters, metrics "
        "and the data, and registers three models. Nothing in it knows Greenroom: MLFLOW_TRACKING_URI says where to."
    )
    story.python(f'''
        mlflow.log_params(params); mlflow.log_metric("auc", auc)
        mlflow.log_input(mlflow.data.from_numpy(train_x, targets=train_y, name="cells"), context="training")
        mlflow.sklearn.log_model(model, name="classifier", registered_model_name="{name}", signature=signature)
    ''')
    where = {"MLFLOW_TRACKING_URI": scene.server.url, **_BARE}
    shutil.copy(Path(__file__).with_name("train.py"), scene.work)
    scene.shell.run(
        f"python train.py {name}", env=where, hide=_BARE, says=["Created version '3'"], claim="trained, logged"
    )
    for number, candidate in enumerate(scene.candidates["breast_cancer"], 1):
        _check_registered(scene, client, name, number, candidate)
    client.update_registered_model(name, "Benign or malignant, from 30 measurements of a cell nucleus.")
    _show_origin(scene, name)
    _serve_first(scene, client)


def _check_registered(scene: Scene, client: Any, name: str, number: int, candidate: Candidate) -> None:
    """The version knows of its run what nobody told it again."""
    version = scene.registry.get(name, number)
    run = client.get_run(version.run_id)
    kept = dict(version.metrics), dict(version.params), [(each.name, each.context) for each in version.datasets]
    logged = run.data.metrics, run.data.params, [("cells", "training")]
    scene.story.check(
        kept == logged and dict(version.metrics) == dict(candidate.metrics) and version.digest is not None,
        f"version {number} ({candidate.what}): {version.file_count} files pinned as {str(version.digest)[:19]}..., "
        + ", ".join(f"{key} {value}" for key, value in version.metrics.items())
        + ", with parameters and data of its run",
        (version, logged),
    )


def _show_origin(scene: Scene, name: str) -> None:
    scene.shell.run(f"greenroom runs list {name}", says=["naive Bayes", "auc"], claim="the three runs")
    runs = " ".join(str(scene.registry.get(name, number).run_id)[:12] for number in (1, 2, 3))
    scene.shell.run(f"greenroom runs compare {runs}", says=["0.9976", "trees"], claim="side by side, the best marked")
    scene.story.say("Where a version comes from, it knows without another word by its author:")
    scene.shell.run(f"greenroom show {name} 2", says=["auc", "depth", "cells"], claim="metrics, parameters, data, code")
    scene.shell.run(
        f"greenroom lineage {name} 2", says=["random forest", "cells"], claim="drawn: the run and the data it came of"
    )


def _serve_first(scene: Scene, client: Any) -> None:
    story, name = scene.story, scene.names["tumour"]
    story.say("The first one goes through Staging into Production, and whoever serves models asks for the stage:")
    story.python(f'''
        client.transition_model_version_stage("{name}", "1", "Staging")
        client.transition_model_version_stage("{name}", "1", "Production")
        client.set_registered_model_alias("{name}", "champion", "1")
        mlflow.pyfunc.load_model("models:/{name}/Production").predict(patients)
    ''')
    client.transition_model_version_stage(name, "1", "Staging")
    client.transition_model_version_stage(name, "1", "Production")
    scene.steps["first"] = now_ms()
    client.set_registered_model_alias(name, "champion", "1")
    scene.check_holder(name, 1, "version 1 is in Production")
    for uri in (f"models:/{name}/Production", f"models:/{name}@champion", f"models:/{name}/1"):
        _check_served(scene, uri, scene.candidates["breast_cancer"][0])


def _check_served(scene: Scene, uri: str, candidate: Candidate) -> None:
    import mlflow

    patients, _ = candidate.data.test
    served = mlflow.pyfunc.load_model(uri).predict(patients)
    equal = bool(np.array_equal(served, candidate.model.predict(patients)))
    scene.story.check(
        equal, f"{uri} loads, and predicts the same {len(served)} answers as the model that was trained here"
    )


def conflict(scene: Scene, client: Any) -> None:
    """Chapter: a second version knocks at Production."""
    from mlflow.exceptions import MlflowException

    story, name, best = scene.story, scene.names["tumour"], len(scene.candidates["breast_cancer"])
    story.chapter("Two versions for one place: the stage conflict")
    story.say(
        f"Version {best} is better. With a stock MLflow server the next call quietly leaves two versions in "
        "Production. Here it is refused, by name, with the ways out:"
    )
    client.transition_model_version_stage(name, str(best), "Staging")
    story.python(f'client.transition_model_version_stage("{name}", "{best}", "Production")')
    refusal = None
    try:
        client.transition_model_version_stage(name, str(best), "Production")
    except MlflowException as exc:
        refusal = exc
        story.error(str(exc))
    story.check(
        refusal is not None and refusal.error_code == "RESOURCE_CONFLICT" and "Ways out" in str(refusal),
        "the mlflow client gets RESOURCE_CONFLICT, with the ways out",
        refusal,
    )
    scene.shell.run(f"greenroom promote {name} {best} --to Production", exits=1, says=["version 1", "--swap"])
    scene.check_holder(name, 1, "version 1 is still in Production")
    scene.shell.run(
        f"greenroom promote {name} {best} --to Production --swap --dry-run",
        says=["1"],
        claim="a dry run shows the plan",
    )
    scene.check_holder(name, 1, "and changes nothing")


def swap(scene: Scene, client: Any) -> None:
    """Chapter: the swap, by MLflow's own switch and by the commands that people type."""
    import mlflow

    story, name, best = scene.story, scene.names["tumour"], len(scene.candidates["breast_cancer"])
    story.chapter("The swap: one transaction")
    story.say(
        "MLflow's own switch asks for it: the new version comes in and the old one is archived, or neither happens."
    )
    story.python(
        f'client.transition_model_version_stage("{name}", "{best}", "Production", archive_existing_versions=True)'
    )
    client.transition_model_version_stage(name, str(best), "Production", archive_existing_versions=True)
    scene.steps["second"] = now_ms()
    scene.check_holder(name, best, f"version {best} is in Production")
    came, went = (next(scene.registry.history(name, "Production", version=each)) for each in (best, 1))
    left = scene.registry.get(name, 1).stage
    story.check(
        left == "Archived" and came.since == went.until,
        f"version 1 is archived; one event of the log, number {came.since}, did both",
        (left, came, went),
    )
    _check_served(scene, f"models:/{name}/Production", scene.candidates["breast_cancer"][best - 1])
    story.say("The commands of countless runbooks work, too, as they are written there, beside an installed MLflow:")
    scene.shell.run(
        f"mlflow models transition-stage --model-name {name} --version 2 --stage staging",
        says=[f"Model version '2' of model '{name}' transitioned to stage 'Staging'."],
    )
    scene.shell.run(
        f"greenroom models transition-stage --model-name {name} --version 2 --stage Production "
        '--archive-existing-versions --comment "trial of the forest"',
        says=[f"Model version '2' of model '{name}' transitioned to stage 'Production'."],
    )
    scene.steps["third"] = now_ms()
    scene.check_holder(name, 2, "version 2 is in Production now")
    loaded = mlflow.sklearn.load_model(f"models:/{name}/Production")
    story.check(
        type(loaded).__name__ == "RandomForestClassifier", "and what the mlflow client loads is the forest", loaded
    )
