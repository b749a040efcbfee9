"""A load generator: N connections, each sends its requests in turn and waits for the answer before the next.

Runs as a process of its own (`python benchmarks/load.py < spec.json`), without any HTTP library: what it costs per call
must be small beside what is measured, and the same for every server. Keep-alive, TCP_NODELAY, Content-Length only.

    {"host": "127.0.0.1", "port": 5000, "seconds": 3.0, "warm_s": 0.5,
     "clients": [["GET /health HTTP/1.1\\r\\n...", ...], ...],     one list of requests per client, cycled
     "every_s": 0.1,          optional: a client sends at this pace, once it has the answer before, and not at once
     "gentle": true}          optional: whoever else wants the processor gets it first

`@@@@@@@@@` in a request becomes the client's running number, in as many digits: what is logged is never the same twice.

Prints {"calls", "seconds", "p50_ms", "p90_ms", "p99_ms", "max_ms", "errors", "first_error", "cpu_s"}.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_NO_ANSWER_S = 30.0
_NUMBER = b"@@@@@@@@@"


@dataclass
class _Client:
    sock: socket.socket
    requests: Sequence[bytes]
    turn: int = 0
    sent_at: float = 0.0
    due_at: float = 0.0  # when it is to send next; only with a pace
    answer: bytearray = field(default_factory=bytearray)
    wanted: int = -1  # bytes of the whole answer; -1: its head is not there yet

    def send(self) -> None:
        self.answer.clear()
        self.wanted = -1
        request = self.requests[self.turn % len(self.requests)]
        if _NUMBER in request:
            request = request.replace(_NUMBER, b"%09d" % self.turn)
        self.turn += 1
        self.sent_at = time.perf_counter()
        self.sock.sendall(request)

    def receive(self) -> bool:
        """Take what came; True when the answer is whole. Raises ConnectionError when the server hung up."""
        piece = self.sock.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server closed the connection")
        self.answer += piece
        if self.wanted < 0:
            end = self.answer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.wanted = end + 4 + _length(bytes(self.answer[:end]))
        return len(self.answer) >= self.wanted


def _length(head: bytes) -> int:
    at = head.lower().find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    return int(head[at + 17 :].split(b"\r\n", 1)[0])


def run(spec: dict[str, Any]) -> dict[str, Any]:
    """Put the load on and return what was measured. The first `warm_s` seconds do not count."""
    if spec.get("gentle"):
        _step_aside()
    clients = [_connect(spec, requests) for requests in spec["clients"]]
    try:
        return _drive(clients, spec["seconds"], spec.get("warm_s", 0.5), spec.get("every_s", 0.0))
    finally:
        for client in clients:
            client.sock.close()


def _step_aside() -> None:
    """Leave the processor at once to whoever else wants it, where the system knows such a policy."""
    if hasattr(os, "SCHED_IDLE"):
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _connect(spec: dict[str, Any], requests: Sequence[str]) -> _Client:
    sock = socket.create_connection((spec["host"], spec["port"]), timeout=_NO_ANSWER_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _Client(sock, [each.encode() for each in requests])


def _drive(clients: Sequence[_Client], seconds: float, warm_s: float, every_s: float) -> dict[str, Any]:
    selector = selectors.DefaultSelector()
    began = time.perf_counter()
    resting: deque[_Client] = deque()  # in the order in which they are due
    for number, each in enumerate(clients):
        selector.register(each.sock, selectors.EVENT_READ, each)
        each.due_at = began + every_s * number / len(clients)  # spread over the pace
        resting.append(each)
    counts_from = began + warm_s
    ends_at = counts_from + seconds
    times: list[float] = []
    errors, first_error, cpu = 0, "", _cpu_s()
    while (now := time.perf_counter()) < ends_at:
        while resting and resting[0].due_at <= now:
            resting.popleft().send()
        ready = selector.select(max(0.0, resting[0].due_at - now) if resting else _NO_ANSWER_S)
        if not ready and not resting:
            raise TimeoutError(f"no answer for {_NO_ANSWER_S:g} s")
        for key, _ in ready:
            client: _Client = key.data
            if not client.receive():
                continue
            now = time.perf_counter()
            if now >= counts_from:
                times.append(now - client.sent_at)
                if client.answer[9:12] != b"200":
                    errors += 1
                    first_error = first_error or bytes(client.answer[:600]).decode("utf-8", "replace")
            if every_s:
                client.due_at = max(client.due_at + every_s, now)
                resting.append(client)
            else:
                client.send()
    return _summary(times, now - counts_from, errors, first_error, _cpu_s() - cpu)


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _summary(times: list[float], seconds: float, errors: int, first_error: str, cpu_s: float) -> dict[str, Any]:
    times.sort()
    return {
        "calls": len(times),
        "seconds": round(seconds, 3),
        "per_s": round(len(times) / seconds, 1),
        "p50_ms": _quantile(times, 0.5),
        "p90_ms": _quantile(times, 0.9),
        "p99_ms": _quantile(times, 0.99),
        "max_ms": _quantile(times, 1.0),
        "errors": errors,
        "first_error": first_error,
        "client_cpu_s": round(cpu_s, 3),
    }


def _quantile(times: Sequence[float], part: float) -> float | None:
    """Return the value below which `part` of the sorted times lie, in milliseconds; None without any."""
    if not times:
        return None
    return round(times[min(len(times) - 1, int(part * len(times)))] * 1000, 4)


if __name__ == "__main__":
    json.dump(run(json.load(sys.stdin)), sys.stdout)
