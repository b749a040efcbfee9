"""Use cases that show runs: lists, one run with all that hangs on it, histories. They only look."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from greenroom.core.dialects import NATIVE_VERSIONS, RUNS
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import Actor, Page
from greenroom.core.names import shown
from greenroom.core.paging import check_page_size, decode_token, encode_token, page_scope
from greenroom.core.search import Comparison, Entity, Field, Filter, Op, Prompts, parse_filter, parse_order_by
from greenroom.core.tracking import Metric, RunStatus, Which
from greenroom.core.tracking_names import is_run_id
from greenroom.services import answers_runs as a
from greenroom.services.answers import FolderEntry
from greenroom.services.artifacts import list_uploads
from greenroom.services.commands import UploadPath
from greenroom.services.commands import runs as c
from greenroom.services.ports import ReadTx
from greenroom.services.ports_tracking import Parts, RunRow
from greenroom.services.tracking_origin import CONTEXT_TAG, PARENT_TAG, USER_TAG, context_of, run_tree
from greenroom.services.tracking_searching import paged
from greenroom.services.tracking_views import run_files
from greenroom.services.views import version_view

MOST_RELATED = 200
MOST_VERSIONS = 100
MOST_POINTS = 1_000
_MOST_PARENTS = 10
_MOST_AT_ONCE = 100  # runs whose metrics are summed up
_MOST_KEYS = 200
_MOST_ON_A_PAGE = 1_000
_CANDIDATES = 10
_SHORTEST = 4  # digits of an id that may stand for it


def list_runs(tx: ReadTx, ask: c.ListRuns, actor: Actor) -> Page[a.RunSummary]:
    """Return a page of runs, newest first unless the order says else.

    Raises NotFound (no such experiment), InvalidInput for filter, order, size or token.
    """
    size = check_page_size(ask.page_size, default=100, maximum=_MOST_ON_A_PAGE, parameter="page_size")
    scope = page_scope(
        "list_runs", ask.filter or "", "\n".join(ask.order_by), str(ask.deleted), "\n".join(ask.experiments), actor.name
    )
    chosen, order = parse_filter(ask.filter, RUNS), parse_order_by(ask.order_by, RUNS)
    ids = [_experiment(tx, each) for each in ask.experiments] if ask.experiments else None
    after = list(decode_token(tx.page_secret(), scope, ask.page_token)) if ask.page_token else None
    which = Which.DELETED if ask.deleted else Which.ACTIVE
    found = tx.search_runs(ids, which, chosen, order, after, size + 1)

    def view(keys: Sequence[int]) -> tuple[a.RunSummary, ...]:
        rows = tx.runs(keys)
        return _summaries(tx, [rows[key] for key in keys])

    return paged(tx, scope, found, size, view, _weight)


def _experiment(tx: ReadTx, named: str) -> int:
    """Return the id of the experiment that is called so or has that id. Raises NotFound."""
    found = tx.find_experiment_called(named) if "\x00" not in named else None
    if found is None and re.fullmatch(r"[0-9]{1,18}", named):
        found = tx.find_experiment(int(named))
    if found is None:
        raise NotFound(
            f"there is no experiment {shown(named)!r}, by name or by id.",
            hint="`greenroom runs list` shows the experiments of all runs.",
            kind="experiment",
            experiment=shown(named),
        )
    return found.id


def _summaries(tx: ReadTx, rows: Sequence[RunRow]) -> tuple[a.RunSummary, ...]:
    parts = tx.run_parts([row.no for row in rows])
    names = {number: each.name for number, each in tx.experiments(sorted({row.experiment_id for row in rows})).items()}
    return tuple(_summary(row, parts[row.no], names.get(row.experiment_id, "")) for row in rows)


def _summary(row: RunRow, parts: Parts, experiment: str) -> a.RunSummary:
    return a.RunSummary(
        id=row.id,
        name=row.name,
        experiment_id=row.experiment_id,
        experiment=experiment,
        user=parts.tags.get(USER_TAG) or row.user_id or None,
        status=RunStatus(row.status),
        started_at=row.start_time,
        ended_at=row.end_time,
        deleted=row.deleted_at is not None,
        parent=parts.tags.get(PARENT_TAG) or None,
        metrics={each.key: _told(each.value) for each in sorted(parts.metrics, key=lambda each: each.key)},
        params=dict(sorted(parts.params.items())),
        tags=dict(sorted(parts.tags.items())),
    )


def _told(value: float) -> float | None:
    return None if math.isnan(value) else value


def _weight(run: a.RunSummary) -> int:
    """Return about how many characters a run takes."""
    texts = sum(len(key) + len(value) for pairs in (run.params, run.tags) for key, value in pairs.items())
    return 400 + texts + 100 * len(run.metrics)


# --- one run ---


def find_named_run(tx: ReadTx, named: str) -> RunRow:
    """Return the run whose id this is or begins with (4 digits at least), or whose name it is.

    Raises NotFound when there is none, InvalidInput naming the candidates when there are several.
    """
    exact = tx.find_run(named) if is_run_id(named) else None
    if exact is not None:
        return exact
    prefix = named.lower()
    ids = tx.runs_beginning(prefix, _CANDIDATES + 1) if re.fullmatch(rf"[0-9a-f]{{{_SHORTEST},}}", prefix) else []
    ids += tx.runs_called(named, _CANDIDATES + 1) if "\x00" not in named else []
    ids = list(dict.fromkeys(ids))
    if not ids:
        raise NotFound(
            f"there is no run {shown(named)!r}, by id or by name.",
            hint="List them with: greenroom runs list",
            kind="run",
            run=shown(named),
        )
    rows = [row for row in map(tx.find_run, ids[:_CANDIDATES]) if row is not None]
    if len(ids) > 1:
        raise _ambiguous(named, rows, more=len(ids) > _CANDIDATES)
    return rows[0]


def _ambiguous(named: str, rows: Sequence[RunRow], *, more: bool) -> InvalidInput:
    told = ", ".join(f"{row.id} ({shown(row.name)})" for row in rows)
    return InvalidInput(
        f"{shown(named)!r} may mean several runs: {told}{', and more' if more else ''}.",
        hint="Give more of the id.",
        run=shown(named),
        candidates=[row.id for row in rows],
    )


def show_run(tx: ReadTx, ask: c.ShowRun, actor: Actor) -> a.RunReport:
    """Return everything about a run, deleted ones too. Raises NotFound, InvalidInput."""
    row = find_named_run(tx, ask.run)
    parts = tx.run_parts([row.no])[row.no]
    (summary,) = _summaries(tx, [row])
    children, more_children = _children(tx, row)
    versions, more_versions = _versions(tx, row)
    return a.RunReport(
        run=summary,
        metrics=_metrics(tx, row, parts.metrics, (), _points(ask.points)),
        datasets=_datasets(parts),
        context=context_of(parts.tags),
        parents=_parents(tx, row, summary.parent),
        children=children,
        models=_models(tx, parts),
        versions=versions,
        artifact_uri=run_files(row),
        files=_files(tx, row),
        more_children=more_children,
        more_versions=more_versions,
    )


def _points(points: int) -> int:
    if not 2 <= points <= MOST_POINTS:
        raise InvalidInput(f"`points` must be 2 to {MOST_POINTS}, got {points}.", field="points")
    return points


def _datasets(parts: Parts) -> tuple[a.UsedDataset, ...]:
    return tuple(
        a.UsedDataset(
            each.dataset.name,
            each.dataset.digest,
            each.tags.get(CONTEXT_TAG),
            each.dataset.source_type,
            each.dataset.source,
        )
        for each in parts.datasets
    )


def _related(row: RunRow, parent: str | None) -> a.RelatedRun:
    return a.RelatedRun(row.id, row.name, RunStatus(row.status), row.start_time, row.end_time, parent)


def _parents(tx: ReadTx, row: RunRow, parent: str | None) -> tuple[a.RelatedRun, ...]:
    found: list[a.RelatedRun] = []
    seen = {row.id}
    while parent and parent not in seen and is_run_id(parent) and len(found) < _MOST_PARENTS:
        above = tx.find_run(parent)
        if above is None:
            break
        seen.add(parent)
        parent = tx.run_tag(above.no, PARENT_TAG)
        found.append(_related(above, parent))
    return tuple(found)


def _children(tx: ReadTx, row: RunRow) -> tuple[tuple[a.RelatedRun, ...], bool]:
    """Return what was started within a run and within those, level by level, and whether there is more."""
    found: list[a.RelatedRun] = []
    level, seen, more = [row.id], {row.id}, False
    while level and not more:
        room = MOST_RELATED - len(found)
        pairs = tx.runs_within(level, room + 1)
        more = len(pairs) > room
        rows = tx.runs([number for _, number in pairs[:room]])
        level = []
        for parent, number in pairs[:room]:
            each = rows[number]
            if each.id not in seen:
                seen.add(each.id)
                level.append(each.id)
                found.append(_related(each, parent))
    return tuple(found), more


def _models(tx: ReadTx, parts: Parts) -> tuple[a.RunModel, ...]:
    known = tx.logged_models([*(each.model_id for each in parts.outputs), *parts.inputs])
    pairs = [(each.model_id, "output", each.step) for each in parts.outputs]
    pairs += [(model_id, "input", 0) for model_id in parts.inputs]
    found = []
    for model_id, direction, step in pairs:
        row = known.get(model_id)
        found.append(a.RunModel(model_id, direction, step, row.name if row else None, row.status if row else None))
    return tuple(found)


def _versions(tx: ReadTx, row: RunRow) -> tuple[tuple[a.MadeVersion, ...], bool]:
    chosen = Filter((Comparison(Field(Entity.ATTRIBUTE, "run_id"), Op.EQ, row.id),), Prompts.ANY)
    found = tx.search_versions(chosen, parse_order_by((), NATIVE_VERSIONS), None, MOST_VERSIONS + 1)
    views = [version_view(tx, model, version) for model, version, _ in found[:MOST_VERSIONS]]
    return tuple(a.MadeVersion(each.model, each.version, each.stage) for each in views), len(found) > MOST_VERSIONS


def _files(tx: ReadTx, row: RunRow) -> tuple[FolderEntry, ...]:
    tree = run_tree(row)
    return list_uploads(tx, UploadPath(tree), Actor("")).entries if tree else ()


# --- metrics ---


def summarize_metrics(tx: ReadTx, ask: c.SummarizeMetrics, actor: Actor) -> tuple[a.MetricSummary, ...]:
    """Return metrics of runs in numbers, by run and key; what a run does not have is left out.

    Raises InvalidInput for more than 100 runs or 200 keys, NotFound for a run that is not there.
    """
    if len(ask.run_ids) > _MOST_AT_ONCE or len(ask.keys) > _MOST_KEYS:
        raise InvalidInput(
            f"{len(ask.run_ids)} runs and {len(ask.keys)} metrics at once are too many.",
            hint=f"Ask for at most {_MOST_AT_ONCE} runs and {_MOST_KEYS} metrics.",
        )
    points, keys = _points(ask.points), tuple(key for key in ask.keys if "\x00" not in key)
    if ask.keys and not keys:
        return ()
    rows = [find_named_run(tx, each) for each in dict.fromkeys(ask.run_ids)]
    parts = tx.run_parts([row.no for row in rows])
    return tuple(each for row in rows for each in _metrics(tx, row, parts[row.no].metrics, keys, points))


def _metrics(
    tx: ReadTx, row: RunRow, newest: Sequence[Metric], keys: Sequence[str], points: int
) -> tuple[a.MetricSummary, ...]:
    last = {each.key: _told(each.value) for each in newest}
    samples = tx.samples(row.no, keys, points)
    return tuple(
        a.MetricSummary(
            row.id,
            each.key,
            last.get(each.key),
            each.lowest,
            each.highest,
            each.count,
            each.nans,
            each.first_step,
            each.last_step,
            tuple(samples.get(each.key, ())),
        )
        for each in tx.tallies(row.no, keys)
    )


def run_metric(tx: ReadTx, ask: c.RunMetric, actor: Actor) -> Page[a.MetricPoint]:
    """Return points of one metric of a run, oldest first; a metric that it does not have has none.

    Raises NotFound, InvalidInput.
    """
    row = find_named_run(tx, ask.run)
    size = check_page_size(ask.page_size, default=1000, maximum=25_000, parameter="page_size")
    scope = page_scope("run_metric", row.id, ask.key)
    after = tuple(decode_token(tx.page_secret(), scope, ask.page_token)) if ask.page_token else None
    found = tx.metric_history(row.no, ask.key, after, size + 1) if "\x00" not in ask.key else []  # type: ignore[arg-type]
    items = tuple(a.MetricPoint(_told(each.value), each.timestamp, each.step) for each in found[:size])
    if len(found) <= size:
        return Page(items)
    last = items[-1]
    cursor = [last.timestamp, last.step, last.value or 0.0, int(last.value is None)]
    return Page(items, encode_token(tx.page_secret(), scope, cursor))
