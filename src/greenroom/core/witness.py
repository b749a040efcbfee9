"""What a witness decides: may it cosign this checkpoint, given the last one that it cosigned of that log.

A witness signs only checkpoints that continue the one before, so of two forks of a log it signs at most one; whoever
demands its cosignature therefore sees what everybody else sees. Keeping the last checkpoint, durably and before the
cosignature is given out, is up to the caller. Sources: C2SP tlog-witness, C2SP tlog-cosignature.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from greenroom.core.errors import GreenroomError, InvalidInput
from greenroom.core.merkle import EMPTY_ROOT, HASH_BYTES, verify_consistency
from greenroom.core.names import shown
from greenroom.core.note import MAX_TREE_SIZE, Checkpoint, VerifierKey, Verify, open_note, parse_checkpoint

MAX_PROOF_HASHES = 63
MAX_REQUEST_BYTES = 1 << 16

_OLD = re.compile("old (0|[1-9][0-9]{0,18})")


class Answer(IntEnum):
    """The answers of tlog-witness, by their HTTP status."""

    COSIGNED = 200
    MALFORMED = 400
    NOT_SIGNED = 403
    UNKNOWN_LOG = 404
    OTHER_SIZE = 409
    NOT_CONSISTENT = 422


@dataclass(frozen=True)
class AddCheckpoint:
    """The request to cosign `note`: it continues the tree of `old_size`, which `proof` shows."""

    old_size: int
    proof: tuple[bytes, ...]
    note: str


@dataclass(frozen=True)
class KnownLog:
    """A log that the witness follows: its key, and the last checkpoint cosigned of it (at first the empty tree)."""

    key: VerifierKey
    size: int = 0
    root: bytes = EMPTY_ROOT


@dataclass(frozen=True)
class Judgement:
    """What to answer, and why. `checkpoint`: genuine, signed by the log; None if nothing genuine was given.

    `size` is that of the last checkpoint cosigned, to be told with OTHER_SIZE. `evidence`: the log has signed
    something that must be kept, because it cannot be reconciled with what was cosigned.
    """

    answer: Answer
    message: str
    checkpoint: Checkpoint | None = None
    size: int = 0
    evidence: bool = False


def parse_add_checkpoint(body: bytes) -> AddCheckpoint:
    """Return the request in `body`. InvalidInput if it is not exactly of the form that tlog-witness gives it."""
    try:
        text = body.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"The request is not UTF-8: {exc}.") from exc
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    old = _OLD.fullmatch(lines[0])
    if not blank or old is None or int(old[1]) > MAX_TREE_SIZE:
        raise InvalidInput(
            "The request does not begin with the old size.",
            hint="Its form is 'old <size>', lines of the consistency proof, an empty line, the checkpoint.",
        )
    if len(lines) - 1 > MAX_PROOF_HASHES:
        raise InvalidInput(f"The proof has {len(lines) - 1} hashes; at most {MAX_PROOF_HASHES} are taken.")
    return AddCheckpoint(int(old[1]), tuple(_hash(line) for line in lines[1:]), note)


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except ValueError:
        data = b""
    if len(data) != HASH_BYTES or base64.b64encode(data).decode() != line:
        raise InvalidInput(f"'{shown(line)}' is not a hash of a proof in base64.")
    return data


def add_checkpoint_body(old_size: int, proof: Sequence[bytes], note: str) -> bytes:
    """Return the request that `parse_add_checkpoint` reads."""
    lines = [f"old {old_size}", *(base64.b64encode(each).decode() for each in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def origin_of(note: str) -> str:
    """Return the first line of a note: the name of the log it says it is of."""
    return note.partition("\n")[0]


def judge(ask: AddCheckpoint, logs: Mapping[str, KnownLog], verify: Verify) -> Judgement:
    """Say whether to cosign, in the order of tlog-witness: log, signature, sizes, root, proof. Never raises."""
    known = logs.get(origin_of(ask.note))
    if known is None:
        return Judgement(Answer.UNKNOWN_LOG, f"The log '{shown(origin_of(ask.note))}' is not followed here.")
    try:
        checkpoint = parse_checkpoint(open_note(ask.note, [known.key], verify).body)
    except GreenroomError as exc:
        return Judgement(Answer.NOT_SIGNED, f"The checkpoint is not signed by the log's key: {exc.message}")
    size = checkpoint.size
    fork = size == known.size and checkpoint.root != known.root
    if ask.old_size > size:
        text = f"The old size {ask.old_size} is larger than the checkpoint's {size}."
        return Judgement(Answer.MALFORMED, text, checkpoint, known.size, evidence=fork)
    if fork:
        text = f"FORK: the log has signed two different trees of {size} entries."
        return Judgement(Answer.OTHER_SIZE, text, checkpoint, known.size, evidence=True)
    if ask.old_size != known.size:
        text = f"The last checkpoint cosigned has size {known.size}, not {ask.old_size}."
        return Judgement(Answer.OTHER_SIZE, text, checkpoint, known.size)
    if not verify_consistency(known.size, known.root, size, checkpoint.root, ask.proof):
        text = f"NOT PROVEN: nothing shows that the tree of {size} continues the one of {known.size} cosigned before."
        other = checkpoint.root != known.root
        return Judgement(Answer.NOT_CONSISTENT, text, checkpoint, known.size, evidence=other)
    return Judgement(Answer.COSIGNED, f"The log has {size} entries.", checkpoint, size)
