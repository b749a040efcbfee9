"""Runs `greenroom` command lines in children of one warm process, so that they can be killed where it hurts.

`python -m tests.store.carrier [later]` reads requests, a JSON list each: ["run", *arguments] answers the child's
number; ["kill", number] and ["wait", number] answer its exit status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Carrier:
    """The process, as the tests talk to it."""

    def __init__(self, *options: str, slow: bool = False) -> None:
        environment = os.environ | ({"GREENROOM_TEST_SLOW": "1"} if slow else {})
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.carrier", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )

    def start(self, *arguments: object) -> int:
        """Begin a command line; return the number of its process."""
        return self._ask("run", *map(str, arguments))

    def kill(self, pid: int) -> None:
        """End it at once."""
        self._ask("kill", pid)

    def wait(self, pid: int) -> int:
        """Wait for its end; return its exit code."""
        return self._ask("wait", pid)

    def _ask(self, *words: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(words), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End it."""
        self._process.communicate(timeout=20)


def _run(arguments: list[str]) -> int:
    pid = os.fork()
    if pid:
        return pid
    with open(os.devnull, "w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 1)
        os.dup2(nothing.fileno(), 2)
    code = 70
    try:
        from greenroom.cli.main import main

        code = main(arguments)
    finally:
        os._exit(code)


def _serve() -> None:
    import greenroom.cli.commands_db
    import greenroom.store.postgres
    import greenroom.store.shared
    import greenroom.upkeep.checking
    import greenroom.upkeep.jobs  # noqa: F401

    if "later" in sys.argv[1:]:
        from tests.store.later import become_later

        become_later()
    for line in sys.stdin:
        word, *rest = json.loads(line)
        if word == "run":
            print(_run(rest), flush=True)
            continue
        if word == "kill":
            os.kill(rest[0], signal.SIGKILL)
        _, status = os.waitpid(rest[0], 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()
