"""P1 and P3: the calls, and the models they are about."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from benchmarks.servers import API, Server

Requests = Callable[[str], Sequence[str]]  # from a model's name to what one client sends in turn

LOAD = Path(__file__).with_name("load.py")


def seed(server: Server, models: int) -> None:
    """Make models with two versions each, version 1 in Production and under the alias `champion`."""
    for number in range(models):
        name = model_name(number)
        server.call("POST", f"{API}/registered-models/create", {"name": name})
        for version in (1, 2):
            tags = [{"key": "team", "value": "risk"}]
            body = {"name": name, "source": f"s3://models/{name}/{version}", "tags": tags}
            server.call("POST", f"{API}/model-versions/create", body)
        for version, stage in ((1, "Staging"), (1, "Production"), (2, "Staging")):
            server.call(
                "POST",
                f"{API}/model-versions/transition-stage",
                {"name": name, "version": str(version), "stage": stage},
            )
        server.call("POST", f"{API}/registered-models/alias", {"name": name, "alias": "champion", "version": "1"})


def model_name(number: int) -> str:
    """Return the name of the model that client `number` asks about."""
    return f"model-{number:03}"


def get(path: str, **query: str) -> str:
    """Return a GET request as it is sent."""
    target = f"{path}?{urlencode(query)}" if query else path
    return f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"


def post(path: str, body: object) -> str:
    """Return a POST request as it is sent."""
    text = json.dumps(body)
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"


def _promotions(model: str) -> Sequence[str]:
    """Versions 2 and 1 push each other out of Production."""
    path = f"{API}/model-versions/transition-stage"
    common = {"name": model, "stage": "Production", "archive_existing_versions": True}
    return [post(path, {**common, "version": version}) for version in ("2", "1")]


def _tags(model: str) -> Sequence[str]:
    """The smallest durable, audited change: one row. What a promotion costs above it, its rules and rows cost."""
    path = f"{API}/model-versions/set-tag"
    return [post(path, {"name": model, "version": "1", "key": "team", "value": value}) for value in ("risk", "fraud")]


READS: Mapping[str, Requests] = {
    "holder of Production": lambda model: [
        post(f"{API}/registered-models/get-latest-versions", {"name": model, "stages": ["Production"]})
    ],
    "get version": lambda model: [get(f"{API}/model-versions/get", name=model, version="1")],
    "get by alias": lambda model: [get(f"{API}/registered-models/alias", name=model, alias="champion")],
}
WRITES: Mapping[str, Requests] = {"promotion with swap": _promotions, "set version tag": _tags}
# What only our server has: the native look-up, and two constant answers through the same stack.
NATIVE: Mapping[str, Requests] = {
    "holder (native API)": lambda model: [get(f"/api/v1/models/{model}/slots/Production")],
    "constant JSON": lambda model: [get("/api/v1/info")],
    "constant text": lambda model: [get("/health")],
}


def measure(server: Server, requests: Requests, clients: int, seconds: float, *, warm_s: float = 0.5) -> dict[str, Any]:
    """Put `clients` connections on a server for so many seconds. RuntimeError when an answer is not 200."""
    spec = {
        "host": "127.0.0.1",
        "port": server.port,
        "seconds": seconds,
        "warm_s": warm_s,
        "clients": [requests(model_name(number)) for number in range(clients)],
    }
    before = server.cpu_s()
    done = subprocess.run(
        [sys.executable, "-S", str(LOAD)], input=json.dumps(spec), capture_output=True, text=True, check=False,
        timeout=seconds + warm_s + 60,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"{server.name}: the load generator failed: {done.stderr[-1500:]}")
    found: dict[str, Any] = json.loads(done.stdout)
    if found["errors"] or not found["calls"]:
        raise RuntimeError(f"{server.name}: {found['errors']} of {found['calls']} calls failed: {found['first_error']}")
    cpu_us = (server.cpu_s() - before) / found["calls"] * 1e6 * seconds / (seconds + warm_s)
    return found | {"server_cpu_us": round(cpu_us, 1)}
