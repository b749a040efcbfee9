"""What the tests of backup, restore and copy share: a registry with files and a history, and what is wrong with one."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import greenroom
from greenroom.app import open_local, open_shared
from greenroom.services import commands as c
from greenroom.upkeep.place import Place
from tests.postgres import new_database
from tests.races.kit import TESTER, problems_of_log

KINDS = ["sqlite", "postgresql"]


def filled(folder: Path, *, versions: int = 3) -> Path:
    """A data folder with a model of some versions with files, and a history."""
    model = folder.parent / f"{folder.name}-model"
    model.mkdir()
    with greenroom.connect(data=folder, create=True, actor="ana") as registry:
        for number in range(versions):
            (model / "weights").write_bytes(random.Random(number).randbytes(20_000))
            (model / "card.md").write_text(f"version {number}")
            registry.push(model, "churn", metrics={"auc": 0.5 + number / 100})
            registry.promote("churn", number + 1, to="Production", swap=True)
    shutil.rmtree(model)
    return folder


def note_of(folder: Path) -> str:
    registry = open_local(folder)
    try:
        return str(registry.call_now("audit_checkpoint", c.AuditCheckpoint(), TESTER).note)
    finally:
        registry.close()


def place(kind: str, tmp_path: Path) -> Place:
    """An empty place of a kind."""
    return Place(tmp_path / "registry", new_database() if kind == "postgresql" else None)


def whole(where: Place) -> list[str]:
    """What is wrong with a registry at a place."""
    if where.database_url is None:
        return problems_of_log(where.folder)
    registry = open_shared(where.database_url, where.folder)
    try:
        report = registry.call_now("audit_verify", c.AuditVerify(), TESTER)
        return [f"{each.kind} {each.where}: {each.message}" for each in report.findings]
    finally:
        registry.close()


def options(where: Place) -> list[str]:
    return ["--database-url", where.database_url] if where.database_url else []


def first_blob(backup: Path) -> Path:
    return min((backup / "blobs" / "sha256").glob("*/*"))
