"""F8 as MLflow's users meet it: a clear error in place of wrong bytes, and whole again after the same files came."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from greenroom import connect
from greenroom.core.digest import digest_of, hex_of
from tests.mlflow.servers import run_client
from tests.races.kit import problems_of_log, serving

WEIGHTS = "0.125 " * 20_000


@pytest.mark.mlflow
@pytest.mark.slow
@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_damaged_version_is_no_model(tmp_path: Path, client: str) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text(WEIGHTS)
    digits = hex_of(digest_of(WEIGHTS.encode()))
    blob = tmp_path / "data" / "blobs" / "sha256" / digits[:2] / digits
    with serving(tmp_path / "data") as server:

        def step(name: str, where: Path) -> Any:
            return run_client(client, "damaged_files.py", server.url, name, "churn", str(where))

        with connect(server.url) as registry:
            assert step("register", folder) == {"version": 1, "status": "READY"}
            blob.chmod(0o600)
            blob.write_text(WEIGHTS[:-1] + "5")
            seen = step("fetch", tmp_path)
            assert seen["status"] == "READY"  # a word that clients know
            assert seen["files"] == {}
            assert "DATA_LOSS" in seen["error"]  # and at once: a 500 would be repeated for minutes, and hide the text
            assert registry.get("churn", 1).damaged
            assert registry.fsck(repair=True).damaged == 1
            assert "DATA_LOSS" in step("fetch", tmp_path)["error"]
            assert step("register", folder)["version"] == 2
            assert not registry.get("churn", 1).damaged
            assert step("fetch", tmp_path)["files"] == {"weights": WEIGHTS}
            assert registry.fsck().findings == ()
    assert problems_of_log(tmp_path / "data") == []
