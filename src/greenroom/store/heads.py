"""The head of the log in a database: which checkpoint it is, and whether a key signed it."""

from __future__ import annotations

import json

from greenroom.core.errors import InvalidInput, Unavailable
from greenroom.core.note import VerifierKey, open_note, verifier_key
from greenroom.services.ports import Signer
from greenroom.store.driver import Connection
from greenroom.store.tx import ReadTx


def check_key(db: Connection, signer: Signer) -> None:
    """Raise InvalidInput unless `signer` signed the head of the log: two keys would make it two logs."""
    fixed = db.one(db.sql["meta"], {"key": "signer"})  # from the start, where there may be no entry yet
    if fixed is not None and json.loads(fixed[0]) != verifier_key(signer.name, signer.public_key):
        raise _other_key()
    _, note = ReadTx(db).audit_head()
    if not note:
        return
    try:
        open_note(note, [VerifierKey(signer.name, signer.public_key)], signer.verify)
    except InvalidInput as exc:
        raise _other_key() from exc


def require_own(note: str, signer: Signer) -> None:
    """Raise Unavailable when the head is another key's, by the name in it: to write on would make the log two logs."""
    if note and not note.startswith(f"{signer.name}\n"):
        raise Unavailable(
            f"the signing key is that of {signer.name}; the log is that of {note.partition(chr(10))[0]}.",
            hint="Bring the audit.key of this registry back from your backup.",
        )


def _other_key() -> InvalidInput:
    return InvalidInput(
        "the signing key of this data folder is not the one that signs the log of this database.",
        hint="Give every server of a database the same --data.",
    )
