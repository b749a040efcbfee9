"""Runs inside a real MLflow's environment: logs one run with a small folder as its model, and prints the run's id.

Arguments: the tracking URI.
"""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from pathlib import Path

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

import mlflow  # noqa: E402 - after the filter: MLflow's own warnings are not ours to judge

mlflow.set_tracking_uri(sys.argv[1])
with mlflow.start_run() as run, tempfile.TemporaryDirectory() as folder:
    Path(folder, "MLmodel").write_text("flavors: {}\n")
    Path(folder, "weights.bin").write_bytes(b"\0" * 32)
    mlflow.log_artifacts(folder, "model")
    mlflow.log_metric("auc", 0.75)
    mlflow.log_param("depth", 3)
    mlflow.set_tag("mlflow.source.git.commit", "c0ffee")
print(run.info.run_id)
