"""Who can write to the database directly is found out: by the log, by the tables, or by a checkpoint kept elsewhere."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from greenroom.core import audit
from greenroom.core.replay import Replay
from greenroom.services import verifying
from greenroom.store.compiled.sqlite import AUDITED, KEYS
from tests.races.kit import ROOT
from tests.tamper.scene import Verdict, as_dict, attacker, copy, edited, entries_of, rechain, verify

Attack = Callable[[apsw.Connection], Any]

# table -> (a column, what the attacker writes): one row is changed behind the log's back
CHANGES: dict[str, tuple[str, object]] = {
    "model": ("next_version", 9),
    "model_tag": ("value", "harmless"),
    "version": ("author", "somebody else"),
    "version_tag": ("value", "harmless"),
    "version_metric": ("value", 0.99),
    "version_param": ("value", "7"),
    "version_dataset": ("name", "another"),
    "tenure": ("since_by", "somebody else"),
    "promotion": ("status", "succeeded!"),
    "lifecycle": ("document", "lifecycle = 'x'"),
    "binding": ("lifecycle", "mlflow"),
}


def where(table: str, row: dict[str, Any]) -> str:
    """Return how a row is named by `verify`: its table and its key."""
    return f"{table} ({', '.join(str(row[name]) for name in KEYS[table])})"


def first_row(db: apsw.Connection, table: str) -> dict[str, Any]:
    cursor = db.execute(f'SELECT * FROM "{table}" ORDER BY {", ".join(KEYS[table])} LIMIT 1 OFFSET 2')
    found = cursor.fetchone() or db.execute(f'SELECT * FROM "{table}" LIMIT 1').fetchone()
    names = [row[1] for row in db.execute(f'PRAGMA table_info("{table}")')]
    return dict(zip(names, found, strict=True))


def of_key(table: str) -> str:
    return " AND ".join(f'"{name}" = :{name}' for name in KEYS[table])


def test_every_audited_table_is_attacked() -> None:
    assert set(CHANGES) == set(AUDITED)


@pytest.mark.parametrize("table", AUDITED)
def test_a_changed_row_is_named(scene: Path, place: Path, table: str) -> None:
    column, value = CHANGES[table]
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        row = first_row(db, table)
        db.execute(f'UPDATE "{table}" SET "{column}" = :value WHERE {of_key(table)}', {**row, "value": value})
    verdict = verify(folder)
    assert (verdict.status, verdict.kinds) == ("tampered", {"row"})
    assert verdict.names(where(table, row))
    assert verdict.names(column)


@pytest.mark.parametrize("table", AUDITED)
def test_a_removed_row_is_named(scene: Path, place: Path, table: str) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        row = first_row(db, table)
        db.execute(f'DELETE FROM "{table}" WHERE {of_key(table)}', row)
    verdict = verify(folder)
    assert verdict.status == "tampered"
    assert verdict.names(f"{where(table, row)}: this row is missing")


@pytest.mark.parametrize("table", AUDITED)
def test_an_inserted_row_is_named(scene: Path, place: Path, table: str) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        row = first_row(db, table)
        row |= {KEYS[table][-1]: 424242 if isinstance(row[KEYS[table][-1]], int) else "smuggled"}
        row |= {"name": "smuggled", "name_key": "smuggled"} if table == "model" else {}
        row |= {"until_event": 424243} if table == "tenure" else {}
        names = ", ".join(f'"{name}"' for name in row)
        db.execute(f'INSERT INTO "{table}" ({names}) VALUES ({", ".join(f":{name}" for name in row)})', row)
    verdict = verify(folder)
    assert verdict.status == "tampered"
    assert verdict.names(f"{where(table, row)}: this row is in no entry of the log")


# --- the log itself ---


def _drop(db: apsw.Connection) -> None:
    db.execute("DELETE FROM audit_entry WHERE seq = 40")


def _drop_and_close_up(db: apsw.Connection) -> None:
    _drop(db)
    db.execute("UPDATE audit_entry SET seq = -(seq - 1) WHERE seq > 40")
    db.execute("UPDATE audit_entry SET seq = -seq WHERE seq < 0")


def _insert(db: apsw.Connection) -> None:
    db.execute("UPDATE audit_entry SET seq = -(seq + 1) WHERE seq >= 40")
    db.execute("UPDATE audit_entry SET seq = -seq WHERE seq < 0")
    names = "at, type, actor, request, model, version, body, body_digest, prev, leaf"
    db.execute(f"INSERT INTO audit_entry (seq, {names}) SELECT 40, {names} FROM audit_entry WHERE seq = 30")


def _swap(db: apsw.Connection) -> None:
    for before, after in ((40, -1), (41, 40), (-1, 41)):
        db.execute("UPDATE audit_entry SET seq = ? WHERE seq = ?", (after, before))


def _edit_actor(db: apsw.Connection) -> None:
    db.execute("UPDATE audit_entry SET actor = 'nobody' WHERE seq = 40")


def _edit_body(db: apsw.Connection) -> None:
    db.execute("UPDATE audit_entry SET body = '{\"changes\":[]}' WHERE seq = 40")


def _edit_tile(db: apsw.Connection) -> None:
    db.execute("UPDATE audit_tile SET hashes = zeroblob(length(hashes))")


def _edit_head(db: apsw.Connection) -> None:
    db.execute("UPDATE audit_head SET last = ?", ("0" * 64,))


def _edit_note(db: apsw.Connection) -> None:
    db.execute("UPDATE audit_head SET note = replace(note, 'greenroom/', 'redroom/')")


@pytest.mark.parametrize(
    ("attack", "kind", "named"),
    [
        (_drop, "gap", "entry 40"),
        (_drop_and_close_up, "header", "entry 40"),
        (_insert, "header", "entry 40"),
        (_swap, "header", "entry 40"),
        (_edit_actor, "header", "entry 40"),
        (_edit_body, "body", "entry 40"),
        (_edit_tile, "tile", "tile 0 of level 0"),
        (_edit_head, "head", "entry"),
        (_edit_note, "signature", "head of the log"),
    ],
)
def test_a_changed_log_is_named(scene: Path, place: Path, attack: Attack, kind: str, named: str) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        attack(db)
    verdict = verify(folder)
    assert verdict.status == "tampered"
    assert kind in verdict.kinds, verdict
    assert any(named in text for found, text in verdict.findings if found == kind)


def test_a_dropped_end_is_incomplete(scene: Path, place: Path) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        last = len(entries_of(db))
        db.execute("DELETE FROM audit_entry WHERE seq > ?", (last - 3,))
    verdict = verify(folder)
    assert verdict.status != "ok"
    assert verdict.names(f"entries {last - 2} to {last} are missing")


def rewritten(scene: Path, place: Path, *, sign: bool) -> Path:
    """Rewrite history: another reason for an early promotion, in the log and in the tables, all hashes made anew."""
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        entries = entries_of(db)
        at = next(at for at, each in enumerate(entries) if each.type == "promotion_succeeded")

        def change(body: dict[str, Any]) -> None:
            for each in body["changes"]:
                if each[0] == "put" and "reason" in each[2]:
                    each[2]["reason"] = "nothing to see here"

        told = [as_dict(each) for each in entries]
        told[at] = edited(entries[at], change)
        seq = at + 1
        db.execute("UPDATE promotion SET reason = 'nothing to see here' WHERE id = ?", (seq,))
        db.execute("UPDATE tenure SET reason = 'nothing to see here' WHERE since_event = ?", (seq,))
        rechain(folder, db, told, sign=sign)
    return folder


def test_a_re_chained_log_does_not_fit_its_signature(scene: Path, place: Path) -> None:
    verdict = verify(rewritten(scene, place, sign=False))
    assert (verdict.status, verdict.kinds) == ("tampered", {"signature"})


def test_a_stolen_key_is_found_out_by_an_older_checkpoint(scene_and_note: tuple[Path, str], place: Path) -> None:
    scene, note = scene_and_note
    folder = rewritten(scene, place, sign=True)
    assert verify(folder).status == "ok"  # the honest limit: nothing inside the folder can know
    verdict = verify(folder, note)
    assert (verdict.status, verdict.kinds) == ("tampered", {"checkpoint"})
    assert verify(scene, note).status == "ok"


def test_a_shortened_and_re_signed_log_is_found_out_by_a_checkpoint(
    scene_and_note: tuple[Path, str], place: Path
) -> None:
    scene, note = scene_and_note
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        rechain(folder, db, [as_dict(each) for each in entries_of(db)[:20]], sign=True)
    verdict = verify(folder, note)
    assert "shorter" in verdict.kinds


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ("UPDATE manifest_entry SET path = 'other.bin' WHERE rowid = 1", "manifest"),
        ("UPDATE manifest SET size_bytes = 1 WHERE rowid = 1", "manifest"),
        ("DELETE FROM manifest_entry WHERE rowid = 1", "manifest"),
        ("UPDATE blob SET size_bytes = 1 WHERE rowid = 1", "blob"),
        ("DELETE FROM blob WHERE rowid = 1", "missing_blob"),
    ],
)
def test_rows_about_bytes_certify_themselves(scene: Path, place: Path, change: str, kind: str) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        db.execute(change)
    verdict = verify(folder)
    assert verdict.status != "ok"
    assert kind in verdict.kinds


def test_an_ordinary_sqlite_leaves_its_mark_on_every_page_it_writes(scene: Path, place: Path) -> None:
    """Python's own sqlite3 knows nothing of page checksums: what it touches is damaged, and named."""
    folder = copy(scene, place / "copy", link_blobs=True)
    db = sqlite3.connect(folder / "greenroom.db")
    db.execute("UPDATE request_key SET at = 0") if db.execute("SELECT 1 FROM request_key").fetchone() else None
    db.execute("UPDATE upload SET at = 0")  # no lifecycle state: the log says nothing about it
    db.commit()
    db.close()
    verdict = verify(folder)
    assert verdict.status in {"tampered", "unchecked"}
    assert verdict.names("greenroom.db")


