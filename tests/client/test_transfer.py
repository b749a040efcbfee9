"""Pushing and pulling: only what is missing travels, a cut wire costs what was on it, a folder lands whole or not."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.client import carriers
from greenroom.client import scan as scan_file
from greenroom.client.cache import BlobCache
from greenroom.client.carriers import HTTPBytes, LocalBytes
from greenroom.client.progress import progress
from greenroom.client.scan import DigestCache
from greenroom.client.transfer import Pushed, pull_files, push_files, scan
from greenroom.core.digest import digest_of
from greenroom.core.errors import (
    AlreadyExists,
    GreenroomError,
    IntegrityFailure,
    InvalidInput,
    NotFound,
    StorageFull,
    Unavailable,
)
from greenroom.core.model import File
from greenroom.testing.blobs import put, sample
from tests.client.byteserver import Served, cut_wire, serving

FILES = {
    "MLmodel": b"flavors: {}",
    "model/weights.bin": sample(300_000),
    "model/copy.bin": sample(300_000),
    "empty": b"",
}
BIG = sample((8 << 20) + 12_345)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with serving(tmp_path_factory.mktemp("server") / "blobs") as server:
        yield server


@pytest.fixture
def server(served: Served) -> Iterator[Served]:
    """The module's server, emptied."""
    for digest, _ in list(served.registry.blobs.digests()):
        served.registry.blobs.remove(digest)
    served.registry.blobs.sweep_staging(-1)
    served.registry.stored.clear()
    yield served
    served.hang_up()


def carrier_to(server: Served, port: int | None = None) -> HTTPBytes:
    return HTTPBytes(server.remote(port), pause=lambda _seconds: None)


@pytest.fixture
def local(tmp_path: Path) -> LocalBytes:
    return LocalBytes(FilesystemBlobs(tmp_path / "registry"), lambda digest, size: None)


@pytest.fixture(params=["http", "local"])
def carrier(request: pytest.FixtureRequest) -> HTTPBytes | LocalBytes:
    if request.param == "local":
        return request.getfixturevalue("local")
    return carrier_to(request.getfixturevalue("server"))


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


class Steps(list[int]):
    """Counts what a transfer reports."""

    def __call__(self, count: int) -> None:
        self.append(count)


# --- scanning ---


def test_a_scan_names_every_file_sorted(tmp_path: Path) -> None:
    found = scan(write(tmp_path / "m", FILES))
    assert [(each.path, each.digest, each.size_bytes) for each in found] == [
        (path, digest_of(data), len(data)) for path, data in sorted(FILES.items())
    ]
    assert scan(tmp_path / "m" / "MLmodel")[0].entry == File("MLmodel", digest_of(b"flavors: {}"), 11)


def _empty(_folder: Path) -> None: ...


def _only_folders(folder: Path) -> None:
    (folder / "a" / "b").mkdir(parents=True)


def _socket(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as each:
        each.bind(str(folder / "s"))


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "p")


def _link_out(folder: Path) -> None:
    (folder.parent / "outside").write_text("x")
    (folder / "l").symlink_to("../outside")


def _link_to_folder(folder: Path) -> None:
    (folder / "d").mkdir()
    (folder / "l").symlink_to("d")


def _loop(folder: Path) -> None:
    (folder / "l").symlink_to("l")


def _bad_name(folder: Path) -> None:
    (folder / "a\nb").write_text("x")


def _no_text(folder: Path) -> None:
    with open(os.fsencode(folder) + b"/\xff", "w") as file:
        file.write("x")


@pytest.mark.skipif(os.name == "nt", reason="what is wrong here cannot be made there")
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (_empty, "holds no files"),
        (_only_folders, "holds no files"),
        (_socket, "'s' is a socket, not a file"),
        (_pipe, "'p' is a named pipe, not a file"),
        (_link_out, "'l' is a link that leads out of the folder"),
        (_link_to_folder, "'l' is a link to something that is no file"),
        (_loop, "'l' is a link that leads nowhere"),
        (_bad_name, "Invalid path"),
        (_no_text, "Invalid path"),
    ],
)
def test_what_cannot_be_a_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make, text: str) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    make(folder)
    with pytest.raises(InvalidInput, match=text):
        scan(folder)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="nowhere does not exist"):
        scan(tmp_path / "nowhere")


