"""`fsck`: every kind of damage and disorder is named, marked, and repaired as far as it can be."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom import connect
from greenroom.app import LocalRegistry
from greenroom.cli.root import run as run_greenroom
from greenroom.core.digest import digest_of, hex_of
from greenroom.services import commands as c
from greenroom.services import fsck as checking
from tests.blobs.scene import fsck, gc, kinds, opened, problems, publish, register, store
from tests.races.kit import TESTER, problems_of_log

DATA = b"needed" * 100
OLD_S = 3 * 86_400


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[LocalRegistry]:
    made = opened(tmp_path / "data")
    register(made, DATA)
    register(made, b"other" * 120)
    yield made
    made.close()


def path_of(registry: LocalRegistry, data: bytes = DATA) -> Path:
    return registry.blobs.path_of(digest_of(data))  # type: ignore[attr-defined, no-any-return]


def write(path: Path, data: bytes) -> None:
    path.chmod(0o600)
    path.write_bytes(data)
    path.chmod(0o444)


def sql(registry: LocalRegistry, text: str) -> None:
    db = registry.store.connect()
    db.run(text)
    db.close()


def aged(path: Path) -> None:
    os.utime(path, (time.time() - OLD_S,) * 2)


def is_damaged(registry: LocalRegistry) -> bool:
    return bool(registry.call_now("get_version", c.VersionNamed("m", 1), TESTER).damaged)


# --- one way to spoil a registry each: what fsck says, what is left after a repair ---


def _flip(r: LocalRegistry) -> None:
    write(path_of(r), b"N" + DATA[1:])


def _cut(r: LocalRegistry) -> None:
    write(path_of(r), DATA[:-1])


def _empty(r: LocalRegistry) -> None:
    write(path_of(r), b"")


def _grow(r: LocalRegistry) -> None:
    write(path_of(r), DATA + b"x")


def _swap(r: LocalRegistry) -> None:
    write(path_of(r), b"other" * 120)


def _remove(r: LocalRegistry) -> None:
    path_of(r).unlink()


def _link(r: LocalRegistry) -> None:
    path_of(r).rename(path_of(r).with_name("elsewhere"))
    path_of(r).symlink_to(path_of(r).with_name("elsewhere"))


def _size(r: LocalRegistry) -> None:
    sql(r, f"UPDATE blob SET size_bytes = 5 WHERE digest = '{digest_of(DATA)}'")


def _orphan(r: LocalRegistry) -> None:
    publish(r, b"orphan")
    aged(path_of(r, b"orphan"))


def _fresh(r: LocalRegistry) -> None:
    publish(r, b"on its way")


def _lost_row(r: LocalRegistry) -> None:
    db = r.store.connect()
    db.run("PRAGMA foreign_keys = OFF")
    db.run(f"DELETE FROM blob WHERE digest = '{digest_of(DATA)}'")
    db.close()


def _staging(r: LocalRegistry) -> None:
    r.blobs.upload("left").pause()
    aged(r.blobs.root / "staging" / "left")  # type: ignore[attr-defined]


def _rights(r: LocalRegistry) -> None:
    path_of(r).chmod(0o644)


def _stray(r: LocalRegistry) -> None:
    path_of(r).with_name("core.1234").write_text("x")


def _half_deleted(r: LocalRegistry) -> None:
    file = store(r, b"loose")
    r.write(lambda tx, ask, actor: tx.set_blob_state(file.digest, "deleting"), None, TESTER)


def _mark_of_a_whole_one(r: LocalRegistry) -> None:
    sql(r, f"UPDATE blob SET state = 'damaged' WHERE digest = '{digest_of(DATA)}'")


def _manifest(r: LocalRegistry) -> None:
    sql(r, f"INSERT INTO manifest (digest, size_bytes, file_count) VALUES ('{digest_of(b'')}', 0, 0)")


ROWS: list[tuple[Callable[[LocalRegistry], None], list[str], bool, list[str]]] = [
    # how, what is found, whether bytes are lost, what is left after a repair
    (_flip, ["flipped"], True, ["missing"]),
    (_cut, ["truncated"], True, ["missing"]),
    (_empty, ["truncated"], True, ["missing"]),
    (_grow, ["longer"], True, ["missing"]),
    (_swap, ["swapped"], True, ["missing"]),
    (_remove, ["missing"], True, ["missing"]),
    (_link, ["missing", "stray", "stray"], True, ["missing"]),
    (_size, ["size"], False, []),
    (_orphan, ["orphan"], False, []),
    (_fresh, [], False, []),
    (_lost_row, ["adoptable"], False, []),
    (_staging, ["staging"], False, []),
    (_rights, ["permissions"], False, []),
    (_stray, ["stray"], False, []),
    (_half_deleted, ["half deleted"], False, []),
    (_mark_of_a_whole_one, ["healed"], False, []),
    (_manifest, ["manifest"], False, ["manifest"]),
]


@pytest.mark.parametrize(("spoil", "found", "lost", "left"), ROWS, ids=[row[0].__name__[1:] for row in ROWS])
def test_everything_wrong_is_named(
    registry: LocalRegistry, spoil: Callable[[LocalRegistry], None], found: list[str], lost: bool, left: list[str]
) -> None:
    assert fsck(registry) == []
    spoil(registry)
    told = fsck(registry)
    assert sorted(each.kind for each in told) == sorted(found)
    assert {each.kind for each in told} <= set(checking.KINDS)
    damage = [each for each in told if each.is_damage]
    assert all(each.versions == ("m 1",) for each in damage)
    assert is_damaged(registry) is lost
    if "healed" not in found:
        assert sorted(each.kind for each in fsck(registry)) == sorted(found)  # looking changes nothing
    fsck(registry, repair=True)
    assert sorted(each.kind for each in fsck(registry)) == left
    assert is_damaged(registry) is lost
    if lost:
        store(registry, DATA)  # the same bytes again
    assert not is_damaged(registry)
    assert [each for each in fsck(registry) if each.kind != "manifest"] == []
    assert problems(registry) == []


def test_a_repair_deletes_nothing(registry: LocalRegistry) -> None:
    _flip(registry)
    fsck(registry, repair=True)
    (aside,) = (registry.blobs.root / "damaged").iterdir()  # type: ignore[attr-defined]
    assert aside.name == f"{hex_of(digest_of(DATA))}.1"
    assert aside.read_bytes() == b"N" + DATA[1:]


def test_quick_sees_sizes_only(registry: LocalRegistry) -> None:
    _flip(registry)
    assert fsck(registry, quick=True) == []
    _cut(registry)
    assert kinds(fsck(registry, quick=True)) == [("truncated", "found")]
    write(path_of(registry), b"N" + DATA[1:])
    assert kinds(fsck(registry, quick=True)) == [("flipped", "found")]  # known to be damaged: looked at closely


def test_it_works_in_parts(registry: LocalRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    datas = [b"%d" % number * 50 for number in range(20)]
    for data in datas:
        register(registry, data)
    publish(registry, b"orphan")
    for data in datas[::3]:
        write(path_of(registry, data), b"?" + data[1:])
    aged(path_of(registry, b"orphan"))
    whole = fsck(registry)
    assert len(whole) == 8
    for name, value in (("_PART_BLOBS", 3), ("_PART_BLOBS", 1), ("_PART_BYTES", 100), ("_PART_BYTES", 1)):
        with monkeypatch.context() as patched:
            patched.setattr(checking, name, value)
            assert fsck(registry) == whole


def test_damage_and_healing_are_in_the_log(registry: LocalRegistry) -> None:
    _flip(registry)
    fsck(registry)
    fsck(registry)
    store(registry, DATA)
    with registry.snapshot() as tx:
        found = [entry for entry in tx.audit_entries(after=0, limit=100) if entry.type.startswith("blobs_")]
    assert [entry.type for entry in found] == ["blobs_damaged", "blobs_healed"]
    assert found[0].body["fault"] == "flipped"
    assert [entry.body["digest"] for entry in found] == [digest_of(DATA)] * 2
    assert [entry.body["versions"] for entry in found] == [["m 1"]] * 2


def test_a_new_version_of_damaged_bytes_is_not_registered(registry: LocalRegistry) -> None:
    """Not even by copying the version: what is lost must be sent again first."""
    _flip(registry)
    fsck(registry)
    with pytest.raises(Exception, match="not stored here"):
        registry.call_now("register_version", c.RegisterVersion("m", source="models:/m/1"), TESTER)


def test_a_damaged_blob_that_nothing_needs_is_garbage(registry: LocalRegistry) -> None:
    store(registry, b"loose")
    write(path_of(registry, b"loose"), b"LOOSE")
    assert kinds(fsck(registry, repair=True)) == [("flipped", "repaired")]
    assert gc(registry, 0).blobs == 1
    assert fsck(registry) == []


# --- as people use it ---


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    monkeypatch.setenv("GREENROOM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)

    def run(*args: str) -> tuple[int, Any, str]:
        code = run_greenroom(["--data", "data", *args])
        said = capsys.readouterr()
        return code, json.loads(said.out) if said.out.startswith("{") else said.out, said.err

    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(DATA)
    with connect(data=tmp_path / "data", create=True) as client:
        client.push(tmp_path / "model", "churn", context=None)
    return run


def blob(tmp_path: Path) -> Path:
    digits = hex_of(digest_of(DATA))
    return tmp_path / "data" / "blobs" / "sha256" / digits[:2] / digits


def test_the_story_of_a_damaged_version(shell: Callable[..., Any], tmp_path: Path) -> None:
    assert shell("fsck")[0] == 0
    good = tmp_path / "backup"
    assert os.system(f"cp -r {tmp_path / 'data'} {good}") == 0
    write(blob(tmp_path), b"N" + DATA[1:])
    code, report, _ = shell("fsck", "--output", "json")
    assert (code, report["damaged"]) == (7, 1)
    code, shown, _ = shell("show", "churn", "1", "--output", "table")
    assert "DAMAGED" in shown
    assert shell("fsck", "--from", "nowhere")[0] == 2
    code, report, _ = shell("fsck", "--from", str(good), "--output", "json")
    assert (code, report["damaged"], report["findings"][0]["outcome"]) == (0, 0, "repaired")
    assert "DAMAGED" not in shell("show", "churn", "1", "--output", "table")[1]
    assert shell("fsck")[0] == 0


def test_a_push_of_the_same_folder_heals(shell: Callable[..., Any], tmp_path: Path) -> None:
    write(blob(tmp_path), DATA[:-1])
    assert shell("fsck", "--repair", "-q")[0] == 7
    with connect(data=tmp_path / "data") as client:
        client.push(tmp_path / "model", "churn", context=None)
        assert [each.damaged for each in client.versions("churn")] == [False, False]
        assert client.fsck().damaged == 0


def test_gc_says_what_it_did(shell: Callable[..., Any], tmp_path: Path) -> None:
    registry = opened(tmp_path / "data")
    store(registry, b"loose")
    registry.close()
    assert shell("gc", "--output", "table")[1].startswith("gone: 0 blobs (0 B), 0 uploads")
    assert shell("gc", "--dry-run", "--grace", "0s", "--output", "table")[1].startswith("would go: 1 blob (5 B)")
    code, done, _ = shell("gc", "--grace", "0", "--output", "json")
    assert (code, done) == (0, {"dry_run": False, "blobs": 1, "bytes": 5, "staged": 0, "keys": 0})
    code, _, said = shell("gc", "--grace", "soon")
    assert (code, said.splitlines()[0]) == (2, "Error: 'soon' is not a length of time.")
    assert problems_of_log(tmp_path / "data") == []
