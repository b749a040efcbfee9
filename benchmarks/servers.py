"""The servers that are compared: ours and a stock MLflow server, each on a fresh folder, started as users do."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.postgres import new_database

ROOT = Path(__file__).resolve().parent.parent
READY_S = 240.0
STOP_S = 20.0
_RESTING = 0.15  # CPU seconds per second
API = "/api/2.0/mlflow"


def mlflow_python() -> Path:
    """Return the interpreter of the environment with the stock MLflow."""
    named = os.environ.get("GREENROOM_MLFLOW3_PYTHON")
    return Path(named) if named else ROOT / ".venvs" / "mlflow3" / "bin" / "python"


class Server:
    """A server process with its children; a context manager that starts it and ends it."""

    name = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def command(self) -> Sequence[str]:
        """Return what starts it."""
        raise NotImplementedError

    def start(self) -> float:
        """Start it, wait until `/health` answers, and return the seconds that took."""
        began = time.monotonic()
        log = (self.folder / "server.log").open("ab")
        with log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=_environment()
            )
        while not self._is_healthy():
            if self._process.poll() is not None or time.monotonic() - began > READY_S:
                raise RuntimeError(f"{self.name} did not start: {(self.folder / 'server.log').read_text()[-2000:]}")
            time.sleep(0.005)
        return time.monotonic() - began

    def stop(self) -> None:
        """End it and everything it started."""
        process = self._process
        if process is None:
            return
        family = list(_family(process.pid))
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in family:  # a stock server leaves children of its own behind when it is only terminated
            if pid != process.pid and _is_alive(pid):
                os.kill(pid, 9)
        self._process = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def processes(self) -> list[int]:
        """Return the process ids of the server and all that it started."""
        return list(_family(self._process.pid)) if self._process else []

    def memory_bytes(self) -> int:
        """Return the proportional set size of all its processes: memory that is shared counts once."""
        return sum(_pss(pid) for pid in self.processes())

    def cpu_s(self) -> float:
        """Return the CPU seconds that all its processes have used."""
        return sum(_cpu(pid) for pid in self.processes())

    def settle(self, limit_s: float = 60.0) -> None:
        """Wait until it rests: a stock server goes on starting processes for a while after it says it is ready."""
        ends_at, calm = time.monotonic() + limit_s, 0
        before = self.cpu_s()
        while calm < 2 and time.monotonic() < ends_at:
            time.sleep(1.0)
            now = self.cpu_s()
            calm = calm + 1 if now - before < _RESTING else 0
            before = now

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one call outside any measurement and return its JSON. RuntimeError unless it is answered with 200."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"} if sent else {})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"{self.name}: {method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text) if text[:1] in b"{[" else text

    def _is_healthy(self) -> bool:
        try:
            return bool(self.call("GET", "/health") == b"OK")
        except (OSError, http.client.HTTPException, RuntimeError):
            return False


class Greenroom(Server):
    """Our server, from the environment that runs the benchmark."""

    name = "greenroom"

    def command(self) -> Sequence[str]:
        """See `Server.command`."""
        return [sys.executable, "-m", "greenroom", "server", "--data", "data", "--port", str(self.port)]


class GreenroomOnPostgreSQL(Greenroom):
    """The same over a PostgreSQL of its own, with that one's defaults; it ends with this process."""

    name = "greenroom on PostgreSQL"

    def __init__(self, folder: Path) -> None:
        """RuntimeError when there is no PostgreSQL here."""
        super().__init__(folder)
        self._database = new_database()

    def command(self) -> Sequence[str]:
        """See `Server.command`."""
        return [*super().command(), "--database-url", self._database]


class MLflow(Server):
    """A stock MLflow server with its defaults: SQLite, four workers.

    `pip install mlflow` brings neither uvloop nor httptools. Its environment here holds them, for our server beside it,
    and uvicorn would take them; so it is told to take what a stock installation takes.
    """

    name = "mlflow"

    def command(self) -> Sequence[str]:
        """See `Server.command`."""
        return [
            str(mlflow_python().parent / "mlflow"), "server", "--backend-store-uri", "sqlite:///mlflow.db",
            "--artifacts-destination", "artifacts", "--host", "127.0.0.1", "--port", str(self.port),
            "--uvicorn-opts", "--loop asyncio --http h11",
        ]  # fmt: skip


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "GREENROOM_"))}
    return kept | {"MLFLOW_DISABLE_TELEMETRY": "true", "PATH": f"{mlflow_python().parent}:{os.environ.get('PATH', '')}"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _family(pid: int) -> Iterator[int]:
    """Yield `pid` and all its descendants."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents.setdefault(int(_stat(path)[1]), []).append(int(path.parent.name))
        except OSError:  # it ended just now
            continue
    waiting = [pid]
    while waiting:
        each = waiting.pop()
        yield each
        waiting += parents.get(each, [])


def _stat(path: Path) -> list[str]:
    """The fields of /proc/PID/stat from the state on: a command's name may hold spaces and brackets."""
    return path.read_text().rpartition(")")[2].split()


def _is_alive(pid: int) -> bool:
    try:
        return _stat(Path(f"/proc/{pid}/stat"))[0] != "Z"
    except OSError:
        return False


def _pss(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _cpu(pid: int) -> float:
    try:
        fields = _stat(Path(f"/proc/{pid}/stat"))
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
