"""What a process asks of the file system, seen from outside with strace: recorded call by call, or made to fail.

Nothing of the process is replaced: the real store, its real connections, the real files.
"""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OF_NAMES = "openat,unlink,unlinkat,rename,renameat,renameat2,link,linkat,mkdir,mkdirat"
CHANGES = f"write,pwrite64,ftruncate,fsync,fdatasync,{_OF_NAMES}"
_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)(?:<[^>]*>)?(?: .*)?$")
_UNFINISHED = re.compile(r"^(\d+) +(\w+)\((.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. (\w+) resumed>(.*)$")
_BYTES = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_FD = re.compile(r"^(?:\d+|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")


@functools.cache
def why_not() -> str | None:
    """Return why no process can be traced here, or None."""
    if shutil.which("strace") is None:
        return "strace is not installed (it is one of the Makefile's DEBIAN_PACKAGES)"
    with tempfile.TemporaryDirectory() as folder:
        tried = subprocess.run(
            ["strace", "-f", "-o", f"{folder}/log", "true"], capture_output=True, text=True, check=False
        )
    return None if tried.returncode == 0 else f"this system allows no tracing: {tried.stderr.strip()[:200]}"


@dataclass(frozen=True)
class Call:
    """One call that succeeded: its name, the path of its file descriptor, its strings, all as text, and the answer."""

    name: str
    path: str | None
    strings: tuple[bytes, ...]
    rest: str
    answer: int

    def text(self, at: int) -> str:
        """Return a path among the arguments."""
        return self.strings[at].decode()


def record(command: list[str], log: Path, cwd: Path) -> list[Call]:
    """Run a command to its end and return the calls of `CHANGES` that it made, in order. It must succeed."""
    strace = ["strace", "-f", "-y", "-xx", "-s", "10000000", "--seccomp-bpf", "-e", f"trace={CHANGES}"]
    subprocess.run(
        [*strace, "-e", "signal=none", "-o", str(log), sys.executable, *command], cwd=cwd, check=True, timeout=120
    )
    return list(parse(log))


def parse(log: Path) -> Iterator[Call]:
    """Yield the successful calls of a log; one that another thread's cut in two counts where it came back."""
    begun: dict[str, str] = {}
    for line in log.read_text("ascii").splitlines():
        cut = _UNFINISHED.match(line)
        if cut is not None:
            begun[cut[1]] = f"{cut[1]} {cut[2]}({cut[3]}"
            continue
        back = _RESUMED.match(line)
        found = _LINE.match(begun.pop(back[1]) + back[3] if back is not None else line)
        if found is not None and int(found[4]) >= 0:
            yield _call(found)


def _call(found: re.Match[str]) -> Call:
    arguments = found[3]
    fd = _FD.match(arguments)
    strings = tuple(_plain(each) for each in _BYTES.findall(arguments))
    return Call(
        found[2],
        _plain(fd[1]).decode() if fd is not None else None,
        strings,
        arguments.rpartition('"')[2],
        int(found[4]),
    )


def _plain(hexed: str) -> bytes:
    return bytes.fromhex(hexed.replace("\\x", ""))
