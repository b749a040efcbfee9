"""Who may import whom: the contracts of pyproject.toml hold, and MLflow's words stay behind their own door."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, ROOT, expect_none, imports, package_sources

WIRE = "greenroom.http.mlflow"
DOORS = {"src/greenroom/http/asgi.py", "src/greenroom/app.py"}
_LINT = "import importlinter.cli as c, sys; sys.exit(c.lint_imports_command())"


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the contracts of `folder`'s pyproject.toml on the package in `folder`."""
    environment = os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"}
    command = [sys.executable, "-c", _LINT, "--no-cache"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def copy_package(folder: Path) -> Path:
    """Copy package and contracts to `folder` and return the package's folder there.

    What the contracts name and nobody has written yet becomes an empty package: `make lint` is strict about that, and
    here every other wall is to be checked meanwhile.
    """
    package = shutil.copytree(PACKAGE, folder / "greenroom", ignore=shutil.ignore_patterns("__pycache__"))
    contracts = (ROOT / "pyproject.toml").read_text("utf-8")
    (folder / "pyproject.toml").write_text(contracts, "utf-8")
    for name in set(re.findall(r'"greenroom\.(\w+)"', contracts)) | {""}:
        if not (package / f"{name}.py").exists() and not (package / name / "__init__.py").exists():
            (package / name).mkdir(exist_ok=True)
            (package / name / "__init__.py").touch()
    return package


def wire_users(path: str, text: str) -> Iterator[str]:
    """Yield each import of MLflow's half of the HTTP edge by a module that is neither part of it nor its door."""
    if path in DOORS or path.startswith("src/greenroom/http/mlflow"):
        return
    yield from (f"{path}:{line} {name}" for line, name in imports(ast.parse(text)) if name.startswith(WIRE))


def test_the_contracts_hold(tmp_path):
    copy_package(tmp_path)
    ran = lint_imports(tmp_path)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("module", "line", "broken"),
    [
        ("core/_bad.py", "import greenroom.services", "Edges stand on the app"),
        ("services/_bad.py", "def f():\n    import greenroom.http", "Edges stand on the app"),
        ("store/_bad.py", "import greenroom.blobs", "Edges stand on the app"),
        ("unplaced.py", "", "Edges stand on the app"),
        ("store/_bad.py", "from greenroom.services import commands", "Store and blobs know"),
        ("client/_bad.py", "import greenroom.blobs", "Only greenroom.app"),
        ("http/_bad.py", "def f():\n    import greenroom.store", "Only greenroom.app"),
        ("cli/_bad.py", "import apsw", "Client and command line"),
        ("client/_bad.py", "from starlette.requests import Request", "Client and command line"),
    ],
)
def test_a_broken_wall_is_seen(tmp_path, module, line, broken):
    (copy_package(tmp_path) / module).write_text(f"{line}\n", "utf-8")
    ran = lint_imports(tmp_path)
    assert ran.returncode == 1
    assert re.search(rf"{broken}.*BROKEN", re.sub(r"\s*\n\s*", " ", ran.stdout)), ran.stdout + ran.stderr


def test_the_wire_is_reached_through_its_door_only():
    found = (each for path, text in package_sources().items() for each in wire_users(path, text))
    expect_none(found, "MLflow's words behind another door")


@pytest.mark.parametrize(
    ("path", "text", "seen"),
    [
        ("src/greenroom/http/native.py", "from greenroom.http.mlflow_wire import x", True),
        ("src/greenroom/http/native.py", "from greenroom.http import mlflow_wire", True),
        ("src/greenroom/services/runs.py", "def f():\n  import greenroom.http.mlflow_registry as r", True),
        ("src/greenroom/http/mlflow_registry.py", "from greenroom.http import mlflow_wire", False),
        ("src/greenroom/http/asgi.py", "from greenroom.http import mlflow_registry", False),
        ("src/greenroom/cli/models.py", "import greenroom.mlflow_plugin", False),
    ],
)
def test_a_second_door_is_seen(path, text, seen):
    assert bool(list(wire_users(path, text))) is seen
