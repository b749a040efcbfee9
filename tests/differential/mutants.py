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
from greenroom.core.search import Op
from greenroom.http import mlflow_registry, mlflow_tracking_out, mlflow_wire
from greenroom.services import tracking_experiments, tracking_logging, tracking_searching
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


def newest_is_last_logged() -> None:
    """A run shows the point that was logged last, not the newest by step and time."""
    newest = tracking_logging._newest

    def last(rows: Any) -> Any:
        return list({row["key"]: row for row in rows}.values()) if rows else newest(rows)

    tracking_logging._newest = last


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

    def rendered(metric: Any, *, with_run: bool = True) -> Any:
        found = render(metric, with_run=with_run)
        return found | {"value": None if found["value"] == "NaN" else found["value"]}

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
        from greenroom.core.errors import InvalidInput, NotFound

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


MUTANTS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        order_ignored, like_ignores_case, newest_is_last_logged, runs_outlive_experiments, params_change, long_keys,
        nan_is_null, empty_description_left_out, wrong_code, stages_in_capitals,
    )
}  # fmt: skip


@contextlib.contextmanager
def mutant_server(name: str) -> Iterator[str]:
    """Run our server with that mistake, on a fresh folder, and give its URL."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        module = [sys.executable, "-m", "tests.differential.mutants", name]
        command = [*module, "server", "--data", f"{folder}/data", "--port", "0", "--lifecycle", "mlflow"]
        with log.open("w") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            yield url_said_by(process, log)
        finally:
            process.kill()
            process.communicate()


if __name__ == "__main__":
    MUTANTS[sys.argv.pop(1)]()
    from greenroom.cli.main import main

    main()
