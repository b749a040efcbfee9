"""A store with many runs, put there row by row in one transaction: logging them would take minutes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from greenroom.app import open_local
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.services.commands import tracking as t
from greenroom.store.sqlite import SQLite
from greenroom.store.texts import Texts

EXPERIMENTS = 5
PARAMS = METRICS = 20
POINTS = 10
BEGAN = 1_700_000_000_000
_AT_ONCE = 200


def run_id(number: int) -> str:
    """Return the id of a run; ids are not in the order of time."""
    return f"{random.Random(number).getrandbits(128):032x}"


def rows(runs: range) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (table, row) of every row of these runs. Each hundredth is called `twin`, and each tenth has a parent."""
    for no in runs:
        dice = random.Random(-no)
        started = BEGAN + no * 60_000
        yield "run", {
            "no": no, "id": run_id(no), "experiment_id": 1 + no % EXPERIMENTS,
            "name": "twin" if no % 100 == 0 else f"run-{no}", "user_id": "ana", "status": "FINISHED",
            "start_time": started, "end_time": started + 50_000, "deleted_at": 1 if no % 50 == 7 else None,
        }  # fmt: skip
        tags = {"mlflow.user": "ana", "mlflow.runName": f"run-{no}", "team": f"team-{no % 7}", "only": f"{no}"}
        if no % 10 == 3:
            tags["mlflow.parentRunId"] = run_id(no - 3)
        for key, value in tags.items():
            yield "run_tag", {"run_no": no, "key": key, "value": value}
        for number in range(PARAMS):
            yield "run_param", {"run_no": no, "key": f"p{number}", "value": f"{dice.randrange(100)}"}
        for number in range(METRICS):
            for step in range(POINTS):
                value = dice.random()
                point = {"run_no": no, "key": f"m{number}", "timestamp": started + step, "step": step}
                yield "metric_point", {**point, "value": value, "is_nan": 0}
            yield "run_metric", {**point, "value": value, "is_nan": 0}


def load(folder: Path, runs: range) -> None:
    """Put runs into the data folder, which is made with five experiments and one model if it is not there."""
    if not folder.exists():
        registry = open_local(folder, create=True)
        for number in range(1, EXPERIMENTS + 1):
            registry.call_now("create_experiment", t.CreateExperiment(f"e{number}"), Actor("ana"))
        made = c.RegisterVersion("m", source="s3://b/m", create_model=True)
        registry.call_now("register_version", made, Actor("ana"))
        registry.call_now("promote", c.Promote("m", "Production", 1), Actor("ana"))
        registry.close()
    db = SQLite(folder / "greenroom.db")
    insert = Texts(db).insert
    try:
        with db.raw:
            for start in range(runs.start, runs.stop, _AT_ONCE):
                by_table: dict[str, list[dict[str, Any]]] = {}
                for table, row in rows(range(start, min(start + _AT_ONCE, runs.stop))):
                    by_table.setdefault(table, []).append(row)  # runs come first: the others hang on them
                for table, several in by_table.items():
                    db.raw.executemany(insert(table), several)
    finally:
        db.close()
