"""What a real 3.x client gets where this server has nothing to offer; runs inside the client's own environment.

    python out_calls.py URL

prints one JSON object: what was tried -> [seconds, what came of it]. Nothing is set but the tracking URI, so whatever
the client does on its own (retries, exports in the background) is in the seconds.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402
from sklearn.datasets import load_iris  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402


def traced() -> str:
    """Work inside a span, and wait until the client has given up sending it."""

    @mlflow.trace
    def work(x: int) -> int:
        return x + 1

    value = work(1)
    mlflow.flush_trace_async_logging()
    return f"worked: {value}"


def autologged() -> str:
    """Train with everything that the client logs by itself, a model too."""
    x, y = load_iris(return_X_y=True)
    mlflow.autolog(log_models=True, silent=True)
    with mlflow.start_run() as run:
        LogisticRegression(max_iter=200).fit(x, y)
    mlflow.autolog(disable=True)
    found = MlflowClient().get_run(run.info.run_id)
    return f"{found.info.status}, {len(found.outputs.model_outputs)} model"


def pyfunc_traced() -> str:
    """Log a model that traces its own predictions, register it, load it, predict."""

    class Model(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
        @mlflow.trace
        def predict(self, context: Any, model_input: list[str], params: Any = None) -> list[str]:
            return model_input

    with mlflow.start_run():
        made = mlflow.pyfunc.log_model(
            name="m", python_model=Model(), input_example=["a"], registered_model_name="out-traced"
        )
    loaded = mlflow.pyfunc.load_model(made.model_uri)
    answer = loaded.predict(["x"])
    mlflow.flush_trace_async_logging(terminate=True)
    return f"predicted {list(answer)}"


def calls() -> dict[str, Callable[[], Any]]:
    """Return everything that is tried."""
    from mlflow.genai import datasets, scorers

    client = MlflowClient()
    return {
        "works: trace": traced,
        "works: autolog": autologged,
        "works: log_model that traces": pyfunc_traced,
        "traces: search": lambda: client.search_traces(experiment_ids=["0"]),
        "traces: delete": lambda: client.delete_traces("0", max_timestamp_millis=1),
        "traces: get": lambda: client.get_trace("tr-" + "0" * 32),
        "evaluation data sets: create": lambda: datasets.create_dataset(name="d", experiment_id="0"),
        "evaluation data sets: search": lambda: datasets.search_datasets(experiment_ids=["0"]),
        "scorers: list": lambda: scorers.list_scorers(experiment_id="0"),
        "webhooks: list": client.list_webhooks,
        "webhooks: create": lambda: client.create_webhook("w", "https://localhost/x", ["registered_model.created"]),
        "workspaces: list": mlflow.list_workspaces,
    }


def main() -> None:
    """Try all, print what came of it."""
    mlflow.set_tracking_uri(sys.argv[1])
    LogisticRegression().fit([[0.0], [1.0]], [0, 1])  # imports take their time once, and are nobody's fault
    found: dict[str, Any] = {}
    for name, call in calls().items():
        began = time.monotonic()
        try:
            came = ["done", str(call())]
        except MlflowException as exc:
            came = ["refused", exc.error_code, str(exc.message)[:300]]
        except Exception as exc:  # whatever a user would see
            came = ["raised", type(exc).__name__, str(exc)[:300]]
        found[name] = [round(time.monotonic() - began, 2), *came]
    print(json.dumps(found))


if __name__ == "__main__":
    main()
