"""The HTTP transport: what it sends, what it repeats, and what it makes of answers that are not ours."""

from __future__ import annotations

import socket
import threading

import pytest

from greenroom.client.remote import ATTEMPTS, Remote
from greenroom.client.resolve import parse_url
from greenroom.core import errors
from greenroom.core.model import RegisteredModel
from greenroom.services import commands as c
from greenroom.services.api import BY_NAME, OPERATIONS, Mode
from tests.client.stub import HANG_UP, Stub, answer, problem

MODEL = {
    "name": "m",
    "description": None,
    "created_at": 1,
    "updated_at": 2,
    "lifecycle": "standard",
    "from_tomorrow": 1,
}
GOOD = answer(200, MODEL)
GET = ("get_model", c.ModelNamed("m"))
WRITE = ("create_model", c.CreateModel("m"))


def remote(url, pauses=None, **env):
    return Remote(
        parse_url(url, "given", env),
        actor="ana",
        pause=[].append if pauses is None else pauses.append,
        chance=lambda: 0.5,
    )


def call(script, what=GET, pauses=None):
    """Run one call against a script; returns the answer (or the error) and what the server saw."""
    with Stub(list(script)) as stub:
        transport = remote(stub.url, pauses)
        try:
            return transport.call(*what), stub
        except errors.GreenroomError as exc:
            return exc, stub
        finally:
            transport.close()


def test_a_read_is_decoded_leniently():
    found, stub = call([GOOD])
    assert found == RegisteredModel("m", None, 1, 2, "standard")
    assert (stub.seen[0].method, stub.seen[0].target) == ("GET", "/api/v1/models/m")
    assert "idempotency-key" not in stub.seen[0].headers


@pytest.mark.parametrize(
    ("operation", "command", "target", "body"),
    [
        ("get_model", c.ModelNamed("a b/ü?#"), "/api/v1/models/a%20b%2F%C3%BC%3F%23", None),
        ("get_holder", c.GetHolder("m", "@champion", 7), "/api/v1/models/m/slots/%40champion?at=7", None),
        ("list_history", c.ListHistory("m", "Production"), "/api/v1/models/m/history?slot=Production", None),
        ("latest_versions", c.LatestVersions("m", ("A", "B")), "/api/v1/models/m/latest?stages=A&stages=B", None),
        ("delete_version", c.DeleteVersion("m", 3, "it's"), "/api/v1/models/m/versions/3?reason=it%27s", None),
        (
            "promote",
            c.Promote("m", "Production", 3, swap=True, if_holder=0),
            "/api/v1/models/m/promotions",
            {"to": "Production", "version": 3, "swap": True, "if_holder": 0},
        ),
        ("update_model", c.UpdateModel("m", None), "/api/v1/models/m", {}),
        (
            "audit_verify",
            c.AuditVerify(("note",), deep=False),
            "/api/v1/audit/verify",
            {"checkpoints": ["note"], "deep": False},
        ),
    ],
)
def test_a_command_becomes_a_request(operation, command, target, body):
    _, stub = call([problem(404, "not_found")], (operation, command))
    seen = stub.seen[0]
    assert seen.target == target
    assert (seen.data if body is not None else None) == body
    assert ("idempotency-key" in seen.headers) == (BY_NAME[operation].mode is Mode.WRITE)


def test_who_asks_is_named_in_any_script():
    with Stub([GOOD]) as stub:
        Remote(parse_url(stub.url, "given", {}), actor="Ána Núñez ✓").call(*GET)
    assert stub.seen[0].headers["x-greenroom-actor"] == "%C3%81na%20N%C3%BA%C3%B1ez%20%E2%9C%93"


@pytest.mark.parametrize(
    ("user", "env", "header"),
    [
        ("ana:p%40ss@", {}, "Basic YW5hOnBAc3M="),
        ("ana@", {}, "Basic YW5hOg=="),
        ("", {"GREENROOM_TOKEN": "tok"}, "Bearer tok"),
        ("", {}, None),
    ],
)
def test_credentials(user, env, header):
    with Stub([GOOD]) as stub:
        remote(stub.url.replace("://", f"://{user}"), **env).call(*GET)
    assert stub.seen[0].headers.get("authorization") == header


