"""Every example of the README, the tutorial and the how-to pages, run as a reader would run it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.docs.console import ROOT, NewFile, Step, Terminal, matches, steps_of
from tests.mlflow.servers import client_python

WITH_MLFLOW = [ROOT / "docs" / "how-to" / name for name in ("point-mlflow-at-greenroom.md", "see-your-runs.md")]
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "tutorial.md",
    *(path for path in sorted((ROOT / "docs" / "how-to").glob("*.md")) if path not in WITH_MLFLOW),
]


def follow(page: Path, folder: Path, python: str) -> None:
    """Do everything that a page says, in order. AssertionError at the first thing that goes otherwise."""
    terminal = Terminal(folder, python)
    try:
        for step in steps_of(page.read_text("utf-8")):
            if isinstance(step, NewFile):
                terminal.write(step)
            else:
                terminal.run(step)
    finally:
        terminal.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_does_what_it_says(page: Path, tmp_path: Path):
    follow(page, tmp_path, sys.executable)


@pytest.mark.mlflow
@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_MLFLOW, ids=lambda page: page.stem)
def test_mlflow_code_as_the_page_says(page: Path, tmp_path: Path):
    follow(page, tmp_path, client_python("mlflow3"))


def test_every_how_to_has_something_to_run():
    for page in (*PAGES, *WITH_MLFLOW):
        found = [step for step in steps_of(page.read_text("utf-8")) if isinstance(step, Step)]
        assert any(step.expected for step in found), page.name


def test_a_page_is_read():
    page = "x\n```console\n$ a  # exits 3\none\n$ b <<E\n> two\n> E\n```\n```python x.py\n1\n```\n```text\n$ no\n```\n"
    assert steps_of(page) == [
        Step("a  # exits 3", ("one",), 3),
        Step("b <<E\ntwo\nE", (), 5),
        NewFile("x.py", "1\n"),
    ]
    assert steps_of(page)[0].status == 3
    with pytest.raises(ValueError, match="line 2"):
        steps_of("```console\noutput of nothing\n```\n")


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a b", "a b", True),
        ("a b", "a c", False),
        ("a …", "a anything (at all)", True),
        ("a … z", "a b", False),
        ("a\n…\nz", "a\nb\nc\nz", True),
        ("…\nz", "z", True),
        ("a\nz", "a\nb\nz", False),
        ("a", "a\nb", False),
        ("", "", True),
        ("since 2026-11-21 09:31:46", "since 2031-01-02 00:00:00", True),
        ("[a]* (b)", "[a]* (b)", True),
    ],
)
def test_what_counts_as_printed(expected: str, printed: str, same: bool):
    assert matches(tuple(expected.splitlines()), printed.splitlines()) is same


@pytest.mark.slow
def test_a_wrong_page_is_seen(tmp_path: Path):
    terminal = Terminal(tmp_path)
    try:
        terminal.run(Step("echo one; echo two >&2", ("one", "two"), 1))
        with pytest.raises(AssertionError, match="ended with 4"):
            terminal.run(Step("echo one; (exit 4)", ("one",), 1))
        with pytest.raises(AssertionError, match="line 7"):
            terminal.run(Step("echo one", ("two",), 7))
        terminal.run(Step("export X=kept && mkdir deep && cd deep", (), 1))
        terminal.run(Step('echo "$X ${PWD##*/}"', ("kept deep",), 1))
    finally:
        terminal.close()
