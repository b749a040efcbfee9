"""The owner of a log's key makes an export that fits in every hash and is not true."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from greenroom.core.audit import Entry, entry_bytes
from greenroom.core.canonical import canonical_text
from greenroom.core.digest import digest_of
from greenroom.core.export import log_files
from greenroom.core.merkle import leaf_hash, root_of
from greenroom.core.note import checkpoint_body, sign_note, verifier_key
from tests.audit.exports import write_lines


def resign(export: Path, lines: list[dict[str, Any]]) -> None:
    """Write `lines` as a log of its own: chained, in tiles, signed with a new key that lies beside it."""
    prev, entries = "0" * 64, []
    for seq, told in enumerate(lines, start=1):
        text = canonical_text(told["body"])
        told |= {"seq": seq, "prev": prev, "body_digest": digest_of(text.encode())}
        entry = Entry(**{name: told.get(name, "") for name in Entry.__slots__ if name != "body_text"}, body_text=text)
        prev = told["leaf"] = leaf_hash(entry_bytes(entry)).hex()
        entries.append(entry)
    shutil.rmtree(export / "tile")
    root = root_of(bytes.fromhex(told["leaf"]) for told in lines)
    for path, content in log_files(entries, len(entries), root):
        (export / path).parent.mkdir(parents=True, exist_ok=True)
        (export / path).write_bytes(content)
    write_lines(export, json.loads(json.dumps(lines)))
    key, name = Ed25519PrivateKey.from_private_bytes(bytes(32)), "lying"
    public = key.public_key().public_bytes_raw()
    note = sign_note(checkpoint_body(name, len(lines), root), name, public, key.sign)
    (export / "checkpoint").write_text(note, "utf-8")
    (export / "key").write_text(verifier_key(name, public) + "\n", "utf-8")
