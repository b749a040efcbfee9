"""A training over a line that loses requests and answers; the client asks again by itself. Inside its own environment.

    python log_over_a_bad_line.py URL STEPS      the line is MLFLOW_TRACKING_URI

prints the steps of every metric as the server at URL has them, its parameters, and what the client was refused.
"""

from __future__ import annotations

import json
import sys

import mlflow
import patient  # noqa: F401 - before mlflow, which reads what it sets
from mlflow import MlflowClient
from mlflow.entities import Metric, Param


def main(line: str, url: str, steps: str) -> None:
    """Log over `line`, and look what is there."""
    count, client = int(steps), MlflowClient(url)
    run = client.create_run("0").info.run_id
    mlflow.set_tracking_uri(line)
    with mlflow.start_run(run_id=run):
        for step in range(count):
            mlflow.log_metric("one", step / 2, step=step)
            MlflowClient(line).log_batch(
                run, [Metric(f"many{at}", at, step, step) for at in range(5)], [Param(f"p{step}", "v")]
            )
    found = client.get_run(run)
    told = {key: [each.step for each in client.get_metric_history(run, key)] for key in sorted(found.data.metrics)}
    print(json.dumps({"steps": told, "params": len(found.data.params), "status": found.info.status}))


if __name__ == "__main__":
    main(*sys.argv[1:])
