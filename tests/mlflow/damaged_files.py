"""A folder uploaded, registered and fetched by a real MLflow client, one step at a time; runs in its own environment.

    python damaged_files.py URL STEP NAME FOLDER

prints one JSON object with what came back.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from pathlib import Path

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402


def main(url: str, step: str, name: str, folder: str) -> None:
    """Do one step: `register` the next version of what is in the folder, or `fetch` version 1."""
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    client = mlflow.MlflowClient()
    if step == "register":
        uploads = f"mlflow-artifacts:/files/{name}/{time.time_ns()}"
        get_artifact_repository(uploads).log_artifacts(folder)
        if not client.search_registered_models(f"name = '{name}'"):
            client.create_registered_model(name)
        version = client.create_model_version(name, uploads)
        seen = {"version": int(version.version), "status": version.status}
    else:
        seen = {"status": client.get_model_version(name, "1").status, "error": "", "files": {}}
        target = Path(folder) / f"got-{time.time_ns()}"
        target.mkdir()
        try:
            got = Path(download_artifacts(f"models:/{name}/1", dst_path=str(target)))
            seen["files"] = {path.name: path.read_text() for path in got.rglob("*") if path.is_file()}
        except Exception as exc:
            seen["error"] = f"{type(exc).__name__}: {exc}"
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
