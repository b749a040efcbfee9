"""Whether the registry can write: a failed fsync, a disk that is full, a disk that has reached its floor of free space.

A failed fsync is final for this process (reliability F5): the kernel may have dropped the very pages that it could not
write and answer the next fsync with success, so that asking again would acknowledge what no disk holds. Only a restart,
which reads what really is there, ends that state. Everything else passes: each write tries for itself, and the first
one that succeeds ends it. Reads go on in every state, because what they see was durable before the trouble began.

The floor keeps room for what must not fail: files are refused first (they are what fills disks), changes of rows only
when an eighth of the floor is left, so that a log and its checkpoint always find the space that they need. What makes
room, deleting files and collecting them, goes on below that too (`writer`): else nobody could end it from inside.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from pathlib import Path

from greenroom.core.errors import GreenroomError, StorageFull, Unavailable

DEFAULT_FLOOR_BYTES = 64 << 20
SHARE_OF_DISK = 20  # the floor is at most the twentieth part of the disk: a small one must stay usable
ROWS_SHARE = 8
_PROBE_PAUSE_S = 0.5
_LOG = logging.getLogger("greenroom.store")
_HINT = "Free some space (deleting files of runs and `greenroom gc` still work); reading goes on meanwhile."


class SyncFailed(Unavailable):
    """The operating system could not make bytes durable; this process must not write any more."""


class Health:
    """Knows whether writing is possible. Threads share one."""

    def __init__(self, folder: Path, *, floor_bytes: int = 0, rows_here: bool = True) -> None:
        """`floor_bytes` of the disk with `folder` are kept free (0: none). `rows_here`: the rows are on that disk."""
        self._folder = folder
        self._floor_bytes = floor_bytes
        self._rows_here = rows_here
        self._guard = threading.Lock()
        self._final: str | None = None
        self._passing: GreenroomError | None = None
        self._probed = -_PROBE_PAUSE_S
        self._said: str | None = None

    def failed(self, what: str) -> None:
        """Note that an fsync failed (`what` says of which file): from here on nothing is written."""
        with self._guard:
            first, self._final = self._final is None, self._final or what
        if first:
            self._said = self._stopped().message
            _LOG.error("not ready: %s", self._said)

    def met(self, error: Exception) -> None:
        """Note with what a write ended, if that says something about the store."""
        if isinstance(error, SyncFailed):
            self.failed(error.message)
        elif isinstance(error, StorageFull | Unavailable):
            with self._guard:
                self._passing = error
            self._say(error.message)

    def wrote(self) -> None:
        """Note that something was written durably."""
        if self._passing is not None:
            with self._guard:
                self._passing = None
            self.trouble()

    def is_final(self) -> bool:
        """Say whether only a restart helps."""
        return self._final is not None

    def refusal(self) -> GreenroomError | None:
        """Return why no row may be changed now, or None."""
        if self._final is not None:
            return self._stopped()
        return self._below(ROWS_SHARE, 0) if self._rows_here else None

    def require_room(self, size_bytes: int = 0) -> None:
        """Raise Unavailable or StorageFull when a file, of which `size_bytes` are still to come, must not be taken."""
        error = self._stopped() if self._final is not None else self._below(1, size_bytes)
        if error is not None:
            raise error

    def trouble(self) -> GreenroomError | None:
        """Return why the registry is not in order now, or None; say in the log when that begins and ends."""
        if self._final is not None:
            return self._stopped()
        error = self._passing or self._below(1, 0)
        self._say(error.message if error is not None else None)
        return error

    def worth_a_probe(self) -> bool:
        """Say whether it is time to find out by writing if passing trouble has passed."""
        with self._guard:
            if self._passing is None or self._final is not None or time.monotonic() - self._probed < _PROBE_PAUSE_S:
                return False
            self._probed = time.monotonic()
            return True

    def _stopped(self) -> SyncFailed:
        return SyncFailed(
            f"this server writes no more: {self._final}",
            hint="Look at the disk and its kernel messages, then restart the server; reading goes on meanwhile.",
            reason="sync_failed",
        )

    def _below(self, share: int, size_bytes: int) -> GreenroomError | None:
        """Return the error if the disk has less than a `share` of its floor left beside `size_bytes`."""
        if not self._floor_bytes:
            return None
        try:
            disk = shutil.disk_usage(self._folder)
        except OSError as exc:
            return Unavailable(
                f"the data folder {self._folder} cannot be looked at: {exc.strerror}.", hint="Check its disk."
            )
        floor = min(self._floor_bytes, disk.total // SHARE_OF_DISK) // share
        if disk.free - size_bytes >= floor:
            return None
        text = _below_text(disk.free, floor, size_bytes)
        return StorageFull(text, hint=_HINT, free_bytes=disk.free, floor_bytes=floor)

    def _say(self, trouble: str | None) -> None:
        """Write one line when trouble begins and one when it ends, not one a request."""
        with self._guard:
            if (trouble is None) == (self._said is None):
                return
            self._said = trouble
        if trouble is None:
            _LOG.warning("ready again")
        else:
            _LOG.warning("not ready: %s", trouble)


def _below_text(free: int, floor: int, size_bytes: int) -> str:
    asked = f", and {size_bytes} more are to be stored" if size_bytes else ""
    return f"the disk has {free} bytes free{asked}; {floor} are kept free."
