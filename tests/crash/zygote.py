"""Starts many short-lived Greenroom processes quickly: everything is imported once, each process is a fork of that.

Spoken to by lines: `server FOLDER SAID [MUTANT]`, `embedded FOLDER SAID CYCLE WRITERS` and `faulty FOLDER LEDGER GO`
(faulty.py) answer with a process id; `kill PID` ends one as a power switch would and answers when it is gone, `wait
PID` answers with its exit status. What the forks say goes to the files they are given.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from pathlib import Path

from greenroom.app import open_local, serve_forever
from greenroom.core.model import Actor
from greenroom.http import (
    asgi,
    mlflow_artifacts,
    mlflow_registry,
    mlflow_service,
    native,
    openapi,
    reference,
    run,
)
from greenroom.http import (
    bytes as byte_routes,
)
from greenroom.services import commands as c
from greenroom.services.api import BY_NAME
from tests.crash.faulty import play, warm_up
from tests.races.mutants import MUTANTS

_PR_SET_PTRACER = 0x59616D61
_LOADED = (asgi, byte_routes, mlflow_artifacts, mlflow_registry, mlflow_service, native, openapi, reference, run)


def _server(folder: str, said: str, mutant: str = "") -> None:
    if mutant:
        MUTANTS[mutant]()
    draft = Path(said + ".draft")

    def ready(url: str) -> None:
        draft.write_text(url)
        draft.rename(said)

    serve_forever(data=Path(folder), host="127.0.0.1", port=0, on_ready=ready)


def _embedded(folder: str, said: str, cycle: str, writers: str) -> None:
    """Write with several threads until killed; every answered write is noted, unbuffered, in a ledger."""
    registry = open_local(Path(folder))
    ledger = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def work(number: int) -> None:
        for at in range(1_000_000):
            name = f"e{cycle}-{number}-{at}"
            registry.call_now("register_version", c.RegisterVersion("m", source="s3://elsewhere/m"), Actor(name))
            os.write(ledger, f"{name}\n".encode())

    for number in range(int(writers)):
        threading.Thread(target=work, args=(number,), daemon=True).start()
    signal.pause()


def _let_trace() -> None:
    """Let a process that is not our parent trace this one, where the system asks for that (Yama)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PTRACER, ctypes.c_long(-1), 0, 0, 0)


def _fork(work: list[str]) -> int:
    pid = os.fork()
    if pid == 0:
        try:
            _let_trace()
            os._exit({"server": _server, "embedded": _embedded, "faulty": play}[work[0]](*work[1:]) or 0)
        finally:
            os._exit(1)
    return pid


def main() -> None:
    """Answer one line on stdout for each line on stdin."""
    for row in BY_NAME.values():
        with contextlib.suppress(ModuleNotFoundError):  # a use case that is not there fails its own tests
            row.load()
    for line in sys.stdin:
        words = line.split()
        if words[0] == "kill":
            os.kill(int(words[1]), signal.SIGKILL)
            os.waitpid(int(words[1]), 0)
            print("gone", flush=True)
        elif words[0] == "wait":
            print(os.waitstatus_to_exitcode(os.waitpid(int(words[1]), 0)[1]), flush=True)
        else:
            if words[0] == "faulty":
                warm_up()
            print(_fork(words), flush=True)


if __name__ == "__main__":
    main()
