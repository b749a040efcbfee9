"""A byte flipped anywhere, in the database, its write-ahead log, a blob or the key, is found and named."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.app import open_local
from greenroom.services import commands as c
from greenroom.services import verifying
from greenroom.store import inspection
from tests.promises import promise, sized
from tests.races.kit import SEED, TESTER
from tests.tamper.scene import copy, flip, quick_folder, verify

PAGE = 4096
FRAME = 24 + PAGE

FLIPS, BLOB_FLIPS, LOG_FLIPS = sized(400, 100_000), sized(60, 10_000), sized(120, 10_000)


def positions(path: Path, count: int) -> list[tuple[int, int]]:
    """Return (position, mask): the whole head of the file at first, then one of every page, then anywhere."""
    chance, length = random.Random(SEED), path.stat().st_size
    chosen = [*range(0, 100, 3), *(page * PAGE + chance.randrange(PAGE) for page in range(length // PAGE))]
    chosen += [page * PAGE + PAGE - 1 - chance.randrange(8) for page in range(0, length // PAGE, 7)]  # the checksums
    chosen += [chance.randrange(length) for _ in range(count - len(chosen))]
    return [(position, 1 << chance.randrange(8)) for position in chosen]


def test_an_untouched_copy_is_whole(scene: Path, place: Path) -> None:
    assert verify(copy(scene, place / "copy")).status == "ok"


@promise("A1", "{flips} bytes of the database", flips=FLIPS, mutant="test_without_page_checksums_flips_go_unseen")
@pytest.mark.slow
def test_a_flipped_byte_of_the_database_is_named(scene: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_TRIES", 1)  # the waiting is for a checkpoint just being written; nobody writes
    chosen = positions(scene / "greenroom.db", FLIPS)
    assert len(chosen) >= 300
    missed = [each for each in chosen if not _flip_is_named(scene, place, *each)]
    assert missed == []


def _flip_is_named(scene: Path, place: Path, position: int, mask: int) -> bool:
    folder = copy(scene, place / "copy", link_blobs=True)
    flip(folder / "greenroom.db", position, mask)
    verdict = verify(folder)
    page = f"page {position // PAGE + 1} of greenroom.db"
    return verdict.status in ("tampered", "unchecked") and (verdict.names(page) or verdict.names("greenroom.db"))


@promise("A1", "{flips} bytes of blobs", flips=BLOB_FLIPS, mutant="test_without_re_hashing_a_flipped_blob_goes_unseen")
def test_a_flipped_byte_of_a_blob_is_named(scene: Path, place: Path) -> None:
    chance = random.Random(SEED)
    blobs = sorted(path for path in (scene / "blobs").rglob("*") if path.is_file() and len(path.name) >= 60)
    assert len(blobs) >= 30
    for _ in range(BLOB_FLIPS):
        folder = copy(scene, place / "copy")
        blob = folder / chance.choice(blobs).relative_to(scene)
        flip(blob, chance.randrange(blob.stat().st_size), 1 << chance.randrange(8))
        verdict = verify(folder)
        assert verdict.status == "tampered"
        assert verdict.names(blob.name)


def test_a_missing_blob_is_incomplete(scene: Path, place: Path) -> None:
    folder = copy(scene, place / "copy")
    blob = next(path for path in (folder / "blobs").rglob("*") if path.is_file() and len(path.name) >= 60)
    blob.unlink()
    verdict = verify(folder)
    assert (verdict.status, verdict.kinds) == ("incomplete", {"missing_blob"})
    assert verdict.names(blob.name)


def test_a_flipped_byte_of_the_key_is_named(scene: Path, place: Path) -> None:
    key, chance = (scene / "audit.key").read_bytes(), random.Random(SEED)
    for position in range(len(key)):
        folder, mask = copy(scene, place / "copy", link_blobs=True), 1 << chance.randrange(8)
        flip(folder / "audit.key", position, mask)
        verdict = verify(folder)
        named = verdict.status != "ok" and (verdict.names("audit.key") or "signature" in verdict.kinds)
        assert named or _same_key(folder, key), f"byte {position} ^ {mask}: {verdict}"


def _same_key(folder: Path, key: bytes) -> bool:
    """Say whether the key file still says the same (a letter of the hex digits in the other case, say)."""
    try:
        now, was = json.loads((folder / "audit.key").read_bytes()), json.loads(key)
        return bool(now["name"] == was["name"] and bytes.fromhex(now["ed25519"]) == bytes.fromhex(was["ed25519"]))
    except (ValueError, KeyError):
        return False


# --- the write-ahead log of a folder that was in use when it was copied ---


@pytest.fixture(scope="module")
def live() -> Iterator[tuple[Path, str]]:
    """A copy of a folder in use, and a checkpoint of its last moment."""
    with quick_folder() as place:
        folder, copied = place / "data", place / "copy"
        open_local(folder, create=True).close()
        registry = open_local(folder)
        for number in range(12):
            registry.call_now("create_model", c.CreateModel(f"model-{number}"), TESTER)
        note = registry.call_now("audit_checkpoint", c.AuditCheckpoint(), TESTER).note
        _copy_in_use(folder, copied)
        registry.close()
        yield copied, note


def _copy_in_use(folder: Path, to: Path) -> None:
    to.mkdir(mode=0o700)
    for name in ("greenroom.db", "greenroom.db-wal", "audit.key"):
        shutil.copy(folder / name, to / name)


def last_commits(wal: Path) -> list[int]:
    """Return the positions at which transactions of the write-ahead log end."""
    data = wal.read_bytes()
    ends = [at + FRAME for at in range(32, len(data) - FRAME + 1, FRAME) if int.from_bytes(data[at + 4 : at + 8])]
    return [0, *ends]


@promise(
    "A1",
    "{flips} bytes of the write-ahead log",
    flips=LOG_FLIPS,
    mutant="test_without_the_walk_a_damaged_write_ahead_log_goes_unseen",
)
def test_a_flipped_byte_of_the_write_ahead_log_is_named(live: tuple[Path, str], place: Path) -> None:
    folder, note = live
    chance, commits = random.Random(SEED), last_commits(folder / "greenroom.db-wal")
    assert len(commits) > 10
    assert verify(copy(folder, place / "copy"), note).status == "ok"
    for number in range(LOG_FLIPS):
        position = number // 2 if number < 64 else chance.randrange(commits[-1])
        damaged = copy(folder, place / "copy")
        flip(damaged / "greenroom.db-wal", position, 1 << chance.randrange(8))
        verdict = verify(damaged, note)
        assert verdict.status != "ok", position
        if position < commits[-2]:  # of the last transaction alone only the checkpoint knows
            assert verdict.names("greenroom.db-wal"), (position, verdict)


def test_a_young_folder_with_a_damaged_write_ahead_log_is_not_begun_anew(place: Path) -> None:
    """All that is there may still be in the write-ahead log: then the database file alone is empty."""
    registry = open_local(place / "data", create=True)
    registry.call_now("create_model", c.CreateModel("model"), TESTER)
    _copy_in_use(place / "data", place / "copy")
    registry.close()
    flip(place / "copy" / "greenroom.db-wal", 0, 1)
    verdict = verify(place / "copy")
    assert verdict.status == "unchecked"
    assert verdict.names("greenroom.db is empty")


# --- the protection taken away ---


def test_without_page_checksums_flips_go_unseen(scene: Path, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Free pages, indexes, keys of requests: only the page checksums see a flip there."""
    monkeypatch.setattr(inspection, "_page_is_whole", lambda *given: True)
    chosen = positions(scene / "greenroom.db", 0)[40:120]
    assert not all(_flip_is_named(scene, place, *each) for each in chosen)


def test_without_the_walk_a_damaged_write_ahead_log_goes_unseen(
    live: tuple[Path, str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "_bad_wal", lambda path: iter(()))
    damaged = copy(live[0], place / "copy")
    flip(damaged / "greenroom.db-wal", last_commits(damaged / "greenroom.db-wal")[5] + 100, 1)
    assert verify(damaged).status == "ok"


def test_without_re_hashing_a_flipped_blob_goes_unseen(
    scene: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = verifying._verify_blob
    monkeypatch.setattr(verifying, "_verify_blob", lambda *given, deep: once(*given, deep=False))
    folder = copy(scene, place / "copy")
    flip(next(path for path in (folder / "blobs").rglob("*") if path.is_file() and len(path.name) >= 60), 0, 1)
    assert verify(folder).status == "ok"
