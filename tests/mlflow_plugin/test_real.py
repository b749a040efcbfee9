"""The literal `mlflow models …` of MLflow 3 and MLflow 2, against a real server of ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.client import connect
from tests.mlflow.servers import client_python, greenroom_server

pytestmark = pytest.mark.mlflow
HERE = Path(__file__).parent
OWN = {"serve", "predict", "prepare-env", "generate-dockerfile", "build-docker", "update-pip-requirements"}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with greenroom_server("standard") as url:
        yield url


@pytest.fixture(params=["mlflow3", "mlflow2"])
def python(request) -> str:
    return client_python(request.param)


def run(python: str, *args: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the client's interpreter where nothing but `env` says where the registry is."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON", "GREENROOM_"))}
    return subprocess.run(
        [python, *args], env=kept | env, cwd=cwd, capture_output=True, text=True, timeout=300
    )  # fmt: skip


def typed(python: str, *lines: str, cwd: Path, **env: str) -> list[dict[str, object]]:
    """Type lines into one `mlflow` process; return code, out and err of each."""
    ran = run(python, str(HERE / "story.py"), json.dumps(lines), cwd=cwd, **env)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_the_program_moves_a_version(python, server, tmp_path):
    """As people type it, and with nothing but MLflow's own variable set."""
    name = f"literal{os.path.basename(tmp_path)}"
    with connect(server) as registry:
        registry.register(name, source="s3://b/k")
    words = ["transition-version", "--model-name", name, "--version", "1", "--stage", "production"]
    ran = run(python, "-m", "mlflow", "models", *words, cwd=tmp_path, MLFLOW_TRACKING_URI=server)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f"Model version '1' of model '{name}' transitioned to stage 'Production'.\n"
    assert "Traceback" not in ran.stderr


def test_a_session_of_commands(python, server, tmp_path):
    name = f"session{os.path.basename(tmp_path)}"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"1")
    lines = [
        f"models register --model-uri model --name {name}",
        f"models register -m model -n {name}",
        f"models transition-stage --model-name {name} --version 1 --stage Production",
        f"models transition-stage --model-name {name} --version 2 --stage Production",
        f"models promote {name} 2 Production --archive-existing-versions",
        f"models get-latest-versions --name {name} --stages Production",
        f"models rollback --model-name {name}",
        "models transition-version --version 5 --stage production",
        f"models transition-stage --model-name {name} --version 2 --stage Prod",
        f"models describe --model-uri models:/{name}/77",
        f"models list-versions --model-name {name}",
        "models --help",
        "models serve --help",
        "model list",
        "models transition-stagee",
    ]
    said = typed(python, *lines, cwd=tmp_path, GREENROOM_URL=server, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    assert [each["code"] for each in said] == [0, 0, 0, 1, 0, 0, 0, 2, 1, 4, 0, 0, 0, 2, 2], said
    out, err = [str(each["out"]) for each in said], [str(each["err"]) for each in said]
    assert out[0] == f"Successfully registered model '{name}' with version 1\n"
    assert err[1].count("Hint: the canonical form is: mlflow models register --model-uri model --name") == 1
    assert "is held by version 1" in err[3]
    assert json.loads(out[5])[0]["version"] == "2"
    assert out[6] == f"Model version '1' of model '{name}' transitioned to stage 'Production'.\n"
    assert err[7] == "Error: Missing option '--model-name'.\n"
    assert err[8].startswith("Stage 'Prod' does not exist.\n")
    assert len([line for line in out[10].splitlines() if "Production" in line]) == 1
    shown = {line.split()[0] for line in out[11].partition("Commands:")[2].splitlines() if line.strip()}
    assert shown >= OWN | {"transition-stage", "list-versions", "register", "describe", "alias", "rollback"}
    assert "Usage: mlflow models serve" in out[12]
    assert "Did you mean 'models'?" in err[13]
    assert "No such command 'transition-stagee'" in err[14]


def test_a_run_of_a_tracking_store_elsewhere_is_pinned(python, server, tmp_path):
    name = f"run{os.path.basename(tmp_path)}"
    tracking = f"sqlite:///{tmp_path}/mlflow.db"
    logged = run(python, str(HERE / "log_run.py"), tracking, cwd=tmp_path)
    assert logged.returncode == 0, logged.stderr
    run_id = logged.stdout.split()[-1]
    lines = [
        f"models register --model-uri runs:/{run_id}/model --name {name}",
        f"models describe --model-uri models:/{name}/1",
        f"models register --model-uri runs:/{'0' * 32}/model --name {name}",
    ]
    said = typed(python, *lines, cwd=tmp_path, GREENROOM_URL=server, MLFLOW_TRACKING_URI=tracking)
    assert [each["code"] for each in said] == [0, 0, 4], said
    assert said[0]["out"] == f"Successfully registered model '{name}' with version 1\n"
    item = json.loads(str(said[1]["out"]))
    assert (item["run_id"], item["metrics"], item["params"]) == (run_id, {"auc": 0.75}, {"depth": "3"})
    assert (item["code_commit"], item["file_count"]) == ("c0ffee", 2)
    assert item["digest"].startswith("sha256:")


@pytest.mark.parametrize("broken", ["add_commands", "_hooked", "_Finder"])
def test_mlflow_works_whatever_is_broken_of_ours(python, tmp_path, broken):
    code = (
        "import greenroom.mlflow_plugin as ours\n"
        f"def boom(*_): raise RuntimeError('ours')\nours.{broken} = boom\n"
        "from mlflow.cli import cli\ncli(['models', '--help'])"
    )
    ran = run(python, "-c", code, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) >= OWN
    assert "RuntimeError" not in ran.stderr


def test_importing_mlflow_imports_nothing_of_ours(python, tmp_path):
    code = "import sys, mlflow.models.cli\nprint(*(name for name in sys.modules if name.startswith('greenroom')))"
    ran = run(python, "-c", code, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) <= {"greenroom", "greenroom._version", "greenroom.mlflow_plugin"}
