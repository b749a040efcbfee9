"""Parts that are written where they belong: nothing is copied, nobody writes where somebody else does.

Each protection has its mutant below: without it, the test of the same name fails.
"""

from __future__ import annotations

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.blobs import in_place
from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.core.digest import digest_of
from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound
from greenroom.services.ports import BlobUpload
from tests.promises import sized
from tests.races.kit import SEED

KEY = "ab" * 16
LENGTH = 5000
ROUNDS = sized(150, 5_000)


def block(seed: int, size: int = LENGTH) -> bytes:
    return random.Random(seed).randbytes(size)


def send(blobs: FilesystemBlobs, number: int, data: bytes, key: str = KEY) -> str:
    part = blobs.part(key, number, len(data))
    part.write(data)
    return part.finish_as_part(key, number)


def whole_of(blobs: FilesystemBlobs, key: str = KEY) -> Path:
    return blobs.root / "staging" / f"mp-{key}-at{LENGTH}"


def staged(blobs: FilesystemBlobs) -> list[str]:
    return sorted(path.name.rpartition("-")[2] for path in (blobs.root / "staging").iterdir())


@pytest.fixture
def blobs(tmp_path: Path) -> FilesystemBlobs:
    return FilesystemBlobs(tmp_path / "blobs")


def nothing_is_copied(blobs: FilesystemBlobs) -> None:
    data = [block(1), block(2), block(3), block(4, 77)]
    blobs.begin_parts(KEY, 4)
    digests = [send(blobs, number, data[number - 1]) for number in (2, 4, 1, 3)]
    assert staged(blobs) == ["4", f"at{LENGTH}", "in1", "in2", "in3", "open"]
    inode = whole_of(blobs).stat().st_ino
    digest, size = blobs.join_parts(KEY, [digests[at] for at in (2, 0, 3, 1)])
    assert (digest, size) == (digest_of(b"".join(data)), 3 * LENGTH + 77)
    found = blobs.path_of(digest).stat()
    assert (found.st_ino, found.st_mode & 0o777) == (inode, 0o444)
    blobs.check(digest)
    blobs.end_parts(KEY, joined=True)
    assert staged(blobs) == ["done"]


def a_published_file_is_never_written_to(blobs: FilesystemBlobs) -> None:
    """The answer is lost, and the client goes on with other bytes: the blob that is there stays what it is."""
    blobs.begin_parts(KEY, 2)
    digests = [send(blobs, 1, block(1)), send(blobs, 2, block(2))]
    first, _ = blobs.join_parts(KEY, digests)
    other = [send(blobs, 1, block(3)), send(blobs, 2, block(4, 9))]
    second, _ = blobs.join_parts(KEY, other)
    assert second == digest_of(block(3) + block(4, 9))
    for digest in (first, second):
        blobs.check(digest)


def one_place_has_one_writer(blobs: FilesystemBlobs) -> None:
    """A part is sent again while its first request still stands somewhere, and wakes up when the file is published."""
    blobs.begin_parts(KEY, 2)
    lost = blobs.part(KEY, 1, LENGTH)
    lost.write(block(9)[:100])
    digests = [send(blobs, 1, block(1)), send(blobs, 2, block(2))]
    digest, _ = blobs.join_parts(KEY, digests)
    lost.write(block(9)[100:])
    blobs.check(digest)
    blobs.end_parts(KEY, joined=True)
    with pytest.raises(NotFound):
        lost.finish_as_part(KEY, 1)
    assert staged(blobs) == ["done"]


def a_place_is_claimed_before_it_is_filled(blobs: FilesystemBlobs) -> None:
    """A part that had a file of its own is sent once more by who looked for that before: not into the blob."""
    blobs.begin_parts(KEY, 3)
    digests = [send(blobs, 1, block(1))]
    own = blobs.part(KEY, 2)  # its length is not announced
    own.write(block(2))
    digests += [own.finish_as_part(KEY, 2), send(blobs, 3, block(3))]
    digest, _ = blobs.join_parts(KEY, digests)
    assert blobs.path_of(digest).stat().st_ino == whole_of(blobs).stat().st_ino
    late = in_place.begin(blobs._place(KEY, 2, LENGTH), blobs.disk)
    if late is not None:
        late.write(block(4))
    blobs.check(digest)


