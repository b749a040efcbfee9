"""Signed notes and checkpoints: how the head of the log leaves the house, as text that standard tools check.

Reading is strict: a note has exactly one reading or none. The cryptography is passed in, so that this file stays pure.
A witness's cosignature says when it saw the checkpoint; its key is of a kind of its own, so that neither passes for
the other. Sources: C2SP signed-note (v1.0.0), C2SP tlog-checkpoint, C2SP tlog-cosignature (v1).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.core.merkle import HASH_BYTES
from greenroom.core.names import shown

ED25519 = b"\x01"
"""Signature type of a plain Ed25519 signature over the note's text."""
COSIGNATURE = b"\x04"
"""Signature type of an Ed25519 cosignature: 8 bytes of time (seconds, big-endian), then the signature."""
PUBLIC_KEY_BYTES = 32
MAX_SIGNATURES = 100
MAX_TREE_SIZE = 2**63 - 1

Sign = Callable[[bytes], bytes]
Verify = Callable[[bytes, bytes, bytes], bool]
"""`verify(public_key, signature, message)`: True if the signature is good, False for every other case."""

_CONTROL = re.compile("[\x00-\x09\x0b-\x1f]")
_SIZE = re.compile("0|[1-9][0-9]{0,18}")
_SIGNATURE_LINE = re.compile("\u2014 ([^ ]+) ([^ ]+)")
_VERIFIER_KEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")


@dataclass(frozen=True)
class Checkpoint:
    """A head of a log: its `origin` (name of the log), the number of entries and the 32-byte root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


@dataclass(frozen=True)
class VerifierKey:
    """A public key one trusts, under the name it signs with. `kind`: ED25519 (a log's) or COSIGNATURE (a witness's)."""

    name: str
    public_key: bytes
    kind: bytes = ED25519

    @property
    def key_id(self) -> bytes:
        """The 4 bytes by which a signature line points at this key."""
        return key_id(self.name, self.public_key, self.kind)


@dataclass(frozen=True)
class Note:
    """A note of which at least one signature was verified. `signed_by` names the known keys, in the note's order.

    `seen` has, for each witness among them, its name and when it saw the checkpoint (seconds since the epoch).
    """

    body: str
    signed_by: tuple[str, ...]
    seen: tuple[tuple[str, int], ...] = ()


def checkpoint_body(origin: str, size: int, root: bytes) -> str:
    """Return the text of a checkpoint, to be signed.

    InvalidInput for an empty origin or one with control characters; ValueError (our bug) for a size or root that
    cannot be.
    """
    if not origin or "\n" in origin or _CONTROL.search(origin):
        raise InvalidInput(
            f"The origin '{shown(origin)}' cannot name a log.", hint="Use a name such as 'example.org/log'."
        )
    if not 0 <= size <= MAX_TREE_SIZE or len(root) != HASH_BYTES:
        raise ValueError(f"no checkpoint has size {size} and a root of {len(root)} bytes")
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def parse_checkpoint(body: str) -> Checkpoint:
    """Return the checkpoint that a note's body holds. InvalidInput, saying which line is wrong, if it holds none."""
    _check_characters(body)
    lines = body.split("\n")
    if lines.pop() != "":
        raise InvalidInput("The checkpoint does not end with a newline.")
    if len(lines) < 3:
        raise InvalidInput(f"The checkpoint has {len(lines)} lines; it needs three: origin, size and root.")
    if "" in lines:
        raise InvalidInput(f"Line {lines.index('') + 1} of the checkpoint is empty.")
    origin, size, root_text, *extensions = lines
    if not _SIZE.fullmatch(size) or int(size) > MAX_TREE_SIZE:
        raise InvalidInput(f"Line 2 of the checkpoint, '{shown(size)}', is not a tree size.")
    root = _decoded(root_text)
    if root is None or len(root) != HASH_BYTES:
        raise InvalidInput(f"Line 3 of the checkpoint, '{shown(root_text)}', is not a root hash in base64.")
    return Checkpoint(origin, int(size), root, tuple(extensions))


def key_id(name: str, public_key: bytes, kind: bytes = ED25519) -> bytes:
    """Return the 4-byte id of an Ed25519 key under a name."""
    return sha256(name.encode() + b"\n" + kind + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes, kind: bytes = ED25519) -> str:
    """Return an Ed25519 public key as the text `name+id+key` that note verifiers take. InvalidInput: bad name."""
    _check_key(name, public_key)
    return f"{name}+{key_id(name, public_key, kind).hex()}+{base64.b64encode(kind + public_key).decode()}"


def parse_verifier_key(text: str, kind: bytes = ED25519) -> VerifierKey:
    """Return the key that `verifier_key` wrote. InvalidInput if it is another text, kind of key, or damaged."""
    match = _VERIFIER_KEY.fullmatch(text)
    data = _decoded(match[3]) if match else None
    if match is None or data is None:
        raise InvalidInput(f"'{shown(text)}' is not a verifier key.", hint="Its form is name+8 hex digits+base64.")
    if data[:1] != kind or len(data) != 1 + PUBLIC_KEY_BYTES:
        what = "an Ed25519 key" if kind == ED25519 else "the Ed25519 key of a witness"
        raise InvalidInput(f"The verifier key '{shown(text)}' is not {what}.")
    _check_key(match[1], data[1:])
    key = VerifierKey(match[1], data[1:], kind)
    if key.key_id.hex() != match[2]:
        raise InvalidInput(f"The verifier key '{shown(text)}' is damaged: its id should be {key.key_id.hex()}.")
    return key


