"""Runs the examples of a page as a reader would: in a terminal, in a fresh folder, one after the other.

    ```console            commands after `$ `, continued after `> `; what follows is what must be printed
    ```python train.py    a file of that name is written (any language)

In expected output `…` stands for anything within a line, a line of `…` alone for any number of lines, and a time for
any time. A command ends with 0 unless it says otherwise in a comment (`# exits 1`). `greenroom server` is started in
the background on a free port, which stands in for the one that the page names.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import termios
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_EXITS = re.compile(r"#\s*exits (\d+)\s*$")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\dZ?")
_PORT = re.compile(r"127\.0\.0\.1:(\d+)")
_COLUMNS = 160
_PATIENCE_S = 120
_END = "--- end of command"
_ERASED = re.compile(r"[^\n]*\r\x1b\[K")  # a sign of life, on a machine that is busy: no reader sees it afterwards


@dataclass(frozen=True)
class Step:
    """One command of a page and what it must print."""

    command: str
    expected: tuple[str, ...]
    line: int

    @property
    def status(self) -> int:
        """The exit code that the command must end with."""
        said = _EXITS.search(self.command)
        return int(said[1]) if said else 0


@dataclass(frozen=True)
class NewFile:
    """A file that the page tells the reader to write."""

    name: str
    text: str


def steps_of(page: str) -> list[Step | NewFile]:
    """Return what a page tells the reader to do, in order."""
    found: list[Step | NewFile] = []
    for block in _FENCE.finditer(page):
        language, _, name = block["info"].strip().partition(" ")
        line = page.count("\n", 0, block.start()) + 2
        if language == "console":
            found += _commands(block["text"], line)
        elif name:
            found.append(NewFile(name, block["text"]))
    return found


def _commands(text: str, first: int) -> list[Step]:
    steps: list[Step] = []
    command, expected, begun = "", [], first
    for number, line in enumerate(text.splitlines(), first):
        if line.startswith("$ "):
            if command:
                steps.append(Step(command, tuple(expected), begun))
            command, expected, begun = line[2:], [], number
        elif line.startswith("> ") and command and not expected:
            command += "\n" + line[2:]
        elif command:
            expected.append(line)
        else:
            raise ValueError(f"line {number}: output without a command: {line!r}")
    return [*steps, Step(command, tuple(expected), begun)] if command else steps


def matches(expected: tuple[str, ...], printed: list[str]) -> bool:
    """Say whether the printed lines are the expected ones; `…` is a wildcard."""
    expected = tuple(_TIME.sub("…", line) for line in expected)
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == "…" else _pattern(line.rstrip()) for line in expected)
    return re.fullmatch(pattern, "".join(f"{line.rstrip()}\n" for line in printed)) is not None


def _pattern(line: str) -> str:
    return ".*?".join(re.escape(part) for part in line.split("…")) + r"\n"


@dataclass
class Terminal:
    """A shell in a terminal of its own, in a fresh folder; end it with `close`."""

    folder: Path
    python: str = sys.executable
    ports: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.work = self.folder / "work"
        self.work.mkdir()
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 60, _COLUMNS, 0, 0))
        self._shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, stdout=slave, stderr=slave, text=True,
            cwd=self.work, env=self._environment(),
        )  # fmt: skip
        os.close(slave)
        self._read = b""

    def _environment(self) -> dict[str, str]:
        tools = self.folder / "bin"
        tools.mkdir()
        for name, line in (
            ("greenroom", f'exec {shlex.quote(sys.executable)} -m greenroom "$@"'),
            ("python", f'exec {shlex.quote(self.python)} "$@"'),
        ):
            (tools / name).write_text(f"#!/bin/sh\n{line}\n")
            (tools / name).chmod(0o755)
        kept = {name: os.environ[name] for name in ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT") if name in os.environ}
        return kept | {
            "PATH": f"{tools}{os.pathsep}{kept.get('PATH', os.defpath)}",
            "PYTHONPATH": str(ROOT / "src"),
            "HOME": str(self.folder),
            "GREENROOM_CACHE": str(self.folder / "cache"),
            "GREENROOM_ACTOR": "ana",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "TERM": "dumb",
            "LC_ALL": "C.UTF-8",
            "TZ": "UTC",
        }

    def run(self, step: Step) -> None:
        """Run a command. AssertionError when it prints or ends otherwise than the page says."""
        lines, status = self.answer(step)
        told = "\n".join((f"line {step.line}: $ {step.command}", "printed:", *lines))
        assert matches(step.expected, lines), "\n".join((told, "expected:", *step.expected))
        assert status == step.status, f"{told}\nended with {status}, not {step.status}"

    def answer(self, step: Step) -> tuple[list[str], int]:
        """Run a command and return what it printed, and its exit code."""
        command = _PORT.sub(lambda found: f"127.0.0.1:{self.ports.get(found[1], found[1])}", step.command)
        server = command.startswith("greenroom server")
        printed, status = self._execute(_in_background(command) if server else command)
        if server and (real := _PORT.search(printed)):
            asked = re.search(r"--port (\d+)", step.command)
            self.ports[asked[1] if asked else "5000"] = real[1]
        for stated, real_port in self.ports.items():
            printed = printed.replace(f"127.0.0.1:{real_port}", f"127.0.0.1:{stated}")
        printed = _ERASED.sub("", printed.replace("\r\n", "\n"))
        return printed.rstrip("\n").split("\n") if printed.strip() else [], status

    def write(self, file: NewFile) -> None:
        """Write a file that the page gives."""
        (self.work / file.name).write_text(file.text, "utf-8")

    def _execute(self, command: str) -> tuple[str, int]:
        script = self.folder / "command.sh"
        script.write_text(command + "\n", "utf-8")
        assert self._shell.stdin is not None
        self._shell.stdin.write(f". {shlex.quote(str(script))} </dev/null; printf '%s %s\\n' '{_END}' $?\n")
        self._shell.stdin.flush()
        end = re.compile(re.escape(_END.encode()) + rb" (\d+)\r?\n")
        while not (found := end.search(self._read)):
            self._read += self._more(command)
        printed, self._read = self._read[: found.start()], self._read[found.end() :]
        return printed.decode(), int(found[1])

    def _more(self, command: str) -> bytes:
        ready, _, _ = select.select([self._master], [], [], _PATIENCE_S)
        if not ready or self._shell.poll() is not None:
            raise RuntimeError(f"no end of {command!r}; so far: {self._read.decode(errors='replace')}")
        return os.read(self._master, 65536)

    def close(self) -> None:
        """End the servers that the page started, by their own process ids, then the shell."""
        try:
            self._execute('for pid in "${servers[@]}"; do kill -TERM "$pid"; wait "$pid"; done')
        finally:
            assert self._shell.stdin is not None
            self._shell.stdin.close()
            self._shell.wait(30)
            os.close(self._master)


def _in_background(command: str) -> str:
    """Start a server, wait for its first line and print it. The shell keeps its process id in `servers`."""
    line = re.sub(r" --port \d+", "", command).strip()
    return f'exec {{out}}< <(exec {line} --port 0)\nservers+=($!)\nIFS= read -r said <&"$out"\nprintf "%s\\n" "$said"'
