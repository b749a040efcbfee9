"""A damaged backup is refused by name, nothing is ever overwritten, and what an older state lacks is said."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import greenroom
from greenroom.app import open_shared
from greenroom.core.errors import AlreadyExists, Conflict, IntegrityFailure, InvalidInput
from greenroom.store.sqlite import SQLite
from greenroom.upkeep import carrying, jobs, proving
from greenroom.upkeep.checking import check
from greenroom.upkeep.place import Place
from tests.postgres import new_database
from tests.promises import sized
from tests.races.kit import SEED, problems_of_log, serving
from tests.store.scene import filled, first_blob, note_of, place, whole


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << at % 8
    path.chmod(0o600)
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "flipped blob": (lambda b: _flip(first_blob(b), 7), "holds other bytes than its digest says"),
    "shortened blob": (lambda b: _shorten(first_blob(b)), "holds other bytes than its digest says"),
    "missing blob": (lambda b: first_blob(b).unlink(), "is missing"),
    "no blobs": (lambda b: shutil.rmtree(b / "blobs"), "has no blobs"),
    "no key": (lambda b: (b / "audit.key").unlink(), "the signing key .* cannot be read"),
    "damaged key": (lambda b: (b / "audit.key").write_text("{"), "the signing key .* is damaged"),
    "truncated database": (lambda b: _shorten(b / "greenroom.db"), "is damaged"),
    "half a database": (lambda b: os.truncate(b / "greenroom.db", 40_960), "is damaged"),
    "empty database": (lambda b: os.truncate(b / "greenroom.db", 0), "is empty"),
    "no database": (lambda b: (b / "greenroom.db").unlink(), "has no greenroom.db"),
    "no database but other bytes": (lambda b: (b / "greenroom.db").write_bytes(b"x" * 8192), "is damaged"),
    "a row changed": (lambda b: _change_row(b / "greenroom.db"), "version"),
}


def _shorten(path: Path) -> None:
    path.chmod(0o600)
    os.truncate(path, path.stat().st_size - 3)


def _change_row(path: Path) -> None:
    db = SQLite(path)
    db.run("UPDATE version SET description = 'better' WHERE version = 1")
    db.checkpoint_wal()
    db.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    jobs.back_up(Place(filled(folder / "r")), folder / "b")
    return folder / "b"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_backup_is_refused_by_name(damage: str, good: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copytree(good, tmp_path / "b"))
    do, says = DAMAGES[damage]
    do(backup)
    with pytest.raises(IntegrityFailure, match=says) as caught:
        jobs.restore(backup, Place(tmp_path / "new"))
    assert str(backup) in caught.value.message
    assert [each.name for each in tmp_path.iterdir()] == ["b"]


def _as_it_lies(source: SQLite, target: SQLite, **given: Any) -> None:
    """The file is copied past SQLite and its checks."""
    shutil.copyfile(source.path, target.path)


def refused_flips(good: Path, tmp_path: Path, count: int) -> list[int]:
    """Flip one bit of the database at a time; return where that was not noticed."""
    chance, unseen = random.Random(SEED), []
    print("seed", SEED)
    size_bytes = (good / "greenroom.db").stat().st_size
    for number in range(count):
        backup = Path(shutil.copytree(good, tmp_path / f"flipped-{number}"))
        at = chance.randrange(size_bytes) if number > 100 else number  # the header is where a flip might hide
        at = at if number % 2 else chance.randrange(size_bytes)
        _flip(backup / "greenroom.db", at)
        try:
            jobs.restore(backup, Place(tmp_path / f"new-{number}"))
            unseen.append(at)
        except IntegrityFailure as exc:
            unseen += [at] if str(backup) not in exc.message else []
        shutil.rmtree(backup)
        shutil.rmtree(tmp_path / f"new-{number}", ignore_errors=True)
    return unseen


def test_a_flipped_bit_anywhere_in_the_database_is_refused(good: Path, tmp_path: Path) -> None:
    assert refused_flips(good, tmp_path, sized(40, 5_000)) == []


def test_mutant_without_page_checks_is_caught(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_require_backup", lambda backup: None)
    monkeypatch.setattr(carrying, "copy_pages", _as_it_lies)
    monkeypatch.setattr(proving, "page_findings", lambda *given, **more: iter(()))
    assert refused_flips(good, tmp_path, 30) != []


@pytest.mark.parametrize("verify", [True, False])
def test_a_damaged_registry_is_backed_up_only_when_that_is_asked_for(verify: bool, tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    lost = first_blob(folder)
    lost.unlink()
    if verify:
        with pytest.raises(IntegrityFailure, match=r"is damaged: the blob .* is missing"):
            jobs.back_up(Place(folder), tmp_path / "b")
        assert not (tmp_path / "b").exists()
    else:
        done = jobs.back_up(Place(folder), tmp_path / "b", verify=False)
        assert done.left_out == (f"sha256:{lost.name}",)
        assert not done.verified


# --- what a restore refuses, and what it says -----------------------------------------------------------------------


def test_what_the_registry_itself_gave_up_is_told(tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    digest = f"sha256:{first_blob(folder).name}"
    db = SQLite(folder / "greenroom.db")
    db.run("UPDATE blob SET state = 'damaged' WHERE digest = :digest", {"digest": digest})
    db.close()
    with pytest.raises(IntegrityFailure, match=digest):
        jobs.back_up(Place(folder), tmp_path / "b")
    assert jobs.back_up(Place(folder), tmp_path / "b", verify=False).left_out == (digest,)


def test_an_older_state_says_what_it_lacks(tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    first = jobs.back_up(Place(folder), tmp_path / "b")
    with greenroom.connect(data=folder) as registry:
        registry.promote("churn", 1, to="Production", swap=True)
    newest = note_of(folder)
    done = jobs.restore(tmp_path / "b", Place(tmp_path / "new"), checkpoints=[newest, first.checkpoint])
    assert (done.lacks, done.entries, done.checkpoint) == (1, first.entries, first.checkpoint)
    other = note_of(filled(tmp_path / "other"))
    with pytest.raises(InvalidInput, match="No known key signed this note"):
        jobs.restore(tmp_path / "b", Place(tmp_path / "new2"), checkpoints=[other])
    assert not (tmp_path / "new2").exists()


def test_nothing_is_ever_overwritten(good: Path, tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    note = note_of(folder)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "x.tex").write_text("x")
    for target, says in ((folder, "there is a registry in"), (tmp_path / "thesis", "is not empty")):
        with pytest.raises(AlreadyExists, match=says):
            jobs.restore(good, Place(target))
    with pytest.raises(AlreadyExists, match="is there already"):
        jobs.back_up(Place(folder), tmp_path / "thesis")
    with pytest.raises(InvalidInput, match="into itself"):
        jobs.restore(good, Place(good, "postgresql://127.0.0.1/x"))
    assert note_of(folder) == note
    assert [each.name for each in (tmp_path / "thesis").iterdir()] == ["x.tex"]


def test_a_served_folder_is_left_alone(good: Path, tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    with serving(folder) as server:
        with pytest.raises(AlreadyExists, match="there is a registry"):
            jobs.restore(good, Place(folder))
        with pytest.raises(Conflict, match="in use by a Greenroom server") as owned:
            jobs.copy(Place(folder), Place(tmp_path / "new"))
        assert owned.value.details["url"] == server.url
        assert check(Place(folder)).findings == ()
    assert not (tmp_path / "new").exists()


def test_the_files_that_a_lost_database_left_behind_are_used_again(good: Path, tmp_path: Path) -> None:
    where = place("postgresql", tmp_path)
    jobs.restore(good, where)
    first_blob(where.folder).unlink()
    again = Place(where.folder, new_database())
    with pytest.raises(IntegrityFailure, match="the database is empty, but the data folder holds"):
        open_shared(str(again.database_url), again.folder)
    jobs.restore(good, again)
    assert whole(again) == []
    with pytest.raises(AlreadyExists, match="is not empty"):
        jobs.restore(good, Place(tmp_path / "more", again.database_url))
    assert not (tmp_path / "more").exists()
    others = filled(tmp_path / "others")
    (others / "greenroom.db").unlink()
    with pytest.raises(AlreadyExists, match="is not empty"):
        jobs.restore(good, Place(others, new_database()))


def test_a_backup_is_read_where_nothing_can_be_written_and_stays_as_it_is(good: Path, tmp_path: Path) -> None:
    backup = Path(shutil.copytree(good, tmp_path / "b"))
    before = {each: each.stat().st_mtime_ns for each in backup.rglob("*")}
    data = (backup / "greenroom.db").read_bytes()
    jobs.restore(backup, Place(tmp_path / "new"))
    assert {each: each.stat().st_mtime_ns for each in backup.rglob("*")} == before
    assert (backup / "greenroom.db").read_bytes() == data
    assert (tmp_path / "new" / "audit.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert first_blob(backup).stat().st_ino != first_blob(tmp_path / "new").stat().st_ino


def test_a_folder_that_lost_its_database_gets_it_back_and_keeps_its_files(good: Path, tmp_path: Path) -> None:
    folder = filled(tmp_path / "r")
    jobs.back_up(Place(folder), tmp_path / "b")
    kept, lost = sorted((folder / "blobs" / "sha256").glob("*/*"))[:2]
    inode = kept.stat().st_ino
    lost.unlink()
    (folder / "greenroom.db").unlink()
    with pytest.raises(AlreadyExists, match="is not empty"):
        jobs.restore(good, Place(folder))  # of another registry: another key
    (folder / "greenroom.db-wal").write_bytes(b"left over")
    with pytest.raises(AlreadyExists, match=r"holds greenroom\.db-wal of another database"):
        jobs.restore(tmp_path / "b", Place(folder))
    (folder / "greenroom.db-wal").unlink()
    kept.chmod(0o600)
    good_bytes = kept.read_bytes()
    kept.write_bytes(b"x" * len(good_bytes))
    with pytest.raises(IntegrityFailure, match="which is where it is to go already, holds other bytes"):
        jobs.restore(tmp_path / "b", Place(folder))
    assert not (folder / "greenroom.db").exists()
    kept.write_bytes(good_bytes)
    jobs.restore(tmp_path / "b", Place(folder))
    assert problems_of_log(folder) == []
    assert kept.stat().st_ino == inode
