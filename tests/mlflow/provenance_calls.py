"""A model trained under autologging within a parent run and registered from it, by a real MLflow client.

    python provenance_calls.py URL MODEL FOLDER

prints one JSON object with what the client knows about it. FOLDER becomes a Git repository with the training script.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

THREE = not mlflow.__version__.startswith("2.")


def committed(folder: Path) -> str:
    """Make a Git repository with one commit and return its digest."""
    env = os.environ | {
        f"GIT_{who}_{what}": "ana@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    env["GIT_CONFIG_GLOBAL"] = os.devnull
    (folder / "train.py").write_text("# trains\n")
    for words in (["init", "-q"], ["add", "train.py"], ["commit", "-q", "-m", "train"]):
        subprocess.run(["git", *words], cwd=folder, env=env, check=True)
    return subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


def main(url: str, name: str, folder: str) -> None:
    """Train, log and register."""
    commit = committed(Path(folder))
    mlflow.set_tracking_uri(url)
    mlflow.set_experiment(f"{name} experiment")
    mlflow.sklearn.autolog(log_input_examples=True, log_model_signatures=True, silent=True)
    data = load_iris(as_frame=True)
    with mlflow.start_run(run_name="the search") as parent, mlflow.start_run(run_name="the try", nested=True) as run:
        # what a client finds out by itself where it runs a script of a repository and has GitPython
        mlflow.set_tags({"mlflow.source.git.commit": commit, "mlflow.source.name": "train.py", "mlflow.user": "rosa"})
        mlflow.log_input(mlflow.data.from_pandas(data.frame, name="iris", source=f"{folder}/iris.csv"), "training")
        LogisticRegression(C=0.5, max_iter=500).fit(data.data, data.target)
    if THREE:
        (logged,) = mlflow.search_logged_models(
            filter_string=f"source_run_id = '{run.info.run_id}'", output_format="list"
        )
        source, model_id = f"models:/{logged.model_id}", logged.model_id
    else:
        source, model_id = f"runs:/{run.info.run_id}/model", None
    version = mlflow.register_model(source, name)
    kept = mlflow.get_run(run.info.run_id)
    seen = {
        "version": version.version,
        "source": version.source,  # 2.x resolves `runs:/` itself
        "logged_model": model_id,
        "commit": commit,
        "run": run.info.run_id,
        "parent": parent.info.run_id,
        "metrics": kept.data.metrics,
        "params": kept.data.params,
        "datasets": sorted([each.dataset.name, each.dataset.digest] for each in kept.inputs.dataset_inputs),
        "python": ".".join(map(str, sys.version_info[:3])),
        "mlflow": mlflow.__version__,
    }
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
