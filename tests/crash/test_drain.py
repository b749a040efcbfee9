"""SIGTERM drains: what was begun is answered, nothing acknowledged is lost, no answer is half. Read-only folders."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import open_local
from greenroom.core.digest import digest_of
from greenroom.services import commands as c
from tests.promises import sized
from tests.races.kit import ROOT, Client, Server, problems_of_log

CYCLES = sized(6, 200)
CLIENTS = 4

pytestmark = pytest.mark.slow


class Load:
    """Clients that write as fast as they can until the server is gone, and remember what they were told."""

    def __init__(self, server: Server, cycle: int) -> None:
        self.acknowledged: set[str] = set()
        self.unanswered: list[str] = []
        self.wrong: list[Any] = []
        self._threads = [
            threading.Thread(target=self._write, args=(server.address, f"c{cycle}-{number}"))
            for number in range(CLIENTS)
        ]

    def __enter__(self) -> Load:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *exc: object) -> None:
        for each in self._threads:
            each.join(60)

    def _write(self, address: tuple[str, int], name: str) -> None:
        with Client(address) as client:
            for at in range(1_000_000):
                try:
                    status, answer = client.ask(
                        "register_version", c.RegisterVersion("m", source="s3://e/m"), actor=f"{name}-{at}"
                    )
                except json.JSONDecodeError as exc:
                    self.wrong.append(exc)  # a half answer
                    return
                except (OSError, http.client.HTTPException) as exc:
                    if isinstance(exc, http.client.IncompleteRead):
                        self.wrong.append(exc)
                    self.unanswered.append(f"{name}-{at}")
                    return
                if status == 200:
                    self.acknowledged.add(f"{name}-{at}")
                elif status != 503:
                    self.wrong.append(answer)


def test_a_stop_under_load_loses_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    acknowledged: set[str] = set()
    for cycle in range(CYCLES):
        server = Server(folder)
        try:
            with Client(server.address) as client:
                client.do("register_version", c.RegisterVersion("m", source="s3://e/m", create_model=True))
            with Load(server, cycle) as load:
                threading.Event().wait(0.1 + 0.03 * cycle)  # the moment of the stop
                server.stop()
        finally:
            server.kill()
        assert load.wrong == []
        assert len(load.unanswered) <= CLIENTS
        acknowledged |= load.acknowledged
    registry = open_local(folder)
    with registry.snapshot() as tx:
        actors = [each.actor for each in tx.audit_entries(after=0, limit=1_000_000)]
    registry.close()
    assert len(acknowledged) > CYCLES * CLIENTS
    assert acknowledged <= set(actors)
    assert problems_of_log(folder) == []
    assert not (folder / "greenroom.db-wal").exists(), "a clean end leaves one whole file"


def _begin_upload(server: Server, body: bytes, sent: int) -> socket.socket:
    target = f"/api/v1/blobs/{digest_of(body).replace(':', '/')}"
    head = f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    connection = socket.create_connection(server.address, timeout=30)
    connection.sendall(head.encode() + body[:sent])
    return connection


def test_a_stop_is_seen_at_once_and_waits_for_what_was_begun(tmp_path: Path) -> None:
    server, body = Server(tmp_path / "data"), os.urandom(2_000_000)
    try:
        probe = http.client.HTTPConnection(*server.address, timeout=10)
        assert _ready(probe) == 200
        with contextlib.closing(_begin_upload(server, body, 1_000_000)) as connection:
            server.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(OSError, http.client.HTTPException):  # or it was closed already: no as well
                assert _ready(probe) == 503
            _wait_until_refused(server)
            connection.sendall(body[1_000_000:])
            assert connection.recv(100).startswith((b"HTTP/1.1 200", b"HTTP/1.1 201"))
        assert server.process.wait(20) == 0
    finally:
        probe.close()
        server.kill()
    registry = open_local(tmp_path / "data")
    assert registry.blobs.size(digest_of(body)) == len(body)
    registry.close()


def _ready(probe: http.client.HTTPConnection) -> int:
    probe.request("GET", "/ready")
    answer = probe.getresponse()
    answer.read()
    return answer.status


def _wait_until_refused(server: Server) -> None:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            socket.create_connection(server.address, timeout=5).close()
        except ConnectionRefusedError:
            return
        threading.Event().wait(0.01)  # another process closes its door
    raise AssertionError("a stopping server takes new connections")


def test_a_slow_upload_is_cut_and_can_be_resumed(tmp_path: Path) -> None:
    body = os.urandom(3_000_000)
    target = f"/api/v1/blobs/{digest_of(body).replace(':', '/')}?upload=u1&offset=0&size={len(body)}"
    server = Server(tmp_path / "data")
    try:
        connection = socket.create_connection(server.address, timeout=30)
        head = f"PUT {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body[:2_500_000])
        staging = tmp_path / "data" / "blobs" / "staging"
        end = time.monotonic() + 10
        while sum(each.stat().st_size for each in staging.iterdir()) < 1_500_000 and time.monotonic() < end:
            threading.Event().wait(0.01)  # another process writes
        started = time.monotonic()
        server.stop()
        assert 5 < time.monotonic() - started < 20
        connection.close()
    finally:
        server.kill()
    kept = max(each.stat().st_size for each in staging.iterdir())
    assert kept >= 1_500_000
    second = Server(tmp_path / "data")
    try:
        client = http.client.HTTPConnection(*second.address, timeout=30)
        client.request("PUT", target.replace("offset=0", f"offset={kept}"), body[kept:])
        answer = client.getresponse()
        assert answer.status in (200, 201), answer.read()
        client.close()
        second.stop()
    finally:
        second.kill()


def _read_only(place: Path) -> None:
    done = subprocess.run(["mount", "-o", "remount,ro", str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()[:120]}")


def test_a_folder_that_cannot_be_written_is_refused_clearly(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"nothing can be mounted here: {made.stderr.strip()[:120]}")
    try:
        open_local(place / "data", create=True).close()
        _read_only(place)
        for data in (place / "data", place / "new"):
            done = subprocess.run(
                [sys.executable, "-m", "greenroom", "server", "--data", str(data), "--port", "0"],
                capture_output=True, text=True, check=False, cwd=ROOT, timeout=60,
            )  # fmt: skip
            assert done.returncode == 6, done
            assert "Read-only file system" in done.stderr
            assert "Traceback" not in done.stderr
    finally:
        subprocess.run(["umount", str(place)], check=True)