def sign_note(body: str, name: str, public_key: bytes, sign: Sign) -> str:
    """Return `body` as a note signed by the Ed25519 key `public_key` under `name`; `sign` signs with its private half.

    InvalidInput if the body does not end with a newline or holds a control character, or the name cannot name a key.
    """
    _check_key(name, public_key)
    _check_characters(body)
    if not body.endswith("\n"):
        raise InvalidInput("The text of a note must end with a newline.")
    signature = base64.b64encode(key_id(name, public_key) + sign(body.encode())).decode()
    return f"{body}\n\u2014 {name} {signature}\n"


def cosignature_message(body: str, at: int) -> bytes:
    """Return what a witness signs when it has seen the checkpoint `body` at time `at` (seconds since the epoch)."""
    return f"cosignature/v1\ntime {at}\n{body}".encode()


def cosign(body: str, at: int, name: str, public_key: bytes, sign: Sign) -> str:
    """Return the signature line, with its newline, by which a witness says that it saw the checkpoint `body` at `at`.

    InvalidInput for a name that cannot name a key.
    """
    _check_key(name, public_key)
    data = key_id(name, public_key, COSIGNATURE) + at.to_bytes(8, "big") + sign(cosignature_message(body, at))
    return f"\u2014 {name} {base64.b64encode(data).decode()}\n"


def open_note(text: str | bytes, keys: Iterable[VerifierKey], verify: Verify) -> Note:
    """Return the note in `text` after checking every signature by one of `keys`; signatures of others are ignored.

    InvalidInput if it is no signed note, or none of `keys` signed it; IntegrityFailure if a signature by one of them is
    wrong, even beside a good one: somebody changed the text or the signature.
    """
    body, lines = _split_note(_text_of(text))
    known: Mapping[tuple[str, bytes], VerifierKey] = {(key.name, key.key_id): key for key in keys}
    signatures = [_parse_signature(line) for line in lines]
    signed_by, seen = [], []
    for name, identifier, signature in signatures:
        key = known.get((name, identifier))
        if key is None:
            continue
        message = body.encode()
        if key.kind == COSIGNATURE:
            at, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = cosignature_message(body, at)
            seen.append((name, at))
        if not verify(key.public_key, signature, message):
            raise IntegrityFailure(f"The signature of '{shown(name)}' does not fit the text of the note.", signer=name)
        if name not in signed_by:
            signed_by.append(name)
    if not signed_by:
        others = ", ".join(sorted({name for name, _, _ in signatures}))
        raise InvalidInput(
            f"No known key signed this note; it names '{shown(others)}'.", hint="Give the log's verifier key."
        )
    return Note(body, tuple(signed_by), tuple(seen))


def only_signed_by(text: str, key: VerifierKey) -> str:
    """Return the note without the signatures of others than `key`. InvalidInput if it is no signed note."""
    body, lines = _split_note(text)
    kept = [line for line in lines if _parse_signature(line)[:2] == (key.name, key.key_id)]
    return f"{body}\n" + "".join(f"{line}\n" for line in kept)


def _text_of(text: str | bytes) -> str:
    if isinstance(text, str):
        return text
    try:
        return text.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"The note is not UTF-8: {exc}.") from exc


def _split_note(text: str) -> tuple[str, list[str]]:
    """Return the body, with its last newline, and the signature lines."""
    _check_characters(text)
    if not text.endswith("\n"):
        raise InvalidInput("The note does not end with a newline.")
    end = text.rfind("\n\n")
    if end < 0 or end + 2 == len(text):
        raise InvalidInput("The note has no signatures: a blank line and signature lines must end it.")
    lines = text[end + 2 : -1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise InvalidInput(f"The note has {len(lines)} signatures; at most {MAX_SIGNATURES} are read.")
    return text[: end + 1], lines


def _parse_signature(line: str) -> tuple[str, bytes, bytes]:
    """Return key name, key id and signature."""
    match = _SIGNATURE_LINE.fullmatch(line)
    data = _decoded(match[2]) if match else None
    if match is None or data is None or len(data) < 5 or not _is_key_name(match[1]):
        raise InvalidInput(
            f"'{shown(line)}' is not a signature line.",
            hint="Its form is an em dash, the key name and base64, by spaces.",
        )
    return match[1], data[:4], data[4:]


def _check_characters(text: str) -> None:
    bad = _CONTROL.search(text)
    if bad:
        raise InvalidInput(
            f"The note contains the control character U+{ord(bad[0]):04X}; only newlines may stand in it."
        )
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidInput("The note contains half of a surrogate pair.") from exc


def _check_key(name: str, public_key: bytes) -> None:
    if not _is_key_name(name):
        raise InvalidInput(
            f"'{shown(name)}' cannot name a key.", hint="Use no spaces, no '+' and no control characters."
        )
    if len(public_key) != PUBLIC_KEY_BYTES:
        raise InvalidInput(f"An Ed25519 public key has {PUBLIC_KEY_BYTES} bytes, this one {len(public_key)}.")


def _is_key_name(name: str) -> bool:
    spaced = any(character.isspace() for character in name)
    return bool(name) and "+" not in name and not spaced and not _CONTROL.search(name)


def _decoded(text: str) -> bytes | None:
    """Return the bytes of standard base64; None for anything else, unused bits that are not zero included."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if base64.b64encode(data).decode() == text else None
