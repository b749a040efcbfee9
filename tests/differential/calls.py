"""One request as data, and a connection that sends it to a server.

A request names what earlier ones made by labels, not by ids: `«run:r1»` stands for the id that the request labelled
`r1` was given on that server, and `«p»` for the prefix of all names of the sequence. So the same sequence can be sent
to two servers, again, and with parts left out.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

_LABEL = re.compile(r"«([a-z]+):?(\w*)»")
_READING = ("search_", "get_", "find_", "list_", "metric_", "latest_", "download_")
API = "/api/2.0/mlflow"


@dataclass(frozen=True)
class Call:
    """One request. `query` and `body` hold labels; bytes are sent as they are. `label` names what it makes.

    `faults` says what was made wrong on purpose: `key`, `text`, `filter`, `order`, `location`, `name`, `twice`, `size`,
    `source`, or `spoiled` for anything at all. Without one, no refusal of ours alone is excused.
    """

    operation: str
    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Any = None
    label: str = ""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)
    faults: frozenset[str] = frozenset()

    @property
    def reads(self) -> bool:
        """Whether nothing changes by it, whatever the answer."""
        return self.operation.startswith(_READING)

    def __str__(self) -> str:
        target = self.path + ("?" + "&".join(f"{k}={v}" for k, v in self.query) if self.query else "")
        body = "" if self.body is None else f" {_shown(self.body)}"
        return f"{self.operation}{f' as {self.label}' if self.label else ''}: {self.method} {target}{body}"


def _shown(body: Any) -> str:
    text = repr(body) if isinstance(body, bytes) else json.dumps(body, ensure_ascii=False)
    return text if len(text) <= 1200 else f"{text[:1000]}… ({len(text)} characters)"


@dataclass(frozen=True)
class Answer:
    """What a server said: status, kind of content, the JSON or text of the body."""

    status: int
    kind: str
    body: Any


@dataclass
class Link:
    """One server as one sequence sees it: a connection that stays open, and the ids that its answers gave."""

    url: str
    prefix: str = ""
    ids: dict[str, str] = field(default_factory=dict)
    _connection: http.client.HTTPConnection | None = None

    def begin(self, prefix: str) -> None:
        """Forget all ids: another sequence starts, whose names begin with `prefix`."""
        self.prefix, self.ids = prefix, {}

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, call: Call) -> Answer:
        """Send one request, remember the ids in its answer. OSError when the server is gone."""
        status, kind, data = self._send(call)
        answer = Answer(status, kind, _parsed(kind, data))
        self._learn(call, answer)
        return answer

    def _send(self, call: Call) -> tuple[int, str, bytes]:
        target = quote(self.filled(call.path), safe="/%:@=&?~")
        if call.query:
            target += "?" + urlencode([(key, self.filled(value)) for key, value in call.query])
        body = call.body
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(self.filled(body)).encode()
        for again in (True, False):
            link = self._connection = self._connection or http.client.HTTPConnection(
                urlsplit(self.url).netloc, timeout=120
            )
            try:
                link.request(call.method, target, body, dict(call.headers))
                answer = link.getresponse()
                kind = answer.headers.get_content_type()
                return answer.status, kind, answer.read()
            except (ConnectionError, http.client.HTTPException):  # a connection that idled too long was closed
                self.close()
                if not again:
                    raise
        raise AssertionError("not reached")

    def filled(self, value: Any) -> Any:
        """Return a value with all labels replaced by what they stand for on this server."""
        if isinstance(value, str):
            return _LABEL.sub(self._value, value) if "«" in value else value
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if isinstance(value, dict):
            return {self.filled(key): self.filled(each) for key, each in value.items()}
        return value

    def _value(self, found: re.Match[str]) -> str:
        kind, label = found[1], found[2]
        if kind == "p":
            return self.prefix
        nobody = {"exp": "987654321", "run": self._nobody, "model": f"m-{self._nobody}"}
        return self.ids.get(f"{kind}:{label}", nobody.get(kind, ""))

    @property
    def _nobody(self) -> str:
        """What stands for an id when the request that should have made it was refused, or left out."""
        return hashlib.md5(self.prefix.encode(), usedforsecurity=False).hexdigest()

    def _learn(self, call: Call, answer: Answer) -> None:
        body = answer.body
        if answer.status != 200 or not isinstance(body, dict):
            return
        if isinstance(body.get("next_page_token"), str):
            self.ids[f"token:{call.label}"] = body["next_page_token"]
        found = {
            "exp": body.get("experiment_id"),
            "run": _dig(body, "run", "info", "run_id"),
            "model": _dig(body, "model", "info", "model_id"),
        }
        for kind, value in found.items():
            if isinstance(value, str) and call.label and f"{kind}:{call.label}" not in self.ids:
                self.ids[f"{kind}:{call.label}"] = value


def _dig(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _parsed(kind: str, data: bytes) -> Any:
    if kind == "application/json":
        try:
            return json.loads(data)
        except ValueError:
            pass
    return data.decode("utf-8", "replace")
