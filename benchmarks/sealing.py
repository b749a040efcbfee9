"""A3: what the audit log costs of a durable commit: chain, tree, signature of the new head and their rows.

In this process, on a folder of its own, with SQLite at `synchronous=FULL`: no server, no network, so that the share is
the largest there can be. `python benchmarks/sealing.py` prints it.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from greenroom.app import open_local  # noqa: E402
from greenroom.core.model import Actor  # noqa: E402
from greenroom.services import commands as c  # noqa: E402
from greenroom.services.ports import Request  # noqa: E402
from greenroom.services.versions import set_version_tag  # noqa: E402
from greenroom.store import sealing, writer  # noqa: E402

BATCHES = (1, 32)  # requests a commit; one signed checkpoint each commit
_BENCH = Actor("bench")


def measure(folder: Path, commits: int) -> dict[str, Any]:
    """Return, per size of a batch, the medians of a commit and of the sealing inside it (us), and the share."""
    registry = open_local(folder, create=True)
    try:
        ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=True)
        registry.call_now("register_version", ask, _BENCH)
        return {str(size): _measure(registry.store._runner, size, commits) for size in BATCHES}
    finally:
        registry.close()


def _measure(runner: writer.BatchRunner, size: int, commits: int) -> dict[str, Any]:
    sealed: list[float] = []
    taken: list[float] = []

    def timed(*given: Any) -> Any:
        began = time.perf_counter()
        try:
            return sealing.seal_batch(*given)
        finally:
            sealed.append(time.perf_counter() - began)

    with _sealing_with(timed):
        for number in range(commits + 20):
            jobs = [_job(f"{number}-{each}") for each in range(size)]
            began = time.perf_counter()
            runner.run(jobs)
            taken.append(time.perf_counter() - began)
            for job in jobs:
                job.future.result()
    del sealed[:20], taken[:20]  # statements are compiled and pages read in the first ones
    return {
        "commits": commits,
        "commit_us": round(statistics.median(taken) * 1e6, 1),
        "seal_us": round(statistics.median(sealed) * 1e6, 1),
        "share": round(statistics.median(one / all_ for one, all_ in zip(sealed, taken, strict=True)), 4),
    }


def _job(value: str) -> writer.Job:
    """The smallest audited change there is: one row."""
    command = c.SetVersionTag("m", 1, "team", value)
    return writer.Job(set_version_tag, command, _BENCH, Request(value), "set_version_tag", None)


@contextlib.contextmanager
def _sealing_with(function: Callable[..., Any]) -> Iterator[None]:
    """Let the writer seal with another function for the length of a block."""
    writer.seal_batch = function
    try:
        yield
    finally:
        writer.seal_batch = sealing.seal_batch


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="greenroom-bench-") as made:
        print(json.dumps(measure(Path(made) / "data", 2_000), indent=1))
