"""The OpenAPI document: valid, complete, and in agreement with the routes."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from greenroom.core.codec import from_plain
from greenroom.core.errors import error_classes
from greenroom.http import bytes as byte_routes
from greenroom.http import native, openapi, service, tlog
from greenroom.http.access import PERMISSIONS
from greenroom.http.problem import TITLES
from greenroom.services.api import OPERATIONS
from tests.http.serving import Running

DOCUMENT: dict[str, Any] = json.loads(json.dumps(openapi.document()))
ENTRIES = [(path, method, entry) for path, item in DOCUMENT["paths"].items() for method, entry in item.items()]


def test_it_is_openapi() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    validate(DOCUMENT)


def test_it_is_served(server: Running) -> None:
    answer = server.ask("GET", "/api/v1/openapi.json")
    assert answer.json == DOCUMENT
    assert answer.headers["content-type"] == "application/json"


def test_it_documents_every_native_route_and_nothing_else() -> None:
    registry: Any = None
    routes = [
        *service.routes(registry),
        *native.routes(registry),
        *byte_routes.routes(registry),
        *tlog.routes(registry),
        *openapi.routes(),
    ]
    declared = {(route.method, re.sub(r":\w+}", "}", route.path)): route.permission for route in routes}
    documented = {(method.upper(), path): entry["x-permission"] for path, method, entry in ENTRIES}
    assert documented == {key: value for key, value in declared.items() if key[0] != "HEAD"}


def test_names_are_unique_and_permissions_known() -> None:
    names = [entry["operationId"] for _, _, entry in ENTRIES]
    assert len(set(names)) == len(names)
    assert {entry["x-permission"] for _, _, entry in ENTRIES} <= set(PERMISSIONS)
    assert {tag for _, _, entry in ENTRIES for tag in entry["tags"]} == {tag["name"] for tag in DOCUMENT["tags"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_example_of_every_body_is_taken(operation: Any) -> None:
    entry = DOCUMENT["paths"]["/api/v1" + operation.path][operation.method.lower()]
    body = entry.get("requestBody", {}).get("content", {}).get("application/json", {}).get("example", {})
    in_path = {each["name"]: each["example"] for each in entry["parameters"] if each.get("in") == "path"}
    in_query = {
        each["name"]: each["example"] for each in entry["parameters"] if each.get("in") == "query" and "example" in each
    }
    assert from_plain(operation.command, {**body, **in_path, **in_query})


def test_every_error_code_has_a_title() -> None:
    assert set(error_classes()) <= set(TITLES)
