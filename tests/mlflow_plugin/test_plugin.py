"""Our words below `mlflow models`: added once, never in MLflow's way. A stand-in package plays MLflow here.

Each case runs in an interpreter of its own, because it is about what is imported when.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.mlflow_plugin import VERBS, GreenroomKeys, GreenroomVerbs

_GROUP = """
import click

@click.group("models")
def commands():
    pass

@commands.command("serve")
def serve():
    click.echo("served")
"""
_OWN_REGISTER = """
@commands.command("register")
def register():
    click.echo("MLflow's own")
"""
_REPORT = """
print(json.dumps({
    "commands": sorted(getattr(getattr(cli, "commands", None), "commands", {})),
    "ours": sorted(name for name in sys.modules if name.startswith("greenroom")),
    "finders": [type(finder).__name__ for finder in sys.meta_path if "greenroom" in type(finder).__module__],
    "loader": type(cli.__spec__.loader).__name__,
    "traces": sorted(vars(cli.__spec__.loader)),
}))
"""


@pytest.fixture
def mlflow_like(tmp_path):
    """Return a function that runs code beside a package `mlflow` whose `models.cli` has the given text."""

    def run(cli: str, before: str, after: str = _REPORT) -> subprocess.CompletedProcess[str]:
        package = tmp_path / "mlflow" / "models"
        package.mkdir(parents=True)
        (tmp_path / "mlflow" / "__init__.py").write_text("")
        (package / "__init__.py").write_text("")
        (package / "cli.py").write_text(cli)
        head = f"import json, sys\nsys.path.insert(0, {str(tmp_path)!r})\n"
        code = f"{head}{before}\nimport mlflow.models.cli as cli\n{after}"
        return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60)

    return run


_PLUG = "from greenroom.mlflow_plugin import GreenroomVerbs; GreenroomVerbs()"


def told(ran):
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_the_commands_are_added_when_the_module_comes(mlflow_like):
    said = told(mlflow_like(_GROUP, _PLUG))
    assert set(said["commands"]) == {"serve", *VERBS}
    assert said["finders"] == []
    assert set(said["ours"]) <= {"greenroom", "greenroom._version", "greenroom.mlflow_plugin"}
    assert said["loader"] == "SourceFileLoader"
    assert "exec_module" not in said["traces"]


def test_the_commands_are_added_to_a_module_that_is_there(mlflow_like):
    said = told(mlflow_like(_GROUP, "import mlflow.models.cli\n" + _PLUG))
    assert set(said["commands"]) == {"serve", *VERBS}
    assert said["finders"] == []


def test_two_providers_add_them_once(mlflow_like):
    said = told(mlflow_like(_GROUP, f"{_PLUG}\n{_PLUG}; GreenroomVerbs()"))
    assert said["finders"] == []
    assert set(said["commands"]) == {"serve", *VERBS}


_WAITING = """
import json.tool, mlflow.models
assert "greenroom.mlflow_plugin" in {type(finder).__module__ for finder in sys.meta_path}
"""
_ADDED_LATER = """
import click

@cli.commands.command("transition-stage")
def later():
    click.echo("MLflow's own")

cli.commands(["transition-stage"])
"""


def test_the_finder_waits(mlflow_like):
    told(mlflow_like(_GROUP, _PLUG + _WAITING))


@pytest.mark.parametrize("after", ["cli.commands(['register'])", _ADDED_LATER])
def test_a_command_of_mlflow_wins(mlflow_like, after):
    ran = mlflow_like(_GROUP + _OWN_REGISTER, _PLUG, after)
    assert (ran.returncode, ran.stdout) == (0, "MLflow's own\n"), ran.stderr


# A loader on which nothing can be set, as those written in C are.
_LOCKED = """
from importlib.machinery import PathFinder, ModuleSpec

class Locked:
    __slots__ = ("inner",)
    def __init__(self, inner): self.inner = inner
    def create_module(self, spec): return None
    def exec_module(self, module): self.inner.exec_module(module)

