"""What people install: the whole package, its data files and its types, nothing else, and two small dependencies."""

from __future__ import annotations

import email
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.house.source import PACKAGE, ROOT, expect_none

BASE = {"click", "rich"}


def content_complaints(packed: Iterable[str], wanted: Iterable[str]) -> Iterator[str]:
    """Yield each file of the package that the wheel lacks, and each that is not the package's."""
    packed, wanted = set(packed), set(wanted)
    yield from (f"missing: {name}" for name in sorted(wanted - packed))
    yield from (f"not ours: {name}" for name in sorted(packed - wanted) if ".dist-info/" not in name)


def metadata_complaints(metadata: str) -> Iterator[str]:
    """Yield what is wrong with the dependencies: more or fewer than click and rich without an extra."""
    requirements = email.message_from_string(metadata).get_all("Requires-Dist", [])
    base = {each.partition(">")[0].strip() for each in requirements if "extra ==" not in each}
    if base != BASE:
        yield f"dependencies without an extra: {sorted(base)}"


def _package_files() -> list[str]:
    # From the disk, not from Git: a data file that .gitignore hides would be missing from a wheel, and must be noticed.
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    return [path.relative_to(PACKAGE.parent).as_posix() for path in files if path.suffix != ".pyc"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built without isolation: hatchling comes from the lock, so this works off line."""
    folder: Path = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


def _text(wheel: zipfile.ZipFile, name: str) -> str:
    (path,) = [each for each in wheel.namelist() if each.endswith(f".dist-info/{name}")]
    return wheel.read(path).decode()


def test_the_wheel_is_the_package(wheel):
    assert "greenroom/py.typed" in wheel.namelist()
    expect_none(content_complaints(wheel.namelist(), _package_files()), "content of the wheel")


def test_the_base_is_small(wheel):
    metadata = _text(wheel, "METADATA")
    expect_none(metadata_complaints(metadata), "metadata of the wheel")
    message = email.message_from_string(metadata)
    assert set(message.get_all("Provides-Extra")) == {"local", "mlflow", "postgres", "server"}
    assert message["Requires-Python"] == ">=3.11"
    assert message["License-Expression"] == "Apache-2.0"
    assert _text(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text("utf-8")


def test_the_entry_points_are_there(wheel):
    lines = _text(wheel, "entry_points.txt").splitlines()
    assert "greenroom = greenroom.cli.main:main" in lines
    found = lines[lines.index("[mlflow.run_context_provider]") + 1]
    assert found == "greenroom = greenroom.mlflow_plugin:GreenroomVerbs"


@pytest.mark.parametrize(
    ("packed", "complaints"),
    [
        (["greenroom/py.typed", "greenroom/a.sql", "g.dist-info/METADATA"], []),
        (["greenroom/a.sql"], ["missing: greenroom/py.typed"]),
        (["greenroom/py.typed"], ["missing: greenroom/a.sql"]),
        (["greenroom/py.typed", "greenroom/a.sql", "tests/conftest.py"], ["not ours: tests/conftest.py"]),
    ],
)
def test_wrong_content_is_seen(packed, complaints):
    assert list(content_complaints(packed, ["greenroom/py.typed", "greenroom/a.sql"])) == complaints


@pytest.mark.parametrize(
    ("requirements", "good"),
    [
        (["click>=8", "rich>=13", "apsw>=3; extra == 'local'"], True),
        (["click>=8", "rich>=13", "apsw>=3"], False),
        (["click>=8", "rich>=13", "requests"], False),
        (["click>=8"], False),
    ],
)
def test_a_heavy_base_is_seen(requirements, good):
    metadata = "".join(f"Requires-Dist: {each}\n" for each in requirements)
    assert (list(metadata_complaints(metadata)) == []) is good
