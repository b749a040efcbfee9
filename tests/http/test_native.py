"""How a native request becomes a command, and how an answer becomes JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest

from greenroom.core.model import Page, Promotion, PromotionKind, PromotionStatus, SlotKind, Version
from greenroom.http import native
from greenroom.services import commands as c
from greenroom.services.api import OPERATIONS, Mode, Operation
from tests.http.serving import Registry, Running

V1 = "/api/v1"


@pytest.mark.parametrize(
    ("method", "target", "body", "command"),
    [
        ("GET", "/models/fraud", None, c.ModelNamed("fraud")),
        ("GET", "/models/my%20model%C3%A9", None, c.ModelNamed("my modelé")),
        ("GET", "/models/fraud/versions/3", None, c.VersionNamed("fraud", 3)),
        ("GET", "/models/fraud/slots/%40champion", None, c.GetHolder("fraud", "@champion")),
        (
            "GET",
            "/models/fraud/slots/@champion?at=1700000000000",
            None,
            c.GetHolder("fraud", "@champion", 1700000000000),
        ),
        ("GET", "/models", None, c.SearchModels()),
        ("GET", "/models?filter=name+%3D+%27a%27&page_size=5", None, c.SearchModels("name = 'a'", page_size=5)),
        ("GET", "/models?order_by=name&order_by=x%20DESC", None, c.SearchModels(order_by=("name", "x DESC"))),
        ("GET", "/models/m/latest?stages=Production", None, c.LatestVersions("m", ("Production",))),
        ("GET", "/models/m/compare?left=1&right=2", None, c.CompareVersions("m", 1, 2)),
        ("GET", "/models/m/latest?stages=", None, c.LatestVersions("m", ("",))),
        ("DELETE", "/models/m?reason=old", None, c.DeleteModel("m", "old")),
        ("DELETE", "/models/m/tags?key=a%2Fb", None, c.DeleteModelTag("m", "a/b")),
        ("POST", "/models", {"name": "m", "tags": {"a": "b"}}, c.CreateModel("m", tags={"a": "b"})),
        ("PATCH", "/models/m", {"description": None}, c.UpdateModel("m")),
        ("PATCH", "/models/m", None, c.UpdateModel("m")),
        ("POST", "/models/m/rollback", None, c.Rollback("m")),
        ("POST", "/models/m/rollback", {}, c.Rollback("m")),
        ("POST", "/models/m/promotions", {"to": "Production", "version": 3}, c.Promote("m", "Production", 3)),
        ("POST", "/models/m/promotions", {"model": "m", "to": "X"}, c.Promote("m", "X")),
        ("PUT", "/models/m/aliases/champion", {"version": 2}, c.SetAlias("m", "champion", 2)),
        ("POST", "/models/m/versions/2/metrics", {"metrics": {"auc": 1}}, c.RecordMetrics("m", 2, {"auc": 1.0})),
    ],
)
def test_a_request_becomes_a_command(
    server: Running, registry: Registry, method: str, target: str, body: Any, command: Any
) -> None:
    assert server.ask(method, V1 + target, body).status == 200
    assert [call[1] for call in registry.calls] == [command]


@pytest.mark.parametrize(
    ("method", "target", "body", "said"),
    [
        ("GET", "/models?nam=x", None, "unknown parameter 'nam'."),
        ("GET", "/models?page_size=1&page_size=2", None, "the parameter 'page_size' is given twice."),
        ("GET", "/models?page_size=", None, "the parameter 'page_size' must be an integer, got ''."),
        ("GET", "/models?page_size=1.0", None, "the parameter 'page_size' must be an integer, got '1.0'."),
        ("GET", "/models?page_size=%201", None, "the parameter 'page_size' must be an integer, got ' 1'."),
        ("GET", "/models?page_size=%2B1", None, "the parameter 'page_size' must be an integer, got '+1'."),
        ("GET", "/models?page_size=%D9%A1", None, "the parameter 'page_size' must be an integer, got '١'."),
        ("GET", "/models?page_size=9223372036854775808", None, "must be an integer, got '9223372036854775808'."),
        ("GET", "/models?filter=%ff", None, "the query is not percent-encoded UTF-8."),
        ("GET", "/models?filter=%00", None, "the parameter 'filter' holds a NUL character."),
        ("GET", "/models?" + "order_by=a&" * 101, None, "the query has more than 100 parameters."),
        ("GET", "/models/m/compare?left=1", None, "missing value for the required parameter 'right'."),
        ("GET", "/models/m?name=m", None, "unknown parameter 'name'."),
        ("GET", "/models/m/versions/x", None, "the parameter 'version' must be an integer, got 'x'."),
        ("GET", "/models/m/versions/01", None, "the parameter 'version' must be an integer, got '01'."),
        ("GET", "/models/m", {"a": 1}, "GET takes no body here."),
        ("DELETE", "/models/m", {"reason": "x"}, "DELETE takes no body here."),
        ("POST", "/models?name=x", {"name": "x"}, "unknown parameter 'name'."),
        ("POST", "/models", None, "missing value for required field 'name'."),
        ("POST", "/models", {"name": "x", "colour": 1}, "unknown field 'colour'."),
        ("POST", "/models", {"name": 7}, "name must be a string, got 7."),
        ("POST", "/models", {"name": "x", "tags": {"a": 1}}, "tags.a must be a string, got 1."),
        ("POST", "/models", ["x"], "the body must be a JSON object."),
        ("POST", "/models", b"{", "the body is not valid JSON"),
        ("POST", "/models", b'{"name": "a", "name": "b"}', "the JSON body holds the key 'name' twice."),
        ("POST", "/models", b'{"name": NaN}', "the JSON body holds NaN, which is not JSON."),
        ("POST", "/models", b'{"name": 1e400}', "the JSON body holds a number that is out of range"),
        ("POST", "/models", b'{"name": ' + b"1" * 5000 + b"}", "a number of too many digits"),
        ("POST", "/models", b'{"name": ' + b"[" * 90_000 + b"}", "the JSON body is nested too deeply."),
        ("POST", "/models", b'{"name": "\xff"}', "the body is not UTF-8: byte 10 does not fit."),
        ("POST", "/models", b'{"name": "\xed\xa0\x80"}', "the body is not UTF-8: byte 10 does not fit."),
        ("POST", "/models", b'{"name": "\\ud800"}', "the body holds half of a surrogate pair."),
        ("POST", "/models", '{"name": "x"}'.encode("utf-16"), "the body is not UTF-8"),
        ("PUT", "/models/m/aliases/a", {"version": True}, "version must be an integer, got true."),
        ("PUT", "/models/m/aliases/a", {"version": 2**63}, "version must be an integer of 64 bits"),
        ("PUT", "/models/m/aliases/a", {"alias": "b", "version": 1}, "the body's 'alias' is not the one in the path."),
        ("PATCH", "/models/m/versions/1", {"version": True}, "the body's 'version' is not the one in the path."),
    ],
)
def test_a_wrong_request_is_a_clear_400(
    server: Running, registry: Registry, method: str, target: str, body: Any, said: str
) -> None:
    headers = {"Content_Type": "application/json"} if isinstance(body, bytes) else {}
    answer = server.ask(method, V1 + target, body, **headers)
    assert (answer.status, answer.json["code"]) == (400, "invalid_input")
    assert said in answer.json["detail"]
    assert registry.calls == []


def test_a_pair_of_surrogates_is_a_character(server: Running, registry: Registry) -> None:
    assert (
        server.ask("POST", V1 + "/models", b'{"name": "\\ud83d\\ude00"}', Content_Type="application/json").status == 200
    )
    assert registry.calls[0][1] == c.CreateModel("😀")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=utf-8", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/jsonp", 415),
        (None, 415),
    ],
)
def test_bodies_are_json(server: Running, registry: Registry, kind: str | None, status: int) -> None:
    headers = {} if kind is None else {"Content_Type": kind}
    answer = server.ask("POST", V1 + "/models", b'{"name": "x"}', **headers)
    assert answer.status == status
    assert len(registry.calls) == (status == 200)


def test_the_value_of_an_unknown_parameter_is_not_repeated(server: Running, registry: Registry) -> None:
    answer = server.ask("GET", V1 + "/models?access_token=canary")
    assert answer.status == 400
    assert b"canary" not in answer.body


# --- who, and which request ---


def test_the_actor_and_the_request_reach_the_registry(server: Running, registry: Registry) -> None:
    answer = server.ask("GET", V1 + "/models/m", X_Greenroom_Actor="Ana%20M")
    [(operation, _, actor, request)] = registry.calls
    assert (operation, actor.name, actor.verified) == ("get_model", "Ana M", False)
    assert (request.id, request.key) == (answer.headers["x-request-id"], None)


@pytest.mark.parametrize("key", ["k", "~!" * 100, "x" * 255])
def test_an_idempotency_key_comes_with_a_fingerprint(server: Running, registry: Registry, key: str) -> None:
    for body in ({"name": "a"}, {"name": "a", "description": None}, {"name": "b"}):
        assert server.ask("POST", V1 + "/models", body, Idempotency_Key=key).status == 200
    same, again, other = (call[3] for call in registry.calls)
    assert same.key == key
    assert same.fingerprint == again.fingerprint != other.fingerprint
    assert same.id != again.id


def test_a_fingerprint_tells_operations_apart(server: Running, registry: Registry) -> None:
    for method, target in (("POST", "/models/m/restore"), ("DELETE", "/models/m")):
        assert server.ask(method, V1 + target, Idempotency_Key="k").status == 200
    assert registry.calls[0][3].fingerprint != registry.calls[1][3].fingerprint


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 256])
def test_what_cannot_be_an_idempotency_key(server: Running, registry: Registry, key: str) -> None:
    answer = server.ask("POST", V1 + "/models", {"name": "a"}, Idempotency_Key=key)
    assert (answer.status, registry.calls) == (400, [])
    assert answer.json["detail"] == "The header Idempotency-Key must be 1 to 255 visible ASCII characters."


def test_a_read_needs_no_key(server: Running, registry: Registry) -> None:
    assert server.ask("GET", V1 + "/models/m", Idempotency_Key="k").status == 200
    assert registry.calls[0][3].key is None


# --- answers ---

VERSION = Version("m", 1, "None", 5, 5)
REFUSED = Promotion(
    "m", 1, "Production", SlotKind.STAGE, PromotionKind.PROMOTE, PromotionStatus.REJECTED, "standard", 1, 5, "ana"
)


@dataclass(frozen=True)
class Deep:
    values: Any


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (Page((VERSION,), "t"), {"items": [{"model": "m", "version": 1, "digest": None}], "next_page_token": "t"}),
        ((VERSION, VERSION), [{"version": 1}, {"version": 1}]),
        (REFUSED, {"status": "rejected", "slot_kind": "stage", "refusals": []}),
        (Deep(["ü", 1.5, True]), {"values": ["ü", 1.5, True]}),
    ],
)
def test_answers_are_json(server: Running, registry: Registry, value: Any, expected: Any) -> None:
    registry.answers["get_model"] = value
    answer = server.ask("GET", V1 + "/models/m")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert _within(expected, answer.json)


def test_a_refused_promotion_is_an_answer(server: Running, registry: Registry) -> None:
    registry.answers["promote"] = REFUSED
    answer = server.ask("POST", V1 + "/models/m/promotions", {"to": "Production"})
    assert (answer.status, answer.json["status"]) == (200, "rejected")


def test_a_large_manifest_is_read_beside_the_loop(server: Running, registry: Registry) -> None:
    for count in (1, 1000, 5000, 20_000):
        files = [{"path": f"f{i}", "digest": "sha256:" + "0" * 64, "size_bytes": i} for i in range(count)]
        assert server.ask("POST", V1 + "/models/m/versions", {"files": files}).status == 200
        assert len(registry.calls[-1][1].files) == count
    too_many = json.dumps({"digests": ["x" * 1000] * 17_000}).encode()
    assert server.ask("POST", V1 + "/blobs/missing", too_many, Content_Type="application/json").status == 413


def _within(expected: Any, given: Any) -> bool:
    if isinstance(expected, dict):
        return all(key in given and _within(value, given[key]) for key, value in expected.items())
    if isinstance(expected, list):
        return len(expected) == len(given) and all(_within(*pair) for pair in zip(expected, given, strict=True))
    return bool(expected == given)


def test_a_command_that_no_query_can_carry_is_our_bug() -> None:
    @dataclass(frozen=True)
    class Odd:
        values: dict[str, str]

    odd = Operation("odd", "GET", "/odd", "read", Mode.READ, Odd, None, "x:odd", "Odd")
    with pytest.raises(ValueError, match="odd has a parameter of type"):
        native._query_parser(odd)


def test_every_operation_has_its_route() -> None:
    routes = native.routes(None)  # type: ignore[arg-type]
    assert [(r.method, r.path) for r in routes] == [(o.method, V1 + o.path) for o in OPERATIONS]
    assert all(route.limit_bytes is not None for route in routes)


# --- the server about itself ---


def test_service_routes(server: Running, registry: Registry) -> None:
    assert server.ask("GET", "/health").body == b"OK"
    assert server.ask("GET", "/version").body == b"3.17.2"
    assert server.ask("GET", "/version").headers["content-type"].startswith("text/plain")
    assert server.ask("GET", "/ready").json == {"ready": True}
    assert server.ask("GET", V1 + "/info").json["name"] == "greenroom"
    registry.is_ready = False
    answer = server.ask("GET", "/ready")
    assert (answer.status, answer.json["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
