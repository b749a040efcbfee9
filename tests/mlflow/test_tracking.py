"""Runs tracked by real MLflow clients with nothing but MLFLOW_TRACKING_URI set, on SQLite and on PostgreSQL.

What is expected was compared with a stock server: the same scenarios give the same answers there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mlflow.servers import run_client
from tests.postgres import new_database
from tests.races.kit import serving

REFUSED, EXISTS, GONE = "INVALID_PARAMETER_VALUE", "RESOURCE_ALREADY_EXISTS", "RESOURCE_DOES_NOT_EXIST"
EXPECTED: dict[str, Any] = {
    "a_run": {
        "states": ["RUNNING", "FINISHED"],
        "name": ["first", "about it"],
        "params": {"depth": "3", "kind": "tree", "lr": "0.1"},
        "metrics": {
            "loss": "0.25",
            "nan": "nan",
            "inf": "1.7976931348623157e+308",
            "low": "-1.7976931348623157e+308",
        },
        "tags": {"k": "v", "l": "w"},
        "loss": [[0, 1.0], [1, 1 / 2], [2, 1 / 3], [3, 1 / 4]],
    },
    "nested_runs": [["0", "1", "2"], 1, 5],
    "batches": {
        "refused": REFUSED,
        "params": {"p": "1"},
        "tags": {"t": "v"},
        "metrics": 10,
        "points": 1000,
        "many": None,  # clients cut what is too long for one request
    },
    "async_logging": [200, 199.0, {"a": "1"}],
    "two_values_at_once": [1, [REFUSED], 1],
    "artifacts": {
        "root": [["all", True, None], ["d.json", False, 12], ["notes", True, None], ["ä b.txt", False, 3]],
        "all": [["all/sub", True, None], ["all/ä b.txt", False, 3]],
        "none": [],
        "files": ["all/sub/empty", "all/ä b.txt", "d.json", "notes/a.txt", "ä b.txt"],
        "text": "hello",
    },
    "deleted_and_restored": [
        REFUSED, "deleted", "deleted", EXISTS, REFUSED, "deleted", {"m": 1.0}, {"k": "v", "l": "w"}, None,
    ],
    "errors": [
        [GONE, f"{GONE}: Run with id={'f' * 32} not found"],
        [GONE, f"{GONE}: No Experiment with id=987654 exists"],
        EXISTS, REFUSED, REFUSED, GONE, REFUSED, REFUSED, GONE,
    ],
    "data_sets": [["two", 8, "training"]],
    "images_by_step": [14, 14],
    "from_run_to_production": {
        "versions": [["1", True], ["2", True]],
        "scores": [True, True, True, True, 3, True],
    },
    "autologging": [True, True, ["1.0", "0.5"], 1],
    "logged_models": {
        "found": ["clf", "READY", "kind", {"C": "1"}, {"k": "v", "l": "w"}],
        "metrics": [["f1", "0.5", 3, True], ["f1", "nan", 4, True]],
        "names": ["clf"],
        "gone": GONE,
        "left": 0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our server on PostgreSQL."""
    with serving(Path(tmp_path_factory.mktemp("tracking")) / "data", "--database-url", new_database()) as server:
        yield server.url


@pytest.mark.parametrize(
    ("client", "server"),
    [("mlflow3", "standard_server"), ("mlflow2", "standard_server"), ("mlflow3", "postgres_server")],
)
def test_what_a_client_tracks_is_there(request: pytest.FixtureRequest, client: str, server: str) -> None:
    seen = run_client(client, "tracking_calls.py", request.getfixturevalue(server), client)
    expected = EXPECTED if client == "mlflow3" else EXPECTED | {"logged_models": "2.x has none"}
    assert {name: answer for name, answer in seen.items() if answer != expected[name]} == {}
    assert seen.keys() == expected.keys()
