"""The cache of blobs: links, verified once, dropped when wrong, never in the way."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from greenroom.client import cache as cache_file
from greenroom.client.cache import BlobCache, cache_folder, digest_of_file
from greenroom.core.digest import digest_of

DATA = b"weights" * 1000
DIGEST = digest_of(DATA)


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "cache")


def add(cache: BlobCache, tmp_path: Path, data: bytes = DATA, name: str = "pulled") -> str:
    file = tmp_path / name
    file.write_bytes(data)
    assert cache.add(file, digest_of(data))
    return digest_of(data)


@pytest.mark.parametrize(
    ("env", "platform", "folder"),
    [
        ({}, "linux", "/home/ana/.cache/greenroom"),
        ({"XDG_CACHE_HOME": "/scratch"}, "linux", "/scratch/greenroom"),
        ({"XDG_CACHE_HOME": "relative"}, "linux", "/home/ana/.cache/greenroom"),
        ({}, "darwin", "/home/ana/Library/Caches/greenroom"),
        ({}, "win32", "/home/ana/AppData/Local/greenroom/cache"),
        ({"LOCALAPPDATA": "/local"}, "win32", "/local/greenroom/cache"),
        ({"GREENROOM_CACHE": "/fast", "XDG_CACHE_HOME": "/scratch"}, "linux", "/fast"),
        ({"GREENROOM_CACHE": ""}, "darwin", "/home/ana/Library/Caches/greenroom"),
    ],
)
def test_where_the_cache_is(env: dict[str, str], platform: str, folder: str) -> None:
    assert cache_folder(env, platform, Path("/home/ana")) == Path(folder)


def test_what_is_added_is_linked(cache: BlobCache, tmp_path: Path) -> None:
    add(cache, tmp_path)
    assert cache.link_into(DIGEST, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == DATA
    assert (tmp_path / "again").stat().st_ino == (tmp_path / "pulled").stat().st_ino
    assert stat.S_IMODE((tmp_path / "again").stat().st_mode) == 0o444


def test_what_is_not_there(cache: BlobCache, tmp_path: Path) -> None:
    assert not cache.link_into(DIGEST, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert cache.prune(0) == 0


def test_nothing_is_linked_over_a_file(cache: BlobCache, tmp_path: Path) -> None:
    add(cache, tmp_path)
    (tmp_path / "mine").write_text("mine")
    assert not cache.link_into(DIGEST, tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


@pytest.mark.parametrize("spoilt", [b"", DATA[:-1], DATA + b"x", b"W" + DATA[1:]])
def test_a_spoilt_blob_is_dropped(cache: BlobCache, tmp_path: Path, spoilt: bytes) -> None:
    """Somebody wrote into a linked file: everything that shares its bytes is spoilt, and the next pull notices."""
    add(cache, tmp_path)
    (tmp_path / "pulled").chmod(0o644)
    (tmp_path / "pulled").write_bytes(spoilt)
    os.utime(tmp_path / "pulled", ns=(1, 1))
    assert not cache.link_into(DIGEST, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    add(cache, tmp_path, name="fetched")
    assert cache.link_into(DIGEST, tmp_path / "again")


def test_a_blob_that_only_looks_changed_is_hashed_and_kept(
    cache: BlobCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(cache, tmp_path)
    os.utime(tmp_path / "pulled", ns=(1, 1))
    hashed: list[Path] = []

    def counting(path: Path) -> str:
        hashed.append(path)
        return digest_of_file(path)

    monkeypatch.setattr(cache_file, "digest_of_file", counting)
    assert cache.link_into(DIGEST, tmp_path / "one")
    assert cache.link_into(DIGEST, tmp_path / "two")
    assert len(hashed) == 1


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP])
def test_without_links_files_are_copied(
    cache: BlobCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def no_links(_self: Path, _target: Path) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    add(cache, tmp_path)
    assert cache.link_into(DIGEST, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == DATA
    assert (tmp_path / "again").stat().st_nlink == 1


def test_the_longest_unused_go_first(cache: BlobCache, tmp_path: Path) -> None:
    digests = [add(cache, tmp_path, bytes([index]) * 100, f"f{index}") for index in range(4)]
    for age, digest in enumerate(digests):
        hex_digits = digest.removeprefix("sha256:")
        os.utime(cache.root / "notes" / hex_digits[:2] / hex_digits, ns=(age, age))
    assert cache.link_into(digests[0], tmp_path / "used")
    assert cache.prune(200) == 200
    left = [digest for digest in digests if cache.link_into(digest, tmp_path / digest[7:])]
    assert left == [digests[0], digests[3]]
    assert (tmp_path / "f1").read_bytes() == b"\x01" * 100


def test_what_a_killed_process_left_is_swept(cache: BlobCache, tmp_path: Path) -> None:
    add(cache, tmp_path)
    fresh, old = (cache.root / "sha256" / DIGEST[7:9] / name for name in (".new-1", ".new-2"))
    fresh.write_text("x")
    old.write_text("x")
    os.utime(old, ns=(1, 1))
    assert cache.prune() == 0
    assert (fresh.exists(), old.exists()) == (True, False)
    assert cache.link_into(DIGEST, tmp_path / "again")


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "given").write_bytes(DATA)
    cache = BlobCache(tmp_path / "file" / "cache")
    assert not cache.add(tmp_path / "given", DIGEST)
    assert not cache.link_into(DIGEST, tmp_path / "again")
    assert cache.prune(0) == 0


def test_many_at_once(cache: BlobCache, tmp_path: Path) -> None:
    """Adding, linking and pruning cross each other: a link is whole or is not made."""
    for index in range(4):
        (tmp_path / f"in{index}").write_bytes(DATA)
    wrong: list[str] = []

    def work(index: int) -> None:
        for turn in range(30):
            cache.add(tmp_path / f"in{index}", DIGEST)
            target = tmp_path / f"out{index}-{turn}"
            if cache.link_into(DIGEST, target) and target.read_bytes() != DATA:
                wrong.append(target.name)
            if index == 0:
                cache.prune(0)

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
