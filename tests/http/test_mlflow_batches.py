"""What is read quickly is read as with care, and what needs care is left to it."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from greenroom.core.errors import GreenroomError
from greenroom.core.tracking import Metric
from greenroom.http import mlflow_batches
from greenroom.http import mlflow_tracking_in as read
from greenroom.http import mlflow_wire as wire
from greenroom.http.mlflow_tracking_wire import ENDPOINTS
from greenroom.services.commands.tracking import LogToRun
from tests.races.kit import SEED

RUN = "a" * 32
JSON = "application/json"
BY_NAME = {each.name: each for each in ENDPOINTS}
QUICK = {"log_metric": mlflow_batches.read_point, "log_batch": mlflow_batches.read_batch}
BODIES = 4_000


def carefully(name: str, body: bytes, kind: str | None = JSON) -> LogToRun:
    """As the endpoints do it."""
    given = wire.read_request(BY_NAME[name], "POST", "", kind, body)
    if name == "log_metric":
        return LogToRun(read.run_of(given), (read.read_metric(given),), batch=False)
    params, tags = read.read_pairs("params", given["params"]), dict(read.read_pairs("tags", given["tags"]))
    return LogToRun(read.clean_run_of(given), read.read_metrics(given["metrics"]), params, tags)


def plain(ask: LogToRun) -> Any:
    """A request with its points as they are; texts of numbers tell -0.0 and 0.0 apart."""
    points = [
        tuple(repr(getattr(each, name)) for name in list(Metric.__dataclass_fields__)[:7]) for each in ask.metrics
    ]
    return ask.run_id, points, tuple(ask.params), dict(ask.tags), ask.batch


def differs(name: str, body: bytes, kind: str | None = JSON) -> bool:
    """Say whether a body is read quickly and otherwise than with care."""
    quick = QUICK[name](kind, body)
    if quick is None:
        return False
    try:
        return plain(quick) != plain(carefully(name, body, kind))
    except GreenroomError:
        return True


POINT = {"key": "loss", "value": 0.5, "timestamp": 7, "step": 3}
ODD = [
    b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"run_id": "' + b"\xed\xa0\x80" + b'"}', b"\xef\xbb\xbf{}",
    json.dumps({"run_id": RUN, "metrics": [POINT]}).encode("utf-16"),
    b'{"run_id": "%s", "run_id": "%s", "metrics": []}' % (RUN.encode(), b"b" * 32),
    b'{"run_id": "%s", "metrics": [{"key": "a", "key": "b", "value": 1, "timestamp": 1, "step": 1}]}' % RUN.encode(),
    b'{"run_id": "%s", "metrics": [{"key": "a", "value": 1, "value": 2, "timestamp": 1, "step": 1}]}' % RUN.encode(),
    b'{"run_id": "%s", "metrics": [{"key": "a", "value": 1, "step": 1, "ste\\u0070": 2}]}' % RUN.encode(),
    b'{"run_id": "%s", "metrics": [{"key": "a", "value": 1e999, "timestamp": 1, "step": 1}]}' % RUN.encode(),
    b'{"run_id": "%s", "metrics": [{"key": "a", "value": NaN, "timestamp": 1, "step": 1}]}' % RUN.encode(),
    b'{"run_id": "%s", "key": "a", "value": 1, "timestamp": 1, "step": 1, "step": 2}' % RUN.encode(),
    b'{"run_id": "%s", "runId": "%s", "key": "a", "value": 1, "timestamp": 1, "step": 1}' % (RUN.encode(), b"b" * 32),
]  # fmt: skip


def spoiled(chance: random.Random, point: dict[str, Any]) -> dict[str, Any]:
    """A point with something that needs care."""
    name, value = chance.choice(
        [
            ("value", "NaN"), ("value", "Infinity"), ("value", None), ("value", True), ("value", [1]), ("value", 3),
            ("value", -0.0), ("value", 10**30), ("value", 1e-320), ("value", "0.5"), ("value", 2**53 + 1),
            ("timestamp", "7"), ("timestamp", 7.0), ("timestamp", -1), ("timestamp", 2**63), ("timestamp", 0),
            ("step", None), ("step", "1"), ("step", -(2**63)), ("step", -(2**63) - 1), ("step", 1.5),
            ("key", ""), ("key", None), ("key", 5), ("key", "ä b"), ("key", 'quote"d'), ("key", "value"),
            ("model_id", None), ("model_id", ""), ("model_id", "m-1"), ("dataset_name", "d"), ("dataset_digest", 3),
            ("modelId", "m-2"), ("extra", {"key": 1}), ("run_id", "b" * 32),
        ]
    )  # fmt: skip
    made = point | {name: value}
    if chance.random() < 0.1:
        made.pop(chance.choice(list(made)))
    return made


def bodies(name: str) -> Iterator[bytes]:
    """Bodies of all kinds: as clients write them, and with something odd in one place."""
    chance = random.Random(SEED)
    yield from ODD
    for _ in range(BODIES):
        points = [
            {"key": chance.choice("abc"), "value": chance.uniform(-1e3, 1e3), "timestamp": at, "step": at}
            for at in range(chance.randrange(4))
        ]
        if points and chance.random() < 0.7:
            at = chance.randrange(len(points))
            points[at] = spoiled(chance, points[at])
        if name == "log_metric":
            body = {"run_id": RUN, "run_uuid": RUN, **(points or [POINT])[0]}
        else:
            pairs = [
                [{"key": key, "value": chance.choice(["", "v", "é", None])} for key in "pq"[: chance.randrange(3)]]
            ] * 2
            body = {"run_id": RUN, "metrics": points} | dict(zip(("params", "tags"), pairs, strict=True))
            if chance.random() < 0.2:
                body.pop(chance.choice(list(body)))
            if chance.random() < 0.1:
                body[chance.choice(["metrics", "params", "tags", "run_id", "runId"])] = chance.choice(
                    [None, 1, "x", {}]
                )
        yield json.dumps(body, ensure_ascii=chance.random() < 0.5, indent=chance.choice([None, 2])).encode()


@pytest.mark.parametrize("name", QUICK)
def test_both_readers_agree(name: str) -> None:
    assert [body for body in bodies(name) if differs(name, body)] == []


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("log_metric", POINT | {"run_id": RUN, "run_uuid": RUN}),
        ("log_metric", POINT | {"run_id": RUN, "model_id": "m-1", "dataset_name": "d", "dataset_digest": "1"}),
        ("log_batch", {"run_id": RUN, "metrics": [POINT] * 3, "params": [{"key": "p", "value": "v"}], "tags": []}),
        ("log_batch", {"run_id": RUN, "metrics": [POINT | {"model_id": "m-1"}]}),
        ("log_batch", {"run_id": RUN}),
    ],
)
def test_what_clients_send_is_read_quickly(name: str, given: dict[str, Any]) -> None:
    body = json.dumps(given).encode()
    assert QUICK[name](JSON, body) is not None
    assert not differs(name, body)


@pytest.mark.parametrize("kind", [None, "", "text/plain", "application/json; charset=latin-1", "APPLICATION/JSON"])
def test_other_kinds_of_content_are_read_with_care(kind: str | None) -> None:
    assert mlflow_batches.read_batch(kind, json.dumps({"run_id": RUN}).encode()) is None


def _takes_keys_twice(patch: pytest.MonkeyPatch) -> None:
    class Any_(int):
        def __rmul__(self, other: int) -> Any_:
            return self

        def __eq__(self, other: object) -> bool:
            return True

        def __ne__(self, other: object) -> bool:
            return False

        __hash__ = int.__hash__

    patch.setattr(mlflow_batches, "_texts_of", lambda batch: Any_())


def _any_run(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(mlflow_batches, "is_run_id", lambda text: True)
    patch.setattr(read, "is_run_id", lambda text: text == RUN)


@pytest.mark.parametrize("broken", [_takes_keys_twice, _any_run])
def test_a_reader_that_differs_is_noticed(broken: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        assert any(differs("log_batch", body) for body in bodies("log_batch"))
