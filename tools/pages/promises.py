"""The table "What we promise and how it is tested", from the marks on the tests themselves.

The test modules are imported, so the sizes are the numbers that the tests run with; a mutant check that is named must
be there. Nothing in the table is written by hand but the sentences of `tests/goals.py`.
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from tests.goals import GOALS, PROMISES
from tests.promises import Shown, promises_of
from tools.pages.text import table

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
FIGURES = ROOT / "docs" / "figures" / "nightly.json"


@dataclass(frozen=True)
class Marked:
    """One mark and where it stands."""

    path: str
    test: str
    shown: Shown

    def mutants(self) -> Iterator[tuple[str, str]]:
        """Yield (file, test) of each mutant check."""
        for name in self.shown.mutants:
            path, _, test = name.rpartition("::")
            yield path or self.path, test


def _module(path: str) -> ModuleType:
    return importlib.import_module(path.removesuffix(".py").replace("/", "."))


@functools.cache
def marked() -> tuple[Marked, ...]:
    """Return every mark of every test, by file."""
    found = []
    for file in sorted(TESTS.rglob("test_*.py")):
        if "@promise(" not in file.read_text("utf-8"):
            continue
        path = file.relative_to(ROOT).as_posix()
        for name, test in vars(_module(path)).items():
            found += [Marked(path, name, shown) for shown in promises_of(test)]
    return tuple(found)


def complaints() -> list[str]:
    """Return what is wrong with the marks: unknown goals, mutant checks that are not there, goals that nobody shows."""
    found = []
    for each in marked():
        if each.shown.goal not in GOALS:
            found.append(f"{each.path}::{each.test} shows {each.shown.goal}, which tests/goals.py does not know")
        for path, test in each.mutants():
            if not (ROOT / path).is_file() or not callable(getattr(_module(path), test, None)):
                found.append(f"{each.path}::{each.test} names a mutant check that is not there: {path}::{test}")
    shown = {each.shown.goal for each in marked()}
    for goal, said in GOALS.items():
        if goal not in shown and said.waiting is None:
            found.append(f"no test shows {goal} ({said.text}), and it does not say what it waits for")
        if goal in shown and said.waiting is not None and goal != "A3":
            found.append(f"{goal} is shown by a test and still says that it waits")
    return found


def promises() -> str:
    """Return one table per promise: goal, test, sizes, mutant checks."""
    parts = []
    for number, sentence in PROMISES.items():
        rows = [row for goal, said in GOALS.items() if said.promise == number for row in _rows(goal)]
        head = ("goal", "test", "every run", "every night", "fails without the protection")
        parts.append(f"### {number}. {sentence}\n\n{table(head, rows)}")
    return "\n".join(parts)


def _rows(goal: str) -> Iterator[tuple[str, ...]]:
    said = GOALS[goal]
    text = f"**{goal}** {said.text}"
    mine = [each for each in marked() if each.shown.goal == goal]
    if not mine:
        yield text, "–", f"waits: {said.waiting}", "", ""
    for each in mine:
        checks = ", ".join(_link(path, test) for path, test in each.mutants()) or "–"
        waits = f" (waits: {each.shown.waiting})" if each.shown.waiting else ""
        night = each.shown.nightly if each.shown.nightly != each.shown.usual else "the same"
        yield text, _link(each.path, each.test), each.shown.usual + waits, night, checks
        text = ""


def _link(path: str, test: str) -> str:
    return f"[`{test.removeprefix('test_')}`](../../{path})"


def nightly_figures() -> str:
    """Return the figures of the last long run, from the file that `make nightly` writes."""
    if not FIGURES.is_file():
        return "There are none yet.\n"
    run = json.loads(FIGURES.read_text("utf-8"))
    about = (
        f"Run of {run['date']} at commit `{run['commit']}` ({run['scale']}): {run['passed']} tests passed, "
        f"{run['failed']} failed, {run['minutes']} minutes on {run['cores']} cores.\n"
    )
    columns = ("goal", "test", "size", "outcome", "seconds")
    return f"{about}\n{table(columns, ([each[column] for column in columns] for each in run['goals']))}"
