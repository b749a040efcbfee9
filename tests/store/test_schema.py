"""The schema, its compiled texts and its migrations say one thing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from greenroom.core.errors import IntegrityFailure, InvalidInput, NotFound, Unavailable
from greenroom.store.compiled import postgresql, sqlite
from greenroom.store.folder import FolderStore
from greenroom.store.migrate import SCHEMA
from greenroom.store.migrations import script, statements_between

ROOT = Path(__file__).parents[2]


def test_the_compiled_texts_are_fresh() -> None:
    """`make docs` writes them; nobody edits them."""
    done = subprocess.run([sys.executable, "tools/compile_sql.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def flat(text: str) -> str:
    return " ".join(text.rstrip(";").split())


@pytest.mark.parametrize(("dialect", "ddl"), [("sqlite", sqlite.DDL), ("postgresql", postgresql.DDL)])
def test_the_migrations_lead_to_the_schema(dialect: str, ddl: tuple[str, ...]) -> None:
    assert sorted(map(flat, statements_between(None, SCHEMA, dialect))) == sorted(map(flat, ddl))


def test_the_newest_revision_is_the_one_the_code_knows() -> None:
    assert script().get_current_head() == SCHEMA


def change(folder: Path, sql: str) -> None:
    store = FolderStore(folder, create=True, serve=False)
    store._db.raw.execute(sql)
    store.close()


def test_a_newer_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    change(tmp_path / "r", f"UPDATE meta SET value = '{json.dumps('9999')}' WHERE key = 'schema'")
    with pytest.raises(Unavailable, match="the database has schema 9999, this version of Greenroom knows up to"):
        FolderStore(tmp_path / "r", create=False, serve=False)


def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    FolderStore(folder, create=True, serve=False).close()
    (folder / "greenroom.db").unlink()
    other = apsw.Connection(str(folder / "greenroom.db"))
    other.execute("CREATE TABLE theirs (x)")
    other.close()
    with pytest.raises(IntegrityFailure, match="the database is not Greenroom's"):
        FolderStore(folder, create=False, serve=False)


def test_what_is_no_database_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    FolderStore(folder, create=True, serve=False).close()
    (folder / "greenroom.db").write_bytes(b"hello " * 4000)
    with pytest.raises(IntegrityFailure, match="is damaged"):
        FolderStore(folder, create=False, serve=False)


def test_no_registry_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is no registry in the folder"):
        FolderStore(tmp_path, create=False, serve=False)


def test_a_folder_with_other_things_in_it_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(InvalidInput, match="is not empty and holds no registry"):
        FolderStore(tmp_path, create=True, serve=False)


def test_only_its_owner_can_look_into_a_data_folder(tmp_path: Path) -> None:
    folder = tmp_path / "r"
    FolderStore(folder, create=True, serve=False).close()
    assert folder.stat().st_mode & 0o077 == 0
    assert (folder / "audit.key").stat().st_mode & 0o077 == 0
    (folder / "audit.key").chmod(0o644)
    with pytest.raises(Unavailable, match="others can read the signing key"):
        FolderStore(folder, create=False, serve=False)
