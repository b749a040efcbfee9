"""The writer's thread: what waits is gathered into batches, which `store.writer` runs."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from typing import Any

from greenroom.core.errors import Unavailable
from greenroom.store.writer import BatchRunner, Job

MAX_BATCH = 64
GATHER_S = 0.004
_ASK_AGAIN_S = 0.1


class Writer:
    """The writer's thread: takes what waits, at most MAX_BATCH at a time, and runs it."""

    def __init__(self, runner: BatchRunner) -> None:
        self._runner = runner
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._gate = threading.Lock()
        self._stopped = False
        self._together = 1
        self._thread = threading.Thread(target=self._work, name="greenroom-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> Future[Any]:
        """Queue a job; its future is done when it is durable or failed. Raises Unavailable after `stop`."""
        with self._gate:  # so that nothing is queued behind the end
            if self._stopped:
                raise Unavailable("the server is stopping.", hint="Try again in a moment.")
            self._jobs.put(job)
        return job.future

    def stop(self, timeout_s: float) -> None:
        """Finish what is queued, then end. Raises Unavailable when that takes longer than `timeout_s`."""
        with self._gate:
            self._stopped = True
            self._jobs.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            raise Unavailable(f"the writer did not end within {timeout_s:g} s.")

    def _work(self) -> None:
        ended = False
        while not ended:
            try:
                first = self._jobs.get(timeout=_ASK_AGAIN_S if self._runner.is_in_doubt else None)
            except queue.Empty:  # somebody waits to hear whether a commit took place
                self._runner.run([])
                continue
            batch, ended = self._gather(first) if first is not None else ([], True)
            self._runner.run(batch)
        self._runner.give_up()

    def _gather(self, first: Job) -> tuple[list[Job], bool]:
        """Return what waits, and whether it is the end.

        Logs wait a moment for as many as came together last time: a commit for each would leave look-ups no rest, and
        the disk none either. Whoever logs alone never waits, and nothing but logs does.
        """
        batch, ended = [first], False
        until = time.monotonic() + GATHER_S
        while not ended and len(batch) < MAX_BATCH:
            early = len(batch) < self._together and all(job.logs_only for job in batch)
            left = until - time.monotonic() if early else 0.0
            try:
                job = self._jobs.get(timeout=left) if left > 0 else self._jobs.get_nowait()
            except queue.Empty:
                break
            ended = job is None
            batch += [job] if job is not None else []
        self._together = sum(job.logs_only for job in batch)
        return batch, ended
