"""Parts that are written where they belong in the whole file, so that joining them copies nothing.

`staging/mp-<32 hex>-at<length>` is the whole file on its way: part n begins at (n - 1) * length. `mp-<32 hex>-in<n>` is
the *claim* of who writes part n there: made exclusively, empty while the part arrives, and its digest once it is there.
All parts but the last have one length, which the request announces; the last one, and a part whose place was claimed
before (it is sent again, or its process died), is a staging file of its own as in `parts`. So each place has one writer
for ever, and when every part but the last is claimed and none of the claims is empty, nobody writes to the file.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from pathlib import Path

from greenroom.blobs.disk import DiskWatch, open_staged, remove_file, translated, write_all_at
from greenroom.core.digest import PREFIX
from greenroom.core.errors import Conflict, InvalidInput, NotFound

CAN = hasattr(os, "pwrite") and hasattr(os, "link")
_OPEN_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True)
class Place:
    """Where a part belongs: its number, the length of each part, and the files in which it is noted."""

    number: int
    length: int
    whole: Path
    claim: Path
    opened: Path  # the note that the upload goes on

    @property
    def offset(self) -> int:
        """Where the part begins in the whole file."""
        return (self.number - 1) * self.length


@dataclass(frozen=True)
class Claim:
    """What a claim says: the length and the digest of a part that is in its place; None while it is on its way."""

    length: int
    digest: str | None


def take(claim: Path, length: int) -> bool:
    """Make a claim; False when there is one. It says how long the part is from the beginning on."""
    try:
        fd = os.open(claim, _OPEN_NEW, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(fd, f"{length}\n".encode())
    except OSError:
        remove_file(claim)  # nobody has it
        raise
    finally:
        os.close(fd)
    return True


def read_claim(claim: Path) -> Claim | None:
    """Return what a claim says, or None when there is none."""
    try:
        length, _, digest = claim.read_text("ascii").partition("\n")
    except FileNotFoundError:
        return None
    return Claim(int(length or 0), digest.strip() if digest.endswith("\n") else None)


class PartInPlace:
    """A `BlobUpload` of one part into its place. Its `finish_as_part` is the only end that it has."""

    def __init__(self, place: Place, disk: DiskWatch, fd: int) -> None:
        self._place, self._disk, self._fd = place, disk, fd
        self._hasher = hashlib.sha256()
        self._received = 0
        self._lock = threading.RLock()

    @property
    def received(self) -> int:
        """Bytes that arrived so far."""
        return self._received

    def write(self, piece: bytes | memoryview) -> None:
        """Write the next bytes. Raises StorageFull, InvalidInput for more bytes than were announced."""
        with self._lock:
            self._require_open()
            view = memoryview(piece)
            if self._received + len(view) > self._place.length:  # the next place is somebody else's
                raise InvalidInput(f"more than the announced {self._place.length} bytes arrived.")
            self._disk.require_room()
            try:
                write_all_at(self._fd, view, self._place.offset + self._received)
            except OSError as exc:
                raise translated(exc, f"part {self._place.number} of an upload") from exc
            self._hasher.update(view)
            self._received += len(view)

    def finish_as_part(self, key: str, number: int) -> str:
        """Note that the part is in its place; returns the digest of its bytes. Raises NotFound as `keep_part` does."""
        with self._lock:
            self._require_open()
            if (number, self._received) != (self._place.number, self._place.length):
                raise RuntimeError(f"part {number} is not the one that was announced")
            digest = PREFIX + self._hasher.hexdigest()
            self._close()  # first: on a network file system others see the bytes from then on
            try:
                # Appended, not replaced: the claim must never be absent, or another could come to write here.
                with self._place.claim.open("ab", buffering=0) as note:
                    note.write(f"{digest}\n".encode())
                os.utime(self._place.opened)  # it goes on
            except FileNotFoundError:
                self._leave()
                raise NotFound(
                    "there is no such upload: it was completed, aborted or given up.",
                    hint="Begin it again.",
                    upload=key,
                ) from None
            except OSError as exc:
                self._leave()
                raise translated(exc, f"part {number} of an upload") from exc
            return digest

    def finish(self, digest: str, size_bytes: int) -> None:
        """A part is no blob: RuntimeError."""
        raise RuntimeError("a part is finished as a part")

    def finish_as_hashed(self) -> tuple[str, int]:
        """A part is no blob: RuntimeError."""
        raise RuntimeError("a part is finished as a part")

    def pause(self) -> None:
        """The same as `abort`: a part begins anew."""
        self.abort()

    def abort(self) -> None:
        """Close and give the place free, for nobody writes to it now. Harmless on a part that is finished."""
        with self._lock:
            if self._fd < 0:
                return
            self._close()
            self._leave()

    def _leave(self) -> None:
        remove_file(self._place.claim)
        if not self._place.opened.exists():  # ended meanwhile, and what we made was not seen
            remove_file(self._place.whole)

    def _close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)

    def _require_open(self) -> None:
        if self._fd < 0:
            raise Conflict("this part of the upload was given up.", hint="Send it again.")


def begin(place: Place, disk: DiskWatch) -> PartInPlace | None:
    """Claim a place and open it; None when it is claimed, or the upload has ended. Raises StorageFull, Unavailable."""
    try:
        if not take(place.claim, place.length):
            return None
        part: PartInPlace | None = None
        try:
            if place.opened.exists():
                part = PartInPlace(place, disk, open_staged(place.whole))
        finally:
            if part is None:
                remove_file(place.claim)
    except OSError as exc:
        raise translated(exc, f"part {place.number} of an upload") from exc
    return part


def is_ours_alone(whole: Path) -> bool:
    """Say whether the file has no other name: with one it was published, and must not be written to any more."""
    with contextlib.suppress(FileNotFoundError):
        return whole.lstat().st_nlink == 1
    return False
