"""What people and programs ask about runs. Only looking: MLflow's client is the logging API."""

from __future__ import annotations

from greenroom.core.model import Page
from greenroom.services import answers_runs as a
from greenroom.services.commands import runs as c
from greenroom.services.operation import Mode, Operation

_RUN = "/runs/{run}"

RUNS: tuple[Operation, ...] = (
    Operation(
        "list_runs",
        "GET",
        "/runs",
        "read",
        Mode.SEARCH,
        c.ListRuns,
        Page[a.RunSummary],
        "run_reading:list_runs",
        "List and search runs",
    ),
    Operation(
        "show_run",
        "GET",
        _RUN,
        "read",
        Mode.SEARCH,
        c.ShowRun,
        a.RunReport,
        "run_reading:show_run",
        "Everything about a run",
    ),
    Operation(
        "run_metric",
        "GET",
        _RUN + "/metric",
        "read",
        Mode.SEARCH,
        c.RunMetric,
        Page[a.MetricPoint],
        "run_reading:run_metric",
        "Every point of a metric of a run",
    ),
    Operation(
        "summarize_metrics",
        "POST",
        "/runs/metrics",
        "read",
        Mode.SEARCH,
        c.SummarizeMetrics,
        tuple[a.MetricSummary, ...],
        "run_reading:summarize_metrics",
        "Metrics of several runs in numbers, with sampled histories",
    ),
)
