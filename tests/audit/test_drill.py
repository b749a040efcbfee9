"""A6: somebody with the database and the key rewrites history. Whoever holds a checkpoint from before finds out.

The attacker is as strong as can be: the rewritten log is chained, signed and whole, and every table follows from it.
Nothing inside the folder can tell; the drills show that it is told from outside, in three independent ways.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from greenroom import auditor
from greenroom.app import open_local
from greenroom.cli.root import run
from greenroom.core import witness as rules
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.services import commands as c
from greenroom.services import verifying
from greenroom.witness import follow as following
from greenroom.witness.folder import Witness
from tests.audit.exports import Told, checkpoint_of, export, moved, rewrite, verified
from tests.promises import promise, sized
from tests.races.kit import SEED, TESTER
from tests.tamper.scene import attacker, copy, entries_of

DRILLS = sized(20, 200)


def _last(told: Told, rng: random.Random) -> Told:
    """The newest entry was somebody else's."""
    told[-1]["actor"] = "mallory"
    return told


def _middle(told: Told, rng: random.Random) -> Told:
    """Another reason for an old promotion, in the entry and in every row."""
    chosen = rng.choice([each for each in told if each["type"] == "promotion_succeeded"])
    chosen["body"]["reason"] = "all gates passed"
    for change in chosen["body"]["changes"]:
        if change[0] == "put" and "reason" in change[2]:
            change[2]["reason"] = "all gates passed"
    return told


def _tail(told: Told, rng: random.Random) -> Told:
    """The newest entries never were."""
    return told[: -rng.randrange(1, 60)]


def _insert(told: Told, rng: random.Random) -> Told:
    """Somebody tagged a model long ago; all later entries and rows are renumbered."""
    at = rng.randrange(20, len(told) - 1)
    model = next(each for each in told[:at] if each["type"] == "model_created")
    row = {"model_id": model["body"]["changes"][0][2]["id"], "key": "approved", "value": "by the board"}
    body = {"changes": [["put", "model_tag", row]], "key": "approved", "verified": False}
    entry = {
        **told[at],
        "type": "model_tag_set",
        "actor": "board",
        "model": model["model"],
        "version": None,
        "body": body,
    }
    told = moved(told, at, 1)
    return [*told[:at], entry, *told[at:]]


def _holder(told: Told, rng: random.Random) -> Told:
    """The bytes of the version that holds Production are, and always were, those of another version."""
    of = [each for each in told if each["type"] == "version_registered" and each["model"] == "model-5"]
    rows = [next(change[2] for change in each["body"]["changes"] if change[1] == "version") for each in of]
    for name in ("manifest", "source", "size_bytes", "file_count"):
        rows[0][name], rows[1][name] = rows[1][name], rows[0][name]
    of[0]["body"]["digest"], of[1]["body"]["digest"] = of[1]["body"]["digest"], of[0]["body"]["digest"]
    return told


ATTACKS = (_last, _middle, _tail, _insert, _holder)


class Outsiders:
    """Those who hold something from before: a checkpoint in a file, a witness, an auditor."""

    def __init__(self, data: Path, place: Path) -> None:
        self.note = place / "checkpoint-before"
        self.note.write_text(checkpoint_of(data), "utf-8")
        self._place = place
        self._witness = place / "witness"
        assert self.witnessed(data)

    def witnessed(self, data: Path) -> bool:
        """Let the witness look at the log as the server shows it; say whether it cosigned."""
        registry = open_local(data)
        head = registry.call_now("audit_checkpoint", c.AuditCheckpoint(), TESTER)

        def read(path: str) -> bytes | None:
            if path in ("checkpoint", "key"):
                return str(head.note if path == "checkpoint" else head.key).encode()
            try:
                answer: bytes = registry.call_now("audit_tile", c.AuditTile(path), TESTER)
            except (NotFound, InvalidInput):
                return None
            return answer

        try:
            with closing(Witness(self._witness)) as witness:
                return bool(following.follow(following.Source("here", read), witness, {}, 1_700_000_000)[1])
        finally:
            registry.close()

    def finding(self, data: Path, name: str) -> list[str]:
        """Return which of the three find nothing wrong."""
        exported = export(data, self._place / name)
        offline = ["audit", "verify", str(exported), "--checkpoint", str(self.note), "--output", "json"]
        found = {
            "the holder of a checkpoint": verified(data, "--fast", "--checkpoint", str(self.note)) != 0,
            "the witness": not self.witnessed(data),
            "the auditor with an export": run(offline) != 0,
        }
        return [who for who, saw in found.items() if not saw]


