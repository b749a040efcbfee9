"""Commands that look at runs, for people and programs; logging is MLflow's clients' business."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ListRuns:
    """Runs of experiments, which are named by name or id (none: of all), that meet a filter in MLflow's grammar.

    `deleted`: the deleted ones instead of the living.
    """

    experiments: tuple[str, ...] = ()
    filter: str | None = None
    order_by: tuple[str, ...] = ()
    page_size: int = 100
    page_token: str | None = None
    deleted: bool = False


@dataclass(frozen=True)
class ShowRun:
    """Everything about one run. `run` is its id, the beginning of its id, or its name, where that means one run only.

    `points` is about how many points of every metric's history are wanted.
    """

    run: str
    points: int = 40


@dataclass(frozen=True)
class SummarizeMetrics:
    """Metrics of several runs in numbers, with about `points` points of each history; no `keys`: all metrics."""

    run_ids: tuple[str, ...]
    keys: tuple[str, ...] = ()
    points: int = 40


@dataclass(frozen=True)
class RunMetric:
    """Every point of one metric of a run, by time, step and value."""

    run: str
    key: str
    page_size: int = 1000
    page_token: str | None = None
