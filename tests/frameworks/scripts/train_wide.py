"""A very wide layer, trained in NumPy, and its checkpoint as one large safetensors file: weights and momentum.

    python train_wide.py NAME WIDTH FILE

WIDTH 200_000 gives 119 MB.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import mlflow
import numpy as np
from into_production import put_into_production, tell
from safetensors.numpy import load_file, save_file
from sklearn.datasets import load_digits

STEPS, ROWS = 4, 32


def train(width: int) -> dict[str, np.ndarray]:
    """Two layers, a few steps of gradient descent with momentum; return every tensor that going on would need."""
    chance = np.random.default_rng(0)
    pixels, digits = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    tensors = {
        "first.weight": chance.normal(0, 0.1, (64, width)).astype(np.float32),
        "second.weight": np.zeros((width, 10), np.float32),
    }
    moved = {f"momentum.{key}": np.zeros_like(each) for key, each in tensors.items()}
    for step in range(STEPS):
        rows = slice(step * ROWS, (step + 1) * ROWS)
        seen, wanted = pixels[rows], np.eye(10, dtype=np.float32)[digits[rows]]
        hidden = np.maximum(seen @ tensors["first.weight"], 0)
        scores = hidden @ tensors["second.weight"]
        odds = np.exp(scores - scores.max(1, keepdims=True))
        odds /= odds.sum(1, keepdims=True)
        mlflow.log_metric("loss", float(-np.log((odds * wanted).sum(1)).mean()), step=step)
        wrong = (odds - wanted) / ROWS
        back = (wrong @ tensors["second.weight"].T) * (hidden > 0)
        for key, slope in {"first.weight": seen.T @ back, "second.weight": hidden.T @ wrong}.items():
            moved[f"momentum.{key}"] *= 0.9
            moved[f"momentum.{key}"] += slope
            tensors[key] -= 1e-4 * moved[f"momentum.{key}"]
    return tensors | moved


def main(name: str, width: str, path: str) -> None:
    """Train, save, log, register, promote; fetch what is in Production and compare it tensor by tensor."""
    mlflow.set_experiment(name)
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        mlflow.log_params({"width": width, "steps": STEPS})
        tensors = train(int(width))
        save_file(tensors, path, metadata={"format": "np"})
        mlflow.log_artifact(path, "checkpoint")
    client.create_registered_model(name)
    client.create_model_version(name, f"runs:/{run.info.run_id}/checkpoint", run.info.run_id)
    version = put_into_production(name)
    fetched = load_file(Path(mlflow.artifacts.download_artifacts(f"models:/{name}/Production"), Path(path).name))
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    tell(
        version,
        bytes=Path(path).stat().st_size,
        digest=f"sha256:{digest}",
        equal=all(np.array_equal(fetched[key], each) for key, each in tensors.items()),
        learned=bool(np.abs(tensors["second.weight"]).max() > 0),
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