def test_a_token_cannot_smuggle_a_header():
    with pytest.raises(errors.InvalidInput):
        remote("http://127.0.0.1:1", GREENROOM_TOKEN="a\r\nX-Evil: 1").call(*GET)


BUSY = problem(409, "conflict", "Retry-After: 1")


@pytest.mark.parametrize(
    ("script", "pauses"),
    [
        ([HANG_UP, GOOD], [0.1]),
        ([HANG_UP, HANG_UP, GOOD], [0.1, 0.2]),
        ([BUSY, GOOD], [1.0]),
        ([problem(503, "unavailable", "Retry-After: 99999"), GOOD], [5.0]),
        ([answer(502, b"<html>", media="text/html"), GOOD], [0.1]),
        ([problem(429, "rate_limited", "Retry-After: soon"), GOOD], [0.1]),
        ([GOOD[:-5], GOOD], [0.1]),  # cut off in the middle of the body
    ],
)
def test_what_is_repeated_has_one_key(script, pauses):
    waited = []
    found, stub = call(_cut(script), WRITE, waited)
    assert found == RegisteredModel("m", None, 1, 2, "standard")
    assert waited == pauses
    keys = {seen.headers["idempotency-key"] for seen in stub.seen}
    assert len(keys) == 1
    assert len(stub.seen) == len(script)


def _cut(script):
    """A short body must be followed by the end of the connection."""
    return [
        each.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") if each == GOOD[:-5] else each for each in script
    ]


def test_two_calls_have_two_keys():
    with Stub([GOOD, GOOD]) as stub:
        transport = remote(stub.url)
        transport.call(*WRITE)
        transport.call(*WRITE)
    assert stub.seen[0].headers["idempotency-key"] != stub.seen[1].headers["idempotency-key"]
    assert stub.connections == 1


@pytest.mark.parametrize("step", [HANG_UP, BUSY, problem(503, "unavailable")])
def test_repeating_ends(step):
    waited = []
    found, stub = call([step] * 50, WRITE, waited)
    assert isinstance(found, errors.Conflict if step == BUSY else errors.Unavailable)
    assert len(stub.seen) == ATTEMPTS
    assert sum(waited) < 30


@pytest.mark.parametrize(
    "step",
    [
        problem(409, "already_exists"),
        problem(409, "refused"),
        problem(400, "invalid_input"),
        problem(500, "integrity_failure"),
        problem(507, "storage_full"),
    ],
)
def test_an_answer_is_not_repeated(step):
    _, stub = call([step, GOOD], WRITE)
    assert len(stub.seen) == 1


@pytest.mark.parametrize("cls", sorted(errors.error_classes().values(), key=lambda cls: cls.code))
def test_problem_details_become_the_matching_class(cls):
    step = problem(cls.http_status, cls.code, hint="do that.", details={"model": "m", "line": 3})
    found, _ = call([step] * ATTEMPTS, WRITE)
    assert type(found) is cls
    assert (found.message, found.hint, found.details) == ("it went wrong.", "do that.", {"model": "m", "line": 3})


@pytest.mark.parametrize(
    ("status", "cls"),
    [(400, errors.InvalidInput), (404, errors.NotFound), (418, errors.GreenroomError), (413, errors.TooLarge)],
)
def test_a_code_of_tomorrow_is_read_by_its_status(status, cls):
    found, _ = call([problem(status, "never_heard_of")])
    assert type(found) is cls


