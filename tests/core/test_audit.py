"""The audit log: what an entry looks like, and that no change of a log goes unseen (reliability A1)."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import pytest

from greenroom.core.audit import (
    EVENT_TYPES,
    MAX_TEXT_CHARACTERS,
    NO_PREVIOUS,
    Entry,
    Event,
    EventType,
    Fault,
    Finding,
    Head,
    entry_bytes,
    seal,
    verify_log,
)
from greenroom.core.canonical import canonical
from greenroom.core.digest import digest_of
from greenroom.core.errors import IntegrityFailure, TooLarge
from greenroom.core.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of
from greenroom.core.note import Checkpoint
from tests.promises import promise, sized

AT = 1_760_000_000_000
LONGEST = 200


def event(number: int = 1, **changed: Any) -> Event:
    """An event with a bit of everything in it; `number` makes it differ from its neighbours."""
    given: dict[str, Any] = {
        "type": sorted(EVENT_TYPES)[number % len(EVENT_TYPES)],
        "actor": "ana@example.org" if number % 3 else "jürgen 漢",
        "request": f"req-{number}",
        "model": None if number % 11 == 0 else f"credit-{number % 5}",
        "version": None if number % 7 == 0 else number,
        "body": {"digest": digest_of(b"%d" % number), "stage": "Production", "auc": number / 7},
    }
    return Event(**given | changed)


@dataclass(frozen=True)
class Log:
    """A stored log: its rows and its head row."""

    entries: tuple[Entry, ...]
    head: Head

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint("example.org/log", size, root_of(bytes.fromhex(e.leaf) for e in self.entries[:size]))


def sealed(events: list[Event], *, after: Log | None = None, batch: int = 7) -> Log:
    head, entries = (after.head, list(after.entries)) if after else (Head(), [])
    for start in range(0, len(events), batch):
        head, more = seal(head, events[start : start + batch], AT + start)
        entries += more
    return Log(tuple(entries), head)


@cache
def log_of(size: int) -> Log:
    """The honest log of `size` entries; every shorter one is its beginning."""
    return sealed([event(number) for number in range(1, size + 1)], batch=1)


# --- one entry ------------------------------------------------------------------------------------------------------


def test_the_form_of_an_entry_never_changes() -> None:
    """If this fails, logs that exist can no longer be verified: a new form needs a new `v`."""
    body = {"stage": "Production", "auc": 0.5}
    head, (first, second) = seal(
        Head(),
        [
            Event("model_created", "ana", "r1", "m", None, {}),
            Event("version_registered", "j\u00fc", "r2", "m", 1, body),
        ],
        5,
    )
    assert (
        entry_bytes(first)
        == (
            '{"actor":"ana","at":5,"body":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",'
            f'"model":"m","prev":"{"0" * 64}","request":"r1","seq":1,"type":"model_created","v":1,"version":null}}'
        ).encode()
    )
    assert second.body_text == '{"auc":0.5,"stage":"Production"}'
    assert second.body == body
    assert second.prev == first.leaf == leaf_hash(entry_bytes(first)).hex()
    assert (head.size, head.last) == (2, second.leaf)
    assert head.root == root_of([leaf_hash(entry_bytes(first)), leaf_hash(entry_bytes(second))])


def test_the_bytes_are_the_canonical_json_of_the_fields() -> None:
    for entry in log_of(LONGEST).entries:
        value = {
            name: getattr(entry, name) for name in ("seq", "at", "type", "actor", "request", "model", "version", "prev")
        }
        value |= {"v": 1, "body": entry.body_digest}
        assert entry_bytes(entry) == canonical(value)
        assert json.loads(entry_bytes(entry)) == value
        assert entry.body_digest == "sha256:" + hashlib.sha256(entry.body_text.encode()).hexdigest()


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_how_a_log_is_cut_into_batches_does_not_show(size: int) -> None:
    events = [event(number) for number in range(1, size + 1)]
    one = [replace(entry, at=AT) for entry in sealed(events, batch=size).entries]
    assert one == list(sealed(events, batch=size).entries)
    assert [e.seq for e in one] == list(range(1, size + 1))
    by_one, by_three = Head(), Head()
    for number in range(size):
        by_one, _ = seal(by_one, events[number : number + 1], AT)
    for number in range(0, size, 3):
        by_three, _ = seal(by_three, events[number : number + 3], AT)
    assert by_one == by_three == sealed(events, batch=size).head


def test_sealing_nothing_changes_nothing() -> None:
    log = log_of(5)
    assert seal(log.head, [], AT) == (log.head, [])
    assert Head().root == EMPTY_ROOT
    assert Head().last == NO_PREVIOUS


def test_the_longest_entry_fits_into_a_bundle() -> None:
    """A5: entries stay below 65 535 bytes, whatever is in the body. Mutant check: a limit of 4000 characters fails."""
    long = "\x00" * MAX_TEXT_CHARACTERS  # six bytes each in JSON, more than any other character
    huge = {"description": "x" * 100_000, "tags": {str(n): "y" * 1000 for n in range(100)}}
    worst = event(actor=long, request=long, model=long, version=2**63 - 1, body=huge, type=max(EVENT_TYPES, key=len))
    head = Head(2**62 - 1, "f" * 64, Frontier(2**62 - 1, tuple(bytes(32) for _ in range(62))))
    _, (entry,) = seal(head, [worst], 2**63 - 1)
    assert len(entry_bytes(entry)) < 65_535
    assert entry.body == huge


@pytest.mark.parametrize("field", ["actor", "request", "model"])
def test_a_text_that_is_too_long_is_refused_before_it_reaches_the_log(field: str) -> None:
    with pytest.raises(TooLarge) as caught:
        event(1, **{field: "x" * (MAX_TEXT_CHARACTERS + 1)})
    assert str(caught.value) == f"The {field} of an audit event has 1025 characters. At most 1024 are allowed."


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"type": "model_eaten"}, "unknown audit event type 'model_eaten'"),
        ({"version": 0}, "no version has the number 0"),
        ({"body": {"x": object()}}, "no canonical form"),
        ({"body": {"x": "\ud800"}}, "lone surrogate"),
        ({"actor": "\ud800"}, "lone surrogate"),
    ],
)
def test_an_event_that_could_not_be_sealed_cannot_be_made(changed: dict[str, Any], reason: str) -> None:
    """One bad event must not spoil the batch of the others, so it fails when it is made."""
    with pytest.raises(ValueError, match=reason):
        event(**changed)


def test_an_event_keeps_the_body_it_was_made_with() -> None:
    body = {"stage": "Staging"}
    made = event(body=body)
    body["stage"] = "Production"
    assert sealed([made]).entries[0].body == {"stage": "Staging"}


def test_event_types_are_words_that_are_never_taken_away() -> None:
    """A type that was ever written keeps its word; new ones need not be listed here."""
    first = (
        "registry_created model_created model_updated model_renamed model_deleted model_restored model_tag_set "
        "model_tag_deleted version_registered version_updated version_deleted version_restored version_tag_set "
        "version_tag_deleted version_metrics_recorded promotion_succeeded promotion_rejected "
        "alias_deleted lifecycle_applied lifecycle_used"
    )
    assert set(first.split()) <= EVENT_TYPES
    assert {kind.value: kind.name.lower() for kind in EventType} == {word: word for word in EVENT_TYPES}
    assert type(sealed([event(type=EventType.ALIAS_DELETED)]).entries[0].type) is str  # a database driver wants no enum


def test_a_body_that_is_not_json_is_an_integrity_failure() -> None:
    entry = log_of(1).entries[0]
    for text, reason in (("{", "is not JSON"), ("[]", "is not a JSON object"), ('{"a":', "is not JSON")):
        with pytest.raises(IntegrityFailure, match=f"The body of audit event 1 {reason}"):
            _ = replace(entry, body_text=text).body


def test_a_head_that_contradicts_itself_is_not_taken() -> None:
    with pytest.raises(IntegrityFailure, match="has size 4, its tree has 5"):
        replace(log_of(5).head, size=4)


# --- honest logs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 200])
def test_an_honest_log_has_no_findings(size: int) -> None:
    log = log_of(size)
    every = [log.checkpoint(at) for at in range(size + 1)]
    assert verify_log(log.entries, head=log.head) == []
    assert verify_log(iter(log.entries), head=log.head, checkpoints=every) == []
    assert verify_log(log.entries, head=log.head, checkpoints=[*every[::-1], *every]) == []


def test_types_that_this_version_does_not_know_are_verified_all_the_same() -> None:
    """A log written by a newer server: unknown words are its business, the chain is ours."""
    log = log_of(3)
    _, entries = resealed(log, 2, type="invented_later")
    assert verify_log(entries, head=heads_of(entries)) == []


# --- A1: tampered logs ----------------------------------------------------------------------------------------------
# One function a way to tamper. It gets an honest log, a checkpoint size up to the log's size and a random source, and
# returns the rows and the head that an auditor would find, with the faults that may be named and the entry to be named
# (None: any). The comment says which protection it is the proof of: without that line of `verify_log` it fails.

Tampered = tuple[list[Entry], Head, set[Fault], int | None]
Tamper = Callable[[Log, int, random.Random], Tampered]


def rehashed(entry: Entry, **changed: Any) -> Entry:
    """The entry with other fields and the leaf hash that fits them."""
    if "body_text" in changed:
        changed["body_digest"] = digest_of(changed["body_text"].encode())
    entry = replace(entry, **changed)
    return replace(entry, leaf=leaf_hash(entry_bytes(entry)).hex())


def rechained(entries: list[Entry]) -> list[Entry]:
    """The same facts as a log that is sound in itself: numbers, links and hashes are made anew."""
    chained: list[Entry] = []
    for seq, entry in enumerate(entries, start=1):
        prev = chained[-1].leaf if chained else NO_PREVIOUS
        chained.append(entry if (entry.seq, entry.prev) == (seq, prev) else rehashed(entry, seq=seq, prev=prev))
    return chained


def heads_of(entries: list[Entry]) -> Head:
    last = entries[-1].leaf if entries else NO_PREVIOUS
    return Head(len(entries), last, Frontier().extend(bytes.fromhex(e.leaf) for e in entries))


def resealed(log: Log, seq: int, **changed: Any) -> tuple[Head, list[Entry]]:
    entries = [rehashed(e, **changed) if e.seq == seq else e for e in log.entries]
    entries = rechained(entries)
    return heads_of(entries), entries


def other_text(text: str, rng: random.Random) -> str:
    if not text:
        return "x"
    at = rng.randrange(len(text))
    swapped = rng.choice([c for c in "0aZ é" if c != text[at]])
    return rng.choice(
        [text[:at] + swapped + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + swapped + text[at:]]
    )


def other(value: Any, rng: random.Random) -> Any:
    """Another value of any type that a database could hand back for a damaged field."""
    strange: list[Any] = [None, b"\xff", "\udc80", -1, 2**63, 1.5, "", str(value)]
    near: list[Any] = [other_text(value, rng)] * 8 if isinstance(value, str) else []
    if isinstance(value, int):
        near = [value ^ 1 << rng.randrange(40), value + 1, value - 1, float(value) + 0.25] * 2
    candidates = [c for c in strange + near if type(c) is not type(value) or c != value]
    return rng.choice(candidates)


FIELDS = [field.name for field in fields(Entry)]


def flip(log: Log, size: int, rng: random.Random) -> Tampered:
    # The leaf, body digest, `seq` and `prev` comparisons, each for its fields; and that no type of value stops it.
    at = rng.randrange(len(log.entries))
    name = rng.choice(FIELDS)
    entries = list(log.entries)
    entries[at] = replace(entries[at], **{name: other(getattr(entries[at], name), rng)})
    faults = {"seq": {Fault.GAP, Fault.REPEATED, Fault.HEADER}, "body_text": {Fault.BODY}}.get(name, {Fault.HEADER})
    return entries, log.head, faults, None if name == "seq" else at + 1


def flip_body_and_digest(log: Log, size: int, rng: random.Random) -> Tampered:
    # The leaf comparison: a body replaced together with its digest still is not in the leaf.
    at = rng.randrange(len(log.entries))
    entries = list(log.entries)
    text = other_text(entries[at].body_text, rng)
    entries[at] = replace(entries[at], body_text=text, body_digest=digest_of(text.encode()))
    return entries, log.head, {Fault.HEADER}, at + 1


def replace_one(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `prev` comparison, and for the last entry the comparison with the head.
    at = rng.randrange(len(log.entries))
    entries = list(log.entries)
    entries[at] = rehashed(entries[at], body_text='{"stage":"Archived"}', at=1)
    return entries, log.head, {Fault.CHAIN, Fault.HEAD}, at + 1 if at + 1 < len(entries) else None


def relink_one(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `prev` comparison at the entry itself.
    at = rng.randrange(len(log.entries))
    entries = list(log.entries)
    entries[at] = rehashed(entries[at], prev=rng.choice(["f" * 64, "", entries[at].leaf]))
    return entries, log.head, {Fault.CHAIN}, at + 1


def drop(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `seq` comparison; at the end, the comparison with the head's size.
    at = rng.randrange(len(log.entries))
    entries = [*log.entries[:at], *log.entries[at + 1 :]]
    return entries, log.head, {Fault.GAP, Fault.TRUNCATED}, at + 1


def drop_and_renumber(log: Log, size: int, rng: random.Random) -> Tampered:
    # The leaf comparison: the number is in the leaf.
    at = rng.randrange(len(log.entries))
    entries = [replace(e, seq=seq) for seq, e in enumerate([*log.entries[:at], *log.entries[at + 1 :]], start=1)]
    return entries, log.head, {Fault.HEADER, Fault.TRUNCATED}, at + 1


def insert(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `seq` comparison; at the end, the comparison with the head's size.
    at = rng.randrange(len(log.entries) + 1)
    prev = log.entries[at - 1].leaf if at else NO_PREVIOUS
    forged = rehashed(log.entries[at - 1], seq=at + 1, prev=prev, actor="mallory")
    entries = [*log.entries[:at], forged, *log.entries[at:]]
    return entries, log.head, {Fault.REPEATED, Fault.EXTRA}, at + 1


def insert_and_renumber(log: Log, size: int, rng: random.Random) -> Tampered:
    # The leaf comparison: the forged entry is sound in itself, the next one is not what it was.
    at = rng.randrange(len(log.entries))
    prev = log.entries[at - 1].leaf if at else NO_PREVIOUS
    forged = rehashed(log.entries[at], seq=at + 1, prev=prev, actor="mallory")
    entries = [*log.entries[:at], forged, *(replace(e, seq=e.seq + 1) for e in log.entries[at:])]
    return entries, log.head, {Fault.HEADER}, at + 2


def repeat(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `seq` comparison.
    at = rng.randrange(len(log.entries))
    entries = [*log.entries[: at + 1], *log.entries[at:]]
    return entries, log.head, {Fault.REPEATED}, at + 1


def swap(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `seq` comparison.
    one, two = two_of(log, rng)
    entries = list(log.entries)
    entries[one], entries[two] = entries[two], entries[one]
    return entries, log.head, {Fault.GAP}, one + 1


def swap_contents(log: Log, size: int, rng: random.Random) -> Tampered:
    # The leaf comparison: everything but the number is exchanged.
    one, two = two_of(log, rng)
    entries = list(log.entries)
    entries[one], entries[two] = replace(entries[two], seq=one + 1), replace(entries[one], seq=two + 1)
    return entries, log.head, {Fault.HEADER}, one + 1


def swap_bodies(log: Log, size: int, rng: random.Random) -> Tampered:
    # The body digest comparison.
    one, two = two_of(log, rng)
    entries = list(log.entries)
    texts = entries[one].body_text, entries[two].body_text
    entries[one], entries[two] = replace(entries[one], body_text=texts[1]), replace(entries[two], body_text=texts[0])
    return entries, log.head, {Fault.BODY}, one + 1


def two_of(log: Log, rng: random.Random) -> tuple[int, int]:
    one, two = sorted(rng.sample(range(len(log.entries)), 2))
    return one, two


def truncate(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison with the head's size.
    kept = rng.randrange(len(log.entries))
    return list(log.entries[:kept]), log.head, {Fault.SHORTER, Fault.TRUNCATED}, kept + 1


def truncate_with_head(log: Log, size: int, rng: random.Random) -> Tampered:
    # Checkpoints beyond the end: rows and head are an honest, earlier log.
    kept = rng.randrange(size)
    return list(log.entries[:kept]), log_of(kept).head, {Fault.SHORTER}, kept + 1


def fork(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison with checkpoints: another history from some point on, sealed like any other.
    kept = rng.randrange(size)
    others = [event(number, actor="mallory") for number in range(kept + 1, rng.randrange(size, LONGEST + 1) + 1)]
    forked = sealed(others, after=Log(log.entries[:kept], log_of(kept).head))
    return list(forked.entries), forked.head, {Fault.CHECKPOINT}, None


def change_and_rechain(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison with checkpoints: rows, links, tree and head all fit each other.
    name, value = rng.choice(
        [("actor", "mallory"), ("at", 1), ("body_text", "{}"), ("version", 99_999), ("request", "x")]
    )
    head, entries = resealed(log, rng.randrange(size) + 1, **{name: value})
    return entries, head, {Fault.CHECKPOINT}, None


def drop_and_rechain(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison with checkpoints, and checkpoints beyond the end.
    at = rng.randrange(size)
    entries = rechained([*log.entries[:at], *log.entries[at + 1 :]])
    return entries, heads_of(entries), {Fault.CHECKPOINT, Fault.SHORTER}, None


def insert_and_rechain(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison with checkpoints.
    at = rng.randrange(size)
    entries = rechained([*log.entries[:at], rehashed(log.entries[at], actor="mallory"), *log.entries[at:]])
    return entries, heads_of(entries), {Fault.CHECKPOINT}, None


def swap_and_rechain(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison with checkpoints.
    one, two = two_of(Log(log.entries[:size], log.head), rng) if size > 1 else (0, len(log.entries) - 1)
    entries = list(log.entries)
    entries[one], entries[two] = entries[two], entries[one]
    entries = rechained(entries)
    return entries, heads_of(entries), {Fault.CHECKPOINT}, None


def rechain_without_head(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison of the head's last entry: found even before the checkpoint is looked at.
    _, entries = resealed(log, rng.randrange(len(log.entries)) + 1, actor="mallory")
    return entries, log.head, {Fault.CHECKPOINT, Fault.HEAD}, None


def misnumber_and_rechain(log: Log, size: int, rng: random.Random) -> Tampered:
    # The `seq` comparison alone: a log that leaves out a number, or gives one twice, and fits itself in all else.
    at, step = rng.randrange(len(log.entries)), rng.choice([1, -1])
    entries: list[Entry] = []
    for entry in log.entries:
        prev = entries[-1].leaf if entries else NO_PREVIOUS
        entries.append(rehashed(entry, seq=entry.seq + step if entry.seq > at else entry.seq, prev=prev))
    return entries, heads_of(entries), {Fault.GAP, Fault.REPEATED}, at + 1 if step > 0 else at


def head_last(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison of the head's last entry.
    return list(log.entries), replace(log.head, last="f" * 64), {Fault.HEAD}, len(log.entries)


def head_tree(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison of the head's peaks: a wrong one would make every later checkpoint wrong.
    peaks = list(log.head.frontier.peaks)
    peaks[rng.randrange(len(peaks))] = rng.randbytes(32)
    return list(log.entries), replace(log.head, frontier=Frontier(log.head.size, tuple(peaks))), {Fault.HEAD}, None


def head_size(log: Log, size: int, rng: random.Random) -> Tampered:
    # The comparison of the head's size: the head of an earlier log, or of a later one.
    wrong = rng.choice([n for n in range(LONGEST + 1) if n != len(log.entries)])
    fault, seq = (Fault.EXTRA, wrong + 1) if wrong < len(log.entries) else (Fault.TRUNCATED, len(log.entries) + 1)
    return list(log.entries), log_of(wrong).head, {fault}, seq


TAMPERS: list[Tamper] = [
    flip,
    flip_body_and_digest,
    replace_one,
    relink_one,
    drop,
    drop_and_renumber,
    insert,
    insert_and_renumber,
    repeat,
    swap,
    swap_contents,
    swap_bodies,
    truncate,
    truncate_with_head,
    fork,
    change_and_rechain,
    drop_and_rechain,
    insert_and_rechain,
    swap_and_rechain,
    rechain_without_head,
    misnumber_and_rechain,
    head_last,
    head_tree,
    head_size,
]
TOGETHER = sized(10_000, 1_000_000)
LOGS = [log_of(size) for size in range(LONGEST + 1)]


@promise(
    "A1",
    "{logs} tampered logs of 1 to 200 entries, with one earlier checkpoint; the entry is named",
    logs=TOGETHER,
    mutant="tests/tamper/test_attacks.py::test_each_protection_is_needed",
)
@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda tamper: tamper.__name__)
def test_every_tampered_log_is_found_out(tamper: Tamper) -> None:
    """A1: 10 000 tampered logs of 1 to 200 entries, with one earlier checkpoint, all found, with the entry named."""
    rng = random.Random(tamper.__name__)
    for _ in range(-(-TOGETHER // len(TAMPERS))):
        log = LOGS[rng.randint(2, LONGEST) if rng.random() < 0.8 or "swap" in tamper.__name__ else 1]
        checkpoint = log.checkpoint(rng.randint(1, len(log.entries)))
        entries, head, faults, seq = tamper(log, checkpoint.size, rng)
        assert (entries, head) != (list(log.entries), log.head), "nothing was tampered with"
        findings = verify_log(entries, head=head, checkpoints=[checkpoint])
        assert findings, tamper
        assert {finding.kind for finding in findings} & faults, findings
        if seq is not None:
            assert min(finding.seq for finding in findings if finding.kind in faults) == seq, findings


@pytest.mark.parametrize("name", ["seq", "at", "version"])
def test_a_number_that_became_text_is_a_change(name: str) -> None:
    """It would read the same in JSON. Mutant check: without `:d` in the header it passes."""
    rows = list(log_of(5).entries)
    as_text: dict[str, Any] = {name: str(getattr(rows[2], name))}
    rows[2] = replace(rows[2], **as_text)
    assert only(verify_log(rows, head=log_of(5).head)).kind is Fault.HEADER
    assert only(verify_log(rows, head=log_of(5).head)).seq == 3


# --- what a finding says --------------------------------------------------------------------------------------------


def only(findings: list[Finding]) -> Finding:
    (finding,) = findings
    return finding


def test_findings_name_the_entry_and_the_reason() -> None:
    log = log_of(6)
    rows = list(log.entries)
    changed = [*rows[:3], replace(rows[3], actor="mallory"), *rows[4:]]
    assert only(verify_log(changed, head=log.head)) == Finding(
        Fault.HEADER, 4, "entry 4 was changed: its fields do not have the hash stored with it"
    )
    changed[3] = replace(rows[3], body_text="{}")
    assert only(verify_log(changed, head=log.head)) == Finding(
        Fault.BODY, 4, f"the body of entry 4 was changed: it is not {rows[3].body_digest}"
    )
    changed[3] = rehashed(rows[3], body_text="{}")
    assert only(verify_log(changed, head=log.head)) == Finding(
        Fault.CHAIN, 4, f"entry 4 was replaced: entry 5 follows {rows[3].leaf}, not {changed[3].leaf} before it"
    )
    assert only(verify_log(rows[:3] + rows[4:], head=log.head)) == Finding(
        Fault.GAP, 4, "entry 4 is missing or out of its place: entry 5 stands there"
    )
    assert only(verify_log(rows[:4] + rows[3:], head=log.head)) == Finding(
        Fault.REPEATED, 4, "entry 4 appears again or too late, after entry 4"
    )
    assert only(verify_log(rows[:4], head=log.head)) == Finding(
        Fault.TRUNCATED, 5, "entries 5 to 6 are missing at the end"
    )
    assert only(verify_log(rows, head=log_of(4).head)) == Finding(
        Fault.EXTRA, 5, "entry 5 is one too many: the log has 6 entries, its head only 4"
    )
    assert only(verify_log(rows[:4], head=log_of(4).head, checkpoints=[log.checkpoint(6)])) == Finding(
        Fault.SHORTER, 5, "a checkpoint covers 6 entries, the log has only 4"
    )


def test_the_replaced_entry_is_named_and_not_its_neighbour() -> None:
    """Entry and neighbour contradict each other: the one after them tells which of the two was replaced."""
    log = log_of(6)
    for at in range(5):  # the last one is told by the head, below
        rows = list(log.entries)
        rows[at] = rehashed(rows[at], actor="mallory")
        assert (only(verify_log(rows, head=log.head)).kind, only(verify_log(rows, head=log.head)).seq) == (
            Fault.CHAIN,
            at + 1,
        )
    rows = list(log.entries)
    rows[5] = rehashed(rows[5], actor="mallory")
    finding = only(verify_log(rows, head=log.head))
    assert finding.kind is Fault.HEAD
    assert finding.message == "entries 5 to 6 are not those of the log's head: they or the head were changed"
    assert only(verify_log(rows, head=log.head, checkpoints=[log.checkpoint(5)])).seq == 6  # 5 is beyond doubt


def test_checkpoints_narrow_down_where_a_log_was_rewritten() -> None:
    log = log_of(100)
    head, rows = resealed(log, 42, actor="mallory")
    findings = verify_log(rows, head=head, checkpoints=[log.checkpoint(size) for size in (10, 40, 60, 80)])
    assert [(finding.kind, finding.seq) for finding in findings] == [(Fault.CHECKPOINT, 41)] * 2
    assert findings[0].message == (
        "entries 41 to 60 are not those of the checkpoint of size 60: "
        "the log was rewritten, or the checkpoint is of another log"
    )


def test_a_false_checkpoint_among_good_ones_shows() -> None:
    log = log_of(100)
    false = Checkpoint("example.org/log", 50, bytes(32))
    for order in ([false, log.checkpoint(50)], [log.checkpoint(50), false]):
        finding = only(verify_log(log.entries, head=log.head, checkpoints=[*order, log.checkpoint(90)]))
        assert finding.message == "the checkpoint of size 50 is of another log: up to there this one is proven"
    findings = verify_log(log.entries, head=log.head, checkpoints=[false, log.checkpoint(90)])
    assert only(findings).message.startswith("entries 1 to 50 are not those of the checkpoint of size 50: ")
    empty = Checkpoint("example.org/log", 0, bytes(32))
    assert [f.kind for f in verify_log([], head=Head(), checkpoints=[empty])] == [Fault.CHECKPOINT]


def test_two_signed_histories_cannot_both_hold() -> None:
    """A log that shows one history to some and another to others: the two checkpoints contradict each other."""
    log = log_of(20)
    head, rows = resealed(log, 5, actor="mallory")
    both = [log.checkpoint(10), Log(tuple(rows), head).checkpoint(10)]
    for entries, its_head in ((list(log.entries), log.head), (rows, head)):
        assert [f.kind for f in verify_log(entries, head=its_head, checkpoints=both)] == [Fault.CHECKPOINT]


def test_what_nobody_outside_has_seen_can_be_rewritten() -> None:
    """The honest limit (design, section 12): after the newest checkpoint, a log that fits itself is taken for true."""
    log = log_of(20)
    head, rows = resealed(log, 15, actor="mallory")
    assert verify_log(rows, head=head, checkpoints=[log.checkpoint(14)]) == []
    assert [f.kind for f in verify_log(rows, head=head, checkpoints=[log.checkpoint(15)])] == [Fault.CHECKPOINT]


def test_a_log_is_read_as_a_stream_and_no_further_than_needed() -> None:
    log = log_of(50)
    seen = 0

    def rows() -> Any:
        nonlocal seen
        for entry in log.entries:
            seen += 1
            yield replace(entry, actor="mallory") if entry.seq == 10 else entry

    assert only(verify_log(rows(), head=log.head)).seq == 10
    assert seen == 10
