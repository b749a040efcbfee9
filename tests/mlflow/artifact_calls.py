"""What a real MLflow client does with files, as small scenarios; runs inside the client's own environment.

    python artifact_calls.py URL PREFIX [SCENARIO ...]

prints one JSON object: the scenario's name -> what the client got. Written for 2.x and 3.x clients alike.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # a 5xx shows at once, not after minutes
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
import requests  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.artifacts import download_artifacts  # noqa: E402
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository  # noqa: E402
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository  # noqa: E402
from mlflow.utils.credentials import get_default_host_creds  # noqa: E402
from mlflow.utils.rest_utils import http_request, verify_rest_response  # noqa: E402

THREE = not mlflow.__version__.startswith("2.")
SCENARIOS: dict[str, Callable[[MlflowClient, str], Any]] = {}
PART = 100_000
NAMES = [
    "plain.txt", "with space.txt", "ünïcödé.txt", "漢字.txt", "😀.bin", "עברית.txt", ".hidden", ".env", "..two", "a..b",
    "100%", "50% off.txt", "a+b&c=d.txt", "(1) [2] {3}.txt", "comma,semi'quote.txt", "UPPER.TXT", "upper.txt",
    "no-extension", "many.dots.in.a.name.tar.gz", "n" * 200, "~tilde", "a@b.txt", "$HOME", "-dash", "=1", "a!b.txt",
]  # fmt: skip
DEEP = "/".join("d" * 20 for _ in range(12))


def scenario(function: Callable[[MlflowClient, str], Any]) -> Callable[[MlflowClient, str], Any]:
    SCENARIOS[function.__name__] = function
    return function


def outcome(function: Callable[..., Any], *args: Any) -> str:
    """Return `done`, or how the call failed: MLflow's code and HTTP status, as far as the error tells them."""
    try:
        function(*args)
    except Exception as exc:  # whatever it is, the test shows it
        text = str(exc)
        known = ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED", "INTERNAL_ERROR")
        codes = [each for each in known if each in text or getattr(exc, "error_code", "") == each]
        return codes[0] if codes else type(exc).__name__
    return "done"