def test_a_link_inside_is_the_file_it_leads_to(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"blobs/x": b"abc"})
    (folder / "model.bin").symlink_to("blobs/x")
    assert [(each.path, each.digest) for each in scan(folder)] == [
        ("blobs/x", digest_of(b"abc")),
        ("model.bin", digest_of(b"abc")),
    ]


def test_a_digest_is_remembered_while_the_file_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "m", {"big": sample(400_000), "small": b"x"})
    hashed: list[str] = []

    def counting(path: Path, advance: object = None) -> str:
        hashed.append(path.name)
        return digest_of(path.read_bytes())

    monkeypatch.setattr(scan_file, "digest_of_file", counting)
    monkeypatch.setattr(scan_file, "_SETTLED_NS", -1)
    for expected in (["big", "small"], ["small"]):
        hashed.clear()
        scan(folder, digests=DigestCache(tmp_path / "d.json"))
        assert sorted(hashed) == expected
    data = bytearray(sample(400_000))
    data[7] ^= 1
    before = (folder / "big").stat()
    (folder / "big").write_bytes(data)
    os.utime(folder / "big", ns=(before.st_atime_ns, before.st_mtime_ns))  # even a forged time does not hide it
    assert scan(folder, digests=DigestCache(tmp_path / "d.json"))[0].digest == digest_of(data)


def test_hashing_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "m", {"big": BIG, "small": b"x"})
    monkeypatch.setattr(scan_file, "_SETTLED_NS", -1)
    told: list[int] = []
    scan(folder, digests=DigestCache(tmp_path / "d.json"), advance=told.append)
    assert (sum(told), len(told) > 3) == (len(BIG) + 1, True)  # one large file shows progress too
    told.clear()
    scan(folder, digests=DigestCache(tmp_path / "d.json"), advance=told.append)
    assert sorted(told) == [1, len(BIG)]  # what is remembered is done at once


def test_a_fresh_file_is_not_remembered(tmp_path: Path) -> None:
    folder = write(tmp_path / "m", {"big": sample(400_000)})
    scan(folder, digests=DigestCache(tmp_path / "d.json"))
    assert not (tmp_path / "d.json").exists()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"x": 1}', b"\xff", b"[" * 100_000])
def test_a_broken_memory_costs_time_only(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "d.json").write_bytes(text)
    folder = write(tmp_path / "m", {"big": sample(400_000)})
    assert scan(folder, digests=DigestCache(tmp_path / "d.json"))[0].digest == digest_of(sample(400_000))


# --- pushing ---


def test_there_and_back(tmp_path: Path, carrier: HTTPBytes | LocalBytes) -> None:
    files = scan(write(tmp_path / "m", FILES))
    steps, back = Steps(), Steps()
    pushed = push_files(files, carrier, steps)
    assert pushed == Pushed(tuple(each.entry for each in files), 3, 300_011)
    assert sum(steps) == 300_011
    pull_files(pushed.files, tmp_path / "pulled", carrier, advance=back)
    assert tree(tmp_path / "pulled") == FILES
    assert sum(back) == 600_011
    assert push_files(files, carrier) == Pushed(pushed.files, 0, 0)
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_file_that_changed_after_the_scan_is_refused(tmp_path: Path, carrier: HTTPBytes | LocalBytes) -> None:
    files = scan(write(tmp_path / "m", {"a": b"abc"}))
    (tmp_path / "m" / "a").write_bytes(b"abX")
    with pytest.raises(InvalidInput, match="'a' changed while it was being read"):
        push_files(files, carrier)
    (tmp_path / "m" / "a").unlink()
    with pytest.raises(InvalidInput, match="'a' changed while it was being read"):
        push_files(files, carrier)


