"""`greenroom db …` as people type it: what it prints, how it ends, and what it says of a database that is not right."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import greenroom
from greenroom.cli.main import main
from greenroom.store.sqlite import SQLite
from greenroom.upkeep import jobs
from greenroom.upkeep.place import Place
from tests.postgres import new_database
from tests.races.kit import ROOT, serving

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("GREENROOM_", "MLFLOW_"))} | {
    "GREENROOM_ACTOR": "ana"
}


@dataclass(frozen=True)
class Said:
    """What a command line printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


def run(*words: object, **environment: str) -> Said:
    """Run a command line here."""
    out, err = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as here,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in set(os.environ) - set(ENVIRONMENT):
            here.delenv(name)
        for name, value in (ENVIRONMENT | environment).items():
            here.setenv(name, value)
        code = main([str(word) for word in words])
    return Said(code, out.getvalue(), err.getvalue())


def made(folder: Path) -> Path:
    """A data folder with a model that has files."""
    model = folder.parent / "files"
    model.mkdir(parents=True, exist_ok=True)
    (model / "weights").write_text("1")
    with greenroom.connect(data=folder, create=True) as registry:
        registry.push(model, "churn")
    shutil.rmtree(model)
    return folder


def state(folder: Path) -> dict[str, bytes]:
    """What is in a folder, but for the lock files."""
    return {
        str(each.relative_to(folder)): each.read_bytes()
        for each in folder.rglob("*")
        if each.is_file() and each.suffix != ".lock"
    }


def test_from_a_backup_to_postgresql_and_back(tmp_path: Path) -> None:
    folder, url = made(tmp_path / "r"), new_database()
    said = run("db", "backup", tmp_path / "b", "--data", folder, "--output", "table")
    assert said.returncode == 0, said.stderr
    first, _, note = said.stdout.partition("\n\n")
    assert first == f"The backup of 2 entries and 1 file (1 B) is in {tmp_path / 'b'}, verified. Its checkpoint:"
    (tmp_path / "checkpoint").write_text(note)
    run("create", "later", "--data", folder)
    newest = tmp_path / "newest"
    newest.write_text(run("audit", "checkpoint", "--data", folder, "--output", "table").stdout)
    restored = tmp_path / "restored"
    said = run("db", "restore", tmp_path / "b", "--data", restored, "--checkpoint", newest, "--output", "table")
    assert (said.returncode, said.stdout) == (0, f"Restored into {restored}: 2 entries and 1 file (1 B).\n")
    assert said.stderr == "Entries 3 to 3, which the checkpoint covers, are not in this backup.\n"
    said = run("db", "copy", "--from", folder, "--to", url, "--output", "table")
    assert said.returncode == 0, said.stderr
    assert said.stdout == f"Copied to {url}: 3 entries and 1 file (1 B).\n"
    assert f"whatever is written to {folder} is not in it" in said.stderr
    place = ("--data", folder, "--database-url", url)
    assert json.loads(run("db", "check", *place).stdout)["findings"] == []
    assert run("db", "upgrade", *place, "--output", "table").stdout.startswith("The schema is ")
    back = tmp_path / "back"
    said = run("db", "copy", "--from", url, "--data", folder, "--to", back, "--output", "table")
    assert said.stdout == f"Copied to {back}: 3 entries and 1 file (1 B).\n"
    checkpoints = ("--checkpoint", newest, "--checkpoint", tmp_path / "checkpoint")
    assert run("audit", "verify", "--data", back, *checkpoints).returncode == 0
    said = run("db", "backup", tmp_path / "b2", "--data", folder, GREENROOM_DATABASE_URL=url)
    assert json.loads(said.stdout)["entries"] == 3


