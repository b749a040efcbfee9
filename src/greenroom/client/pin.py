"""Pinning from the client's side: the files of an unpinned version are fetched here, and sent like those of any other.

The server is never asked to fetch anything. What was fetched waits in this machine's cache until the version is pinned,
so that a command that was cut goes on where it stopped.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from greenroom.client.calls import Calls, version_number
from greenroom.core.errors import AlreadyExists, Conflict, InvalidInput
from greenroom.core.model import File, Version
from greenroom.core.source import SourceKind, parse_source
from greenroom.services import commands as c
from greenroom.services.answers import Manifest

if TYPE_CHECKING:
    from greenroom.client.elsewhere import Listed, TrackingServer
    from greenroom.client.progress import Advance

_PUSHES = 3
_THREADS = 4
_MOST_COPIES = 20


class Pinning(Calls):
    """Versions whose files are elsewhere."""

    def pin(
        self,
        model: str,
        version: int | str,
        *,
        folder: str | os.PathLike[str] | None = None,
        tracking: str | None = None,
        reason: str | None = None,
        progress: bool = False,
    ) -> Version:
        """Fetch the files of an unpinned version to this machine, send them, and pin the version to them.

        They are taken from `folder`, else from the tracking server at the URL `tracking` (None: MLFLOW_TRACKING_URI),
        where the version's source says. Raises AlreadyExists when the version is pinned, InvalidInput when its source
        cannot be fetched from there, NotFound when nothing is there, Conflict when it changes meanwhile.
        """
        found = self._ask("get_version", c.VersionNamed(model, version_number(version)), Version)
        if found.digest is not None:
            raise AlreadyExists(
                f"version {found.version} of {found.model!r} is pinned already, as {found.digest}.",
                hint="What is pinned never changes; register other files as a new version.",
                digest=found.digest,
            )
        if folder is not None:
            return self._pin_folder(found, folder, None, reason, progress=progress)
        origin = self._origin(found)
        if origin.digest is not None:  # the version it is a copy of was pinned in the meantime
            files = self._ask("list_files", c.VersionNamed(origin.model, origin.version), Manifest).files
            return self._pin(found, files, found.source, reason)
        with _fetched(_server(tracking), origin.source, self.transport.where, progress=progress) as fetched:
            return self._pin_folder(found, fetched, found.source, reason, progress=progress)

    def _origin(self, version: Version) -> Version:
        """Return the version that says where the files are: a copy has them from where its original has them."""
        for _ in range(_MOST_COPIES):
            source = parse_source(version.source) if version.source else None
            if source is None or source.kind is SourceKind.OPAQUE_NAME:
                raise InvalidInput(
                    f"version {version.version} of {version.model!r} does not say where its files are.",
                    hint="Name them: greenroom pin MODEL N --from DIR",
                )
            parent = version.parent
            if source.kind is not SourceKind.MODELS or parent is None or version.digest is not None:
                break
            version = self._ask("get_version", c.VersionNamed(parent.model, parent.version), Version)
        return version

    def _pin_folder(
        self,
        version: Version,
        folder: str | os.PathLike[str],
        source: str | None,
        reason: str | None,
        *,
        progress: bool,
    ) -> Version:
        from greenroom.client.transfer import push_folder

        for _ in range(_PUSHES - 1):
            try:
                return self._pin(version, push_folder(folder, self.transport, progress=progress), source, reason)
            except (Conflict, InvalidInput) as exc:
                # A file was collected, or found damaged, between the question and the answer: it is sent again.
                if not {"missing", "state"} & exc.details.keys():
                    raise
        return self._pin(version, push_folder(folder, self.transport, progress=progress), source, reason)

    def _pin(self, version: Version, files: tuple[File, ...], source: str | None, reason: str | None) -> Version:
        ask = c.PinVersion(version.model, version.version, tuple(files), source, reason)
        return self._ask("pin_version", ask, Version)


def _server(tracking: str | None) -> TrackingServer:
    """Return the tracking server that is named. Raises InvalidInput when none is, or it is not reached by HTTP."""
    from greenroom.client.elsewhere import TrackingServer
    from greenroom.client.resolve import looks_like_url, parse_url, with_mlflow_credentials

    url, why = tracking or os.environ.get("MLFLOW_TRACKING_URI", ""), "given as --tracking"
    if not tracking:
        why = "from MLFLOW_TRACKING_URI"
    if not looks_like_url(url):
        raise InvalidInput(
            f"{url!r} ({why}) is no http URL." if url else "no tracking server is named.",
            hint="Give --tracking URL or set MLFLOW_TRACKING_URI, or name the files: --from DIR",
        )
    # Our own token is not the tracking server's business.
    return TrackingServer(with_mlflow_credentials(parse_url(url, why, {}), os.environ))


@contextlib.contextmanager
def _fetched(server: TrackingServer, source: str, where: str, *, progress: bool) -> Iterator[Path]:
    """Give a folder with the files at `source`, complete and all of one moment; it goes when the block succeeds."""
    from greenroom.client.elsewhere import changed
    from greenroom.client.transfer import cache_folder

    place = server.place_of(source)
    listed = server.files_at(place)
    name = hashlib.sha256(json.dumps([where, server.address.url, place]).encode()).hexdigest()[:32]
    root = cache_folder() / "pins" / name
    with _alone(root):
        files, notes = root / "files", root / "notes"
        notes.mkdir(exist_ok=True)
        _drop_others(files, {each.path for each in listed})
        with _bar(sum(each.size_bytes or 0 for each in listed), wanted=progress) as advance:
            _fetch_all(server, place, listed, files, notes, advance)
        if server.files_at(place) != listed or not all(_fits(files / each.path, each) for each in listed):
            shutil.rmtree(root, ignore_errors=True)
            raise changed(place)
        yield files
        shutil.rmtree(root, ignore_errors=True)


def _fetch_all(
    server: TrackingServer, place: str, listed: list[Listed], files: Path, notes: Path, advance: Advance
) -> None:
    single = len(listed) == 1 and place.rpartition("/")[2] == listed[0].path and not _is_folder(server, place)

    def fetch(each: Listed) -> None:
        target = files / each.path
        target.parent.mkdir(parents=True, exist_ok=True)
        note = notes / hashlib.sha256(each.path.encode()).hexdigest()
        server.fetch(place if single else f"{place}/{each.path}", target, note, each.size_bytes, advance)

    with ThreadPoolExecutor(_THREADS) as threads:
        running = [threads.submit(fetch, each) for each in listed]
        try:
            for each in running:
                each.result()
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            raise


def _is_folder(server: TrackingServer, place: str) -> bool:
    return bool(server.entries(place))


def _fits(file: Path, listed: Listed) -> bool:
    return file.is_file() and listed.size_bytes in (None, file.stat().st_size)


def _drop_others(files: Path, wanted: set[str]) -> None:
    """Remove what an earlier attempt fetched and is not there any more."""
    files.mkdir(exist_ok=True)
    for path in sorted(files.rglob("*"), reverse=True):
        if path.is_file() and path.relative_to(files).as_posix() not in wanted:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Be the only process that fetches into a folder, where the system can tell."""
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with root.with_suffix(".lock").open("w") as file:
        with contextlib.suppress(ImportError):  # Windows: two at once would be seen by their sizes and digests
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Conflict(
                    "another process is pinning these files just now.", hint="Wait until it is done."
                ) from None
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield


def _bar(total: int, *, wanted: bool) -> contextlib.AbstractContextManager[Advance]:
    from greenroom.client.progress import ignore
    from greenroom.client.progress import progress as progress_bar

    return progress_bar("Fetching", total) if wanted else contextlib.nullcontext(ignore)
