"""Models trained, uploaded, registered, loaded and used by a real MLflow client; runs inside its own environment.

    python load_models.py URL PREFIX FOLDER

prints one JSON object with what came back. FOLDER is scratch space.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

STRENGTHS = (0.01, 1.0, 100.0)  # of versions 1, 2 and 3: which model was loaded can be seen from it
ODD_NAMES = ("notes ü.txt", "folder with spaces/a b+c.txt", "deep/er/empty.txt")


def train(folder: Path, strength: float) -> Path:
    """Train on iris, save as MLflow does, and add files whose names URLs do not like."""
    data = load_iris()
    model = LogisticRegression(C=strength, max_iter=500).fit(data.data, data.target)
    saved = folder / f"trained-{strength}"
    mlflow.sklearn.save_model(model, str(saved), pip_requirements=["scikit-learn"])
    for name in ODD_NAMES:
        path = saved / "extra" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if "empty" in name else f"{name} {strength}", "utf-8")
    return saved


def files(folder: str) -> dict[str, int]:
    """Return the size in bytes of every file below a folder, by its path."""
    root = Path(folder)
    return {
        path.relative_to(root).as_posix(): path.stat().st_size for path in sorted(root.rglob("*")) if path.is_file()
    }


def used(uri: str) -> Any:
    """Load a model and use it: its strength, and how well it predicts what it was trained on."""
    data = load_iris()
    model = mlflow.sklearn.load_model(uri)
    return [model.C, bool(model.score(data.data, data.target) > 0.6)]


def register(name: str, folder: Path) -> dict[str, Any]:
    client = mlflow.MlflowClient()
    client.create_registered_model(name)
    seen: dict[str, Any] = {}
    for strength in STRENGTHS:
        saved = train(folder, strength)
        uploads = f"mlflow-artifacts:/trained/{name}/{strength}/model"
        repository = get_artifact_repository(uploads)
        repository.log_artifacts(str(saved))
        seen["listed"] = sorted((f.path, f.is_dir) for f in repository.list_artifacts())
        seen["listed extra"] = sorted((f.path, f.is_dir, f.file_size) for f in repository.list_artifacts("extra"))
        tags = {"greenroom.metric.auc": str(strength), "mlflow.user": "ana", "mlflow.source.git.commit": "c0ffee"}
        client.create_model_version(name, uploads, tags=tags)
        repository.delete_artifacts()  # what is registered does not need it any more
        seen["listed after"] = [f.path for f in repository.list_artifacts()]
        seen["sent"] = files(str(saved))
    client.transition_model_version_stage(name, "1", "Production")
    client.set_registered_model_alias(name, "champion", "2")
    return seen


def main(url: str, prefix: str, scratch: str) -> None:
    """Register three models, and load them in every way that there is."""
    folder, name = Path(scratch), f"{prefix} trained ü"
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    seen = register(name, folder)
    client = mlflow.MlflowClient()
    uris = {key: f"models:/{name}{key}" for key in ("/Production", "/3", "@champion", "/latest")}
    seen["used"] = {key: used(uri) for key, uri in uris.items()}
    seen["got"] = files(download_artifacts(uris["/3"], dst_path=str(folder / "got")))
    one = download_artifacts(f"models:/{name}/3/extra/{ODD_NAMES[0]}", dst_path=str(folder / "one"))
    seen["one"] = Path(one).read_text("utf-8")
    client.copy_model_version(uris["/Production"], f"{name} copy")
    client.delete_model_version(name, "3")
    seen["copied"] = used(f"models:/{name} copy/1")
    seen["uri"] = client.get_model_version_download_uri(name, "2")
    # A registry here, tracking elsewhere (down, even): nothing may be resolved against the tracking server.
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    seen["used from elsewhere"] = used(uris["@champion"])
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
