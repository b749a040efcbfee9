"""The linearizability checker is itself checked: by hand, against trying everything, and on registries with a bug."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.races.kit import SEED
from tests.races.linearizability import MISSING, READS, RULES, UNKNOWN, Line, Operation, check, line_step

ONE = Line("PN", past=((1, False),))
SWAP = ("promote", 2, "P", True, None)
NOW_TWO = ("succeeded", 2, 1)
ALIAS, ALIASED = ("set alias", 2), ("succeeded", 2, 0)
Row = tuple[tuple[Any, ...], Any, int, int]


def history(*rows: Row) -> list[Operation]:
    return [Operation(client, call, answer, start, end) for client, (call, answer, start, end) in enumerate(rows)]


def promote(version: int, if_holder: int | None = None, *, swap: bool = True) -> tuple[Any, ...]:
    return "promote", version, "P", swap, if_holder


@pytest.mark.parametrize(
    ("rows", "sound"),
    [
        ([], True),
        ([((SWAP), NOW_TWO, 0, 9), (("holder",), (1,), 1, 2)], True),  # overlapping: not yet
        ([((SWAP), NOW_TWO, 0, 9), (("holder",), (2,), 1, 2)], True),  # overlapping: already
        ([((SWAP), NOW_TWO, 0, 9), (("holder",), (2,), 1, 2), (("holder",), (1,), 3, 4)], False),  # and back again
        ([((SWAP), NOW_TWO, 0, 3), (("holder",), (1,), 4, 5)], False),  # a stale read
        ([((SWAP), NOW_TWO, 0, 3), (("holder",), (1,), 3, 5)], True),  # the same instant counts as overlapping
        ([((SWAP), NOW_TWO, 0, 9), (("holder",), (), 1, 2)], False),  # torn: nobody
        ([((SWAP), NOW_TWO, 0, 9), (("holder",), (1, 2), 1, 2)], False),  # torn: both
        ([((SWAP), NOW_TWO, 0, 9), (("all",), (((1, "A"), (2, "N")), 0), 1, 2)], False),  # torn, in one look
        ([((SWAP), UNKNOWN, 0, 1), (("holder",), (1,), 4, 5), (("holder",), (2,), 6, 7)], True),  # it happens late
        ([((SWAP), UNKNOWN, 0, 1), (("holder",), (1,), 4, 5)], True),  # or never
        ([((SWAP), UNKNOWN, 5, 6), (("holder",), (2,), 1, 2)], False),  # but not before it was sent
        ([((SWAP), UNKNOWN, 0, 1), (("holder",), (2,), 2, 3), (("holder",), (1,), 4, 5)], False),  # and not twice
        ([(promote(2, 1), NOW_TWO, 0, 1), (promote(1, 1), ("succeeded", 1, 2), 2, 3)], False),  # not compared
        ([(promote(2, 1), NOW_TWO, 0, 9), (promote(2, 1), NOW_TWO, 1, 8)], False),  # both replaced version 1
        ([(promote(2, 1), NOW_TWO, 0, 9), (promote(2, 1), ("rejected", 2, "holder_changed"), 1, 8)], True),
        ([(promote(2, swap=False), ("rejected", 2, "stage_conflict"), 0, 1)], True),
        ([(promote(2, 0, swap=False), ("rejected", 2, "holder_changed", "stage_conflict"), 0, 1)], True),
        ([(promote(2, swap=False), ("succeeded", 2, 0), 0, 1)], False),
        ([((SWAP), NOW_TWO, 0, 1), ((SWAP), ("succeeded", 2, 0), 2, 3)], True),  # it is there already
        ([(("register",), 3, 0, 9), (("register",), 4, 1, 8)], True),
        ([(("register",), 3, 0, 9), (("register",), 3, 1, 8)], False),  # the same number twice
        ([(("register",), 3, 0, 1), (("register",), 5, 2, 3)], False),  # applied twice
        ([(("register",), UNKNOWN, 0, 1), (("register",), 4, 2, 3)], True),  # the unanswered one has number 3
        ([(("rollback", None), MISSING, 0, 1)], True),
        ([((SWAP), NOW_TWO, 0, 1), (("rollback", None), ("succeeded", 1, 2), 2, 3)], True),
        (
            [((SWAP), NOW_TWO, 0, 1), (("rollback", 2), ("succeeded", 1, 2), 2, 3), (("rollback", 1), MISSING, 4, 5)],
            True,  # a second rollback goes further back, not forth again
        ),
        ([((SWAP), NOW_TWO, 0, 1), (("delete", 1), "ok", 2, 3), (("rollback", 2), MISSING, 4, 5)], True),
        ([(("delete", 1), "refused", 0, 1), (("delete", 2), "ok", 2, 3), (("stage", 2), MISSING, 4, 5)], True),
        ([(("delete", 2), "ok", 0, 1), (("restore", 2), "ok", 2, 3), (("stage", 2), "N", 4, 5)], True),
        ([(("delete", 2), "ok", 0, 1), (("restore", 2), "ok", 2, 3), (("delete", 2), MISSING, 4, 5)], False),
        ([(ALIAS, ALIASED, 0, 1), (("champion",), (2,), 2, 3)], True),
        ([(ALIAS, ALIASED, 0, 1), (("delete alias",), "ok", 2, 3), (("champion",), (2,), 4, 5)], False),
        ([(ALIAS, ALIASED, 0, 1), (("delete", 2), "ok", 2, 3), (("champion",), (), 4, 5)], True),
    ],
)  # fmt: skip
def test_small_histories(rows: list[Row], sound: bool) -> None:
    failure = check(history(*rows), line_step, ONE, READS)
    assert (failure is None) == sound, failure


def test_a_failure_shows_the_shortest_window() -> None:
    rows: list[Row] = [
        (("set alias", 1), ("succeeded", 1, 0), 0, 10),
        (SWAP, NOW_TWO, 20_000_000, 30_000_000),
        (("register",), 3, 31_000_000, 50_000_000),
        (("holder",), (1,), 40_000_000, 41_500_000),
    ]
    failure = check(history(*rows), line_step, ONE, READS)
    assert str(failure) == (
        "not linearizable: after 2 answers that fit, no order of the open calls explains the marked one\n"
        "the registry may then have been in: Line(stages='AP', champion=1, past=((1, False), (2, False)))\n"
        "   client 2      0.000 to    19.000 ms  register -> 3\n"
        ">> client 3      9.000 to    10.500 ms  holder -> (1,)"
    )


# --- against trying every order -------------------------------------------------------------------------------------


def every_order(operations: Sequence[Operation], initial: Line) -> bool:
    """The definition, word for word: some order of all answered and some unanswered calls that keeps real time."""
    lost = [each for each in operations if not each.known]
    known = [each for each in operations if each.known]
    for count in range(len(lost) + 1):
        for happened in itertools.combinations(lost, count):
            for order in itertools.permutations([*known, *happened]):
                if _keeps_time(order) and _follows(order, initial):
                    return True
    return False


def _keeps_time(order: Sequence[Operation]) -> bool:
    pairs = itertools.combinations(order, 2)
    return not any(later.known and later.end < earlier.start for earlier, later in pairs)


def _follows(order: Sequence[Operation], state: Line | None) -> bool:
    for each in order:
        if state is None:
            return False
        state = line_step(state, each.call, each.answer)
    return state is not None


def test_it_says_what_trying_every_order_says() -> None:
    rng = random.Random(SEED)
    print("seed", SEED)
    said = {True: 0, False: 0}
    for _ in range(1_500):
        made = simulate(rng, 3, 2, Fake(rng, ONE))
        at = rng.randrange(len(made))
        if rng.random() < 0.7:  # an answer that somebody else got, or none
            made[at] = replace(made[at], answer=rng.choice([UNKNOWN, made[rng.randrange(len(made))].answer]))
        sound = every_order(made, ONE)
        said[sound] += 1
        assert (check(made, line_step, ONE, READS) is None) == sound, made
    assert min(said.values()) > 200, said


# --- registries with a bug ------------------------------------------------------------------------------------------


class Fake:
    """A registry in memory that does what the model says, but for one bug."""

    def __init__(self, rng: random.Random, line: Line, bug: str = "") -> None:
        self.line, self.bug, self._rng = line, bug, rng
        self._earlier = [line]

    def do(self, call: tuple[Any, ...]) -> Any:
        bug = self.bug if self._rng.random() < 0.5 else ""
        if bug == "no compare" and call[0] == "promote":
            call = (*call[:4], None)
        line = self._rng.choice(self._earlier[-6:]) if bug == "stale read" and call[0] in READS else self.line
        after, said = self._done(line, call)
        if bug == "double apply":
            after, said = self._done(after, call)
        if bug == "torn" and call[0] == "promote" and isinstance(said, tuple) and said[0] == "succeeded" and said[2]:
            after = replace(after, stages=self.line.put(said[2], "A"))  # whoever was displaced has left, nobody came
        if call[0] not in READS and bug != "lost update":
            self.line = after
            self._earlier.append(after)
        return said

    def _done(self, line: Line, call: tuple[Any, ...]) -> tuple[Line, Any]:
        return RULES[call[0]](line, *call[1:])


def simulate(rng: random.Random, clients: int, calls: int, fake: Fake, lost: float = 0.05) -> list[Operation]:
    """Let clients work at once in simulated time; each call takes effect somewhere between its start and end."""
    made: list[Operation] = []
    waiting = [(rng.random(), 0.0, number, 0) for number in range(clients)]
    heapq.heapify(waiting)
    while waiting:
        point, start, client, count = heapq.heappop(waiting)
        call = some_call(rng, len(fake.line.stages), fake.line.holder)
        unknown = rng.random() < lost
        answer = fake.do(call) if not unknown or rng.random() < 0.5 else None
        end = point + rng.random()
        times = round(start * 1e6), round(end * 1e6)
        made.append(Operation(client, call, UNKNOWN if unknown else answer, *times))
        if count + 1 < calls:
            start = end + rng.random() * 0.2
            heapq.heappush(waiting, (start + rng.random(), start, client, count + 1))
    return made


def some_call(rng: random.Random, versions: int, holder: int) -> tuple[Any, ...]:
    version = rng.randint(1, versions + 1)
    return rng.choice(
        [
            ("register",), ("holder",), ("holder",), ("all",), ("champion",), ("stage", version),
            ("set alias", version), ("delete", version), ("restore", version), ("rollback", None),
            promote(version), promote(version, holder), promote(version, version),
            ("promote", version, "S", False, None), ("delete alias",),
        ]
    )  # fmt: skip


BUGS = ["no compare", "stale read", "double apply", "lost update", "torn"]


@pytest.mark.parametrize("number", range(20))
def test_random_histories_with_a_bug_are_refuted_and_those_without_pass(number: int) -> None:
    bug = BUGS[number % len(BUGS)]
    for which in ("", bug):
        rng = random.Random(f"{SEED}-{number}")
        made = simulate(rng, 8, 80, Fake(rng, Line("NNNNN"), which), lost=0.004)
        failure = check(made, line_step, Line("NNNNN"), READS)
        assert (failure is None) == (which == ""), (SEED, number, which, failure)