def test_check_names_what_is_not_as_the_code_says(tmp_path: Path) -> None:
    folder, url = made(tmp_path / "r"), new_database()
    jobs.copy(Place(folder), Place(folder, url))
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP INDEX uq_tenure_exclusive_holder")
        db.execute("ALTER TABLE tenure DISABLE TRIGGER tenure_closed")
        db.execute("ALTER TABLE version DROP CONSTRAINT ck_version_number")
        db.execute("UPDATE version SET description = 'x'")
    shared = run("db", "check", "--data", folder, "--database-url", url, "--output", "table")
    assert shared.returncode == 7
    local = SQLite(folder / "greenroom.db")
    local.run("DROP INDEX uq_tenure_exclusive_holder")
    local.run("DROP TRIGGER tenure_closed")
    local.run("UPDATE version SET description = 'x'")
    local.run("CREATE TRIGGER theirs BEFORE INSERT ON model BEGIN SELECT 1; END")
    local.close()
    embedded = run("db", "check", "--data", folder, "--output", "table")
    assert embedded.returncode == 7
    for said in (shared, embedded):
        assert said.stdout.startswith("damaged: schema ")
        assert "structure  index uq_tenure_exclusive_holder  it is missing" in said.stdout
        assert "trigger tenure_closed" in said.stdout
        assert "row  version" in said.stdout
    assert "constraint ck_version_number  it is missing" in shared.stdout
    assert "trigger theirs  it is none of Greenroom's" in embedded.stdout


# --- what is not right ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made(tmp_path / "r")


WORDS: dict[str, tuple[Callable[[Path], list[object]], int, str]] = {
    "a server's address": (lambda f: ["--url", "http://127.0.0.1:9", "db", "check"], 2, "--url names a server"),
    "an empty folder name": (lambda f: ["db", "check", "--data", ""], 2, "--data is empty"),
    "no registry": (lambda f: ["db", "check", "--data", f / "no"], 4, "there is no registry in the folder"),
    "no registry to back up": (lambda f: ["db", "backup", f / "b", "--data", f / "no"], 4, "there is no registry in"),
    "no backup": (lambda f: ["db", "restore", f / "no", "--data", f / "n"], 4, "there is no backup in"),
    "a backup that is there": (lambda f: ["db", "backup", f, "--data", f], 5, "is there already"),
    "a registry that is there": (lambda f: ["db", "copy", "--from", f, "--to", f], 5, "there is a registry in"),
    "data with two folders": (
        lambda f: ["db", "copy", "--from", f, "--to", f / "n", "--data", f],
        2,
        "--data goes with a database; here both sides are folders",
    ),
    "a database without its files": (
        lambda f: ["db", "copy", "--from", "postgresql://127.0.0.1/x", "--to", f / "n"],
        2,
        "the folder with the files of the database is not named",
    ),
    "another kind of database": (
        lambda f: ["db", "copy", "--from", f, "--to", "mysql://ana:secret@127.0.0.1/x"],
        2,
        "'mysql://ana@127.0.0.1/x' is neither a folder nor a PostgreSQL database",
    ),
    "a database that is not there": (
        lambda f: ["db", "check", "--data", f, "--database-url", "postgresql://ana:secret@127.0.0.1:9/x"],
        6,
        "cannot be reached",
    ),
    "a backup into a file's place": (lambda f: ["db", "backup", f / "audit.key" / "b", "--data", f], 2, "audit.key"),
}


@pytest.mark.parametrize("what", WORDS)
def test_what_cannot_be_done_is_said(what: str, folder: Path) -> None:
    words, code, says = WORDS[what]
    before = state(folder)
    said = run(*words(folder))
    assert said.returncode == code, said.stderr
    assert says in said.stderr
    assert "Traceback" not in said.stderr
    assert "secret" not in said.stderr
    assert state(folder) == before


def _newer(url: str | None, folder: Path) -> None:
    sql = "UPDATE meta SET value = '\"9999\"' WHERE key = 'schema'"
    if url is None:
        db = SQLite(folder / "greenroom.db")
        db.run(sql)
        db.checkpoint_wal()
        db.close()
        return
    with psycopg.connect(url, autocommit=True) as shared:
        shared.execute(sql)


def _not_ours(url: str | None, folder: Path) -> None:
    if url is None:
        (folder / "greenroom.db").unlink()
        db = SQLite(folder / "greenroom.db", create=True)
        db.run("CREATE TABLE theirs (x)")
        db.checkpoint_wal()
        db.close()
        return
    with psycopg.connect(url, autocommit=True) as shared:
        shared.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE TABLE theirs (x int)")


def _of_another_registry(url: str | None, folder: Path) -> None:
    other = made(folder.parent / "other")
    shutil.copy(other / "audit.key", folder / "audit.key")


