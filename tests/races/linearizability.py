"""Could this history have happened one call after the other? Our own linearizability checker, and its model.

The search is Wing and Gong's, in the order of time ("just in time", Lowe 2017): at every answer, all orders of the
calls that were open then are tried, on every state that the registry may have been in. Sets of states, not one guess,
so that a failure can say what would have been right. Histories of different models are independent (Herlihy and Wing,
locality): each is checked alone. Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

UNKNOWN: Any = "no answer"
"""The client saw no answer: the call took effect at any time after it was sent, or never."""

Step = Callable[[Any, tuple[Any, ...], Any], Any]
"""(state, call, answer) -> the state after it, or None when the registry in that state would not answer so."""


@dataclass(frozen=True)
class Operation:
    """One call of one client: `start` before it was sent, `end` after it was answered (monotonic, ns)."""

    client: int
    call: tuple[Any, ...]
    answer: Any
    start: int
    end: int

    @property
    def known(self) -> bool:
        """Whether it was answered."""
        return self.answer is not UNKNOWN


@dataclass(frozen=True)
class Failure:
    """Why a history is not linearizable: no order of `window` explains the answer of `last`, from any of `states`."""

    last: Operation
    window: tuple[Operation, ...]
    states: tuple[Any, ...]
    explained: int

    def __str__(self) -> str:
        begin = min(each.start for each in (*self.window, self.last))
        lines = [
            f"not linearizable: after {self.explained} answers that fit, no order of the open calls explains "
            "the marked one",
            "the registry may then have been in: " + " or ".join(str(each) for each in self.states[:4]),
        ]
        for each in sorted((*self.window, self.last), key=lambda operation: operation.start):
            until = f"{(each.end - begin) / 1e6:9.3f}" if each.known else "     ever"
            mark = ">>" if each is self.last else "  "
            said = " ".join(str(part) for part in each.call)
            lines.append(
                f"{mark} client {each.client}  {(each.start - begin) / 1e6:9.3f} to {until} ms  {said} -> {each.answer}"
            )
        return "\n".join(lines)


Config = tuple[Hashable, int, int]
"""A state that may be, and which open calls took effect already: bits of the answered ones, bits of the unanswered."""


class _Search:
    """The configurations that are possible up to now."""

    def __init__(self, initial: Any, step: Step, reads: frozenset[str]) -> None:
        self._step = step
        self._reads = reads
        self._open: dict[int, Operation] = {}
        self._free: list[int] = []
        self._slot: dict[int, int] = {}
        self.possible: set[Config] = {(initial, 0, 0)}

    def call(self, operation: Operation) -> None:
        """A call was sent; from now on it may take effect."""
        slot = self._free.pop() if self._free else len(self._open)
        self._open[slot] = operation
        self._slot[id(operation)] = slot
        if operation.call[0] in self._reads:
            self.possible = {self._with_reads(each) for each in self.possible}

    def answer(self, operation: Operation) -> bool:
        """It was answered: it has taken effect in whatever is possible. False: nothing is possible any more."""
        slot = self._slot.pop(id(operation))
        bit = 1 << slot
        reached = {(state, known & ~bit, lost) for state, known, lost in self._until(bit)}
        if not reached:
            return False
        self.possible = _fewest(reached)
        del self._open[slot]
        self._free.append(slot)
        return True

    def _until(self, bit: int) -> Iterator[Config]:
        """Yield every configuration reachable by letting open calls take effect, `bit` last of all."""
        waiting = list(self.possible)
        seen = set(waiting)
        while waiting:
            config = waiting.pop()
            if config[1] & bit:
                yield config
                continue
            for following in self._following(config):
                if following not in seen:
                    seen.add(following)
                    waiting.append(following)

    def _following(self, config: Config) -> Iterator[Config]:
        state, known, lost = config
        for slot, operation in self._open.items():
            if (known | lost) >> slot & 1:
                continue
            after = self._step(state, operation.call, operation.answer)
            if after is None or (after == state and not operation.known):
                continue
            taken = 1 << slot
            both = (after, known | taken, lost) if operation.known else (after, known, lost | taken)
            yield self._with_reads(both)

    def _with_reads(self, config: Config) -> Config:
        """Take every open read that fits: it changes nothing, so to have answered it is never a loss."""
        state, known, lost = config
        for slot, operation in self._open.items():
            if operation.call[0] in self._reads and not known >> slot & 1:
                known |= (self._step(state, operation.call, operation.answer) is not None) << slot
        return state, known, lost

    def open(self, but: Operation) -> tuple[Operation, ...]:
        """Return the calls that are open, without one."""
        return tuple(each for each in self._open.values() if each is not but)


def _fewest(configs: set[Config]) -> set[Config]:
    """Drop what needs more unanswered calls to have happened than another way to the same state."""
    if not any(lost for _, _, lost in configs):
        return configs
    least: dict[tuple[Hashable, int], list[int]] = {}
    for state, known, lost in sorted(configs, key=lambda config: config[2].bit_count()):
        kept = least.setdefault((state, known), [])
        if not any(fewer & lost == fewer for fewer in kept):
            kept.append(lost)
    return {(state, known, lost) for (state, known), kept in least.items() for lost in kept}


def check(history: Sequence[Operation], step: Step, initial: Any, reads: Iterable[str] = ()) -> Failure | None:
    """Return None when the history of one object is linearizable, else the first answer that cannot be explained.

    `reads` are the kinds of call (`call[0]`) that never change the state. Unanswered ones say nothing and are left out.
    """
    reading = frozenset(reads)
    history = [each for each in history if each.known or each.call[0] not in reading]
    # at the same instant a call comes before an answer: then the two overlapped
    events = [(each.start, 0, each) for each in history] + [(each.end, 1, each) for each in history if each.known]
    search = _Search(initial, step, reading)
    explained = 0
    for _, answered, operation in sorted(events, key=lambda event: event[:2]):
        if not answered:
            search.call(operation)
        elif search.answer(operation):
            explained += 1
        else:
            states = tuple(sorted({state for state, _, _ in search.possible}, key=str))
            return Failure(operation, search.open(operation), states, explained)
    return None


# --- the registry, as far as one model's history shows it -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """One model under the lifecycle `standard`.

    `stages` has one letter a version: [N]one, [S]taging, [P]roduction, [A]rchived, [D]eleted. `champion` holds the
    alias (0: nobody). `past` are the versions that ever held Production, by their newest tenure, and whether a rollback
    ended that.
    """

    stages: str = ""
    champion: int = 0
    past: tuple[tuple[int, bool], ...] = ()

    @property
    def holder(self) -> int:
        """Who is in Production; 0: nobody."""
        return self.stages.find("P") + 1

    def living(self, version: int) -> bool:
        """Whether there is such a version."""
        return 0 < version <= len(self.stages) and self.stages[version - 1] != "D"

    def put(self, version: int, stage: str) -> str:
        """Return the stages with one changed."""
        return self.stages[: version - 1] + stage + self.stages[version:]


READS = ("holder", "champion", "stage", "all")
MISSING = "missing"
_AfterAndSaid = tuple[Line, Any]


def line_step(line: Line, call: tuple[Any, ...], answer: Any) -> Line | None:
    """The registry as a function: what a call answers in a state, and the state after it (see `Step`)."""
    after, said = RULES[call[0]](line, *call[1:])
    return after if answer is UNKNOWN or answer == said else None


def _register(line: Line) -> _AfterAndSaid:
    return Line(line.stages + "N", line.champion, line.past), len(line.stages) + 1


def _promote(line: Line, version: int, to: str, swap: bool, if_holder: int | None) -> _AfterAndSaid:
    if not line.living(version):
        return line, MISSING
    if to != "P":
        return Line(line.put(version, to), line.champion, line.past), ("succeeded", version, 0)
    return _enter(line, version, swap=swap, if_holder=if_holder, back=False)


def _enter(line: Line, version: int, *, swap: bool, if_holder: int | None, back: bool) -> _AfterAndSaid:
    """Enter Production: the one exclusive stage."""
    other = 0 if line.holder == version else line.holder
    why = []
    if if_holder is not None and if_holder != line.holder:
        why.append("holder_changed")
    if other and not swap:
        why.append("stage_conflict")
    if why:
        return line, ("rejected", version, *why)
    stages, past = line.stages, line.past
    if other:
        stages = line.put(other, "A")
        past = tuple((each, back if each == other else ended) for each, ended in past)
    if line.holder != version:
        past = (*(each for each in past if each[0] != version), (version, False))
    stages = stages[: version - 1] + "P" + stages[version:]
    return Line(stages, line.champion, past), ("succeeded", version, other)


def _rollback(line: Line, if_holder: int | None) -> _AfterAndSaid:
    for version, rolled_back in reversed(line.past):
        if version != line.holder and not rolled_back and line.living(version):
            return _enter(line, version, swap=True, if_holder=if_holder, back=True)
    return line, MISSING


def _set_alias(line: Line, version: int) -> _AfterAndSaid:
    if not line.living(version):
        return line, MISSING
    other = 0 if line.champion == version else line.champion
    return Line(line.stages, version, line.past), ("succeeded", version, other)


def _delete(line: Line, version: int) -> _AfterAndSaid:
    if not line.living(version):
        return line, MISSING
    if line.holder == version:
        return line, "refused"
    champion = 0 if line.champion == version else line.champion
    return Line(line.put(version, "D"), champion, line.past), "ok"


def _restore(line: Line, version: int) -> _AfterAndSaid:
    if not 0 < version <= len(line.stages):
        return line, MISSING
    if line.living(version):
        return line, "invalid"
    return Line(line.put(version, "N"), line.champion, line.past), "ok"


def _all(line: Line) -> _AfterAndSaid:
    living = tuple((number, stage) for number, stage in enumerate(line.stages, start=1) if stage != "D")
    return line, (living, line.champion)


RULES: dict[str, Callable[..., tuple[Line, Any]]] = {
    "register": _register,
    "promote": _promote,
    "rollback": _rollback,
    "set alias": _set_alias,
    "delete alias": lambda line: (Line(line.stages, 0, line.past), "ok"),
    "delete": _delete,
    "restore": _restore,
    "holder": lambda line: (line, (line.holder,) if line.holder else ()),
    "champion": lambda line: (line, (line.champion,) if line.champion else ()),
    "stage": lambda line, version: (line, line.stages[version - 1] if line.living(version) else MISSING),
    "all": _all,
}


def problems(histories: Iterable[Sequence[Operation]]) -> list[str]:
    """Check the history of each model, each new at its beginning; return the failures as text."""
    found = (check(history, line_step, Line(), READS) for history in histories)
    return [str(failure) for failure in found if failure is not None]
