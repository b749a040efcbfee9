"""Real models through the real clients: uploaded, registered, and loaded by stage, number, alias and `latest`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mlflow.servers import run_client

STRENGTHS = (0.01, 1.0, 100.0)  # as in load_models.py: by its strength a loaded model is known
NOTES = "notes ü.txt"

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_trained_models_come_back_as_they_were(client: str, standard_server: str, tmp_path: Path):
    seen = run_client(client, "load_models.py", standard_server, client, str(tmp_path))
    assert seen["used"] == {
        "/Production": [STRENGTHS[0], True],
        "/3": [STRENGTHS[2], True],
        "@champion": [STRENGTHS[1], True],
        "/latest": [STRENGTHS[2], True],
    }
    assert seen["got"].pop("registered_model_meta") > 0  # the client's own note
    assert seen["got"] == seen["sent"]  # every file, with its name and size
    assert seen["one"] == f"{NOTES} {STRENGTHS[2]}"
    assert seen["copied"] == [STRENGTHS[0], True]
    assert seen["used from elsewhere"] == [STRENGTHS[1], True]
    assert seen["uri"].startswith(f"{standard_server}/api/2.0/mlflow-artifacts/artifacts/snapshots/")
    assert ["MLmodel", False] in seen["listed"]
    assert ["extra", True] in seen["listed"]
    assert seen["listed extra"] == [
        ["extra/deep", True, None],
        ["extra/folder with spaces", True, None],
        ["extra/notes ü.txt", False, len(f"{NOTES} {STRENGTHS[2]}".encode())],
    ]
    assert seen["listed after"] == []


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_model_logged_on_another_server_can_be_registered_here(client: str, standard_server: str, stock: str):
    seen = run_client(client, "log_elsewhere.py", standard_server, stock, client)
    assert seen == {"/1": True, "/2": True, "-at-once/1": True, "run": True}
