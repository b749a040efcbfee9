"""A backup is of one moment, whole, and restores to a registry that is a prefix of the one that went on meanwhile."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import greenroom
from greenroom.app import open_local
from greenroom.core.errors import Conflict, GreenroomError, IntegrityFailure
from greenroom.services import commands as c
from greenroom.store import shared
from greenroom.store.compiled import sqlite as compiled
from greenroom.store.copying import copy_rows
from greenroom.store.sqlite import SQLite
from greenroom.store.texts import select_text
from greenroom.upkeep import carrying, jobs
from greenroom.upkeep.place import Place
from tests.promises import sized
from tests.races.kit import TESTER, Client, Server, problems_of_log, serving
from tests.store.scene import KINDS, filled, note_of, options, place

WRITERS = 4


# --- while a server writes ------------------------------------------------------------------------------------------


@dataclass
class Load:
    """Clients that write without a pause; what was acknowledged, under names that the log keeps."""

    server: Server
    folder: Path
    acknowledged: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        with Client(self.server.address) as client:
            for number in range(3):
                ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=number == 0)
                client.do("register_version", ask)
        self._threads = [threading.Thread(target=self._work, args=(number,)) for number in range(WRITERS)]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(60)

    def _work(self, number: int) -> None:
        try:
            self._push(number) if number == 0 else self._move(number)
        except Exception as exc:
            self.problems.append(f"writer {number}: {exc!r}")

    def _move(self, number: int) -> None:
        with Client(self.server.address) as client:
            at = 0
            while not self._stop.is_set():
                at += 1
                name = f"w{number}-{at}"
                command = c.Promote("m", "Production", 1 + (at + number) % 3, swap=True)
                status, answer = client.ask("promote", command, actor=name)
                assert status == 200, answer
                self.acknowledged.add(name)

    def _push(self, number: int) -> None:
        model = self.folder / "pushed"
        model.mkdir()
        at = 0
        while not self._stop.is_set():
            at += 1
            (model / "weights").write_bytes(os.urandom(30_000))
            with greenroom.connect(url=self.server.url, actor=f"w{number}-{at}") as registry:
                registry.push(model, "pushed")
            self.acknowledged.add(f"w{number}-{at}")


def backups_under_load(where: Place, tmp_path: Path, rounds: int, *, verify: bool = True) -> list[str]:
    """Take backups while clients write; return what is wrong with them."""
    problems: list[str] = []
    with serving(where.folder, *options(where)) as server, Load(server, tmp_path) as load:
        while len(load.acknowledged) < 20 and not load.problems:
            threading.Event().wait(0.01)
        for at in range(rounds):
            before = set(load.acknowledged)
            backup = tmp_path / f"backup-{at}"
            try:
                done = jobs.back_up(where, backup, verify=verify)
            except GreenroomError as exc:
                problems.append(f"backup {at}: {exc}")
                break
            problems += _compare(backup, done.checkpoint, before, server)
        if len(load.acknowledged) <= len(before):
            problems.append("nobody wrote meanwhile")
    return problems + load.problems


def _compare(backup: Path, checkpoint: str, before: set[str], server: Server) -> list[str]:
    """The restored backup is whole, holds what was acknowledged before it began, and is a prefix of the live log."""
    restored = backup.with_name(f"{backup.name}-restored")
    try:
        jobs.restore(backup, Place(restored))
        problems = problems_of_log(restored)
    except GreenroomError as exc:
        return [f"{backup.name}: {exc}"]
    registry = open_local(restored)
    with registry.snapshot() as tx:
        names = {each.actor for each in tx.audit_entries(after=0, limit=1_000_000)}
    registry.close()
    if before - names:
        problems.append(f"{len(before - names)} writes acknowledged before the backup are not in it")
    if note_of(restored) != checkpoint:
        problems.append("the checkpoint that was printed is not the one of the backup")
    with Client(server.address) as client:
        report = client.do("audit_verify", c.AuditVerify((checkpoint,), deep=False))
    problems += [f"live against the backup's checkpoint: {each}" for each in report["findings"]]
    return problems


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_while_clients_write_is_a_prefix_of_the_log(kind: str, tmp_path: Path) -> None:
    assert backups_under_load(place(kind, tmp_path), tmp_path, sized(3, 200)) == []


def _torn_pages(source: SQLite, target: SQLite, **given: Any) -> None:
    """Each table is read in a snapshot of its own."""

    def rows(table: str) -> Iterator[dict[str, Any]]:
        found = [dict(zip(source.columns[table], row, strict=True)) for row in source.all(select_text(source, table))]
        threading.Event().wait(0.02)
        yield from found

    copy_rows(rows, target, compiled.DDL)


_one_snapshot = shared.database_rows


@contextlib.contextmanager
def _torn_rows(db: Any) -> Iterator[Callable[[str], Iterator[dict[str, Any]]]]:
    """Each table is read in a snapshot of its own."""

    def rows(table: str) -> Iterator[dict[str, Any]]:
        with _one_snapshot(db) as whole_rows:
            found = list(whole_rows(table))
        threading.Event().wait(0.02)
        yield from found

    yield rows


@pytest.mark.slow
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_mutant_rows_of_several_moments_are_caught(
    kind: str, verify: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(carrying, "copy_pages", _torn_pages)
    monkeypatch.setattr(shared, "database_rows", _torn_rows)
    assert backups_under_load(place(kind, tmp_path), tmp_path, 3, verify=verify) != []


# --- rows first, then bytes -----------------------------------------------------------------------------------------


def pushing_between(folder: Path) -> carrying.Progress:
    """Somebody pushes a version at the moment at which files begin to be copied."""

    @contextlib.contextmanager
    def progress(doing: str, total: int) -> Iterator[Callable[[int], None]]:
        if doing == "Copying files":
            model = folder.parent / "between"
            model.mkdir(exist_ok=True)
            (model / "w").write_bytes(os.urandom(100))
            with greenroom.connect(data=folder) as registry:
                registry.push(model, "churn")
        yield lambda count: None

    return progress


def test_what_is_pushed_while_files_are_copied_is_left_out(tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    done = jobs.back_up(Place(folder), tmp_path / "b", progress=pushing_between(folder))
    assert problems_of_log(tmp_path / "b") == []
    assert done.blobs == 6
    assert len(list((tmp_path / "b" / "blobs" / "sha256").glob("*/*"))) == 6


def test_mutant_bytes_before_rows_are_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = filled(tmp_path / "r")
    take_rows, take_files = carrying.Draft._take_rows, carrying.Draft._take_files

    def files_first(self: Any, how: Any) -> None:
        take_rows(self, how)
        with carrying.closing(SQLite(self.database, read_only=True)) as db:
            named = carrying.named_blobs(db)
        take_files(self, named, how)
        self.database.unlink()
        take_rows(self, how)

    monkeypatch.setattr(carrying.Draft, "_take_rows", files_first)
    monkeypatch.setattr(carrying.Draft, "_take_files", lambda self, named, how: [])
    with pytest.raises(IntegrityFailure, match="its file is missing"):
        jobs.back_up(Place(folder), tmp_path / "b", progress=pushing_between(folder))
    assert not (tmp_path / "b").exists()


def test_a_file_that_is_deleted_while_it_is_copied_is_no_damage(tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    registry = open_local(folder)
    upload = registry.blobs.upload("u")
    upload.write(b"loose")
    digest, size_bytes = upload.finish_as_hashed()
    registry.call_now("blob_stored", c.BlobStored(digest, size_bytes), TESTER)
    registry.call_now("put_upload", c.PutUpload("1/loose.txt", digest, size_bytes), TESTER)

    @contextlib.contextmanager
    def collecting(doing: str, total: int) -> Iterator[Callable[[int], None]]:
        if doing == "Copying files":
            registry.call_now("delete_uploads", c.UploadPath("1/loose.txt"), TESTER)
            registry.blobs.remove(digest)
        yield lambda count: None

    with pytest.raises(Conflict, match=r"1/loose\.txt was deleted while it was copied"):
        jobs.back_up(Place(folder), tmp_path / "b", progress=collecting)
    registry.close()
    assert [each.name for each in tmp_path.iterdir()] == ["r"]
    assert jobs.back_up(Place(folder), tmp_path / "b").blobs == 6  # the row of the blob does not come along
    assert problems_of_log(tmp_path / "b") == []


# --- durable, then named --------------------------------------------------------------------------------------------


def unsynced_when_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Make a backup; return which of its files and folders had not been made durable when it got its name."""
    folder, synced, found = filled(tmp_path / "r"), set(), ["it got no name"]
    fsync, rename = os.fsync, os.rename

    def noting_fsync(fd: int) -> None:
        fsync(fd)
        synced.add(os.fstat(fd).st_ino)

    def noting_rename(source: Any, target: Any, **given: Any) -> None:
        if Path(target) == tmp_path / "b":
            below = [Path(source), *Path(source).rglob("*")]
            found[:] = [str(each) for each in below if each.name != "staging" and each.stat().st_ino not in synced]
            synced.clear()
        rename(source, target, **given)

    monkeypatch.setattr(os, "fsync", noting_fsync)
    monkeypatch.setattr(os, "rename", noting_rename)
    jobs.back_up(Place(folder), tmp_path / "b")
    monkeypatch.undo()
    return found if tmp_path.stat().st_ino in synced else [*found, "the folder with its name"]


def test_everything_is_durable_before_the_backup_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert unsynced_when_named(tmp_path, monkeypatch) == []


def test_mutant_without_fsync_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrying, "sync", lambda path: None)
    assert unsynced_when_named(tmp_path, monkeypatch) != []
