"""F6: the disk is full. Writes and uploads are answered 507, reads go on, writes are back as soon as there is space."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.digest import digest_of
from greenroom.services import commands as c
from tests.promises import promise, sized
from tests.races.kit import ROOT, Client, Server, problems_of_log, serving

ROUNDS = sized(1, 50)
BACK_S = 5.0
MIB = 1 << 20
MLFLOW_FILES = "/api/2.0/mlflow-artifacts/artifacts"
MLFLOW = ROOT / ".venvs" / "mlflow3" / "bin" / "python"

pytestmark = pytest.mark.slow


def _mount(name: str, *arguments: str) -> None:
    tool = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    done = subprocess.run([tool or name, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()[:120]}")


@contextlib.contextmanager
def tmpfs(place: Path, size_mib: int = 8) -> Iterator[Path]:
    """A small file system in memory."""
    place.mkdir()
    _mount("mount", "-t", "tmpfs", "-o", f"size={size_mib}m,mode=0700", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


@contextlib.contextmanager
def ext4(place: Path) -> Iterator[Path]:
    """A file system of 16 MiB in a file."""
    place.mkdir()
    image = place.with_suffix(".ext4")
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    _mount("mkfs.ext4", "-q", "-m", "0", str(image))
    _mount("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


class Filler:
    """Takes the space that is left on a disk, and gives it back."""

    def __init__(self, place: Path) -> None:
        self._file = place / "somebody-elses-file"

    def fill(self, keep: int = 0) -> None:
        with self._file.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while shutil.disk_usage(self._file.parent).free > keep:
                file.write(bytes(min(MIB, max(4096, shutil.disk_usage(self._file.parent).free - keep))))

    def free(self) -> None:
        self._file.unlink()


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, Any]]:
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    try:
        connection.request(method, path, body)
        answer = connection.getresponse()
        text = answer.read()
        return answer.status, json.loads(text) if text.startswith(b"{") else {"text": text.decode()}
    finally:
        connection.close()


def upload(server: Server, body: bytes) -> tuple[int, dict[str, Any]]:
    return ask(server, "PUT", f"/api/v1/blobs/{digest_of(body).replace(':', '/')}", body)


WRITES: dict[str, Callable[[int], tuple[str, Any]]] = {
    "register": lambda at: ("register_version", c.RegisterVersion("m", source="s3://e/m", tags={"t": "x" * 4000})),
    "promote": lambda at: ("promote", c.Promote("m", "Production", 1 + at % 2, swap=True, reason="r" * 900)),
    "alias": lambda at: ("set_alias", c.SetAlias("m", "champion", 1 + at % 2, reason="r" * 900)),
}


def begin(server: Server) -> None:
    with Client(server.address) as client:
        for _ in range(2):
            client.do("register_version", c.RegisterVersion("m", source="s3://elsewhere/m", create_model=True))


def write_until_full(server: Server, kind: str) -> list[str]:
    """Write until a write is refused for want of space; return who was acknowledged."""
    acknowledged = []
    with Client(server.address) as client:
        for at in range(20_000):
            if kind == "upload":
                status, answer = upload(server, os.urandom(200_000))
            else:
                status, answer = client.ask(*WRITES[kind](at), actor=f"{kind}-{at}")
            if status not in (200, 201):
                assert (status, answer["code"]) == (507, "storage_full"), answer
                return acknowledged
            acknowledged.append(f"{kind}-{at}")
    raise AssertionError("the disk did not become full")


def reads_go_on(server: Server) -> None:
    with Client(server.address) as client:
        assert client.do("get_version", c.VersionNamed("m", 1))["version"] == 1
        assert client.do("search_versions", c.SearchVersions())["items"]
    assert ask(server, "GET", "/health") == (200, {"text": "OK"})
    status, answer = ask(server, "GET", "/ready")
    assert status == 503, answer
    assert answer["details"]["reason"] == "storage_full", answer


def is_back(server: Server) -> None:
    """Writing works again, in time, and the server says so."""
    end = time.monotonic() + BACK_S
    with Client(server.address) as client:
        while True:
            status, answer = client.ask("create_model", c.CreateModel(f"back-{time.monotonic_ns()}"))
            if status == 200:
                break
            assert time.monotonic() < end, answer
    assert upload(server, os.urandom(1000))[0] in (200, 201)
    assert ask(server, "GET", "/ready")[0] == 200


def is_whole(folder: Path, acknowledged: list[str]) -> None:
    assert problems_of_log(folder) == []
    from greenroom.app import open_local

    registry = open_local(folder)
    with registry.snapshot() as tx:
        actors = {each.actor for each in tx.audit_entries(after=0, limit=1_000_000)}
    registry.close()
    assert {each for each in acknowledged if not each.startswith("upload")} <= actors


@promise(
    "F6",
    "a full tmpfs of 8 MiB, a full ext4 of 16 MiB, a limit of the file size; 4 kinds of writes, {rounds} times each",
    rounds=ROUNDS,
    mutant="test_without_a_floor_there_is_no_room_for_rows",
)
@pytest.mark.parametrize("kind", [*WRITES, "upload"])
@pytest.mark.parametrize("disk", [tmpfs, ext4])
def test_a_full_disk(disk: Callable[[Path], Any], kind: str, tmp_path: Path) -> None:
    with disk(tmp_path / "disk") as place:
        filler = Filler(place)
        with serving(place / "data", "--free-space-floor", "0") as server:
            begin(server)
            for _ in range(ROUNDS):
                filler.fill(keep=MIB)
                acknowledged = write_until_full(server, kind)
                if kind == "upload":
                    filler.free()
                    filler.fill()
                    acknowledged += write_until_full(server, "register")
                reads_go_on(server)
                filler.free()
                is_back(server)
            filler.fill()
        with serving(place / "data") as server:  # a full disk keeps no server from starting and reading
            reads_go_on(server)
        filler.free()
        is_whole(place / "data", acknowledged)


@pytest.mark.parametrize("kind", [*WRITES, "upload"])
def test_a_file_that_may_not_grow(kind: str, tmp_path: Path) -> None:
    """RLIMIT_FSIZE: EFBIG instead of ENOSPC, and no space to free: the limit is lifted from outside."""
    with serving(tmp_path / "data") as server:
        begin(server)
        limit = 300_000 if kind != "upload" else 100_000
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        acknowledged = write_until_full(server, kind)
        if kind == "upload":
            assert ask(server, "GET", "/ready")[0] == 200  # a file was too large; rows can be written
        else:
            reads_go_on(server)
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        is_back(server)
    is_whole(tmp_path / "data", acknowledged)


def test_the_floor_keeps_room_for_rows(tmp_path: Path) -> None:
    """Files are refused first, with both numbers, then rows; the log says when that began and when it ended."""
    with tmpfs(tmp_path / "disk") as place:
        filler, server = Filler(place), Server(place / "data")
        try:
            begin(server)
            floor = 8 * MIB // 20
            filler.fill(keep=floor - 20_000)
            status, answer = upload(server, b"x" * 1000)
            assert (status, answer["details"]["floor_bytes"]) == (507, floor)
            assert answer["details"]["free_bytes"] < floor
            assert ask(server, "GET", "/ready")[0] == 503
            with Client(server.address) as client:
                client.do("create_model", c.CreateModel("rows-go-on"))
                filler.free()
                filler.fill(keep=floor // 8 - 8_000)
                status, answer = client.ask("create_model", c.CreateModel("refused"))
                assert (status, answer["details"]["floor_bytes"]) == (507, floor // 8)
            filler.free()
            is_back(server)
            server.process.send_signal(signal.SIGTERM)
            server.process.communicate(timeout=20)
            said = [line for line in server.said() if "ready" in line]
            assert [line.split(":")[0] for line in said] == ["not ready", "ready again"], said
        finally:
            server.kill()


@pytest.mark.parametrize("below", [MLFLOW_FILES, f"{MLFLOW_FILES}/run"], ids=["one by one", "a folder"])
def test_room_is_made_from_inside(below: str, tmp_path: Path) -> None:
    """Below the last eighth of the floor nothing else is written; files of runs are deleted, and then collected."""
    files = [f"{MLFLOW_FILES}/run/{at}" for at in range(3)]
    with tmpfs(tmp_path / "disk", 64) as place, serving(place / "data") as server:
        begin(server)
        for each in files:
            assert ask(server, "PUT", each, os.urandom(2 * MIB))[0] == 200
        Filler(place).fill(keep=64 * MIB // 20 // 8 - 8_000)
        with Client(server.address) as client:
            status, answer = client.ask("create_model", c.CreateModel("refused"))
            assert (status, answer["code"]) == (507, "storage_full")
            assert "greenroom gc" in answer["hint"]
            assert ask(server, "PUT", f"{MLFLOW_FILES}/run/more", b"x" * 1000)[0] == 507
            for each in files if below == MLFLOW_FILES else [below]:
                assert ask(server, "DELETE", each) == (200, {})
            assert client.ask("create_model", c.CreateModel("refused"))[0] == 507  # nothing was collected yet
            assert client.do("collect_garbage", c.CollectGarbage(grace_s=0))["blobs"] == len(files)
        is_back(server)


def test_an_upload_that_cannot_fit_is_refused_before_it_is_sent(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk") as place, serving(place / "data") as server:
        status, answer = upload(server, bytes(9 * MIB))
        assert (status, answer["code"]) == (507, "storage_full")
        assert list((place / "data" / "blobs" / "staging").iterdir()) == []


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    """Said in MLflow's words, for the part and for the whole; what was there stays, aborting gives the space back."""
    files = "/api/2.0/mlflow-artifacts"
    with tmpfs(tmp_path / "disk") as place, serving(place / "data", "--free-space-floor", "0") as server:
        assert ask(server, "PUT", f"{files}/artifacts/a/before", b"kept")[0] == 200
        body = json.dumps({"path": "large", "num_parts": 6}).encode()

        def post(step: str, body: bytes) -> tuple[int, dict[str, Any]]:
            connection = http.client.HTTPConnection(*server.address, timeout=30)
            connection.request("POST", f"{files}/mpu/{step}/a", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            try:
                return answer.status, json.loads(answer.read())
            finally:
                connection.close()

        made = post("create", body)[1]
        urls = [each["url"].removeprefix(server.url) for each in made["credentials"]]
        etag = f'"{digest_of(bytes(MIB)).removeprefix("sha256:")}"'
        sent = [ask(server, "PUT", url, bytes(MIB))[0] for url in urls[:5]]
        parts = [{"part_number": number, "etag": etag} for number in range(1, 7)]
        whole = json.dumps({"path": "large", "upload_id": made["upload_id"], "parts": parts}).encode()
        refused = [ask(server, "PUT", urls[5], bytes(4 * MIB)), post("complete", whole)]
        assert sent == [200] * 5
        assert (refused[0][0], refused[0][1]["error_code"]) == (507, "RESOURCE_EXHAUSTED")
        assert "no space is left" in refused[0][1]["message"]
        assert (refused[1][0], "part 6" in refused[1][1]["message"]) == (400, True)
        assert ask(server, "PUT", urls[5], bytes(MIB))[0] == 200
        filler = Filler(place)
        filler.fill()
        status, answer = post("complete", whole)  # all parts are there, and the last one has no room in its place
        assert (status, answer["error_code"]) == (507, "RESOURCE_EXHAUSTED"), answer
        filler.free()
        assert post("abort", whole) == (200, {})
        assert list((place / "data" / "blobs" / "staging").iterdir()) == []
        assert upload(server, os.urandom(5 * MIB))[0] == 201
        assert ask(server, "GET", f"{files}/artifacts/a/before")[1] == {"text": "kept"}


def test_without_a_floor_there_is_no_room_for_rows(tmp_path: Path) -> None:
    """The mutant: uploads take all there is, and not even a refusal can be recorded."""
    with tmpfs(tmp_path / "disk") as place:
        with serving(place / "data", "--free-space-floor", "0") as server:
            begin(server)
            while upload(server, os.urandom(50_000))[0] in (200, 201):
                pass
            Filler(place).fill()
            with Client(server.address) as client:
                assert client.ask("create_model", c.CreateModel("m2"))[0] == 507
        (place / "somebody-elses-file").unlink(missing_ok=True)


_MLFLOW = """
import sys, tempfile, pathlib, mlflow
from mlflow.artifacts import *
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
mlflow.set_tracking_uri(sys.argv[1])
client = mlflow.MlflowClient()
try:
    client.create_registered_model("x" * 100)
except Exception as exc:
    print("registry:", exc)
file = pathlib.Path(tempfile.mkdtemp()) / "model.bin"
file.write_bytes(bytes(100_000))
try:
    get_artifact_repository("mlflow-artifacts:/full").log_artifact(str(file))
except Exception as exc:
    print("artifacts:", exc)
"""


@pytest.mark.mlflow
@pytest.mark.skipif(not MLFLOW.exists(), reason="the MLflow environment is not installed")
def test_what_mlflow_shows(tmp_path: Path) -> None:
    """MLflow's client gives up at once and shows our words."""
    with tmpfs(tmp_path / "disk") as place:
        filler = Filler(place)
        with serving(place / "data") as server:
            filler.fill()
            started = time.monotonic()
            done = subprocess.run(
                [str(MLFLOW), "-c", _MLFLOW, server.url], capture_output=True, text=True, timeout=100, check=True
            )
            assert time.monotonic() - started < 45, "it tried again and again"
            filler.free()
    assert "registry: RESOURCE_EXHAUSTED: the disk has" in done.stdout, done
    assert "artifacts:" in done.stdout
    assert "507" in done.stdout.partition("artifacts:")[2], done.stdout


def test_a_size_that_is_none_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "greenroom", "server", "--data", str(tmp_path / "d"), "--free-space-floor", "much"],
        capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "'much' is no size.\nHint: Write it like 64MiB" in done.stderr
