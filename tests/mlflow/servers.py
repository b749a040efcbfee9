"""The two servers that the scenarios talk to, ours and a stock one, and the interpreters that hold the clients."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent
READY_S = 30
STOCK_READY_S = 300  # the first start on a fresh database runs every migration


def client_python(client: str) -> str:
    """Return the interpreter of `mlflow3` or `mlflow2`. RuntimeError when it is not installed."""
    named = os.environ.get(f"GREENROOM_{client.upper()}_PYTHON")
    python = Path(named) if named else ROOT / ".venvs" / client / "bin" / "python"
    if not python.exists():
        raise RuntimeError(
            f"{python} is not there: `make install` makes it, or name one in GREENROOM_{client.upper()}_PYTHON"
        )
    return str(python)


def run_client(client: str, script: str, *args: str, timeout_s: float = 300) -> Any:
    """Run a script of this folder inside a client's environment and return the JSON that it prints."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PYTHON", "GREENROOM_"))}
    done = subprocess.run(
        [client_python(client), str(HERE / script), *args], env=env, capture_output=True, text=True, timeout=timeout_s
    )
    if done.returncode:
        raise RuntimeError(f"{script} in {client} ended with {done.returncode}:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])  # clients print news of their own before it


@contextlib.contextmanager
def greenroom_server(lifecycle: str, *options: str) -> Iterator[str]:
    """Run our server on a fresh folder, with the lifecycle of that name, and give its URL. It must end cleanly."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "greenroom", "server", "--data", f"{folder}/data", "--port", "0"]
        log = Path(folder, "log")
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*command, "--lifecycle", lifecycle, *options], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        try:
            yield url_said_by(process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(READY_S) == 0, log.read_text()
        finally:
            process.kill()
            process.communicate()


def url_said_by(process: subprocess.Popen[str], log: Path) -> str:
    """Return the URL that a server of ours prints when it is ready. RuntimeError when it ends instead."""
    out: IO[str] | None = process.stdout
    assert out is not None
    said = ""
    for line in out:  # ends when the server ends
        said += line
        found = re.search(r"http://[\w.\[\]:]+:\d+", line)
        if found:
            return found[0]
    raise RuntimeError(f"the server did not say its URL: {said}\n{log.read_text()}")


@contextlib.contextmanager
def stock_server() -> Iterator[str]:
    """Run a stock MLflow server on a fresh database, and give its URL. Takes most of a minute to start."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        command = [client_python("mlflow3"), "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{folder}/stock.db", "--artifacts-destination", f"{folder}/files"]
        env = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        log = Path(folder, "log")
        with log.open("w") as out:
            process = subprocess.Popen(
                [*command, "--workers", "1"], stdout=out, stderr=out, env=env, start_new_session=True
            )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(url, process, log)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # it has workers of its own
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + STOCK_READY_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
            return
        time.sleep(0.2)  # a foreign server says when it is ready in no other way
    raise RuntimeError(f"the stock server did not start: {log.read_text()}")
