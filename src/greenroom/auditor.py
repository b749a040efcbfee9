"""Verify an exported audit log without Greenroom: this one file and Python 3.11 or later are all it takes.

    python auditor.py EXPORT_DIR [--key VKEY] [--checkpoint FILE]... [--witness VKEY]...

It shares no code with the program that wrote the export, so that one mistake cannot be in both: notes, tiles, bundles,
the RFC 6962 tree and Ed25519 are read here a second time, from their specifications. Ed25519 is written out because an
auditor should not have to install anything; it only ever verifies, so it has no secret that its timing could tell.
Exit: 0 ok, 1 tampered (the first bad entry is named), 2 incomplete, 3 could not be checked.
Sources: C2SP signed-note, tlog-checkpoint, tlog-tiles, tlog-cosignature; RFC 6962 2.1; RFC 8032 5.1.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EXITS = {"ok": 0, "tampered": 1, "incomplete": 2, "unchecked": 3}
MOST_FINDINGS = 100
WIDTH = 256
LOG_KEY, WITNESS_KEY = 1, 4  # the two kinds of Ed25519 key that sign here
KEYS: dict[str, tuple[str, ...]] = {
    "model": ("id",),
    "model_tag": ("model_id", "key"),
    "version": ("model_id", "version"),
    "version_tag": ("model_id", "version", "key"),
    "version_metric": ("model_id", "version", "key"),
    "version_param": ("model_id", "version", "key"),
    "version_dataset": ("model_id", "version", "position"),
    "tenure": ("model_id", "version", "kind", "slot", "since_event"),
    "promotion": ("id",),
    "lifecycle": ("name", "revision"),
    "binding": ("position",),
}
"""What names a row of each table of the registry's state."""

_INCOMPLETE = {"missing", "shorter", "witness"}
_HEADER = ("actor", "at", "model", "prev", "request", "seq", "type", "version")
_LINE = {*_HEADER, "body", "body_digest", "leaf"}


class Unchecked(Exception):
    """Nothing can be said about the log: the export, a key or a checkpoint cannot be read."""


