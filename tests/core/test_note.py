"""Signed notes and checkpoints: published examples open, and nothing that is not exactly a note does."""

from __future__ import annotations

import base64
import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.core.note import (
    MAX_SIGNATURES,
    Checkpoint,
    VerifierKey,
    checkpoint_body,
    key_id,
    open_note,
    parse_checkpoint,
    parse_verifier_key,
    sign_note,
    verifier_key,
)

# The example of the Go module golang.org/x/mod/sumdb/note, which the specification was written from.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_BODY = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_SIGNATURE = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
GO_NOTE = f"{GO_BODY}\n\u2014 PeterNeumann {GO_SIGNATURE}\n"

# The example of C2SP tlog-checkpoint.
SOFA = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

NAME = "example.org/greenroom"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
OTHER_PUBLIC = OTHER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
TRUSTED = VerifierKey(NAME, PUBLIC)
BODY = checkpoint_body(NAME, 3, hashlib.sha256(b"root").digest())
NOTE = sign_note(BODY, NAME, PUBLIC, KEY.sign)
LINE = NOTE.splitlines()[-1]


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except InvalidSignature:
        return False
    return True


def test_the_published_note_opens() -> None:
    """A5. Mutant check: signing the blank line too, or a key id without the algorithm byte, fails here."""
    note = open_note(GO_NOTE.encode(), [parse_verifier_key(GO_KEY)], verify)
    assert (note.body, note.signed_by) == (GO_BODY, ("PeterNeumann",))


def test_the_published_key_is_written_as_it_was_read() -> None:
    key = parse_verifier_key(GO_KEY)
    assert verifier_key(key.name, key.public_key) == GO_KEY
    assert key.key_id.hex() == "c74f20a3"


def test_the_published_checkpoint_is_read_and_written() -> None:
    checkpoint = parse_checkpoint(SOFA)
    assert (checkpoint.origin, checkpoint.size, checkpoint.extensions) == ("example.com/behind-the-sofa", 20852163, ())
    assert checkpoint_body(checkpoint.origin, checkpoint.size, checkpoint.root) == SOFA


def test_a_second_reader_agrees_with_what_we_write() -> None:
    """Split, decode and check with nothing of ours."""
    head, _, tail = NOTE.rpartition("\n\n")
    dash, name, text = tail.removesuffix("\n").split(" ")
    data = base64.b64decode(text)
    assert (dash, name, len(data)) == ("\N{EM DASH}", NAME, 68)
    assert data[:4] == hashlib.sha256(NAME.encode() + b"\n\x01" + PUBLIC).digest()[:4] == key_id(NAME, PUBLIC)
    KEY.public_key().verify(data[4:], (head + "\n").encode())
    assert (head + "\n").split("\n") == [NAME, "3", base64.b64encode(hashlib.sha256(b"root").digest()).decode(), ""]


def test_what_was_signed_opens() -> None:
    note = open_note(NOTE, [TRUSTED], verify)
    assert parse_checkpoint(note.body) == Checkpoint(NAME, 3, hashlib.sha256(b"root").digest())
    assert note.signed_by == (NAME,)


def test_signatures_of_others_are_left_alone() -> None:
    cosigned = NOTE + sign_note(BODY, "witness.example", OTHER_PUBLIC, OTHER.sign).splitlines()[-1] + "\n"
    unknown = NOTE + "\u2014 who " + base64.b64encode(b"12345").decode() + "\n"
    same_name = NOTE + f"\u2014 {NAME} " + base64.b64encode(b"other key").decode() + "\n"
    assert open_note(cosigned, [TRUSTED], verify).signed_by == (NAME,)
    assert open_note(cosigned, [TRUSTED, VerifierKey("witness.example", OTHER_PUBLIC)], verify).signed_by == (
        NAME,
        "witness.example",
    )
    assert open_note(unknown, [TRUSTED], verify).signed_by == (NAME,)
    assert open_note(same_name, [TRUSTED], verify).signed_by == (NAME,)
    assert open_note(NOTE + LINE + "\n", [TRUSTED], verify).signed_by == (NAME,)
    assert open_note(BODY + "\n" + (LINE + "\n") * MAX_SIGNATURES, [TRUSTED], verify).signed_by == (NAME,)


def test_a_body_may_hold_empty_lines_and_lines_that_look_like_signatures() -> None:
    body = f"a\n\n{LINE}\n\nb\n"
    assert open_note(sign_note(body, NAME, PUBLIC, KEY.sign), [TRUSTED], verify).body == body


