"""How one run, and several side by side, are written for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from greenroom.cli.output import MISSING, Output, plain_table, size, visible, when
from greenroom.cli.signs import Signs, metric_text

if TYPE_CHECKING:
    from greenroom.services.answers_runs import MetricSummary, RelatedRun, RunModel, RunReport

_WIDTH = 40
_COMPARE_WIDTH = 12
_LONGEST = 80  # characters of one value
_STATUS = {"FINISHED": "green", "FAILED": "red", "RUNNING": "yellow", "KILLED": "dim", "SCHEDULED": "dim"}
_LOW_IS_GOOD = (
    *("loss", "error", "rmse", "mse", "mae", "mape", "perplexity", "latency", "seconds", "_ms", "_time", "std"),
    *("rank_test_score", "false_positives", "false_negatives"),  # of scikit-learn's searches, of evaluations
)
_HIDDEN_TAGS = ("mlflow.runName", "mlflow.user", "mlflow.parentRunId", "mlflow.log-model.history", "mlflow.source.")


def period(started_at: int, ended_at: int | None) -> str:
    """Return how long a run took, `3 m 20 s`; `-` while it runs."""
    if ended_at is None:
        return MISSING
    seconds = max(ended_at - started_at, 0) / 1000
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")]
    start = next(at for at, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[start : start + 2])


def show_lines(report: RunReport, out: Output, signs: Signs) -> Iterator[str]:
    """Yield the lines of `runs show`; what nobody recorded is shown as missing."""
    for name, value in _facts(report, out):
        yield f"{out.paint(name.ljust(10), 'bold')}  {value}"
    yield from _block(out, "parameters", _pairs(report.run.params))
    yield from _block(out, "metrics", _metric_lines(report.metrics, signs))
    data = [" ".join(visible(part) for part in (d.name, d.digest, d.context) if part) for d in report.datasets]
    yield from _block(out, "data sets", data)
    yield from _block(out, "models", [_model(each) for each in report.models])
    made = [f"{each.model} {each.version} ({each.stage})" for each in report.versions]
    yield from _block(out, "versions", made + ["and more"] * report.more_versions)
    yield from _block(out, "family", _family(report, out, signs))
    files = [visible(each.name) + ("/" if each.is_dir else f"  {size(each.size_bytes)}") for each in report.files]
    yield from _block(out, "files", files)
    tags = {key: text for key, text in report.run.tags.items() if not key.startswith(_HIDDEN_TAGS)}
    yield from _block(out, "tags", _pairs(tags))


def _facts(report: RunReport, out: Output) -> Iterator[tuple[str, str]]:
    run, code = report.run, report.context
    yield "run", visible(run.name) + (" (deleted)" if run.deleted else "")
    yield "id", run.id
    yield "experiment", visible(f"{run.experiment} ({run.experiment_id})")
    yield "status", out.paint(run.status.value, _STATUS.get(run.status.value, "dim"))
    yield "started", when(run.started_at)
    yield "took", period(run.started_at, run.ended_at)
    yield "user", visible(run.user or MISSING)
    yield "source", visible(code.entry_point or MISSING)
    where = " ".join(part for part in (code.git_commit, code.git_branch, code.git_remote) if part)
    yield "git commit", visible(where or MISSING)
    yield "artifacts", visible(report.artifact_uri)


def _block(out: Output, title: str, lines: Sequence[str]) -> Iterator[str]:
    yield ""
    yield out.paint(title, "bold") + ("" if lines else f"  {MISSING}")
    for line in lines:
        yield f"  {line}".rstrip()


def _pairs(values: object) -> list[str]:
    pairs = dict(values)  # type: ignore[call-overload]
    return [f"{visible(key)} = {_short(value)}" for key, value in pairs.items()]


def _short(text: str) -> str:
    line = " ".join(visible(text).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _metric_lines(metrics: Sequence[MetricSummary], signs: Signs) -> list[str]:
    if not metrics:
        return []
    rows = []
    for each in metrics:
        nans = f", {each.nans} NaN" if each.nans else ""
        steps = f"{each.first_step}" if each.first_step == each.last_step else f"{each.first_step}-{each.last_step}"
        rows.append(
            (
                visible(each.key),
                metric_text(each.last),
                metric_text(each.lowest),
                metric_text(each.highest),
                f"{each.count}{nans}",
                steps,
                signs.sparkline(each.points, _WIDTH),
            )
        )
    return plain_table(("key", "last", "min", "max", "points", "steps", ""), rows).splitlines()


def _model(model: RunModel) -> str:
    word = "read" if model.direction == "input" else f"written at step {model.step}" if model.step else "written"
    parts = (model.name, model.id, model.status and model.status.lower(), f"({word})")
    return " ".join(visible(part) for part in parts if part)


def _family(report: RunReport, out: Output, signs: Signs) -> list[str]:
    """Return the run between its parents and its children, as a tree."""
    if not report.parents and not report.children:
        return []
    above = list(reversed(report.parents))
    below: dict[str | None, list[RelatedRun]] = {}
    for each in report.children:
        below.setdefault(each.parent, []).append(each)
    texts = [_relative(each, out) for each in above]
    texts.append(out.paint(visible(report.run.name), "bold") + f" ({report.run.id[:8]}, this run)")
    depths = list(range(len(texts)))
    stack = [(each, len(above) + 1) for each in reversed(below.get(report.run.id, []))]
    while stack:
        each, depth = stack.pop()
        texts.append(_relative(each, out))
        depths.append(depth)
        stack += [(child, depth + 1) for child in reversed(below.get(each.id, []))]
    if report.more_children:
        texts.append("and more")
        depths.append(len(above) + 1)
    return [branch + text for branch, text in zip(signs.branches(depths), texts, strict=True)]


def _relative(run: RelatedRun, out: Output) -> str:
    status = out.paint(run.status.value, _STATUS.get(run.status.value, "dim"))
    return f"{visible(run.name)} ({run.id[:8]}) {status} {period(run.started_at, run.ended_at)}"


# --- side by side ---


def compare_rows(
    reports: Sequence[RunReport], signs: Signs, *, everything: bool, lower: set[str], higher: set[str]
) -> list[tuple[object, ...]]:
    """Return the rows of a comparison, those only in which runs differ unless `everything` is wanted."""
    rows: list[tuple[object, ...]] = []
    runs = [report.run for report in reports]
    facts: list[tuple[str, list[object]]] = [
        ("experiment", [run.experiment for run in runs]),
        ("status", [run.status.value for run in runs]),
        ("user", [run.user for run in runs]),
        ("source", [report.context.entry_point for report in reports]),
        ("git commit", [report.context.git_commit for report in reports]),
        ("took", [period(run.started_at, run.ended_at) for run in runs]),
        ("data sets", [", ".join(f"{d.name} {d.digest}" for d in report.datasets) for report in reports]),
    ]
    facts += [(f"params.{key}", [run.params.get(key) for run in runs]) for key in _keys([run.params for run in runs])]
    for name, values in facts:
        if everything or len(set(values)) > 1:
            rows.append((name, *(None if value is None else _short(str(value)) for value in values)))
    for key in _keys([run.metrics for run in runs]):
        found = [next((each for each in report.metrics if each.key == key), None) for report in reports]
        if everything or _differ(found):
            low = key in lower or (key not in higher and low_is_good(key))
            rows.append((f"metrics.{key}", *_metric_cells(found, signs, low=low)))
    return rows


def _keys(maps: Sequence[object]) -> list[str]:
    return sorted({key for each in maps for key in each})  # type: ignore[attr-defined]


def _differ(found: Sequence[MetricSummary | None]) -> bool:
    told = {(each.last, each.count, each.points) if each else None for each in found}
    return len(told) > 1


def low_is_good(key: str) -> bool:
    """Say whether a metric of this name is better when it is lower, as far as a name can tell."""
    name = key.lower()
    return any(name.endswith(word) or f"{word}_" in name for word in _LOW_IS_GOOD)


def _metric_cells(found: Sequence[MetricSummary | None], signs: Signs, *, low: bool) -> list[str | None]:
    values = [each.last for each in found if each is not None and each.last is not None]
    best = (min(values) if low else max(values)) if values else None
    scale = [point for each in found if each is not None for point in each.points]
    cells: list[str | None] = []
    for each in found:
        if each is None:
            cells.append(None)
            continue
        mark = "*" if each.last is not None and each.last == best and len(set(values)) > 1 else ""
        cells.append(f"{metric_text(each.last)}{mark} {signs.sparkline(each.points, _COMPARE_WIDTH, scale)}".strip())
    return cells
