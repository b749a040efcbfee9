"""A witness as others meet it: asked over HTTP, and following servers and exports by the command line."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from greenroom.cli.root import run
from greenroom.core.errors import Conflict, IntegrityFailure, InvalidInput, Unavailable
from greenroom.core.note import open_note
from greenroom.core.witness import MAX_REQUEST_BYTES, add_checkpoint_body
from greenroom.services import commands as c
from greenroom.witness import listen
from greenroom.witness.folder import Witness, verify
from greenroom.witness.follow import follow, source_of
from greenroom.witness.listen import WitnessServer, serve
from tests.audit.logs import Log
from tests.races.kit import ROOT, Client, serving

NOW = 1_700_000_000


@pytest.fixture
def log() -> Log:
    return Log(random.Random(3))


@pytest.fixture
def asked(tmp_path: Path, log: Log) -> Iterator[WitnessServer]:
    with closing(Witness(tmp_path / "w", name="w.example")) as witness:
        witness.trust(log.key)
        told: list[str] = []
        server = serve(witness, "127.0.0.1", 0, told.append)
        server.told = told  # type: ignore[attr-defined]
        yield server
        server.shutdown()
        server.server_close()


def post(server: WitnessServer, body: bytes, path: str = "/add-checkpoint") -> tuple[int, str, str]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    with closing(connection):
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type", ""), answer.read().decode()


def get(server: WitnessServer, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=20)
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def body_of(log: Log, leaves: list[bytes], old: int) -> bytes:
    ask = log.ask(leaves, old)
    return add_checkpoint_body(ask.old_size, ask.proof, ask.note)


def test_the_protocol_over_http(asked: WitnessServer, log: Log) -> None:
    leaves = log.leaves(9)
    status, _, line = post(asked, body_of(log, leaves[:4], 0))
    assert status == 200
    note = log.note(leaves[:4]) + line
    assert open_note(note, [log.key, asked.witness.key], verify).signed_by == (log.name, "w.example")
    kept = get(asked, f"/checkpoint/{asked.witness.place(log.name).name}")
    assert kept == (200, note)
    assert post(asked, body_of(log, leaves, 0)) == (409, "text/x.tlog.size", "4\n")
    assert post(asked, body_of(log, leaves, 4))[0] == 200
    assert post(asked, body_of(log, leaves, 4)) == (409, "text/x.tlog.size", "9\n")  # the same request again
    assert post(asked, body_of(log, leaves, 9))[0] == 200  # and as it is asked then
    longer = leaves + log.leaves(3)
    ask = log.ask(longer, 9)
    assert post(asked, add_checkpoint_body(9, ask.proof[:-1], ask.note))[0] == 422
    assert post(asked, body_of(Log(random.Random(1), "elsewhere"), leaves, 0))[0] == 404
    assert post(asked, body_of(Log(random.Random(1), log.name), leaves, 9))[0] == 403
    assert post(asked, body_of(log, longer, 9))[0] == 200
    assert get(asked, "/key") == (200, asked.witness.verifier_key + "\n")


def test_a_fork_over_http_is_told_and_kept(asked: WitnessServer, log: Log) -> None:
    leaves = log.leaves(9)
    fork = leaves[:4] + log.leaves(5)
    post(asked, body_of(log, leaves, 0))
    assert post(asked, body_of(log, fork, 9)) == (409, "text/x.tlog.size", "9\n")
    assert "FORK" in asked.told[0]  # type: ignore[attr-defined]
    (kept,) = (asked.witness.place(log.name) / "evidence").iterdir()
    notes = [(kept / name).read_text() for name in ("cosigned", "refused")]
    sizes = [open_note(note, [log.key], verify).body.split("\n")[1:3] for note in notes]
    assert sizes[0][0] == sizes[1][0]
    assert sizes[0][1] != sizes[1][1]  # one size, two roots, both signed by the log: nobody can deny it


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status"),
    [
        ("POST", "/add-checkpoint", {}, b"nonsense", 400),
        ("POST", "/add-checkpoint", {}, b"", 400),
        ("POST", "/add-checkpoint", {}, b"\xff\xfe", 400),
        ("POST", "/add-checkpoint", {"Content-Length": str(MAX_REQUEST_BYTES + 1)}, b"", 413),
        ("POST", "/add-checkpoint", {"Content-Length": "9" * 5000}, b"", 413),
        ("POST", "/add-checkpoint", {"Content-Length": "-1"}, b"", 411),
        ("POST", "/add-checkpoint", {"Content-Length": "\u0661"}, b"", 411),
        ("POST", "/add-checkpoint", {"Transfer-Encoding": "chunked"}, b"0\r\n\r\n", 411),
        ("POST", "/elsewhere", {}, b"x", 404),
        ("GET", "/", {}, b"", 404),
        ("GET", "/checkpoint/../../witness.key", {}, b"", 404),
        ("GET", "/checkpoint/" + "0" * 64, {}, b"", 404),
        ("PUT", "/add-checkpoint", {}, b"", 501),
    ],
)
def test_bad_requests(
    asked: WitnessServer, method: str, path: str, headers: dict[str, str], body: bytes, status: int
) -> None:
    lengths = {} if headers else {"Content-Length": str(len(body))}
    head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in (headers | lengths).items())
    with socket.create_connection(asked.server_address[:2], timeout=20) as connection:
        connection.sendall(head.encode() + b"\r\n" + body)
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == status
        answer.read()


def test_callers_that_say_nothing_do_not_keep_others_out(
    asked: WitnessServer, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listen._Handler, "timeout", 0.5)
    silent = [socket.create_connection(asked.server_address[:2]) for _ in range(listen.MOST_AT_ONCE + 8)]
    try:
        for each in silent:
            each.settimeout(20)
            assert each.recv(1) == b""  # all are let go, those over the limit at once
        assert post(asked, body_of(log, log.leaves(3), 0))[0] == 200
    finally:
        for each in silent:
            each.close()


# --- the folder ---


def test_the_folder_keeps_its_own(tmp_path: Path, log: Log) -> None:
    folder = tmp_path / "w"
    leaves = log.leaves(6)
    with closing(Witness(folder, name="w.example")) as witness:
        with pytest.raises(Conflict, match="another witness works"):
            Witness(folder)
        witness.trust(log.key)
        witness.add(log.ask(leaves[:3], 0), NOW)
        with pytest.raises(InvalidInput, match="met with another key"):
            witness.trust(Log(random.Random(9), log.name).key)
    assert (folder / "witness.key").stat().st_mode & 0o777 == 0o600
    with closing(Witness(folder)) as witness:
        assert witness.known(log.name).size == 3  # type: ignore[union-attr]
        assert witness.add(log.ask(leaves, 3), NOW)[1]
    with pytest.raises(InvalidInput, match=r"is called 'w\.example'"):
        Witness(folder, name="other")
    place = witness.place(log.name)
    note = (place / "checkpoint").read_text()
    for damaged in ("", note[:-20] + "\n", note.replace("\n6\n", "\n5\n"), log.note(leaves)):
        (place / "checkpoint").write_text(damaged)
        with pytest.raises(IntegrityFailure, match=r"make a new witness|Do not repair"):
            Witness(folder)
    (place / "checkpoint").write_text(note)
    (folder / "witness.key").chmod(0o644)
    with pytest.raises(Unavailable, match="others can read"):
        Witness(folder)
    (folder / "witness.key").unlink()
    with pytest.raises(IntegrityFailure, match="is gone"):
        Witness(folder)


def test_a_witness_that_cannot_write_does_not_sign(tmp_path: Path, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(Witness(tmp_path / "w")) as witness:
        witness.trust(log.key)

        def full(path: Path, text: str) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("greenroom.witness.folder.write_durably", full)
        for _ in range(2):  # and it does not try again: what a failed fsync leaves behind nobody knows
            with pytest.raises(Unavailable, match="could not write"):
                witness.add(log.ask(log.leaves(3), 0), NOW)


def test_a_clock_that_jumps_back_does_not_make_time_run_back(tmp_path: Path, log: Log) -> None:
    leaves = log.leaves(4)
    with closing(Witness(tmp_path / "w")) as witness:
        witness.trust(log.key)
        lines = [witness.add(log.ask(leaves[:size], old), at)[1] for old, size, at in ((0, 2, NOW), (2, 4, 5))]
        notes = [log.note(leaves[:size]) + line for size, line in zip((2, 4), lines, strict=True)]
        assert [open_note(note, [witness.key], verify).seen[0][1] for note in notes] == [NOW, NOW]
    with closing(Witness(tmp_path / "w")) as witness:
        line = witness.add(log.ask(leaves, 4), 5)[1]
        assert open_note(log.note(leaves) + line, [witness.key], verify).seen[0][1] == NOW


# --- following ---


def cli(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "greenroom", *arguments, "--output", "table"], capture_output=True, text=True, cwd=ROOT
    )
    return done.returncode, done.stdout + done.stderr


def test_following_a_server_through_growth_rollback_and_fork(tmp_path: Path) -> None:
    """A server over more than one tile of entries; then the folder is put back to an older state, then goes on."""
    data, old, folder = tmp_path / "data", tmp_path / "old", str(tmp_path / "w")
    with serving(data) as server, Client(server.address) as client:
        client.do("create_model", c.CreateModel("m"))
        with closing(Witness(Path(folder))) as witness:
            source = source_of(server.url)
            assert follow(source, witness, {}, NOW)[1]
            for number in range(300):
                client.do("set_model_tag", c.SetModelTag("m", f"k{number % 7}", str(number)))
                if number in (0, 1, 100, 253, 254, 255, 299):
                    judged, line = follow(source, witness, {}, NOW + number)
                    assert line, judged
            size = judged.size
    copied = subprocess.run(["cp", "-a", str(data), str(old)])
    assert copied.returncode == 0
    with serving(data) as server, Client(server.address) as client:
        for number in range(5):
            client.do("set_model_tag", c.SetModelTag("m", "true", str(number)))
        code, text = cli("audit", "witness", folder, "--follow", server.url, "--once")
        assert (code, f"{size + 5} entries, cosigned" in text) == (0, True), text
    with serving(old) as server, Client(server.address) as client:
        code, text = cli("audit", "witness", folder, "--follow", server.url, "--once")
        assert (code, "ROLLBACK" in text, "evidence" in text) == (1, True, True), text
        for number in range(5):
            client.do("set_model_tag", c.SetModelTag("m", "false", str(number)))
        code, text = cli("audit", "witness", folder, "--follow", server.url, "--once")
        assert (code, "FORK" in text) == (1, True), text
        client.do("set_model_tag", c.SetModelTag("m", "false", "on and on"))
        code, text = cli("audit", "witness", folder, "--follow", server.url, "--once")
        assert (code, "NOT PROVEN" in text) == (1, True), text
    code, text = cli("audit", "witness", folder, "--follow", server.url, "--once")  # it is gone now
    assert (code, "cannot be reached" in text, "Traceback" in text) == (3, True, False), text


def test_the_process_looks_again_listens_and_ends(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as server:
        command = ["audit", "witness", str(tmp_path / "w"), "--follow", server.url, "--every", "1s", "--listen", "0"]
        process = subprocess.Popen(
            [sys.executable, "-m", "greenroom", *command, "--output", "table"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        assert process.stdout is not None
        seen = ""
        try:
            while seen.count("cosigned.") < 2:
                line = process.stdout.readline()
                assert line, seen
                seen += line
            assert "The witness listens at http://127.0.0.1:" in seen
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        finally:
            process.kill()
            process.communicate(timeout=20)
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "nothing to witness"),
        (("--follow", "ftp://x"), "is no log to follow"),
        (("--follow", "nowhere"), "is no log to follow"),
        (("--listen", "70000"), "is not an address"),
        (("--listen", "a:b"), "is not an address"),
        (("--listen", "1", "--every", "0"), "is not a time"),
        (("--listen", "1", "--every", "1w"), "is not a time"),
        (("--listen", "1", "--key", "x"), "is not a verifier key"),
        (("--listen", "1", "--name", "a b"), "cannot name a key"),
    ],
)
def test_what_cannot_be_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], said: str
) -> None:
    assert run(["audit", "witness", str(tmp_path / "w"), *arguments]) == 2
    assert said in capsys.readouterr().err


def test_sources_that_lie(tmp_path: Path, log: Log) -> None:
    """A key of another name, a key that was not given, a checkpoint that is none, a log without its tiles."""
    leaves = log.leaves(9)
    export = tmp_path / "export"
    export.mkdir()
    source = source_of(str(export))
    with closing(Witness(tmp_path / "w")) as witness:
        with pytest.raises(Unavailable, match="shows no checkpoint"):
            follow(source, witness, {}, NOW)
        (export / "checkpoint").write_bytes(b"\xff\xfe nothing")
        with pytest.raises(InvalidInput, match="no key is given"):
            follow(source, witness, {}, NOW)
        (export / "checkpoint").write_text(log.note(leaves[:3]))
        other = Log(random.Random(8), "other").key
        with pytest.raises(InvalidInput, match="no key is given"):
            follow(source, witness, {"other": other}, NOW)
        assert follow(source, witness, {log.name: log.key}, NOW)[1]
        (export / "checkpoint").write_text(log.note(leaves))
        with pytest.raises(Unavailable, match=r"does not show its tile/0/000\.p/9"):
            follow(source, witness, {}, NOW)
        (export / "checkpoint").write_text(log.note(leaves).replace("\n9\n", "\nnine\n"))
        assert follow(source, witness, {}, NOW)[0].answer == 403
