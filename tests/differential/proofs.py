"""The proof that a request has two faults, where one server names the one and the other the other.

Whoever says that something is not there is asked again with something that is: it must then name the other fault, under
the other server's error code. And the other server is asked for the thing itself, which must not be there either.
So one fault that the two servers merely call by different names is no excuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from tests.differential.calls import API, Call, Link
from tests.differential.making import get_call, post

_LOGGED = re.compile(r"(/logged-models/)[^/]+")
_KINDS = (
    ("run", re.compile(r"Run with id=")),
    ("experiment", re.compile(r"No Experiment with id")),
    ("logged", re.compile(r"Logged model with ID|Logged Model with ID")),
    ("version", re.compile(r"Model Version \(")),
    ("model", re.compile(r"Registered Model with name=")),
)
_FIELDS: Mapping[str, frozenset[str]] = {
    "run": frozenset({"run_id", "run_uuid", "runId", "runUuid", "source_run_id", "sourceRunId"}),
    "experiment": frozenset({"experiment_id", "experiment_ids", "experimentId", "experimentIds"}),
    "logged": frozenset({"model_id", "modelId"}),
    "version": frozenset({"name", "version"}),
    "model": frozenset({"name"}),
}


class There:
    """What is there on one server, outside of all sequences: made when it is first asked for."""

    def __init__(self, url: str, name: str) -> None:
        self._link = Link(url)
        self._link.begin(name)
        self._made: dict[str, str] = {}

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def __getitem__(self, field: str) -> str:
        """Return the id or name of something that is there. AssertionError when it cannot be made."""
        if not self._made:
            self._make()
        return self._made[field]

    def _make(self) -> None:
        made = (
            post("create_experiment", f"{API}/experiments/create", {"name": "«p»"}, "e"),
            post("create_run", f"{API}/runs/create", {"experiment_id": "«exp:e»"}, "r"),
            post("create_logged_model", f"{API}/logged-models", {"experiment_id": "«exp:e»", "name": "l"}, "l"),
            post("create_model", f"{API}/registered-models/create", {"name": "«p»"}),
            post("create_version", f"{API}/model-versions/create", {"name": "«p»", "source": "s3://b/x"}),
        )
        for call in made:
            answer = self._link.ask(call)
            assert answer.status == 200, f"{call}: {answer}"
        self._made = {
            "run": self._link.ids["run:r"], "experiment": self._link.ids["exp:e"],
            "logged": self._link.ids["model:l"], "name": self._link.prefix, "version": "1",
        }  # fmt: skip


def kind_of(text: str) -> str | None:
    """Return what a refusal says is not there, None when it says nothing of the sort."""
    return next((kind for kind, pattern in _KINDS if pattern.search(text)), None)


def two_faults(call: Call, says_absent: Link, there: There, other: Link, text: str, wanted: str | None) -> bool:
    """Say whether both faults are in a request.

    `says_absent` answered 404 with `text`; `other` answered 400 with the error code `wanted`.
    """
    kind = kind_of(text)
    if kind is None or not _is_absent(kind, call, other):
        return False
    again = says_absent.ask(_with(call, kind, there))
    return again.status == 400 and isinstance(again.body, dict) and again.body.get("error_code") == wanted


def is_absent(call: Call, text: str, link: Link) -> bool:
    """Say whether what another server says in `text` is not there is not there on this one either."""
    kind = kind_of(text)
    return kind is not None and _is_absent(kind, call, link)


def _with(call: Call, kind: str, there: There) -> Call:
    """Return the request with everything of a kind replaced by what is there."""

    def value(field: str) -> str:
        if kind in ("version", "model"):
            return there["version" if field == "version" else "name"]
        return there[kind]

    path = _LOGGED.sub(lambda found: found[1] + there["logged"], call.path) if kind == "logged" else call.path
    query = tuple((key, value(key) if key in _FIELDS[kind] else text) for key, text in call.query)
    body = _deep(call.body, _FIELDS[kind], value) if isinstance(call.body, dict) else call.body
    return replace(call, path=path, query=query, body=body, label="")


def _deep(part: Any, fields: frozenset[str], value: Callable[[str], str]) -> Any:
    if isinstance(part, dict):
        return {
            key: ([value(key)] if isinstance(each, list) else value(key))
            if key in fields
            else _deep(each, fields, value)
            for key, each in part.items()
        }
    return [_deep(each, fields, value) for each in part] if isinstance(part, list) else part


def _is_absent(kind: str, call: Call, link: Link) -> bool:
    """Say whether a server knows nothing of what the request names: at least one thing of the kind is not there."""
    named = _named(call, _FIELDS[kind])
    found = _LOGGED.search(call.path) if kind == "logged" else None
    if found:
        named.append(("model_id", found[0].rpartition("/")[2]))
    if kind in ("version", "model"):
        fields = dict(named)
        if "name" not in fields:
            return False
        what, path = ("get_version", "model-versions") if kind == "version" else ("get_model", "registered-models")
        return link.ask(get_call(what, f"{API}/{path}/get", **fields)).status == 404
    return any(_asked(kind, each, link) == 404 for _, each in named)


def _asked(kind: str, value: str, link: Link) -> int:
    if kind == "logged":
        return link.ask(get_call("get_logged_model", f"{API}/logged-models/{value}")).status
    one = "run" if kind == "run" else "experiment"
    return link.ask(get_call(f"get_{one}", f"{API}/{one}s/get", **{f"{one}_id": value})).status


def _named(call: Call, fields: frozenset[str]) -> list[tuple[str, str]]:
    found = [(key, value) for key, value in call.query if key in fields]
    _collect(call.body, fields, found)
    return found


def _collect(part: Any, fields: frozenset[str], found: list[tuple[str, str]]) -> None:
    if isinstance(part, dict):
        for key, each in part.items():
            if key in fields:
                found += [(key, str(one)) for one in (each if isinstance(each, list) else [each])]
            else:
                _collect(each, fields, found)
    elif isinstance(part, list):
        for each in part:
            _collect(each, fields, found)
