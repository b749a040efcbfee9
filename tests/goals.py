"""What Greenroom promises, and the goals that show each promise. Tests say by `@promise` which goal they show.

The ids are those of our reliability list; a goal that no test shows must say here what it waits for. The page "What we
promise and how it is tested" is made from this table and the marks (`tools/pages/promises.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

PROMISES: dict[int, str] = {
    1: "An exclusive stage has exactly one holder at every instant that anybody can observe.",
    2: "Bytes served are the bytes approved: a version is pinned by the digest of its manifest.",
    3: "A refusal is an answer, recorded like a success; nothing goes through because a check could not run.",
    4: "Every change of state has exactly one audit event, in the same transaction; state = replay of the log.",
    5: "Acknowledged is durable, power loss included; one effect per request, however often it is retried.",
    6: "Nothing that was ever in a stage is lost by a delete; numbers are not used again.",
    7: "The server never loads a model, and bad input never harms it or anybody else.",
    8: "An unmodified mlflow client works for all that a registry needs.",
}


@dataclass(frozen=True)
class Goal:
    """One goal: the promise it belongs to, in words, and what it waits for if no test can show it yet."""

    promise: int
    text: str
    waiting: str | None = None


GOALS: dict[str, Goal] = {
    "C1": Goal(1, "One holder at every read while clients promote at the same time, over several servers"),
    "C2": Goal(6, "Version numbers are 1..n in commit order; a registration that fails consumes none"),
    "C3": Goal(1, "Every recorded history of concurrent calls could have happened one call after the other"),
    "C4": Goal(1, "Random sequences of calls do what an independent model of the rules says"),
    "C5": Goal(1, "The promotion protocol is searched in all its states by a model checker"),
    "C6": Goal(3, "A promotion is judged by what is true at its commit, not by what was read before"),
    "C7": Goal(5, "One effect per idempotency key, whatever is lost, repeated or sent to another server"),
    "C8": Goal(3, "No approval is lost, nobody counts twice", waiting="approvals come with accounts and gates"),
    "C9": Goal(4, "After every race and fault: the log is dense and whole, and the tables are its replay"),
    "F1": Goal(5, "Power loss at any write or sync: what was acknowledged is there, and whole"),
    "F2": Goal(5, "kill -9 at any time: the same, and the next start needs nobody"),
    "F3": Goal(5, "A lost page cache (a file system that forgets)", waiting="needs FUSE; F1 covers the same states"),
    "F4": Goal(5, "Any system call fails, or the process dies there: whole or not at all, never acknowledged and lost"),
    "F5": Goal(5, "A failed fsync ends writing until the next start; it is not tried again"),
    "F6": Goal(5, "A full disk is answered (507), reading goes on, writing resumes when there is room"),
    "F7": Goal(4, "A clock that jumps changes neither order nor history"),
    "F8": Goal(2, "A flipped, cut or swapped blob is found by every reader and by fsck, and never served as whole"),
    "F9": Goal(2, "An upload that is torn anywhere is invisible until it is whole"),
    "F10": Goal(2, "Garbage collection never takes a blob that is in use or on its way"),
    "P1": Goal(5, "PostgreSQL fails over under load: nothing acknowledged is lost, unknown outcomes are settled"),
    "P2": Goal(5, "A connection lost around COMMIT: the retry gives the first result"),
    "P3": Goal(5, "Faults of an object store", waiting="S3 comes in a later issue"),
    "P4": Goal(1, "A server cut off or paused does no stale write when it comes back"),
    "P5": Goal(5, "Serialization failures and deadlocks are retried and never reach a caller"),
    "P6": Goal(5, "Rolling restarts and migrations under load", waiting="replicas come in a later issue"),
    "S1": Goal(7, "Published attacks on model registries are refused as stated, byte for byte"),
    "S2": Goal(7, "Path and URI attacks in any encoding leak nothing and break nothing"),
    "S3": Goal(7, "Every route says what permission it needs"),
    "S4": Goal(7, "Requests made from our own OpenAPI description find nothing that it does not say"),
    "S7": Goal(7, "Secrets that come in never come out: no log, audit row, answer or trace has them"),
    "S10": Goal(7, "Hostile and slow clients cost little, and others are answered meanwhile"),
    "S13": Goal(7, "An unsafe configuration does not start"),
    "A1": Goal(4, "A log that was changed in any way is found out, given one earlier checkpoint"),
    "A2": Goal(4, "A long log is verified in one pass, with short proofs"),
    "A3": Goal(4, "Sealing the log costs a small part of a durable commit", waiting="measured by `make bench`"),
    "A4": Goal(4, "Of two forks of a log a witness signs at most one"),
    "A5": Goal(4, "Logs, checkpoints and proofs are read by a second implementation"),
    "A6": Goal(4, "An administrator with the database and the key is found out by who keeps a checkpoint elsewhere"),
    "M1": Goal(8, "Every registry call of two lines of mlflow clients, compared with a stock server"),
    "M2": Goal(8, "Random sequences of requests and of client calls, compared with a stock server"),
}
