"""How bytes reach a registry and come back: over HTTP, or straight from the blob store of a registry in this process.

A connection that is lost costs what was on the way, not the file: sending and receiving go on where they stopped, a
bounded number of times without progress. Whether the bytes are the right ones is not decided here: the receiving side
hashes them.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from greenroom.client.progress import Advance
from greenroom.client.remote import Remote
from greenroom.client.wire import API, Answer, error_of, may_retry, retry_after
from greenroom.core.digest import hex_of
from greenroom.core.errors import GreenroomError, IntegrityFailure, InvalidInput, NotFound, Unavailable
from greenroom.services.commands import MissingBlobs

if TYPE_CHECKING:
    from greenroom.services.ports import BlobStore

RESUME_FROM_BYTES = 8 << 20  # smaller files are sent in one request and from the start after a loss
ATTEMPTS = 6  # without progress
_SEND_BYTES = 8 << 20  # between two reports of progress
_PIECE_BYTES = 256 << 10
_ASK_AT_ONCE = 1_000
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
_LONGEST_ANSWER = 1 << 20

Write = Callable[[memoryview], None]


class Carrier(Protocol):
    """Carries blobs to and from one registry. Methods may run on several threads at once."""

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of `digests` the registry does not have yet."""

    def put_blob(self, digest: str, file: Path, size_bytes: int, advance: Advance) -> None:
        """Send `file`, whose bytes must be those of `digest`. Raises InvalidInput when they are not.

        `advance` is told what was sent; an error that it raises ends the transfer.
        """

    def get_blob(self, digest: str, size_bytes: int, write: Write) -> None:
        """Hand the blob's bytes to `write`, in order and each once; the caller verifies them.

        `write` must be done with a piece when it returns; an error that it raises ends the transfer. It gets an empty
        piece before each attempt.
        """

    def cancel(self) -> None:
        """Make the calls that are running end soon, with an error."""


