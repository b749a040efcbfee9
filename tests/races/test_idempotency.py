"""C7: a request with an Idempotency-Key has one effect, however often and in whatever way it is sent again."""

from __future__ import annotations

import dataclasses
import http.client
import itertools
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import open_local
from greenroom.core.digest import digest_of
from greenroom.core.errors import RequestReused
from greenroom.core.model import File
from greenroom.services import commands as c
from greenroom.services.api import BY_NAME, OPERATIONS, TRACKING, Mode
from greenroom.services.ports import Request
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import TESTER, Client, Server, problems_of_log, serving, together

Make = Callable[[str], Any]
AT_ONCE = 8
PINNED = digest_of(b"p")
DOCUMENT = """
lifecycle = "of-{0}"
[[stage]]
name = "None"
"""


@dataclass(frozen=True)
class Case:
    """One write operation on a model of its own: what must be there before, what is asked, what would be another."""

    ask: Make
    other: Make
    before: tuple[tuple[str, Make], ...] = ()
    name: str = ""  # the operation, where it is not the key of the table


_MODEL: tuple[tuple[str, Make], ...] = (("create_model", lambda m: c.CreateModel(m, tags={"a": "b"})),)
_VERSION: tuple[tuple[str, Make], ...] = (
    *_MODEL,
    ("register_version", lambda m: c.RegisterVersion(m, source="s3://elsewhere/1", tags={"a": "b"})),
    ("register_version", lambda m: c.RegisterVersion(m, source="s3://elsewhere/2", tags={"a": "b"})),
)
_HELD: tuple[tuple[str, Make], ...] = (*_VERSION, ("promote", lambda m: c.Promote(m, "Production", 1)))

CASES: Mapping[str, Case] = {
    "create_model": Case(c.CreateModel, lambda m: c.CreateModel(m, "other")),
    "update_model": Case(lambda m: c.UpdateModel(m, "x"), lambda m: c.UpdateModel(m, "y"), _MODEL),
    "rename_model": Case(lambda m: c.RenameModel(m, m + "-n"), lambda m: c.RenameModel(m, m + "-o"), _MODEL),
    "delete_model": Case(c.DeleteModel, lambda m: c.DeleteModel(m, "other"), _MODEL),
    "restore_model": Case(
        c.RestoreModel, lambda m: c.RestoreModel(m, "other"), (*_MODEL, ("delete_model", c.DeleteModel))
    ),
    "set_model_tag": Case(lambda m: c.SetModelTag(m, "k", "1"), lambda m: c.SetModelTag(m, "k", "2"), _MODEL),
    "delete_model_tag": Case(lambda m: c.DeleteModelTag(m, "a"), lambda m: c.DeleteModelTag(m, "b"), _MODEL),
    "register_version": Case(
        lambda m: c.RegisterVersion(m, source="s3://elsewhere/x"),
        lambda m: c.RegisterVersion(m, source="s3://elsewhere/y"),
        _MODEL,
    ),
    "pin_version": Case(
        lambda m: c.PinVersion(m, 1, (File("w.bin", PINNED, 1),)),
        lambda m: c.PinVersion(m, 1, (File("other.bin", PINNED, 1),)),
        _VERSION,
    ),
    "update_version": Case(lambda m: c.UpdateVersion(m, 1, "x"), lambda m: c.UpdateVersion(m, 1, "y"), _VERSION),
    "delete_version": Case(lambda m: c.DeleteVersion(m, 1), lambda m: c.DeleteVersion(m, 1, "other"), _VERSION),
    "delete_version, refused": Case(
        lambda m: c.DeleteVersion(m, 1), lambda m: c.DeleteVersion(m, 1, "other"), _HELD, name="delete_version"
    ),
    "restore_version": Case(
        lambda m: c.RestoreVersion(m, 1),
        lambda m: c.RestoreVersion(m, 1, "other"),
        (*_VERSION, ("delete_version", lambda m: c.DeleteVersion(m, 1))),
    ),
    "set_version_tag": Case(
        lambda m: c.SetVersionTag(m, 1, "k", "1"), lambda m: c.SetVersionTag(m, 1, "k", "2"), _VERSION
    ),
    "delete_version_tag": Case(
        lambda m: c.DeleteVersionTag(m, 1, "a"), lambda m: c.DeleteVersionTag(m, 1, "b"), _VERSION
    ),
    "record_metrics": Case(
        lambda m: c.RecordMetrics(m, 1, {"auc": 0.5}, {"p": "1"}),
        lambda m: c.RecordMetrics(m, 1, {"auc": 0.6}, {"p": "1"}),
        _VERSION,
    ),
    "promote": Case(
        lambda m: c.Promote(m, "Production", 2, swap=True), lambda m: c.Promote(m, "Production", 1, swap=True), _HELD
    ),
    "promote, refused": Case(
        lambda m: c.Promote(m, "Production", 2),
        lambda m: c.Promote(m, "Production", 2, swap=True),
        _HELD,
        name="promote",
    ),
    "rollback": Case(
        c.Rollback,
        lambda m: c.Rollback(m, version=2),
        (*_HELD, ("promote", lambda m: c.Promote(m, "Production", 2, swap=True))),
    ),
    "set_alias": Case(lambda m: c.SetAlias(m, "champion", 1), lambda m: c.SetAlias(m, "champion", 2), _VERSION),
    "delete_alias": Case(
        lambda m: c.DeleteAlias(m, "champion"),
        lambda m: c.DeleteAlias(m, "champion", "other"),
        (*_VERSION, ("set_alias", lambda m: c.SetAlias(m, "champion", 1))),
    ),
    "apply_lifecycle": Case(
        lambda m: c.ApplyLifecycle(DOCUMENT.format(m)), lambda m: c.ApplyLifecycle(DOCUMENT.format(m) + "#\n")
    ),
    "use_lifecycle": Case(
        lambda m: c.UseLifecycle("mlflow", pattern=m), lambda m: c.UseLifecycle("guarded", pattern=m)
    ),
    "add_stage": Case(
        lambda m: c.AddStage("Canary", lifecycle=f"of-{m}"),
        lambda m: c.AddStage("Shadow", lifecycle=f"of-{m}"),
        (("apply_lifecycle", lambda m: c.ApplyLifecycle(DOCUMENT.format(m))),),
    ),
}
DIGEST = digest_of(b"x")
# No native route, so no header: the store's keys are what counts. No audited row changes; the row itself is looked at.
INTERNAL: Mapping[str, tuple[Any, Any]] = {
    "blob_stored": (c.BlobStored(DIGEST, 1), c.BlobStored(DIGEST, 2)),
    "put_upload": (c.PutUpload("a/b", DIGEST, 1), c.PutUpload("a/c", DIGEST, 1)),
    "delete_uploads": (c.UploadPath("a"), c.UploadPath("b")),
}