@pytest.mark.parametrize(
    ("step", "cls", "part"),
    [
        (
            answer(200, b"<html>hello", media="text/html"),
            errors.Unavailable,
            "does not answer like a Greenroom server: 200, text/html",
        ),
        (
            answer(404, b"nope", media="text/plain"),
            errors.Unavailable,
            "does not answer like a Greenroom server: 404, text/plain",
        ),
        (
            answer(404, {"error_code": "ENDPOINT_NOT_FOUND"}),
            errors.Unavailable,
            "does not answer like a Greenroom server",
        ),
        (answer(200, {"hello": 1}), errors.Unavailable, "does not understand"),
        (answer(200, b"{" * 100_000), errors.Unavailable, "does not understand"),
        (answer(200, [1]), errors.Unavailable, "does not understand"),
        (answer(302, b"", "Location: https://elsewhere/"), errors.Unavailable, "redirects to https://elsewhere/"),
        (answer(401, b"who?", media="text/plain"), errors.Unauthenticated, "refused access (401)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", errors.Unavailable, "does not speak HTTP"),
        (b"\x15\x03\x01\x00\x02\x02\x46" * 20 + b"\r\n", errors.Unavailable, "does not speak HTTP"),
    ],
)
def test_strangers_are_told_apart(step, cls, part):
    found, _ = call([step] * ATTEMPTS)
    assert type(found) is cls
    assert part in found.message
    assert "127.0.0.1" in found.message


def test_nobody_there():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    waited = []
    with pytest.raises(errors.Unavailable) as caught:
        remote(f"http://ana:secret@127.0.0.1:{port}", waited).call(*GET)
    assert f"http://127.0.0.1:{port} (given) cannot be reached: " in caught.value.message
    assert "secret" not in str(caught.value)
    assert waited == []


def test_a_server_that_was_there_is_waited_for():
    with Stub([GOOD]) as stub:
        waited = []
        transport = remote(stub.url, waited)
        transport.call(*GET)
    with pytest.raises(errors.Unavailable):
        transport.call(*GET)
    assert len(waited) == ATTEMPTS - 1


def test_https_to_an_http_port_is_explained():
    def serve(listener):
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        with pytest.raises(errors.Unavailable) as caught:
            remote(f"https://127.0.0.1:{listener.getsockname()[1]}").call(*GET)
        thread.join()
    assert "no secure connection to https://127.0.0.1" in caught.value.message
    assert "http or https" in (caught.value.hint or "")


def test_a_dead_kept_connection_costs_no_attempt():
    def last(_seen):
        return GOOD.replace(b"X\r\n", b"X\r\nX-Last: 1\r\n")

    with Stub([last, HANG_UP, GOOD]) as stub:
        waited = []
        transport = remote(stub.url, waited)
        transport.call(*GET)
        transport.call(*WRITE)  # the server hangs up on the kept connection without an answer
    assert waited == []
    assert stub.connections == 2


def test_no_answer_in_time_is_not_repeated(monkeypatch):
    monkeypatch.setattr("greenroom.client.remote.READ_S", 0.05)
    hold = threading.Event()

    def never(_seen):
        hold.wait(10)
        return HANG_UP

    with Stub([never]) as stub:
        with pytest.raises(errors.Unavailable) as caught:
            remote(stub.url).call(*WRITE)
        hold.set()
    assert "did not answer within 0.05 s" in caught.value.message
    assert len(stub.seen) == 1


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (c.RecordMetrics("m", 1, {"auc": float("nan")}), "metrics 'auc' is nan"),
        (c.RecordMetrics("m", 1, params={"p": "\ud800"}), "characters that are not text"),
        (c.RecordMetrics("m", 1, params={"p": object()}), "params.p must be a string"),
        (c.RecordMetrics("\ud800", 1, params={"p": "x"}), "characters that are not text"),
    ],
)
def test_what_json_cannot_carry_is_refused_before_it_is_sent(command, part):
    found, stub = call([GOOD], ("record_metrics", command))
    assert isinstance(found, errors.InvalidInput)
    assert part in found.message
    assert stub.seen == []


def test_many_threads_share_few_connections():
    with Stub([GOOD] * 80) as stub:
        transport = remote(stub.url)
        threads = [threading.Thread(target=lambda: [transport.call(*GET) for _ in range(10)]) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        transport.close()
    assert len(stub.seen) == 80
    assert stub.connections <= 8 * 2


def test_every_operation_can_be_asked_for():
    for row in OPERATIONS:
        fields = set(row.command.__dataclass_fields__)
        parts = {part[1:-1] for part in row.path.split("/") if part.startswith("{")}
        assert parts <= fields, row.name