@pytest.mark.parametrize(
    "changed",
    [
        NOTE.replace("\n3\n", "\n4\n"),
        NOTE.replace(NAME, NAME + "2", 1),
        "\n" + NOTE,
        NOTE.replace("\n\n", "\n\n\n"),  # the body gains an empty line
    ],
)
def test_another_text_is_tampering(changed: str) -> None:
    with pytest.raises(IntegrityFailure, match=f"The signature of '{NAME}' does not fit the text of the note"):
        open_note(changed, [TRUSTED], verify)


def test_a_wrong_signature_beside_a_good_one_is_tampering() -> None:
    wrong = base64.b64encode(TRUSTED.key_id + bytes(64)).decode()
    for text in (f"{NOTE}\u2014 {NAME} {wrong}\n", f"{BODY}\n\u2014 {NAME} {wrong}\n{LINE}\n"):
        with pytest.raises(IntegrityFailure):
            open_note(text, [TRUSTED], verify)


def test_a_note_that_no_known_key_signed() -> None:
    for keys in ([], [VerifierKey(NAME, OTHER_PUBLIC)], [VerifierKey("other", PUBLIC)]):
        with pytest.raises(InvalidInput, match=f"No known key signed this note; it names '{NAME}'"):
            open_note(NOTE, keys, verify)


