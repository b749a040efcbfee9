"""The same registry twice: embedded in a folder, and behind a real server process on loopback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.client import connect
from greenroom.client.registry import Registry

_READY_S = 30


class Server:
    """A server process that owns `folder`; `url` is where it answers."""

    def __init__(self, folder: Path) -> None:
        command = [sys.executable, "-m", "greenroom", "server", "--data", str(folder), "--port", "0"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GREENROOM_")}
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        kill = threading.Timer(_READY_S, self.process.kill)
        kill.start()
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        kill.cancel()
        self.url = line.strip().rpartition(" ")[2]
        if not self.url.startswith("http://127.0.0.1:"):
            raise AssertionError(f"no URL in {line!r}: {self.stop()}")

    def stop(self) -> str:
        """End it as SIGTERM does and return what it wrote to standard error."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=20)[1]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch) -> None:
    """Keep tests out of this account's cache of blobs, and out of whatever registry it works with."""
    for name in ("GREENROOM_URL", "GREENROOM_DATA", "GREENROOM_ACTOR", "GREENROOM_TOKEN", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("GREENROOM_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[Server]:
    """One server for all tests; each uses models of its own."""
    running = Server(tmp_path_factory.mktemp("served") / "registry")
    yield running
    said = running.stop()
    assert running.process.returncode == 0, said
    assert "Traceback" not in said


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    """One local registry for all tests."""
    found = tmp_path_factory.mktemp("local") / "registry"
    connect(data=found, create=True).close()
    return found


@pytest.fixture(params=["local", "server"])
def registry(request) -> Iterator[Registry]:
    """The client on either."""
    if request.param == "local":
        found = connect(data=request.getfixturevalue("folder"), actor="ana")
    else:
        found = connect(request.getfixturevalue("server").url, actor="ana")
    with found:
        yield found


@pytest.fixture
def name(request) -> str:
    """A model name that no other test uses."""
    return "".join(ch if ch.isalnum() else "-" for ch in request.node.name)


@pytest.fixture
def model_folder(tmp_path) -> Path:
    """Files of a model."""
    made = tmp_path / "model"
    (made / "sub").mkdir(parents=True)
    (made / "model.pkl").write_bytes(b"weights one")
    (made / "sub" / "notes ü.txt").write_text("hello")
    (made / "requirements.txt").write_text("numpy==2.0.0\n")
    return made
