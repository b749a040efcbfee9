"""What one answer costs does not grow with the number of runs where it need not; else no faster than they do.

Counted are the steps of SQLite's virtual machine, not seconds: the same every time, on every machine. What a filter
has to look at in every run, or an order to sort, grows with the runs; a page of the newest, one run, a holder do not.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from greenroom.app import LocalRegistry, open_local
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.services.commands import runs as r
from greenroom.services.commands import tracking as t
from greenroom.store.sqlite import SQLite
from tests.promises import sized
from tests.store.many_runs import load, run_id

FEW = 300
MANY = sized(1_500, 10_000)
PAGE = 50
SAME, AS_THEY_GROW = 1.1, 1.2 * MANY / FEW

Ask = tuple[str, Any]


def listed(**how: Any) -> Callable[[int], Ask]:
    return lambda runs: ("list_runs", r.ListRuns(page_size=PAGE, **how))


def searched(*experiments: int, **how: Any) -> Callable[[int], Ask]:
    return lambda runs: ("search_runs", t.SearchRuns(experiments, page_size=PAGE, **how))


# Name, what is asked of a store with so many runs, and how much more it may cost with more of them.
ASKED: list[tuple[str, Callable[[int], Ask], float]] = [
    ("holder", lambda runs: ("get_holder", c.GetHolder("m", "Production")), SAME),
    ("version", lambda runs: ("get_version", c.VersionNamed("m", 1)), SAME),
    ("get_run", lambda runs: ("get_run", t.RunNamed(run_id(runs // 2))), SAME),
    ("show by id", lambda runs: ("show_run", r.ShowRun(run_id(runs // 2 - 9))), SAME),
    ("show by its beginning", lambda runs: ("show_run", r.ShowRun(run_id(runs // 2 - 9)[:9])), SAME),
    ("show by name", lambda runs: ("show_run", r.ShowRun(f"run-{runs // 2 + 1}")), SAME),
    ("summaries", lambda runs: ("summarize_metrics", r.SummarizeMetrics((run_id(9), run_id(11)), ("m1",))), SAME),
    ("points", lambda runs: ("run_metric", r.RunMetric(run_id(9), "m1")), SAME),
    ("list", listed(), SAME),
    ("list of one", listed(experiments=("e3",)), SAME),
    ("list by name", listed(filter="run_name = 'run-77'"), SAME),
    ("list of what many are", listed(filter="metrics.m0 < 0.5"), 1.5),  # stops when the page is full
    ("list of the deleted", listed(deleted=True), AS_THEY_GROW),
    ("list by metric", listed(order_by=("metrics.m0 DESC",)), AS_THEY_GROW),
    ("list by tag", listed(filter="tags.only = '77'"), AS_THEY_GROW),
    ("list of children", listed(filter=f"tags.`mlflow.parentRunId` = '{run_id(10)}'"), AS_THEY_GROW),
    ("list by several", listed(filter="params.p0 = '7' AND tags.team = 'team-3' AND metrics.m1 > 0.9"), AS_THEY_GROW),
    ("list of like", listed(filter="run_name LIKE '%-77'"), AS_THEY_GROW),
    ("search", searched(1), SAME),
    ("search by metric", searched(1, order_by=("metrics.m0 DESC",)), AS_THEY_GROW),
    ("search of several", searched(1, 2, 3, 4, 5), AS_THEY_GROW),
    ("search by param", searched(1, filter="params.p0 = '7' AND metrics.m0 > 0.5"), AS_THEY_GROW),
]  # fmt: skip


class Counted:
    """A registry whose statements are counted."""

    def __init__(self, folder: Path, runs: int, patch: pytest.MonkeyPatch) -> None:
        self.runs = runs
        self.steps = 0
        opened = SQLite.__init__

        def open_counted(connection: SQLite, *args: Any, **options: Any) -> None:
            opened(connection, *args, **options)
            connection.raw.trace_v2(apsw.SQLITE_TRACE_PROFILE, self._count)

        with patch.context() as patched:
            patched.setattr(SQLite, "__init__", open_counted)
            self.registry: LocalRegistry = open_local(folder)

    def _count(self, event: dict[str, Any]) -> None:
        self.steps += event["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"]

    def cost(self, ask: Callable[[int], Ask]) -> int:
        """Return how many steps one answer takes."""
        self.steps = 0
        self.answer = self.registry.call_now(*ask(self.runs), Actor("ana"))
        return self.steps


@pytest.fixture(scope="module")
def costs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[int, int]]:
    """Return what an answer costs with few and with many runs."""
    folder = tmp_path_factory.mktemp("runs") / "data"
    asked = {name: ask for name, ask, _ in ASKED}
    found: dict[str, list[int]] = {name: [] for name in asked}
    for before, runs in ((0, FEW), (FEW, MANY)):
        load(folder, range(before + 1, runs + 1))
        counted = Counted(folder, runs, pytest.MonkeyPatch())
        try:
            for name, ask in asked.items():
                found[name].append(counted.cost(ask))
            found.setdefault("pages", []).append(_last_page(counted))
        finally:
            counted.registry.close()
    return lambda name: (found[name][0], found[name][1])


def _last_page(counted: Counted) -> int:
    """Return the cost of the page that begins behind two thirds of the runs."""
    cost, token, gone = 0, None, 0
    while gone < counted.runs * 2 // 3:
        more = token
        cost = counted.cost(lambda runs, token=more: ("list_runs", r.ListRuns(page_size=PAGE, page_token=token)))  # type: ignore[misc]
        token, gone = counted.answer.next_page_token, gone + PAGE
    return cost


@pytest.mark.parametrize(("name", "factor"), [(name, factor) for name, _, factor in ASKED] + [("pages", SAME)])
def test_what_an_answer_costs(costs: Callable[[str], tuple[int, int]], name: str, factor: float) -> None:
    few, many = costs(name)
    print(f"{name}: {few} steps with {FEW} runs, {many} with {MANY}", file=sys.stderr)
    assert 0 < many <= factor * few


@pytest.mark.parametrize(
    ("index", "name"),
    [("ix_run_start", "list"), ("ix_run_name", "list by name"), ("ix_run_experiment", "list of one")],
)
def test_without_its_index_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str, name: str) -> None:
    """The mutant: each index is what keeps its answer from growing."""
    ask = next(ask for known, ask, _ in ASKED if known == name)
    found = []
    for before, runs in ((0, 200), (200, 600)):
        load(tmp_path / "data", range(before + 1, runs + 1))
        counted = Counted(tmp_path / "data", runs, monkeypatch)
        counted.registry.call_now("get_experiment", t.ExperimentNamed(1), Actor("ana"))
        db = SQLite(tmp_path / "data" / "greenroom.db")
        (text,) = db.raw.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()
        db.raw.execute(f"DROP INDEX {index}")
        found.append(counted.cost(ask))
        db.raw.execute(text)
        db.close()
        counted.registry.close()
    assert found[1] > SAME * found[0]
