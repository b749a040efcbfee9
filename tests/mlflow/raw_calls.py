"""Requests as bytes on the wire, for what no client sends or shows: status codes, presence of fields, odd bodies.

A scenario is a list of steps on a server; `{m}` in a step is a model name of its own. Runs in the tests' own process.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

API = "/api/2.0/mlflow"
RM, MV = f"{API}/registered-models", f"{API}/model-versions"
_CREATE: Step = ("POST", f"{RM}/create", {"name": "{m}"})
_VERSION: Step = ("POST", f"{MV}/create", {"name": "{m}", "source": "s3://b/x"})

# Method, target, body (an object sent as JSON, bytes sent as they are, or none), further headers.
Step = tuple[Any, ...]

SCENARIOS: Mapping[str, list[Step]] = {
    "a model from birth to death": [
        ("POST", f"{RM}/create", {"name": "{m}", "tags": [{"key": "k", "value": "v"}], "description": "d"}),
        _VERSION,
        ("POST", f"{RM}/alias", {"name": "{m}", "alias": "champion", "version": "1"}),
        ("GET", f"{RM}/get?name={{m}}"),
        ("PATCH", f"{RM}/update", {"name": "{m}"}),
        ("POST", f"{RM}/set-tag", {"name": "{m}", "key": "k2"}),
        ("DELETE", f"{RM}/delete-tag", {"name": "{m}", "key": "k"}),
        ("GET", f"{RM}/search?filter=name%3D%27{{m}}%27"),
        ("POST", f"{RM}/rename", {"name": "{m}", "new_name": "{m}-new"}),
        ("GET", f"{RM}/get?name={{m}}"),
        ("DELETE", f"{RM}/delete", {"name": "{m}-new"}),
        ("GET", f"{RM}/get?name={{m}}-new"),
    ],
    "a version from birth to death": [
        _CREATE,
        ("POST", f"{MV}/create", {"name": "{m}", "source": "s3://b/x", "tags": [{"key": "k", "value": "v"}]}),
        ("GET", f"{MV}/get?name={{m}}&version=1"),
        ("PATCH", f"{MV}/update", {"name": "{m}", "version": "1", "description": "d"}),
        ("PATCH", f"{MV}/update", {"name": "{m}", "version": "1"}),
        ("POST", f"{MV}/set-tag", {"name": "{m}", "version": "1", "key": "k2", "value": "v2"}),
        ("DELETE", f"{MV}/delete-tag", {"name": "{m}", "version": "1", "key": "k"}),
        ("POST", f"{MV}/transition-stage", {"name": "{m}", "version": "1", "stage": "staging"}),
        ("POST", f"{RM}/alias", {"name": "{m}", "alias": "champion", "version": "1"}),
        ("GET", f"{RM}/alias?name={{m}}&alias=champion"),
        ("GET", f"{MV}/search?filter=name%3D%27{{m}}%27"),
        ("GET", f"{MV}/get-download-uri?name={{m}}&version=1"),
        ("DELETE", f"{RM}/alias", {"name": "{m}", "alias": "champion"}),
        ("DELETE", f"{MV}/delete", {"name": "{m}", "version": "1"}),
        ("GET", f"{MV}/get?name={{m}}&version=1"),
        ("GET", f"{MV}/search?filter=name%3D%27{{m}}%27"),
    ],
    "every endpoint wants its fields": [
        ("POST", f"{RM}/create", {}),
        ("GET", f"{RM}/get"),
        ("PATCH", f"{RM}/update", {}),
        ("POST", f"{RM}/rename", {"name": "a"}),
        ("DELETE", f"{RM}/delete", {}),
        ("POST", f"{RM}/get-latest-versions", {}),
        ("GET", f"{RM}/get-latest-versions"),
        ("POST", f"{RM}/set-tag", {"name": "a"}),
        ("DELETE", f"{RM}/delete-tag", {"name": "a"}),
        ("POST", f"{RM}/alias", {"name": "a", "alias": "b"}),
        ("DELETE", f"{RM}/alias", {"name": "a"}),
        ("GET", f"{RM}/alias?name=a"),
        ("POST", f"{MV}/create", {"name": "a"}),
        ("GET", f"{MV}/get?name=a"),
        ("PATCH", f"{MV}/update", {"name": "a"}),
        ("DELETE", f"{MV}/delete", {"name": "a"}),
        ("POST", f"{MV}/transition-stage", {"name": "a", "version": "1"}),
        ("POST", f"{MV}/set-tag", {"name": "a", "version": "1"}),
        ("DELETE", f"{MV}/delete-tag", {"name": "a", "version": "1"}),
    ],
    "types": [
        ("POST", f"{RM}/create", {"name": 5}),
        ("POST", f"{RM}/create", {"name": "{m}", "tags": "x"}),
        ("POST", f"{RM}/create", {"name": "{m}", "description": 5}),
        ("GET", f"{MV}/get", {"name": "{m}", "version": 3}),
        ("POST", f"{RM}/get-latest-versions", {"name": "{m}", "stages": "Staging"}),
        ("POST", f"{RM}/get-latest-versions", {"name": "{m}", "stages": [5]}),
        ("GET", f"{RM}/search?max_results=abc"),
        ("GET", f"{RM}/search", {"max_results": "5", "filter": "name = '{m}'"}),
        ("GET", f"{RM}/search", {"maxResults": 5, "filter": "name = '{m}'"}),
    ],
    "bodies": [
        ("POST", f"{RM}/create", b"{"),
        ("POST", f"{RM}/create", b""),
        ("POST", f"{RM}/create", b"null"),
        ("POST", f"{RM}/create", b'"{\\"name\\": \\"{m}\\"}"'),
        ("POST", f"{RM}/create", {"name": "{m}-b", "unknown": 1}),
        ("POST", f"{RM}/rename", {"name": "a", "new_name": "b", "newName": "c"}),
        ("POST", f"{RM}/create", b"{}", {"Content-Type": "text/plain"}),
        ("POST", f"{RM}/create", b'{"name": "{m}-c"}', {"Content-Type": "application/json; charset=utf-8"}),
        ("PATCH", f"{RM}/update", b'{"name": "{m}-b"}', {"Content-Type": "text/plain"}),
        ("POST", f"{RM}/rename", {"name": "{m}-c", "newName": "{m}-d"}),
        ("POST", f"{RM}/create", b"[1]"),
        ("POST", f"{RM}/create", b"5"),
    ],
    "the browser's prefix": [
        ("POST", "/ajax-api/2.0/mlflow/registered-models/create", {"name": "{m}"}),
        ("GET", "/ajax-api/2.0/mlflow/registered-models/get?name={m}"),
    ],
    "latest versions by GET and by POST": [
        _CREATE,
        _VERSION,
        _VERSION,
        ("POST", f"{MV}/transition-stage", {"name": "{m}", "version": "1", "stage": "Production"}),
        ("GET", f"{RM}/get-latest-versions?name={{m}}"),
        ("GET", f"{RM}/get-latest-versions?name={{m}}&stages=Production&stages=Staging"),
        ("GET", f"{RM}/get-latest-versions?name={{m}}&stages=Production"),
        ("POST", f"{RM}/get-latest-versions", {"name": "{m}", "stages": ["None"]}),
        ("POST", f"{RM}/get-latest-versions", {"name": "{m}", "stages": []}),
        ("POST", f"{RM}/get-latest-versions", {"name": "{m}", "stages": ["Staging"]}),
        ("POST", f"{RM}/get-latest-versions", {"name": "{m}", "stages": ["X"]}),
    ],
    "page sizes": [
        ("GET", f"{RM}/search?max_results=1000&filter=name%3D%27{{m}}%27"),
        ("GET", f"{RM}/search?max_results=1001"),
        ("GET", f"{RM}/search?max_results=0"),
        ("GET", f"{RM}/search?max_results=-1"),
        ("GET", f"{MV}/search?max_results=200000&filter=name%3D%27{{m}}%27"),
        ("GET", f"{MV}/search?max_results=200001"),
        ("GET", f"{MV}/search?max_results=0"),
        ("GET", f"{MV}/search?max_results=-1"),
        ("GET", f"{RM}/search?page_token=AAAA"),
        ("GET", f"{MV}/search?page_token=AAAA"),
        ("GET", f"{RM}/search?page_token=&filter=name%3D%27{{m}}%27"),
    ],
    "prompts": [
        _CREATE,
        ("POST", f"{RM}/create", {"name": "{m}", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}),
        ("POST", f"{RM}/create", {"name": "{m}-p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}),
        ("POST", f"{RM}/create", {"name": "{m}-p", "tags": [{"key": "mlflow.prompt.is_prompt", "value": "true"}]}),
        ("POST", f"{RM}/create", {"name": "{m}-p"}),
        ("GET", f"{RM}/search?filter=name%20LIKE%20%27{{m}}%25%27"),
        (
            "GET",
            f"{RM}/search?filter=name%20LIKE%20%27{{m}}%25%27%20AND%20tags.%60mlflow.prompt.is_prompt%60%20%3D%20%27true%27",
        ),
    ],
    "flags": [
        _CREATE,
        _VERSION,
        _VERSION,
        ("POST", f"{MV}/transition-stage", {"name": "{m}", "version": "1", "stage": "Production"}),
        (
            "POST",
            f"{MV}/transition-stage",
            {"name": "{m}", "version": "2", "stage": "Production", "archiveExistingVersions": True},
        ),
        ("GET", f"{MV}/get?name={{m}}&version=1"),
        (
            "POST",
            f"{MV}/transition-stage",
            {"name": "{m}", "version": "2", "stage": "Production", "archive_existing_versions": "true"},
        ),
        ("POST", f"{MV}/transition-stage", {"name": "{m}", "version": "2", "stage": "@champion"}),
    ],
}


def run(url: str, prefix: str) -> dict[str, list[Any]]:
    """Return what a server answers to every step of every scenario, as [status, body]."""
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    try:
        return {
            name: [_ask(link, step, f"{prefix}-{number}") for step in steps]
            for number, (name, steps) in enumerate(SCENARIOS.items())
        }
    finally:
        link.close()


def _ask(link: http.client.HTTPConnection, step: Step, model: str) -> list[Any]:
    method, target, *rest = step
    body, headers = rest[0] if rest else None, rest[1] if len(rest) > 1 else {}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    sent = None if body is None else body.replace(b"{m}", model.encode())
    link.request(method, target.replace("{m}", model), sent, {"Content-Type": "application/json"} | headers)
    answer = link.getresponse()
    text = answer.read()
    try:
        return [answer.status, json.loads(text)]
    except ValueError:
        return [answer.status, text.decode("utf-8", "replace")]