@pytest.mark.parametrize("new", [b"short", sample(400_000, seed=3), sample(500_000)])
def test_a_file_that_changes_while_it_is_sent_is_refused(
    tmp_path: Path, carrier: HTTPBytes | LocalBytes, new: bytes
) -> None:
    folder = write(tmp_path / "m", {"a": sample(400_000)})
    files = scan(folder)

    class Changing:
        """Changes the file after the push has looked at it."""

        missing = staticmethod(carrier.missing)
        cancel = staticmethod(carrier.cancel)

        def put_blob(self, digest: str, file: Path, size_bytes: int, advance: carriers.Advance) -> None:
            file.write_bytes(new)
            carrier.put_blob(digest, file, size_bytes, advance)

    with pytest.raises(InvalidInput, match="'a' changed while it was being read"):
        push_files(files, Changing())  # type: ignore[arg-type]


@pytest.mark.parametrize("cut", [1, 200, 500, 4 << 20, (8 << 20) + 300])
def test_a_cut_upload_goes_on_where_it_stopped(server: Served, tmp_path: Path, cut: int) -> None:
    """The first connection carries the question what is missing; the next are cut while the file is on them."""
    (file,) = scan(write(tmp_path / "m", {"big": BIG}))
    sent = Steps()
    with cut_wire(server.port, [(cut, None), (cut, None)]) as wire:
        carrier = carrier_to(server, wire.port)
        carrier.put_blob(file.digest, file.file, file.size_bytes, sent)
        assert wire.made >= 2
    assert server.registry.stored == {file.digest: len(BIG)}
    assert sum(sent) == len(BIG)
    server.registry.blobs.check(file.digest)
    assert list((server.registry.blobs.root / "staging").iterdir()) == []


def test_what_arrived_before_a_cut_is_not_sent_again(server: Served, tmp_path: Path) -> None:
    (file,) = scan(write(tmp_path / "m", {"big": BIG}))
    with cut_wire(server.port, [(6 << 20, None)]) as wire:
        carrier_to(server, wire.port).put_blob(file.digest, file.file, file.size_bytes, lambda count: None)
        assert wire.made == 2
    sent = Steps()
    server.registry.blobs.remove(file.digest)
    server.registry.stored.clear()
    upload_id = "part-" + _private(file.digest)
    upload = server.registry.blobs.upload(upload_id)  # as if another process had been killed
    upload.write(BIG[: 5 << 20])
    upload.pause()
    carrier_to(server).put_blob(file.digest, file.file, file.size_bytes, sent)
    assert sent[0] == 5 << 20
    assert server.registry.stored == {file.digest: len(BIG)}


def _private(digest: str) -> str:
    return digest_of(f"ana\0{carriers._upload_id(digest)}".encode())[7:55]


@pytest.mark.parametrize("staged", [BIG[:-1] + b"X", b"X" + BIG[1 : 5 << 20]])
def test_a_spoilt_rest_of_an_earlier_push_is_sent_anew(server: Served, tmp_path: Path, staged: bytes) -> None:
    (file,) = scan(write(tmp_path / "m", {"big": BIG}))
    upload = server.registry.blobs.upload("part-" + _private(file.digest))
    upload.write(staged)
    upload.pause()
    sent = Steps()
    carrier_to(server).put_blob(file.digest, file.file, file.size_bytes, sent)
    assert server.registry.stored == {file.digest: len(BIG)}
    assert sum(sent) == len(BIG)


def test_a_lost_answer_is_asked_for_again(server: Served, tmp_path: Path) -> None:
    """Everything arrived and was published; only the answer did not come back."""
    (file,) = scan(write(tmp_path / "m", {"big": BIG}))
    with cut_wire(server.port, [(None, None), (None, 1)]) as wire:
        carrier = carrier_to(server, wire.port)
        carrier._remote.pool.close()
        carrier.put_blob(file.digest, file.file, file.size_bytes, lambda count: None)
    assert server.registry.stored == {file.digest: len(BIG)}


