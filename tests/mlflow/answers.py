"""Answers of two servers, made comparable and compared.

`stock-3.17.2.json` holds what a stock MLflow 3.17.2 server answers to every scenario; `python -m tests.mlflow.record`
writes it anew, and a slow test checks that it is still what that server says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

STOCK_FILE = Path(__file__).with_name("stock-3.17.2.json")

# Beside what MLflow's answers hold, ours say who made it; theirs name error classes that no client reads.
_DROPPED = frozenset({"user_id", "sqlstate", "error_class"})
_TOKENS = frozenset({"next_page_token"})
_FAILED = re.compile(r"too many 5\d\d error responses")  # what clients say of a server that broke
_SORTED = {
    "tags": lambda tag: tag["key"],
    "latest_versions": lambda version: version["version"],
    "model_versions": lambda version: (version["name"], version["version"]),
}


def stock_answers() -> dict[str, Any]:
    """Return what the stock server answered when it was recorded."""
    answers: dict[str, Any] = json.loads(STOCK_FILE.read_text("utf-8"))
    return answers


def normal(value: Any, prefix: str) -> Any:
    """Return an answer without what differs from run to run: times, page tokens, the models' prefix, unsaid order."""
    if isinstance(value, str):
        return "a 5xx answer" if _FAILED.search(value) else value.replace(prefix, "P")
    if isinstance(value, (list, tuple)):
        return [normal(item, prefix) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {}
    for key, item in value.items():
        if key.endswith("_timestamp"):
            plain[key] = "a time" if isinstance(item, int) else item
        elif key in _TOKENS:
            plain[key] = "a token"
        elif key not in _DROPPED and not (key == "description" and item == ""):  # absent and "" are alike to clients
            plain[normal(key, prefix)] = normal(item, prefix)
    for key, order in _SORTED.items():
        if isinstance(plain.get(key), list) and all(isinstance(each, dict) for each in plain[key]):
            plain[key].sort(key=order)
    return plain


def differences(ours: Any, stock: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, ours, stock) wherever two answers differ. None stands for what is not there.

    An error is the same when its code is and our text is theirs, or begins with it and goes on with advice.
    """
    if ours == stock or _same_error(ours, stock):
        return
    if isinstance(ours, dict) and isinstance(stock, dict):
        for key in sorted({*ours, *stock}):
            yield from differences(ours.get(key), stock.get(key), f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(stock, list) and len(ours) == len(stock):
        for index, (one, other) in enumerate(zip(ours, stock, strict=True)):
            yield from differences(one, other, f"{path}/{index}")
    else:
        yield path, ours, stock


def _same_error(ours: Any, stock: Any) -> bool:
    one, other = _error(ours), _error(stock)
    return one is not None and other is not None and one[0] == other[0] and one[1].startswith(other[1])


def _error(value: Any) -> tuple[str, str] | None:
    if isinstance(value, Mapping) and isinstance(value.get("message"), str):
        return value["error_code"], value["message"]
    if isinstance(value, list) and len(value) == 2 and all(isinstance(each, str) for each in value):
        return (value[0], value[1]) if value[0].isupper() else None
    return None