def files_in(folder: str) -> dict[str, str]:
    """Return the digest of every file below a folder, by its path."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:8]
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def run_of(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def put(client: MlflowClient, run: str, name: str, data: bytes = b"x", folder: str | None = None) -> None:
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, name)
        file.write_bytes(data)
        client.log_artifact(run, str(file), folder)


def listed(client: MlflowClient, run: str, path: str | None = None) -> Any:
    return [[each.path, each.is_dir, each.file_size] for each in client.list_artifacts(run, path)]


@scenario
def odd_names(client: MlflowClient, prefix: str) -> Any:
    """Names of files and of folders come back as they were, from a list and in a download."""
    run = run_of(client)
    wrong = []
    for number, name in enumerate(NAMES):
        data = f"{number} {name}".encode()
        put(client, run, name, data)
        put(client, run, "f", data, f"folders/{name}")
    names = {each.path for each in client.list_artifacts(run)} - {"folders"}
    folders = {each.path.removeprefix("folders/") for each in client.list_artifacts(run, "folders")}
    wrong += sorted(set(NAMES) ^ names) + sorted(set(NAMES) ^ folders)
    with tempfile.TemporaryDirectory() as place:
        got = files_in(client.download_artifacts(run, "", place))
    expected = [hashlib.sha256(f"{number} {name}".encode()).hexdigest()[:8] for number, name in enumerate(NAMES)]
    for name, digest in zip(NAMES, expected, strict=True):
        wrong += [each for each in (name, f"folders/{name}/f") if got.get(each) != digest]
        with tempfile.TemporaryDirectory() as place:
            one = Path(client.download_artifacts(run, name, place))
            wrong += [] if one.name == name and files_in(place) == {name: digest} else [f"one: {name}"]
    return wrong


@scenario
def folders(client: MlflowClient, prefix: str) -> Any:
    """A tree with empty files, deep folders, many files; empty folders are not kept."""
    run = run_of(client)
    with tempfile.TemporaryDirectory() as place:
        Path(place, "empty").touch()
        Path(place, "empty folder").mkdir()
        Path(place, DEEP).mkdir(parents=True)
        Path(place, DEEP, "f").write_bytes(b"deep")
        Path(place, "many").mkdir()
        for number in range(60):
            Path(place, "many", f"{number:03}").write_bytes(b"%d" % number)
        client.log_artifacts(run, place, "tree")
        client.log_artifacts(run, place, "tree")  # again: each file replaces itself
        sent = files_in(place)
    with tempfile.TemporaryDirectory() as place:
        same = files_in(client.download_artifacts(run, "tree", place)) == sent
    return {
        "same": same,
        "root": listed(client, run),
        "tree": listed(client, run, "tree"),
        "slash": listed(client, run, "tree/") == listed(client, run, "tree"),
        "many": len(listed(client, run, "tree/many")),
        "file": listed(client, run, "tree/empty"),
        "nowhere": listed(client, run, "nowhere"),
    }


@scenario
def replaced(client: MlflowClient, prefix: str) -> Any:
    run = run_of(client)
    for data in (b"first", b"second and longer", b"3"):
        put(client, run, "f", data)
    with tempfile.TemporaryDirectory() as place:
        return [Path(client.download_artifacts(run, "f", place)).read_bytes().decode(), listed(client, run)]


@scenario
def conflicts(client: MlflowClient, prefix: str) -> Any:
    """A file where a folder is, and the other way: said at once, and what was there stays."""
    run = run_of(client)
    put(client, run, "a", b"file")
    put(client, run, "f", b"in a folder", "b")
    seen = [outcome(put, client, run, "f", b"x", "a"), outcome(put, client, run, "b", b"x")]
    seen.append(outcome(put, client, run, "f", b"x", "a/deeper"))
    with tempfile.TemporaryDirectory() as place:
        return [*seen, files_in(client.download_artifacts(run, "", place))]


@scenario
def bad_paths(client: MlflowClient, prefix: str) -> Any:
    run = run_of(client)
    paths = ["..", "../x", "a/../../x", "/etc", "a//b/../..", "%2e%2e/x"]
    return [outcome(put, client, run, "f", b"x", each) for each in paths] + [
        outcome(client.list_artifacts, run, each) for each in ("..", "/etc", "a/../..")
    ]


@scenario
def not_there(client: MlflowClient, prefix: str) -> Any:
    run = run_of(client)
    put(client, run, "f", b"x")
    with tempfile.TemporaryDirectory() as place:
        return [
            outcome(client.download_artifacts, run, "nothing", place),
            outcome(client.list_artifacts, "f" * 32),
            outcome(client.download_artifacts, "f" * 32, "f", place),
        ]


@scenario
def deleting(client: MlflowClient, prefix: str) -> Any:
    """Of one file, of a folder with all below it, of what is not there, of all."""
    run = run_of(client)
    for name, folder in (("f", "d"), ("g", "d"), ("f", "d/e"), ("f", "dd"), ("f", None)):
        put(client, run, name, b"x", folder)
    repository = get_artifact_repository(client.get_run(run).info.artifact_uri)
    seen = []
    for path in ("d/g", "d", "d", "nothing/here", None):
        seen.append(outcome(repository.delete_artifacts, path))
        seen.append([each.path for each in client.list_artifacts(run)])
    put(client, run, "f", b"again", "d")
    return [*seen, listed(client, run, "d")]


def in_parts(client: MlflowClient, size: int) -> Any:
    """Send one file in parts of PART bytes and fetch it again; say whether it is the same, and how it lies there."""
    run, data = run_of(client), (b"0123456789abcdef" * (size // 16 + 1))[:size]
    put(client, run, "large ü.bin", data, "some folder")
    with tempfile.TemporaryDirectory() as place:
        got = Path(client.download_artifacts(run, "some folder/large ü.bin", place)).read_bytes()
    return [got == data, listed(client, run, "some folder")]


def _noted(way: str, ways: list[str]) -> None:
    """Note each time that the client takes a way of its own: that it was asked to does not say that it did."""
    plain = getattr(HttpArtifactRepository, way, None)
    if plain is not None:
        setattr(HttpArtifactRepository, way, lambda *args, **more: (ways.append(way), plain(*args, **more))[1])


@scenario
def multipart(client: MlflowClient, prefix: str) -> Any:
    """Parts and ranges, as somebody asks for them in the environment."""
    os.environ.update(
        MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="true",
        MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="true",
        MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="5242880",
        MLFLOW_MULTIPART_UPLOAD_CHUNK_SIZE="5242880",
        MLFLOW_MULTIPART_DOWNLOAD_CHUNK_SIZE="1000003",
    )
    ways: list[str] = []
    for way in ("_try_multipart_upload", "_multipart_download"):
        _noted(way, ways)
    try:
        seen = [in_parts(client, size) for size in (0, 1, 5_242_879, 5_242_880, 12_000_001)]
        run = run_of(client)
        put(client, run, "a", b"file")
        seen.append(outcome(put, client, run, "f", bytes(6_000_000), "a"))
        return [*seen, {each: ways.count(each) for each in sorted(set(ways))}]
    finally:
        for name in [each for each in os.environ if "MULTIPART" in each]:
            del os.environ[name]


@scenario
def presigned_addresses(client: MlflowClient, prefix: str) -> Any:
    """Addresses past the server: no way of sending or fetching asks for one, and who asks is told why there is none."""
    asked: set[str] = set()
    plain = requests.Session.send

    def noted(self: Any, request: Any, **more: Any) -> Any:
        asked.update(re.findall(r"/(presigned[-\w]*|mpu)\b", request.url))
        return plain(self, request, **more)

    requests.Session.send = noted
    try:
        in_parts(client, 6_000_000)
        quiet = sorted(asked)
        os.environ.update(
            MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD="true",
            MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="true",
            MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE="5242880",
        )
        outcome(in_parts, client, 6_000_000)  # a stock server on a disk has no parts
    finally:
        requests.Session.send = plain
        for name in [each for each in os.environ if "MULTIPART" in each]:
            del os.environ[name]
    run = run_of(client)
    bodies = ({"run_id": run, "path": "f"}, {"run_id": "f" * 32, "path": "f"}, {"run_id": run, "path": "../f"},
              {"path": "f"}, {"run_id": run})  # fmt: skip
    told = [outcome(direct, way, body) for way in ("upload", "download") for body in bodies]
    return [quiet, sorted(asked - {"presigned-file"}), told]


def direct(way: str, body: dict[str, Any]) -> None:
    """Ask for an address past the server, with the client's own means."""
    endpoint = f"/api/2.0/mlflow/artifacts/presigned-{way}-url"
    answer = http_request(get_default_host_creds(mlflow.get_tracking_uri()), endpoint, "POST", json=body)
    verify_rest_response(answer, endpoint)