class _Bad(Exception):
    """What was read is not what it should be; the text says how."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    kind: str
    where: str
    message: str


@dataclass
class Report:
    """What was found. `proven` counts the entries that a checkpoint from outside covers, `seen` who cosigned what."""

    entries: int = 0
    proven: int = 0
    findings: list[Finding] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)

    def add(self, kind: str, where: str, message: str) -> None:
        """Note a finding; the first MOST_FINDINGS are kept."""
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(kind, where, message))

    @property
    def status(self) -> str:
        """Return ok, incomplete (something is missing, nothing contradicts) or tampered."""
        if not self.findings:
            return "ok"
        return "incomplete" if all(each.kind in _INCOMPLETE for each in self.findings) else "tampered"


def verify_export(
    folder: Path, *, key: str | None = None, checkpoints: Sequence[str] = (), witnesses: Sequence[str] = ()
) -> Report:
    """Verify the export in `folder` against itself, and against what the caller has from elsewhere.

    `key` is the log's verifier key (None: the one that lies in the folder), `checkpoints` are the texts of earlier
    signed checkpoints, `witnesses` verifier keys that must each have cosigned one of the checkpoints. Raises Unchecked
    when nothing can be said.
    """
    for path in folder.rglob("*"):
        if not path.is_file() and not path.is_dir():
            raise Unchecked(f"{path} is no file")  # a pipe, or a device that has no end
    report = Report()
    log_key = Key.read(_text(folder / "key") if key is None else key, LOG_KEY)
    try:
        head = Note.read(_text(folder / "checkpoint"), log_key)
        older = [Note.read(text, log_key) for text in checkpoints]
    except _Bad as exc:
        raise Unchecked(f"a checkpoint cannot be used: {exc}") from exc
    if not head.signed:
        report.add("signature", "checkpoint", f"it is not signed by {log_key.name}")
    for note in older:
        if not note.signed:
            raise Unchecked(f"a checkpoint given is not signed by {log_key.name}: it is of another log, or not genuine")
    _check_witnesses([head, *older], witnesses, report)
    leaves = list(_read_entries(folder, head.size, report))
    report.entries = len(leaves)
    if len(leaves) == head.size:
        _check_tree(folder, Tree(leaves), head, report)
    _check_older(Tree(leaves), older, report)
    return report


# --- entries ----------------------------------------------------------------------------------------------------------


def _read_entries(folder: Path, size: int, report: Report) -> Iterator[bytes]:
    """Yield the leaf hash of each entry that is what it should be; stop, with a finding, at the first that is not."""
    state, bundles, prev = State(report), _Bundles(folder, size), "0" * 64
    try:
        lines = (folder / "entries.jsonl").open("rb")
    except OSError as exc:
        raise Unchecked(f"entries.jsonl cannot be read: {exc.strerror}") from exc
    with lines:
        for seq in range(1, size + 1):
            where = f"entry {seq}"
            try:
                raw, line = bundles.entry(seq), lines.readline()
                if not line:
                    report.add("missing", where, f"entries {seq} to {size} are missing at the end")
                    return
                body = _checked(raw, _json(line.decode()), seq, prev)
            except FileNotFoundError as exc:
                report.add("missing", where, f"its bundle {Path(str(exc.filename)).relative_to(folder)} is missing")
                return
            except (_Bad, ValueError, TypeError, LookupError, AttributeError, RecursionError, OSError) as exc:
                told = isinstance(exc, (_Bad, ValueError, OSError))
                report.add("entry", where, str(exc) if told else "its bytes are not those of an entry")
                return
            state.feed(seq, body)
            leaf = hashlib.sha256(b"\x00" + raw).digest()
            prev = leaf.hex()
            yield leaf
        if lines.readline():
            report.add("entry", f"entry {size + 1}", f"it is one too many: the checkpoint has {size}")
    report.holders += state.holders()


class _Bundles:
    """The entries as the bundles have them, one bundle in memory at a time."""

    def __init__(self, folder: Path, size: int) -> None:
        self._folder, self._size = folder, size
        self._entries: list[bytes] = []

    def entry(self, seq: int) -> bytes:
        """Return entry `seq`; they are asked for in order. Raises _Bad, OSError."""
        index, offset = divmod(seq - 1, WIDTH)
        if offset == 0:
            width = min(WIDTH, self._size - WIDTH * index)
            self._entries = self._read(tile_path("entries", index, width), width)
        return self._entries[offset]

    def _read(self, path: str, width: int) -> list[bytes]:
        data, entries, at = (self._folder / path).read_bytes(), [], 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            entries.append(data[at + 2 : end])
            at = end
        if at != len(data) or len(entries) != width:
            raise _Bad(f"the bundle {path} is cut off or has another number of entries")
        return entries


def _checked(raw: bytes, told: Any, seq: int, prev: str) -> dict[str, Any]:
    """Return the body of an entry. Raises _Bad unless bundle, line, number, body and neighbour fit together."""
    header = _json(raw.decode())
    if _canonical(header) != raw or header.get("v") != 1 or len(header) != len(_HEADER) + 2:
        raise _Bad("its bytes are not an entry in canonical form")
    if header["seq"] != seq or type(header["seq"]) is not int:
        raise _Bad(f"entry {header['seq']} stands in its place")
    if header["prev"] != prev:
        raise _Bad(f"it follows {header['prev']}, but the entry before it is {prev}")
    if set(told) != _LINE:
        raise _Bad("its line in entries.jsonl has other members than an entry")
    for name in _HEADER:
        if told[name] != header[name] or type(told[name]) is not type(header[name]):
            raise _Bad(f"`{name}` is {told[name]!r} in entries.jsonl, {header[name]!r} in the tree")
    body = told["body"]
    digest = "sha256:" + hashlib.sha256(_canonical(body)).hexdigest()
    if digest != header["body"] or told["body_digest"] != digest or not isinstance(body, dict):
        raise _Bad(f"its body was changed: it is not {header['body']}")
    if told["leaf"] != hashlib.sha256(b"\x00" + raw).hexdigest():
        raise _Bad("the leaf hash in entries.jsonl is not its own")
    return body


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) != len(pairs):
            raise _Bad("a name is given twice")
        return dict(pairs)

    return json.loads(text, object_pairs_hook=once)


def _canonical(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


class State:
    """The registry's state, built from the row changes of the entries; what cannot be is reported."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {table: {} for table in KEYS}
        self._open: dict[tuple[Any, ...], dict[tuple[Any, ...], dict[str, Any]]] = {}

    def feed(self, seq: int, body: dict[str, Any]) -> None:
        """Apply the changes of entry `seq`."""
        slots: set[tuple[Any, ...]] = set()
        try:
            for kind, table, *rest in body.get("changes", []):
                self._apply(seq, kind, table, rest, slots)
        except (_Bad, LookupError, TypeError, ValueError, AttributeError) as exc:
            self._report.add("replay", f"entry {seq}", f"a change cannot be made: {exc}")
        for slot in slots:
            held = list(self._open.get(slot, {}).values())
            alone = sorted(row["version"] for row in held if row["exclusive"])
            if slot[0] == "slot" and len(alone) > 1:
                self._report.add("replay", f"entry {seq}", f"{slot[3]} has {len(alone)} holders: versions {alone}")
            if slot[0] == "stage" and len(held) > 1:
                self._report.add("replay", f"entry {seq}", f"version {slot[2]} is in {len(held)} stages")

    def _apply(self, seq: int, kind: str, table: str, rest: list[Any], slots: set[tuple[Any, ...]]) -> None:
        rows = self._rows[table]
        key = tuple(rest[0][name] for name in KEYS[table])
        if kind == "put" and key in rows:
            raise _Bad(f"{table} {key} is there already")
        if kind != "put" and key not in rows:
            raise _Bad(f"{table} {key} is not there")
        if kind == "put":
            rows[key] = dict(rest[0])
            self._check_new(seq, table, rows[key])
        elif kind == "set":
            rows[key] = rows[key] | rest[1]
        elif kind == "cut":
            del rows[key]
        else:
            raise _Bad(f"unknown kind {kind!r}")
        if table == "tenure":
            self._seat(seq, key, rows.get(key), slots)

    def _check_new(self, seq: int, table: str, row: dict[str, Any]) -> None:
        """A version has the number that its model gives next; what an entry makes is of that entry."""
        if table == "version" and self._rows["model"][(row["model_id"],)]["next_version"] != row["version"]:
            raise _Bad(f"version {row['version']} leaves a gap")
        if table == "tenure" and row["since_event"] != seq:
            raise _Bad(f"a tenure begins with entry {row['since_event']}")
        if table == "promotion" and row["id"] != seq:
            raise _Bad(f"a promotion has the number {row['id']}")

    def _seat(self, seq: int, key: tuple[Any, ...], row: dict[str, Any] | None, slots: set[tuple[Any, ...]]) -> None:
        model, version, kind, slot, _ = key
        for place in [("slot", model, kind, slot)] + [("stage", model, version)] * (kind == "stage"):
            if row is not None and row["until_event"] is None:
                self._open.setdefault(place, {})[key] = row
            else:
                self._open.get(place, {}).pop(key, None)
            slots.add(place)
        if row is not None and row["until_event"] not in (None, seq):
            raise _Bad(f"a tenure ends with entry {row['until_event']}")

    def holders(self) -> list[str]:
        """Return who holds each exclusive slot, as sentences."""
        models = {key[0]: row["name"] for key, row in self._rows["model"].items()}
        return [
            f"{slot[3]} of {models.get(slot[1])}: version {row['version']} since entry {row['since_event']}"
            for slot, held in sorted(self._open.items(), key=lambda item: str(item[0]))
            for row in held.values()
            if slot[0] == "slot" and row["exclusive"]
        ]


