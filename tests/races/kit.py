"""What the reliability tests share: real server processes, a client that can be cut, a check after each run.

`GREENROOM_SEED` gives every test another course of chance; the seed is printed. Sizes are those of tests/promises.py.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from greenroom.app import open_local
from greenroom.core.codec import to_plain
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.services.api import BY_NAME

SEED = int(os.environ.get("GREENROOM_SEED", "20261121"))
ROOT = Path(__file__).resolve().parents[2]
TESTER = Actor("tester")
_READY = re.compile(r"is ready at (http://\S+)")
_FIELD = re.compile(r"\{(\w+)\}")


class Server:
    """A real server process on a free port of loopback; `mutant` takes one of its protections away (see mutants.py)."""

    def __init__(self, data: Path, *options: str, mutant: str | None = None) -> None:
        module = ["greenroom"] if mutant is None else ["tests.races.mutants", mutant]
        started = time.monotonic()
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - not a pipe: nobody reads it, and a full one would stop the server
        self.process = subprocess.Popen(
            [sys.executable, "-m", *module, "server", "--data", str(data), "--port", "0", *options],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = _READY.search(line)
        if found is None:
            self.process.communicate(timeout=20)
            log.seek(0)
            told = log.read()
            log.close()
            raise AssertionError(f"the server did not start: {line!r} {told}")
        self._log = log
        self.ready_s = time.monotonic() - started
        self.url = found[1]

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def said(self) -> list[str]:
        """Return the lines that it wrote to its log so far."""
        self._log.seek(0)
        return self._log.read().splitlines()

    def kill(self) -> None:
        """End it as a power switch would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as an administrator would; it must end without an error."""
        self._end(signal.SIGTERM)
        assert self.process.returncode == 0

    def _end(self, how: signal.Signals) -> None:
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.communicate(timeout=30)
        self._log.close()


@contextlib.contextmanager
def serving(data: Path, *options: str, mutant: str | None = None) -> Iterator[Server]:
    """Run a server process for the length of a block."""
    server = Server(data, *options, mutant=mutant)
    try:
        yield server
        server.stop()
    finally:
        server.kill()


def wire(operation: str, command: Any) -> tuple[str, str, bytes | None]:
    """Return method, target and body of the native request for an operation of the table."""
    row = BY_NAME[operation]
    values = {name: value for name, value in to_plain(command).items() if value is not None}
    in_path = _FIELD.findall(row.path)
    path = "/api/v1" + _FIELD.sub(lambda found: quote(str(values[found[1]]), safe="@"), row.path)
    rest = {name: value for name, value in values.items() if name not in in_path}
    if row.method in ("GET", "DELETE"):
        return row.method, path + ("?" + urlencode(rest, doseq=True) if rest else ""), None
    return row.method, path, json.dumps(rest).encode()


class Client:
    """One connection to a server, kept open. Used by one thread."""

    def __init__(self, address: tuple[str, int], actor: str = "tester") -> None:
        self._address = address
        self._actor = actor
        self._connection: http.client.HTTPConnection | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def ask(self, operation: str, command: Any, *, key: str | None = None, actor: str | None = None) -> tuple[int, Any]:
        """Send one request; returns status and parsed body. OSError or HTTPException when the server went away."""
        method, target, body = wire(operation, command)
        connection = self._connection = self._connection or http.client.HTTPConnection(*self._address, timeout=60)
        try:
            connection.request(method, target, body, self._headers(body, key, actor))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        except BaseException:
            self.close()
            raise

    def do(self, operation: str, command: Any, *, key: str | None = None) -> Any:
        """Send one request that must succeed; returns the answer."""
        status, answer = self.ask(operation, command, key=key)
        assert status == 200, (operation, command, status, answer)
        return answer

    def cut(self, operation: str, command: Any, *, keep: float, key: str | None = None) -> None:
        """Send the part `keep` (0 to 1) of a request on a connection of its own, then cut it without reading."""
        self.send_only(operation, command, keep=keep, key=key).close()

    def send_only(self, operation: str, command: Any, *, keep: float = 1.0, key: str | None = None) -> socket.socket:
        """Send (a part of) a request and return the connection; closing it resets it."""
        method, target, body = wire(operation, command)
        headers = self._headers(body, key, None) | {"Host": "localhost", "Content-Length": str(len(body or b""))}
        head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items()) + "\r\n"
        data = head.encode() + (body or b"")
        connection = socket.create_connection(self._address, timeout=20)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.sendall(data[: max(1, round(len(data) * keep))])
        return connection

    def _headers(self, body: bytes | None, key: str | None, actor: str | None) -> dict[str, str]:
        headers = {"X-Greenroom-Actor": actor or self._actor}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if key is not None:
            headers["Idempotency-Key"] = key
        return headers

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def together(count: int, work: Callable[[int], None]) -> list[BaseException]:
    """Run `work(0)` to `work(count - 1)` in threads that start at the same moment; return what they raised."""
    barrier = threading.Barrier(count)
    raised: list[BaseException] = []

    def run(number: int) -> None:
        try:
            barrier.wait(60)
            work(number)
        except BaseException as exc:
            raised.append(exc)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


def problems_of_log(folder: Path) -> list[str]:
    """C9: what is wrong: a log that is not dense or whole, tables that are not its replay, blobs that are lost."""
    registry = open_local(folder)
    try:
        report = registry.call_now("audit_verify", c.AuditVerify(), TESTER)
        found = [f"{each.kind} {each.where}: {each.message}" for each in report.findings]
        if report.status != "ok" and not found:
            found = [report.status]
        with registry.snapshot() as tx:
            head, _ = tx.audit_head()
        if head.size != report.entries:
            found.append(f"the head says {head.size}, {report.entries} entries are there")
        return found
    finally:
        registry.close()
