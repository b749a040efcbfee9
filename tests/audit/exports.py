"""Exports of real data folders, the attacker with the database and the key, and the three who look from outside."""

from __future__ import annotations

import copy as copying
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from greenroom.app import open_local
from greenroom.auditor import KEYS
from greenroom.cli.root import run
from greenroom.core.audit import Entry
from greenroom.core.canonical import canonical_text
from greenroom.core.replay import Replay
from tests.tamper.scene import as_dict, attacker, entries_of, rechain

EVENTS = ("since_event", "until_event", "created_event", "deleted_event", "promotion")
Told = list[dict[str, Any]]


def export(folder: Path, to: Path) -> Path:
    """Export as `greenroom audit export` does."""
    assert run(["--data", str(folder), "--quiet", "--output", "json", "audit", "export", str(to)]) == 0
    return to


def bodies(entries: list[Entry]) -> Told:
    """Return entries as dicts with their bodies parsed, to be changed."""
    return [{**as_dict(entry), "body": entry.body} for entry in entries]


def rewrite(folder: Path, change: Callable[[Told], Told]) -> None:
    """Rewrite history as well as it can be done: log, chain, tree, tiles, signature, and every table that follows.

    The attacker has the database and the key; what he leaves behind agrees with itself in every respect.
    """
    with attacker(folder) as db:
        told = change(bodies(entries_of(db)))
        for each in told:
            each["body_text"] = canonical_text(each.pop("body"))
        rechain(folder, db, told, sign=True)
        _fit_tables(folder, db)


def _fit_tables(folder: Path, db: apsw.Connection) -> None:
    replay = Replay(KEYS)
    for entry in entries_of(db):
        assert replay.feed(entry) == [], entry
    for table in KEYS:
        db.execute(f"DELETE FROM {table}")
        for row in replay.tables[table].values():
            names = ", ".join(f'"{name}"' for name in row)
            db.execute(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


def moved(told: Told, at: int, by: int) -> Told:
    """Return the entries with every mention of an entry number above `at` moved by `by`."""

    def number(value: Any) -> Any:
        return value + by if isinstance(value, int) and value > at else value

    told = copying.deepcopy(told)
    for each in told:
        for change in each["body"].get("changes", []):
            for part in change[2:]:
                for name in EVENTS:
                    if name in part:
                        part[name] = number(part[name])
                if change[1] == "promotion" and "id" in part:
                    part["id"] = number(part["id"])
    return told


def verified(folder: Path, *options: str) -> int:
    """Run `greenroom audit verify` on a data folder in this process; return its exit code."""
    return run(["--data", str(folder), "--quiet", "--output", "json", "audit", "verify", *options])


def checkpoint_of(folder: Path) -> str:
    """Return the newest checkpoint of a data folder."""
    from greenroom.services import commands as c
    from tests.races.kit import TESTER

    registry = open_local(folder)
    try:
        return str(registry.call_now("audit_checkpoint", c.AuditCheckpoint(), TESTER).note)
    finally:
        registry.close()


def lines_of(exported: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (exported / "entries.jsonl").read_text("utf-8").splitlines()]


def write_lines(exported: Path, lines: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(each, ensure_ascii=False, separators=(",", ":")) + "\n" for each in lines)
    (exported / "entries.jsonl").write_text(text, "utf-8")
