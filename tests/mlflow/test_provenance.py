"""What a version registered from a run shows without another word by its author: `greenroom show` and `runs show`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mlflow.servers import run_client

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def greenroom(url: str, *words: str, output: str = "json") -> str:
    """Run our command line in a process of its own and return what it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "GREENROOM_"))}
    command = [sys.executable, "-m", "greenroom", *words, "--url", url, "--output", output]
    done = subprocess.run(command, env=env | {"PYTHONUTF8": "1"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_version_tells_where_it_comes_from(client: str, standard_server: str, tmp_path: Path):
    model = f"{client} flowers"
    seen = run_client(client, "provenance_calls.py", standard_server, model, str(tmp_path))
    shown: dict[str, Any] = json.loads(greenroom(standard_server, "show", model, seen["version"]))

    assert shown["metrics"] == pytest.approx(seen["metrics"])
    assert "training_score" in shown["metrics"]
    assert shown["params"] == seen["params"]
    assert shown["params"]["C"] == "0.5"
    assert sorted([each["name"], each["digest"]] for each in shown["datasets"]) == seen["datasets"]
    assert ["iris", "training"] in [[each["name"], each["context"]] for each in shown["datasets"]]
    assert (shown["source"], shown["run_id"], shown["logged_model"]) == (
        seen["source"],
        seen["run"],
        seen["logged_model"],
    )
    context = shown["context"]
    assert (context["git_commit"], context["entry_point"]) == (seen["commit"], "train.py")
    assert (context["run_name"], context["parent_run"], context["user"]) == ("the try", seen["parent"], "rosa")

    packaging = shown["packaging"]
    assert (packaging["python"], packaging["mlflow"]) == (seen["python"], seen["mlflow"])
    assert packaging["environment"] == ["requirements.txt", "conda.yaml", "python_env.yaml"]
    assert any(each.startswith("scikit-learn==") for each in packaging["requirements"])
    assert packaging["flavors"].keys() == {"python_function", "sklearn"}
    inputs = packaging["signature"]["inputs"]
    assert [each["type"] for each in inputs] == ["double"] * 4
    assert inputs[0]["name"] == "sepal length (cm)"
    assert packaging["signature"]["outputs"]
    example = packaging["input_example"]
    assert (example["path"], example["kind"]) == ("input_example.json", "dataframe")
    assert example["size_bytes"] > 0
    assert packaging["notes"] == []

    told = greenroom(standard_server, "show", model, seen["version"], output="table")
    for word in ("the try", seen["parent"], seen["commit"], "sepal length (cm): double", "scikit-learn==", "rosa"):
        assert word in told

    report = json.loads(greenroom(standard_server, "runs", "show", seen["run"][:12]))
    assert report["versions"] == [{"model": model, "version": 1, "stage": "None"}]
    assert [each["id"] for each in report["parents"]] == [seen["parent"]]
    above = json.loads(greenroom(standard_server, "runs", "show", seen["parent"]))
    assert [each["id"] for each in above["children"]] == [seen["run"]]

    drawn = greenroom(standard_server, "lineage", model, seen["version"], output="table").splitlines()
    told = "\n".join(drawn)
    for word in ("run the try", "parent of: run the search", "dataset iris", f"code train.py {seen['commit'][:12]}"):
        assert word in told
    assert ("logged model" in told) is (client == "mlflow3")
