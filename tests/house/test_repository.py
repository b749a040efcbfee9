"""What is committed: locks that hold no address, no path of one machine, a licence, a change log."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.house.source import ROOT, expect_none, package_sources, tracked_files
from tools.changelog import KINDS, fragment_complaints, read_fragments

REQUIREMENTS = ROOT / "requirements"
LOCKS = ("tools", "dev", "mlflow3", "mlflow2", "frameworks")
_REQUIREMENT = re.compile(r"(?P<name>[a-z0-9][a-z0-9._-]*)==(?P<version>[^ ;\\]+)(?P<marker> ; [^\\]+)? \\")
_HASH = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")
_INDEX_VARIABLES = (
    "PIP_INDEX_URL PIP_EXTRA_INDEX_URL UV_INDEX_URL UV_DEFAULT_INDEX UV_INDEX NPM_CONFIG_REGISTRY".split()
)

# Written in pieces, or this file would find itself.
_MACHINE_PATH = re.compile(r"(?<![\w.$/~}*-])/(?:" + "|".join(["work", "farm", "root", "tmp/w"]) + r")(?:/|\b)")
_HOSTS = ("pypi" + ".org", "pythonhosted" + ".org", "npmjs" + ".org", "npmjs" + ".com", "deb" + ".debian.org")


def lock_complaints(text: str) -> Iterator[str]:
    """Yield what a lock must not hold (addresses, options, loose versions), and each package without a hash."""
    name, hashes = "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if "://" in line:
            yield f"line {number}: an address"
        if found := _REQUIREMENT.fullmatch(line):
            if not hashes:
                yield f"{name}: no hash"
            name, hashes = found["name"], 0
        elif _HASH.fullmatch(line):
            hashes += 1
        elif not line.lstrip().startswith("#"):
            yield f"line {number}: neither a pinned package nor a hash: {line!r}"
    if not name or not hashes:
        yield f"{name or 'the file'}: no hash"


def machine_traces(text: str) -> Iterator[str]:
    """Yield paths of one person's or one workplace's machine, and hosts of package registries."""
    yield from (found.group() for found in _MACHINE_PATH.finditer(text))
    yield from (host for host in (*_HOSTS, *_configured_hosts()) if host in text)


def _configured_hosts() -> set[str]:
    words = [word for name in _INDEX_VARIABLES for word in os.environ.get(name, "").split()]
    return {host for word in words if (host := urlsplit(word).hostname) and host != "localhost"}


def _asked(name: str) -> set[str]:
    lines = (REQUIREMENTS / f"{name}.in").read_text("utf-8").splitlines()
    return {_plain(line.partition("#")[0]) for line in lines} - {""}


def _plain(requirement: str) -> str:
    return requirement.replace(" ", "").replace('"', "'")


@pytest.mark.parametrize("name", LOCKS)
def test_lock(name):
    expect_none(lock_complaints((REQUIREMENTS / f"{name}.txt").read_text("utf-8")), "run `make lock`")


def test_lock_of_pytorch():
    """Written by hand, a build for processors only: no CUDA package can come along with it."""
    text = (REQUIREMENTS / "torch.txt").read_text("utf-8")
    expect_none(lock_complaints(text), "one line, one hash")
    assert [(found["name"], "+cpu" in found["version"]) for found in _REQUIREMENT.finditer(text)] == [("torch", True)]
    assert "nvidia" not in (REQUIREMENTS / "frameworks.txt").read_text("utf-8")


@pytest.mark.parametrize("name", LOCKS)
def test_lock_holds_what_was_asked_for(name):
    lock = (REQUIREMENTS / f"{name}.txt").read_text("utf-8")
    locked = {found["name"] for found in _REQUIREMENT.finditer(lock)}
    asked, files = set(), [name]
    while files:
        for line in _asked(files.pop()):
            if line.startswith("-r"):
                files.append(line.removeprefix("-r").removesuffix(".in"))
            elif not line.startswith("-c"):
                asked.add(re.match(r"[a-z0-9._-]+", line.lower()).group())
    assert asked - locked == set(), "run `make lock`"


def test_requirements_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    assert _asked("base") == {_plain(each) for each in project["dependencies"]}
    assert _asked("server") == {_plain(each) for each in [*extras["local"], *extras["server"]]} - {"greenroom[local]"}


def test_mlflow_is_pinned():
    assert {each for each in _asked("mlflow3") if each.startswith("mlflow")} == {"mlflow==3.17.2"}
    assert {each for each in _asked("frameworks") if each.startswith("mlflow")} == {"mlflow==3.17.2"}
    assert {each for each in _asked("mlflow2") if each.startswith("mlflow")} == {"mlflow==2.22.4"}


def test_no_trace_of_a_machine():
    texts = ((path, path.read_bytes().decode("utf-8", "replace")) for path in tracked_files())
    found = (f"{path.relative_to(ROOT)}: {each}" for path, text in texts for each in set(machine_traces(text)))
    expect_none(found, "traces of one machine or workplace")


def test_version_stands_in_the_change_log():
    version = re.search(r'__version__ = "([^"]+)"', package_sources()["src/greenroom/_version.py"]).group(1)
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert version in headings or read_fragments(), "no entry and no fragment tells of this version"


def test_change_log_fragments():
    found = (each for name, text in read_fragments().items() for each in fragment_complaints(name, text))
    expect_none(found, "a fragment out of form")


def test_readme_is_shown_by_package_pages():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert ("readme" in project) == (ROOT / "README.md").is_file(), 'add `readme = "README.md"` to [project]'


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE", "CONTRIBUTING.md", "CHANGELOG.md", "src/greenroom/py.typed"])
def test_is_there(name):
    assert (ROOT / name).is_file()


def test_ci_runs_the_tests():
    assert (ROOT / ".ci" / "run").read_text("utf-8").splitlines()[-1] == "exec make test"


_GOOD = "six==1.0 \\\n    --hash=sha256:" + "0" * 64


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (_GOOD, None),
        (_GOOD.replace(" \\", " ; python_version < '3.12' \\", 1) + "\n    # via x", None),
        ("", "no hash"),
        ("six==1.0", "neither"),
        ("six>=1.0 \\" + _GOOD[9:], "neither"),
        ("six==1.0 \\\n" + _GOOD, "six: no hash"),
        (_GOOD + "\nten==1.0 \\", "ten: no hash"),
        ("--index-url x\n" + _GOOD, "neither"),
        (_GOOD + "\n# from https://example", "address"),
    ],
)
def test_bad_lock_is_seen(text, complaint):
    found = list(lock_complaints(text))
    assert (complaint in found[0]) if complaint else not found, found


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("cd " + "/wo" + "rk/main", True),
        ('"' + "/ro" + 'ot/.cache"', True),
        ("=/tm" + "p/w/v", True),
        ("index: py" + "pi.org/simple", True),
        ("/models/work/root", False),
        ("./work/x ../root/ ~/work/", False),
        ("https://host.example/work/", False),
        ("/api/2.0/mlflow", False),
    ],
)
def test_trace_of_a_machine_is_seen(text, seen):
    assert bool(list(machine_traces(text))) is seen


def test_configured_registry_is_seen(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@mirror.example:8080/simple")
    assert list(machine_traces("see mirror.example for more")) == ["mirror.example"]


@pytest.mark.parametrize(
    ("name", "text", "good"),
    [
        ("promote.added.md", "Promotion moves a version into a slot.\n", True),
        ("promote.md", "No kind.\n", False),
        ("promote.nice.md", "No such kind.\n", False),
        ("promote.added.md", "  \n", False),
        ("promote.added.md", "one\n\ntwo\n", False),
        ("promote.added.md", "word " * 100, False),
    ],
)
def test_bad_fragment_is_seen(name, text, good):
    assert (list(fragment_complaints(name, text)) == []) is good
    assert "added" in KINDS
