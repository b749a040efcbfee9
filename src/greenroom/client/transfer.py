"""Push a folder, pull a version: only what is missing travels, and a folder arrives whole or not at all.

`scan` says what is in a folder, a `Carrier` carries bytes, a `BlobCache` remembers them; this file decides what to
carry and how it lands. Nothing that a server says is believed: paths are checked again, bytes are hashed here.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from greenroom.client.cache import BlobCache, cache_folder
from greenroom.client.carriers import Carrier, HTTPBytes, LocalBytes
from greenroom.client.local import Local
from greenroom.client.progress import Advance, ignore
from greenroom.client.progress import progress as progress_bar
from greenroom.client.remote import Remote
from greenroom.client.scan import DigestCache, LocalFile, changed, files_in, hash_files, scan, stamp_of
from greenroom.client.transport import Transport
from greenroom.core.digest import PREFIX, manifest_of
from greenroom.core.errors import (
    AlreadyExists,
    GreenroomError,
    IntegrityFailure,
    InvalidInput,
    StorageFull,
)
from greenroom.core.model import File
from greenroom.core.names import shown
from greenroom.services.commands import BlobStored, MissingBlobs, NoteDamage

__all__ = [
    "BlobCache", "Carrier", "DigestCache", "HTTPBytes", "LocalBytes", "LocalFile", "Pushed",
    "cache_folder", "carrier_of", "missing_files", "pull_files", "pull_folder", "push_files", "push_folder", "scan",
]  # fmt: skip

_THREADS = 3
_WRITE_BYTES = 64 << 10  # bigger writes are several times slower on some virtual machines (stack, section 3)
_POLL_S = 0.5  # on Windows, Ctrl-C is seen between waits only
_NOT_ON_WINDOWS = frozenset('<>:"|?*')


@dataclass(frozen=True)
class Pushed:
    """What a push did: the manifest's entries, and what had to be sent of them."""

    files: tuple[File, ...]
    sent_files: int
    sent_bytes: int


class _Stopped(Exception):
    """Ends a transfer whose result nobody waits for: another one failed, or somebody pressed Ctrl-C."""


def carrier_of(transport: Transport) -> Carrier:
    """Return what carries bytes to and from the registry behind `transport`."""
    if isinstance(transport, Remote):
        return HTTPBytes(transport)
    if isinstance(transport, Local):
        return LocalBytes(
            transport.registry.blobs,
            lambda digest, size: transport.call("declare_blob", BlobStored(digest, size)),
            lambda digests: transport.call("missing_blobs", MissingBlobs(tuple(digests))).missing,
        )
    raise ValueError(f"no bytes can be carried over {type(transport).__name__}")


def push_folder(
    folder: str | os.PathLike[str], transport: Transport, *, progress: bool = False, carrier: Carrier | None = None
) -> tuple[File, ...]:
    """Send what the registry does not have of `folder`; returns its files for a manifest. Raises as `push_files`."""
    if not os.fspath(folder):  # Path("") would be the working folder, and all of it would be sent
        raise InvalidInput("the path of the folder is empty.", hint="Give the folder that the model was saved to.")
    carrier = carrier_of(transport) if carrier is None else carrier
    found = list(files_in(Path(folder)))
    with _bar("Hashing", sum(file.stat().st_size for _, file in found), progress) as advance:
        scanned = hash_files(found, digests=DigestCache(), advance=advance)
    missing = missing_files(scanned, carrier)
    with _bar("Sending", sum(each.size_bytes for each in missing), progress) as advance:
        return push_files(scanned, carrier, advance, missing=missing).files


def pull_folder(
    files: Sequence[File],
    dest: str | os.PathLike[str],
    transport: Transport,
    *,
    progress: bool = False,
    replace: bool = False,
    carrier: Carrier | None = None,
) -> None:
    """Put `files` into the folder `dest`, using and filling this machine's cache. Raises as `pull_files`."""
    carrier = carrier_of(transport) if carrier is None else carrier
    try:
        with _bar("Fetching", sum(each.size_bytes for each in files), progress) as advance:
            pull_files(files, Path(dest), carrier, BlobCache(), advance, replace=replace)
    except IntegrityFailure as exc:
        if isinstance(transport, Local) and "digest" in exc.details:  # a server notices by itself what it sends
            with contextlib.suppress(GreenroomError):
                transport.call("note_damage", NoteDamage(str(exc.details["digest"])))
        raise


def _bar(description: str, total: int, wanted: bool) -> contextlib.AbstractContextManager[Advance]:
    return progress_bar(description, total) if wanted else contextlib.nullcontext(ignore)


