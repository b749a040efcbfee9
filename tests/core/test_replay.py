"""Replay: the tables follow from the log, and what does not follow is named."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom.core.audit import Entry, Event, Head, seal
from greenroom.core.replay import Replay
from greenroom.core.requirements import parse_requirements
from greenroom.store.compiled.sqlite import AUDITED, KEYS

TABLES = {table: KEYS[table] for table in AUDITED}
MODEL = {"id": 1, "name": "m", "next_version": 1}


def version(number: int) -> dict[str, Any]:
    return {"model_id": 1, "version": number}


def tenure(number: int, slot: str, since: int, *, exclusive: int = 0, until: int | None = None) -> dict[str, Any]:
    return {
        "model_id": 1,
        "version": number,
        "kind": "stage",
        "slot": slot,
        "since_event": since,
        "exclusive": exclusive,
        "until_event": until,
    }


def log(*events: list[list[Any]]) -> list[Entry]:
    _, entries = seal(
        Head(), [Event("model_created", "ana", "r", "m", None, {"changes": changes}) for changes in events], 0
    )
    return entries


def problems(*events: list[list[Any]]) -> list[str]:
    replay = Replay(TABLES)
    return [deviation.message for entry in log(*events) for deviation in replay.feed(entry)]


GOOD: tuple[list[list[Any]], ...] = (
    [["put", "model", MODEL]],
    [
        ["put", "version", version(1)],
        ["put", "tenure", tenure(1, "P", 2, exclusive=1)],
        ["set", "model", {"id": 1}, {"next_version": 2}],
    ],
)


def test_a_good_log() -> None:
    assert problems(*GOOD) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([["put", "version", version(3)]], "version 3 of 'm' leaves a gap"),
        ([["put", "version", {"model_id": 9, "version": 1}]], "belongs to a model that was never made"),
        ([["put", "version", version(1)]], "is put twice"),
        ([["set", "version", version(7), {"source": "x"}]], "was never put"),
        ([["cut", "model_tag", {"model_id": 1, "key": "k"}]], "was never put"),
        (
            [["put", "version", version(2)], ["put", "tenure", tenure(2, "P", 3, exclusive=1)]],
            "P of model 1 has 2 holders: [1, 2]",
        ),
        ([["put", "tenure", tenure(1, "S", 3)]], "version 1 of model 1 is in 2 stages: ['P', 'S']"),
        ([["put", "nonsense", {}]], "cannot be made"),
        ([["do", "model", {}]], "cannot be made"),
        ([["put"]], "cannot be made"),
    ],
)
def test_what_cannot_be_is_named(changes: list[list[Any]], says: str) -> None:
    assert any(says in problem for problem in problems(*GOOD, changes)), problems(*GOOD, changes)


def test_within_one_entry_the_order_does_not_matter() -> None:
    """A swap opens and closes in one transaction; only the state after it counts."""
    swap = [
        ["put", "version", version(2)],
        ["put", "tenure", tenure(2, "P", 3, exclusive=1)],
        ["set", "tenure", {k: tenure(1, "P", 2)[k] for k in KEYS["tenure"]}, {"until_event": 3}],
    ]
    assert problems(*GOOD, swap) == []


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ([{"id": 1, "name": "m", "next_version": 2}], []),
        ([{"id": 1, "name": "evil", "next_version": 2}], ["model (1): name is 'evil', by the log 'm'"]),
        ([], ["model (1): this row is missing: the log has it"]),
        (
            [{"id": 1, "name": "m", "next_version": 2}, {"id": 2, "name": "x", "next_version": 1}],
            ["model (2): this row is in no entry of the log"],
        ),
    ],
)
def test_stored_rows_are_held_against_the_log(stored: list[dict[str, Any]], says: list[str]) -> None:
    replay = Replay(TABLES)
    for entry in log(*GOOD):
        replay.feed(entry)
    assert [f"{each.where}: {each.message}" for each in replay.compare("model", stored)] == says


def test_requirements_are_compared_by_normalised_name() -> None:
    text = "# c\nScikit_Learn==1.2 # why\nnumpy[dev] >= 1 ; python_version > '3'\n"
    text += "\n-r other.txt\nx==1 \\\n  --hash=sha256:ab\n"
    assert parse_requirements(text) == {
        "scikit-learn": "==1.2",
        "numpy[dev]": ">= 1 ; python_version > '3'",
        "-r other.txt": "",
        "x": "==1",
    }


@pytest.mark.parametrize(
    ("second", "found"), [("sha256:a", []), ("sha256:b", ["version 1 was pinned and got other files"])]
)
def test_what_is_pinned_stays(second: str, found: list[str]) -> None:
    key = {"model_id": 1, "version": 1}
    pins = ([["set", "version", key, {"manifest": each}]] for each in ("sha256:a", second))
    put = [["put", "version", version(1) | {"manifest": None}], *GOOD[1][1:]]
    assert problems(GOOD[0], put, *pins) == found
