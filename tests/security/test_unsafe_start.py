"""S13: a configuration that would lose data, or let anybody in, does not start; the refusal says what to type."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

import greenroom
from greenroom import app
from greenroom.core.errors import GreenroomError, IntegrityFailure, InvalidInput, Unavailable
from greenroom.http import run
from greenroom.store import keys, safety, sqlite
from tests.promises import promise

Breaking = Callable[[Path, pytest.MonkeyPatch], dict[str, str]]


def _folder(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    data.chmod(0o777)
    return {}


def _readable_key(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (data / keys.KEY_FILE).chmod(0o640)
    return {}


def _corrupt_key(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (data / keys.KEY_FILE).write_text('{"name": "greenroom/x", "ed25519": "00ff"}')
    return {}


def _weak_key(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (data / keys.KEY_FILE).write_text(json.dumps({"name": "greenroom/x", "ed25519": "00" * 31 + "01"}))
    return {}


def _key_of_another(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    (data / keys.KEY_FILE).unlink()
    keys.load_signer(data, create=True)
    return {}


def _no_blobs(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    files = data.parent / "files"
    files.mkdir()
    (files / "model.bin").write_bytes(b"weights")
    with greenroom.connect(data=data) as registry:
        registry.push(files, "iris")
    shutil.rmtree(data / app.BLOBS)
    return {}


def _no_fsync(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    class Lax(apsw.Connection):
        def execute(self, statement: str, *rest: object, **more: object) -> apsw.Cursor:
            return super().execute(statement.replace("= FULL", "= NORMAL"), *rest, **more)  # type: ignore[arg-type]

    patch.setattr(sqlite.apsw, "Connection", Lax)
    return {}


def _old_sqlite(data: Path, patch: pytest.MonkeyPatch) -> dict[str, str]:
    sqlite._load_checksum_vfs.cache_clear()
    patch.setattr(sqlite.apsw, "SQLITE_VERSION_NUMBER", 3_051_002)
    return {}


def _given(**options: str) -> Breaking:
    return lambda data, patch: options


CONFIGS: dict[str, tuple[Breaking, type[GreenroomError], str]] = {
    "all addresses": (_given(host="0.0.0.0"), InvalidInput, "no accounts, so it does not listen on '0.0.0.0'"),
    "all addresses, IPv6": (_given(host="::"), InvalidInput, "does not listen on '::'"),
    "a name of the network": (_given(host="registry.example.org"), InvalidInput, "does not listen on"),
    "a folder for anybody": (_folder, Unavailable, "Run: chmod o-w "),
    "a key that others can read": (_readable_key, Unavailable, "Run: chmod 600 "),
    "a corrupt key": (_corrupt_key, IntegrityFailure, "is weak"),
    "a weak key": (_weak_key, IntegrityFailure, "is weak: it was not made by chance"),
    "the key of another registry": (_key_of_another, Unavailable, "the signing key is that of greenroom/"),
    "the folder of the blobs is gone": (_no_blobs, IntegrityFailure, "and 1 blobs should be in it"),
    "less than synchronous=FULL": (_no_fsync, Unavailable, "acknowledged changes could be lost"),
    "an old SQLite": (_old_sqlite, Unavailable, "can corrupt a database"),
    "a database in the clear": (_given(database_url="postgresql://u:pw@db.example/x"), InvalidInput, "'db.example'"),
    "a database maybe in the clear": (
        _given(database_url="postgresql://u:pw@10.1.2.3/x?sslmode=prefer"),
        InvalidInput,
        "does not say whether the connection is encrypted",
    ),
}


@promise("S13", "{configs} configurations", configs=len(CONFIGS), mutant="test_each_check_is_what_refuses")
@pytest.mark.parametrize("name", list(CONFIGS))
def test_an_unsafe_configuration_does_not_start(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "registry"
    app.open_local(data, create=True).close()
    make_unsafe, kind, text = CONFIGS[name]
    options = make_unsafe(data, monkeypatch)
    monkeypatch.setattr(run, "serve", lambda *given, **more: pytest.fail("it would have started"))
    with pytest.raises(kind) as caught:
        app.serve_forever(**{"data": data, "host": "127.0.0.1", "port": 0, **options})  # type: ignore[arg-type]
    sqlite._load_checksum_vfs.cache_clear()
    assert text in str(caught.value)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:pw@127.0.0.1/x",
        "postgresql://u:pw@localhost:5433/x",
        "postgresql:///x?host=/run/postgresql",
        "postgresql://u:pw@db.example/x?sslmode=verify-full",
        "postgresql://u:pw@db.example/x?sslmode=require",
        "postgresql://u:pw@db.example/x?sslmode=disable",
        "postgresql://[::1]/x",
        "host=db.example sslmode=verify-ca",
        "nonsense://x",
    ],
)
def test_a_database_whose_encryption_is_settled_is_fine(url: str) -> None:
    safety.check_database_url(url)


def test_each_check_is_what_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its check the same folder starts: nothing else would have refused it."""
    data = tmp_path / "registry"
    app.open_local(data, create=True).close()
    data.chmod(0o777)
    started: list[bool] = []
    monkeypatch.setattr(run, "serve", lambda *given, **more: started.append(True))
    monkeypatch.setattr(app, "check_folder", lambda folder: None)
    app.serve_forever(data=data, host="127.0.0.1", port=0)
    (data / keys.KEY_FILE).write_text(json.dumps({"name": "greenroom/x", "ed25519": "00" * 32}))
    monkeypatch.setattr(keys, "_DISTINCT_BYTES", 0)
    keys.load_signer(data, create=False)
    assert started == [True]
