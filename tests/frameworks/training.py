"""Runs the training scripts in the environment of the frameworks. That MLFLOW_TRACKING_URI is set is all they need."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.mlflow.servers import client_python

SCRIPTS = Path(__file__).parent / "scripts"
_SPEED = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a 5xx shows at once, not after minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
    "OMP_NUM_THREADS": "1",
}


def train(script: str, *args: str, url: str, client: str = "frameworks", timeout_s: float = 300) -> Any:
    """Run a script against a server; return the JSON that it prints last. RuntimeError with its words when it fails."""
    taken = ("MLFLOW_", "PYTHON", "GREENROOM_")
    env = {key: value for key, value in os.environ.items() if not key.startswith(taken)}
    done = subprocess.run(
        [client_python(client), str(SCRIPTS / script), *args], env=env | _SPEED | {"MLFLOW_TRACKING_URI": url},
        capture_output=True, text=True, timeout=timeout_s,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{script} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]  # clients print news of their own
    return json.loads(lines[-1])


def why_no_torch() -> str | None:
    """Return why PyTorch cannot be used here, None where it can."""
    done = subprocess.run(
        [client_python("frameworks"), "-c", "import torch"], capture_output=True, text=True, timeout=120
    )
    if not done.returncode:
        return None
    last = done.stderr.strip().splitlines()[-1]
    return f"PyTorch cannot be imported ({last}); on Linux tell pip of a source of CPU builds and run `make install`"
