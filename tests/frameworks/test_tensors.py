"""PyTorch, a model class of one's own, and a checkpoint of hundreds of MB: real training, the same bytes back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from greenroom import Registry
from greenroom.core.digest import digest_of
from tests.frameworks.test_trees import produced
from tests.frameworks.training import train, why_no_torch
from tests.promises import NIGHTLY, sized
from tests.races.kit import Server

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]

WIDTH = sized(300_000, 1_500_000)  # 178 MB, and 888 MB
FORMS = ["pt2", "pickle"] if NIGHTLY else ["pt2"]  # what MLflow 3.17 saves if nobody says how, and what all before did


@pytest.mark.parametrize("form", FORMS)
def test_pytorch(server: Server, registry: Registry, form: str) -> None:
    reason = why_no_torch()
    if reason is not None:
        pytest.skip(reason)
    told = train("train_torch.py", f"net-{form}", form, url=server.url)
    assert {key for key, value in told.items() if value is not True} == {"version", "run", "mlflow", "loss"}
    version = produced(registry, f"net-{form}", told)
    assert version.metrics["loss"] == told["loss"]
    assert version.metrics["accuracy"] > 0.95
    assert version.params == {"epochs": "12", "optimizer": "Adam", "lr": "0.01"}
    assert [(each.name, each.context) for each in version.datasets] == [("digits", "training")]


def test_pyfunc_with_code_and_data(server: Server, registry: Registry) -> None:
    told = train("train_pyfunc.py", "centres", url=server.url)
    version = produced(registry, "centres", told)
    assert version.metrics["accuracy"] > 0.95
    paths = {each.path for each in registry.files("centres", 1).files}
    assert {"MLmodel", "code/centres_of_wine/classify.py", "artifacts/centres.json"} <= paths
    served = train("serve_pyfunc.py", "centres", url=server.url)
    assert served == {"code was here": False, "guessed": told["guessed"]}


def test_large_safetensors_file(server: Server, registry: Registry, tmp_path: Path) -> None:
    sent = tmp_path / "checkpoint.safetensors"
    told = train("train_wide.py", "wide", str(WIDTH), str(sent), url=server.url)
    assert (told["equal"], told["learned"], told["bytes"] > 590 * WIDTH) == (True, True, True)
    version = produced(registry, "wide", told)
    assert [(each.path, each.digest) for each in registry.files("wide", 1).files] == [(sent.name, told["digest"])]
    assert version.size_bytes == told["bytes"]
    command = [
        sys.executable,
        "-m",
        "greenroom",
        "--url",
        server.url,
        "pull",
        "wide@Production",
        str(tmp_path / "pulled"),
    ]
    subprocess.run(
        command, check=True, capture_output=True, timeout=120, env={"XDG_CACHE_HOME": str(tmp_path / "cache")}
    )
    assert digest_of((tmp_path / "pulled" / sent.name).read_bytes()) == told["digest"]
