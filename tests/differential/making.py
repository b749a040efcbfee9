"""How a request is put together, and the pages after the first one of a search. Part of `generate`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.differential.calls import Call
from tests.differential.words import Pool


def post(operation: str, path: str, body: dict[str, Any], label: str = "") -> Call:
    """Return a POST of a JSON body."""
    return Call(operation, "POST", path, body=body, label=label)


def get_call(operation: str, target: str, label: str = "", /, **query: Any) -> Call:
    """Return a GET; a list in the query becomes several parameters of that name."""
    pairs = [(k, str(v)) for k, v in query.items() if not isinstance(v, list)]
    pairs += [(key, str(each)) for key, value in query.items() if isinstance(value, list) for each in value]
    return Call(operation, "GET", target, tuple(pairs), label=label)


def pages(pool: Pool, call: Call) -> list[Call]:
    """Return the search and, mostly, the pages after its first: nothing changes in between."""
    found = [call]
    while pool.maybe(0.5) and len(found) < 4:
        token, label = f"«token:{found[-1].label}»", pool.label()
        if isinstance(call.body, dict):
            found.append(replace(call, body=call.body | {"page_token": token}, label=label))
        else:
            found.append(replace(call, query=(*call.query, ("page_token", token)), label=label))
    return found
