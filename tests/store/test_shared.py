"""Servers of one PostgreSQL database share one key: the log has one signer, whoever writes to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.app import open_shared
from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor
from greenroom.services import commands as c
from tests.postgres import new_database

ANA = Actor("ana")


def test_a_server_with_another_folder_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    url = new_database()
    first = open_shared(url, tmp_path / "one")
    note = first.call_now("audit_checkpoint", c.AuditCheckpoint(), ANA).note
    with pytest.raises(InvalidInput, match="is not the one that signs the log of this database"):
        open_shared(url, tmp_path / "other")
    assert first.call_now("audit_checkpoint", c.AuditCheckpoint(), ANA).note == note
    again = open_shared(url, tmp_path / "one")
    assert again.call_now("audit_verify", c.AuditVerify(), ANA).status == "ok"
    again.close()
    first.close()