# --- the command line ---


def cli(folder: Path, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "greenroom", "--data", str(folder), "audit", "verify", *options]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    return done.returncode, done.stdout + done.stderr


def test_exit_codes(scene_and_note: tuple[Path, str], place: Path) -> None:
    scene, note = scene_and_note
    (place / "checkpoint").write_text(note)
    assert cli(scene, "--checkpoint", str(place / "checkpoint"))[0] == 0
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        _edit_actor(db)
    code, text = cli(folder)
    assert (code, "entry 40" in text) == (1, True)
    folder = copy(scene, place / "copy", link_blobs=True)
    next(path for path in (folder / "blobs").rglob("*") if path.is_file() and len(path.name) >= 60).unlink()
    code, text = cli(folder)
    assert (code, "missing_blob" in text) == (2, True)


def test_exit_code_when_nothing_can_be_checked(scene: Path, place: Path) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    (folder / "greenroom.db").write_bytes(b"no database at all")
    code, text = cli(folder)
    assert "Traceback" not in text
    assert code == 3


# --- the protection taken away ---


def _no_rows(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Replay, "compare", lambda self, table, rows: iter(()))


def _no_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_verify_signature", lambda *given: None)


def _no_tiles(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_verify_tiles", lambda *given: None)


def _no_body_digest(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(audit, "_names_its_body", lambda entry: True)


def _no_manifests(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_verify_manifests", lambda *given: None)


def _row_attack(db: apsw.Connection) -> None:
    db.execute("UPDATE version SET author = 'somebody else'")


def _manifest_attack(db: apsw.Connection) -> None:
    db.execute("UPDATE manifest SET size_bytes = 1 WHERE rowid = 1")


def _note_attack(db: apsw.Connection) -> None:
    _edit_note(db)


def _body_attack(db: apsw.Connection) -> None:
    """A fact that no table holds: what was said when a version was deleted."""
    lie = """replace(body, '"reason":null', '"reason":"asked"')"""
    db.execute(f"UPDATE audit_entry SET body = {lie} WHERE type = 'version_deleted'")


@pytest.mark.parametrize(
    ("protection", "attack"),
    [
        (_no_rows, _row_attack),
        (_no_signature, _note_attack),
        (_no_tiles, _edit_tile),
        (_no_body_digest, _body_attack),
        (_no_manifests, _manifest_attack),
    ],
)
def test_each_protection_is_needed(
    scene: Path, place: Path, protection: Callable[[pytest.MonkeyPatch], None], attack: Attack
) -> None:
    folder = copy(scene, place / "copy", link_blobs=True)
    with attacker(folder) as db:
        attack(db)
    found: list[Verdict] = [verify(folder)]
    with pytest.MonkeyPatch.context() as patch:
        protection(patch)
        found.append(verify(folder))
    assert [each.status for each in found] == ["tampered", "ok"]
