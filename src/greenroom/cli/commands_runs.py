"""Commands about runs: list, show, compare, search. They look; MLflow's client logs."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import click

from greenroom.cli.busy import busy
from greenroom.cli.command import Group
from greenroom.cli.output import counted, visible, when
from greenroom.cli.params import first, limit_option, pointing_at
from greenroom.cli.runs_shown import compare_rows, period, show_lines
from greenroom.cli.session import Session, pass_session
from greenroom.cli.signs import metric_text, signs_of
from greenroom.core.errors import InvalidInput

if TYPE_CHECKING:
    from greenroom.client.registry import Registry
    from greenroom.services.answers_runs import RunReport, RunSummary

_KEY_METRICS = 3
_AT_ONCE = 50  # runs whose histories are asked for in one request
_LIST_WIDTH, _SHOW_WIDTH, _COMPARE_WIDTH = 10, 40, 12
_NARROW = 100  # characters of a window in which lines are half as long
_SYSTEM = "system/"
_MOST_COMPARED = 20


@click.group(cls=Group)
def runs() -> None:
    """List, show, compare and search tracked runs.

    MLflow's client is what logs them: set MLFLOW_TRACKING_URI to the server.

    \b
    Examples:
      greenroom runs list
      greenroom runs show keen-hawk-482
      greenroom runs compare 3f2a 9c01
      greenroom runs search "metrics.loss < 0.1" --order-by "metrics.loss ASC"
    """


_metric_option = click.option(
    "--metric", "metrics", multiple=True, metavar="KEY", help="Show this metric; may be repeated. [the most common]"
)
_deleted_option = click.option("--deleted", is_flag=True, help="The deleted ones.")


@runs.command("list")
@click.argument("experiment", nargs=-1)
@_metric_option
@_deleted_option
@limit_option
@pass_session
def list_runs(
    session: Session, experiment: tuple[str, ...], metrics: tuple[str, ...], deleted: bool, limit: int
) -> None:
    """List runs, newest first, each with its key metrics and how they went.

    EXPERIMENT is a name or an id; without one all experiments are shown. Columns of metrics are those that most of
    the runs have, or those that --metric names.

    \b
    Examples:
      greenroom runs list
      greenroom runs list churn --metric loss --metric auc --limit 20
    """
    with busy(session.out, "reading runs"):
        found = first(session.registry.runs(*experiment, deleted=deleted, page_size=_page(limit)), limit, session.out)
    _table(session, found, metrics, alone=len(experiment) == 1, empty="No runs.")


@runs.command("search")
@click.argument("filter_", metavar="FILTER")
@click.option("--experiment", "-e", multiple=True, metavar="NAME", help="Only of this one, by name or id; repeatable.")
@click.option("--order-by", multiple=True, metavar="KEY [ASC|DESC]", help="May be repeated.")
@_metric_option
@_deleted_option
@limit_option
@pass_session
def search_runs(
    session: Session,
    filter_: str,
    experiment: tuple[str, ...],
    order_by: tuple[str, ...],
    metrics: tuple[str, ...],
    deleted: bool,
    limit: int,
) -> None:
    """Search runs with a filter in MLflow's grammar.

    FILTER is comparisons joined by AND over metrics.KEY, params.KEY, tags.KEY, datasets.name, status, run_name,
    start_time and the like.

    \b
    Examples:
      greenroom runs search "metrics.loss < 0.1 AND params.depth = '3'"
      greenroom runs search "status = 'FAILED'" -e churn
      greenroom runs search "" --order-by "metrics.auc DESC" --limit 5
    """
    with pointing_at(filter_), busy(session.out, "searching runs"):
        found = session.registry.runs(
            *experiment, filter=filter_, order_by=order_by, deleted=deleted, page_size=_page(limit)
        )
        shown = first(found, limit, session.out)
    metrics = metrics or asked_for(shown, " ".join((filter_, *order_by)))
    _table(session, shown, metrics, alone=len(experiment) == 1, empty="No run matches.")


@runs.command("show")
@click.argument("run")
@pass_session
def show_run(session: Session, run: str) -> None:
    """Show everything about a run.

    RUN is its id, the beginning of its id, or its name, as long as that means one run only.
    """
    with busy(session.out, "reading the run"):
        report = session.registry.run(run, points=_SHOW_WIDTH)
    if session.out.is_json:
        session.out.json(report)
        return
    for line in show_lines(report, session.out, signs_of(sys.stdout)):
        session.out.line(line)


@runs.command("compare")
@click.argument("names", metavar="RUN RUN…", nargs=-1, required=True)
@click.option("--all", "everything", is_flag=True, help="What is the same everywhere, too.")
@click.option("--lower", multiple=True, metavar="KEY", help="Of this metric the lowest value is best; repeatable.")
@click.option("--higher", multiple=True, metavar="KEY", help="Of this metric the highest value is best; repeatable.")
@pass_session
def compare_runs(
    session: Session, names: tuple[str, ...], everything: bool, lower: tuple[str, ...], higher: tuple[str, ...]
) -> None:
    """Compare runs: what differs, the best value of each metric, histories side by side.

    The best value, marked with *, is the lowest of metrics called loss, error, time and the like, the highest of
    others; --lower and --higher say else.

    \b
    Examples:
      greenroom runs compare 3f2a 9c01
      greenroom runs compare try-0 try-1 try-2 --lower depth_cost
    """
    if not 2 <= len(names) <= _MOST_COMPARED:
        many = "One run cannot" if len(names) == 1 else f"{len(names)} runs cannot"
        raise InvalidInput(f"{many} be compared.", hint=f"Name 2 to {_MOST_COMPARED} runs.")
    with busy(session.out, "reading the runs"):
        reports = [session.registry.run(name, points=_COMPARE_WIDTH) for name in names]
    signs = signs_of(sys.stdout)
    rows = compare_rows(reports, signs, everything=everything, lower=set(lower), higher=set(higher))
    columns = ("", *(f"{visible(report.run.name)} ({report.run.id[:8]})" for report in reports))
    session.out.table(columns, rows, _compared(reports), empty="These runs do not differ.")


def _compared(reports: Sequence[RunReport]) -> list[dict[str, object]]:
    """Return what `compare` says to programs: runs and their metrics, without histories of what hangs on them."""
    return [{"run": each.run, "metrics": each.metrics, "datasets": each.datasets} for each in reports]


def _page(limit: int) -> int:
    return min(limit + 1, 1000) if limit else 1000


def _table(session: Session, found: Sequence[RunSummary], metrics: Sequence[str], *, alone: bool, empty: str) -> None:
    out = session.out
    if out.is_json:
        out.json(found)
        return
    keys = list(metrics) or key_metrics(found)
    with busy(out, "reading histories"):
        histories, left_out = _histories(session.registry, found, keys)
    if left_out:
        out.note(
            f"The histories of {counted(left_out, 'runs')} are too long to be read in time and shown without a line. "
            "`greenroom runs show RUN` reads one, --limit and --metric ask for less."
        )
    signs = signs_of(sys.stdout)
    line_width = _LIST_WIDTH if (out.width or _NARROW) >= _NARROW else _LIST_WIDTH // 2
    columns = ["Run", "Id", *([] if alone else ["Experiment"]), "Status", "Started", "Took", "User", *keys]
    rows = []
    for run in found:
        cells: list[object] = [run.name, run.id[:8], *([] if alone else [run.experiment]), run.status.value]
        cells += [when(run.started_at), period(run.started_at, run.ended_at), run.user]
        for key in keys:
            line = signs.sparkline(histories.get((run.id, key), ()), line_width)
            cells.append(f"{metric_text(run.metrics[key])} {line}".strip() if key in run.metrics else None)
        rows.append(cells)
    out.table([visible(column) for column in columns], rows, found, empty=empty, extra=len(keys), wanted=len(metrics))


def key_metrics(found: Iterable[RunSummary]) -> list[str]:
    """Return the metrics that most of the runs have, at most three; what the system measured comes last."""
    count = Counter(key for run in found for key in run.metrics)
    return sorted(count, key=lambda key: (key.startswith(_SYSTEM), -count[key], key))[:_KEY_METRICS]


def asked_for(found: Sequence[RunSummary], text: str) -> tuple[str, ...]:
    """Return the metrics that a filter or an order names, first; then the key ones; none where it names none."""
    keys = {key for run in found for key in run.metrics}
    named = sorted(key for key in keys if re.search(rf"metrics?\.[`\"]?{re.escape(key)}(?![\w./-])", text))
    return tuple(dict.fromkeys((*named, *key_metrics(found))))[: max(len(named), _KEY_METRICS)] if named else ()


def _histories(
    registry: Registry, found: Sequence[RunSummary], keys: Sequence[str]
) -> tuple[Mapping[tuple[str, str], tuple[float | None, ...]], int]:
    """Return a few points of each history, and of how many runs they are left out: those that take the server too long
    are not waited for.
    """
    points: dict[tuple[str, str], tuple[float | None, ...]] = {}
    left_out = 0
    wanted = [run.id for run in found if any(key in run.metrics for key in keys)]
    for at in range(0, len(wanted), _AT_ONCE):
        several = wanted[at : at + _AT_ONCE]
        try:
            told = registry.metric_summaries(several, keys, points=_LIST_WIDTH)
        except InvalidInput as exc:
            if exc.details.get("limit") != "search_time":
                raise
            left_out += len(several)
            continue
        points |= {(each.run_id, each.key): each.points for each in told}
    return points, left_out