PROTECTED: dict[str, Callable[[FilesystemBlobs], None]] = {
    each.__name__: each
    for each in (
        nothing_is_copied, a_published_file_is_never_written_to, one_place_has_one_writer,
        a_place_is_claimed_before_it_is_filled,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", PROTECTED)
def test_protected(blobs: FilesystemBlobs, name: str) -> None:
    PROTECTED[name](blobs)


def always_takes(claim: Path, length: int) -> bool:
    claim.write_text(f"{length}\n")
    return True


def takes_nothing_new(real: Callable[[Path, int], bool]) -> Callable[[Path, int], bool]:
    """The claim that joining makes is not made; those of writers are."""

    def take(claim: Path, length: int) -> bool:
        if claim.exists() or claim.name.endswith("in1"):
            return real(claim, length)
        return True

    return take


SHOWN = (AssertionError, IntegrityFailure, InvalidInput, NotFound, pytest.fail.Exception)
MUTANTS: dict[str, tuple[str, object]] = {
    "nothing_is_copied": ("CAN", False),
    "a_published_file_is_never_written_to": ("is_ours_alone", lambda whole: True),
    "one_place_has_one_writer": ("take", always_takes),
    "a_place_is_claimed_before_it_is_filled": ("take", takes_nothing_new(in_place.take)),
}


@pytest.mark.parametrize("name", PROTECTED)
def test_without_the_protection_it_fails(blobs: FilesystemBlobs, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_place, *MUTANTS[name])
    with pytest.raises(SHOWN):
        PROTECTED[name](blobs)


def test_a_part_that_was_given_up_leaves_its_place(blobs: FilesystemBlobs) -> None:
    blobs.begin_parts(KEY, 2)
    cut = blobs.part(KEY, 1, LENGTH)
    cut.write(b"cut")
    cut.abort()
    cut.abort()
    digests = [send(blobs, 1, block(1)), send(blobs, 2, block(2))]
    inode = whole_of(blobs).stat().st_ino
    digest, _ = blobs.join_parts(KEY, digests)
    assert blobs.path_of(digest).stat().st_ino == inode


def test_no_part_goes_beyond_its_place(blobs: FilesystemBlobs) -> None:
    blobs.begin_parts(KEY, 2)
    part = blobs.part(KEY, 1, 3)
    part.write(b"abc")
    with pytest.raises(InvalidInput, match="more than the announced 3 bytes arrived"):
        part.write(b"d")


def test_a_process_that_died_costs_a_copy(blobs: FilesystemBlobs) -> None:
    blobs.begin_parts(KEY, 3)
    digests = [send(blobs, 1, block(1))]
    blobs.part(KEY, 2, LENGTH).write(b"dies here")
    again = FilesystemBlobs(blobs.root)
    with pytest.raises(InvalidInput, match="3 parts 2 did not arrive, the first of them is part 2"):
        again.join_parts(KEY, digests * 3)
    digests += [send(again, 2, block(2)), send(again, 3, block(3))]
    digest, _ = again.join_parts(KEY, digests)
    again.check(digest)
    again.end_parts(KEY, joined=True)
    assert staged(again) == ["done"]


def test_the_part_that_came_last_counts(blobs: FilesystemBlobs) -> None:
    """Its first request is given up after the second has come to its end, beside it; then it is sent once more."""
    blobs.begin_parts(KEY, 2)
    lost = blobs.part(KEY, 1, LENGTH)
    send(blobs, 1, block(1))
    lost.abort()
    digests = [send(blobs, 1, block(2)), send(blobs, 2, block(3))]
    assert blobs.join_parts(KEY, digests)[0] == digest_of(block(2) + block(3))


@pytest.mark.parametrize("last", [0, 3, LENGTH, 3 * LENGTH])
def test_the_last_part_is_sent_again_and_is_shorter(blobs: FilesystemBlobs, last: int) -> None:
    blobs.begin_parts(KEY, 2)
    first, second = send(blobs, 1, block(1)), send(blobs, 2, block(2, 4 * LENGTH))
    with pytest.raises(InvalidInput, match="part 2 of the upload holds other bytes"):
        blobs.join_parts(KEY, [first, first])
    assert second != (again := send(blobs, 2, block(3, last)))
    assert blobs.join_parts(KEY, [first, again]) == (digest_of(block(1) + block(3, last)), LENGTH + last)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_without_hard_links_it_is_copied(blobs: FilesystemBlobs, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", refuse)
    blobs.begin_parts(KEY, 2)
    digests = [send(blobs, 1, block(1)), send(blobs, 2, block(2))]
    for _ in range(2):
        blobs.check(blobs.join_parts(KEY, digests)[0])


def test_collecting_leaves_an_upload_that_goes_on(blobs: FilesystemBlobs) -> None:
    """With no grace at all; and once nothing arrived for five minutes, all of it goes, whenever its parts came."""
    blobs.begin_parts(KEY, 3)
    digests = [send(blobs, 1, block(1))]
    long_ago = os.stat(blobs.root).st_mtime - 10 * 24 * 3600
    for path in (blobs.root / "staging").iterdir():
        if not path.name.endswith("open"):
            os.utime(path, (long_ago, long_ago))
    assert blobs.sweep_staging(0) == blobs.sweep_staging(24 * 3600) == 0
    digests += [send(blobs, 2, block(2)), send(blobs, 3, block(3))]
    digest, _ = blobs.join_parts(KEY, digests)
    note = blobs.root / "staging" / f"mp-{KEY}-open"
    idle = note.stat().st_mtime - 301
    os.utime(note, (idle, idle))
    assert blobs.sweep_staging(24 * 3600) == 0
    assert blobs.stale_staging(0) == blobs.sweep_staging(0) == 5
    assert staged(blobs) == []
    assert blobs.path_of(digest).stat().st_mode & 0o777 == 0o444
    blobs.check(digest)


class Course:
    """One upload by a client that loses answers, sends again, and is sometimes cut."""

    def __init__(self, blobs: FilesystemBlobs, chance: random.Random, key: str) -> None:
        self.blobs, self.chance, self.key = blobs, chance, key
        self.count = chance.randint(2, 5)
        self.lost: list[tuple[BlobUpload, int, bytes]] = []
        self.published: list[str] = []

    def data_of(self, number: int, other: bool = False) -> bytes:
        return block(number + 100 * other, LENGTH if number < self.count else 1234)

    def play(self) -> None:
        self.blobs.begin_parts(self.key, self.count)
        arrived: set[int] = set()
        for _ in range(self.chance.randint(5, 25)):
            for step in self.chance.choices((self._send, self._wake, self._other), (6, 2, 1)):
                step(arrived)
            self._complete(arrived)
        for number in set(range(1, self.count + 1)) - arrived:
            self._put(number, self.data_of(number))
            arrived.add(number)
        self._complete(arrived, must=True)
        for upload, _, _ in self.lost:
            upload.abort()
        self._all_sound()

    def _put(self, number: int, data: bytes) -> None:
        part = self.blobs.part(self.key, number, self.chance.choice((0, len(data), len(data), len(data))))
        part.write(data)
        part.finish_as_part(self.key, number)

    def _send(self, arrived: set[int]) -> None:
        number = self.chance.randint(1, self.count)
        data = self.data_of(number)
        if self.chance.random() < 0.7:
            self._put(number, data)
            arrived.add(number)
            return
        part = self.blobs.part(self.key, number, len(data))
        cut = self.chance.randrange(len(data))
        part.write(data[:cut])
        if self.chance.random() < 0.5:
            part.abort()
        else:
            self.lost.append((part, number, data[cut:]))

    def _wake(self, arrived: set[int]) -> None:
        """A request that nobody waits for any more comes to its end, with bytes that nobody meant."""
        if self.lost:
            part, number, rest = self.lost.pop(self.chance.randrange(len(self.lost)))
            right = self.chance.random() < 0.5
            part.write(rest if right else bytes(len(rest)))
            part.finish_as_part(self.key, number)
            (arrived.add if right else arrived.discard)(number)

    def _other(self, arrived: set[int]) -> None:
        number = self.chance.randint(1, self.count)
        self._put(number, self.data_of(number, other=True))
        arrived.discard(number)

    def _complete(self, arrived: set[int], *, must: bool = False) -> None:
        if not must and self.chance.random() < 0.7:
            return
        mixed = 0.0 if must else self.chance.choice((0, 0.3))
        data = [self.data_of(number, self.chance.random() < mixed) for number in range(1, self.count + 1)]
        try:
            found = self.blobs.join_parts(self.key, [digest_of(each) for each in data])
        except InvalidInput:
            if len(arrived) < self.count:
                return
            for number, each in enumerate(data, 1):  # what was lost, or meant otherwise, is sent again
                self._put(number, each)
            found = self.blobs.join_parts(self.key, [digest_of(each) for each in data])
        assert found == (digest_of(b"".join(data)), sum(map(len, data)))
        self.published.append(found[0])
        self._all_sound()

    def _all_sound(self) -> None:
        for digest in self.published:
            self.blobs.check(digest)


def courses() -> Iterator[int]:
    print(f"GREENROOM_SEED={SEED}")
    yield from range(ROUNDS)


def test_any_course_of_an_upload(blobs: FilesystemBlobs) -> None:
    """Whatever is lost, late or sent again: what is published is what was listed, and stays it."""
    for number in courses():
        Course(blobs, random.Random(SEED + number), f"{number:032x}").play()


@pytest.mark.parametrize(
    "mutant", [("take", always_takes), ("is_ours_alone", lambda whole: True)], ids=["claims", "second name"]
)
def test_the_courses_find_a_lost_protection(
    blobs: FilesystemBlobs, monkeypatch: pytest.MonkeyPatch, mutant: tuple[str, object]
) -> None:
    monkeypatch.setattr(in_place, *mutant)
    with pytest.raises(SHOWN):
        test_any_course_of_an_upload(blobs)
