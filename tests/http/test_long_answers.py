"""Long answers are made a piece at a time: the event loop has turns in between, and the bytes are the same."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from greenroom.core.model import Page
from greenroom.core.tracking import (
    DatasetInput,
    Experiment,
    LoggedDataset,
    LoggedModel,
    Metric,
    ModelOutput,
    ModelStatus,
    Run,
    RunStatus,
)
from greenroom.http import long_answers, mlflow_tracking
from greenroom.http import mlflow_tracking_out as write
from greenroom.http.asgi import create_app
from greenroom.http.long_answers import Long
from greenroom.http.problem import json_bytes
from tests.http.serving import Registry
from tests.races.kit import SEED

MANY = 50_000
P = "/api/2.0/mlflow"
POINTS = tuple(Metric(f"m/{at}", at / 7, 1_700_000_000_000 + at, at, run_id="ab" * 16) for at in range(MANY))
TEXTS = {f"p/{at}": str(at) for at in range(MANY)}
RUN = Run("ab" * 16, 0, "r", "u", RunStatus.RUNNING, 1, None, "mlflow-artifacts:/0/x")
MODEL = LoggedModel("m-" + "ab" * 16, 0, "m", "mlflow-artifacts:/0/m", ModelStatus.READY, 1, 2)
EXPERIMENT = Experiment(1, "e", "mlflow-artifacts:/1", 1, 2)
FEW_TEXTS = dict([*TEXTS.items()][:90])
RUNS = tuple(replace(RUN, id=f"{at:032x}", metrics=POINTS[:90], params=FEW_TEXTS) for at in range(999))


async def _asked(answer: Any, method: str, target: str, body: Any) -> tuple[bytes, int]:
    """Ask the application; return the body of its answer, and how many turns others had until it came."""
    registry = Registry()
    registry.answers = dict.fromkeys(("get_run", "search_runs", "search_experiments", "metric_history"), answer)
    registry.answers |= dict.fromkeys(("get_logged_model", "search_logged_models", "create_run"), answer)
    app = create_app(registry, mlflow_tracking.routes(registry))
    path, _, query = target.partition("?")
    sent = b"" if body is None else json.dumps(body).encode()
    headers = [(b"host", b"localhost"), (b"content-length", b"%d" % len(sent)), (b"content-type", b"application/json")]
    scope = {
        "type": "http", "method": method, "scheme": "http", "path": path, "raw_path": path.encode(), "headers": headers,
        "query_string": query.encode(), "http_version": "1.1", "server": ("localhost", 80), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    got: list[dict[str, Any]] = []
    turns = 0

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": sent, "more_body": False}

    async def send(message: Any) -> None:
        got.append(message)

    async def look_up() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.ensure_future(look_up())
    await app(scope, receive, send)
    other.cancel()
    assert got[0]["status"] == 200, got
    return b"".join(each.get("body", b"") for each in got), turns


CASES: dict[str, tuple[Any, str, str, Any, Callable[[Any], int]]] = {
    "a run's metrics": (
        replace(RUN, metrics=POINTS), "GET", f"{P}/runs/get?run_id={RUN.id}", None,
        lambda told: len(told["run"]["data"]["metrics"]),
    ),
    "a run's parameters": (
        replace(RUN, params=TEXTS), "GET", f"{P}/runs/get?run_id={RUN.id}", None,
        lambda told: len(told["run"]["data"]["params"]),
    ),
    "a search that finds one run": (
        Page((replace(RUN, tags=TEXTS),)), "POST", f"{P}/runs/search", {"experiment_ids": ["0"]},
        lambda told: len(told["runs"][0]["data"]["tags"]),
    ),
    "a search that finds many": (
        Page(RUNS), "POST", f"{P}/runs/search", {"experiment_ids": ["0"]},
        lambda told: sum(len(each["data"]["metrics"]) for each in told["runs"]),
    ),
    "a history": (
        Page(POINTS), "GET", f"{P}/metrics/get-history?run_id={RUN.id}&metric_key=m", None,
        lambda told: len(told["metrics"]),
    ),
    "histories of several": (
        Page(POINTS), "GET", f"{P}/metrics/get-history-bulk?run_id={RUN.id}&metric_key=m", None,
        lambda told: len(told["metrics"]),
    ),
    "a logged model": (
        replace(MODEL, metrics=POINTS), "GET", f"{P}/logged-models/{MODEL.id}", None,
        lambda told: len(told["model"]["data"]["metrics"]),
    ),
    "a search for logged models": (
        Page((replace(MODEL, params=TEXTS),)), "POST", f"{P}/logged-models/search", {"experiment_ids": ["0"]},
        lambda told: len(told["models"][0]["data"]["params"]),
    ),
    "an experiment's tags": (
        Page((replace(EXPERIMENT, tags=TEXTS),)), "POST", f"{P}/experiments/search", {"max_results": 5},
        lambda told: len(told["experiments"][0]["tags"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_others_get_their_turn(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert long_answers.TURN_S <= 0.002
    monkeypatch.setattr(long_answers, "TURN_S", 0.0)  # after every piece, however fast the machine is
    monkeypatch.setattr(long_answers, "JOINED_BYTES", 1 << 40)  # turns while a thread works are no proof
    *asked, count = CASES[case]
    body, turns = asyncio.run(_asked(*asked))
    assert count(json.loads(body)) >= MANY
    assert turns >= 150, f"{turns} turns in {len(body)} bytes"


def test_in_one_go_nobody_gets_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant: the whole answer at once."""
    monkeypatch.setattr(long_answers, "JOINED_BYTES", 1 << 40)
    monkeypatch.setattr(long_answers, "TURN_S", 3600.0)
    _, turns = asyncio.run(_asked(*CASES["a run's metrics"][:-1]))
    assert turns < 10