@scenario
def snapshot(client: MlflowClient, prefix: str) -> Any:
    """What is registered from a run's files is not touched by what happens to the run."""
    run, name = run_of(client), f"{prefix} snapshot"
    put(client, run, "MLmodel", b"flavors: {}\n", "model")
    put(client, run, "w", b"weights", "model/data")
    client.create_registered_model(name)
    root = client.get_run(run).info.artifact_uri
    for source in (f"{root}/model", f"runs:/{run}/model"):
        client.create_model_version(name, source, run)
    put(client, run, "w", b"other weights", "model/data")
    put(client, run, "more", b"x", "model")
    client.create_model_version(name, f"runs:/{run}/model", run)
    get_artifact_repository(root).delete_artifacts("model")
    client.delete_run(run)
    found = []
    for number in (1, 2, 3):
        with tempfile.TemporaryDirectory() as place:
            found.append(files_in(download_artifacts(f"models:/{name}/{number}", dst_path=place)))
    for each in found:
        each.pop("registered_model_meta", None)  # the client's own note
    return found


@scenario
def logged_models(client: MlflowClient, prefix: str) -> Any:
    """The folder of a logged model, its list, and its snapshot."""
    if not THREE:
        return "2.x has none"
    model = client.create_logged_model("0", name=f"{prefix}-m")
    with tempfile.TemporaryDirectory() as place:
        Path(place, "sub dir").mkdir()
        Path(place, "MLmodel").write_text("flavors: {}\n")
        Path(place, "sub dir", "ü").write_text("w")
        client.log_model_artifacts(model.model_id, place)
    client.finalize_logged_model(model.model_id, "READY")
    seen: list[Any] = [
        [[each.path, each.is_dir, each.file_size] for each in client.list_logged_model_artifacts(model.model_id, path)]
        for path in (None, "sub dir", "nowhere")
    ]
    name = f"{prefix} logged"
    client.create_registered_model(name)
    client.create_model_version(name, f"models:/{model.model_id}", model_id=model.model_id)
    client.delete_logged_model(model.model_id)
    with tempfile.TemporaryDirectory() as place:
        got = files_in(download_artifacts(f"models:/{name}/1", dst_path=place))
    got.pop("registered_model_meta", None)
    return [*seen, got]


def main(url: str, prefix: str, *chosen: str) -> None:
    """Play every scenario, or those that are chosen."""
    mlflow.set_tracking_uri(url)
    client = MlflowClient()
    seen = {}
    for name in chosen or SCENARIOS:
        play = SCENARIOS[name]
        try:
            seen[name] = play(client, prefix)
        except Exception as exc:  # the test shows which scenario it was
            seen[name] = f"{type(exc).__name__}: {exc}"[:600]
    print(json.dumps(seen))


if __name__ == "__main__":
    main(*sys.argv[1:])