def test_every_write_operation_has_a_case() -> None:
    # What is tracked has tests of its own (tests/tracking): its requests carry no keys, its rows can be written twice.
    writes = {row.name for row in BY_NAME.values() if row.mode is Mode.WRITE and row not in TRACKING}
    assert {case.name or name for name, case in CASES.items()} | set(INTERNAL) == writes
    assert {case.name or name for name, case in CASES.items()} <= {row.name for row in OPERATIONS}


class Replicas:
    """A client that asks another server each time."""

    def __init__(self, *servers: Server) -> None:
        self._clients = itertools.cycle([Client(each.address) for each in servers])

    def ask(self, *given: Any, **rest: Any) -> tuple[int, Any]:
        return next(self._clients).ask(*given, **rest)

    def do(self, *given: Any, **rest: Any) -> Any:
        return next(self._clients).do(*given, **rest)

    def send_only(self, *given: Any, **rest: Any) -> socket.socket:
        return next(self._clients).send_only(*given, **rest)

    def close(self) -> None:
        first = each = next(self._clients)
        while True:
            each.close()
            each = next(self._clients)
            if each is first:
                return


@dataclass
class Bench:
    """A server and the questions that every case asks of it."""

    client: Client | Replicas
    server: Server
    more: tuple[Server, ...] = ()  # further servers of the same registry

    def address(self, number: int) -> tuple[str, int]:
        servers = (self.server, *self.more)
        return servers[number % len(servers)].address

    def size(self) -> int:
        """Return the number of entries of the log."""
        return int(self.client.do("audit_checkpoint", c.AuditCheckpoint())["size"])

    def begin(self, case: Case, model: str) -> int:
        """Make what must be there before, the bytes to be pinned among it."""
        connection = http.client.HTTPConnection(*self.address(0))
        connection.request("PUT", f"/api/v1/blobs/sha256/{PINNED.removeprefix('sha256:')}", b"p")
        assert connection.getresponse().status == 201
        connection.close()
        for operation, make in case.before:
            self.client.do(operation, make(model))
        return self.size()

    def ask(self, case: str, model: str, key: str, *, other: bool = False) -> tuple[int, Any]:
        given = CASES[case]
        return self.client.ask(given.name or case, (given.other if other else given.ask)(model), key=key)


