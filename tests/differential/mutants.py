"""Our server with one answer made wrong, as a process: `python -m tests.differential.mutants NAME server ...`.

Each is a mistake that somebody could make, and none of them a crash: the comparison must see it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from greenroom.core import tracking_names
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.search import Op
from greenroom.http import mlflow_registry, mlflow_tracking, mlflow_tracking_out, mlflow_wire
from greenroom.services import tracking_experiments, tracking_logging, tracking_runs, tracking_searching
from greenroom.store import bound, write_tracking
from greenroom.store import tracking_searching as statements
from tests.mlflow.servers import url_said_by


def order_ignored() -> None:
    """Searches of runs come in their default order, whatever was asked for."""
    parse = tracking_searching.parse_order_by
    tracking_searching.parse_order_by = lambda items, dialect: parse((), dialect)


def like_ignores_case() -> None:
    """LIKE counts no case."""
    compare = statements._Query.compare

    def loose(self: Any, column: str, op: Op, value: Any) -> str:
        return compare(self, column, Op.ILIKE if op is Op.LIKE else op, value)

    statements._Query.compare = loose


def newest_is_oldest() -> None:
    """Of a batch, a run shows the oldest point of a metric, not the newest by step and time."""
    rank = write_tracking._rank
    write_tracking._rank = lambda row: tuple(-part for part in rank(row))


def runs_outlive_experiments() -> None:
    """Deleting an experiment leaves its runs alone."""

    def mark(tx: Any, id: int, deleted_at: int | None) -> None:
        tx.change("experiment", {"id": id}, {"deleted_at": deleted_at, "updated_at": tx.now})

    tracking_experiments._mark = mark


def params_change() -> None:
    """Another value of a parameter is no error."""
    tracking_logging.check_params = lambda *args, **kwargs: None


def long_keys() -> None:
    """Keys may be ten times as long."""
    tracking_names.KEY_LENGTH *= 10


def nan_is_null() -> None:
    """NaN goes out as null, as a careless encoder writes it."""
    render = mlflow_tracking_out.render_metric

    def rendered(metric: Any) -> Any:
        found = render(metric)
        found.value = None if found.value == "NaN" else found.value  # type: ignore[assignment]
        return found

    mlflow_tracking_out.render_metric = rendered


def empty_description_left_out() -> None:
    """A version without a description does not say so."""
    render = mlflow_wire.render_version

    def rendered(version: Any, *, with_aliases: bool = True) -> Any:
        return {key: value for key, value in render(version, with_aliases=with_aliases).items() if value != ""}

    mlflow_wire.render_version = rendered


def wrong_code() -> None:
    """An unknown alias is 404, as one would think."""
    handler = mlflow_registry.HANDLERS["get_by_alias"]

    async def answer(call: Any) -> Any:
        try:
            return await handler(call)
        except InvalidInput as exc:
            raise NotFound(exc.message) from exc

    mlflow_registry.HANDLERS["get_by_alias"] = answer  # type: ignore[index]


def stages_in_capitals() -> None:
    """Stages are shown in capitals."""
    render = mlflow_registry.wire.render_version
    mlflow_registry.wire.render_version = lambda version, **kwargs: render(
        dataclasses.replace(version, stage=version.stage.upper()), **kwargs
    )


def lower_by_language() -> None:
    """ILIKE leaves lowering to the database, which lowers a parameter by its language and a column by none."""
    bound.Bound.bind_lower = lambda self, text: f"LOWER({self.bind(text)})"


def absent_instead_of_wrong() -> None:
    """Whatever is wrong with a point, parameter or tag, the run is said not to be there."""
    handlers = mlflow_tracking.HANDLERS

    def blaming(handler: Any) -> Any:
        async def answer(call: Any) -> Any:
            try:
                return await handler(call)
            except InvalidInput as exc:
                raise NotFound(f"Run with id={call.given.get('run_id')} not found") from exc

        return answer

    for name in ("log_metric", "log_param", "set_tag", "log_batch"):
        handlers[name] = blaming(handlers[name])  # type: ignore[index]


def letters_are_ascii() -> None:
    """Keys of tags and parameters may hold ASCII letters only."""
    check = tracking_names.check_key

    def strict(key: str, path: str, what: str) -> str:
        return check(key if key.isascii() else f"*{key}", path, what)

    tracking_logging.check_key = tracking_runs.check_key = strict


# What the table of meant differences must not excuse, though the codes or the words would fit one of its rows.
NOT_EXCUSED: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (absent_instead_of_wrong, letters_are_ascii)
}
ON_POSTGRES: dict[str, Callable[[], None]] = {"lower_by_language": lower_by_language}
MUTANTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        order_ignored, like_ignores_case, newest_is_oldest, runs_outlive_experiments, params_change, long_keys,
        nan_is_null, empty_description_left_out, wrong_code, stages_in_capitals,
    )
}  # fmt: skip


@contextlib.contextmanager
def mutant_server(name: str, *options: str) -> Iterator[str]:
    """Run our server with that mistake, on a fresh folder, and give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        module = [sys.executable, "-m", "tests.differential.mutants", name]
        command = [*module, "server", "--data", f"{folder}/data", "--port", "0", "--lifecycle", "mlflow", *options]
        with log.open("w") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield url_said_by(process, log)
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    (MUTANTS | NOT_EXCUSED | ON_POSTGRES)[sys.argv.pop(1)]()
    from greenroom.cli.main import main

    main()
