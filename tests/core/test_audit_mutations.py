"""A1 at its size: 10 000 tampered logs of 1 to 2 000 entries, each found out given one earlier signed checkpoint.

How each way to tamper works is in TAMPERS; test_audit.py says for each which entry must be named, on shorter logs. The
lengths are spread evenly over orders of magnitude, so that short logs are not rare: there the tree is least regular.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from functools import cache
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from greenroom.core import audit
from greenroom.core.audit import EVENT_TYPES, NO_PREVIOUS, Entry, Event, Finding, Head, entry_bytes, seal, verify_log
from greenroom.core.merkle import TreeBuilder
from greenroom.core.note import Checkpoint, VerifierKey, checkpoint_body, open_note, parse_checkpoint, sign_note
from tests.promises import promise, sized
from tests.races.kit import SEED

LOGS = sized(10_000, 1_000_000)
LONGEST = 2_000
ORIGIN = "example.org/log"
AT = 1_760_000_000_000

Log = tuple[list[Entry], Head]
Tamper = Callable[[Log, int, random.Random], Log]


def event(number: int, actor: str = "ana") -> Event:
    kind = sorted(EVENT_TYPES)[number % len(EVENT_TYPES)]
    return Event(kind, actor, f"req-{number}", f"credit-{number % 5}", number, {"stage": "Production", "n": number})


@cache
def honest() -> list[Entry]:
    """The longest log; every honest log is a beginning of it."""
    return seal(Head(), [event(number) for number in range(1, LONGEST + 1)], AT)[1]


@cache
def head_at(size: int) -> Head:
    """The head of the honest log when it had `size` entries."""
    return head_of(honest()[:size])


def head_of(entries: list[Entry]) -> Head:
    tree = TreeBuilder()
    for each in entries:
        tree.append(bytes.fromhex(each.leaf))
    return Head(len(entries), entries[-1].leaf if entries else NO_PREVIOUS, tree.frontier())


def changed(entry: Entry, **fields: object) -> Entry:
    """The entry with other fields and its hashes as they were."""
    values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__} | fields
    return Entry(**values)  # type: ignore[arg-type]


def rechained(entries: list[Entry], since: int) -> Log:
    """Number, link and hash the entries from index `since` on as if they had been written so, and make the head."""
    made = entries[:since]
    for entry in entries[since:]:
        prev = made[-1].leaf if made else NO_PREVIOUS
        digest = "sha256:" + sha256(entry.body_text.encode()).hexdigest()
        new = changed(entry, seq=len(made) + 1, prev=prev, body_digest=digest)
        made.append(changed(new, leaf=sha256(b"\x00" + entry_bytes(new)).hexdigest()))
    return made, head_of(made)


def flip(log: Log, size: int, rng: random.Random) -> Log:
    """One character, digit or bit of one field."""
    entries, head = log
    at, name = rng.randrange(len(entries)), rng.choice(list(Entry.__dataclass_fields__))
    value = getattr(entries[at], name)
    if isinstance(value, int):
        other: object = value ^ 1 << rng.randrange(20)
    else:
        where = rng.randrange(len(value))
        other = value[:where] + chr(ord(value[where]) ^ 1 << rng.randrange(5)) + value[where + 1 :]
    return [*entries[:at], changed(entries[at], **{name: other}), *entries[at + 1 :]], head


def drop(log: Log, size: int, rng: random.Random) -> Log:
    """One entry goes."""
    entries, head = log
    at = rng.randrange(len(entries))
    return entries[:at] + entries[at + 1 :], head


def insert(log: Log, size: int, rng: random.Random) -> Log:
    """One entry more, with hashes of its own."""
    entries, head = log
    at = rng.randrange(len(entries) + 1)
    prev = entries[at - 1].leaf if at else NO_PREVIOUS
    _, (new,) = seal(Head(), [event(at + 1, "mallory")], AT)
    new = changed(new, seq=at + 1, prev=prev)
    new = changed(new, leaf=sha256(b"\x00" + entry_bytes(new)).hexdigest())
    return [*entries[:at], new, *entries[at:]], head


def swap(log: Log, size: int, rng: random.Random) -> Log:
    """Two entries change places; a log of one gets its entry twice."""
    entries, head = log
    if len(entries) == 1:
        return entries * 2, head
    one, two = rng.sample(range(len(entries)), 2)
    entries = list(entries)
    entries[one], entries[two] = entries[two], entries[one]
    return entries, head


def truncate(log: Log, size: int, rng: random.Random) -> Log:
    """The end goes; where the checkpoint must notice, the head goes with it."""
    entries, head = log
    if rng.random() < 0.5:
        return entries[: rng.randrange(len(entries))], head
    kept = rng.randrange(size)
    return entries[:kept], head_at(kept)


def fork(log: Log, size: int, rng: random.Random) -> Log:
    """Another history from somewhere before the checkpoint on, sealed by the real code."""
    entries, _ = log
    kept = rng.randrange(size)
    more = max(1, len(entries) - kept + rng.randint(-3, 3))
    head, others = seal(head_at(kept), [event(kept + n, "mallory") for n in range(1, more + 1)], AT)
    return entries[:kept] + others, head


def resign(log: Log, size: int, rng: random.Random) -> Log:
    """Whoever has the key changes, drops, adds or swaps something, chains all anew and signs the new head."""
    entries = list(log[0])
    at = rng.randrange(size)
    match rng.randrange(4):
        case 0:
            entries[at] = changed(entries[at], actor="mallory")
        case 1:
            del entries[at]
        case 2:
            entries.insert(at, changed(entries[at], body_text="{}"))
        case _:
            entries[at] = changed(entries[at], at=AT + 1)
    return rechained(entries, at)


TAMPERS: tuple[Tamper, ...] = (flip, drop, insert, swap, truncate, fork, resign)


class Key:
    """The key that signs the log. Whoever re-signs has it."""

    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
        self.public = self._key.public_key().public_bytes_raw()

    def note(self, head: Head) -> str:
        return sign_note(checkpoint_body(ORIGIN, head.size, head.root), ORIGIN, self.public, self._key.sign)

    def opened(self, note: str) -> Checkpoint:
        return parse_checkpoint(open_note(note, [VerifierKey(ORIGIN, self.public)], _verifies).body)


def _verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    return True


def found(tamper: Tamper, rng: random.Random, key: Key, *, given: bool = True) -> list[Finding]:
    """Tamper with a log of some length; return what `verify_log` finds, `given` an earlier checkpoint or none."""
    length = min(LONGEST, round(math.exp(rng.uniform(0, math.log(LONGEST)))))
    log = honest()[:length], head_at(length)
    size = rng.randint(1, length)
    checkpoint = key.opened(key.note(head_at(size)))
    entries, head = tamper(log, size, rng)
    assert (entries, head) != log, "nothing was tampered with"
    assert key.opened(key.note(head)).root == head.root  # the signature of the new head is good: it shows nothing
    return verify_log(entries, head=head, checkpoints=[checkpoint] if given else [])


@promise(
    "A1",
    "{logs} tampered logs of 1 to {longest} entries: flipped, dropped, inserted, swapped, cut, forked, signed anew",
    logs=LOGS,
    longest=LONGEST,
    mutant=("test_without_the_checkpoint_a_log_signed_anew_is_not_found", "test_a_verification_that_skips_is_caught"),
)
@pytest.mark.slow
@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda tamper: tamper.__name__)
def test_every_tampered_log_is_found_given_one_earlier_checkpoint(tamper: Tamper) -> None:
    print("seed", SEED)
    rng, key = random.Random(f"{SEED} {tamper.__name__}"), Key()
    for number in range(-(-LOGS // len(TAMPERS))):
        assert found(tamper, rng, key), (SEED, tamper.__name__, number)


@pytest.mark.parametrize("tamper", [fork, resign], ids=lambda tamper: tamper.__name__)
def test_without_the_checkpoint_a_log_signed_anew_is_not_found(tamper: Tamper) -> None:
    """It is the checkpoint kept elsewhere that shows it, and nothing else could."""
    rng, key = random.Random(SEED), Key()
    assert not any(found(tamper, rng, key, given=False) for _ in range(50))


@pytest.mark.parametrize("tamper", [each for each in TAMPERS if each is not swap], ids=lambda tamper: tamper.__name__)
def test_a_verification_that_skips_is_caught(tamper: Tamper, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the comparisons of hashes, bodies, head and checkpoints some log of each kind passes.

    Two that were swapped show by their numbers and links alone; for these see `swap_contents` in test_audit.py.
    """
    monkeypatch.setattr(audit, "_leaf_of", lambda entry: bytes.fromhex(entry.leaf))
    monkeypatch.setattr(audit, "_names_its_body", lambda entry: True)
    monkeypatch.setattr(audit, "_compare_head", lambda *given: [])
    monkeypatch.setattr(audit._Milestones, "reach", lambda self, tree: None)
    monkeypatch.setattr(audit._Milestones, "not_reached", lambda self, size: [])
    rng, key = random.Random(SEED), Key()
    passed = 0
    for _ in range(300):
        try:
            passed += not found(tamper, rng, key)
        except ValueError:  # a leaf that is no hexadecimal any more
            continue
    assert passed
