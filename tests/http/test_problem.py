"""Every error class of the core, on every wire, through a real server."""

from __future__ import annotations

import json
from types import MappingProxyType

import pytest

from greenroom.core.errors import (
    AlreadyExists,
    Conflict,
    GreenroomError,
    InvalidInput,
    NotFound,
    Refused,
    Unauthenticated,
    Unavailable,
    error_classes,
)
from greenroom.core.model import Actor
from greenroom.http.problem import TITLES, answer_error, json_bytes
from greenroom.http.routing import Wire
from tests.http.serving import Registry, Running

KINDS = sorted(set(error_classes().values()), key=lambda kind: kind.code)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_native(server: Running, registry: Registry, kind: type[GreenroomError]) -> None:
    details = {"allow": ["GET"]} if kind.code == "method_not_allowed" else {"version": 3}
    registry.answers["get_model"] = kind("no version 3 of 'fraud'.", hint="Register one.", **details)
    answer = server.ask("GET", "/api/v1/models/fraud")
    assert answer.status == kind.http_status
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("retry-after" in answer.headers) is kind.retryable
    assert answer.json == {
        "type": f"/docs/errors#{kind.code}",
        "title": TITLES[kind.code],
        "status": kind.http_status,
        "detail": "no version 3 of 'fraud'.",
        "code": kind.code,
        "hint": "Register one.",
        "details": details,
        "request_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        (NotFound("no model 'x'.", model="x"), 404, ("RESOURCE_DOES_NOT_EXIST", "no model 'x'.")),
        (InvalidInput("bad.", hint="Do better."), 400, ("INVALID_PARAMETER_VALUE", "bad. Do better.")),
        (AlreadyExists("taken."), 400, ("RESOURCE_ALREADY_EXISTS", "taken.")),
        (Conflict("busy."), 503, ("TEMPORARILY_UNAVAILABLE", "busy.")),
        (Refused("no.", promotion={"id": 7}), 409, ("RESOURCE_CONFLICT", "no.")),
    ],
)
def test_mlflow(error: GreenroomError, status: int, expected: tuple[str, str]) -> None:
    answer = answer_error(error, Wire.MLFLOW, "r1")
    assert answer.status_code == status
    assert json.loads(answer.body) == dict(zip(("error_code", "message"), expected, strict=True))


def test_plain() -> None:
    answer = answer_error(Unavailable("Not ready.", hint="Wait."), Wire.PLAIN, "r1")
    assert (answer.status_code, answer.body) == (503, b"Not ready. Wait.\n")
    assert answer.headers["retry-after"] == "1"


def test_who_is_asked_for_credentials() -> None:
    answer = answer_error(Unauthenticated("Who are you?"), Wire.MLFLOW, "r1")
    assert answer.headers["www-authenticate"].startswith("Basic ")


def test_a_native_refusal_tells_the_promotion() -> None:
    answer = answer_error(Refused("no.", promotion={"id": 7}), Wire.NATIVE, "r1")
    assert json.loads(answer.body)["details"] == {"promotion": {"id": 7}}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("\ud800", '"\\ud800"'),
        (2**70, str(2**70)),
        (MappingProxyType({"a": (1, None)}), '{"a":[1,null]}'),
        ({"a": {1}}, '{"a":[1]}'),
        ({"e": ValueError("x")}, '{"e":"x"}'),
    ],
)
def test_whatever_an_error_carries_becomes_json(value: object, text: str) -> None:
    assert json.loads(json_bytes(value)) == json.loads(text)
    assert json.loads(json_bytes({"deep": [value]})) == {"deep": [json.loads(text)]}


def test_a_value_object_becomes_an_object() -> None:
    plain = json.loads(json_bytes({"actor": Actor("ana")}))
    assert plain["actor"]["name"] == "ana"