def same(answers: list[tuple[int, Any]]) -> bool:
    """Say whether callers heard the same; the request's own id is all that may differ."""
    bare = [(status, {k: v for k, v in body.items() if k != "request_id"}) for status, body in answers]
    return all(each == bare[0] for each in bare)


def sequential(bench: Bench, case: str, model: str) -> list[str]:
    before = bench.begin(CASES[case], model)
    answers = [bench.ask(case, model, model + "-key") for _ in range(3)]
    return _found(bench, before, answers)


def parallel(bench: Bench, case: str, model: str) -> list[str]:
    before = bench.begin(CASES[case], model)
    answers: list[tuple[int, Any]] = []
    clients = [Client(bench.address(number)) for number in range(AT_ONCE)]

    def send(number: int) -> None:
        answers.append(Bench(clients[number], bench.server).ask(case, model, model + "-key"))

    raised = together(AT_ONCE, send)
    for each in clients:
        each.close()
    return [repr(exc) for exc in raised] + _found(bench, before, answers)


def reply_dropped(bench: Bench, case: str, model: str) -> list[str]:
    before = bench.begin(CASES[case], model)
    given = CASES[case]
    connection = bench.client.send_only(given.name or case, given.ask(model), key=model + "-key")
    while bench.size() == before:  # until it is durable; the reply is never read
        pass
    connection.close()
    return _found(bench, before, [bench.ask(case, model, model + "-key") for _ in range(2)])


def other_body(bench: Bench, case: str, model: str) -> list[str]:
    before = bench.begin(CASES[case], model)
    first = bench.ask(case, model, model + "-key")
    status, answer = bench.ask(case, model, model + "-key", other=True)
    found = [] if status == 422 else [f"another body under the same key was answered {status}: {answer}"]
    return found + _found(bench, before, [first, bench.ask(case, model, model + "-key")])


def _found(bench: Bench, before: int, answers: list[tuple[int, Any]]) -> list[str]:
    found = []
    if not same(answers):
        found.append(f"the callers heard different things: {json.dumps(answers)[:600]}")
    if answers[0][0] not in (200, 409) or (answers[0][0] == 409 and answers[0][1]["code"] != "refused"):
        found.append(f"the first answer is {answers[0]}")
    effects = bench.size() - before
    if effects != 1:
        found.append(f"{effects} effects")
    return found


