"""The folder of blobs: the conformance suite, and what only a file system can do wrong."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.blobs import disk
from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.core.digest import digest_of, hex_of
from greenroom.core.errors import Conflict, InvalidInput, NotFound, StorageFull, Unavailable
from greenroom.testing.blobs import BlobStoreConformance, Damage, Reopen, put, read, sample


@pytest.fixture
def store(tmp_path: Path) -> FilesystemBlobs:
    return FilesystemBlobs(tmp_path / "blobs")


def flip(path: Path, position: int) -> None:
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 1]))
    path.chmod(0o444)


class TestFilesystemBlobs(BlobStoreConformance):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FilesystemBlobs:
        return FilesystemBlobs(tmp_path / "blobs")

    @pytest.fixture
    def reopened(self, tmp_path: Path) -> Reopen:
        return lambda: FilesystemBlobs(tmp_path / "blobs")

    @pytest.fixture
    def damage(self, store: FilesystemBlobs) -> Damage:
        return lambda digest, position: flip(store.path_of(digest), position)


def test_the_layout_is_private_and_blobs_are_read_only(store: FilesystemBlobs) -> None:
    """FM-04: nobody else enters a folder, or reads what is on its way."""
    digest = put(store, b"abc")
    store.upload("half").pause()
    assert store.path_of(digest) == store.root / "sha256" / hex_of(digest)[:2] / hex_of(digest)
    folders = [store.root, *(path for path in store.root.rglob("*") if path.is_dir())]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}
    assert stat.S_IMODE(store.path_of(digest).stat().st_mode) == 0o444
    assert stat.S_IMODE((store.root / "staging" / "half").stat().st_mode) == 0o600


def test_a_blob_that_was_cut_is_replaced(store: FilesystemBlobs) -> None:
    digest = put(store, b"abc")
    store.path_of(digest).chmod(0o600)
    os.truncate(store.path_of(digest), 2)
    put(store, b"abc")
    assert read(store, digest) == b"abc"


def test_files_that_are_no_blobs_are_passed_over(store: FilesystemBlobs) -> None:
    digest = put(store, b"abc")
    folder = store.path_of(digest).parent
    (folder / "notes.txt").write_text("x")
    (store.root / "sha256" / "zz").mkdir()
    (store.root / "sha256" / "zz" / ("0" * 64)).write_text("in the wrong folder")
    assert list(store.digests()) == [(digest, 3)]


def _link_blob(store: FilesystemBlobs, secret: Path, digest: str) -> None:
    store.path_of(digest).parent.mkdir()
    store.path_of(digest).symlink_to(secret)


def _link_folder(store: FilesystemBlobs, secret: Path, digest: str) -> None:
    secret.rename(secret.parent / hex_of(digest))
    store.path_of(digest).parent.symlink_to(secret.parent)


def _fifo(store: FilesystemBlobs, secret: Path, digest: str) -> None:
    store.path_of(digest).parent.mkdir()
    os.mkfifo(store.path_of(digest))


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own there")
@pytest.mark.parametrize("plant", [_link_blob, _link_folder, _fifo])
def test_links_are_not_followed(
    store: FilesystemBlobs, tmp_path: Path, plant: Callable[[FilesystemBlobs, Path, str], None]
) -> None:
    """PT-22: a link planted in the folder leads nowhere."""
    (tmp_path / "elsewhere").mkdir()
    secret = tmp_path / "elsewhere" / "secret"
    secret.write_bytes(b"secret")
    digest = digest_of(b"secret")
    plant(store, secret, digest)
    assert store.size(digest) is None
    with pytest.raises(NotFound):
        store.open(digest)
    assert list(store.digests()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need a right of their own there")
def test_staging_through_a_link_is_refused(store: FilesystemBlobs, tmp_path: Path) -> None:
    (store.root / "staging" / "u").symlink_to(tmp_path / "victim")
    with pytest.raises(Unavailable, match="cannot use the upload u"):
        store.upload("u")
    assert not (tmp_path / "victim").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "staging").symlink_to(tmp_path)
    with pytest.raises(Unavailable, match="staging is not a folder"):
        FilesystemBlobs(tmp_path / "other")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EFBIG, StorageFull),
        (errno.EROFS, Unavailable),
        (errno.EACCES, Unavailable),
        (errno.EIO, Unavailable),
        (errno.ENOTCONN, Unavailable),
    ],
)
def test_what_the_system_refuses_is_said_in_our_words(code: int, error: type[Exception]) -> None:
    found = disk.translated(OSError(code, os.strerror(code)), "the blob x")
    assert type(found) is error
    assert os.strerror(code) in str(found)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 1 MiB: the real EFBIG, without a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_an_upload_and_a_resume_goes_on_when_there_is_room(
    store: FilesystemBlobs, small_files: None
) -> None:
    import resource

    data = sample((1 << 20) + 100)
    upload = store.upload("u")
    upload.write(data[: 1 << 19])
    with pytest.raises(StorageFull, match="no space is left for the upload u"):
        upload.write(data[1 << 19 :])
    with pytest.raises(Conflict, match="could not be written"):
        upload.finish(digest_of(data), len(data))
    upload.pause()
    assert list(store.digests()) == []
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
    again = store.upload("u")
    again.write(data[again.received :])
    again.finish(digest_of(data), len(data))
    assert read(store, digest_of(data)) == data


def test_a_full_disk_and_an_abort_leave_nothing(store: FilesystemBlobs, small_files: None) -> None:
    upload = store.upload("u")
    with pytest.raises(StorageFull):
        upload.write(bytes(2 << 20))
    upload.abort()
    assert list((store.root / "staging").iterdir()) == []


def test_bytes_that_cannot_be_made_durable_are_dropped(store: FilesystemBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reliability F5: after a failed fsync nothing may be believed that was staged."""

    def broken(_fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    upload = store.upload("u")
    upload.write(b"abc")
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", broken)
        with pytest.raises(Unavailable, match="Input/output error"):
            upload.finish(digest_of(b"abc"), 3)
    assert store.staged("u") == 0
    assert store.size(digest_of(b"abc")) is None
    assert put(store, b"abc") == digest_of(b"abc")


def test_every_name_is_synced_after_the_bytes(store: FilesystemBlobs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reliability F9: write, fsync, rename, fsync of the folder, in this order; also for a blob that is there."""
    steps: list[str] = []

    def record(name: str, function: Callable[..., object], label: Callable[..., str]) -> Callable[..., object]:
        def recorded(*args: object) -> object:
            steps.append(f"{name} {label(*args)}")
            return function(*args)

        return recorded

    def path_of_fd(fd: int) -> str:
        return Path(os.readlink(f"/proc/self/fd/{fd}")).name[:2]

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", record("fsync", os.fsync, path_of_fd))
    monkeypatch.setattr(Path, "replace", record("rename", Path.replace, lambda old, new: new.name[:2]))
    put(store, b"abc")
    assert steps == ["fsync u", "fsync sh", "rename ba", "fsync ba"]
    steps.clear()
    put(store, b"abc")
    assert steps == ["fsync u", "rename ba", "fsync ba"]


def test_an_upload_that_was_stopped_just_before_it_was_published_goes_on(store: FilesystemBlobs) -> None:
    upload = store.upload("u")
    upload.write(b"abc")
    upload.pause()
    (store.root / "staging" / "u").chmod(0o444)
    again = store.upload("u")
    again.finish(digest_of(b"abc"), 3)
    assert read(store, digest_of(b"abc")) == b"abc"


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(Unavailable, match="cannot use the blob folder"):
        FilesystemBlobs(tmp_path / "file" / "blobs")


_UPLOADER = """
import sys
from pathlib import Path
from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.testing.blobs import sample
upload = FilesystemBlobs(Path(sys.argv[1])).upload("u")
sent = sample(int(sys.argv[2]))
for start in range(0, len(sent), 50_000):
    upload.write(sent[start : start + 50_000])
print(upload.received, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
@pytest.mark.parametrize("sent", [0, 1, 249_999, 250_000])
def test_a_killed_process_leaves_no_blob_and_what_can_be_resumed(tmp_path: Path, sent: int) -> None:
    data = sample(250_000)
    command = [sys.executable, "-c", _UPLOADER, str(tmp_path / "blobs"), str(sent)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == sent
        process.kill()
    store = FilesystemBlobs(tmp_path / "blobs")
    assert list(store.digests()) == []
    upload = store.upload("u")
    assert upload.received == sent
    upload.write(data[sent:])
    upload.finish(digest_of(data), len(data))
    assert read(store, digest_of(data)) == data


def test_what_was_staged_and_spoilt_meanwhile_is_found_out(store: FilesystemBlobs) -> None:
    """The hash of a resumed upload is that of the disk, not that of what somebody once sent."""
    upload = store.upload("u")
    upload.write(sample(100))
    upload.pause()
    flip(store.root / "staging" / "u", 50)
    again = store.upload("u")
    again.write(b"rest")
    with pytest.raises(InvalidInput, match="not those of"):
        again.finish(digest_of(sample(100) + b"rest"), 104)


def test_an_upload_is_never_in_two_hands(store: FilesystemBlobs) -> None:
    """Two servers share the folder: who could still write after another one published would change approved bytes."""
    other = FilesystemBlobs(store.root)
    mine = store.upload("u")
    mine.write(b"abc")
    with pytest.raises(Conflict, match="received by another process"):
        other.upload("u")
    assert other.sweep_staging(-1) == 0
    assert store.staged("u") == 3
    mine.finish(digest_of(b"abc"), 3)
    theirs = other.upload("u")
    assert theirs.received == 0
    theirs.write(b"XYZ")
    assert read(store, digest_of(b"abc")) == b"abc"
    theirs.abort()


def test_what_does_not_belong_is_named_and_set_aside(store: FilesystemBlobs) -> None:
    digest = put(store, b"abc")
    folder = store.path_of(digest).parent
    (store.root / "notes.txt").write_text("x")
    (folder / "core").write_text("x")
    (store.root / "sha256" / "zz").mkdir()
    (store.root / "staging" / "link").symlink_to(store.root)
    folder.chmod(0o750)
    store.path_of(digest).chmod(0o644)
    found = list(store.oddities(-1))
    assert sorted((each.kind, Path(each.where).name) for each in found) == [
        ("permissions", folder.name),
        ("permissions", hex_of(digest)),
        ("stray", "core"),
        ("stray", "link"),
        ("stray", "notes.txt"),
        ("stray", "zz"),
    ]
    for each in found:
        store.mend(each)
    assert list(store.oddities(-1)) == []
    assert len(list((store.root / "damaged").iterdir())) == 4
    store.check(digest)
