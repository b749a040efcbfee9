"""Answers without what differs from server to server by nature: ids, times, page tokens, random names, unsaid order."""

from __future__ import annotations

import re
from typing import Any

from tests.differential.calls import Answer, Link

_TIMES = frozenset(
    {
        "creation_time", "last_update_time", "creation_timestamp", "last_updated_timestamp",
        "creation_timestamp_ms", "last_updated_timestamp_ms",
    }
)  # fmt: skip
_DROPPED = frozenset({"sqlstate", "error_class"})  # which no client reads
_EXPERIMENTS = frozenset({"experiment_id"})
_ID = re.compile(r"\bm-[0-9a-f]{32}\b|\b[0-9a-f]{64}\b|\b[0-9a-f]{32}\b")
_RANDOM = re.compile(r"[a-z]+-[a-z]+-\d{1,4}")
_SQL = re.compile(r"\n\[SQL: .*", re.DOTALL)  # holds times
_SET = re.compile(r"\{('[^']*'(?:, '[^']*')+)\}")  # comes in another order from every process
_ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
_CUT = re.compile(r"[0-9a-f]{1,31}\.\.\.(?=['\"])")  # where a text is cut, half an id may be left
_PLACE = re.compile(r"(mlflow-artifacts:/|/artifacts/|: '|\bid[= ]'?|\bID[= ]'?|experiment '?|artifacts:)(\d+)\b")
_QUOTED = re.compile(r"'([0-9]+)'")
_RUN_PARTS = {"tags": "key", "params": "key", "metrics": "key", "aliases": "alias", "latest_versions": "version"}
_UNORDERED = frozenset({"aliases", "dataset_inputs", "model_inputs", "model_outputs"})


class Normal:
    """Makes the answers of one server to one sequence comparable."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._names: dict[str, str] = {}

    def answer(self, answer: Answer) -> dict[str, Any]:
        """Return an answer as plain values."""
        self._names = {value: f"«{label}»" for label, value in self._link.ids.items() if not label.startswith("token")}
        kind = answer.kind if answer.status != 200 or answer.kind == "application/json" else "bytes"
        return {"status": answer.status, "kind": kind, "body": self._value("", answer.body)}

    def _value(self, key: str, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(key, value)
        if isinstance(value, list):
            return [self._value(key, each) for each in value]
        if not isinstance(value, dict):
            return "a time" if key in _TIMES and isinstance(value, int) and value > 0 else value
        if key == "" and isinstance(value.get("metrics"), list):
            return {"metrics": self._history(value["metrics"])} | {
                name: self._part(name, each) for name, each in value.items() if name != "metrics"
            }
        return {name: self._part(name, each) for name, each in value.items() if name not in _DROPPED}

    def _history(self, points: list[Any]) -> list[Any]:
        """The points of one run have an order that is said; of several runs, it is that of their random ids."""
        return sorted((self._value("metrics", each) for each in points), key=lambda each: str(each.get("run_id")))

    def _part(self, name: str, each: Any) -> Any:
        plain = "a token" if name == "next_page_token" and isinstance(each, str) else self._value(name, each)
        order = _RUN_PARTS.get(name)
        if order and isinstance(plain, list) and all(isinstance(one, dict) for one in plain):
            plain = sorted(plain, key=lambda one: (str(one.get(order)), str(sorted(one.items(), key=str))))
        elif name in _UNORDERED and isinstance(plain, list):
            plain = sorted(plain, key=str)
        return plain

    def _text(self, key: str, text: str) -> str:
        if key in _EXPERIMENTS:
            return self._names.get(text, text)
        text = text.replace(self._link.url, "«url»")
        if self._link.prefix:
            text = text.replace(self._link.prefix, "«p»")
        text = _ID.sub(lambda found: self._names.get(found[0], "«some id»" if len(found[0]) < 60 else "«digest»"), text)
        text = _ADDRESS.sub("0x", _SET.sub(_sorted, _SQL.sub("\n[SQL]", text)))
        text = _CUT.sub("«half an id»...", text)
        if "experiment_id" in text:  # a filter that is quoted
            text = _QUOTED.sub(lambda found: f"'{self._names.get(found[1], found[1])}'", text)
        text = _PLACE.sub(lambda found: found[1] + self._names.get(found[2], found[2]), text)
        return "«random name»" if _RANDOM.fullmatch(text) and key in ("run_name", "value", "name") else text


def _sorted(found: re.Match[str]) -> str:
    return "{" + ", ".join(sorted(found[1].split(", "))) + "}"