WAYS: Mapping[str, Callable[[Bench, str, str], list[str]]] = {
    each.__name__: each for each in (sequential, parallel, reply_dropped, other_body)
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys") / "data"


@pytest.fixture(scope="module")
def bench(folder: Path) -> Iterator[Bench]:
    with serving(folder) as server, Client(server.address) as client:
        yield Bench(client, server)
    assert problems_of_log(folder) == []  # C9, after all of them


@promise(
    "C7",
    "SQLite: {cases} write requests x {ways} ways to repeat them, and after a restart",
    cases=len(CASES),
    ways=len(WAYS),
    mutant=("test_a_lost_protection_is_seen", "test_keys_kept_in_memory_are_seen"),
)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", CASES)
def test_one_effect(bench: Bench, case: str, way: str) -> None:
    for number in range(sized(1, 1_000)):
        model = f"{case.replace(', ', '-').replace('_', '-')}-{way.replace('_', '-')}-{number}"
        assert WAYS[way](bench, case, model) == []


def test_one_effect_after_a_restart(tmp_path: Path) -> None:
    data = tmp_path / "data"
    assert restarted(data, list(CASES)) == {}
    assert problems_of_log(data) == []


def restarted(
    data: Path, cases: list[str], mutant: str | None = None, options: tuple[str, ...] = ()
) -> dict[str, list[str]]:
    """Ask each case once, kill the server, ask again of the next one; return what is wrong by case."""
    first: dict[str, tuple[int, Any]] = {}
    names = {case: case.replace(", ", "-").replace("_", "-") for case in cases}
    with serving(data, *options, mutant=mutant) as server, Client(server.address) as client:
        for case in cases:
            Bench(client, server).begin(CASES[case], names[case])
            first[case] = Bench(client, server).ask(case, names[case], case.replace(" ", "") + "-key")
        server.kill()
        server.process.returncode = 0
    wrong: dict[str, list[str]] = {}
    with serving(data, *options, mutant=mutant) as server, Client(server.address) as client:
        bench = Bench(client, server)
        for case in cases:
            before = bench.size()
            again = bench.ask(case, names[case], case.replace(" ", "") + "-key")
            if not same([first[case], again]) or bench.size() != before:
                wrong[case] = [f"{first[case]} then {again}"]
    return wrong


@pytest.mark.parametrize("operation", INTERNAL)
def test_keys_of_operations_without_a_route(tmp_path: Path, operation: str) -> None:
    """The outcome under a key stays the first one: doing it again in between is not undone or repeated by a retry."""
    ask, other = INTERNAL[operation]
    registry = open_local(tmp_path / "data", create=True)

    def state() -> Any:
        with registry.rows() as rows:
            return [list(rows(table)) for table in ("blob", "upload")]

    if operation != "blob_stored":
        registry.call_now("blob_stored", c.BlobStored(DIGEST, 1), TESTER)
    if operation == "delete_uploads":
        registry.call_now("put_upload", c.PutUpload("a/b", DIGEST, 1), TESTER)
    request = Request("1", "key", digest_of(b"first"))
    registry.call_now(operation, ask, TESTER, request=request)
    if operation == "put_upload":  # a retry must not bring back what was deleted since
        registry.call_now("delete_uploads", c.UploadPath("a"), TESTER)
    if operation == "delete_uploads":  # nor delete what came since
        registry.call_now("put_upload", c.PutUpload("a/new", DIGEST, 1), TESTER)
    before = state()
    for number in range(3):
        assert registry.call_now(operation, ask, TESTER, request=dataclasses.replace(request, id=str(number))) is None
    with pytest.raises(RequestReused, match="was used for another request"):
        registry.call_now(operation, other, TESTER, request=Request("9", "key", digest_of(b"other")))
    assert state() == before
    registry.close()


# --- PostgreSQL: the servers of one database know each other's keys ---


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    data, options = tmp_path_factory.mktemp("shared"), ("--database-url", new_database())
    with serving(data, *options) as one, serving(data, *options) as other:
        client = Replicas(one, other)
        yield Bench(client, one, (other,))
        report = client.do("audit_verify", c.AuditVerify())
        client.close()
    assert (report["status"], report["findings"]) == ("ok", [])  # C9, after all of them


@promise(
    "C7",
    "PostgreSQL, 2 servers: {cases} write requests x {ways} ways to repeat them, each time at the other server",
    cases=len(CASES),
    ways=len(WAYS),
    mutant="test_a_lost_protection_of_replicas_is_seen",
)
@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_one_effect_whichever_replica_is_asked(replicas: Bench, way: str) -> None:
    wrong: dict[str, list[str]] = {}
    for number, case in itertools.product(range(sized(1, 1_000)), CASES):
        model = f"{case.replace(', ', '-').replace('_', '-')}-{way.replace('_', '-')}-{number}"
        found = WAYS[way](replicas, case, model)
        if found:
            wrong[model] = found
    assert wrong == {}


def test_one_effect_after_a_restart_on_postgresql(tmp_path: Path) -> None:
    options = ("--database-url", new_database())
    assert restarted(tmp_path, list(CASES), options=options) == {}


def test_a_lost_protection_of_replicas_is_seen(tmp_path: Path) -> None:
    """Keys that each server keeps for itself."""
    options = ("--database-url", new_database())
    mutant = "keys_in_memory"
    with serving(tmp_path, *options, mutant=mutant) as one, serving(tmp_path, *options, mutant=mutant) as other:
        client = Replicas(one, other)
        for way in ("sequential", "parallel"):
            assert WAYS[way](Bench(client, one, (other,)), "register_version", way) != []
        client.close()


# --- the protections taken away ---


@pytest.mark.parametrize(
    ("mutant", "way"),
    [
        ("no_keys", "sequential"),
        ("no_keys", "parallel"),
        ("no_keys", "reply_dropped"),
        ("no_fingerprint", "other_body"),
    ],
)
def test_a_lost_protection_is_seen(tmp_path: Path, mutant: str, way: str) -> None:
    with serving(tmp_path / "data", mutant=mutant) as server, Client(server.address) as client:
        for case in ("register_version", "promote, refused"):
            assert WAYS[way](Bench(client, server), case, case.split(",")[0].replace("_", "-")) != []


def test_keys_kept_in_memory_are_seen(tmp_path: Path) -> None:
    cases = ["register_version", "promote"]
    assert set(restarted(tmp_path / "data", cases, mutant="keys_in_memory")) == set(cases)
