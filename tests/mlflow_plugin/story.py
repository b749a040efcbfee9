"""Runs inside a real MLflow's environment: types `mlflow models …` lines and prints, as JSON, what each left behind.

Arguments: a JSON list of lines. All lines run in one process, because importing MLflow takes seconds.
"""

from __future__ import annotations

import contextlib
import io
import json
import shlex
import sys
import warnings

warnings.simplefilter("ignore")

from mlflow.cli import cli  # noqa: E402 - after the filter: MLflow's own warnings are not ours to judge


def typed(line: str) -> dict[str, object]:
    """Run one line as `mlflow` would."""
    out, err = io.StringIO(), io.StringIO()
    code: object = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli(shlex.split(line), prog_name="mlflow")
        except SystemExit as exit_:
            code = exit_.code or 0
    return {"code": code, "out": out.getvalue(), "err": err.getvalue()}


print(json.dumps([typed(line) for line in json.loads(sys.argv[1])]))