SIGNATURE = LINE.split(" ")[2]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not end with a newline"),
        (BODY, "has no signatures"),
        (BODY + "\n", "has no signatures"),
        (NOTE[:-1], "does not end with a newline"),
        (NOTE + "\n", "has no signatures"),
        (LINE + "\n", "has no signatures"),
        (NOTE.replace("\n", "\r\n"), "control character U+000D"),
        (NOTE.replace("\n3\n", "\n3\r\n"), "control character U+000D"),
        (NOTE.replace("3", "3\t"), "control character U+0009"),
        (NOTE.replace("3", "3\x00"), "control character U+0000"),
        (NOTE.replace("3", "\ud800"), "half of a surrogate pair"),
        (NOTE.replace("\u2014 ", "- "), "is not a signature line"),
        (NOTE.replace("\u2014 ", "\u2013 "), "is not a signature line"),  # an en dash
        (NOTE.replace("\u2014 ", "\u2014"), "is not a signature line"),
        (NOTE.replace("\u2014 ", "\u2014  "), "is not a signature line"),
        (NOTE.replace("\u2014 ", " \u2014 "), "is not a signature line"),
        (f"{BODY}\n\u2014 {SIGNATURE}\n", "is not a signature line"),
        (f"{BODY}\n\u2014 a b {SIGNATURE}\n", "is not a signature line"),
        (f"{BODY}\n\u2014 a+b {SIGNATURE}\n", "is not a signature line"),
        (f"{BODY}\n\u2014 a\u00a0b {SIGNATURE}\n", "is not a signature line"),  # a no-break space is a space
        (f"{BODY}\n{LINE} \n", "is not a signature line"),
        (f"{BODY}\n{LINE}\nsigned\n", "is not a signature line"),
        (f"{BODY}\n\u2014 {NAME} AAAA\n", "is not a signature line"),  # shorter than a key id
        (f"{BODY}\n\u2014 {NAME} AAAAAA==\n", "is not a signature line"),  # a key id and nothing else
        (f"{BODY}\n\u2014 {NAME} {SIGNATURE[:-1]}\n", "is not a signature line"),
        (f"{BODY}\n\u2014 {NAME} {SIGNATURE.replace('=', '')}\n", "is not a signature line"),
        (f"{BODY}\n\u2014 {NAME} *{SIGNATURE[1:]}\n", "is not a signature line"),
        (f"{BODY}\n\u2014 {NAME} AAAAAAB=\n", "is not a signature line"),  # unused bits that are not zero
        (BODY + "\n" + (LINE + "\n") * (MAX_SIGNATURES + 1), "has 101 signatures; at most 100 are read"),
    ],
)
def test_what_is_not_a_note(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_note(text, [TRUSTED], verify)
    assert reason in caught.value.message


def test_a_note_is_utf_8() -> None:
    with pytest.raises(InvalidInput, match="The note is not UTF-8"):
        open_note(NOTE.encode("utf-16"), [TRUSTED], verify)


ROOT = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "has 0 lines"),
        (f"o\n1\n{ROOT}", "does not end with a newline"),
        ("o\n1\n", "has 2 lines"),
        (f"\n1\n{ROOT}\n", "Line 1 of the checkpoint is empty"),
        (f"o\n1\n{ROOT}\n\n", "Line 4 of the checkpoint is empty"),
        (f"o\n1\n{ROOT}\n\nx\n", "Line 4 of the checkpoint is empty"),
        (f"o\n01\n{ROOT}\n", "Line 2 of the checkpoint, '01', is not a tree size"),
        (f"o\n+1\n{ROOT}\n", "'+1', is not a tree size"),
        (f"o\n-1\n{ROOT}\n", "'-1', is not a tree size"),
        (f"o\n1.0\n{ROOT}\n", "'1.0', is not a tree size"),
        (f"o\n 1\n{ROOT}\n", "' 1', is not a tree size"),
        (f"o\n\u0661\n{ROOT}\n", "'\u0661', is not a tree size"),  # an Arabic digit
        (f"o\n{2**63}\n{ROOT}\n", "'9223372036854775808', is not a tree size"),
        (f"o\n{'9' * 5000}\n{ROOT}\n", "is not a tree size"),
        (f"o\n1\n{ROOT[:-4]}\n", "is not a root hash in base64"),
        (f"o\n1\n{ROOT} \n", "is not a root hash in base64"),
        (f"o\n1\n{ROOT[:-2]}B=\n", "is not a root hash in base64"),  # another text for the same bytes
        (f"o\n1\n{bytes(32).hex()}\n", "is not a root hash in base64"),
        (f"o\r\n1\n{ROOT}\n", "control character U+000D"),
    ],
)
def test_what_is_not_a_checkpoint(body: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_checkpoint(body)
    assert reason in caught.value.message


def test_checkpoints_at_the_edges_are_read() -> None:
    assert parse_checkpoint(f"o\n0\n{ROOT}\n") == Checkpoint("o", 0, bytes(32))
    assert parse_checkpoint(f"o p\n{2**63 - 1}\n{ROOT}\nx\ny\n") == Checkpoint("o p", 2**63 - 1, bytes(32), ("x", "y"))


@pytest.mark.parametrize("origin", ["", "a\nb", "a\rb", "\x00"])
def test_an_origin_that_would_break_the_text(origin: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a log"):
        checkpoint_body(origin, 1, bytes(32))


@pytest.mark.parametrize(("size", "root"), [(-1, bytes(32)), (2**63, bytes(32)), (1, bytes(31)), (1, b"")])
def test_a_head_that_cannot_be_is_our_bug(size: int, root: bytes) -> None:
    with pytest.raises(ValueError, match="no checkpoint has size"):
        checkpoint_body("o", size, root)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not a verifier key"),
        ("PeterNeumann", "is not a verifier key"),
        (GO_KEY + "\n", "is not a verifier key"),
        (GO_KEY.replace("c74f", "C74F"), "is not a verifier key"),
        (GO_KEY.replace("+c74f20a3", ""), "is not a verifier key"),
        (GO_KEY[:-1], "is not a verifier key"),
        (GO_KEY.replace("c74f20a3", "c74f20a4"), "is damaged: its id should be c74f20a3"),
        (GO_KEY.replace("Peter", "Pieter"), "is damaged"),
        (GO_KEY.replace("ARpc", "ARpd"), "is damaged"),
        ("a+00000000+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", "is not an Ed25519 key"),  # another algorithm
        ("a+00000000+AQ==", "is not an Ed25519 key"),
        (GO_KEY.replace("PeterNeumann", "Peter Neumann"), "cannot name a key"),
    ],
)
def test_what_is_not_a_verifier_key(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_verifier_key(text)
    assert reason in caught.value.message


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb", "a\x00b"])
def test_a_name_that_cannot_sign(name: str) -> None:
    with pytest.raises(InvalidInput, match="cannot name a key"):
        sign_note(BODY, name, PUBLIC, KEY.sign)
    with pytest.raises(InvalidInput, match="cannot name a key"):
        verifier_key(name, PUBLIC)


def test_what_cannot_be_signed() -> None:
    for body, reason in (("no newline", "must end with a newline"), ("", "must end"), ("a\tb\n", "control character")):
        with pytest.raises(InvalidInput, match=reason):
            sign_note(body, NAME, PUBLIC, KEY.sign)
    with pytest.raises(InvalidInput, match="has 32 bytes, this one 31"):
        sign_note(BODY, NAME, PUBLIC[:31], KEY.sign)
