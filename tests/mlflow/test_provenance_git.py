"""The commit that a real client finds by itself, where a script of a Git repository is run: `show`, `lineage`, `runs`.

The script below is somebody's own: plain MLflow, and nothing in it speaks of Git.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.mlflow.servers import client_python
from tests.mlflow.test_provenance import greenroom

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]

SCRIPT = """
import sys, mlflow
with mlflow.start_run(run_name="from git") as run:
    mlflow.log_metric("auc", 0.9)
    mlflow.log_text("flavors: {}", "model/MLmodel")
client = mlflow.MlflowClient()
client.create_registered_model(sys.argv[1])
client.create_model_version(sys.argv[1], f"{run.info.artifact_uri}/model", run.info.run_id)
print(run.info.run_id)
"""
SECRET = "s3cr3t-t0ken"


def git(folder: Path, *words: str) -> str:
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull} | {
        f"GIT_{who}_{what}": "ana@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(["git", *words], cwd=folder, env=env, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def run_script(client: str, folder: Path, url: str, name: str) -> str:
    """Run the script as its author does: in its folder, with one URI set; return the run's id."""
    ours = ("MLFLOW_", "PYTHON", "GREENROOM_", "GIT_")
    env: Mapping[str, str] = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    env = {**env, "MLFLOW_TRACKING_URI": url, "MLFLOW_LOGGING_LEVEL": "ERROR", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [client_python(client), "train.py", name], cwd=folder, env=env, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.split()[-1]


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_commit_that_the_client_finds(client: str, standard_server: str, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "src"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(SCRIPT)
    git(tmp_path / "project", "init", "-q", "-b", "work")
    git(folder, "add", "train.py")
    git(folder, "commit", "-q", "-m", "train")
    git(folder, "remote", "add", "origin", f"https://ana:{SECRET}@git.example.org/team/project.git?token={SECRET}")
    commit, name = git(folder, "rev-parse", "HEAD"), f"{client} from git"
    run = run_script(client, folder, standard_server, name)

    told: Callable[..., str] = lambda *words, **how: greenroom(standard_server, *words, **how)  # noqa: E731
    shown = told("show", name, "1")
    context = json.loads(shown)["context"]
    assert (context["git_commit"], context["entry_point"]) == (commit, "train.py")
    # 2.x asks Git for branch and remote of the script in place of its folder, and gets none.
    where = ("work", "https://git.example.org/team/project.git") if client == "mlflow3" else (None, None)
    assert (context["git_branch"], context["git_remote"], context["run_name"]) == (*where, "from git")
    assert any(commit in line for line in told("show", name, "1", output="table").splitlines() if "commit" in line)
    assert commit[:7] in told("lineage", name, "1", output="table")
    report = told("runs", "show", run)
    assert json.loads(report)["context"]["git_commit"] == commit
    assert commit in told("runs", "show", run, output="table")
    told("audit", "export", str(tmp_path / "log"))
    log = "".join(path.read_text("latin-1") for path in (tmp_path / "log").rglob("*") if path.is_file())
    assert commit in log
    assert SECRET not in shown + log + told("lineage", name, "1")


@pytest.mark.parametrize("client", ["mlflow3"])
def test_outside_a_repository_there_is_none(client: str, standard_server: str, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    run_script(client, tmp_path, standard_server, f"{client} without git")
    context = json.loads(greenroom(standard_server, "show", f"{client} without git", "1"))["context"]
    assert (context["git_commit"], context["git_remote"], context["entry_point"]) == (None, None, "train.py")