WRONG = {
    "newer": (_newer, "has schema 9999"),
    "not ours": (_not_ours, "the database is not Greenroom's"),
    "another one": (_of_another_registry, "is not the one that signs the log of this database"),
}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_database_is_named_by_every_command_and_left_alone(wrong: str, kind: str, folder: Path) -> None:
    url = new_database() if kind == "postgresql" else None
    if url:
        jobs.copy(Place(folder), Place(folder, url))
        (folder / "greenroom.db").unlink()
    spoil, says = WRONG[wrong]
    spoil(url, folder)
    place = ["--data", folder, *(["--database-url", url] if url else [])]
    lines = [["db", "check"], ["db", "upgrade"], ["db", "backup", folder.parent / "b"], ["server", "--port", 0]]
    if wrong == "another one":  # nothing of the key is looked at by an upgrade; a local server signs with what it has
        lines = [line for line in lines if line[1] != "upgrade" and (url or line[0] != "server")]
    before, there = state(folder), {each.name for each in folder.parent.iterdir()}
    for line in lines:
        said = run(*line, *place)
        assert said.returncode in (2, 6, 7), (line, said.stdout, said.stderr)
        told = said.stdout + said.stderr
        assert says in told or (line == ["db", "check"] and "signature" in told), (line, told)
        assert "Traceback" not in said.stderr
    after = state(folder)
    assert {name: after.get(name) for name in before} == before
    assert {each.name for each in folder.parent.iterdir()} == there


def test_a_read_only_database_is_looked_at_and_not_changed(folder: Path) -> None:
    url = new_database()
    jobs.copy(Place(folder), Place(folder, url))
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {url.rpartition('/')[2]} SET default_transaction_read_only = on")
    place = ["--data", folder, "--database-url", url]
    assert run("db", "backup", folder.parent / "b", *place).returncode == 0
    assert run("db", "upgrade", *place).returncode == 0
    said = run("db", "check", *place, "--output", "table")
    assert (said.returncode, "by name only" in said.stdout) == (0, True)
    with serving(folder, "--database-url", url) as server:
        assert run("list", "--url", server.url).returncode == 0
        said = run("create", "more", "--url", server.url)
        assert said.returncode == 6
        assert "read-only" in said.stderr
    empty = new_database()
    with psycopg.connect(empty, autocommit=True) as db:
        db.execute(f"ALTER DATABASE {empty.rpartition('/')[2]} SET default_transaction_read_only = on")
    said = run("db", "restore", folder.parent / "b", "--data", folder.parent / "n", "--database-url", empty)
    assert said.returncode == 6
    assert "read-only" in said.stderr
    assert not (folder.parent / "n").exists()


def _may_mount() -> bool:
    return shutil.which("unshare") is not None and not subprocess.run(["unshare", "-m", "true"], check=False).returncode


@pytest.mark.skipif(not _may_mount(), reason="this machine lets nobody mount")
def test_a_read_only_disk_is_said(folder: Path) -> None:
    """A folder on a disk that was mounted read-only: a backup of it is made if that can be, or it is said why not."""
    before = state(folder)
    backup = folder.parent / "b"
    jobs.back_up(Place(folder), backup)
    greenroom_line = f"{sys.executable} -m greenroom"
    for place, line, codes in (
        (folder, f"server --port 0 --data {folder}", {6}),
        (folder, f"db upgrade --data {folder}", {0, 6}),
        (folder, f"db check --data {folder}", {0, 6}),
        (folder, f"db backup {folder.parent}/b2 --data {folder}", {0, 6}),
        (folder, f"db copy --from {folder} --to {folder.parent}/c", {6}),
        (folder, f"db backup {folder}/b3 --data {backup}", {2, 6}),
        (backup, f"db restore {backup} --data {folder.parent}/n", {0}),
        (backup, f"db check --data {backup}", {0}),
    ):
        mounted = f"mount --bind {place} {place} && mount -o remount,ro,bind {place} && exec {greenroom_line} {line}"
        said = subprocess.run(
            ["unshare", "-m", "sh", "-c", mounted],
            capture_output=True,
            text=True,
            timeout=60,
            cwd=ROOT,
            env=ENVIRONMENT,
        )
        assert said.returncode in codes, (line, said.stdout, said.stderr)
        assert "Traceback" not in said.stderr
        assert "bug in Greenroom" not in said.stderr, (line, said.stderr)
    assert state(folder) == before
