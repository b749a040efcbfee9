"""What a witness takes, refuses and answers: the formats of tlog-cosignature and tlog-witness, to the byte."""

from __future__ import annotations

import base64
import random
from dataclasses import replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from greenroom.core.errors import IntegrityFailure, InvalidInput
from greenroom.core.merkle import consistency_proof, lookup_of, root_of
from greenroom.core.note import (
    COSIGNATURE,
    ED25519,
    VerifierKey,
    checkpoint_body,
    cosign,
    only_signed_by,
    open_note,
    parse_verifier_key,
    sign_note,
    verifier_key,
)
from greenroom.core.witness import (
    AddCheckpoint,
    Answer,
    KnownLog,
    add_checkpoint_body,
    judge,
    parse_add_checkpoint,
)
from greenroom.store.keys import FileSigner
from tests.audit.logs import Log

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key().public_bytes_raw()
VERIFY = FileSigner("x", bytes(32)).verify
NAME = "witness.example/w1"
LOG = Log(random.Random(4))
LEAVES = LOG.leaves(20)
FORK = LEAVES[:10] + LOG.leaves(10)


def known(size: int, leaves: list[bytes] = LEAVES) -> dict[str, KnownLog]:
    return {LOG.name: KnownLog(LOG.key, size, root_of(leaves[:size]))}


# --- cosignatures ---


def test_a_cosignature_is_as_the_specification_says() -> None:
    """Written out once more here, from tlog-cosignature: key id, message and the layout of the signature."""
    body = checkpoint_body("example.org/log", 5, bytes(32))
    line = cosign(body, 1_679_315_147, NAME, PUBLIC, KEY.sign)
    dash, name, text = line.removesuffix("\n").split(" ")
    data = base64.b64decode(text)
    assert (dash, name, len(data)) == ("\u2014", NAME, 4 + 8 + 64)
    assert data[:4] == sha256(NAME.encode() + b"\n\x04" + PUBLIC).digest()[:4]
    assert data[4:12] == (1_679_315_147).to_bytes(8, "big")
    KEY.public_key().verify(data[12:], b"cosignature/v1\ntime 1679315147\n" + body.encode())


def test_a_cosignature_is_read_beside_the_logs_own() -> None:
    note = LOG.note(LEAVES)
    body = note.partition("\n\n")[0] + "\n"
    both = note + cosign(body, 77, NAME, PUBLIC, KEY.sign)
    witness = VerifierKey(NAME, PUBLIC, COSIGNATURE)
    opened = open_note(both, [LOG.key, witness], VERIFY)
    assert (opened.signed_by, opened.seen) == ((LOG.name, NAME), ((NAME, 77),))
    assert open_note(both, [LOG.key], VERIFY).seen == ()
    assert only_signed_by(both, LOG.key) == note
    for at in range(8):  # another time than the one that was signed
        line = both.splitlines()[-1].rsplit(" ", 1)
        data = bytearray(base64.b64decode(line[1]))
        data[4 + at] ^= 1
        forged = both.replace(line[1], base64.b64encode(data).decode())
        with pytest.raises(IntegrityFailure, match="does not fit"):
            open_note(forged, [witness], VERIFY)


def test_a_witness_key_and_a_log_key_do_not_pass_for_each_other() -> None:
    of_witness, of_log = verifier_key(NAME, PUBLIC, COSIGNATURE), verifier_key(NAME, PUBLIC)
    assert of_witness != of_log
    assert parse_verifier_key(of_witness, COSIGNATURE) == VerifierKey(NAME, PUBLIC, COSIGNATURE)
    with pytest.raises(InvalidInput, match="is not an Ed25519 key"):
        parse_verifier_key(of_witness)
    with pytest.raises(InvalidInput, match="is not the Ed25519 key of a witness"):
        parse_verifier_key(of_log, COSIGNATURE)
    body = checkpoint_body(NAME, 0, root_of(()))
    plain = sign_note(body, NAME, PUBLIC, KEY.sign)
    with pytest.raises(InvalidInput, match="No known key"):
        open_note(plain, [VerifierKey(NAME, PUBLIC, COSIGNATURE)], VERIFY)
    with pytest.raises(InvalidInput, match="No known key"):
        open_note(f"{body}\n{cosign(body, 1, NAME, PUBLIC, KEY.sign)}", [VerifierKey(NAME, PUBLIC, ED25519)], VERIFY)


def test_a_short_cosignature_is_no_signature() -> None:
    body = checkpoint_body("example.org/log", 5, bytes(32))
    witness = VerifierKey(NAME, PUBLIC, COSIGNATURE)
    for length in (1, 7, 8, 71, 73):
        data = base64.b64encode(witness.key_id + bytes(length)).decode()
        with pytest.raises(IntegrityFailure):
            open_note(f"{body}\n\u2014 {NAME} {data}\n", [witness], VERIFY)


# --- requests ---


def test_a_request_is_as_the_specification_says() -> None:
    ask = AddCheckpoint(2, (bytes(32), bytes([255]) * 32), "log\n3\nroot\n\n\u2014 log sig\n")
    body = add_checkpoint_body(ask.old_size, ask.proof, ask.note)
    zeros, ones = base64.b64encode(bytes(32)).decode(), base64.b64encode(bytes([255]) * 32).decode()
    assert body.decode() == f"old 2\n{zeros}\n{ones}\n\nlog\n3\nroot\n\n\u2014 log sig\n"
    assert parse_add_checkpoint(body) == ask
    assert parse_add_checkpoint(b"old 0\n\nx") == AddCheckpoint(0, (), "x")


