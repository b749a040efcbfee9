"""A real data folder with a few hundred events of every kind, copies of it, and an attacker who can do what we can."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from greenroom.app import open_local
from greenroom.core.audit import Entry, Head, entry_bytes
from greenroom.core.digest import digest_of
from greenroom.core.errors import IntegrityFailure
from greenroom.core.merkle import TreeBuilder, leaf_hash
from greenroom.core.model import Dataset, File
from greenroom.core.note import checkpoint_body, sign_note
from greenroom.core.tiles import TILE_WIDTH
from greenroom.services import commands as c
from greenroom.store.keys import load_signer
from greenroom.store.sqlite import SQLite
from tests.races.kit import TESTER

ROUNDS = 24
TRIGGERS = ("audit_entry_no_update", "audit_entry_no_delete", "tenure_no_delete", "tenure_closed")
LIFECYCLE = """
lifecycle = "house"
applies_to = ["model-1*"]
[[stage]]
name = "None"
[[stage]]
name = "Production"
capacity = "one"
ungated = true
[[stage]]
name = "Archived"
archive = true
"""


MEMORY = Path("/dev/shm")  # hundreds of copies are opened and closed here; what is durable is tested elsewhere


@contextlib.contextmanager
def quick_folder() -> Iterator[Path]:
    """Give a folder on a file system in memory, where there is one."""
    with tempfile.TemporaryDirectory(prefix="greenroom-", dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@dataclass(frozen=True)
class Verdict:
    """What `audit verify` said: its status and, per finding, kind and text."""

    status: str
    findings: tuple[tuple[str, str], ...]

    def names(self, text: str) -> bool:
        return any(text in found for _, found in self.findings)

    @property
    def kinds(self) -> set[str]:
        return {kind for kind, _ in self.findings}


def build(folder: Path) -> str:
    """Make the registry; return a checkpoint from the middle of its life."""
    registry = open_local(folder, create=True)

    def do(operation: str, command: Any) -> Any:
        return registry.call_now(operation, command, TESTER)

    def blob(data: bytes) -> File:
        upload = registry.blobs.upload(digest_of(data)[7:])
        upload.write(data)
        upload.finish(digest_of(data), len(data))
        do("blob_stored", c.BlobStored(digest_of(data), len(data)))
        return File("model.bin", digest_of(data), len(data))

    note = ""
    for number in range(ROUNDS):
        name = f"model-{number}"
        do("create_model", c.CreateModel(name, "a model", {"team": "risk"}))
        for at in range(1, 4):
            files = (blob(f"{number} {at}".encode() * 50),)
            facts = {"tags": {"a": "b"}, "metrics": {"auc": 0.5 + at / 10}, "params": {"depth": str(at)}}
            do("register_version", c.RegisterVersion(name, files=files, datasets=(Dataset("train"),), **facts))
            do("promote", c.Promote(name, "Production", at, swap=True, reason="better"))
        do("promote", c.Promote(name, "Production", 2))  # refused, and recorded
        do("set_alias", c.SetAlias(name, "champion", 2))
        do("rollback", c.Rollback(name))
        do("record_metrics", c.RecordMetrics(name, 1, {"auc": 0.9}))
        do("delete_version", c.DeleteVersion(name, 1))
        do("put_upload", c.PutUpload(f"{name}/x", files[0].digest, files[0].size_bytes))
        if number % 3 == 0:
            do("restore_version", c.RestoreVersion(name, 1))
            do("set_model_tag", c.SetModelTag(name, "k", "v"))
            do("delete_alias", c.DeleteAlias(name, "champion"))
        if number == ROUNDS // 2:
            do("apply_lifecycle", c.ApplyLifecycle(LIFECYCLE))
            note = do("audit_checkpoint", c.AuditCheckpoint()).note
    do("create_model", c.CreateModel("large", "x" * 60_000))
    do("update_model", c.UpdateModel("large", None))  # leaves free pages behind
    registry.close()
    return str(note)


def verify(folder: Path, *checkpoints: str) -> Verdict:
    """Verify as `greenroom audit verify` does. Only an IntegrityFailure may keep it from being opened."""
    try:
        registry = open_local(folder)
    except IntegrityFailure as exc:
        return Verdict("unchecked", (("unreadable", str(exc)),))
    try:
        report = registry.call_now("audit_verify", c.AuditVerify(checkpoints), TESTER)
        return Verdict(report.status, tuple((each.kind, f"{each.where}: {each.message}") for each in report.findings))
    finally:
        registry.close()


def copy(folder: Path, to: Path, *, link_blobs: bool = False) -> Path:
    """Copy a folder; `link_blobs` shares the blobs' bytes with the original, for those who do not touch them."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to, ignore=shutil.ignore_patterns("blobs"))
    if (folder / "blobs").is_dir():
        shutil.copytree(folder / "blobs", to / "blobs", copy_function=os.link if link_blobs else shutil.copy2)
    return to


