"""Send a sequence to two servers, say where their answers differ, and make a sequence that shows it short."""

from __future__ import annotations

import itertools
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.differential.calls import Answer, Call, Link
from tests.differential.deliberate import NAMES, listed
from tests.differential.generate import sequence
from tests.differential.normal import Normal
from tests.differential.proofs import There, is_absent, two_faults
from tests.differential.seeing import Difference, Seen, only_ours_sees

_INDEX = re.compile(r"/\d+")
_VALUE = re.compile(r"'[^']*'|\"[^\"]*\"|«[^»]*»|[\d.]+|=\S+")
_NUMBERS = itertools.count(1)
_TRIES = 40


@dataclass
class Found:
    """One difference: which request of the sequence, where in the answer, what both say."""

    at: int
    call: Call
    seen: Seen

    @property
    def kind(self) -> tuple[str, str]:
        """What stays the same while the sequence gets shorter."""
        if self.seen.path:
            return self.call.operation, _INDEX.sub("/*", self.seen.path)
        said = (f"{status} {code} {_words(text)}" for status, code, text in (self.seen.ours, self.seen.stock))
        return self.call.operation, " | ".join(said)

    def __str__(self) -> str:
        ours, stock = (_cut(each) for each in (self.seen.ours, self.seen.stock))
        where = f"{self.call}\n    at {self.seen.path or '/'}"
        return f"{where}\n      ours:  {ours}\n      stock: {stock}"


def _words(text: Any) -> str:
    """A text without the values in it."""
    if not isinstance(text, str):
        return ""
    return _VALUE.sub("…", str(text))[:60]


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 700 else f"{text[:700]}…"


@dataclass
class Tally:
    """What a run saw: requests compared, sequences, answers of success, how often each listed difference occurred."""

    calls: int = 0
    sequences: int = 0
    operations: Counter[tuple[str, bool]] = field(default_factory=Counter)
    listed: Counter[str] = field(default_factory=Counter)


