"""The demo is a test of everything together: it checks each claim it makes and ends with 0 only when all hold."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TIMEOUT_S = 180

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def _python() -> Path:
    named = os.environ.get("GREENROOM_MLFLOW3_PYTHON")
    return Path(named) if named else ROOT / ".venvs" / "mlflow3" / "bin" / "python"


def _environment(data: Path, **more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "GREENROOM_", "DEMO_"))}
    return kept | {"DEMO_DATA": str(data), "PYTHONWARNINGS": "ignore", "PYTHONIOENCODING": "utf-8"} | more


def _run(data: Path) -> str:
    command = [str(_python()), str(ROOT / "demo" / "run.py")]
    done = subprocess.run(
        command, env=_environment(data, DEMO_EXIT="1"), cwd=data.parent, capture_output=True, text=True,
        timeout=TIMEOUT_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


KEY_LINES = [
    "RESOURCE_CONFLICT: Production refused version 3 of 'tumour'.",
    "Stage 'Prod' does not exist.",
    "version 2 enters Production without having been in Staging",
    "Production is entered from Staging only",
    "Model version '2' of model 'tumour' transitioned to stage 'Staging'.",
    "chosen: lowest rmse",
    "chosen: last healthy holder of Production before version 2",
    "tumour version 1 held Production at",
    "ok: 39 entries",
    "the reference page is there",
    "the server ended cleanly",
]


def test_story_holds_twice_on_one_folder(tmp_path):
    data = tmp_path / "demo data"
    first = _run(data)
    assert [line for line in KEY_LINES if line not in " ".join(first.split())] == []
    assert re.search(r"\n1\. .*\n13\. ", first, re.DOTALL), "all chapters are told, in order"
    assert "\x1b[" not in first, "no colour without a terminal"
    second = _run(data)
    assert "calls its models tumour-2, digits-2, diabetes-2, wine-2" in " ".join(second.split())


def test_interrupt_stops_the_server_it_started(tmp_path):
    data = tmp_path / "data"
    command = [str(_python()), str(ROOT / "demo" / "run.py")]
    with subprocess.Popen(
        command, env=_environment(data), cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as demo:
        said = ""
        for line in demo.stdout:
            said += line
            if "ready after" in line:
                demo.send_signal(signal.SIGINT)
                break
        said += demo.stdout.read()
        assert demo.wait(TIMEOUT_S) == 130, said
    assert "the demo's server is stopped" in said
    assert (data / "server.lock").read_bytes() == b"", "the server let go of the folder"
