"""What every script here ends with: the newest version goes into Production, and is served as it was trained.

Beside the scripts, which are ordinary training code: nothing in this folder knows Greenroom. MLFLOW_TRACKING_URI is all
that is set.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from typing import Any

import mlflow
import numpy as np

warnings.simplefilter("ignore")
logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("alembic").setLevel(logging.ERROR)


def newest(name: str) -> Any:
    """Return the version of a model with the highest number."""
    return max(mlflow.MlflowClient().search_model_versions(f"name = '{name}'"), key=lambda each: int(each.version))


def put_into_production(name: str) -> Any:
    """Move the newest version into Production, as MLflow's users do, and return it."""
    version = newest(name)
    mlflow.MlflowClient().transition_model_version_stage(name, version.version, "Production")
    return version


def served(name: str, load: Callable[[str], Any] = mlflow.pyfunc.load_model) -> Any:
    """Return the model that is in Production."""
    return load(f"models:/{name}/Production")


def equal(one: Any, other: Any) -> bool:
    """Say whether two predictions are the same numbers, to the last bit."""
    return bool(np.array_equal(np.asarray(one), np.asarray(other)))


def tell(version: Any, **more: Any) -> None:
    """Print what came of it."""
    print(json.dumps({"version": int(version.version), "run": version.run_id, "mlflow": mlflow.__version__, **more}))