def test_a_server_that_is_gone_is_said_after_a_bounded_number_of_attempts(server: Served, tmp_path: Path) -> None:
    (file,) = scan(write(tmp_path / "m", {"small": b"abc"}))
    with cut_wire(server.port, [(0, None)] * 100) as wire:
        with pytest.raises(Unavailable, match="failed 6 times without progress"):
            carrier_to(server, wire.port).put_blob(file.digest, file.file, 3, lambda count: None)
        with pytest.raises(Unavailable, match="failed 6 times without progress"):
            carrier_to(server, wire.port).get_blob(file.digest, 3, lambda piece: None)
        assert wire.made == 12


def test_wrong_bytes_are_refused_once_and_for_all(server: Served, tmp_path: Path) -> None:
    write(tmp_path, {"f": b"abc"})
    with pytest.raises(InvalidInput, match="the bytes are not those of"):
        carrier_to(server).put_blob(digest_of(b"abd"), tmp_path / "f", 3, lambda count: None)
    assert server.registry.stored == {}


# --- pulling ---


@pytest.mark.parametrize("cut", [0, 10, 17, 100, 150, 1000, 4 << 20, len(BIG)])
def test_a_cut_download_goes_on_where_it_stopped(server: Served, tmp_path: Path, cut: int) -> None:
    digest = put(server.registry.blobs, BIG)
    steps = Steps()
    with cut_wire(server.port, [(None, cut)]) as wire:
        pull_files([File("big", digest, len(BIG))], tmp_path / "p", carrier_to(server, wire.port), advance=steps)
        assert wire.made == 2
    assert tree(tmp_path / "p") == {"big": BIG}
    assert sum(steps) == len(BIG)


def test_a_blob_of_another_size_is_no_lost_connection(server: Served, tmp_path: Path) -> None:
    digest = put(server.registry.blobs, b"abc")
    with pytest.raises(IntegrityFailure, match=r"the server sends other bytes than its manifest says: 3 bytes"):
        carrier_to(server).get_blob(digest, 4, lambda piece: None)


@pytest.mark.parametrize("size", [1000, len(BIG)])
def test_a_flipped_bit_on_the_server_never_lands(
    server: Served, tmp_path: Path, size: int, caplog: pytest.LogCaptureFixture
) -> None:
    digest = put(server.registry.blobs, BIG[:size])
    path = server.registry.blobs.path_of(digest)
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff\xfe")
    with pytest.raises(IntegrityFailure, match=f"the blob {digest} holds other bytes"):
        pull_files([File("big", digest, size)], tmp_path / "p", carrier_to(server))
    assert list(tmp_path.iterdir()) == []
    assert any(record.name == "greenroom.integrity" for record in caplog.records)


class Lying:
    """A carrier that hands out what it is told to: for the digest of a text, the answer given with it."""

    def __init__(self, answers: Mapping[bytes, bytes | BaseException]) -> None:
        self._answers = {digest_of(text): answer for text, answer in answers.items()}

    def missing(self, digests: Sequence[str]) -> set[str]:
        return set(digests)

    def put_blob(self, digest: str, file: Path, size_bytes: int, advance: carriers.Advance) -> None:
        raise AssertionError

    def get_blob(self, digest: str, size_bytes: int, write: carriers.Write) -> None:
        answer = self._answers[digest]
        if isinstance(answer, BaseException):
            raise answer
        write(memoryview(answer))

    def cancel(self) -> None: ...


