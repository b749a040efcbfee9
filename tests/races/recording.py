"""Records what concurrent clients asked of real servers and what they were told: histories for the checker.

Every client works on the same few models, with numbers it has heard of, so that conflicts really happen. Some requests
lose their connection and come again with the same key, at any server: such a pair is one call.
"""

from __future__ import annotations

import http.client
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.services import commands as c
from tests.races.kit import Client, Server, together
from tests.races.linearizability import MISSING, UNKNOWN, Operation

CLIENTS = 8
MODELS = 3
_STAGES = {"N": "None", "S": "Staging", "P": "Production", "A": "Archived"}
_LETTERS = {name: letter for letter, name in _STAGES.items()}
_KINDS = {
    "promote": 34, "holder": 18, "register": 8, "rollback": 7, "set alias": 7, "champion": 6,
    "all": 6, "stage": 5, "delete": 4, "restore": 3, "delete alias": 2,
}  # fmt: skip
_WRITES = frozenset(_KINDS) - {"holder", "champion", "stage", "all"}
_GONE = (OSError, http.client.HTTPException, ValueError)


class Fleet:
    """The servers of one registry. One that is killed is away until it is there again; who asks meanwhile waits."""

    def __init__(self, start: Sequence[Callable[[], Server]]) -> None:
        self._start = start
        self._all = [each() for each in start]
        self._there = list(self._all)
        self._changed = threading.Condition()
        self.kills = 0

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if exc == (None, None, None):
                for each in self._all:
                    each.stop()
        finally:
            for each in self._all:
                each.kill()

    def pick(self, rng: random.Random) -> Server:
        """Return one of those that are there."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._there, timeout=60):
                raise TimeoutError("no server came back")
            return rng.choice(self._there)

    def kill_one(self, rng: random.Random) -> None:
        """kill -9 a server, then start it again on the same data."""
        with self._changed:
            server = rng.choice(self._there)
            self._there.remove(server)
        server.kill()
        number = self._all.index(server)
        self._all[number] = self._start[number]()
        with self._changed:
            self.kills += 1
            self._there.append(self._all[number])
            self._changed.notify_all()


@dataclass
class Plan:
    """How a history is made. `lost` is the share of writes that lose their connection and come again with their key;
    at each of the `kills` (numbers of calls) a server is killed.
    """

    name: str
    operations: int
    rng: random.Random
    fleet: Fleet
    lost: float = 0.03
    kills: frozenset[int] = frozenset()
    counter: Iterator[int] = field(default_factory=itertools.count)


@dataclass
class _Model:
    """What its clients have heard of a model; no truth, only good questions."""

    name: str
    versions: int = 0
    holder: int = 0


@dataclass
class _Recorder:
    number: int
    plan: Plan
    rng: random.Random
    models: list[_Model]
    done: dict[str, list[Operation]]
    clients: dict[str, Client] = field(default_factory=dict)
    asked: int = 0

    def work(self) -> None:
        for _ in range(self.plan.operations // CLIENTS):
            if next(self.plan.counter) in self.plan.kills:
                self.plan.fleet.kill_one(self.rng)
            model = self.rng.choice(self.models)
            call = self._call(model)
            start = time.monotonic_ns()
            answer = self._answer(model, call)
            operation = Operation(self.number, call, answer, start, time.monotonic_ns())
            if answer is not None:
                self.done[model.name].append(operation)
        for each in self.clients.values():
            each.close()

    def _call(self, model: _Model) -> tuple[Any, ...]:
        rng = self.rng
        (kind,) = rng.choices(list(_KINDS), list(_KINDS.values()))
        newest = max(1, model.versions)
        version = rng.randint(max(1, newest - 6), newest + (rng.random() < 0.05))
        if kind == "promote":
            to = rng.choices("PSAN", (14, 3, 3, 1))[0]
            compare = rng.choice([None, model.holder, model.holder]) if to == "P" else None
            return kind, version, to, to == "P" and rng.random() < 0.8, compare
        if kind == "rollback":
            return kind, rng.choice([None, model.holder])
        return (kind, version) if kind in ("set alias", "stage", "delete", "restore") else (kind,)

    def _answer(self, model: _Model, call: tuple[Any, ...]) -> Any:
        """Return what was answered, UNKNOWN when nobody knows, None when certainly nothing happened."""
        self.asked += 1
        operation, command = request(model.name, call)
        write = call[0] in _WRITES
        key = f"{model.name}-{self.number}-{self.asked}" if write else None
        if write and self.rng.random() < self.plan.lost:
            self._lose(operation, command, key)
        while True:
            try:
                status, body = self._client(self.plan.fleet.pick(self.rng)).ask(operation, command, key=key)
            except _GONE:
                if not write:
                    return None
                if self.rng.random() < 0.5:
                    return UNKNOWN
                continue
            if status >= 500:
                return UNKNOWN if write else None
            return self._heard(model, call, read_answer(call, status, body))

    def _lose(self, operation: str, command: Any, key: str | None) -> None:
        try:
            gone = self._client(self.plan.fleet.pick(self.rng)).send_only(operation, command, key=key)
            if self.rng.random() < 0.7:
                gone.settimeout(20)
                gone.recv(1)  # the answer was on its way: what was asked has happened
            gone.close()
        except OSError:
            pass

    def _client(self, server: Server) -> Client:
        return self.clients.setdefault(server.url, Client(server.address, f"client-{self.number}"))

    def _heard(self, model: _Model, call: tuple[Any, ...], answer: Any) -> Any:
        if answer is None or answer == MISSING:
            return answer
        if call[0] == "register":
            model.versions = max(model.versions, answer)
        elif call[0] == "holder":
            model.holder = answer[0] if answer else 0
        elif (call[0] == "rollback" or call[0:3:2] == ("promote", "P")) and answer[0] == "succeeded":
            model.holder = answer[1]
        return answer


def request(model: str, call: tuple[Any, ...]) -> tuple[str, Any]:
    """Return the operation and the command that a call of a history is."""
    kind, *rest = call
    if kind == "promote":
        version, to, swap, if_holder = rest
        return "promote", c.Promote(model, _STAGES[to], version, swap=swap, if_holder=if_holder)
    if kind == "all":
        return "search_versions", c.SearchVersions(filter=f"name = '{model}'", page_size=1000)
    plain: dict[str, tuple[str, Callable[..., Any]]] = {
        "register": ("register_version", lambda: c.RegisterVersion(model, source="s3://elsewhere/m")),
        "rollback": ("rollback", lambda if_holder: c.Rollback(model, if_holder=if_holder)),
        "set alias": ("set_alias", lambda version: c.SetAlias(model, "champion", version)),
        "delete alias": ("delete_alias", lambda: c.DeleteAlias(model, "champion")),
        "delete": ("delete_version", lambda version: c.DeleteVersion(model, version)),
        "restore": ("restore_version", lambda version: c.RestoreVersion(model, version)),
        "holder": ("get_holder", lambda: c.GetHolder(model, "Production")),
        "champion": ("get_holder", lambda: c.GetHolder(model, "@champion")),
        "stage": ("get_version", lambda version: c.VersionNamed(model, version)),
    }
    operation, command = plain[kind]
    return operation, command(*rest)


def read_answer(call: tuple[Any, ...], status: int, body: Any) -> Any:
    """Return an answer in the words of the checker's model; None for a lost race, which changed nothing."""
    kind = call[0]
    if status == 404:
        return MISSING
    if status == 400 and kind == "restore":
        return "invalid"
    if status == 409 and kind == "delete" and body["code"] == "refused":
        return "refused"
    if status == 409 and body["code"] == "conflict":
        return None
    assert status == 200, (call, status, body)
    return _READERS.get(kind, lambda _: "ok")(body)


