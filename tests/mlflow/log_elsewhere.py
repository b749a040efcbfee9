"""A model logged on another tracking server and registered here by a real MLflow client; runs in its environment.

    python log_elsewhere.py REGISTRY_URL TRACKING_URL PREFIX

prints one JSON object: how it was registered -> how well the loaded model predicts, and where it was said to be.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402


def main(registry: str, tracking: str, prefix: str) -> None:
    """Log and register in each of the ways that clients have, then load what was registered."""
    mlflow.set_tracking_uri(tracking)
    mlflow.set_registry_uri(registry)
    mlflow.set_experiment(f"{prefix} elsewhere")
    data = load_iris()
    model = LogisticRegression(max_iter=500).fit(data.data, data.target)
    name = f"{prefix}-logged-elsewhere"
    with mlflow.start_run() as run:
        logged = mlflow.sklearn.log_model(model, "model", pip_requirements=["scikit-learn"])
        at_once = f"{name}-at-once"
        mlflow.sklearn.log_model(model, "other", pip_requirements=["scikit-learn"], registered_model_name=at_once)
    mlflow.register_model(logged.model_uri, name)
    mlflow.register_model(f"runs:/{run.info.run_id}/model", name)
    seen: dict[str, Any] = {}
    for uri in (f"models:/{name}/1", f"models:/{name}/2", f"models:/{at_once}/1"):
        loaded = mlflow.sklearn.load_model(uri)
        seen[uri.removeprefix(f"models:/{name}")] = bool(loaded.score(data.data, data.target) > 0.9)
    client = mlflow.MlflowClient()
    seen["run"] = client.get_model_version(name, "2").run_id == run.info.run_id
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
