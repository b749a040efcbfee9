"""Good requests made wrong: another type, another spelling, fields that are missing, bodies that are no objects."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import Any

from tests.differential.calls import Call
from tests.differential.words import WRONG

_BODIES = (b"", b"{", b"null", b"[]", b"5", b'"x"', b'"{}"', b"{}", b"\xff", b'{"name": }')
# What keeps a search among what its own sequence made; what a stock server wants beside the path that says it.
_KEPT = frozenset({"filter", "model_id", "path", "run_name"})
_NO_EXPERIMENTS: tuple[Any, ...] = ("abc", "", "-1", "1.5", "x" * 600, 2**70, None, {}, "٣x", "9" * 30, " ")
_TYPES = ((), (("Content-Type", "text/plain"),), (("Content-Type", "application/json; charset=utf-8"),))


def spoiled(rand: random.Random, call: Call) -> Call:
    """Return a request like `call` with something about it that may be wrong."""
    return replace(_spoiled(rand, call), faults=call.faults | {"spoiled"})


def _spoiled(rand: random.Random, call: Call) -> Call:
    roll = rand.random()
    if call.query and roll < 0.9:
        return replace(call, query=_pairs(rand, call.query))
    if not isinstance(call.body, dict) or not call.body:
        return call
    if roll < 0.06:
        return replace(call, body=rand.choice(_BODIES))
    if roll < 0.10:
        return replace(call, headers=rand.choice(_TYPES))
    return replace(call, body=_object(rand, call.body))


def _pairs(rand: random.Random, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    places = [at for at, (key, _) in enumerate(pairs) if key not in _KEPT]
    if not places:
        return pairs
    at = rand.choice(places)
    key, value = pairs[at]
    roll = rand.random()
    if roll < 0.25:
        return pairs[:at] + pairs[at + 1 :]
    if roll < 0.35:
        return (*pairs[:at], (_camel(key), value), *pairs[at + 1 :])
    if roll < 0.45:
        return (*pairs, (rand.choice(("foo", "max_results", "page_token")), rand.choice(("1", "0", "x", ""))))
    wrong = _wrong(rand, key)
    return (*pairs[:at], (key, wrong if isinstance(wrong, str) else json.dumps(wrong)), *pairs[at + 1 :])


def _object(rand: random.Random, body: dict[str, Any]) -> dict[str, Any]:
    places = [key for key in body if key not in _KEPT]
    if not places:
        return body
    key = rand.choice(places)
    value = body[key]
    roll = rand.random()
    rest = {name: each for name, each in body.items() if name != key}
    if roll < 0.2:
        return rest
    if roll < 0.3:
        return rest | {_camel(key): value}
    if roll < 0.35:
        return body | {"unknown_field": 1}
    if isinstance(value, list) and value and isinstance(value[0], dict) and value[0] and roll < 0.8:
        at = rand.randrange(len(value))
        return body | {
            key: [
                *value[:at],
                _object(rand, value[at]) if value[at] and isinstance(value[at], dict) else {},
                *value[at + 1 :],
            ]
        }
    if isinstance(value, dict) and value and roll < 0.8:
        return body | {key: _object(rand, value)}
    return body | {key: _wrong(rand, key)}


def _wrong(rand: random.Random, key: str) -> Any:
    """Return a value that may be wrong; a name stays this sequence's own, and an experiment nobody else's."""
    value = rand.choice(_NO_EXPERIMENTS if key.startswith("experiment_id") else WRONG)
    return f"{value}«p»" if key in ("name", "new_name") and isinstance(value, str) and value.strip() else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
