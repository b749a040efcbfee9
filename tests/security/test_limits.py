"""Every stated limit is kept, on a live server: at the limit accepted, over it refused with the limit's number."""

from __future__ import annotations

import hashlib
import http
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from greenroom.core.limits import CLOSED, SERVER_LIMITS
from greenroom.core.names import LIMITS
from greenroom.services.limits import COUNTS
from tests.security.scene import FILES, MODEL_B, Live, Reply, Scene, scene

V1 = "/api/v1"
MODEL = f"{V1}/models/{MODEL_B}"
BLOB = {"digest": f"sha256:{hashlib.sha256(FILES['model.bin']).hexdigest()}", "size_bytes": len(FILES["model.bin"])}


@dataclass(frozen=True)
class Ask:
    """A request; its answer shows whether the limit was met."""

    method: str
    target: str
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


def _post(target: str, **body: Any) -> Ask:
    return Ask("POST", target, body)


def _register(**body: Any) -> Ask:
    return _post(f"{MODEL}/versions", **({"files": [{"path": "a", **BLOB}]} | body))


def _file(path: str) -> Ask:
    return _register(files=[{"path": path, **BLOB}])


def _search(**query: str) -> Ask:
    return Ask("GET", f"{V1}/versions?" + "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items()))


def _source(size: int) -> Ask:
    text = "s3://bucket/"
    while len(text) < size:
        text += "x" * min(200, size - len(text)) + ("/" if size - len(text) > 201 else "")
    return _register(source=text[:size], files=[])


def _digest(number: int) -> str:
    return f"sha256:{number:064x}"


def _metrics(**body: Any) -> Ask:
    return _post(f"{MODEL}/versions/1/metrics", **body)


def _stages(count: int) -> Ask:
    # None and Archived are two of them.
    names = ["None", *(f"S{number}" for number in range(count - 2)), "Archived"]
    text = 'lifecycle = "long"\n' + "".join(f'\n[[stage]]\nname = "{name}"\n' for name in names)
    return _post(f"{V1}/lifecycle/check", document=text + "archive = true\n")


def _many(count: int, **values: Any) -> dict[str, Any]:
    key, value = next(iter(values.items()))
    return {key: {f"k{number}": value for number in range(count)}}


TEXTS: dict[str, Callable[[int], Ask]] = {
    "model_name": lambda n: _post(f"{V1}/models", name="a" * n),
    "model_name_bytes": lambda n: _post(f"{V1}/models", name="\u4e2d" * (n // 3) + "b" * (n % 3)),
    "version": lambda n: Ask("GET", f"{MODEL}/versions/{n}"),
    "stage_name": lambda n: _post(f"{V1}/lifecycle/stages", name="s" * n),
    "alias": lambda n: Ask("PUT", f"{MODEL}/aliases/{'a' * n}", {"version": 1}),
    "tag_key": lambda n: Ask("PUT", f"{MODEL}/tags", {"key": "k" * n, "value": "v"}),
    "tag_value": lambda n: Ask("PUT", f"{MODEL}/tags", {"key": "long", "value": "v" * n}),
    "description": lambda n: Ask("PATCH", MODEL, {"description": "d" * n}),
    "metric_key": lambda n: _metrics(metrics={"m" * n: 1.0}),
    "param_key": lambda n: _metrics(params={"p" * n: "1"}),
    "param_value": lambda n: _metrics(params={f"long{n}": "1" * n}),
    "dataset_name": lambda n: _register(datasets=[{"name": "d" * n, "digest": "x"}]),
    "actor_name": lambda n: Ask("GET", f"{V1}/models", headers=(("X-Greenroom-Actor", "a" * n),)),
    "path_bytes": lambda n: _file("/".join(["p" * 203] * 6)[: n - 5] + "/" + "q" * 4),
    "path_segments": lambda n: _file("/".join(["p"] * n)),
    "path_segment_bytes": lambda n: _file("p" * n),
    "source": _source,
    "filter": lambda n: _search(filter="name = '" + "a" * (n - 9) + "'"),
    "filter_comparisons": lambda n: _search(filter=" AND ".join(["name = 'a'"] * n)),
    "like_pattern": lambda n: _search(filter="name LIKE '" + "a" * n + "'"),
    "like_wildcards": lambda n: _search(filter="name LIKE '" + "%a" * n + "'"),
    "order_by": lambda n: Ask("GET", f"{V1}/versions?" + "&".join(f"order_by={each}" for each in _orders(n))),
    "order_by_item": lambda n: _search(order_by="name" + " " * (n - 8) + " ASC"),
    "page_token": lambda n: _search(page_token="t" * n),
}  # fmt: skip
COUNTED: dict[str, Callable[[int], Ask]] = {
    "tags": lambda n: _post(f"{V1}/models", name=f"tagged-{n}", **_many(n, tags="v")),
    "metrics": lambda n: _register(**_many(n, metrics=1.0)),
    "params": lambda n: _register(**_many(n, params="v")),
    "datasets": lambda n: _register(datasets=[{"name": f"d{number}", "digest": "x"} for number in range(n)]),
    "files": lambda n: _register(
        files=[{"path": f"f{number}", **BLOB} for number in range(n)]
    ),
    "packages": lambda n: _register(context={"packages": {f"p{number}": "1" for number in range(n)}}),
    "stages": _stages,
    "digests": lambda n: _post(f"{V1}/blobs/missing", digests=[_digest(number) for number in range(n)]),
}  # fmt: skip


def _orders(count: int) -> list[str]:
    known = ["name", "version", "created_at", "updated_at", "stage", "author", "size_bytes", "file_count", "run_id"]
    return known[:count]


SHOWN_BY = {
    "target": "test_bytes_of_a_request",
    "head": "test_bytes_of_a_request",
    "body": "test_bytes_of_a_request",
    "manifest_body": "test_bytes_of_a_request",
    "query_parameters": "test_bytes_of_a_request",
    "head_time": "tests/security/test_resources.py::test_slow_heads",
    "bodies": "tests/security/test_resources.py::test_bodies_held_at_once",
    "uploads": "tests/security/test_resources.py::test_slow_uploads",
    "downloads": "tests/security/test_resources.py::test_downloads_that_nobody_reads",
    "unread_bytes": "tests/security/test_resources.py::test_pages_that_nobody_reads",
    "page_bytes": "tests/security/test_resources.py::test_pages_that_nobody_reads",
    "connections": "tests/http/test_connections.py::test_the_number_of_connections",
    "silent_connections": "tests/security/test_resources.py::test_silent_connections",
    "pipeline": "tests/security/test_resources.py::test_requests_sent_ahead",
    "body_idle": "tests/http/test_run.py::test_a_body_that_stays_away_is_answered",
    "body_time": "tests/http/test_connections.py::test_a_body_that_takes_too_long",
    "upload_pace": "tests/http/test_connections.py::test_an_upload_below_the_pace",
    "keep_alive": "tests/http/test_connections.py::test_a_connection_is_kept_for_a_while",
    "answer_pace": "tests/http/test_connections.py::test_an_answer_that_nobody_reads",
    "in_flight": "tests/http/test_connections.py::test_requests_in_flight",
    "heavy_requests": "tests/security/test_queues.py::test_heavy_requests",
    "searches": "tests/security/test_queues.py::test_searches",
    "reader_wait": "tests/security/test_queues.py::test_a_search_that_waits_too_long",
    "search_time": "tests/security/test_queues.py::test_a_search_that_takes_too_long",
}
"""Where each limit of the server is provoked."""


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with scene(tmp_path_factory.mktemp("limits")) as made:
        yield made


def test_no_limit_is_left_out() -> None:
    """A new row of a table of limits fails here until it is provoked below."""
    assert set(TEXTS) | {"echo"} == set(LIMITS)
    assert set(COUNTED) == set(COUNTS)
    assert set(SHOWN_BY) == set(SERVER_LIMITS)
    for test in SHOWN_BY.values():
        path, _, function = test.rpartition("::")
        assert f"def {function}(" in Path(path or __file__).read_text("utf-8"), test


def _told(reply: Reply) -> str:
    body = reply.json
    return f"{body.get('detail')} {body.get('hint')} {json.dumps(body.get('details'))}"


def _ask(server: Live, ask: Ask) -> Reply:
    return server.ask(ask.method, ask.target, ask.body, **dict(ask.headers))


def _says(reply: Reply, number: int) -> bool:
    return any(form in _told(reply) for form in (str(number), f"{number:,}"))


@pytest.mark.parametrize("name", list(TEXTS))
def test_text(stage: Scene, name: str) -> None:
    limit = LIMITS[name].value
    at, over = _ask(stage.server, TEXTS[name](limit)), _ask(stage.server, TEXTS[name](limit + 1))
    # At the limit another rule may still refuse (no such blob), but not this one.
    assert at.status == (404 if name == "version" else at.status)
    assert at.status in (200, 404) or f"{limit} {LIMITS[name].unit}".strip() not in _told(at), at.raw
    assert over.status == 400, over.raw
    assert _says(over, limit), over.raw


@pytest.mark.parametrize("name", list(COUNTED))
def test_count(stage: Scene, name: str) -> None:
    limit = COUNTS[name]
    at, over = _ask(stage.server, COUNTED[name](limit)), _ask(stage.server, COUNTED[name](limit + 1))
    assert at.status == 200 or "too many" not in _told(at), at.raw[:500]
    if name == "stages":  # a document is checked, and the answer lists what is wrong with it
        assert str(limit) in over.body.decode(), over.raw[:500]
        return
    assert over.status == 400, over.raw[:500]
    assert _says(over, limit), over.raw[:500]


def test_what_is_repeated_in_an_error_is_short(stage: Scene) -> None:
    reply = stage.server.ask("POST", f"{V1}/models", {"name": "/" * 250})
    longest = LIMITS["echo"].value
    assert "/" * (longest - 3) + "..." in reply.json["detail"]
    assert "/" * longest not in reply.json["detail"]


def _sized(server: Live, name: str, over: int) -> Reply:
    size = SERVER_LIMITS[name].value + over
    if name == "target":
        return server.ask("GET", "/api/v1/models/" + "a" * (size - len("/api/v1/models/")))
    if name == "head":
        empty = len(server.request("GET", "/health", X=""))
        return server.ask("GET", "/health", X="x" * (size - empty))
    if name == "query_parameters":
        return server.ask("GET", f"{V1}/versions?" + "&".join(["order_by=x"] * size))
    target = f"{V1}/blobs/missing" if name == "manifest_body" else f"{V1}/models"
    return server.ask("POST", target, b" " * size, Content_Type="application/json")


@pytest.mark.parametrize("name", [name for name, test in SHOWN_BY.items() if test == "test_bytes_of_a_request"])
def test_bytes_of_a_request(stage: Scene, name: str) -> None:
    limit = SERVER_LIMITS[name]
    at, over = _sized(stage.server, name, 0), _sized(stage.server, name, 1)
    assert at.status != limit.status or not _says(at, limit.value), at.raw[:500]
    assert over.status == limit.status
    assert _says(over, limit.value), over.raw[:500]
    if limit.status in (413, 414, 431):
        assert over.json["details"]["limit"] in (name, "body")


@pytest.mark.parametrize("target", ["/api/2.0/mlflow/registered-models/get", "/ajax-api/2.0/mlflow/runs/get", "/docs"])
@pytest.mark.parametrize("size", [60_001, 70_000, 200_000])
def test_every_wire_says_that_a_target_is_too_long(stage: Scene, target: str, size: int) -> None:
    """Over 64 KiB the parser gives up by itself, over 128 KiB the connection does: the answer is the same."""
    reply = stage.server.ask("GET", f"{target}?name=".ljust(size, "a"))
    assert reply.status == 414
    assert "60000 bytes" in reply.json["message" if target.startswith("/a") else "detail"]


def test_limits_without_an_answer_say_so() -> None:
    assert {name for name, limit in SERVER_LIMITS.items() if limit.status == CLOSED} == {
        "pipeline", "keep_alive", "answer_pace", "unread_bytes",
    }  # fmt: skip
    known = set(http.HTTPStatus)
    assert all(limit.status in known for limit in SERVER_LIMITS.values() if limit.status != CLOSED)
