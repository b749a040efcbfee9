"""Writes down how a long run went, for the docs: one line per marked test, with the size it ran at.

A pytest plugin that `make nightly` turns on by naming the file in GREENROOM_FIGURES; without it nothing happens.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.promises import SCALE, Shown

ROOT = Path(__file__).resolve().parent.parent


class Figures:
    """Collects outcomes and times while the tests run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._began = time.monotonic()
        self._seconds: dict[str, float] = defaultdict(float)
        self._failed: set[str] = set()
        self._counts: dict[str, int] = defaultdict(int)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note one phase of one test."""
        test = report.nodeid.partition("[")[0]
        self._seconds[test] += report.duration
        if report.when == "call" or report.failed or report.skipped:
            self._counts[report.outcome] += 1
        if report.failed:
            self._failed.add(test)

    def pytest_sessionfinish(self) -> None:
        """Write the file."""
        from tools.pages.promises import marked

        goals = [
            self._line(f"{each.path}::{each.test}", each.shown)
            for each in marked()
            if f"{each.path}::{each.test}" in self._seconds
        ]
        figures = {
            "date": time.strftime("%Y-%m-%d", time.gmtime()),
            "commit": _commit(),
            "scale": f"{SCALE * 100:g} % of the long sizes",
            "cores": len(os.sched_getaffinity(0)),
            "minutes": round((time.monotonic() - self._began) / 60),
            "passed": self._counts["passed"],
            "failed": self._counts["failed"],
            "goals": goals,
        }
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text(json.dumps(figures, indent=1) + "\n", "utf-8")

    def _line(self, test: str, shown: Shown) -> dict[str, Any]:
        return {
            "goal": shown.goal,
            "test": test.rpartition("::")[2].removeprefix("test_"),
            "size": shown.now,
            "outcome": "failed" if test in self._failed else "held",
            "seconds": round(self._seconds[test]),
        }


def pytest_configure(config: pytest.Config) -> None:
    """Turn it on in the process that hears of every test."""
    path = os.environ.get("GREENROOM_FIGURES")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Figures(ROOT / path))


def _commit() -> str:
    said = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return said.stdout.strip() or "unknown"
