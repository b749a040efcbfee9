"""Files that a tracking server elsewhere keeps, by MLflow's artifact API in plain HTTP: find, list, fetch.

Only one server is ever asked: the tracking server that the user named. A source that leads to another one, to a bucket
or to a disk is refused with what to do instead, so that whoever registers a version cannot make somebody else's machine
send requests, or its files, anywhere. Redirects are not followed. Nothing that the server says is believed: names and
sizes are checked.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlencode, urlsplit

from greenroom._version import __version__
from greenroom.client.pool import Pool
from greenroom.client.progress import Advance
from greenroom.client.resolve import ServerAddress
from greenroom.core.errors import (
    Conflict,
    Forbidden,
    GreenroomError,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from greenroom.core.names import check_path, shown
from greenroom.core.source import Source, SourceKind, parse_source

TREE = "/api/2.0/mlflow-artifacts/artifacts"
_API = "/api/2.0/mlflow"
_FROM = "Fetch the files with the tools of that place, then: greenroom pin MODEL N --from DIR"
_MOST_FILES = 100_000
_LONGEST_ANSWER = 32 << 20
_PIECE_BYTES = 256 << 10
_ATTEMPTS = 5
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class Listed:
    """One file below a folder of the server; `size_bytes` None: the server does not say."""

    path: str
    size_bytes: int | None


class TrackingServer:
    """The server at `address`. Thread safe."""

    def __init__(self, address: ServerAddress, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.address = address
        self._pool = Pool(address)
        self._pause = pause

    def place_of(self, text: str) -> str:
        """Return the path in the server's tree that a version's source means.

        Raises InvalidInput when it is no place on this server, NotFound when the server does not know it, and what
        `ask` raises.
        """
        source = parse_source(text)
        if source.kind is SourceKind.RUN:
            return self._place_of_run(source)
        if source.kind is SourceKind.LOGGED_MODEL:
            found = self.ask("GET", f"{_API}/logged-models/{source.logged_model}")
            return self._place_at(str(found.get("model", {}).get("info", {}).get("artifact_uri", "")))
        return self._place_at(source.text)

    def files_at(self, place: str) -> list[Listed]:
        """Return the files below a folder, or the one file that is there, by path. Raises NotFound when nothing is."""
        found = sorted(self._below(place, ""), key=lambda each: each.path)
        if found:
            return found
        folder, _, name = place.rpartition("/")
        for entry in self.entries(folder):
            if entry.get("path") == name and not entry.get("is_dir"):
                return [Listed(name, _size(entry))]
        raise NotFound(f"{self.address.url} has no files at {shown(place)!r}.", hint="Were they deleted there?")

    def fetch(self, place: str, target: Path, note: Path, size: int | None, advance: Advance) -> None:
        """Fetch one file of `size` bytes (None: unknown) to `target`, going on with what an earlier attempt left there.

        `note` keeps which bytes they are (the server's ETag), so that the bytes of two files are never mixed. Raises
        Conflict when fewer bytes came than were announced, and what `ask` raises.
        """
        failures = 0
        while True:
            before = target.stat().st_size if target.exists() else 0
            try:
                self._fetch_once(place, target, note, size, advance)
            except (OSError, http.client.HTTPException) as exc:
                arrived = target.stat().st_size if target.exists() else 0
                failures = failures + 1 if arrived <= before else 0
                if failures >= _ATTEMPTS or getattr(exc, "filename", None):  # ours to write, not the server's to send
                    raise self._lost(exc) from exc
                self._pause(0.2 * 2**failures)
            else:
                return

    def ask(self, method: str, target: str, body: Any = None) -> dict[str, Any]:
        """Return the JSON object that the server answers. Raises NotFound, Forbidden, Unauthenticated, Unavailable."""
        failures = 0
        while True:
            try:
                with self._asked(method, target, body) as response:
                    return self._object(response)
            except (OSError, http.client.HTTPException) as exc:
                failures += 1
                if failures >= _ATTEMPTS:
                    raise self._lost(exc) from exc
                self._pause(0.2 * 2**failures)

    # --- where ---

    def _place_of_run(self, source: Source) -> str:
        query = urlencode({"run_id": source.run_id})
        info = self.ask("GET", f"{_API}/runs/get?{query}").get("run", {}).get("info", {})
        root = self._place_at(str(info.get("artifact_uri", "")))
        place = f"{root}/{source.path}" if source.path else root
        if self.entries(place) or not source.path:
            return place
        # 3.x clients keep a model's files apart from the run's and name it as if it lay in the run.
        ask = {"experiment_ids": [info.get("experiment_id")], "filter": f"source_run_id = '{source.run_id}'"}
        with contextlib.suppress(NotFound):  # an older server
            for each in self.ask("POST", f"{_API}/logged-models/search", ask).get("models", []):
                if each.get("info", {}).get("name") == source.path:
                    return self._place_at(str(each["info"].get("artifact_uri", "")))
        return place

    def _place_at(self, uri: str) -> str:
        """Return the path in this server's tree that a URI names. Raises InvalidInput for one that leads elsewhere."""
        scheme, colon, _ = uri.partition(":")
        scheme = scheme.lower()
        if not colon or scheme not in ("http", "https", "mlflow-artifacts"):
            raise InvalidInput(
                f"the files are at {shown(uri)!r}, which is fetched by other means.", hint=_FROM, uri=uri
            )
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise InvalidInput(f"the files are at {shown(uri)!r}, which is no address.", hint=_FROM, uri=uri) from None
        here = (self.address.host.lower(), self.address.port)
        if host is not None and (host, port or _PORTS.get(scheme, self.address.port)) != here:
            raise InvalidInput(
                f"the files are at {shown(uri)!r}, and only {self.address.url} is asked.",
                hint=f"If you trust that server: --tracking {scheme if scheme in _PORTS else 'http'}://{parts.netloc}",
                uri=uri,
            )
        path = unquote(parts.path) if scheme in _PORTS else parts.path
        if scheme in _PORTS:
            _, marker, path = path.partition(TREE)
            if not marker:
                raise InvalidInput(f"{shown(uri)!r} is no place of MLflow's artifact API.", hint=_FROM, uri=uri)
        return check_path(path.strip("/"))

    # --- what ---

    def _below(self, place: str, inside: str) -> Iterator[Listed]:
        count = 0
        for entry in self.entries(f"{place}/{inside}" if inside else place):
            name = str(entry.get("path", ""))
            path = check_path(f"{inside}/{name}" if inside else name)  # at most 32 folders deep
            if "/" in name:
                raise InvalidInput(f"{self.address.url} lists a file {shown(name)!r} that is in another folder.")
            for found in self._below(place, path) if entry.get("is_dir") else (Listed(path, _size(entry)),):
                count += 1
                if count > _MOST_FILES:
                    raise InvalidInput(f"there are more than {_MOST_FILES} files.", hint="Is it the right folder?")
                yield found

    def entries(self, place: str) -> list[dict[str, Any]]:
        """Return what lies directly in a folder, as the server says it; empty for a file, or where nothing is."""
        found = self.ask("GET", f"{TREE}?{urlencode({'path': place}, quote_via=quote)}").get("files", [])
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    def _fetch_once(self, place: str, target: Path, note: Path, size: int | None, advance: Advance) -> None:
        known = note.read_text("utf-8") if note.exists() and target.exists() else ""
        offset = target.stat().st_size if known else 0
        more = {"Range": f"bytes={offset}-", "If-Range": known} if known and offset else {}
        if known and offset == size:  # there is no range behind the end
            more = {"If-None-Match": known}
        with self._asked("GET", f"{TREE}/{quote(place)}", None, more) as response:
            if response.status == 304:
                response.read()
                return
            if response.status == 416 or (response.status == 206 and not _goes_on(response, offset)):
                offset = 0
                note.unlink(missing_ok=True)
                raise http.client.IncompleteRead(b"")  # from the beginning
            if response.status not in (200, 206):
                raise self._error(response)
            if response.status == 200:
                offset = 0
            etag = response.getheader("etag") or ""
            note.write_text(etag if etag.startswith('"') else "", "utf-8")
            expected = response.getheader("content-length")
            with target.open("r+b" if offset else "wb") as file:
                file.seek(offset)
                file.truncate()
                arrived = 0
                while piece := response.read(_PIECE_BYTES):
                    file.write(piece)
                    arrived += len(piece)
                    advance(len(piece))
            if expected is not None and arrived != int(expected):
                raise http.client.IncompleteRead(b"", int(expected) - arrived)

    # --- HTTP ---

    @contextlib.contextmanager
    def _asked(
        self, method: str, target: str, body: Any = None, more: dict[str, str] | None = None
    ) -> Iterator[http.client.HTTPResponse]:
        headers = {"User-Agent": f"greenroom/{__version__}", "Accept-Encoding": "identity"} | (more or {})
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.address.token is not None:
            headers["Authorization"] = f"Bearer {self.address.token}"
        elif self.address.user is not None:
            pair = f"{self.address.user}:{self.address.password or ''}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        connection, used = self._pool.take()
        try:
            try:
                connection.request(method, self.address.prefix + target, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
            except (OSError, http.client.HTTPException):
                if not used:
                    raise
                connection.close()  # a kept connection that was closed at the other end
                connection.request(method, self.address.prefix + target, json.dumps(body) if body else None, headers)
                response = connection.getresponse()
            yield response
        except BaseException:
            connection.close()
            raise
        if response.isclosed() and not response.will_close:
            self._pool.give_back(connection)
        else:
            connection.close()

    def _object(self, response: http.client.HTTPResponse) -> dict[str, Any]:
        if response.status != 200:
            raise self._error(response)
        try:
            found = json.loads(response.read(_LONGEST_ANSWER) or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise Unavailable(
                f"{self.address.url} does not answer as a tracking server does.", hint="Check the address."
            )
        return found

    def _error(self, response: http.client.HTTPResponse) -> GreenroomError:
        text = response.read(64 << 10).decode("utf-8", "replace")
        with contextlib.suppress(ValueError, AttributeError, RecursionError):
            text = str(json.loads(text).get("message", text))
        said = f"{self.address.url} answers {response.status}: {shown(' '.join(text.split()))[:300]}"
        if response.status == 401:
            hint = "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN."
            return Unauthenticated(said, hint=hint)
        kinds: dict[int, type[GreenroomError]] = {400: InvalidInput, 403: Forbidden, 404: NotFound}
        return kinds.get(response.status, Unavailable)(said)

    def _lost(self, exc: Exception) -> GreenroomError:
        if getattr(exc, "filename", None):
            return InvalidInput(
                f"what was fetched cannot be written: {exc}.", hint="Set GREENROOM_CACHE to another folder."
            )
        why = getattr(exc, "strerror", None) or type(exc).__name__
        return Unavailable(
            f"the tracking server {self.address.url} ({self.address.why}) cannot be reached: {why}.",
            hint="Run the command again: it goes on where it stopped.",
        )


def changed(place: str) -> Conflict:
    """Return the error for files that are not the same at the end as at the beginning."""
    return Conflict(f"the files at {shown(place)!r} changed while they were fetched.", hint="Run it again.")


def _size(entry: dict[str, Any]) -> int | None:
    size = entry.get("file_size")
    return int(size) if isinstance(size, int) or (isinstance(size, str) and size.isdecimal()) else None


def _goes_on(response: http.client.HTTPResponse, offset: int) -> bool:
    return (response.getheader("content-range") or "").startswith(f"bytes {offset}-")
