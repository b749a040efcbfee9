"""What was logged and acknowledged is there after kill -9, once; and the suite notices stores that break that."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import open_local
from greenroom.core.errors import GreenroomError
from greenroom.core.tracking import Metric
from greenroom.services.commands import tracking as c
from greenroom.store import write_tracking, writer
from greenroom.store.texts import Texts
from greenroom.testing.stores import Opened, StoreConformance
from tests.conformance.test_folder_store import fails
from tests.crash.test_kill import Zygote
from tests.promises import promise, sized
from tests.races.kit import SEED, TESTER

CYCLES = sized(40, 5_000)
RUNS = ["a" * 32, "b" * 32]
S = StoreConformance


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    started = Zygote()
    yield started
    started.close()


def log(address: tuple[str, int], run: str, first: int, told: list[int]) -> None:
    """Log points, one or five at a time, until the server is gone; `told` gets those that were acknowledged."""
    connection = http.client.HTTPConnection(*address, timeout=20)
    for at in itertools.count(first, 5):
        points = [{"key": "m", "value": at + more, "timestamp": at + more, "step": at + more} for more in range(5)]
        path, body = "log-batch", {"run_id": run, "metrics": points}
        if at % 2:
            path, body, points = "log-metric", {"run_id": run, **points[0]}, points[:1]
        try:
            connection.request(
                "POST", f"/api/2.0/mlflow/runs/{path}", json.dumps(body), {"Content-Type": "application/json"}
            )
            if connection.getresponse().read() == b"{}":
                told += [each["step"] for each in points]
        except (OSError, http.client.HTTPException):
            break
    connection.close()


def lost_points(zygote: Zygote, folder: Path, cycles: int, mutant: str = "") -> int:
    """Let two runs log to a server and kill it at a random moment, again and again; count what is lost or doubled."""
    chance = random.Random(SEED)
    registry = open_local(folder, create=True)
    for run in RUNS:
        registry.call_now("create_run", c.CreateRun(run, 1, 0), TESTER)
    registry.close()
    told: dict[str, list[int]] = {run: [] for run in RUNS}
    for cycle in range(cycles):
        said, until = folder.parent / f"url-{cycle}", time.monotonic() + 20
        pid = zygote.ask("server", folder, said, mutant)
        while not said.exists():
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.001)
        host, _, port = said.read_text().removeprefix("http://").partition(":")
        threads = [
            threading.Thread(target=log, args=((host, int(port)), run, (cycle * 100_000) + at, told[run]))
            for at, run in enumerate(RUNS)
        ]
        for each in threads:
            each.start()
        threading.Event().wait(chance.uniform(0.01, 0.08))  # the random moment
        zygote.ask("kill", pid)
        for each in threads:
            each.join(30)
    assert sum(map(len, told.values())) > cycles  # the killed ones were really logging
    return sum(_wrong(folder, run, points) for run, points in told.items())


def _wrong(folder: Path, run: str, told: list[int]) -> int:
    registry = open_local(folder)
    points: tuple[Metric, ...] = registry.call_now("metric_history", c.MetricHistory((run,), "m"), TESTER).items
    newest: Metric = registry.call_now("get_run", c.RunNamed(run), TESTER).metrics[0]
    registry.close()
    steps = [each.step for each in points]
    return len(set(told) - set(steps)) + len(steps) - len(set(steps)) + (newest.step != max(steps))


@promise(
    "F2",
    "a server that two runs log to killed {cycles} times",
    cycles=CYCLES,
    mutant="test_a_store_that_answers_too_early_is_seen",
)
@pytest.mark.slow
def test_an_acknowledged_point_is_there(zygote: Zygote, tmp_path: Path) -> None:
    assert lost_points(zygote, tmp_path / "data", CYCLES) == 0


def test_a_store_that_answers_too_early_is_seen(zygote: Zygote, tmp_path: Path) -> None:
    assert lost_points(zygote, tmp_path / "data", 40, "answer_before_commit") > 0


def _always_newer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Texts, "newest", property(lambda self: (_newest(self), self._overwriting("run_metric"))))


def _never_newer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Texts, "newest", property(lambda self: (_newest(self), "ON CONFLICT DO NOTHING")))


def _newest(texts: Texts) -> str:
    return texts._points("run_metric")


def _replacing(patch: pytest.MonkeyPatch) -> None:
    text = write_tracking.TrackingWrites._put_text

    def replacing(self: Any, table: str, on_clash: Any) -> str:
        return text(self, table, "replace" if table == "run_param" else on_clash)

    patch.setattr(write_tracking.TrackingWrites, "_put_text", replacing)


def _halves_stay(patch: pytest.MonkeyPatch) -> None:
    def trusting(self: Any, tx: Any, job: Any) -> Any:
        try:
            return writer._Outcome(job, value=self._once(tx, job))
        except GreenroomError as exc:
            return writer._Outcome(job, error=exc)

    patch.setattr(writer.BatchRunner, "_trusting", trusting)


def _all_or_none(patch: pytest.MonkeyPatch) -> None:
    attempt = writer.BatchRunner._attempt
    patch.setattr(writer.BatchRunner, "_attempt", lambda self, jobs, *, apart: attempt(self, jobs, apart=False))


def _any_table(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(write_tracking, "_require_tracked", lambda table: None)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (_always_newer, S.test_the_newest_point_is_the_greatest),
        (_never_newer, S.test_the_newest_point_is_the_greatest),
        (_replacing, S.test_of_two_values_at_once_one_is_refused),
        (_any_table, S.test_who_only_logs_cannot_change_the_registry),
        (_halves_stay, S.test_logs_of_a_batch_do_not_share_their_fate),
        (_all_or_none, S.test_logs_of_a_batch_do_not_share_their_fate),
    ],
)
def test_a_broken_store_is_noticed(
    tmp_path: Path, broken: Callable[[pytest.MonkeyPatch], None], test: Callable[..., None]
) -> None:
    def run(opened: Opened) -> Any:
        return test(StoreConformance(), opened)

    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        assert fails(tmp_path, run)
