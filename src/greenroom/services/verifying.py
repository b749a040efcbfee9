"""Use case `audit verify`: prove that log, tables and blobs belong together, and name the first thing that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from greenroom.core.audit import Entry, Fault, Head, verify_log
from greenroom.core.digest import manifest_of
from greenroom.core.errors import GreenroomError, IntegrityFailure, InvalidInput, NotFound
from greenroom.core.merkle import HASH_BYTES, Frontier
from greenroom.core.model import Actor, File
from greenroom.core.note import Checkpoint, VerifierKey, open_note, parse_checkpoint
from greenroom.core.replay import Deviation, Replay
from greenroom.core.tiles import TILE_WIDTH
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.damage import settle
from greenroom.services.finding import get_model, get_version
from greenroom.services.ports import Desk

Rows = Callable[[str], Iterator[dict[str, Any]]]
MOST_FINDINGS = 100
_INCOMPLETE = {Fault.TRUNCATED.value, Fault.SHORTER.value, "missing_blob"}


class _Report:
    """Collects findings, at most MOST_FINDINGS of them."""

    def __init__(self) -> None:
        self.findings: list[a.Finding] = []
        self.checked: dict[str, int] = {}

    def add(self, kind: str, where: str, message: str) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(a.Finding(kind, where, message))

    def count(self, what: str, number: int = 1) -> None:
        self.checked[what] = self.checked.get(what, 0) + number


def audit_verify(desk: Desk, ask: c.AuditVerify, actor: Actor) -> a.VerifyReport:
    """Verify everything. Never raises for what it finds; raises InvalidInput for a checkpoint that is none."""
    report = _Report()
    for where, what in desk.pages():
        report.add("page", where, what)
    entries = 0
    try:
        with desk.rows() as rows:
            entries = _verify_log(desk, ask, rows, report)
            _verify_manifests(rows, report)
            _verify_blobs(desk, rows, report, deep=ask.deep)
    except InvalidInput:
        raise
    except GreenroomError as exc:
        report.add("unreadable", "database", str(exc))
    except Exception as exc:  # noqa: BLE001 - a damaged file may make the driver say anything: that it cannot be read is the finding
        report.add("unreadable", "database", f"{type(exc).__name__}: {exc}")
    return a.VerifyReport(_status(report), entries, tuple(report.findings), report.checked)


def _status(report: _Report) -> str:
    if not report.findings:
        return "ok"
    return "incomplete" if all(each.kind in _INCOMPLETE for each in report.findings) else "tampered"


def _verify_log(desk: Desk, ask: c.AuditVerify, rows: Rows, report: _Report) -> int:
    head, note = _head(rows, report)
    checkpoints = [_older(desk, text) for text in ask.checkpoints]
    if note:
        _verify_signature(desk, head, note, report)
    replay, count = Replay(desk.audited()), 0
    deviations: list[Deviation] = []

    def stream() -> Iterator[Entry]:
        nonlocal count
        for row in rows("audit_entry"):
            entry = Entry(*(row[name] for name in _ENTRY))
            count += 1
            if len(deviations) < MOST_FINDINGS:
                deviations.extend(replay.feed(entry))
            yield entry

    for found in verify_log(stream(), head=head, checkpoints=checkpoints):
        report.add(found.kind.value, f"entry {found.seq}", found.message)
    if not report.findings or count == head.size:
        for each in deviations:
            report.add("replay", each.where, each.message)
        _verify_tables(replay, rows, report)
    _verify_tiles(rows, head, report)
    report.count("entries", count)
    return count


_ENTRY = ("seq", "at", "type", "actor", "request", "model", "version", "body", "body_digest", "prev", "leaf")


def _head(rows: Rows, report: _Report) -> tuple[Head, str]:
    for row in rows("audit_head"):
        try:
            return Head(int(row["size"]), str(row["last"]), Frontier.from_bytes(bytes(row["frontier"]))), str(
                row["note"]
            )
        except (GreenroomError, TypeError, ValueError) as exc:
            report.add("head", "head of the log", f"it is damaged: {exc}")
            return Head(), ""
    return Head(), ""


def _verify_signature(desk: Desk, head: Head, note: str, report: _Report) -> None:
    key = VerifierKey(desk.signer.name, desk.signer.public_key)
    try:
        checkpoint = parse_checkpoint(open_note(note, [key], desk.signer.verify).body)
    except GreenroomError as exc:
        report.add("signature", "head of the log", str(exc))
        return
    if (checkpoint.size, checkpoint.root) != (head.size, head.root):
        report.add(
            "signature",
            "head of the log",
            f"the signed checkpoint is of {checkpoint.size} entries and another root than the head's {head.size}",
        )


def _older(desk: Desk, text: str) -> Checkpoint:
    """Return an older checkpoint of this log. Raises InvalidInput for one of another log, or with a wrong signature."""
    key = VerifierKey(desk.signer.name, desk.signer.public_key)
    try:
        return parse_checkpoint(open_note(text, [key], desk.signer.verify).body)
    except IntegrityFailure as exc:
        raise InvalidInput(
            f"a checkpoint given is not genuine: {exc}", hint="Give the file as `greenroom audit checkpoint` wrote it."
        ) from exc


def _verify_tables(replay: Replay, rows: Rows, report: _Report) -> None:
    for table in replay.tables:
        for each in replay.compare(table, rows(table)):
            report.add("row", each.where, each.message)
        report.count("rows", len(replay.tables[table]))


def _verify_tiles(rows: Rows, head: Head, report: _Report) -> None:
    """The stored tiles must be what the entries give: level 0 their leaves, above it the roots of the tiles below."""
    tiles = {(row["level"], row["position"]): bytes(row["hashes"]) for row in rows("audit_tile")}
    wanted = {(level, at) for level in range(8) for at in range((head.size >> 8 * level) // TILE_WIDTH)}
    for level, at in sorted(wanted ^ set(tiles)):
        report.add(
            "tile",
            f"tile {at} of level {level}",
            "it is missing" if (level, at) in wanted else "the log does not have it",
        )
    leaves = [row["leaf"] for row in rows("audit_entry")]
    for (level, at), hashes in tiles.items():
        first = at * TILE_WIDTH
        if level == 0:
            true = b"".join(_bytes(leaf) for leaf in leaves[first : first + TILE_WIDTH])
        else:
            true = b"".join(_root(tiles.get((level - 1, first + each), b"")) for each in range(TILE_WIDTH))
        if (level, at) in wanted and true != hashes:
            report.add("tile", f"tile {at} of level {level}", "its hashes are not those of the entries")
    report.count("tiles", len(tiles))


def _bytes(leaf: Any) -> bytes:
    try:
        return bytes.fromhex(leaf)
    except (TypeError, ValueError):
        return b""


def _root(hashes: bytes) -> bytes:
    return (
        Frontier()
        .extend(hashes[at : at + HASH_BYTES] for at in range(0, len(hashes) - HASH_BYTES + 1, HASH_BYTES))
        .root
    )


def _verify_manifests(rows: Rows, report: _Report) -> None:
    """A manifest certifies itself: its digest is that of its entries."""
    files: dict[str, list[File]] = {}
    for row in rows("manifest_entry"):
        files.setdefault(row["manifest"], []).append(File(row["path"], row["digest"], row["size_bytes"]))
    for row in rows("manifest"):
        found = files.pop(row["digest"], [])
        try:
            manifest = manifest_of(found)
            good = (manifest.digest, manifest.size_bytes, len(found)) == (
                row["digest"],
                row["size_bytes"],
                row["file_count"],
            )
        except (GreenroomError, TypeError, ValueError):
            good = False
        if not good:
            report.add("manifest", f"manifest {row['digest']}", "its files are not those that its digest names")
        report.count("manifests")
    for digest in files:
        report.add("manifest", f"manifest {digest}", "there are files of a manifest that is not there")


def _verify_blobs(desk: Desk, rows: Rows, report: _Report, *, deep: bool) -> None:
    """Every blob that is named must be on disk, whole. `deep` reads every byte."""
    sizes = {row["digest"]: row["size_bytes"] for row in rows("blob") if row["state"] != "deleting"}
    named: dict[str, str] = {}
    for table, label in (("manifest_entry", "path"), ("upload", "path")):
        for row in rows(table):
            named.setdefault(row["digest"], str(row[label]))
    for digest in sorted(set(named) - set(sizes)):
        report.add("missing_blob", f"blob {digest}", f"{named[digest]} names it and it is not stored")
    for digest, size in sizes.items():
        name = f"blob {digest}" + (f" ({named[digest]})" if digest in named else "")
        _verify_blob(desk, digest, size, name, report, deep=deep)
        report.count("blobs")
        report.count("bytes", size if isinstance(size, int) else 0)


def _verify_blob(desk: Desk, digest: str, size: Any, name: str, report: _Report, *, deep: bool) -> None:
    try:
        found = desk.blobs.size(digest)
        if found is None:
            report.add("missing_blob", name, "its file is missing")
        elif found != size:
            report.add("blob", name, f"its file has {found} bytes, {size} were stored")
        elif deep:
            desk.blobs.check(digest)
    except GreenroomError as exc:
        report.add("blob", name, str(exc))


def verify_files(desk: Desk, ask: c.VerifyFiles, actor: Actor) -> a.FilesReport:
    """Re-hash the files of one version, of all versions of a model, or of all models. Raises NotFound, InvalidInput."""
    if ask.version is not None and ask.model is None:
        raise InvalidInput("a version is named without its model.", hint="Name the model.")
    pinned, unpinned = _versions(desk, ask)
    report, sizes = _Report(), 0
    seen: dict[str, str | None] = {}
    files = 0
    for label, found in pinned:
        for each in found:
            files += 1
            if each.digest not in seen:
                seen[each.digest] = _fault(desk, each)
                if seen[each.digest] is not None:
                    settle(desk, each.digest, actor)  # the version is shown as damaged from now on
                sizes += each.size_bytes
            if seen[each.digest] is not None:
                report.add("blob", f"{label} {each.path}", str(seen[each.digest]))
    return a.FilesReport(len(pinned) + len(unpinned), files, sizes, tuple(report.findings), tuple(unpinned))


def _versions(desk: Desk, ask: c.VerifyFiles) -> tuple[list[tuple[str, tuple[File, ...]]], list[str]]:
    pinned, unpinned = [], []
    with desk.snapshot() as tx:
        names: Iterable[str] = [ask.model] if ask.model is not None else [name for _, name, _ in tx.living_models()]
        for name in names:
            model = get_model(tx, name)
            numbers = [ask.version] if ask.version is not None else tx.living_versions(model.id)
            for number in numbers:
                row = get_version(tx, model, number)
                label = f"{name} version {row.version}"
                if row.manifest is None:
                    unpinned.append(label)
                else:
                    pinned.append((label, tx.manifest_files(row.manifest)))
    return pinned, unpinned


def _fault(desk: Desk, file: File) -> str | None:
    """Return what is wrong with a file's bytes, or None."""
    try:
        if desk.blobs.size(file.digest) is None:
            return "its blob is missing"
        desk.blobs.check(file.digest)
    except (IntegrityFailure, NotFound) as exc:
        return str(exc)
    return None
