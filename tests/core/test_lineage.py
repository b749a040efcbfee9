"""Lineage: the graph is what was recorded, and its pictures are whole."""

from __future__ import annotations

import re

import pytest

from greenroom.core.lineage import Graph, TrainingRun, dot, tree
from greenroom.core.model import Context, Dataset, Version

RUN, LOGGED = "f" * 32, "m-" + "1" * 32
COMMIT = "3f" * 20


def version(number: int = 3, **more: object) -> Version:
    given = {"model": "churn", "stage": "None", "created_at": 0, "updated_at": 0, **more}
    return Version(version=number, **given)  # type: ignore[arg-type]


def drawn(made: Version, run: TrainingRun | None = None) -> list[str]:
    graph = Graph()
    return tree(graph.lineage(graph.version(made, run), cut=False))


@pytest.mark.parametrize(
    ("made", "run", "lines"),
    [
        (version(), None, ["version churn 3 [digest unpinned]"]),
        (
            version(digest="sha256:" + "ab" * 32, author="ana", stage="Production", aliases=("champion",)),
            None,
            [
                "version churn 3 [digest sha256:abababababab, author ana]",
                "├─ → holds: slot Production",
                "└─ → holds: slot @champion",
            ],
        ),
        (
            version(run_id=RUN, context=Context(git_commit=COMMIT, entry_point="train.py")),
            TrainingRun(RUN, "bold-ant", "ana", "FINISHED", TrainingRun("e" * 32, "sweep")),
            [
                "version churn 3 [digest unpinned]",
                "└─ ← registered as: run bold-ant (ffffffffffff) [user ana, status FINISHED]",
                "   ├─ ← parent of: run sweep (eeeeeeeeeeee)",
                "   └─ ← ran as: code train.py 3f3f3f3f3f3f [commit 3f3f3f3f3f3f]",
            ],
        ),
        (
            version(run_id=RUN, logged_model=LOGGED, datasets=(Dataset("iris", "1a2b"),)),
            TrainingRun(RUN),
            [
                "version churn 3 [digest unpinned]",
                f"└─ ← registered as: logged model {LOGGED}",
                "   └─ ← logged: run ffffffffffff",
                "      └─ ← used for training: dataset iris [digest 1a2b]",
            ],
        ),
        (
            version(datasets=(Dataset("iris", None, "s3://b/iris", "evaluation"),)),
            None,
            [
                "version churn 3 [digest unpinned]",
                "└─ ← used for evaluation: dataset iris [source s3://b/iris]",
            ],
        ),
    ],
)  # fmt: skip
def test_the_tree_says_what_was_recorded(made: Version, run: TrainingRun | None, lines: list[str]) -> None:
    assert drawn(made, run) == lines


def test_dot_escapes_what_people_write() -> None:
    graph = Graph()
    root = graph.version(version(author='a "b" \\ c', datasets=(Dataset("x\ny", "1"),)), None)
    text = dot(graph.lineage(root, cut=False))
    assert 'author: a \\"b\\" \\\\ c' in text
    lines = text.splitlines()
    assert (lines[0], lines[-1]) == ("digraph lineage {", "}")
    statement = r'  (rankdir=LR|"(\\.|[^"\\])*"( -> "(\\.|[^"\\])*")? \[[^\n]*\]);'
    assert all(re.fullmatch(statement, line) for line in lines[1:-1]), text
