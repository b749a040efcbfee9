"""The key that signs the log's checkpoints: Ed25519, in a file only its owner can read, made on first use.

`cryptography` because signatures are not ours to write. The log proves tampering only against a checkpoint kept
elsewhere: whoever can read this file can sign.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from greenroom.core.errors import IntegrityFailure, Unavailable

KEY_FILE = "audit.key"
_DISTINCT_BYTES = 12  # of 32 by chance, fewer come once in 10 to the 25 keys


class FileSigner:
    """Implements `services.ports.Signer` with the key of a data folder."""

    def __init__(self, name: str, seed: bytes) -> None:
        self._name = name
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = self._key.public_key().public_bytes_raw()

    @property
    def name(self) -> str:
        """See the port."""
        return self._name

    @property
    def public_key(self) -> bytes:
        """See the port."""
        return self._public

    def sign(self, message: bytes) -> bytes:
        """See the port."""
        return self._key.sign(message)

    def verify(self, public_key: bytes, signature: bytes, message: bytes) -> bool:
        """See the port."""
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def load_signer(folder: Path, *, create: bool) -> FileSigner:
    """Return the folder's signer, making the key when `create` and there is none.

    Raises IntegrityFailure for a damaged or missing key file, Unavailable when others can read it or we cannot.
    """
    path = folder / KEY_FILE
    if create and not path.exists():
        try:
            _make(path)
        except OSError as exc:
            raise Unavailable(
                f"the signing key {path} cannot be made: {exc.strerror}.", hint="Check the folder and its disk."
            ) from exc
    try:
        text = path.read_text(encoding="utf-8")
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise Unavailable(f"others can read the signing key {path}.", hint=f"Run: chmod 600 {path}")
        found = json.loads(text)
        seed = bytes.fromhex(found["ed25519"])
        if len(set(seed)) < _DISTINCT_BYTES:
            raise IntegrityFailure(
                f"the signing key {path} is weak: it was not made by chance.", hint="Restore the real one."
            )
        return FileSigner(found["name"], seed)
    except FileNotFoundError as exc:
        raise IntegrityFailure(
            f"the signing key {path} cannot be read: there is none.", hint="Restore it from your backup."
        ) from exc
    except OSError as exc:
        raise Unavailable(
            f"the signing key {path} cannot be read: {exc.strerror}.", hint="Check the disk and the file's rights."
        ) from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise IntegrityFailure(f"the signing key {path} is damaged.", hint="Restore it from your backup.") from exc


def _make(path: Path) -> None:
    """Write a new key so that there is either a whole key or none; the first of two processes wins."""
    name = f"greenroom/{secrets.token_hex(8)}"
    text = json.dumps({"name": name, "ed25519": secrets.token_bytes(32).hex()})
    draft = path.with_name(f"{KEY_FILE}.{secrets.token_hex(4)}")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    with contextlib.suppress(FileExistsError):
        os.link(draft, path)
    draft.unlink()