@pytest.mark.parametrize("answer", [b"", b"ab", b"abd", b"abcd"])
def test_what_arrives_is_verified(tmp_path: Path, answer: bytes) -> None:
    cache = BlobCache(tmp_path / "cache")
    with pytest.raises(IntegrityFailure, match="the bytes of 'x' are not those that the manifest names"):
        pull_files([File("x", digest_of(b"abc"), 3)], tmp_path / "p", Lying({b"abc": answer}), cache)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "path", ["../x", "/x", "a/../../x", "C:/x", "a\\b", "aux", "a//b", "x ", "a\x00b", "\uff0e\uff0e/x"]
)
def test_a_path_from_the_server_is_not_believed(tmp_path: Path, path: str) -> None:
    with pytest.raises(InvalidInput, match="Invalid path"):
        pull_files([File(path, digest_of(b""), 0)], tmp_path / "p", Lying({}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ([("a", 0), ("a", 0)], "twice"),
        ([("a", 0), ("a/b", 0)], "is a file and also the folder"),
        ([("a", -1)], "The size"),
    ],
)
def test_a_manifest_that_cannot_be(tmp_path: Path, files: list[tuple[str, int]], text: str) -> None:
    with pytest.raises(InvalidInput, match=text):
        pull_files([File(path, digest_of(b""), size) for path, size in files], tmp_path / "p", Lying({}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [NotFound("gone"), KeyboardInterrupt(), StorageFull("full"), RuntimeError("a bug")])
def test_nothing_half_done_is_left(tmp_path: Path, error: BaseException) -> None:
    """The first file has landed in the work place when the second fails."""
    files = [File("a", digest_of(b"abc"), 3), File("b", digest_of(b"abd"), 3)]
    write(tmp_path / "p", {"mine": b"mine"})
    with pytest.raises(type(error)):
        pull_files(files, tmp_path / "p", Lying({b"abc": b"abc", b"abd": error}), replace=True)
    assert tree(tmp_path) == {"p/mine": b"mine"}
    assert [each.name for each in tmp_path.iterdir()] == ["p"]


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    error = OSError(28, "No space left on device")
    with pytest.raises(StorageFull, match="no space is left for"):
        pull_files([File("a", digest_of(b"abc"), 3)], tmp_path / "p", Lying({b"abc": error}))


def _files(carrier: LocalBytes, tmp_path: Path, files: dict[str, bytes]) -> tuple[File, ...]:
    return push_files(scan(write(tmp_path / "given", files)), carrier).files


def test_a_folder_that_is_there(tmp_path: Path, local: LocalBytes, monkeypatch: pytest.MonkeyPatch) -> None:
    files = _files(local, tmp_path, {"a": b"new"})
    dest = tmp_path / "p"
    dest.mkdir()
    pull_files(files, dest, local)  # empty: fine
    with pytest.raises(AlreadyExists, match="p is not empty"):
        pull_files(files, dest, local)
    write(dest, {"b/c": b"old"})
    pull_files(files, dest, local, replace=True)
    assert tree(dest) == {"a": b"new"}
    (tmp_path / "link").symlink_to(dest)
    (tmp_path / "file").write_text("x")
    for taken in ("link", "file"):
        with pytest.raises(AlreadyExists, match="is not a folder"):
            pull_files(files, tmp_path / taken, local, replace=True)
    (dest / "inside").mkdir()
    monkeypatch.chdir(dest / "inside")
    for here in (".", "..", str(dest)):
        with pytest.raises(InvalidInput, match="the folder you are in"):
            pull_files(files, Path(here), local, replace=True)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["file", "given", "link", "p", "registry"]


def test_a_folder_comes_back_when_the_new_one_cannot_take_its_place(
    tmp_path: Path, local: LocalBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _files(local, tmp_path, {"a": b"new"})
    dest = write(tmp_path / "p", {"b": b"old"})
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "files":
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(InvalidInput, match="p cannot be written: Permission denied"):
        pull_files(files, dest, local, replace=True)
    assert tree(dest) == {"b": b"old"}


def test_the_cache_saves_the_way(tmp_path: Path, local: LocalBytes) -> None:
    files = _files(local, tmp_path, FILES)
    cache = BlobCache(tmp_path / "cache")
    steps = Steps()
    pull_files(files, tmp_path / "one", local, cache)
    pull_files(files, tmp_path / "two", Lying({}), cache, steps)  # the carrier is not asked
    assert tree(tmp_path / "two") == FILES
    assert sum(steps) == 600_011
    assert (tmp_path / "one" / "MLmodel").stat().st_ino == (tmp_path / "two" / "MLmodel").stat().st_ino
    pull_files(files, tmp_path / "two", local, cache, replace=True)
    assert tree(tmp_path / "two") == FILES


def test_a_spoilt_cache_is_not_believed(tmp_path: Path, local: LocalBytes) -> None:
    files = _files(local, tmp_path, {"a": b"abc"})
    cache = BlobCache(tmp_path / "cache")
    pull_files(files, tmp_path / "one", local, cache)
    (tmp_path / "one" / "a").chmod(0o644)
    (tmp_path / "one" / "a").write_bytes(b"mine!")
    pull_files(files, tmp_path / "two", local, cache)
    assert (tree(tmp_path / "one"), tree(tmp_path / "two")) == ({"a": b"mine!"}, {"a": b"abc"})


@pytest.mark.skipif(os.name == "nt", reason="modes mean something else there")
def test_the_work_place_is_private_and_the_result_is_as_usual(tmp_path: Path) -> None:
    """FM-04. The folder that lands has the mode that any new folder has."""
    seen: list[int] = []

    class Looking(Lying):
        def get_blob(self, digest: str, size_bytes: int, write: carriers.Write) -> None:
            (place,) = tmp_path.glob(".greenroom-pull-*")
            seen.append(place.stat().st_mode & 0o777)
            super().get_blob(digest, size_bytes, write)

    (tmp_path / "usual").mkdir()
    pull_files([File("a", digest_of(b"abc"), 3)], tmp_path / "p", Looking({b"abc": b"abc"}))
    assert seen == [0o700]
    assert (tmp_path / "p").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_a_failure_ends_transfers_that_still_run(tmp_path: Path) -> None:
    """One file fails at once while another would never end: the pull returns all the same."""
    started = threading.Event()
    never_stopped: list[str] = []

    class Endless(Lying):
        def get_blob(self, digest: str, size_bytes: int, write: carriers.Write) -> None:
            if digest == digest_of(b"bad"):
                started.wait(10)
                raise NotFound("gone")
            for _ in range(5_000_000):
                write(memoryview(b""))
                started.set()
            never_stopped.append(digest)

    files = [File("a", digest_of(b"abc"), 3), File("b", digest_of(b"bad"), 3)]
    with pytest.raises(GreenroomError, match="gone"):
        pull_files(files, tmp_path / "p", Endless({}))
    assert never_stopped == []
    assert list(tmp_path.iterdir()) == []


def test_the_client_needs_nothing_of_the_server() -> None:
    script = (
        "import sys; import greenroom.client.transfer, greenroom.client.progress;"
        "print([name for name in ('starlette', 'msgspec', 'apsw', 'uvicorn', 'rich', 'fcntl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


class Screen(io.StringIO):
    """A terminal, or what is none."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(
    ("is_terminal", "seconds", "shown"),
    [
        (True, 2.0, True),
        (True, 0.1, False),  # what is quick needs no bar
        (False, 2.0, False),  # what is piped stays clean
    ],
)
def test_a_bar_is_shown_on_a_terminal_and_only_when_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, seconds: float, shown: bool
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen, now = Screen(is_terminal=is_terminal), [0.0]
    with progress("Sending [bold]m", 100, stream=screen, clock=lambda: now[0]) as advance:
        advance(10)
        now[0] = seconds
        advance(20)
        advance(-5)
    assert ("Sending [bold]m" in screen.getvalue()) == shown
    assert bool(screen.getvalue()) == shown
