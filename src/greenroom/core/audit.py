"""The audit log: what an event is, how a batch of events is sealed into the chain and the tree, how a log is verified.

Every entry's canonical bytes name the digest of its body and, as `prev`, the leaf hash of the entry before it; the
Merkle tree is over the same leaf hashes. So the chain can be checked row by row and the tree against a checkpoint.
Source: design, section 7; RFC 6962; reliability A1, A2, A5.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum, unique
from hashlib import sha256
from json.encoder import encode_basestring as _quoted
from typing import Any, Protocol

from greenroom.core.canonical import canonical_text
from greenroom.core.digest import digest_of
from greenroom.core.errors import IntegrityFailure, TooLarge
from greenroom.core.merkle import Frontier, TreeBuilder
from greenroom.core.note import Checkpoint

NO_PREVIOUS = "0" * 64
MAX_TEXT_CHARACTERS = 1024
"""Longest actor, request id or model name of an event. JSON makes at most 6 bytes of a character, so three of them and
the fixed rest stay far below the 65 535 bytes that a C2SP entry bundle can hold."""


@unique
class EventType(StrEnum):
    """Every kind of change that is recorded. Append-only: a type that was ever written keeps its meaning."""

    REGISTRY_CREATED = "registry_created"
    MODEL_CREATED = "model_created"
    MODEL_UPDATED = "model_updated"
    MODEL_RENAMED = "model_renamed"
    MODEL_DELETED = "model_deleted"
    MODEL_RESTORED = "model_restored"
    MODEL_TAG_SET = "model_tag_set"
    MODEL_TAG_DELETED = "model_tag_deleted"
    VERSION_REGISTERED = "version_registered"
    VERSION_PINNED = "version_pinned"
    VERSION_UPDATED = "version_updated"
    VERSION_DELETED = "version_deleted"
    VERSION_RESTORED = "version_restored"
    VERSION_TAG_SET = "version_tag_set"
    VERSION_TAG_DELETED = "version_tag_deleted"
    VERSION_METRICS_RECORDED = "version_metrics_recorded"
    PROMOTION_SUCCEEDED = "promotion_succeeded"
    PROMOTION_REJECTED = "promotion_rejected"
    ALIAS_DELETED = "alias_deleted"
    DELETION_REJECTED = "deletion_rejected"
    LIFECYCLE_APPLIED = "lifecycle_applied"
    LIFECYCLE_USED = "lifecycle_used"
    EXPERIMENT_DELETED = "experiment_deleted"
    EXPERIMENT_RESTORED = "experiment_restored"
    RUN_DELETED = "run_deleted"
    RUN_RESTORED = "run_restored"
    LOGGED_MODEL_DELETED = "logged_model_deleted"
    BLOBS_COLLECTED = "blobs_collected"
    BLOBS_DAMAGED = "blobs_damaged"
    BLOBS_HEALED = "blobs_healed"


EVENT_TYPES = frozenset(kind.value for kind in EventType)


@dataclass(frozen=True)
class Event:
    """What a use case records: who (`actor`) did what (`type`, `body`) to which model and version, by which request.

    `model` and `version` None: the event is not about one. `body` holds plain JSON values; its canonical text is taken
    when the event is made, so that nothing can fail later, when the writer seals a whole batch. Who has that text
    already
    (`with_list`) gives it as `body_text`; it is taken on trust.
    Raises TooLarge for a text over MAX_TEXT_CHARACTERS; ValueError (our bug) for an unknown type, a version below 1, or
    a value without a canonical form.
    """

    type: str
    actor: str
    request: str
    model: str | None
    version: int | None
    body: Mapping[str, Any]
    body_text: str = field(default="", repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.type not in EVENT_TYPES:
            raise ValueError(f"unknown audit event type {self.type!r}")
        if self.version is not None and self.version < 1:
            raise ValueError(f"no version has the number {self.version}")
        for name in ("actor", "request", "model"):
            text = getattr(self, name)
            if text is not None and len(text) > MAX_TEXT_CHARACTERS:
                raise TooLarge(
                    f"The {name} of an audit event has {len(text)} characters.",
                    hint=f"At most {MAX_TEXT_CHARACTERS} are allowed.",
                    limit="audit_text",
                )
            canonical_text(text)
        if self.body_text:
            self.body_text.encode()  # UnicodeEncodeError is a ValueError, and now is the time for it
        else:
            object.__setattr__(self, "body_text", canonical_text(self.body))


@dataclass(frozen=True, slots=True)
class Entry:
    """One sealed event, as it is stored.

    `seq` counts from 1 without gaps; `at` is UTC milliseconds; `body_text` is the body's canonical JSON, to be stored
    as it is; `body_digest` its digest; `prev` and `leaf` are the leaf hashes of the entry before and this one (hex).
    """

    seq: int
    at: int
    type: str
    actor: str
    request: str
    model: str | None
    version: int | None
    body_text: str
    body_digest: str
    prev: str
    leaf: str

    @property
    def body(self) -> dict[str, Any]:
        """The body, parsed anew at each call. IntegrityFailure if the stored text is not a JSON object."""
        try:
            body = json.loads(self.body_text)
        except ValueError as exc:
            raise IntegrityFailure(f"The body of audit event {self.seq} is not JSON: {exc}.", event=self.seq) from exc
        if not isinstance(body, dict):
            raise IntegrityFailure(f"The body of audit event {self.seq} is not a JSON object.", event=self.seq)
        return body


@dataclass(frozen=True)
class Head:
    """Where the log stands: number of entries, leaf hash of the last one in hex, and the tree's frontier.

    The default is the head of the empty log. IntegrityFailure if the three do not fit together.
    """

    size: int = 0
    last: str = NO_PREVIOUS
    frontier: Frontier = field(default_factory=Frontier)

    def __post_init__(self) -> None:
        if self.size != self.frontier.size:
            raise IntegrityFailure(
                f"The stored head of the audit log has size {self.size}, its tree has {self.frontier.size}."
            )

    @property
    def root(self) -> bytes:
        """The root of the tree over all entries."""
        return self.frontier.root


class _Facts(Protocol):
    """What a header takes over from an event or an entry."""

    @property
    def type(self) -> str: ...
    @property
    def actor(self) -> str: ...
    @property
    def request(self) -> str: ...
    @property
    def model(self) -> str | None: ...
    @property
    def version(self) -> int | None: ...


def _header(facts: _Facts, seq: int, at: int, body_digest: str, prev: str) -> bytes:
    """Return the canonical JSON of an entry. Spelled out because a log of a million entries is verified with it.

    `:d` refuses what is no integer: a database may hand back text where it was given a number.
    """
    model = "null" if facts.model is None else _quoted(facts.model)
    version = "null" if facts.version is None else f"{facts.version:d}"
    return (
        f'{{"actor":{_quoted(facts.actor)},"at":{at:d},"body":{_quoted(body_digest)},"model":{model},'
        f'"prev":{_quoted(prev)},"request":{_quoted(facts.request)},"seq":{seq:d},"type":{_quoted(facts.type)},'
        f'"v":1,"version":{version}}}'
    ).encode()


def entry_bytes(entry: Entry) -> bytes:
    """Return the bytes that the leaf hash is of: canonical JSON, the body by its digest, always below 65 535 bytes."""
    return _header(entry, entry.seq, entry.at, entry.body_digest, entry.prev)


def seal(head: Head, events: Sequence[Event], at: int) -> tuple[Head, list[Entry]]:
    """Append `events`, in order, to the log that stands at `head`; return the new head and the entries to store.

    `at` (UTC milliseconds) is the time of the whole batch; the order is by `seq` alone, so a clock may jump.
    """
    tree, prev = TreeBuilder(head.frontier), head.last
    entries = []
    for seq, event in enumerate(events, start=head.size + 1):
        body_digest = digest_of(event.body_text.encode())
        leaf = sha256(b"\x00" + _header(event, seq, at, body_digest, prev)).digest()
        tree.append(leaf)
        entries.append(_entry(event, seq, at, body_digest, prev, leaf.hex()))
        prev = leaf.hex()
    return Head(tree.size, prev, tree.frontier()), entries


def _entry(event: Event, seq: int, at: int, body_digest: str, prev: str, leaf: str) -> Entry:
    return Entry(
        seq=seq,
        at=at,
        type=str(event.type),
        actor=event.actor,
        request=event.request,
        model=event.model,
        version=event.version,
        body_text=event.body_text,
        body_digest=body_digest,
        prev=prev,
        leaf=leaf,
    )


@unique
class Fault(StrEnum):
    """What can be wrong with a log."""

    GAP = "gap"  # an entry is missing, or a later one stands in its place
    REPEATED = "repeated"  # an entry comes again, or too late
    HEADER = "header"  # a field of the entry, or its stored hash, was changed
    BODY = "body"  # the body is not the one that the entry names
    CHAIN = "chain"  # a whole entry was replaced: its neighbour knows another
    TRUNCATED = "truncated"  # fewer entries than the head says
    EXTRA = "extra"  # more entries than the head says
    HEAD = "head"  # the head names another last entry or another tree
    CHECKPOINT = "checkpoint"  # the history up to a checkpoint is not the one that was signed
    SHORTER = "shorter"  # a checkpoint covers more entries than there are


@dataclass(frozen=True)
class Finding:
    """One thing wrong with the log. `seq` is the first entry that cannot be relied on because of it."""

    kind: Fault
    seq: int
    message: str


def verify_log(entries: Iterable[Entry], *, head: Head, checkpoints: Iterable[Checkpoint] = ()) -> list[Finding]:
    """Return what is wrong with a log; an empty list means: whole, and unchanged since each of `checkpoints`.

    `entries` is the stored log in its stored order, read once as a stream. Reading stops at the first entry that is
    wrong in itself (the last finding, then); a checkpoint of another history is reported and reading goes on, so that
    one false checkpoint can be told from a false log. What was changed *and* re-chained after the newest checkpoint
    cannot be seen: nothing outside knows of it. The signatures of `checkpoints` must have been checked before
    (`note.open_note`), and that they are of this log (`origin`).
    """
    tree, prev = TreeBuilder(), NO_PREVIOUS
    milestones = _Milestones(checkpoints)
    milestones.reach(tree)
    stream = iter(entries)
    for seq, entry in enumerate(stream, start=1):
        leaf = _leaf_of(entry)
        whole = leaf is not None and leaf.hex() == entry.leaf and _names_its_body(entry)
        if leaf is None or not whole or entry.seq != seq or entry.prev != prev:
            return [*milestones.findings, _diagnosis(entry, seq, prev, stream, head)]
        tree.append(leaf)
        prev = entry.leaf
        if seq == milestones.due:
            milestones.reach(tree)
    return [
        *milestones.findings,
        *milestones.not_reached(tree.size),
        *_compare_head(head, tree, prev, milestones.proven),
    ]


def _leaf_of(entry: Entry) -> bytes | None:
    """Return the leaf hash of what is stored; None if it cannot be an entry at all.

    The values are evidence here, not ours: a damaged row may hold any type, or text that does not encode.
    """
    try:
        return sha256(b"\x00" + _header(entry, entry.seq, entry.at, entry.body_digest, entry.prev)).digest()
    except (TypeError, ValueError):
        return None


def _names_its_body(entry: Entry) -> bool:
    """Say whether the stored body is the one whose digest the entry holds; the values are evidence, as above."""
    try:
        return "sha256:" + sha256(entry.body_text.encode()).hexdigest() == entry.body_digest
    except (AttributeError, UnicodeEncodeError):
        return False


def _diagnosis(entry: Entry, seq: int, prev: str, following: Iterator[Entry], head: Head) -> Finding:
    """Name what is wrong with an entry that stands at `seq`, after the entry with leaf `prev`."""
    found = entry.seq if isinstance(entry.seq, int) else seq
    if found > seq:
        return Finding(Fault.GAP, seq, f"entry {seq} is missing or out of its place: entry {found} stands there")
    if found < seq:
        return Finding(Fault.REPEATED, found, f"entry {found} appears again or too late, after entry {seq - 1}")
    leaf = _leaf_of(entry)
    if leaf is None or leaf.hex() != entry.leaf:
        return Finding(Fault.HEADER, seq, f"entry {seq} was changed: its fields do not have the hash stored with it")
    if not _names_its_body(entry):
        return Finding(Fault.BODY, seq, f"the body of entry {seq} was changed: it is not {entry.body_digest}")
    # Entry and neighbour contradict each other. The entry after them bears witness: if it follows this one, this one
    # is what it was when the log went on, and the one before was replaced.
    after = next(following, None)
    witness = after.prev if after is not None else head.last
    replaced = seq - 1 if witness == entry.leaf and seq > 1 else seq
    return Finding(
        Fault.CHAIN, replaced, f"entry {replaced} was replaced: entry {seq} follows {entry.prev}, not {prev} before it"
    )


class _Milestones:
    """The checkpoints, compared one after the other while the tree grows."""

    def __init__(self, checkpoints: Iterable[Checkpoint]) -> None:
        self._waiting = sorted(checkpoints, key=lambda checkpoint: checkpoint.size, reverse=True)
        self.findings: list[Finding] = []
        self.proven = 0  # entries covered by a checkpoint that agrees
        self.due = -1  # size of the next one

    def reach(self, tree: TreeBuilder) -> None:
        """Compare every checkpoint of the tree's present size."""
        false = 0
        while self._waiting and self._waiting[-1].size == tree.size:
            if self._waiting.pop().root == tree.root():
                self.proven = tree.size
            else:
                false += 1
        self.findings += [self._false(tree.size)] * false
        self.due = self._waiting[-1].size if self._waiting else -1

    def _false(self, size: int) -> Finding:
        if self.proven == size:
            text = f"the checkpoint of size {size} is of another log: up to there this one is proven"
            return Finding(Fault.CHECKPOINT, max(size, 1), text)
        text = f"entries {self.proven + 1} to {size} are not those of the checkpoint of size {size}"
        why = "the log was rewritten, or the checkpoint is of another log"
        return Finding(Fault.CHECKPOINT, self.proven + 1, f"{text}: {why}")

    def not_reached(self, size: int) -> list[Finding]:
        """Return a finding for each checkpoint that covers more than `size` entries."""
        return [
            Finding(Fault.SHORTER, size + 1, f"a checkpoint covers {checkpoint.size} entries, the log has only {size}")
            for checkpoint in reversed(self._waiting)
        ]


def _compare_head(head: Head, tree: TreeBuilder, last: str, proven: int) -> list[Finding]:
    """Return what the stored head contradicts, at most one finding; the first `proven` entries are beyond doubt."""
    size = tree.size
    if size < head.size:
        return [Finding(Fault.TRUNCATED, size + 1, f"entries {size + 1} to {head.size} are missing at the end")]
    if size > head.size:
        text = f"the log has {size} entries, its head only {head.size}"
        return [Finding(Fault.EXTRA, head.size + 1, f"entry {head.size + 1} is one too many: {text}")]
    start = 0
    for ours, stored in zip(tree.frontier().peaks, head.frontier.peaks, strict=True):
        width = 1 << (size - start).bit_length() - 1
        if ours != stored:  # the head's peaks narrow down where the difference is
            first, end = max(start, proven) + 1, start + width
            text = f"entries {first} to {end} are not those of the log's head: they or the head were changed"
            return [Finding(Fault.HEAD, min(first, end), text)]
        start += width
    if last != head.last:
        return [Finding(Fault.HEAD, max(size, 1), f"the log's head names {head.last} as its last entry, not {last}")]
    return []
