"""Files through real MLflow clients: names, folders, conflicts, deletion, parts and ranges, snapshots, pinning.

What is expected is what a stock server gives, but for DIFFERENT, with its reasons.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mlflow.servers import ROOT, run_client
from tests.postgres import new_database
from tests.races.kit import serving

BAD, GONE, INTERNAL = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "INTERNAL_ERROR"


def _sum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _in_parts(size: int) -> list[Any]:
    return [True, [["some folder/large ü.bin", False, size]]]


_MLMODEL = {"MLmodel": _sum("flavors: {}\n")}
_BEFORE = _MLMODEL | {"data/w": _sum("weights")}
_AFTER = _MLMODEL | {"data/w": _sum("other weights"), "more": _sum("x")}

EXPECTED: dict[str, Any] = {
    "odd_names": [],
    "folders": {
        "same": True,
        "root": [["tree", True, None]],
        "tree": [["tree/" + "d" * 20, True, None], ["tree/empty", False, 0], ["tree/many", True, None]],
        "slash": True,
        "many": 60,
        "file": [],
        "nowhere": [],
    },
    "replaced": ["3", [["f", False, 1]]],
    "conflicts": [BAD, BAD, BAD, {"a": _sum("file"), "b/f": _sum("in a folder")}],
    "bad_paths": [*[INTERNAL] * 5, BAD, BAD, BAD, BAD],  # the client itself refuses the first five
    "not_there": [GONE, GONE, GONE],
    "deleting": [
        "done", ["d", "dd", "f"], "done", ["dd", "f"], "done", ["dd", "f"], "done", ["dd", "f"], "done", [],
        [["d/f", False, 5]],
    ],
    "multipart": [
        *(_in_parts(size) for size in (0, 1, 5_242_879, 5_242_880, 12_000_001)),
        BAD,
        {"_multipart_download": 5, "_try_multipart_upload": 3},
    ],
    "presigned_addresses": [[], ["mpu", "presigned"], [BAD, GONE, BAD, BAD, BAD] * 2],
    "snapshot": [_BEFORE, _BEFORE, _AFTER],
    "logged_models": [
        [["MLmodel", False, 12], ["sub dir", True, None]],
        [["sub dir/ü", False, 1]],
        [],
        _MLMODEL | {"sub dir/ü": _sum("w")},
    ],
}  # fmt: skip
OF_2 = {
    "logged_models": "2.x has none",
    "multipart": [*EXPECTED["multipart"][:-1], {"_try_multipart_upload": 3}],
    "presigned_addresses": [[], ["mpu"], EXPECTED["presigned_addresses"][-1]],  # 2.x fetches in one piece
}

DIFFERENT: dict[str, str] = {
    "folders": "the size of an empty file is said, 0; a stock server leaves it out",
    "conflicts": "a file where a folder is, is the user's error; a stock server answers 500",
    "multipart": "a stock server on a disk has no parts; and the two differences above",
    "snapshot": "a stock server's version loses its files with the run's",
}

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


@pytest.fixture(scope="module")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Our server on PostgreSQL."""
    with serving(Path(tmp_path_factory.mktemp("artifacts")) / "data", "--database-url", new_database()) as server:
        yield server.url


@pytest.mark.parametrize(
    ("client", "server"),
    [("mlflow3", "standard_server"), ("mlflow2", "standard_server"), ("mlflow3", "postgres_server")],
)
def test_what_a_client_does_with_files(request: pytest.FixtureRequest, client: str, server: str) -> None:
    seen = run_client(client, "artifact_calls.py", request.getfixturevalue(server), f"{client} {server}")
    expected = EXPECTED if client == "mlflow3" else EXPECTED | OF_2
    assert {name: answer for name, answer in seen.items() if answer != expected[name]} == {}
    assert seen.keys() == expected.keys()


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_client_shows_what_to_do_about_a_name(client: str, standard_server: str) -> None:
    """As the how-to page says; a file of that name in normal form C is taken."""
    shown, there = run_client(client, "refused_names.py", standard_server)
    for name, why in (
        ("é.csv", "is not in Unicode normal form C. Rename it: unicodedata.normalize('NFC', name)."),
        ("aux.csv", "has the segment 'aux.csv', a device on Windows. Rename it"),
        ("notes.", "has a segment that ends with a dot or a space. Rename it"),
    ):
        assert "400 Client Error" in shown[name]
        assert why in shown[name]
    assert there == ["é.csv"]


def test_a_stock_server_gives_the_same(stock: str) -> None:
    """And differs where we say so: a difference that is none any more is not listed."""
    seen = run_client("mlflow3", "artifact_calls.py", stock, "same")
    assert {name for name, answer in seen.items() if answer != EXPECTED[name]} == set(DIFFERENT)


def test_bytes_are_kept_once(tmp_path: Path) -> None:
    """A run's files, two versions of them and a logged model with the same bytes: one blob for each content."""
    with serving(tmp_path / "data") as server:
        seen = run_client("mlflow3", "artifact_calls.py", server.url, "once", "snapshot", "logged_models")
        assert seen["snapshot"] == EXPECTED["snapshot"]
    blobs = [path.name[:8] for path in (tmp_path / "data" / "blobs" / "sha256").rglob("*") if path.is_file()]
    contents = {*_BEFORE.values(), *_AFTER.values(), _sum("w")}
    assert sorted(each for each in blobs if each in contents) == sorted(contents)
    assert len(blobs) == len(contents)


def greenroom(*words: str, cache: Path) -> Any:
    """Run our command line where no MLflow is installed."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "GREENROOM_"))}
    done = subprocess.run(
        [sys.executable, "-m", "greenroom", *words, "--output", "json"],
        env=env | {"GREENROOM_CACHE": str(cache)}, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_model_of_a_stock_tracking_server_is_pinned(
    client: str, standard_server: str, stock: str, tmp_path: Path
) -> None:
    """Registered with MLFLOW_REGISTRY_URI alone here: unpinned; then fetched, sent and pinned, by plain HTTP."""
    prefix = f"{client}-pinned"
    run_client(client, "log_elsewhere.py", standard_server, stock, prefix)
    names = [(f"{prefix}-logged-elsewhere", n) for n in (1, 2)] + [(f"{prefix}-logged-elsewhere-at-once", 1)]
    for model, number in names:
        words = (model, str(number), "--url", standard_server)
        assert greenroom("show", *words, cache=tmp_path)["digest"] is None
        made = greenroom("pin", *words, "--tracking", stock, cache=tmp_path)
        assert made["digest"].startswith("sha256:")
        assert greenroom("show", *words, cache=tmp_path)["digest"] == made["digest"]
        greenroom("pull", f"{model}@{number}", str(tmp_path / f"{model}-{number}"), "--url", standard_server,
                  cache=tmp_path)  # fmt: skip
        assert (tmp_path / f"{model}-{number}" / "MLmodel").is_file()
    assert greenroom("verify", names[0][0], "--url", standard_server, cache=tmp_path)["findings"] == []
