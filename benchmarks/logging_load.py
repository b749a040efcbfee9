"""P6 and issue 5: 64 runs that log, and what a holder look-up has to wait for them.

The look-up is that of P1, by one client. The runs log from processes of their own, so that the one that measures is not
held up by those that only make load, and gentler ones, because in life they are the work of other machines. They log
ten single points a second each, as trainings do; the same with a batch of 100 among them every second; and both as fast
as it goes, which no training does: on two processors that takes all there is, and the look-up shares what is left.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.calls import LOAD, READS, measure, post
from benchmarks.servers import API, Server

RUNS = 64
PROCESSES = 4
BATCH = 100  # points of a batch, which is every tenth request where there are any
KINDS: Mapping[str, tuple[bool, float]] = {  # with batches?; one request of each run every so many seconds
    "10 points a second each": (False, 0.1),
    "9 points and a batch of 100 a second each": (True, 0.1),
    "the same, as fast as it goes": (True, 0.0),
}
LOOKUP = "holder of Production"
_TAIL_S = 1.5
_NUMBER = "1@@@@@@@@@"  # see load.py
_HOLE = 1_111_111_111


def requests_of(run: str, number: int, *, batches: bool) -> Sequence[str]:
    """Return what a training logs: points one by one, or nine and a batch; each run is at another place of that."""
    one = {"run_id": run, "key": "loss", "value": 0.5, "timestamp": _HOLE, "step": _HOLE}
    point = _numbered(f"{API}/runs/log-metric", one)
    if not batches:
        return [point]
    points = [{"key": f"m{at}", "value": 0.5, "timestamp": _HOLE, "step": _HOLE} for at in range(BATCH)]
    batch = _numbered(f"{API}/runs/log-batch", {"run_id": run, "metrics": points})
    return [batch if at == number % 10 else point for at in range(10)]


def _numbered(path: str, body: object) -> str:
    return post(path, body).replace(str(_HOLE), _NUMBER)


def start_runs(server: Server, count: int) -> list[str]:
    """Start runs in the default experiment and return their ids."""
    made = [server.call("POST", f"{API}/runs/create", {"experiment_id": "0", "start_time": 1}) for _ in range(count)]
    return [each["run"]["info"]["run_id"] for each in made]


@contextlib.contextmanager
def logging(server: Server, runs: Sequence[str], seconds: float, kind: str) -> Iterator[list[dict[str, Any]]]:
    """Let the runs log for `seconds`, and a little longer than the block; the list is filled when it ends.

    RuntimeError when one of their requests failed.
    """
    batches, every_s = KINDS[kind]
    loads = []
    for part in range(PROCESSES):
        spec = {
            "host": "127.0.0.1", "port": server.port, "seconds": seconds + _TAIL_S, "every_s": every_s, "gentle": True,
            "clients": [requests_of(run, at, batches=batches) for at, run in enumerate(runs) if at % PROCESSES == part],
        }  # fmt: skip
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        load = subprocess.Popen([sys.executable, "-S", str(LOAD)], **pipes)
        load.stdin.write(json.dumps(spec))
        load.stdin.close()
        loads.append(load)
    told: list[dict[str, Any]] = []
    try:
        yield told
        for load in loads:
            told.append(json.loads(load.stdout.read()))
            load.wait()
    finally:
        for load in loads:
            load.kill()
            load.wait()
            load.stdout.close()
    wrong = [each["first_error"] for each in told if each["errors"]]
    if wrong:
        raise RuntimeError(f"{server.name}: a run could not log: {wrong[0]}")


def look_up(server: Server, seconds: float) -> dict[str, Any]:
    """Ask for a holder with one client, call after call."""
    return measure(server, READS[LOOKUP], 1, seconds)


def beside_logging(server: Server, runs: Sequence[str], seconds: float, kind: str) -> dict[str, Any]:
    """Measure the look-up while the runs log; `logged_per_s` says how much they did."""
    with logging(server, runs, seconds, kind) as told:
        found = look_up(server, seconds)
    return found | {
        "logged_per_s": round(sum(each["per_s"] for each in told), 1),
        "logged_p99_ms": max(each["p99_ms"] for each in told),
    }


def points_of(server: Server, run: str) -> int:
    """Return how many single points of a run the server has: what was logged under load is there."""
    found = server.call("GET", f"{API}/metrics/get-history?run_id={run}&metric_key=loss")
    return len(found.get("metrics", ()))
