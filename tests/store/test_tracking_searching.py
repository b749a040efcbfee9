"""Searches over runs answer what a plain reading of filter and order says, page by page, on every database."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.dialects import EXPERIMENTS, LOGGED_MODELS, RUNS
from greenroom.core.search import parse_filter, parse_order_by
from greenroom.core.tracking import Which
from greenroom.store.compiled import postgresql, sqlite
from greenroom.store.driver import Connection
from greenroom.store.postgres import Postgres
from greenroom.store.sqlite import SQLite
from greenroom.store.texts import Texts
from greenroom.store.tracking_searching import TrackingSearches
from tests.postgres import database_with_language
from tests.races.kit import SEED

Run = dict[str, Any]


class Searches(TrackingSearches):
    def __init__(self, db: Connection) -> None:
        self.db = db


def runs() -> list[Run]:
    chance = random.Random(SEED)
    return [
        {
            "no": no,
            "id": f"{chance.getrandbits(128):032x}",
            "experiment_id": chance.choice((0, 1)),
            "name": chance.choice(("bold-ant", "bold-bee", "calm-cat", "Ärger")),
            "user_id": chance.choice(("ana", "bob")),
            "status": chance.choice(("RUNNING", "FINISHED")),
            "start_time": chance.choice((1000, 1000, 2000, 3000)),
            "end_time": chance.choice((None, 5000, 6000)),
            "deleted_at": chance.choice((None, None, None, 9)),
            "metrics": {k: chance.choice((0.5, 0.5, -1.0, math.nan)) for k in ("auc", "loss") if chance.random() < 0.7},
            "params": {k: chance.choice(("1", "2", "10")) for k in ("depth", "my lr") if chance.random() < 0.7},
            "tags": {k: chance.choice(("x", "y")) for k in ("team",) if chance.random() < 0.6},
        }
        for no in range(60)
    ]


def fill(db: Connection, rows: list[Run]) -> None:
    insert = Texts(db).insert
    for number in (0, 1):
        db.run(insert("experiment"), {**dict.fromkeys(db.columns["experiment"]), "id": number, "name": f"e{number}"}
               | {"artifact_location": "mlflow-artifacts:/", "created_at": number, "updated_at": 5})  # fmt: skip
    for row in rows:
        db.run(insert("run"), {column: row[column] for column in db.columns["run"]})
        for key, value in row["metrics"].items():
            nan = math.isnan(value)
            told = {"value": 0.0 if nan else value, "is_nan": int(nan), "timestamp": 1, "step": 0}
            db.run(insert("run_metric"), {"run_no": row["no"], "key": key, **told})
        for part in ("param", "tag"):
            for key, value in row[f"{part}s"].items():
                db.run(insert(f"run_{part}"), {"run_no": row["no"], "key": key, "value": value})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def searches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Searches]:
    db: Connection
    if request.param == "sqlite":
        path: Path = tmp_path_factory.mktemp("runs") / "greenroom.db"
        db, ddl = SQLite(path, create=True), sqlite.DDL
    else:
        db, ddl = Postgres(database_with_language()), postgresql.DDL
    for statement in ddl:
        db.run(statement)
    fill(db, runs())
    yield Searches(db)
    db.close()


FILTERS: list[tuple[str, Callable[[Run], bool]]] = [
    ("", lambda r: True),
    ("metrics.auc >= 0.5", lambda r: r["metrics"].get("auc", -9) >= 0.5),
    ("metrics.auc != 0.5", lambda r: "auc" in r["metrics"] and r["metrics"]["auc"] != 0.5),  # NaN is other than it
    ("metrics.auc < 0.5", lambda r: r["metrics"].get("auc") == -1.0),
    ("params.depth = '10'", lambda r: r["params"].get("depth") == "10"),
    ("params.`my lr` IS NULL", lambda r: "my lr" not in r["params"]),
    ("params.depth IS NOT NULL AND tags.team = 'x'", lambda r: "depth" in r["params"] and r["tags"].get("team") == "x"),
    ("tags.team != 'x'", lambda r: r["tags"].get("team", "x") != "x"),
    ("run_name LIKE 'bold%'", lambda r: r["name"].startswith("bold")),
    ("run_name ILIKE 'BOLD%'", lambda r: r["name"].startswith("bold")),
    ("run_name ILIKE 'ÄRGER'", lambda r: r["name"] == "Ärger"),  # A to Z are lowered, on either database
    ("status = 'FINISHED' AND user_id = 'ana'", lambda r: (r["status"], r["user_id"]) == ("FINISHED", "ana")),
    ("start_time > 1000", lambda r: r["start_time"] > 1000),
    ("end_time = 5000", lambda r: r["end_time"] == 5000),
    ("artifact_uri LIKE '%/artifacts'", lambda r: True),
]  # fmt: skip


def _last(value: Any, *, down: bool) -> tuple[Any, ...]:
    """A sort key: what is not there last, NaN before it, the rest in its direction."""
    if value is None:
        return (2,)
    if isinstance(value, float) and math.isnan(value):
        return (1,)
    if isinstance(value, str):
        return (0, (*(-ord(each) for each in value), 1) if down else tuple(ord(each) for each in value))
    return (0, -value if down else value)


def _team_and_loss(run: Run) -> tuple[Any, ...]:
    return _last(run["tags"].get("team"), down=True), _last(run["metrics"].get("loss"), down=False)


ORDERS: list[tuple[tuple[str, ...], Callable[[Run], Any]]] = [
    ((), lambda r: (-r["start_time"], r["id"])),
    (("metrics.auc DESC",), lambda r: (_last(r["metrics"].get("auc"), down=True), -r["start_time"], r["id"])),
    (("metrics.auc",), lambda r: (_last(r["metrics"].get("auc"), down=False), -r["start_time"], r["id"])),
    (("params.depth",), lambda r: (_last(r["params"].get("depth"), down=False), -r["start_time"], r["id"])),
    (("run_name DESC",), lambda r: (_last(r["name"], down=True), -r["start_time"], r["id"])),
    (("end_time DESC",), lambda r: (_last(r["end_time"], down=True), -r["start_time"], r["id"])),
    (("tags.team DESC", "metrics.loss", "run_id"), lambda r: (*_team_and_loss(r), r["id"])),
]  # fmt: skip


@pytest.mark.parametrize(("order", "key"), ORDERS, ids=[" ".join(order) or "default" for order, _ in ORDERS])
@pytest.mark.parametrize(("filter", "meets"), FILTERS, ids=[text or "all" for text, _ in FILTERS])
def test_pages_of_runs(searches: Searches, filter: str, meets: Any, order: tuple[str, ...], key: Any) -> None:
    living = [run for run in runs() if run["deleted_at"] is None and meets(run)]
    expected = [run["no"] for run in sorted(living, key=key)]
    found: list[int] = []
    after = None
    while True:
        page = searches.search_runs(
            (0, 1), Which.ACTIVE, parse_filter(filter, RUNS), parse_order_by(order, RUNS), after, 7
        )
        found += [number for number, _ in page]
        if len(page) < 7:
            break
        after = page[-1][1]
    assert found == expected


@pytest.mark.parametrize(
    ("experiments", "which", "meets"),
    [
        ((), Which.ALL, lambda r: False),
        ((1,), Which.ALL, lambda r: r["experiment_id"] == 1),
        ((0, 1), Which.DELETED, lambda r: r["deleted_at"] is not None),
        ((0,), Which.ACTIVE, lambda r: r["experiment_id"] == 0 and r["deleted_at"] is None),
    ],
)
def test_where_runs_are_looked_for(searches: Searches, experiments: Any, which: Which, meets: Any) -> None:
    found = searches.search_runs(experiments, which, parse_filter("", RUNS), parse_order_by((), RUNS), None, 100)
    assert {number for number, _ in found} == {run["no"] for run in runs() if meets(run)}


@pytest.mark.parametrize(
    ("filter", "found"),
    [("", [1, 0]), ("name = 'e1'", [1]), ("experiment_id IN ('0')", [0]), ("tags.k IS NULL", [1, 0])],
)
def test_experiments(searches: Searches, filter: str, found: list[int]) -> None:
    chosen, order = parse_filter(filter, EXPERIMENTS), parse_order_by((), EXPERIMENTS)
    assert [number for number, _ in searches.search_experiments(Which.ACTIVE, chosen, order, None, 9)] == found


def test_every_field_and_order_is_a_column(searches: Searches) -> None:
    for dialect, search in (
        (RUNS, lambda f, o: searches.search_runs((0,), Which.ALL, f, o, None, 5)),
        (EXPERIMENTS, lambda f, o: searches.search_experiments(Which.ALL, f, o, None, 5)),
        (LOGGED_MODELS, lambda f, o: searches.search_logged_models((0,), (("d", None), ("e", "1")), f, o, None, 5)),
    ):
        for word, spec in dialect.attributes.items():
            value = "'1'" if spec.kind.value == "text" else "1"
            if " " not in word:
                search(parse_filter(f"{word} = {value}", dialect), parse_order_by((word,), dialect))
        for entity in dialect.keyed:
            value = "1" if entity.value == "metric" else "'1'"
            search(parse_filter(f"{entity.value}.name = {value}", dialect), parse_order_by((), dialect))
        for entity in dialect.keyed_orders:
            search(parse_filter("", dialect), parse_order_by((f"{entity.value}s.k DESC",), dialect))
