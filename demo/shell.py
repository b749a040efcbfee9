"""Commands of the story: run for real, with their output as a terminal would show it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.story import Story

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Done:
    """A command that ended: its exit code, and what it printed on both streams in order."""

    code: int
    text: str


class Shell:
    """Runs the commands that come with Greenroom, in `folder`, with `env` on top of this process's environment."""

    def __init__(self, story: Story, folder: Path, env: Mapping[str, str]) -> None:
        self._story = story
        self._folder = folder
        self._env = {**os.environ, **env, "COLUMNS": "120", "LINES": "50"}
        if not story.console.is_terminal:
            self._env["NO_COLOR"] = "1"

    def run(
        self,
        line: str,
        *,
        exits: int = 0,
        says: Sequence[str] = (),
        claim: str | None = None,
        shown: int | None = None,
        env: Mapping[str, str] | None = None,
        hide: Collection[str] = (),
    ) -> str:
        """Run a command line, show it with its output (`shown` lines of it), and return the output.

        Settings in `env` are shown before the command, but those named in `hide`.
        Raises Untrue unless it ends with `exits` and its output holds all of `says`. `claim` is said when it does.
        """
        settings = "".join(f"{name}={shlex.quote(value)} " for name, value in (env or {}).items() if name not in hide)
        self._story.command(settings + line)
        done = self._run(shlex.split(line), {**self._env, **(env or {})})
        self._story.output(_head(done.text, shown))
        wanted = claim or (f"refused, exit code {exits}" if exits else "done, exit code 0")
        # A terminal breaks lines where they are full: a sentence may be cut anywhere.
        seen = "".join(_plain(done.text).split())
        missing = [each for each in says if "".join(each.split()) not in seen]
        instead = f"exit code {done.code}, output without {missing}:\n{done.text}"
        self._story.check(done.code == exits and not missing, wanted, instead)
        return done.text

    def _run(self, words: Sequence[str], env: Mapping[str, str]) -> Done:
        beside = Path(sys.executable).parent / words[0]
        command = [str(beside) if beside.exists() else words[0], *words[1:]]
        return (_run_plainly if sys.platform == "win32" else _run_on_terminal)(command, self._folder, env)


def _run_on_terminal(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Done:
    """Run on a pseudo terminal: there commands print tables and colours; into a pipe they would print JSON."""
    reader, writer = os.openpty()
    _widen(writer)
    process = subprocess.Popen(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, start_new_session=True
    )
    os.close(writer)
    clock = threading.Timer(TIMEOUT_S, process.kill)
    clock.start()
    try:
        text = _read_all(reader)
        return Done(process.wait(), text.replace("\r\n", "\n"))
    finally:
        clock.cancel()
        process.kill()
        process.wait()
        os.close(reader)


def _run_plainly(command: Sequence[str], folder: Path, env: Mapping[str, str]) -> Done:
    done = subprocess.run(
        command, cwd=folder, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    return Done(done.returncode, done.stdout.decode("utf-8", "replace"))


def _widen(terminal: int) -> None:
    import fcntl
    import struct
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 120, 0, 0))


def _read_all(terminal: int) -> str:
    pieces: list[bytes] = []
    while True:
        try:
            piece = os.read(terminal, 1 << 16)
        except OSError:  # EIO: whoever wrote has ended
            piece = b""
        if not piece:
            return b"".join(pieces).decode("utf-8", "replace")
        pieces.append(piece)


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def _head(text: str, lines: int | None) -> str:
    kept = text.rstrip("\n").splitlines()
    if lines is None or len(kept) <= lines:
        return text
    return "\n".join([*kept[:lines], f"... {len(kept) - lines} more lines"])
