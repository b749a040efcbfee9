"""The client's part in looking at runs: lists, one run with all that hangs on it, histories of metrics.

Logging is MLflow's client's business: set `MLFLOW_TRACKING_URI` to the server.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from greenroom.client.calls import Calls, version_number
from greenroom.core.mlmodel import Packaging
from greenroom.services import answers_runs as a
from greenroom.services.commands import VersionNamed
from greenroom.services.commands import runs as c


class Runs(Calls):
    """Runs, as far as they are tracked here."""

    def runs(
        self,
        *experiments: str,
        filter: str | None = None,
        order_by: Iterable[str] = (),
        deleted: bool = False,
        page_size: int = 100,
    ) -> Iterator[a.RunSummary]:
        """Yield runs of experiments, which are named by name or id (none: of all), newest first.

        `filter` is in MLflow's grammar: `metrics.loss < 0.1 AND params.depth = '3'`. `deleted`: the
        deleted ones instead of the living. Raises NotFound, InvalidInput.
        """
        command = c.ListRuns(tuple(experiments), filter, tuple(order_by), page_size, None, deleted)
        return self._pages("list_runs", command, a.RunSummary)

    def run(self, run: str, *, points: int = 40) -> a.RunReport:
        """Return everything about a run, named by its id, the beginning of its id, or its name.

        `points` is about how many points of each metric's history come along. Raises NotFound, and InvalidInput when
        several runs may be meant (`details["candidates"]`).
        """
        return self._ask("show_run", c.ShowRun(run, points), a.RunReport)

    def metric_history(self, run: str, key: str) -> Iterator[a.MetricPoint]:
        """Yield every point of one metric of a run by time and step, fetching pages as they are needed."""
        return self._pages("run_metric", c.RunMetric(run, key), a.MetricPoint)

    def metric_summaries(
        self, runs: Iterable[str], keys: Iterable[str] = (), *, points: int = 40
    ) -> tuple[a.MetricSummary, ...]:
        """Return metrics of runs (no `keys`: all of them) in numbers, each with about `points` points of its history.

        At most 100 runs and 200 keys at once.
        """
        command = c.SummarizeMetrics(tuple(runs), tuple(keys), points)
        found: tuple[a.MetricSummary, ...] = self.transport.call("summarize_metrics", command)
        return found

    def packaging(self, model: str, version: int | str) -> Packaging:
        """Return what a version's own files say: environment, flavours, signature, input example. Raises NotFound."""
        return self._ask("version_packaging", VersionNamed(model, version_number(version)), Packaging)
