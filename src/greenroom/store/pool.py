"""Connections for reading: a bounded number, each lent to one thread at a time, with a bound on how long one waits."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from greenroom.core.errors import Unavailable
from greenroom.store.driver import Connection


class Pool:
    """Opens at most `size` connections, each when it is needed first, and keeps them until `close`."""

    def __init__(self, connect: Callable[[], Connection], *, size: int, wait_s: float) -> None:
        """A caller who waits longer than `wait_s` for a connection gets Unavailable."""
        self._connect = connect
        self._size = size
        self._wait_s = wait_s
        self._free = threading.BoundedSemaphore(size)
        self._guard = threading.Lock()
        self._idle: list[Connection] = []  # the one used last is taken first: the others may have been cut by now
        self._closed = False

    @contextlib.contextmanager
    def lend(self) -> Iterator[Connection]:
        """Lend a connection for the length of a block. Raises Unavailable when none is free, or none can be had."""
        if not self._free.acquire(timeout=self._wait_s):
            raise Unavailable(
                f"all {self._size} connections for reading were busy for {self._wait_s:g} s.",
                hint="Try again in a moment.",
                limit="readers",
            )
        try:
            db = self._take() or self._connect()
            try:
                yield db
            finally:
                self._give_back(db)
        finally:
            self._free.release()

    def _take(self) -> Connection | None:
        with self._guard:
            return self._idle.pop() if self._idle else None

    def _give_back(self, db: Connection) -> None:
        with self._guard:
            if not self._closed:
                self._idle.append(db)
                return
        db.close()

    def close(self) -> None:
        """Close what is idle now, and what is lent as soon as it comes back."""
        with self._guard:
            self._closed = True
            idle, self._idle = self._idle, []
        for db in idle:
            db.close()