_HASH = base64.b64encode(bytes(32)).decode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "does not begin with the old size"),
        ("old 1", "does not begin with the old size"),
        ("old 1\n", "does not begin with the old size"),
        ("old -1\n\nx", "does not begin with the old size"),
        ("old 01\n\nx", "does not begin with the old size"),
        ("old \u0661\n\nx", "does not begin with the old size"),
        ("old 9223372036854775808\n\nx", "does not begin with the old size"),
        ("OLD 1\n\nx", "does not begin with the old size"),
        (f"old 1 \n{_HASH}\n\nx", "does not begin with the old size"),
        (f"old 1\r\n{_HASH}\r\n\r\nx", "does not begin with the old size"),
        ("old 1\nAAAA\n\nx", "is not a hash"),
        (f"old 1\n{_HASH[:-2]}B=\n\nx", "is not a hash"),
        (f"old 1\n{_HASH} \n\nx", "is not a hash"),
        ("old 1\n" + f"{_HASH}\n" * 64 + "\nx", "at most 63"),
    ],
)
def test_another_form_is_no_request(body: str, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        parse_add_checkpoint(body.encode())


def test_bytes_that_are_no_text_are_no_request() -> None:
    with pytest.raises(InvalidInput, match="not UTF-8"):
        parse_add_checkpoint(b"old 1\n\n\xff")


def proof(old: int, new: int, leaves: list[bytes] = LEAVES) -> tuple[bytes, ...]:
    return consistency_proof(lookup_of(leaves), old, new)


OTHER = Log(random.Random(5))


@pytest.mark.parametrize(
    ("at", "ask", "answer", "size", "evidence"),
    [
        (0, AddCheckpoint(0, (), LOG.note(LEAVES, 7)), 200, 7, False),
        (0, AddCheckpoint(0, (), LOG.note(LEAVES, 0)), 200, 0, False),
        (7, AddCheckpoint(7, proof(7, 20), LOG.note(LEAVES)), 200, 20, False),
        (20, AddCheckpoint(20, (), LOG.note(LEAVES)), 200, 20, False),  # the same again, for a newer time
        (20, AddCheckpoint(7, proof(7, 20), LOG.note(LEAVES)), 409, 20, False),  # the same request twice: told the size
        (7, AddCheckpoint(0, (), LOG.note(LEAVES)), 409, 7, False),
        (7, AddCheckpoint(8, proof(8, 20), LOG.note(LEAVES)), 409, 7, False),
        (20, AddCheckpoint(7, (), LOG.note(LEAVES, 7)), 409, 20, False),  # an old checkpoint is not cosigned again
        (20, AddCheckpoint(20, (), LOG.note(LEAVES, 7)), 400, 20, False),
        (20, AddCheckpoint(20, (), LOG.note(FORK)), 409, 20, True),  # a fork of the same size proves itself
        (20, AddCheckpoint(0, (), LOG.note(FORK)), 409, 20, True),
        (15, AddCheckpoint(15, proof(15, 20, FORK), LOG.note(FORK)), 422, 15, True),
        (15, AddCheckpoint(15, proof(15, 20), LOG.note(FORK)), 422, 15, True),
        (7, AddCheckpoint(7, (), LOG.note(LEAVES)), 422, 7, True),
        (7, AddCheckpoint(7, (*proof(7, 20), bytes(32)), LOG.note(LEAVES)), 422, 7, True),
        (7, AddCheckpoint(7, (bytes(32),), LOG.note(LEAVES, 7)), 422, 7, False),
        (0, AddCheckpoint(0, (bytes(32),), LOG.note(LEAVES)), 422, 0, True),
        (7, AddCheckpoint(7, proof(7, 20), OTHER.note(LEAVES)), 403, 0, False),  # the name is right, the key is not
        (7, AddCheckpoint(7, (), LOG.note(LEAVES).replace("\n20\n", "\n21\n")), 403, 0, False),
        (7, AddCheckpoint(7, (), ""), 404, 0, False),
        (7, AddCheckpoint(7, (), "example.org/log"), 403, 0, False),
        (7, AddCheckpoint(7, (), Log(random.Random(1), "example.org/x").note(LEAVES)), 404, 0, False),
    ],
)
def test_answers(at: int, ask: AddCheckpoint, answer: int, size: int, evidence: bool) -> None:
    judged = judge(ask, known(at), VERIFY)
    assert (judged.answer, judged.size, judged.evidence) == (answer, size, evidence), judged.message


def test_a_signed_note_that_is_no_checkpoint_is_refused() -> None:
    key = KEY.public_key().public_bytes_raw()
    log = {NAME: KnownLog(VerifierKey(NAME, key))}
    note = sign_note(f"{NAME}\nnot a size\n", NAME, key, KEY.sign)
    assert judge(AddCheckpoint(0, (), note), log, VERIFY).answer is Answer.NOT_SIGNED


def test_what_was_cosigned_before_is_what_counts() -> None:
    """The proof is checked from the witness's own root, not from one that the caller could choose."""
    state = known(15)[LOG.name]
    ask = AddCheckpoint(15, proof(15, 20, FORK), LOG.note(FORK))
    assert judge(ask, {LOG.name: replace(state, root=root_of(FORK[:15]))}, VERIFY).answer is Answer.COSIGNED
    assert judge(ask, {LOG.name: state}, VERIFY).answer is Answer.NOT_CONSISTENT
