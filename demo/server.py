"""The demo's own server: started as anybody would start it, and stopped by its process, no other."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType

_READY = re.compile(r"ready at (http://\S+)")
START_S = 30.0
STOP_S = 15.0


class NotStarted(Exception):
    """The server ended, or said nothing, instead of getting ready; the text is what it said."""


class Server:
    """`greenroom server` on a folder, as a process of its own; a context manager."""

    def __init__(self, data: Path, *, port: int = 0) -> None:
        self.words = ["greenroom", "server", "--data", str(data), "--port", str(port)]
        self.url = ""
        self.ready_s = 0.0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Server:
        began = time.monotonic()
        # A session of its own: Ctrl-C is for the demo, which then stops the server and waits for its clean end.
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self.words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip
        try:
            self.url = self._wait_until_ready(self._process)
        except BaseException:
            self.stop()
            raise
        self.ready_s = time.monotonic() - began
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> int | None:
        """End the server and return its exit code; None when it had not been started."""
        process = self._process
        if process is None:
            return None
        if process.poll() is None:
            process.terminate()
        try:
            return process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def wait(self) -> int:
        """Wait until the server ends by itself, and return its exit code."""
        if self._process is None:
            raise RuntimeError("wait before start")
        return self._process.wait()

    @property
    def pid(self) -> int:
        """The server's process id."""
        if self._process is None:
            raise RuntimeError("pid before start")
        return self._process.pid

    @staticmethod
    def _wait_until_ready(process: subprocess.Popen[str]) -> str:
        said: list[str] = []
        clock = threading.Timer(START_S, process.kill)
        clock.start()
        try:
            for line in process.stdout or ():
                said.append(line)
                if found := _READY.search(line):
                    # Whatever it says later must not fill the pipe and stop it.
                    threading.Thread(target=_drain, args=(process,), daemon=True).start()
                    return found[1]
        finally:
            clock.cancel()
        raise NotStarted("".join(said).strip() or f"it said nothing for {START_S:g} s")


def _drain(process: subprocess.Popen[str]) -> None:
    for line in process.stdout or ():
        sys.stderr.write(line)