class Finder:
    def find_spec(self, name, path=None, target=None):
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and name == "mlflow.models.cli":
            return ModuleSpec(name, Locked(spec.loader), origin=spec.origin)

sys.meta_path.insert(0, Finder())
"""
_BOOM = "import greenroom.mlflow_plugin as p\ndef boom(*_): raise RuntimeError('ours')\n"


@pytest.mark.parametrize(
    ("cli", "before"),
    [
        ("", _PLUG),  # no group at all
        ("commands = object()", _PLUG),
        ("commands = None", "import mlflow.models.cli\n" + _PLUG),
        ("class commands:\n  commands = {}", _PLUG),  # a group of another kind
        (_GROUP, _BOOM + "p.add_commands = boom\np.GreenroomVerbs()"),
        (_GROUP, _BOOM + "p._hooked = boom\np.GreenroomVerbs()"),
        (_GROUP, _BOOM + "p._Finder = boom\np.GreenroomVerbs()"),
        (_GROUP, _BOOM + "import mlflow.models.cli\np.add_commands = boom\np.GreenroomVerbs()"),
        (_GROUP, _LOCKED + _PLUG),
    ],
)
def test_mlflow_goes_on_whatever_is_broken(mlflow_like, cli, before):
    ran = mlflow_like(cli, before, "print('loaded')")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "loaded\n", "")


def test_an_error_of_mlflow_stays_mlflows(mlflow_like):
    ran = mlflow_like("raise ImportError('of MLflow')", _PLUG)
    assert "ImportError: of MLflow" in ran.stderr


def test_a_broken_installation_of_ours_is_said_in_one_line(mlflow_like):
    after = "sys.modules['greenroom.cli.verbs'] = None\ncli.commands(['list'])"
    ran = mlflow_like(_GROUP, _PLUG, after)
    assert ran.returncode == 1
    assert ran.stderr.startswith("Error: Greenroom is installed here but cannot be loaded: ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (
            ["transition-version", "--version", "5", "--stage", "production"],
            2,
            "Error: Missing option '--model-name'.\n",
        ),
        (["transition-stage", "-n", "m", "-v", "x", "-s", "P"], 2, "Parameter 'version' must be an integer, got 'x'."),
        (["approve", "--help"], 0, "Usage: mlflow models approve"),
        (["versions", "--help"], 0, "Usage: mlflow models list-versions"),
    ],
)
def test_the_words_arrive_as_typed(mlflow_like, words, code, text):
    ran = mlflow_like(_GROUP, _PLUG, f"cli.commands({words!r})")
    assert ran.returncode == code
    assert text in ran.stdout + ran.stderr


def test_the_provider_is_never_in_context():
    before = list(sys.meta_path)
    try:
        provider = GreenroomVerbs()
        assert provider.in_context() is False
        assert provider.tags() == {}
    finally:
        sys.meta_path[:] = before


def test_only_the_listed_commands_show_in_mlflows_help(mlflow_like):
    ran = mlflow_like(_GROUP, _PLUG, "cli.commands(['--help'])")
    shown = {line.split()[0] for line in ran.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert {"transition-stage", "list-versions", "serve"} <= shown
    assert "transition-model-version-stage" not in shown


def test_the_plugin_stays_small():
    """It runs in every process that imports MLflow."""
    source = Path(sys.modules["greenroom.mlflow_plugin"].__file__).read_text("utf-8")
    imported = {line.split()[1] for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"__future__", "sys", "collections.abc", "importlib.machinery", "types", "typing", "uuid"}


def test_every_call_has_a_key_of_its_own():
    provider = GreenroomKeys()
    assert provider.in_context()
    keys = {provider.request_headers()["Idempotency-Key"] for _ in range(100)}
    assert len(keys) == 100
    assert all(key.isascii() and key.isalnum() for key in keys)