class LocalBytes:
    """A `Carrier` for a registry in this process.

    `stored` declares a blob that is durable now; `missing` asks the registry (None: only the blob store).
    """

    def __init__(
        self,
        blobs: BlobStore,
        stored: Callable[[str, int], None],
        missing: Callable[[Sequence[str]], Iterable[str]] | None = None,
    ) -> None:
        self._blobs, self._stored, self._missing = blobs, stored, missing

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of `digests` the registry does not have yet."""
        if self._missing is not None:
            return set(self._missing(digests))
        return {digest for digest in digests if self._blobs.size(digest) is None}

    def put_blob(self, digest: str, file: Path, size_bytes: int, advance: Advance) -> None:
        """Copy `file` into the blob store."""
        upload = self._blobs.upload(f"local-{os.urandom(16).hex()}")
        try:
            with file.open("rb", buffering=0) as source:
                for piece in _pieces_of(source):
                    upload.write(piece)
                    advance(len(piece))
            upload.finish(digest, size_bytes)
        except BaseException:
            upload.abort()
            raise
        self._stored(digest, size_bytes)

    def get_blob(self, digest: str, size_bytes: int, write: Write) -> None:
        """Read the blob from the store."""
        try:
            source = self._blobs.open(digest)
        except NotFound as exc:
            raise IntegrityFailure(f"the blob {digest} is gone.", hint="Run `greenroom fsck`.", digest=digest) from exc
        with source:
            for piece in _pieces_of(source):
                write(piece)

    def cancel(self) -> None:
        """Nothing to do: a disk answers soon."""


class HTTPBytes:
    """A `Carrier` for the server that `remote` talks to, over its connections."""

    def __init__(
        self,
        remote: Remote,
        *,
        pause: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._remote, self._pause, self._chance = remote, pause, chance
        self._guard = threading.Lock()
        self._live: set[http.client.HTTPConnection] = set()

    def missing(self, digests: Sequence[str]) -> set[str]:
        """Return which of `digests` the registry does not have yet."""
        found: set[str] = set()
        for start in range(0, len(digests), _ASK_AT_ONCE):
            asked = tuple(digests[start : start + _ASK_AT_ONCE])
            answer = self._remote.call("missing_blobs", MissingBlobs(asked))
            found |= set(answer.missing) & set(asked)
        return found

    def put_blob(self, digest: str, file: Path, size_bytes: int, advance: Advance) -> None:
        """Send `file`; a big one goes on where an earlier attempt, even of another process, was cut off."""
        with file.open("rb", buffering=0) as source:
            _Sending(self, digest, source, size_bytes, advance).run()

    def get_blob(self, digest: str, size_bytes: int, write: Write) -> None:
        """Fetch a blob; after a lost connection only the rest of it."""
        received = failures = 0
        while received < size_bytes:
            before = received
            write(memoryview(b""))
            try:
                with contextlib.closing(self._received(digest, received, size_bytes)) as pieces:
                    for piece in pieces:
                        write(piece)
                        received += len(piece)
            except _UnfitAnswer:  # maybe only cut off within its headers, which http.client takes for their end
                if failures + 1 >= ATTEMPTS:
                    raise
            failures = 0 if received > before else failures + 1
            if received < size_bytes:
                self.wait_or_give_up(failures, None)

    def cancel(self) -> None:
        """Cut the connections that are in use."""
        with self._guard:
            for connection in self._live:
                with contextlib.suppress(OSError, AttributeError):
                    connection.sock.shutdown(socket.SHUT_RDWR)

    def wait_or_give_up(self, failures: int, answer: Answer | None) -> None:
        """Pause before the next attempt; after ATTEMPTS without progress raise what `answer` says, or Unavailable."""
        if failures >= ATTEMPTS and answer is not None and answer.status >= 400:
            raise self.error(answer)
        if failures >= ATTEMPTS:
            raise Unavailable(
                f"the connection to {self._remote.where} failed {failures} times without progress.",
                hint="Try again later; it goes on where it stopped.",
                url=self._remote.where,
            )
        if failures:
            planned = _FIRST_PAUSE_S * 2 ** (failures - 1) * (0.5 + self._chance())
            asked = retry_after(answer) if answer is not None else None
            self._pause(min(max(planned, asked or 0.0), _LONGEST_PAUSE_S))

    def error(self, answer: Answer) -> GreenroomError:
        """Return the error that an answer describes."""
        return error_of(answer, self._remote.where)

    def ask(self, target: str) -> Answer:
        """GET a small answer."""
        return self._remote.exchange("GET", target, None, self._remote.headers())

    def send(self, target: str, source: BinaryIO, offset: int, stop: int, advance: Advance) -> Answer | None:
        """PUT the bytes of `source` from `offset` to `stop`; None when the connection was lost before the answer."""
        with self._lease() as lease:
            try:
                self._begin(lease.connection, "PUT", target, {"Content-Length": str(stop - offset)})
            except _LOST:
                return None
            with contextlib.suppress(ConnectionError):  # the server may have answered before it hung up
                _send_body(lease.connection, source, offset, stop, advance)
            try:
                return lease.answer_in(lease.connection.getresponse())
            except _LOST:
                return None
        return None

    def _received(self, digest: str, start: int, size: int) -> Generator[memoryview, None, None]:
        """Yield the bytes of a blob from `start` on, as far as the connection lasts."""
        buffer = memoryview(bytearray(min(_PIECE_BYTES, size - start)))
        with self._lease() as lease:
            refusal = None
            try:
                extra = {"Range": f"bytes={start}-"} if start else {}
                self._begin(lease.connection, "GET", f"{API}/blobs/sha256/{hex_of(digest)}", extra)
                response = lease.connection.getresponse()
                if response.status not in (200, 206):
                    refusal = lease.answer_in(response)
            except _LOST:
                return
            if refusal is not None:
                if may_retry(refusal):
                    return
                raise self.error(refusal)
            _require_range(response, start, size)
            while start < size:
                try:
                    count = response.readinto(buffer[: size - start])
                except _LOST:
                    return
                if not count:
                    return
                start += count
                lease.is_reusable = start == size and response.isclosed() and not response.will_close
                yield buffer[:count]

    def _begin(self, connection: http.client.HTTPConnection, method: str, target: str, extra: dict[str, str]) -> None:
        connection.putrequest(method, self._remote.address.prefix + target, skip_accept_encoding=True)
        for name, value in {**self._remote.headers(), **extra}.items():
            connection.putheader(name, value)
        connection.endheaders()

    @contextlib.contextmanager
    def _lease(self) -> Iterator[_Lease]:
        """Lend a connection, and keep it for the next request only when its answer was read to the end."""
        lease = _Lease(http.client.HTTPConnection("unconnected"))
        try:
            lease.connection, _ = self._remote.pool.take()
        except OSError:  # the server may be restarting: one that was never there has been noticed before any bytes
            lease.connection.auto_open = 0
        with self._guard:
            self._live.add(lease.connection)
        try:
            yield lease
        finally:
            with self._guard:
                self._live.discard(lease.connection)
            if lease.is_reusable:
                self._remote.pool.give_back(lease.connection)
            else:
                lease.connection.close()


class _UnfitAnswer(IntegrityFailure):
    """The answer announces other bytes than were asked for."""


_LOST = (OSError, http.client.HTTPException)


@dataclass
class _Lease:
    """A connection while one request uses it. One without a socket fails like one that was lost."""

    connection: http.client.HTTPConnection
    is_reusable: bool = False

    def answer_in(self, response: http.client.HTTPResponse) -> Answer:
        """Read a small answer to its end."""
        body = response.read(_LONGEST_ANSWER)
        self.is_reusable = response.isclosed() and not response.will_close
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


class _Sending:
    """One blob on its way to the server, over as many requests as it takes."""

    def __init__(self, carrier: HTTPBytes, digest: str, source: BinaryIO, size: int, advance: Advance) -> None:
        self._carrier, self._source, self._size, self._advance = carrier, source, size, advance
        self._path = f"{API}/blobs/sha256/{hex_of(digest)}?size={size}"
        self._upload = _upload_id(digest) if size >= RESUME_FROM_BYTES else None
        self._counted = 0

    def run(self) -> None:
        """Send until the server has it all. Raises what the server refuses it with, Unavailable when it is gone."""
        offset, failures = self._staged_earlier(), 0
        was_resumed = offset > 0
        while True:
            self._count(offset - self._counted)
            answer = self._send(offset) or self._ask_after_loss()
            at = offset
            if answer is not None:
                if _is_complete(answer):
                    return
                at = self._next_offset(answer, offset, was_resumed)
            was_resumed = was_resumed and at > 0
            failures = 0 if at > offset else failures + 1
            self._carrier.wait_or_give_up(failures, answer)
            offset = at

    def _send(self, offset: int) -> Answer | None:
        where = f"&upload={self._upload}&offset={offset}" if self._upload else ""
        return self._carrier.send(self._path + where, self._source, offset, self._size, self._count)

    def _ask_after_loss(self) -> Answer | None:
        """Send nothing after the end: the server says how much it has, and it may even have everything."""
        return self._send(self._size) if self._upload else None

    def _next_offset(self, answer: Answer, offset: int, was_resumed: bool) -> int:
        """Return where to go on after an answer that was not the end. Raises what the server refuses the bytes with."""
        if answer.status == 400 and was_resumed:
            return 0  # what an earlier process had sent was something else, and has been dropped
        if answer.status < 300 or answer.status == 409 or may_retry(answer):
            received = self._received_of(answer)
            return offset if received is None else received
        raise self._carrier.error(answer)

    def _received_of(self, answer: Answer) -> int | None:
        """Return how many bytes the server says that it has; None when it does not say."""
        try:
            body = json.loads(answer.body)
            received = body["received"] if answer.status < 300 else body["details"]["received"]
        except (ValueError, LookupError, TypeError):
            return None
        return received if type(received) is int and 0 <= received <= self._size else None

    def _staged_earlier(self) -> int:
        """Return how much an earlier process left; an upload that is running elsewhere is left alone."""
        if self._upload is None:
            return 0
        answer = self._carrier.ask(f"{API}/uploads/{self._upload}")
        with contextlib.suppress(ValueError, LookupError, TypeError):
            if json.loads(answer.body)["active"]:
                self._upload = f"once-{os.urandom(16).hex()}"
                return 0
        return self._received_of(answer) or 0

    def _count(self, sent: int) -> None:
        self._counted += sent
        self._advance(sent)


def _is_complete(answer: Answer) -> bool:
    with contextlib.suppress(ValueError, LookupError, TypeError):
        return answer.status < 300 and json.loads(answer.body)["complete"] is True
    return False


def _upload_id(digest: str) -> str:
    """Return an id that another process of this person, on this machine, comes to as well: it can go on."""
    who = f"{socket.gethostname()}\0{Path('~').expanduser()}\0{digest}"
    return hashlib.sha256(who.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _send_body(
    connection: http.client.HTTPConnection, source: BinaryIO, offset: int, stop: int, advance: Advance
) -> None:
    while offset < stop:
        try:
            source.seek(offset)  # where the system has no sendfile, reading begins here when the offset is 0
            sent = connection.sock.sendfile(source, offset, min(_SEND_BYTES, stop - offset))
        except TimeoutError as exc:
            raise ConnectionError("the server takes no bytes") from exc
        if not sent:
            raise InvalidInput("the file became shorter while it was being sent.", hint="Push it again.")
        offset += sent
        advance(sent)


def _require_range(response: http.client.HTTPResponse, start: int, size: int) -> None:
    """Raise _UnfitAnswer unless the answer carries exactly the bytes from `start` to `size`."""
    length, where = response.getheader("content-length"), response.getheader("content-range")
    fits = where is None if response.status == 200 else where == f"bytes {start}-{size - 1}/{size}"
    if length != str(size - start) or not fits:
        raise _UnfitAnswer(
            f"the server sends other bytes than its manifest says: {length} bytes ({where or 'all'}), not the "
            f"{size - start} from {start} on.",
            hint="Run `greenroom verify`.",
        )


def _pieces_of(source: BinaryIO) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(_PIECE_BYTES))
    while count := source.readinto(buffer):  # type: ignore[attr-defined]
        yield buffer[:count]
