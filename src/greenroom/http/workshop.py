"""Where blocking work on blobs is done: a few threads per blob store, and the count of uploads that are running."""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from greenroom.core.errors import RateLimited
from greenroom.core.limits import bound
from greenroom.services.ports import BlobStore

MAX_UPLOADS = bound("uploads")
MAX_DOWNLOADS = bound("downloads")
PIECE_BYTES = 1 << 20
# The more downloads, the smaller their pieces: clients that stop reading hold little, all of them together.
_SMALLER_PIECES = ((64, 32 << 10), (16, 64 << 10), (4, 256 << 10))
_THREADS = min(8, 2 * (os.cpu_count() or 1))  # more than the cores can feed only keep the event loop waiting
_LONG_THREADS = 2
T = TypeVar("T")


class Workshop:
    """What all transfers of one blob store share."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="greenroom-bytes")
        self.running: dict[str, int] = {}  # requests by upload id: two while one takes over from the other
        self.downloads = 0
        self.sums: dict[str, asyncio.Future[Any]] = {}  # by digest; see `sums`
        self._long: ThreadPoolExecutor | None = None

    def run(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """Start `function` on a thread. It need not be awaited: its error is reported to who awaits it only."""
        return self._start(self._threads, function, *args)

    def run_long(self, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        """The same for what reads a whole blob, on threads of its own: transfers do not wait for it."""
        if self._long is None:
            self._long = ThreadPoolExecutor(_LONG_THREADS, thread_name_prefix="greenroom-whole")
        return self._start(self._long, function, *args)

    def _start(self, threads: ThreadPoolExecutor, function: Callable[..., T], *args: Any) -> asyncio.Future[T]:
        future = asyncio.get_running_loop().run_in_executor(threads, function, *args)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        return future

    def enter(self, upload_id: str) -> None:
        """Count an upload. Raises RateLimited when too many are running."""
        if sum(self.running.values()) >= MAX_UPLOADS:
            raise _too_many("uploads", MAX_UPLOADS)
        self.running[upload_id] = self.running.get(upload_id, 0) + 1

    def leave(self, upload_id: str) -> None:
        """Count an upload no more."""
        left = self.running.pop(upload_id) - 1
        if left:
            self.running[upload_id] = left

    def begin_download(self) -> None:
        """Count a download that is sent piece by piece. Raises RateLimited when too many are running."""
        if self.downloads >= MAX_DOWNLOADS:
            raise _too_many("downloads", MAX_DOWNLOADS)
        self.downloads += 1

    def piece_bytes(self) -> int:
        """Return how much of a blob a download reads at a time, for as many as there are now."""
        return next((size for above, size in _SMALLER_PIECES if self.downloads > above), PIECE_BYTES)

    def end_download(self) -> None:
        """Count it no more."""
        self.downloads -= 1


def _too_many(what: str, most: int) -> RateLimited:
    return RateLimited(f"{most} {what} are running already.", hint="Try again in a moment.", limit=what, maximum=most)


# Kept beside the store, because nothing else that an edge is given lives as long as the threads should.
_workshops: weakref.WeakKeyDictionary[BlobStore, Workshop] = weakref.WeakKeyDictionary()


def workshop(blobs: BlobStore) -> Workshop:
    """Return the workshop of a blob store. Called on the event loop only."""
    found = _workshops.get(blobs)
    if found is None:
        found = _workshops[blobs] = Workshop()
    return found
