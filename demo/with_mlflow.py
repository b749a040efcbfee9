"""The chapters told with the real, unmodified `mlflow` client."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from demo.scene import Scene, now_ms, requirements
from demo.training import Candidate

# A tree inside a forest is a type that skops does not know; MLflow 3.17 saves with skops and asks for a word of trust.
TRUSTED = ["sklearn.tree._tree.Tree"]


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
    mlflow.set_registry_uri(url)
    return mlflow.MlflowClient()


def register(scene: Scene, client: Any) -> None:
    """Chapter: versions come in through MLflow's client, and are served by it."""
    story, name = scene.story, scene.names["tumour"]
    story.chapter("The code you have: an unmodified mlflow client")
    story.say(
        "Three models for the breast cancer data, saved by MLflow, uploaded by MLflow, registered by MLflow. Nothing "
        "in this code knows Greenroom: it is pointed at the server, and metrics travel as tags."
    )
    story.python(f'''
        mlflow.set_registry_uri("{scene.server.url}")
        mlflow.sklearn.save_model(model, folder, signature=signature)
        get_artifact_repository("mlflow-artifacts:/{name}/v1").log_artifacts(folder)
        client.create_registered_model("{name}")
        client.create_model_version("{name}", "mlflow-artifacts:/{name}/v1", tags={{"greenroom.metric.auc": ...}})
    ''')
    client.create_registered_model(name, description="Benign or malignant, from 30 measurements of a cell nucleus.")
    for number, candidate in enumerate(scene.candidates["breast_cancer"], 1):
        made = _register(client, name, number, candidate)
        version = scene.registry.get(name, made.version)
        story.check(
            version.version == number
            and version.digest is not None
            and dict(version.metrics) == dict(candidate.metrics),
            f"version {number} ({candidate.what}): {version.file_count} files pinned as {str(version.digest)[:19]}..., "
            + ", ".join(f"{key} {value}" for key, value in version.metrics.items()),
            version,
        )
    _serve_first(scene, client)


def _register(client: Any, name: str, number: int, candidate: Candidate) -> Any:
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    train, _ = candidate.data.train
    source = f"mlflow-artifacts:/{name}/v{number}"
    with tempfile.TemporaryDirectory() as folder:
        model_folder = Path(folder) / "model"
        mlflow.sklearn.save_model(
            candidate.model,
            str(model_folder),
            signature=mlflow.models.infer_signature(train, candidate.model.predict(train)),
            pip_requirements=[f"mlflow=={mlflow.__version__}", *requirements()],
            skops_trusted_types=TRUSTED if "forest" in candidate.what else None,
        )
        get_artifact_repository(source).log_artifacts(str(model_folder))
    tags = {f"greenroom.metric.{key}": str(value) for key, value in candidate.metrics.items()}
    tags |= {f"greenroom.param.{key}": value for key, value in candidate.params.items()}
    tags |= {each.name: each.digest for each in candidate.data.recorded if each.digest}
    return client.create_model_version(
        name, source, tags=tags, description=f"{candidate.what}, seed {candidate.params['seed']}"
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
