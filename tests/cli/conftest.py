"""Run command lines of the main CLI on a registry of the test's own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenroom.cli.main import main


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """Standard output, read as one JSON document."""
        return json.loads(self.out)


@pytest.fixture
def lonely(tmp_path, monkeypatch) -> Path:
    """An empty working folder and an environment that names no registry."""
    for name in ("GREENROOM_URL", "GREENROOM_DATA", "GREENROOM_TOKEN", "GREENROOM_DEBUG", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name in ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GREENROOM_ACTOR", "ana")
    monkeypatch.setenv("GREENROOM_CACHE", str(tmp_path / "cache"))
    place = tmp_path / "work"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


@pytest.fixture
def run(lonely, capsys):
    """A function that runs words as one command line."""

    def run_words(*words: object) -> Ran:
        capsys.readouterr()
        code = main([str(word) for word in words])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ran(code, said.out, said.err)

    return run_words


@pytest.fixture
def churn(run, lonely):
    """A local registry with three versions of `churn`; gives `run`."""
    assert run("init").code == 0
    (lonely / "m").mkdir()
    (lonely / "m" / "requirements.txt").write_text("numpy==2.0\n")
    for auc in ("0.8", "0.9", "0.85"):
        (lonely / "m" / "w.bin").write_bytes(auc.encode())
        assert run("push", "m", "churn", "--metric", f"auc={auc}", "--param", "depth=6").code == 0
    return run
