"""P11 and P12: how long a start takes, what it needs, and how long one waits for a command."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.calls import model_name
from benchmarks.servers import Server, mlflow_python

# Runs inside an environment and adds up the files of a package and of all that it needs.
_SIZES = """
import importlib.metadata as metadata, pathlib, re, sys
from packaging.requirements import Requirement

def closure(name, extras):
    todo, seen = [(name, frozenset(extras))], {}
    while todo:
        name, extras = todo.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if extras <= seen.get(key, frozenset([None])) - {None} and key in seen:
            continue
        seen[key] = seen.get(key, frozenset()) | extras
        try:
            wanted = metadata.distribution(name).requires or []
        except metadata.PackageNotFoundError:
            continue
        for text in wanted:
            need = Requirement(text)
            if need.marker is None or any(need.marker.evaluate({"extra": each}) for each in extras | {""}):
                todo.append((need.name, frozenset(need.extras)))
    return seen

def size(name):
    try:
        files = metadata.distribution(name).files or []
    except metadata.PackageNotFoundError:
        return 0
    paths = (pathlib.Path(each.locate()) for each in files)
    return sum(path.stat().st_size for path in paths if path.suffix != ".pyc" and path.is_file())

found = closure(sys.argv[1], sys.argv[2:])
print(len(found), sum(size(name) for name in found))
"""


def start_seconds(server: Server, times: int) -> list[float]:
    """Start a server again on what it has, so many times, and return how long each took. It runs afterwards."""
    taken = []
    for _ in range(times):
        server.stop()
        taken.append(round(server.start(), 3))
    return taken


def idle_bytes(server: Server) -> int:
    """Return a server's memory once it rests after its start."""
    server.settle()
    return server.memory_bytes()


def install_size(package: str, *extras: str) -> dict[str, int]:
    """Return how many packages `package` needs in the MLflow environment, itself included, and their bytes.

    Compiled Python files do not count: they are made on first use. Both are looked up in that one environment.
    """
    done = subprocess.run(
        [str(mlflow_python()), "-c", _SIZES, package, *extras], capture_output=True, text=True, check=True, timeout=120
    )
    packages, size = (int(each) for each in done.stdout.split())
    return {"packages": packages, "bytes": size}


def source_bytes() -> int:
    """Return the size of our own package's files: an editable install lists none."""
    import greenroom

    folder = Path(greenroom.__file__).parent
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def our_commands(server: Server) -> Mapping[str, Sequence[Sequence[str]]]:
    """Return what people wait for with Greenroom; each is a list of commands that are run in turn."""
    python = sys.executable
    greenroom = Path(python).parent / "greenroom"
    start = [str(greenroom)] if greenroom.exists() else [python, "-m", "greenroom"]
    promote = ["--url", server.url, "promote", model_name(0)]
    return {
        "--help": [[*start, "--help"]],
        "import": [[python, "-c", "import greenroom"]],
        "promotion": [[*start, *promote, number, "--to", "Production", "--swap"] for number in ("2", "1")],
        "python alone": [[python, "-c", "pass"]],
    }


def mlflow_commands(server: Server) -> Mapping[str, Sequence[Sequence[str]]]:
    """Return the same with MLflow, which has no command for a promotion: a line of Python does it."""
    python = mlflow_python()
    line = (
        f"import mlflow; mlflow.MlflowClient({server.url!r}, {server.url!r})"
        f".transition_model_version_stage({model_name(0)!r}, {{!r}}, 'Production', archive_existing_versions=True)"
    )
    return {
        "--help": [[str(python.parent / "mlflow"), "--help"]],
        "import": [[str(python), "-c", "import mlflow"]],
        "promotion": [[str(python), "-W", "ignore", "-c", line.format(number)] for number in ("2", "1")],
    }


def seconds_of(commands: Sequence[Sequence[str]], times: int) -> dict[str, Any]:
    """Run the commands in turn, `times` runs after one that warms up, and return median and all times in seconds."""
    taken = []
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "GREENROOM_ACTOR": "bench"}
    for number in range(times + 1):
        command = commands[number % len(commands)]
        began = time.perf_counter()
        done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        taken.append(round(time.perf_counter() - began, 4))
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-600:]!r}")
    return {"median_s": round(statistics.median(taken[1:]), 4), "all_s": taken[1:]}