def missing_files(files: Sequence[LocalFile], carrier: Carrier) -> list[LocalFile]:
    """Return one file for every digest that the registry does not have yet."""
    by_digest = {each.digest: each for each in files}
    missing = carrier.missing(list(by_digest))
    return [each for digest, each in by_digest.items() if digest in missing]


def push_files(
    files: Sequence[LocalFile],
    carrier: Carrier,
    advance: Advance = ignore,
    *,
    missing: Sequence[LocalFile] | None = None,
) -> Pushed:
    """Send what the registry does not have, several files at once; `missing` is what `missing_files` said, if known.

    When it returns, every file can be part of a version. Raises InvalidInput for a file that changed after it was
    scanned, and what the registry refuses a blob with.
    """
    to_send = missing_files(files, carrier) if missing is None else missing
    stop = threading.Event()

    def advance_or_stop(count: int) -> None:
        if stop.is_set():
            raise _Stopped
        advance(count)

    _run_all([partial(_push_one, each, carrier, advance_or_stop) for each in to_send], stop, carrier)
    return Pushed(tuple(each.entry for each in files), len(to_send), sum(each.size_bytes for each in to_send))


def _push_one(local: LocalFile, carrier: Carrier, advance: Advance) -> None:
    try:
        if stamp_of(local.file) != local.stamp:
            raise changed(local.path)
        carrier.put_blob(local.digest, local.file, local.size_bytes, advance)
        if stamp_of(local.file) != local.stamp:  # what was sent is right, but it is not what lies there now
            raise changed(local.path)
    except InvalidInput as exc:  # the registry got other bytes than were hashed
        with contextlib.suppress(FileNotFoundError):
            if stamp_of(local.file) == local.stamp:
                raise
        raise changed(local.path) from exc
    except FileNotFoundError as exc:
        raise changed(local.path) from exc
    except OSError as exc:
        raise InvalidInput(f"{shown(local.path)!r} cannot be read: {exc.strerror or exc}.", path=local.path) from exc


def pull_files(
    files: Sequence[File],
    dest: Path,
    carrier: Carrier,
    cache: BlobCache | None = None,
    advance: Advance = ignore,
    *,
    replace: bool = False,
) -> None:
    """Put `files` into the folder `dest`: all of them, verified and on durable storage, or nothing.

    `dest` must not exist or be empty; `replace` swaps a folder that is there for the new one. With `cache`, what this
    machine has is linked (such files are read-only), and what is fetched is kept there. Raises AlreadyExists,
    InvalidInput (a path that cannot be, a `dest` that cannot be written), IntegrityFailure (other bytes than the
    manifest says), StorageFull, and what the carrier raises. After an error or Ctrl-C `dest` is as it was.
    """
    entries = manifest_of(files).entries
    _require_fit(entries)
    dest = Path(os.path.abspath(dest))  # noqa: PTH100 - resolve() would follow the link that _require_free refuses
    _require_free(dest, replace)
    with _translated(dest), _workplace(dest) as place:
        folder = place / "files"
        folder.mkdir()
        _fetch(entries, folder, carrier, cache, advance)
        for each in (*(path for path in folder.rglob("*") if path.is_dir()), folder):
            _sync(each)
        _land(folder, dest, place / "replaced")
    if cache is not None:
        cache.prune()


def _require_fit(entries: Sequence[File]) -> None:
    """Raise InvalidInput for a path that means something else here (`a:b` is a stream of `a` on Windows)."""
    if os.name == "nt":
        for entry in entries:
            if _NOT_ON_WINDOWS & set(entry.path):
                raise InvalidInput(f"{shown(entry.path)!r} is no file name on Windows.", path=entry.path)


def _require_free(dest: Path, replace: bool) -> None:
    if dest.is_symlink() or (dest.exists() and not dest.is_dir()):
        raise AlreadyExists(f"{dest} is not a folder.", hint="Name a folder that does not exist yet.", path=str(dest))
    if not dest.exists():
        return
    # The new folder takes the name of the old one: whoever stands in the old one would stand nowhere.
    if any(place.is_relative_to(dest.resolve()) for place in (Path.cwd(), Path.home().resolve())):
        raise InvalidInput(
            f"{dest} is or holds the folder you are in, or your home.", hint="Name a new folder.", path=str(dest)
        )
    if any(dest.iterdir()) and not replace:
        raise AlreadyExists(
            f"{dest} is not empty.", hint="Name a new folder, or replace this one (--replace).", path=str(dest)
        )


@contextlib.contextmanager
def _workplace(dest: Path) -> Iterator[Path]:
    """Make a folder beside `dest`, hence on its file system, that nobody else can enter; remove it in the end."""
    dest.parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=dest.parent, prefix=".greenroom-pull-"))
    try:
        yield place
    finally:
        _remove_tree(place)