def _moved(body: Any) -> tuple[Any, ...]:
    if body["status"] == "succeeded":
        return "succeeded", body["version"], sum(each["version"] for each in body["displaced"])
    return body["status"], body["version"], *(each["code"] for each in body["refusals"])


def _holders(body: Any) -> tuple[int, ...]:
    return tuple(each["version"] for each in body["tenures"])


def _all(body: Any) -> tuple[Any, ...]:
    items = body["items"]
    versions = tuple(sorted((each["version"], _LETTERS[each["stage"]]) for each in items))
    return versions, sum(each["version"] for each in items if "champion" in each["aliases"])


_READERS: dict[str, Callable[[Any], Any]] = {
    "register": lambda body: body["version"],
    "promote": _moved,
    "rollback": _moved,
    "set alias": _moved,
    "holder": _holders,
    "champion": _holders,
    "stage": lambda body: _LETTERS[body["stage"]],
    "all": _all,
}


def record(plan: Plan) -> list[list[Operation]]:
    """Let the clients work; return one history per model. Raises what a client raised."""
    models = [_Model(f"{plan.name}-{number}") for number in range(MODELS)]
    client = Client(plan.fleet.pick(plan.rng).address)
    for each in models:
        client.do("create_model", c.CreateModel(each.name))
    client.close()
    done: dict[str, list[Operation]] = {each.name: [] for each in models}
    seeds = [random.Random(plan.rng.random()) for _ in range(CLIENTS)]
    recorders = [_Recorder(number, plan, seeds[number], models, done) for number in range(CLIENTS)]
    for exc in together(CLIENTS, lambda number: recorders[number].work()):
        raise exc
    return list(done.values())
