"""Asking logs: fetch a log's newest checkpoint, make the proof from its tiles, and put both before the witness.

A source is a Greenroom server, any C2SP tlog-tiles log, or a folder that `greenroom audit export` wrote. What a source
says is never believed: the witness judges it as it judges a request from anybody.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from greenroom.core.errors import GreenroomError, InvalidInput, Unavailable
from greenroom.core.merkle import consistency_proof
from greenroom.core.names import shown
from greenroom.core.note import VerifierKey, parse_checkpoint, parse_verifier_key
from greenroom.core.tiles import TILE_WIDTH, Tile, lookup_in_tiles, tile_path
from greenroom.core.witness import AddCheckpoint, Answer, Judgement, origin_of
from greenroom.witness.folder import Witness

TIMEOUT_S = 20.0
_MOST_BYTES = 1 << 20
_OURS = "/api/v1/audit/tlog"

Read = Callable[[str], bytes | None]
"""`read(path)`: a file of the log (`checkpoint`, `key`, `tile/…`), None when there is none. Raises Unavailable."""


@dataclass(frozen=True)
class Source:
    """A log to follow: where it is, as it was given, and how its files are read."""

    where: str
    read: Read


def source_of(where: str) -> Source:
    """Return the source that a URL or a folder names. Raises InvalidInput for neither."""
    if where.startswith(("http://", "https://")):
        return Source(where, _Served(where.rstrip("/")).read)
    folder = Path(where)
    if "://" in where or not folder.is_dir():
        raise InvalidInput(f"{shown(where)!r} is no log to follow.", hint="Give an http(s) URL, or an exported folder.")
    return Source(where, lambda path: _file(folder / path))


def _file(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise Unavailable(f"{path} cannot be read: {exc.strerror}.") from exc


class _Served:
    """A log behind a URL: a Greenroom server's, or else what lies at the URL itself."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._prefix: str | None = None

    def read(self, path: str) -> bytes | None:
        """Return a file of the log, None for 404. Raises Unavailable."""
        if self._prefix is None:
            ours = self._get(f"{self._url}{_OURS}/checkpoint")
            self._prefix = self._url + (_OURS if ours is not None else "")
        return self._get(f"{self._prefix}/{path}")

    def _get(self, url: str) -> bytes | None:
        try:
            with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:  # noqa: S310 - http(s), see source_of
                data: bytes = answer.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as exc:
            exc.close()
            if exc.code == 404:
                return None
            raise Unavailable(f"{url} answered {exc.code}.") from exc
        except (OSError, ValueError) as exc:  # URLError is an OSError
            raise Unavailable(f"{url} cannot be reached: {getattr(exc, 'reason', exc)}.") from exc
        if len(data) > _MOST_BYTES:
            raise Unavailable(f"{url} answered with more than {_MOST_BYTES} bytes.")
        return data


def follow(source: Source, witness: Witness, keys: dict[str, VerifierKey], now: int) -> tuple[Judgement, str]:
    """Look at a log once, at time `now` (seconds since the epoch); return the judgement and our signature line, if any.

    `keys` are those given for logs, by name; a log without one is pinned with the key that it shows at first. Raises
    Unavailable when the log cannot be read.
    """
    while True:
        data = source.read("checkpoint")
        if data is None:
            raise Unavailable(f"{source.where} shows no checkpoint.", hint="Is it a log, and not empty?")
        note = data.decode("utf-8", "replace")
        origin = origin_of(note)
        size = (witness.known(origin) or witness.trust(_key_of(source, origin, keys))).size
        judged, line = witness.add(_request(source, note, size), now)
        if judged.answer is not Answer.OTHER_SIZE or judged.evidence or judged.size == size:
            break  # else another thread was faster: look again
    if judged.checkpoint is not None and judged.checkpoint.size < judged.size:
        text = f"ROLLBACK: the log shows {judged.checkpoint.size} entries, {judged.size} were cosigned."
        judged = replace(judged, message=text, evidence=True)
        witness.refuse(note, judged)
    return judged, line


def _key_of(source: Source, origin: str, keys: dict[str, VerifierKey]) -> VerifierKey:
    if origin in keys:
        return keys[origin]
    shown_key = source.read("key")
    if shown_key is None or keys:
        raise InvalidInput(f"no key is given for the log '{shown(origin)}'.", hint="Give it with --key.")
    key = parse_verifier_key(shown_key.decode("utf-8", "replace").strip())
    if key.name != origin:
        raise InvalidInput(f"{source.where} shows the key of '{shown(key.name)}', its checkpoint is of another log.")
    return key


def _request(source: Source, note: str, old_size: int) -> AddCheckpoint:
    """Return the request to cosign `note`; without a proof where none can be made, which the witness then refuses."""
    try:
        size = parse_checkpoint(note.partition("\n\n")[0] + "\n").size
    except GreenroomError:
        return AddCheckpoint(old_size, (), note)
    if not 0 < old_size < size:
        return AddCheckpoint(old_size, (), note)
    node = lookup_in_tiles(lambda tile: _tile(source, tile), size)
    return AddCheckpoint(old_size, consistency_proof(node, old_size, size), note)


def _tile(source: Source, tile: Tile) -> bytes:
    """Return a tile's hashes; a partial one may have been replaced by the full one meanwhile."""
    data = source.read(tile.path)
    if data is None and tile.width < TILE_WIDTH:
        full = source.read(tile_path(tile.level, tile.index))
        data = full[: tile.width * 32] if full is not None else None
    if data is None:
        raise Unavailable(f"{source.where} does not show its {tile.path}: nothing can be proven.")
    return data
