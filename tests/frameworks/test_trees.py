"""Autologging of scikit-learn, XGBoost and LightGBM: real training, and versions that know all about it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from greenroom import Registry, Version
from tests.frameworks.training import train
from tests.races.kit import Server

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def produced(registry: Registry, name: str, told: dict[str, object]) -> Version:
    """Return the version in Production; it is the one that was trained, pinned, and knows its run."""
    held = registry.holder(name, "Production")
    assert held is not None
    version = registry.get(name, held.version)
    assert (version.version, version.run_id) == (told["version"], told["run"])
    assert version.digest is not None
    return version


def test_scikit_learn(server: Server, registry: Registry) -> None:
    told = train("train_sklearn.py", "cells", url=server.url)
    grid = told["grid"]
    assert (grid["run"], grid["equal"], grid["version"]) == (True, True, 1)
    assert sorted(grid["tried"]) == ["0.01", "0.1", "1.0"]
    assert grid["tried"][0] == grid["best"]
    version = produced(registry, "cells", told)
    # Autologging registers the model first and logs its scores afterwards: the version has them all the same.
    assert {"best_cv_score", "training_accuracy_score"} <= version.metrics.keys()
    assert version.params["best_logisticregression__C"] == grid["best"]
    assert [(each.name, each.context) for each in version.datasets] == [("dataset", "train")]
    assert told["untrusted"] == {"refused": True}
    for kind in ("trusted", "pickled"):
        assert told[kind]["equal"], kind
        assert registry.get(f"cells-{kind}", 1).metrics == {"accuracy": told[kind]["accuracy"]}
        assert [each.name for each in registry.get(f"cells-{kind}", 1).datasets] == ["cells"]


@pytest.mark.nightly
def test_scikit_learn_with_mlflow_2(server: Server, registry: Registry) -> None:
    told = train("train_sklearn.py", "older", url=server.url, client="mlflow2")
    assert told["mlflow"].startswith("2.")
    assert (told["grid"]["equal"], told["pickled"]["equal"]) == (True, True)
    assert "best_cv_score" in produced(registry, "older", told).metrics


def test_xgboost(server: Server, registry: Registry) -> None:
    told = train("train_xgboost.py", "boosted", url=server.url)
    assert {key: told[key] for key in ("equal", "falls", "by_pyfunc")} == dict.fromkeys(
        ("equal", "falls", "by_pyfunc"), True
    )
    version = produced(registry, "boosted", told)
    assert {"train-logloss", "valid-logloss", "best_iteration", "stopped_iteration"} <= version.metrics.keys()
    assert (version.params["max_depth"], version.params["num_boost_round"]) == ("3", "15")
    assert [(each.name, each.context) for each in version.datasets] == [
        ("dataset", "train"), ("train", "eval"), ("valid", "eval"),
    ]  # fmt: skip
    assert told["points"] >= 15


def test_lightgbm_and_our_command_line(server: Server, registry: Registry) -> None:
    told = train("train_lightgbm.py", "leaves", url=server.url)
    assert {key for key, value in told.items() if value is not True} == {"version", "run", "mlflow"}
    version = produced(registry, "leaves", told)
    assert {"train-l2", "valid-l2"} <= version.metrics.keys()
    assert version.params["num_leaves"] == "7"
    command = [sys.executable, "-m", "greenroom", "--url", server.url]
    for words in (["promote", "leaves", "1", "--to", "Archived"], ["promote", "leaves", "1", "--to", "Production"]):
        subprocess.run([*command, *words], check=True, capture_output=True, timeout=60)
    shown = subprocess.run([*command, "show", "leaves", "1"], check=True, capture_output=True, text=True, timeout=60)
    assert "valid-l2" in shown.stdout
    assert told["run"] in shown.stdout


def test_optuna(server: Server, registry: Registry) -> None:
    told = train("tune_optuna.py", "tuned", url=server.url)
    assert (told["trials"], told["best"], told["params"], told["distributions"], told["equal"]) == (
        6,
        True,
        True,
        True,
        True,
    )
    version = produced(registry, "tuned", told)
    assert (version.metrics.keys(), version.params.keys()) == ({"accuracy"}, {"C"})