@pytest.fixture
def outsiders(data: Path, place: Path) -> Outsiders:
    return Outsiders(data, place)


@promise(
    "A6",
    "{drills} drills of five kinds: last entry, one in the middle, tail, an insertion, the holder's bytes",
    drills=DRILLS,
    mutant="test_each_outsider_is_needed",
)
def test_a_rewritten_history_is_found_out_from_outside(
    data: Path, place: Path, outsiders: Outsiders, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = random.Random(SEED)
    for number in range(DRILLS):
        attack = ATTACKS[number % len(ATTACKS)]
        folder = copy(data, place / "attacked", link_blobs=True)
        rewrite(folder, lambda told, attack=attack: attack(told, rng))
        assert verified(folder, "--fast") == 0, f"{attack.__name__}: not the strongest attacker: seen from inside"
        missed = outsiders.finding(folder, f"export-{number}")
        assert missed == [], f"seed {SEED}, drill {number}, {attack.__name__}: unseen by {missed}"
        capsys.readouterr()


def test_what_came_after_the_checkpoint_is_not_held_against_anybody(
    data: Path, place: Path, outsiders: Outsiders
) -> None:
    folder = copy(data, place / "grown", link_blobs=True)
    registry = open_local(folder)
    for number in range(3):
        registry.call_now("set_model_tag", c.SetModelTag("model-1", "later", str(number)), TESTER)
    registry.close()
    assert outsiders.finding(folder, "grown-export") == [
        "the holder of a checkpoint",
        "the witness",
        "the auditor with an export",
    ]


def test_a_replaced_holder_row_is_seen_from_inside(data: Path, place: Path) -> None:
    """Who changes the table alone, and not the log, needs no outsider to be found out."""
    folder = copy(data, place / "attacked", link_blobs=True)
    with attacker(folder) as db:
        (model,) = db.execute("SELECT id FROM model WHERE name = 'model-5'").fetchone()
        held = "slot = 'Production' AND until_event IS NULL AND model_id = ?"
        db.execute(f"UPDATE tenure SET version = 99 WHERE {held}", (model,))
        assert entries_of(db)
    assert verified(folder, "--fast") == 1


def _deaf_verifier(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(verifying, "_older", lambda desk, text: auditor_free_checkpoint())


def auditor_free_checkpoint() -> Any:
    from greenroom.core.merkle import EMPTY_ROOT
    from greenroom.core.note import Checkpoint

    return Checkpoint("any", 0, EMPTY_ROOT)


def _deaf_witness(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "verify_consistency", lambda *given: True)


def _deaf_auditor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(auditor, "_check_older", lambda *given: None)


@pytest.mark.parametrize(
    ("mutant", "who"),
    [
        (_deaf_verifier, "the holder of a checkpoint"),
        (_deaf_witness, "the witness"),
        (_deaf_auditor, "the auditor with an export"),
    ],
)
def test_each_outsider_is_needed(
    data: Path,
    place: Path,
    outsiders: Outsiders,
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[[pytest.MonkeyPatch], None],
    who: str,
) -> None:
    folder = copy(data, place / "attacked", link_blobs=True)
    rewrite(folder, lambda told: _insert(told, random.Random(SEED)))  # longer: a proof must be asked for
    mutant(monkeypatch)
    assert outsiders.finding(folder, "export") == [who]
