"""What was logged goes along when a registry is copied to the other kind of database and back."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core.tracking import DatasetInput, LoggedDataset, Metric
from greenroom.services.commands import tracking as c
from greenroom.store.compiled import postgresql, sqlite
from greenroom.store.copying import copy_rows
from greenroom.store.postgres import Postgres
from greenroom.store.sqlite import SQLite
from tests.postgres import new_database
from tests.tracking.conftest import ANA

RUN, MODEL = "a" * 32, "m-" + "b" * 32
VALUES = (math.nan, math.inf, -0.0, 5e-324, 0.1 + 0.2, 1e308)


def seen(registry: LocalRegistry) -> str:
    """Return all that a client can see of the run, to the last bit."""
    found = [
        registry.call_now("get_run", c.RunNamed(RUN), ANA),
        registry.call_now("get_logged_model", c.LoggedModelNamed(MODEL), ANA),
        registry.call_now("metric_history", c.MetricHistory((RUN,), "m"), ANA),
        registry.call_now("search_runs", c.SearchRuns((0, 1), "tags.k = 'é'"), ANA),
        registry.call_now("get_experiment", c.ExperimentNamed(1), ANA),
    ]
    return repr(found)


def test_there_and_back(tmp_path: Path) -> None:
    first = open_local(tmp_path / "first", create=True)
    first.call_now("create_experiment", c.CreateExperiment("e", tags={"B": "1", "a": "2", "é": "3"}), ANA)
    first.call_now("create_run", c.CreateRun(RUN, 1, 1, tags={"k": "é", "K": "", "ab": "x" * 8000}), ANA)
    first.call_now("create_logged_model", c.CreateLoggedModel(MODEL, 1, 1, params={"p": "1"}), ANA)
    points = tuple(Metric("m", value, at, -at, MODEL) for at, value in enumerate(VALUES))
    first.call_now("log_to_run", c.LogToRun(RUN, points, (("p", "ü"),)), ANA)
    data = DatasetInput(LoggedDataset("d", "1", "t", "s", profile="p"), {"mlflow.data.context": "c"})
    first.call_now("log_inputs", c.LogInputs(RUN, (data,), (MODEL,)), ANA)
    before, url = seen(first), new_database()
    target = Postgres(url)
    with first.rows() as rows:
        copy_rows(rows, target, postgresql.DDL)
    target.close()
    shared = open_shared(url, tmp_path / "first")
    assert seen(shared) == before
    back = tmp_path / "back"
    back.mkdir(mode=0o700)
    database = SQLite(back / "greenroom.db", create=True)
    with shared.rows() as rows:
        copy_rows(rows, database, sqlite.DDL)
    database.close()
    shutil.copy(tmp_path / "first" / "audit.key", back)
    last = open_local(back)
    assert seen(last) == before
    assert last.call_now("create_run", c.CreateRun("c" * 32, 1, 0), ANA).id == "c" * 32
    for each in (first, shared, last):
        each.close()