# --- the tree ---------------------------------------------------------------------------------------------------------


class Tree:
    """The Merkle tree over leaf hashes: every complete subtree of height h is one hash of `levels[h]`."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.levels: list[Sequence[bytes]] = [leaves]
        while len(self.levels[-1]) > 1:
            below = self.levels[-1]
            pairs = zip(below[0::2], below[1::2], strict=False)
            self.levels.append([hashlib.sha256(b"\x01" + left + right).digest() for left, right in pairs])

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves."""
        root, start = b"", size
        for height in range(size.bit_length()):  # from the right: the smallest complete subtree first
            if size >> height & 1:
                start -= 1 << height
                left = self.levels[height][start >> height]
                root = hashlib.sha256(b"\x01" + left + root).digest() if root else left
        return root or hashlib.sha256(b"").digest()


def _check_tree(folder: Path, tree: Tree, head: Note, report: Report) -> None:
    if tree.root(head.size) != head.root:
        report.add("root", "checkpoint", f"its root is not that of the {head.size} entries")
    for level in range((len(tree.levels) + 7) // 8):
        hashes = tree.levels[8 * level]
        for index in range(-(-len(hashes) // WIDTH)):
            true = hashes[WIDTH * index : WIDTH * (index + 1)]
            path = tile_path(str(level), index, len(true)) if true else ""
            try:
                if true and (folder / path).read_bytes() != b"".join(true):
                    report.add("tile", path, "its hashes are not those of the entries")
            except OSError as exc:
                report.add("missing", path, f"it cannot be read: {exc.strerror}")


def _check_older(tree: Tree, older: Iterable[Note], report: Report) -> None:
    for note in sorted(older, key=lambda each: each.size):
        if note.size > len(tree.levels[0]):
            report.add("shorter", f"entry {len(tree.levels[0]) + 1}", f"a checkpoint covers {note.size} entries")
        elif tree.root(note.size) != note.root:
            first = f"entry {min(report.proven + 1, max(note.size, 1))}"
            report.add("checkpoint", first, f"from it to {note.size} the entries are not those of a checkpoint given")
        else:
            report.proven = note.size


def tile_path(level: str, index: int, width: int) -> str:
    """Return the path of a tile or, with level `entries`, of a bundle."""
    groups = [f"{index % 1000:03}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03}")
    return f"tile/{level}/{'/'.join(groups)}" + ("" if width == WIDTH else f".p/{width}")


# --- notes and keys ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A verifier key: a name, the kind of its signatures, and 32 bytes."""

    name: str
    kind: int
    public: bytes

    @classmethod
    def read(cls, text: str, kind: int) -> Key:
        """Read `name+id+base64`. Raises Unchecked if it is anything else than a key of that kind."""
        found = re.fullmatch(r"([^+\s]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text.strip())
        try:
            data = base64.b64decode(found[3], validate=True) if found else b""
        except ValueError:
            data = b""
        if found is None or len(data) != 33 or data[0] != kind:
            what = "a log's" if kind == LOG_KEY else "a witness's"
            raise Unchecked(f"{text.strip()[:120]!r} is not {what} verifier key")
        key = cls(found[1], kind, data[1:])
        if key.id.hex() != found[2]:
            raise Unchecked(f"the verifier key of {key.name} is damaged")
        return key

    @property
    def id(self) -> bytes:
        """The 4 bytes by which a signature points at this key."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([self.kind]) + self.public).digest()[:4]


@dataclass(frozen=True)
class Note:
    """A checkpoint: what it says, and the signatures under it. `signed`: by the log's key, and rightly."""

    text: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes], ...]
    signed: bool

    @classmethod
    def read(cls, text: str, key: Key) -> Note:
        """Read a signed note. Raises _Bad if it is none, or a checkpoint of another log than the key's."""
        body, blank, rest = text.rpartition("\n\n")
        lines = body.split("\n")
        if not blank or not rest.endswith("\n") or len(lines) < 3 or not re.fullmatch(r"0|[1-9]\d{0,18}", lines[1]):
            raise _Bad("it is not a signed checkpoint")
        if lines[0] != key.name:
            raise _Bad(f"it is of the log {lines[0][:120]!r}, not of {key.name!r}")
        found = [re.fullmatch("\u2014 (\\S+) ([A-Za-z0-9+/=]+)", line) for line in rest[:-1].split("\n")]
        try:
            root = base64.b64decode(lines[2], validate=True)
            signatures = tuple((each[1], base64.b64decode(each[2], validate=True)) for each in found if each)
        except ValueError as exc:
            raise _Bad(f"it holds what is not base64: {exc}") from exc
        if None in found or len(root) != 32:
            raise _Bad("a root or a signature line is damaged")
        note = cls(body + "\n", int(lines[1]), root, signatures, signed=False)
        ours = note.by(key)
        good = bool(ours) and all(ed25519(key.public, each, note.text.encode()) for each in ours)
        return cls(note.text, note.size, root, signatures, good)

    def by(self, key: Key) -> list[bytes]:
        """Return the signatures that point at a key, unverified."""
        return [data[4:] for name, data in self.signatures if name == key.name and data[:4] == key.id]

    def cosigned(self, key: Key) -> int | None:
        """Return when a witness saw this checkpoint (seconds since 1970), None if it did not. Raises _Bad if forged."""
        times = []
        for each in self.by(key):
            at = int.from_bytes(each[:8], "big")
            if len(each) != 72 or not ed25519(key.public, each[8:], f"cosignature/v1\ntime {at}\n{self.text}".encode()):
                raise _Bad(f"the cosignature of {key.name} is not genuine")
            times.append(at)
        return max(times, default=None)


def _check_witnesses(notes: Sequence[Note], witnesses: Sequence[str], report: Report) -> None:
    for text in witnesses:
        key = Key.read(text, WITNESS_KEY)
        try:
            seen = [(note.size, at) for note in notes if (at := note.cosigned(key)) is not None]
        except _Bad as exc:
            report.add("cosignature", "checkpoint", str(exc))
            continue
        if seen:
            size, at = max(seen)
            report.seen.append(f"{key.name} saw {size} entries at {_date(at)}")
        else:
            report.add("witness", "checkpoint", f"{key.name} cosigned none of the checkpoints")


def _date(at: int) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return f"{at} s after 1970"


def witnessed(note: str, witness: str) -> bool:
    """Say whether the witness with this verifier key cosigned the checkpoint `note`, whatever log it is of.

    Raises Unchecked for a key that is none, a note that is none and a cosignature that is not genuine.
    """
    key = Key.read(witness, WITNESS_KEY)
    try:
        return Note.read(note, Key(note.partition("\n")[0], LOG_KEY, b"")).cosigned(key) is not None
    except _Bad as exc:
        raise Unchecked(f"a checkpoint cannot be used: {exc}") from exc


# --- Ed25519: points are (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z on -x^2 + y^2 = 1 + d x^2 y^2 -------------------

_P = 2**255 - 19
_ORDER = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_Point = tuple[int, int, int, int]


def ed25519(public: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether `signature` is that of `public` over `message`."""
    a, r = _point(public), _point(signature[:32])
    s = int.from_bytes(signature[32:], "little")
    if a is None or r is None or len(signature) != 64 or s >= _ORDER:
        return False
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _ORDER
    left, right = _times(s, _BASE), _sum(r, _times(h, a))
    return all((left[i] * right[2] - right[i] * left[2]) % _P == 0 for i in (0, 1))


def _point(data: bytes) -> _Point | None:
    """Return the point that 32 bytes encode; None if they encode none."""
    if len(data) != 32:
        return None
    y, odd = int.from_bytes(data, "little") & ((1 << 255) - 1), data[31] >> 7
    square = (y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P
    x = pow(square, (_P + 3) // 8, _P)
    if (x * x - square) % _P:
        x = x * pow(2, (_P - 1) // 4, _P) % _P
    if (x * x - square) % _P or y >= _P or (x == 0 and odd):
        return None
    x = _P - x if x & 1 != odd else x
    return x, y, 1, x * y % _P


def _sum(p: _Point, q: _Point) -> _Point:
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % _P, (p[1] + p[0]) * (q[1] + q[0]) % _P
    c, d = 2 * p[3] * q[3] * _D % _P, 2 * p[2] * q[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _times(number: int, point: _Point) -> _Point:
    total: _Point = (0, 1, 1, 0)
    while number:
        if number & 1:
            total = _sum(total, point)
        point, number = _sum(point, point), number >> 1
    return total


_BASE = _point((4 * pow(5, -1, _P) % _P).to_bytes(32, "little")) or (0, 1, 1, 0)


# --- the command ------------------------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            return file.read(1 << 20)
    except (OSError, ValueError) as exc:
        raise Unchecked(f"{path} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc


def said(report: Report) -> str:
    """Return a report as text for people."""
    covered = f"{report.proven or 'none'} proven by a checkpoint from elsewhere"
    lines = [f"{report.status}: {report.entries} entries; {covered}"]
    lines += [f"  {each.kind}  {each.where}  {each.message}" for each in report.findings]
    return "\n".join([*lines, *(f"  {each}" for each in (*report.seen, *report.holders))])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="auditor.py", description="Verify an exported Greenroom audit log.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--key", help="the log's verifier key, from elsewhere")
    parser.add_argument("--checkpoint", type=Path, action="append", default=[], help="an earlier checkpoint")
    parser.add_argument("--witness", action="append", default=[], help="a witness's verifier key")
    given = parser.parse_args(arguments)
    try:
        texts = [_text(path) for path in given.checkpoint]
        report = verify_export(given.folder, key=given.key, checkpoints=texts, witnesses=given.witness)
    except Unchecked as exc:
        sys.stderr.write(f"unchecked: {exc}\n")
        return EXITS["unchecked"]
    sys.stdout.write(said(report) + "\n")
    return EXITS[report.status]


if __name__ == "__main__":
    sys.exit(main())
