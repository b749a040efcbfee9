"""A live server to attack: models with files, a canary outside every root, a sink that counts, raw sockets."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import re
import resource
import secrets
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "grn_canary_" + secrets.token_hex(16)  # a credential that must not come out anywhere
_READY = re.compile(r"is ready at (http://\S+)")
_LIVING = re.compile(r"model|version|tenure|lifecycle|binding|upload|manifest")  # what a denial must leave alone
_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = resource.getpagesize()

MODEL_A, MODEL_B, MODEL_DEL, MODEL_GATED, MODEL_LONG = "alice-scores", "bob-scores", "gone", "gated-line", "race"
FILES = {"model.bin": b"weights " * 9000, "page.html": b"<script>fetch('http://x')</script>", "sub/a.txt": b"a"}
GUARDED = """lifecycle = "vectors"
applies_to = ["gated-*"]

[[stage]]
name = "None"

[[stage]]
name = "Production"
capacity = "one"

[[stage.gate]]
type = "metric"
name = "auc"
min = 0.9

[[stage]]
name = "Archived"
archive = true

[[alias]]
name = "production"
from = ["Production"]
ungated = true
"""


@dataclass(frozen=True)
class Reply:
    """What came back on one connection: the first answer's status, head and body, and all the bytes."""

    raw: bytes

    @property
    def status(self) -> int:
        """0 when no answer came."""
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", self.raw)
        return int(found[1]) if found else 0

    @property
    def head(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[0]

    @property
    def body(self) -> bytes:
        return self.raw.partition(b"\r\n\r\n")[2]

    @property
    def answers(self) -> int:
        return len(re.findall(rb"(?:^|\n|\})HTTP/1\.[01] \d{3} ", self.raw))

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        found = re.search(rb"\r\n%s: ?([^\r\n]*)" % re.escape(name.encode()), self.head, re.IGNORECASE)
        return found[1].decode("latin-1") if found else None


class Live:
    """A server process whose log goes to a file. `mutant` names a protection that is taken away, see mutants.py."""

    def __init__(
        self, data: Path, *options: str, mutant: str | None = None, files: int | None = None, **env: str
    ) -> None:
        module = ["greenroom"] if mutant is None else ["tests.security.mutants", mutant]
        self.log = data.with_name(f"{data.name}.log")
        few = [] if files is None else ["prlimit", f"--nofile={files}"]
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*few, sys.executable, "-m", *module, "server", "--data", str(data), "--port", "0", *options],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                cwd=ROOT,
                env=os.environ | env,
            )
        assert self.process.stdout is not None
        found = _READY.search(self.process.stdout.readline())
        if found is None:
            self.process.wait(20)
            raise AssertionError(f"the server did not start: {self.log.read_text()}")
        self.url = found[1]
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        self.address = (parts.hostname, parts.port)
        self.hostport = parts.netloc

    def connect(self, timeout: float = 20) -> socket.socket:
        return socket.create_connection(self.address, timeout=timeout)

    def send(self, data: bytes | Iterable[bytes], *, timeout: float = 20) -> Reply:
        """Send `data` as it is on a connection of its own and return all that comes until the server closes it."""
        pieces: list[bytes] = []
        with self.connect(timeout) as connection, contextlib.suppress(ConnectionError):
            for piece in [data] if isinstance(data, bytes) else data:
                try:
                    connection.sendall(piece)
                except ConnectionError:
                    break  # it has answered already
            while piece := connection.recv(1 << 16):
                pieces.append(piece)
        return Reply(b"".join(pieces))

    def ask(self, method: str, target: str, body: bytes | Any = None, **headers: str) -> Reply:
        """Send one request; `body` is bytes, or a value to send as JSON."""
        return self.send(self.request(method, target, body, **headers))

    def request(self, method: str, target: str, body: bytes | Any = None, **headers: str) -> bytes:
        """Return the bytes of one request after which the connection ends. Nothing of `target` is changed."""
        given = {"Host": self.hostport, "Connection": "close"}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            given["Content-Type"] = "application/json"
        given |= {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None and "Transfer-Encoding" not in given:
            given.setdefault("Content-Length", str(len(body)))
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items())]
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + b"\r\n\r\n" + (body or b"")

    def cpu_s(self) -> float:
        """Return the processor time that the server has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss(self) -> int:
        """Return the memory that the server holds, in bytes."""
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * _PAGE

    def peak(self) -> int:
        """Return the most memory that the server ever held, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def health_s(self) -> float:
        """Return how long `/health` takes on a new connection; it must be answered."""
        began = time.monotonic()
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        connection.request("GET", "/health")
        assert connection.getresponse().read() == b"OK"
        connection.close()
        return time.monotonic() - began

    def stop(self) -> str:
        """End it cleanly; returns its log."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=40)
        assert self.process.returncode == 0, self.log.read_text()
        return self.log.read_text()

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=20)


class Sink:
    """A listener on loopback that nobody may ever call."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections = 0
        self._thread = threading.Thread(target=self._count)
        self._thread.start()

    def _count(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.connections += 1
                connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


class Scene:
    """The server with what the vectors speak of."""

    def __init__(self, folder: Path, *, mutant: str | None = None) -> None:
        self.folder = folder
        self.data = folder / "inside" / "registry"
        self.data.parent.mkdir(parents=True)
        self.canary = "canary-" + secrets.token_hex(16)
        self.outside = folder / "outside"
        self.outside.mkdir()
        self.canary_file = self.outside / "canary.txt"
        self.canary_file.write_text(self.canary)
        twin = self.data.with_name("registry-secret")
        twin.mkdir()
        (twin / "canary.txt").write_text(self.canary)
        self.sink = Sink()
        self.server = Live(self.data, mutant=mutant)
        self._furnish()
        self._listing = self.listing()

    def _furnish(self) -> None:
        for name in (MODEL_A, MODEL_B, MODEL_DEL, MODEL_GATED, MODEL_LONG):
            self.do("POST", "/api/v1/models", {"name": name})
        files = []
        for path, data in FILES.items():
            digest = hashlib.sha256(data).hexdigest()
            self.do("PUT", f"/api/v1/blobs/sha256/{digest}", data, ok=201)
            files.append({"path": path, "digest": f"sha256:{digest}", "size_bytes": len(data)})
        for name, count in ((MODEL_A, 1), (MODEL_B, 2), (MODEL_DEL, 1), (MODEL_GATED, 2), (MODEL_LONG, 8)):
            for _ in range(count):
                self.do("POST", f"/api/v1/models/{name}/versions", {"files": files})
        self.do("DELETE", f"/api/v1/models/{MODEL_DEL}/versions/1")
        self.do("POST", "/api/v1/lifecycle/apply", {"document": GUARDED})
        for at in ("bob/1/model.bin", "alice/1/secret.txt"):
            self.do("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{at}", b"x")
        for place in (self.data, self.data / "blobs", self.data / "blobs" / "sha256"):
            (place / "link-to-canary").symlink_to(self.canary_file)

    def do(self, method: str, target: str, body: Any = None, *, ok: int = 200) -> Reply:
        reply = self.server.ask(method, target, body)
        assert reply.status == ok, (method, target, reply.raw)
        return reply

    def state(self) -> str:
        """Return a digest of all rows that a denied request must leave as they are."""
        found = hashlib.sha256()
        with contextlib.closing(sqlite3.connect(f"file:{self.data}/greenroom.db?mode=ro", uri=True)) as db:
            tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1")]
            for table in filter(_LIVING.match, tables):
                for row in sorted(map(repr, db.execute(f"SELECT * FROM {table}"))):
                    found.update(f"{table}{row}\n".encode("utf-8", "surrogatepass"))
        return found.hexdigest()

    def listing(self) -> list[tuple[str, int]]:
        """Return every file outside the data folder, with its size; the server's log is no part of it."""
        return [
            (str(file), file.stat().st_size)
            for file in sorted(self.folder.rglob("*"))
            if file.is_file() and self.data not in file.parents and file != self.server.log
        ]

    def written_outside(self) -> bool:
        return self.listing() != self._listing

    def variables(self) -> dict[str, str]:
        path = str(self.canary_file)
        rel = "../" * 12 + path.lstrip("/")
        parent = str(self.outside)
        return {
            "ext": "/api/v1",
            "canary_abs": path,
            "canary_rel": rel,
            "canary_rel_enc": percent(rel, 1),
            "canary_rel_enc12": percent(rel, 12),
            "canary_bs": path.lstrip("/").replace("/", "\\"),
            "canary_dir": parent.lstrip("/"),
            "canary_dir_abs": parent,
            "canary_tail": path.lstrip("/"),
            "model_a": MODEL_A,
            "model_a_enc": MODEL_A.replace("-", "%2D"),
            "model_b": MODEL_B,
            "model_del": MODEL_DEL,
            "root_a": "alice/1",
            "root_b": "bob/1",
            "root_b_name": "registry",
            "run_a": "a" * 32,
            "run_b": "b" * 32,
            "artifact_uri_a": "mlflow-artifacts:/alice/1",
            "sink": f"127.0.0.1:{self.sink.port}",
            "sink_port": str(self.sink.port),
            "hostport": self.server.hostport,
            "zeros64": "0" * 64,
            "final_version": "1",
        }

    def blob_file(self, data: bytes) -> Path:
        """Return the file in which the server keeps `data`."""
        name = hashlib.sha256(data).hexdigest()
        return next(each for each in (self.data / "blobs").rglob(f"*{name[2:]}*") if each.is_file())

    def close(self) -> str:
        """Stop the server cleanly; returns its log."""
        self.sink.close()
        try:
            return self.server.stop()
        finally:
            self.server.kill()


def percent(text: str, times: int) -> str:
    """Return `text` with every byte percent-encoded, `times` times over."""
    return "".join("%" + "25" * (times - 1) + f"{byte:02X}" for byte in text.encode())


@contextlib.contextmanager
def scene(folder: Path, *, mutant: str | None = None) -> Iterator[Scene]:
    """Furnish a scene for the length of a block."""
    made = Scene(folder, mutant=mutant)
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def live(data: Path, *options: str, mutant: str | None = None, files: int | None = None, **env: str) -> Iterator[Live]:
    """Run an empty server for the length of a block; it must end cleanly."""
    server = Live(data, *options, mutant=mutant, files=files, **env)
    try:
        yield server
        server.stop()
    finally:
        server.kill()


def as_path(text: str) -> str:
    """Return `text`, which stands in a query, so that it can stand in a path: what ends a path is escaped."""
    return quote(text, safe="/%;:@!$&'()*+,=~.-_\\")