class Pair:
    """Two servers. `listed` says which differences are meant; none are, between two servers of one make."""

    def __init__(
        self, ours: str, stock: str, rule: Callable[[Seen], Difference | None] = listed, name: str | None = None
    ) -> None:
        self.links = Link(ours), Link(stock)
        self._rule = rule
        self._name = name or f"q{time.time_ns() // 10**6 % 10**9:x}"
        self._there = There(ours, f"there{self._name}"), There(stock, f"there{self._name}")
        self.tally = Tally()

    def close(self) -> None:
        """Close all connections."""
        for link in (*self.links, *self._there):
            link.close()

    def run(self, calls: Sequence[Call], *, counted: bool = True) -> list[Found]:
        """Return what differs and is not listed.

        A sequence ends where the servers part: behind a difference in what was written.
        """
        prefix = f"{self._name}{next(_NUMBERS)}x"
        for link in self.links:
            link.begin(prefix)
        normals = [Normal(link) for link in self.links]
        differing: list[Found] = []
        before: Call | None = None
        one_sided: set[str] = set()  # page tokens that only one of both has
        if counted:
            self.tally.sequences += 1
        for at, call in enumerate(calls):
            if any(token in f"{call.query}{call.body}" for token in one_sided):
                continue
            answers = [link.ask(call) for link in self.links]
            plain = [normal.answer(each) for normal, each in zip(normals, answers, strict=True)]
            if counted:
                self.tally.calls += 1
                self.tally.operations[call.operation, answers[1].status == 200] += 1
            found, rows = self._judged(call, before, *plain)
            differing += [Found(at, call, seen) for seen in found]
            if counted:
                self.tally.listed.update(row.name for row in rows)
            done = any(each.status == 200 for each in answers)  # what both refuse parts them no further
            if any(row.parts and (row.behind or (done and not call.reads)) for row in rows):
                break
            if _parted(answers):
                if not call.reads:
                    break
                one_sided.add(f"«token:{call.label}»")
            before = call if answers[0].status != 200 else None
        return differing

    def _judged(self, call: Call, before: Call | None, ours: Any, stock: Any) -> tuple[list[Seen], list[Difference]]:
        found, rows = [], []
        for path, one, other in differences(ours, stock):
            seen = Seen(call, path, one, other, before)
            row = self._rule(seen)
            if row is None or (row.two_faults and not self._proven(seen)):
                found.append(seen)
            else:
                rows.append(row)
        return found, rows

    def _proven(self, seen: Seen) -> bool:
        """Say whether both of the faults that the servers name are in the request."""
        absent = 0 if seen.codes[0] == 404 else 1
        if absent == 1 and only_ours_sees(seen.text):
            return is_absent(seen.call, seen.stock_text, self.links[0])
        text, wanted = (seen.text, seen.stock[1]) if absent == 0 else (seen.stock_text, seen.ours[1])
        return two_faults(seen.call, self.links[absent], self._there[absent], self.links[1 - absent], text, wanted)

    def shrunk(self, calls: Sequence[Call], found: Found) -> tuple[list[Call], Found]:
        """Return the shortest sequence that was found to show the same difference, and what it shows."""
        kept, shows = list(calls[: found.at + 1]), found
        tries = 0
        size = max(1, len(kept) // 2)
        while size:
            at = len(kept) - 1 - size
            while at >= 0 and tries < _TRIES:
                tries += 1
                shorter = kept[:at] + kept[at + size :]
                again = next((each for each in self.run(shorter, counted=False) if each.kind == found.kind), None)
                if again is not None:
                    kept, shows = shorter[: again.at + 1], again
                at -= size
                at = min(at, len(kept) - 1 - size)
            size //= 2
        return kept, shows


def _parted(answers: Sequence[Answer]) -> bool:
    return len({each.status == 200 for each in answers}) > 1


@dataclass
class Report:
    """What a search over many sequences came to."""

    seed: int
    tally: Tally
    kinds: Counter[tuple[str, str]] = field(default_factory=Counter)
    found: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def stale(self) -> list[str]:
        """Rows of the list that explained nothing; a run must be long for this to mean something."""
        return sorted(NAMES - set(self.tally.listed))

    def __str__(self) -> str:
        tally = self.tally
        good = sum(count for (_, done), count in tally.operations.items() if done)
        lines = [
            f"seed {self.seed}: {tally.calls} calls compared in {tally.sequences} sequences, {self.seconds:.0f} s; "
            f"{good} were done, {tally.calls - good} refused; {len({name for name, _ in tally.operations})} operations",
            f"{self.kinds.total()} differences of {len(self.kinds)} kinds that nobody meant; "
            f"{tally.listed.total()} listed ones of {len(tally.listed)} kinds: {dict(tally.listed.most_common())}",
        ]
        return "\n".join(lines)


def searched(pair: Pair, seed: int, calls: int, length: int, *, most: int = 12) -> Report:
    """Compare over random sequences until so many calls were made, or differences of `most` kinds were found.

    The first difference of each kind is shown with a sequence made short.
    """
    print(f"seed {seed}", flush=True)
    report = Report(seed, pair.tally)
    began = time.monotonic()
    number = 0
    try:
        while pair.tally.calls < calls and len(report.kinds) < most:
            one = seed * 1_000_003 + number
            number += 1
            made = sequence(one, length)
            found = pair.run(made)
            first = found[0] if found else None  # what differs behind it may be its consequence
            for each in found:
                if each is first and not report.kinds[each.kind] and len(report.kinds) < most:
                    report.found.append(_told(one, *pair.shrunk(made, each)))
                    print(report.found[-1], flush=True)  # a long run is read while it goes on
                report.kinds[each.kind] += 1
    finally:
        pair.close()
    report.seconds = time.monotonic() - began
    return report


def _told(seed: int, kept: Sequence[Call], shows: Found) -> str:
    before = "".join(f"  {call}\n" for call in kept[:-1])
    return f"== sequence {seed}, shortened to {len(kept)} requests:\n{before}  {shows}\n"


def differences(ours: Any, stock: Any) -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, ours, stock) wherever two answers differ; a refusal is compared as a whole, at path "".

    None stands for what is not there.
    """
    if ours["status"] == stock["status"] == 200:
        yield from _parts(ours, stock, "")
    elif _refusal(ours) != _refusal(stock):
        yield "", _refusal(ours), _refusal(stock)


def _refusal(answer: Any) -> list[Any]:
    body = answer["body"]
    if answer["status"] == 200:
        return [200, "", body]
    return (
        [answer["status"], body.get("error_code"), body.get("message")]
        if isinstance(body, dict)
        else [answer["status"], answer["kind"], body]
    )


def _parts(ours: Any, stock: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if ours == stock and isinstance(ours, bool) == isinstance(stock, bool):
        return
    if isinstance(ours, dict) and isinstance(stock, dict):
        for key in sorted({*ours, *stock}):
            yield from _parts(ours.get(key), stock.get(key), f"{path}/{key}")
    elif isinstance(ours, list) and isinstance(stock, list) and len(ours) == len(stock):
        for index, (one, other) in enumerate(zip(ours, stock, strict=True)):
            yield from _parts(one, other, f"{path}/{index}")
    else:
        yield path, ours, stock