def _fetch(entries: Sequence[File], folder: Path, carrier: Carrier, cache: BlobCache | None, advance: Advance) -> None:
    stop = threading.Event()
    by_digest: dict[str, list[File]] = {}
    for entry in entries:
        (folder / entry.path).parent.mkdir(parents=True, exist_ok=True)
        by_digest.setdefault(entry.digest, []).append(entry)
    jobs = [partial(_fetch_one, same, folder, carrier, cache, advance, stop) for same in by_digest.values()]
    _run_all(jobs, stop, carrier)


def _fetch_one(
    same: Sequence[File],
    folder: Path,
    carrier: Carrier,
    cache: BlobCache | None,
    advance: Advance,
    stop: threading.Event,
) -> None:
    """Get one blob and put it at every path that has it."""
    entry, first = same[0], folder / same[0].path
    if cache is not None and cache.link_into(entry.digest, first):
        if first.stat().st_size != entry.size_bytes:
            raise _other_bytes(entry)
        advance(entry.size_bytes)
    else:
        _download(entry, first, carrier, advance, stop)
        if cache is not None:
            cache.add(first, entry.digest)
    for other in same[1:]:
        if cache is None or not cache.link_into(entry.digest, folder / other.path):
            _copy_new(first, folder / other.path)
        advance(other.size_bytes)


def _download(entry: File, target: Path, carrier: Carrier, advance: Advance, stop: threading.Event) -> None:
    hasher, count = hashlib.sha256(), 0
    with target.open("xb", buffering=0) as out:

        def write(piece: memoryview) -> None:
            nonlocal count
            if stop.is_set():
                raise _Stopped
            hasher.update(piece)
            for start in range(0, len(piece), _WRITE_BYTES):
                part = piece[start : start + _WRITE_BYTES]
                while part:
                    part = part[out.write(part) :]
            count += len(piece)
            advance(len(piece))

        carrier.get_blob(entry.digest, entry.size_bytes, write)
        if count != entry.size_bytes or PREFIX + hasher.hexdigest() != entry.digest:
            raise _other_bytes(entry)
        os.fsync(out.fileno())


def _other_bytes(entry: File) -> IntegrityFailure:
    return IntegrityFailure(
        f"the bytes of {shown(entry.path)!r} are not those that the manifest names; nothing was kept.",
        hint="Run `greenroom verify` on the registry.",
        path=entry.path,
        digest=entry.digest,
    )


def _copy_new(source: Path, target: Path) -> None:
    with source.open("rb") as given, target.open("xb") as out:
        shutil.copyfileobj(given, out, _WRITE_BYTES)
        out.flush()
        os.fsync(out.fileno())


def _land(folder: Path, dest: Path, aside: Path) -> None:
    """Rename `folder` to `dest`; what is there is moved aside, and back if the rename fails."""
    in_the_way = dest.exists() and (os.name == "nt" or any(dest.iterdir()))  # POSIX renames onto an empty folder
    if in_the_way:
        dest.rename(aside)
    try:
        folder.rename(dest)
    except BaseException:
        if in_the_way:
            aside.rename(dest)
        raise
    _sync(dest.parent)


def _run_all(jobs: Sequence[Callable[[], None]], stop: threading.Event, carrier: Carrier) -> None:
    """Run jobs a few at a time; the first error, or Ctrl-C, ends them all before it is raised."""
    pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="greenroom-transfer")
    pending = {pool.submit(job) for job in jobs}
    try:
        while pending:
            done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
            for each in done:
                each.result()
    except BaseException:
        stop.set()
        carrier.cancel()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _translated(dest: Path) -> Iterator[None]:
    """Say what the file system refused, in our words."""
    try:
        yield
    except FileExistsError as exc:
        raise InvalidInput(
            f"{shown(exc.filename and Path(exc.filename).name)!r} cannot stand beside a name that this file system "
            "takes for the same.",
            hint="Pull to a file system that tells upper from lower case.",
        ) from exc
    except OSError as exc:
        raise _disk_error(exc, dest) from exc


def _disk_error(exc: OSError, dest: Path) -> GreenroomError:
    if exc.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return StorageFull(f"no space is left for {dest}; nothing was kept.", hint="Free some space, then pull again.")
    return InvalidInput(
        f"{dest} cannot be written: {exc.strerror or exc}.", hint="Name another folder.", path=str(dest)
    )


def _sync(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with contextlib.suppress(OSError):  # some file systems know no such thing
                os.fsync(fd)
        finally:
            os.close(fd)


def _remove_tree(folder: Path) -> None:
    def make_writable(function: Callable[[str], object], path: str, _info: object) -> None:
        with contextlib.suppress(OSError):  # Windows removes no read-only file
            Path(path).chmod(stat.S_IREAD | stat.S_IWRITE)
            function(path)

    shutil.rmtree(folder, onerror=make_writable)