def test_a_short_answer_waits_for_nobody() -> None:
    answer: Callable[..., Awaitable[Any]] = long_answers.answer
    with pytest.raises(StopIteration) as done:
        answer({"run": write.render_run(replace(RUN, metrics=POINTS[:3]))}).__await__().send(None)
    assert json.loads(done.value.value.body)["run"]["data"]["metrics"][2]["key"] == "m/2"


def _whole(value: Any) -> Any:
    """Return a value with its lists rendered."""
    if isinstance(value, Long):
        return [_whole(value.render(each)) for each in value.items]
    return {key: _whole(each) for key, each in value.items()} if isinstance(value, dict) else value


def test_pieces_are_what_the_whole_is() -> None:
    print(f"GREENROOM_SEED={SEED}")
    chance = random.Random(SEED)

    def count() -> int:
        return chance.choice((0, 1, 4, 8, 9, 199, 200, 201, 450))

    def run() -> Run:
        dataset = LoggedDataset("d", "1", "local", "{}", None, chance.choice((None, '{"a": "ü\\n"}')))
        return replace(
            RUN,
            metrics=POINTS[: count()],
            params=dict([*TEXTS.items()][: count()]),
            tags={"ünï \u2028": 'a"b\\'} if chance.random() < 0.5 else {},
            datasets=(DatasetInput(dataset),) * min(count(), 20),
            model_inputs=(MODEL.id,) * count(),
            model_outputs=(ModelOutput(MODEL.id, 3),) * count(),
        )

    for _ in range(60):
        runs = [run() for _ in range(chance.randrange(12))]
        token = chance.choice((None, "t"))
        for body in (write.render_page("runs", runs, write.render_run, token), {"run": write.render_run(run())}):
            assert b"".join(long_answers.pieces(body)) == json_bytes(_whole(body))


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        (Metric("k", float("nan"), 1), {"key": "k", "value": "NaN", "timestamp": 1, "step": 0}),
        (Metric("", 0.0, 0, 0, "", "", "", ""), {"key": "", "value": 0.0, "timestamp": 0, "step": 0}),
        (
            Metric("k", 1e308, -1, -2, "m-1", "d", "1", "r"),
            {"key": "k", "value": 1e308, "timestamp": -1, "step": -2, "model_id": "m-1", "dataset_name": "d",
             "dataset_digest": "1", "run_id": "r"},
        ),
    ],
)  # fmt: skip
def test_a_point_says_what_is_known(metric: Metric, told: dict[str, Any]) -> None:
    assert json.loads(json_bytes(write.render_metric(metric))) == told
    assert json.loads(json_bytes(write.render_point(metric))) == {k: v for k, v in told.items() if k != "run_id"}
