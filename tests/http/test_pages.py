"""The pages: they need nothing but this server, allow no script, and every link in them leads somewhere."""

from __future__ import annotations

import re

import pytest

from greenroom.core.errors import error_classes
from greenroom.http.openapi import document
from greenroom.http.problem import TITLES
from greenroom.http.reference_html import prose, sections
from tests.http.serving import Running

PAGES = ["/", "/docs", "/docs/errors"]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_locked_down(server: Running, page: str) -> None:
    answer = server.ask("GET", page)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; img-src 'self';")
    assert "frame-ancestors 'none'" in policy  # vector BR-13
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert not re.search(rb"<script|<style|\sstyle=|\son\w+=|javascript:", answer.body)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_of_a_page_leads_somewhere(server: Running, page: str) -> None:
    text = server.ask("GET", page).body.decode()
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    links = set(re.findall(r'\b(?:href|src)="([^"]+)"', text))
    assert {link[1:] for link in links if link.startswith("#")} <= ids
    for link in links - {link for link in links if link.startswith("#")}:
        assert link.startswith("/"), "a page works offline"
        assert server.ask("GET", link).status == 200, link


def test_the_reference_shows_every_operation(server: Running) -> None:
    text = server.ask("GET", "/docs").body.decode()
    for path, item in document()["paths"].items():
        assert re.sub(r"\{(\w+)\}", r"<b>{\1}</b>", path) in text
        assert all(f'id="{entry["operationId"]}"' in text for entry in item.values())


def test_the_type_of_a_problem_is_an_anchor_of_the_error_page(server: Running) -> None:
    text = server.ask("GET", "/docs/errors").body.decode()
    for code in (set(TITLES) | set(error_classes())) - {"error"}:
        assert f'<tr id="{code}">' in text


def test_the_reference_moved(server: Running) -> None:
    answer = server.ask("GET", "/api/v1/docs")
    assert (answer.status, answer.headers["location"]) == (307, "/docs")


def test_whoever_comes_by_mlflows_link_to_a_run_is_told_how_to_see_it(server: Running) -> None:
    """`mlflow` prints `View run … at http://…/#/experiments/1/runs/ID`; what follows `#` never reaches a server."""
    text = " ".join(server.ask("GET", "/").body.decode().split())
    assert "<code>/#/experiments/…/runs/ID</code>" in text
    assert "<code>greenroom runs show ID</code>" in text


def test_static_files(server: Running) -> None:
    for name, media in (("greenroom.css", "text/css; charset=utf-8"), ("greenroom.svg", "image/svg+xml")):
        answer = server.ask("GET", f"/static/{name}")
        assert (answer.status, answer.headers["content-type"]) == (200, media)
    assert server.ask("GET", "/static/../reference.py").status == 400
    assert server.ask("GET", "/static/%2e%2e/reference.py").status == 400
    assert server.ask("GET", "/static/other.css").status == 404


def test_text_from_the_document_is_escaped() -> None:
    assert prose("a `<b>` <i>") == "<p>a <code>&lt;b&gt;</code> &lt;i&gt;</p>"
    wicked = "<img src=x onerror=alert(1)>"
    entry = {
        "operationId": "x",
        "summary": wicked,
        "description": wicked,
        "tags": ["T"],
        "x-permission": "read",
        "parameters": [
            {"name": wicked, "in": "query", "required": True, "schema": {"type": wicked}, "example": wicked}
        ],
        "responses": {"200": {"description": wicked}},
    }
    made = sections(
        {
            "tags": [{"name": "T", "description": wicked}],
            "paths": {"/" + wicked: {"get": entry}},
            "components": {"schemas": {"S": {"title": wicked, "description": wicked, "enum": [wicked]}}},
        }
    )
    assert "<img" not in made
