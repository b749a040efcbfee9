"""The client and the command line start quickly, need no package of the server, and nothing that only POSIX has."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.util import find_spec

import pytest

from tests.house.source import ROOT, package_sources

SERVER_ONLY = "alembic apsw cryptography httptools mlflow msgspec psycopg sqlalchemy starlette uvicorn uvloop".split()
POSIX_ONLY = "fcntl grp pty pwd resource syslog termios tty".split()
# Nobody who only writes `import greenroom` pays for these.
SLOW = "asyncio click http.client rich ssl".split()

_IMPORT = """
import sys
for name in {blocked!r}:
    sys.modules[name] = None  # any import of it fails from here on
import {module}
print(*sys.modules)
"""


def import_without(module: str, blocked: list[str]) -> subprocess.CompletedProcess[str]:
    """Import `module` in an interpreter of its own in which the modules `blocked` cannot be imported."""
    code = _IMPORT.format(blocked=blocked, module=module)
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)


def light_modules() -> list[str]:
    """Return `greenroom` and every module of the client, the command line and the MLflow plug-in."""
    names = [path.removeprefix("src/").removesuffix(".py").replace("/", ".") for path in package_sources()]
    names = [name.removesuffix(".__init__") for name in names]
    light = ("greenroom.client", "greenroom.cli", "greenroom.mlflow_plugin")
    return [name for name in names if name == "greenroom" or name.startswith(light)]


@pytest.mark.parametrize("module", light_modules())
def test_imports_without_server_or_posix(module):
    ran = import_without(module, SERVER_ONLY + POSIX_ONLY)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("module", ["greenroom", "greenroom.mlflow_plugin"])
def test_imports_nothing_slow(module):
    ran = import_without(module, [])
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) & {*SLOW, *SERVER_ONLY} == set()


def test_entry_points_lead_somewhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    groups = [project["scripts"], *project["entry-points"].values()]
    for target in [target for group in groups for target in group.values()]:
        module, _, attribute = target.partition(":")
        assert find_spec(module), f"{target}: no such module"
        assert hasattr(__import__(module, fromlist=[attribute]), attribute), target


@pytest.mark.parametrize(
    ("module", "blocked", "imported"),
    [
        ("ssl", ["_ssl"], False),
        ("shelve", ["pickle"], False),
        ("termios", POSIX_ONLY, False),
        ("json", POSIX_ONLY, True),
    ],
)
def test_a_blocked_import_is_seen(module, blocked, imported):
    assert (import_without(module, blocked).returncode == 0) is imported


def test_a_slow_import_is_seen():
    assert "ssl" in import_without("http.client", []).stdout.split()