def flip(path: Path, position: int, mask: int) -> None:
    mode = path.stat().st_mode
    path.chmod(0o600)
    with path.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ mask]))
    path.chmod(mode)


@contextlib.contextmanager
def attacker(folder: Path) -> Iterator[apsw.Connection]:
    """Open the database as we do, page checksums and all, without our triggers and our references."""
    db = SQLite(folder / "greenroom.db")
    raw = db.raw
    raw.execute("PRAGMA foreign_keys = OFF")
    raw.execute("PRAGMA ignore_check_constraints = ON")
    for trigger in TRIGGERS:
        raw.execute(f"DROP TRIGGER {trigger}")
    yield raw
    raw.close()


COLUMNS = ("seq", "at", "type", "actor", "request", "model", "version", "body", "body_digest", "prev", "leaf")


def entries_of(db: apsw.Connection) -> list[Entry]:
    rows = db.execute(f"SELECT {', '.join(COLUMNS)} FROM audit_entry ORDER BY seq").fetchall()
    return [Entry(*row) for row in rows]


def rechain(folder: Path, db: apsw.Connection, entries: list[dict[str, Any]], *, sign: bool) -> None:
    """Write a whole new log: numbers, digests, chain, tiles and head fit; with the stolen key it is signed as well."""
    tree, prev, leaves = TreeBuilder(), "0" * 64, []
    db.execute("DELETE FROM audit_entry")
    for seq, given in enumerate(entries, start=1):
        text = given["body_text"]
        facts = {**given, "seq": seq, "body_digest": digest_of(text.encode()), "prev": prev, "leaf": ""}
        leaf = leaf_hash(entry_bytes(Entry(**facts)))
        tree.append(leaf)
        leaves.append(leaf)
        prev = leaf.hex()
        values = [facts["body_text" if name == "body" else name] for name in COLUMNS[:-1]] + [prev]
        db.execute(f"INSERT INTO audit_entry ({', '.join(COLUMNS)}) VALUES ({', '.join('?' * 11)})", values)
    head = Head(tree.size, prev, tree.frontier())
    db.execute("DELETE FROM audit_tile")
    for at in range(len(leaves) // TILE_WIDTH):
        row = (0, at, b"".join(leaves[at * TILE_WIDTH : (at + 1) * TILE_WIDTH]))
        db.execute("INSERT INTO audit_tile (level, position, hashes) VALUES (?, ?, ?)", row)
    row_of_head = (head.size, head.last, head.frontier.to_bytes())
    db.execute("UPDATE audit_head SET size = ?, last = ?, frontier = ?", row_of_head)
    if sign:
        key = load_signer(folder, create=False)
        note = sign_note(checkpoint_body(key.name, head.size, head.root), key.name, key.public_key, key.sign)
        db.execute("UPDATE audit_head SET note = ?", (note,))


def as_dict(entry: Entry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in Entry.__slots__}


def edited(entry: Entry, change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return an entry with its body changed."""
    body = entry.body
    change(body)
    text = json.dumps(body, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return as_dict(entry) | {"body_text": text}
