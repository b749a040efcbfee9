"""`greenroom pin`: files of another server come here once, whole, and are never fetched by the server."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from greenroom.client import elsewhere
from tests.races.kit import serving

RUN, MODEL = "a" * 32, "m-" + "b" * 32
TREE = "/api/2.0/mlflow-artifacts/artifacts"
T = ("--output", "table")
FILES = {"MLmodel": b"flavors: {}\n", "data/w é.bin": bytes(range(256)) * 4000, "data/empty": b""}


@dataclass
class Elsewhere:
    """A tracking server, as far as pinning asks one; what it does wrong is said by its fields."""

    files: dict[str, bytes] = field(default_factory=dict)
    artifact_uri: str = f"mlflow-artifacts:/7/{RUN}/artifacts"
    asked: list[tuple[str, str]] = field(default_factory=list)
    cut: int | None = None  # send so many bytes of a file and hang up, once per file
    was_cut: set[str] = field(default_factory=set)
    entries: Callable[[list[dict[str, Any]]], list[dict[str, Any]]] | None = None
    after: Callable[[str], None] | None = None  # told of every file that was sent
    status: int = 200
    url: str = ""

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        path = unquote(parts.path)
        self.asked.append((path, handler.headers.get("Range") or handler.headers.get("If-None-Match") or ""))
        if self.status != 200:
            reply(handler, self.status, b'{"error_code": "X", "message": "not today"}')
        elif path == "/api/2.0/mlflow/runs/get":
            info = {"run_id": RUN, "experiment_id": "7", "artifact_uri": self.artifact_uri}
            reply(handler, 200, json.dumps({"run": {"info": info}}).encode())
        elif path == f"/api/2.0/mlflow/logged-models/{MODEL}":
            reply(handler, 200, json.dumps({"model": {"info": {"artifact_uri": self.artifact_uri}}}).encode())
        elif path == TREE:
            found = self.listed(parse_qs(parts.query)["path"][0])
            reply(handler, 200, json.dumps({"files": self.entries(found) if self.entries else found}).encode())
        elif path.startswith(TREE):
            self.send(handler, path[len(TREE) + 1 :])
        else:
            reply(handler, 404, b'{"message": "no such thing"}')

    def listed(self, folder: str) -> list[dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path, data in self.files.items():
            if path.startswith(f"{folder}/"):
                name, deeper, _ = path[len(folder) + 1 :].partition("/")
                found[name] = {"path": name, "is_dir": bool(deeper)} | ({} if deeper else {"file_size": len(data)})
        return list(found.values())

    def send(self, handler: http.server.BaseHTTPRequestHandler, path: str) -> None:
        if path not in self.files:
            return reply(handler, 404, b'{"message": "no such file"}')
        data, etag = self.files[path], f'"{hash(self.files[path])}"'
        offset = 0
        if handler.headers.get("If-None-Match") == etag:
            handler.send_response(304)
            handler.end_headers()
            return None
        if handler.headers.get("If-Range") == etag:
            offset = int(handler.headers["Range"].removeprefix("bytes=").rstrip("-"))
        handler.send_response(206 if offset else 200)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(data) - offset))
        if offset:
            handler.send_header("Content-Range", f"bytes {offset}-{len(data) - 1}/{len(data)}")
        handler.end_headers()
        if self.cut is not None and path not in self.was_cut and len(data) > self.cut:
            self.was_cut.add(path)
            handler.wfile.write(data[offset : offset + self.cut])
            handler.close_connection = True
            return None
        handler.wfile.write(data[offset:])
        if self.after:
            self.after(path)
        return None


def reply(handler: http.server.BaseHTTPRequestHandler, status: int, body: bytes) -> None:
    handler.send_response(status)
    if status == 302:
        handler.send_header("Location", "http://127.0.0.1:1/")
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


@pytest.fixture
def there() -> Iterator[Elsewhere]:
    """A tracking server with a run whose folder `model` holds FILES."""
    state = Elsewhere({f"7/{RUN}/artifacts/model/{name}": data for name, data in FILES.items()})

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            state.answer(self)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            state.answer(self)

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield state
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elsewhere.TrackingServer.__init__, "__kwdefaults__", {"pause": lambda seconds: None})


@pytest.fixture
def unpinned(run: Any) -> Any:
    assert run("init").code == 0
    assert run("register", "churn", "--source", f"runs:/{RUN}/model").code == 0
    return run


def shown(run: Any) -> dict[str, Any]:
    found: dict[str, Any] = run("show", "churn", 1).data
    found.pop("packaging", None)  # what the files say
    return found


def pulled(run: Any, place: Path) -> dict[str, bytes]:
    assert run("pull", "churn@1", place).code == 0
    return {path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}


def test_it_is_told_that_a_version_is_unpinned(unpinned: Any, lonely: Path) -> None:
    out = unpinned("show", "churn", 1, *T).out
    assert "unpinned" in out
    assert f"{RUN} (not kept here)" in out
    assert not [line for line in out.splitlines() if line.endswith(" -")]
    assert unpinned("show", "churn", 1).data["digest"] is None
    assert unpinned("verify", *T).out.splitlines()[1:] == ["  unpinned, not checked: churn version 1"]
    assert "unpinned" in unpinned("pull", "churn@1", lonely / "got").err


@pytest.mark.parametrize(
    "source",
    [
        f"runs:/{RUN}/model",
        f"mlflow-artifacts:/7/{RUN}/artifacts/model",
        f"models:/{MODEL}",
        "http://{host}" + f"{TREE}/7/{RUN}/artifacts/model",
        "mlflow-artifacts://{host}" + f"/7/{RUN}/artifacts/model",
    ],
)
def test_files_of_a_tracking_server(run: Any, lonely: Path, there: Elsewhere, source: str) -> None:
    if source.startswith("models:"):
        there.artifact_uri += "/model"
    run("init")
    made = run("register", "churn", "--source", source.format(host=there.url.removeprefix("http://")))
    assert made.data["digest"] is None, made.err
    before = shown(run)
    ran = run("pin", "churn", 1, "--tracking", there.url, "--reason", "for production", *T)
    assert (ran.code, ran.out[:40]) == (0, "churn version 1 is pinned: 3 files, 1000"), ran
    assert pulled(run, lonely / "got") == FILES
    after = shown(run)
    new = {"digest", "size_bytes", "file_count", "updated_at"}
    assert {key for key in after if after[key] != before[key]} == new
    entry = run("audit", "log").data[-1]
    assert (entry["type"], entry["body"]["digest"]) == ("version_pinned", after["digest"])
    assert entry["body"]["reason"] == "for production"
    assert run("audit", "verify").code == 0
    assert not list((lonely.parent / "cache" / "pins").glob("*/*"))  # nothing is left of it


def test_a_run_as_a_whole_and_a_single_file(run: Any, lonely: Path, there: Elsewhere) -> None:
    run("init")
    run("register", "churn", "--source", f"runs:/{RUN}")
    run("register", "churn", "--source", f"mlflow-artifacts:/7/{RUN}/artifacts/model/MLmodel")
    assert run("pin", "churn", 1, "--tracking", there.url).data["file_count"] == 3
    assert run("pin", "churn", 2, "--tracking", there.url).data["file_count"] == 1
    assert pulled(run, lonely / "got") == {f"model/{name}": data for name, data in FILES.items()}


def test_it_can_be_done_once(unpinned: Any, there: Elsewhere, lonely: Path) -> None:
    first = unpinned("pin", "churn", 1, "--tracking", there.url).data
    (lonely / "m").mkdir()
    (lonely / "m" / "w").write_bytes(b"other")
    for words in (("--tracking", there.url), ("--from", "m")):
        again = unpinned("pin", "churn", 1, *words)
        assert (again.code, again.out) == (5, "")
        assert f"is pinned already, as {first['digest']}" in again.err
    assert shown(unpinned) == first


def test_from_a_folder(unpinned: Any, lonely: Path) -> None:
    (lonely / "m").mkdir()
    (lonely / "m" / "w").write_bytes(b"weights")
    assert unpinned("pin", "churn@1", "--from", "m").data["file_count"] == 1
    assert pulled(unpinned, lonely / "got") == {"w": b"weights"}


def test_a_copy_of_an_unpinned_version(unpinned: Any, there: Elsewhere) -> None:
    assert unpinned("register", "copy", "--source", "models:/churn/1").data["digest"] is None
    unpinned("register", "second", "--source", "models:/copy/1")
    first = unpinned("pin", "copy", 1, "--tracking", there.url).data["digest"]
    asked = len(there.asked)
    assert unpinned("pin", "second", 1).data["digest"] == first
    assert len(there.asked) == asked  # the bytes are here
    assert unpinned("show", "churn", 1).data["digest"] is None  # its own pin is its own decision


def test_what_was_cut_goes_on(unpinned: Any, lonely: Path, there: Elsewhere) -> None:
    there.cut = 300_000
    assert unpinned("pin", "churn", 1, "--tracking", there.url).code == 0
    large = f"{TREE}/7/{RUN}/artifacts/model/data/w é.bin"
    assert [more for path, more in there.asked if path == large] == ["", "bytes=300000-"]
    assert pulled(unpinned, lonely / "got") == FILES


def test_a_command_that_was_cut_goes_on(unpinned: Any, lonely: Path, there: Elsewhere) -> None:
    large = f"7/{RUN}/artifacts/model/data/w é.bin"
    there.after = lambda path: setattr(there, "status", 500 if path == large else there.status)
    assert unpinned("pin", "churn", 1, "--tracking", there.url).code == 6  # all was fetched, and then it ended
    there.status, there.after = 200, None
    there.asked.clear()
    assert unpinned("pin", "churn", 1, "--tracking", there.url).code == 0
    assert pulled(unpinned, lonely / "got") == FILES
    (again,) = (more for path, more in there.asked if path == f"{TREE}/{large}")
    assert again == f'"{hash(FILES["data/w é.bin"])}"'  # whether it is still the same, and no byte of it


def test_files_that_change_meanwhile(unpinned: Any, there: Elsewhere, lonely: Path) -> None:
    def change(path: str) -> None:
        there.files[f"7/{RUN}/artifacts/model/MLmodel"] = b"another one"

    there.after = change
    ran = unpinned("pin", "churn", 1, "--tracking", there.url)
    assert (ran.code, unpinned("show", "churn", 1).data["digest"]) == (6, None)
    assert "changed while they were fetched" in ran.err
    there.after = None
    assert unpinned("pin", "churn", 1, "--tracking", there.url).code == 0
    assert pulled(unpinned, lonely / "got") == FILES | {"MLmodel": b"another one"}


@pytest.mark.parametrize("name", ["..", "../../x", "/etc/passwd", "a/b", "", ".", "a\\b", "C:x", "x\n", "con"])
def test_names_that_lead_elsewhere(unpinned: Any, there: Elsewhere, lonely: Path, name: str) -> None:
    there.entries = lambda found: [*found, {"path": name, "is_dir": False, "file_size": 1}]
    ran = unpinned("pin", "churn", 1, "--tracking", there.url)
    assert (ran.code, unpinned("show", "churn", 1).data["digest"]) == (2, None)
    assert "Invalid path" in ran.err or "in another folder" in ran.err


def test_folders_without_end(unpinned: Any, there: Elsewhere) -> None:
    there.entries = lambda found: [{"path": "d", "is_dir": True}]
    assert unpinned("pin", "churn", 1, "--tracking", there.url).code == 2
    assert len(there.asked) < 100


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://bucket/7", "--from DIR"),
        ("file:///etc", "--from DIR"),
        ("/etc", "--from DIR"),
        ("dbfs:/x", "--from DIR"),
        ("http://127.0.0.1:1" + TREE + "/x", "--tracking http://127.0.0.1:1"),
        ("mlflow-artifacts://other.example/x", "--tracking http://other.example"),
        ("mlflow-artifacts:/../x", "Invalid path"),
    ],
)
def test_a_run_whose_files_are_elsewhere_again(unpinned: Any, there: Elsewhere, uri: str, said: str) -> None:
    """A tracking server must not lead us to another one, or to a disk."""
    there.artifact_uri = uri
    ran = unpinned("pin", "churn", 1, "--tracking", there.url)
    assert (ran.code, len(there.asked)) == (2, 1)
    assert said in ran.err


@pytest.mark.parametrize(
    "source",
    [
        "s3://bucket/m",
        "gs://bucket/m",
        "dbfs:/m",
        "http://169.254.169.254/latest",
        "https://example.org/m.pkl",
        f"http://127.0.0.1:1{TREE}/x",
    ],
)
def test_a_source_that_leads_elsewhere_is_not_asked(run: Any, there: Elsewhere, source: str) -> None:
    run("init")
    assert run("register", "churn", "--source", source).code == 0
    ran = run("pin", "churn", 1, "--tracking", there.url)
    assert (ran.code, there.asked) == (2, [])
    assert "--from DIR" in ran.err or "--tracking" in ran.err


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [(404, 4, "not today"), (401, 3, "MLFLOW_TRACKING_TOKEN"), (403, 3, "not today"), (302, 6, "answers 302"),
     (500, 6, "not today"), (200, 4, "no files")],
)  # fmt: skip
def test_a_server_that_does_not_have_them(unpinned: Any, there: Elsewhere, status: int, code: int, said: str) -> None:
    there.status = status
    there.files.clear()
    ran = unpinned("pin", "churn", 1, "--tracking", there.url)
    assert (ran.code, said in ran.err) == (code, True), ran


def test_nobody_to_ask(unpinned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "MLFLOW_TRACKING_URI" in unpinned("pin", "churn", 1).err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///x.db")
    assert unpinned("pin", "churn", 1).code == 2
    began = time.monotonic()
    ran = unpinned("pin", "churn", 1, "--tracking", "http://127.0.0.1:1")
    assert (ran.code, time.monotonic() - began < 10) == (6, True)
    assert unpinned("pin", "churn", 1, "--from", "nowhere").code == 2


def test_credentials_go_where_they_belong(unpinned: Any, there: Elsewhere, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str | None] = []
    answer = there.answer
    monkeypatch.setenv("GREENROOM_TOKEN", "ours-and-nobody-elses")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "theirs")

    def answering(handler: http.server.BaseHTTPRequestHandler) -> None:
        seen.append(handler.headers.get("Authorization"))
        answer(handler)

    monkeypatch.setattr(there, "answer", answering)
    assert unpinned("pin", "churn", 1, "--tracking", there.url).code == 0
    assert set(seen) == {"Bearer theirs"}


def test_through_a_server(run: Any, tmp_path: Path, there: Elsewhere) -> None:
    with serving(tmp_path / "data") as server:
        words = ("--url", server.url)
        run("register", "churn", "--source", f"runs:/{RUN}/model", *words)
        made = run("pin", "churn", 1, "--tracking", there.url, *words)
        assert made.data["file_count"] == 3, made.err
        assert run("verify", *words).code == 0
