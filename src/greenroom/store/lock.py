"""Who may write to a data folder: one server for its life, or embedded processes in turn.

Two lock files. `server.lock` is held by a running server and says where it listens. `turn.lock` is held for one write
by an embedded process; the operating system hands it on in the order of asking (SQLite's own busy handler starves
writers, measured). Locks die with their process, so nothing needs cleaning up after a kill.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from greenroom.core.errors import Conflict, Unavailable

TURN_LIMIT_S = 30.0
_PROBE_S = 1.0  # a prober of `server.lock` holds it for microseconds; a server that starts just then tries again

if sys.platform == "win32":  # pragma: no cover - not run here
    import msvcrt

    def _lock(fd: int, *, shared: bool, wait: bool) -> bool:
        mode = msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK
        while True:
            try:
                os.lseek(fd, 1 << 30, os.SEEK_SET)  # far behind the text, which others must be able to read
                msvcrt.locking(fd, mode, 1)
            except OSError:
                if not wait:
                    return False
                continue  # LK_LOCK gives up after 10 s
            return True
else:
    import fcntl

    def _lock(fd: int, *, shared: bool, wait: bool) -> bool:
        mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
        try:
            fcntl.flock(fd, mode)
        except BlockingIOError:
            return False
        return True


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as exc:
        raise Unavailable(
            f"the lock file {path} cannot be opened: {exc.strerror}.",
            hint="Check its rights; if the disk is read-only, copy the whole folder to another one.",
        ) from exc


class ServerLock:
    """Held by a server for its life."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "server.lock"
        self._folder = folder
        self._fd: int | None = None

    def acquire(self) -> None:
        """Take the folder. Raises Conflict naming the server that has it (`details["url"]`, `details["pid"]`)."""
        fd = _open(self._path)
        end = time.monotonic() + _PROBE_S
        while not _lock(fd, shared=False, wait=False):
            owner = _read(fd)
            if owner or time.monotonic() > end:
                os.close(fd)
                raise _owned(self._folder, owner)
            time.sleep(0.01)
        self._fd = fd
        self.announce(None)
        with turn(self._folder):  # whoever was writing embedded has ended; whoever comes after sees this lock
            pass

    def announce(self, url: str | None) -> None:
        """Write where the server listens, for those who find the folder owned."""
        if self._fd is None:
            raise RuntimeError("announce before acquire")
        text = json.dumps({"pid": os.getpid(), "url": url}).encode()
        with contextlib.suppress(OSError):  # on a full disk: a server that is not told of still answers
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, text, 0) if hasattr(os, "pwrite") else _write_at_start(self._fd, text)

    def release(self) -> None:
        """Give the folder back; a second time is no error."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            with contextlib.suppress(OSError):  # what it says only counts while the lock is held
                os.ftruncate(fd, 0)
            os.close(fd)


def _write_at_start(fd: int, text: bytes) -> None:
    os.lseek(fd, 0, os.SEEK_SET)
    os.write(fd, text)


def _read(fd: int) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError):
        os.lseek(fd, 0, os.SEEK_SET)
        found = json.loads(os.read(fd, 4096))
        return found if isinstance(found, dict) else {}
    return {}


def _owned(folder: Path, owner: dict[str, object]) -> Conflict:
    url = owner.get("url")
    where = f" at {url}" if url else ""
    who = f" (process {owner['pid']})" if owner.get("pid") else ""
    return Conflict(
        f"the data folder {folder} is in use by a Greenroom server{where}{who}.",
        hint=f"Use it with --url {url}." if url else "Stop it first, or wait until it is ready.",
        url=url,
        pid=owner.get("pid"),
    )


def check_not_served(folder: Path) -> None:
    """Raise Conflict naming the server if one owns the folder."""
    path = folder / "server.lock"
    if not path.exists():
        return
    fd = _open(path)
    try:
        if not _lock(fd, shared=True, wait=False):
            raise _owned(folder, _read(fd))
    finally:
        os.close(fd)


@contextlib.contextmanager
def turn(folder: Path) -> Iterator[None]:
    """One embedded write: waits for its turn, in the order of asking."""
    fd = _open(folder / "turn.lock")
    if not _lock(fd, shared=False, wait=False):
        _wait_for(fd, folder)
    try:
        yield
    finally:
        os.close(fd)


class _Waiting:
    """One wait for a lock: the thread that waits and the one that may give up agree under `_gate` on who has it."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._gate = threading.Lock()
        self._taken = self._given_up = False
        self._thread = threading.Thread(target=self._take, daemon=True, name="greenroom-turn")

    def get(self, limit_s: float) -> bool:
        """Wait; False when the limit passed first (the file is closed once the lock comes after all)."""
        self._thread.start()
        self._thread.join(limit_s)
        with self._gate:
            self._given_up = not self._taken
        return self._taken

    def _take(self) -> None:
        _lock(self._fd, shared=False, wait=True)
        with self._gate:
            self._taken = not self._given_up
        if not self._taken:
            os.close(self._fd)


def _wait_for(fd: int, folder: Path) -> None:
    """Wait for the lock in the order of asking, but not for ever: whoever holds it may have been stopped.

    Only the operating system knows the order, and it waits without a limit: so a thread waits, and this one looks on.
    """
    if not _Waiting(fd).get(TURN_LIMIT_S):
        raise Conflict(
            f"another process has been writing to {folder} for more than {TURN_LIMIT_S:g} s.",
            hint="Look for a stopped process that holds turn.lock, then try again.",
        )
