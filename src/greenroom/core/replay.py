"""State = replay(audit): build the tables anew from the log, and hold them against what is stored.

Every event carries the row changes of its transaction. Replaying them gives the state; on the way the rules that no
single row can show are checked: one holder of an exclusive slot, one stage a version, numbers without gaps.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from greenroom.core.audit import Entry
from greenroom.core.errors import IntegrityFailure

Key = tuple[Any, ...]
Row = dict[str, Any]


@dataclass(frozen=True)
class Deviation:
    """One thing that does not follow from the log; `seq` is the entry that shows it, None for a stored row."""

    where: str
    message: str
    seq: int | None = None


class Replay:
    """The tables as the log tells them. `keys` gives each audited table's primary key."""

    def __init__(self, keys: Mapping[str, tuple[str, ...]]) -> None:
        self._keys = keys
        self.tables: dict[str, dict[Key, Row]] = {table: {} for table in keys}
        self._holders: dict[Key, set[int]] = {}
        self._stages: dict[Key, set[str]] = {}

    def feed(self, entry: Entry) -> list[Deviation]:
        """Apply one entry's changes; return what in them cannot be."""
        try:
            changes = entry.body.get("changes", [])
        except IntegrityFailure as exc:
            return [Deviation(f"entry {entry.seq}", str(exc), entry.seq)]
        problems: list[str] = []
        touched: set[Key] = set()
        for change in changes:
            try:
                self._apply(change, entry.seq, problems, touched)
            except (KeyError, TypeError, ValueError, IndexError) as exc:
                problems.append(f"a change that cannot be made: {exc!r}")
        for slot in touched:
            problems += self._crowded(slot)
        return [Deviation(f"entry {entry.seq}", problem, entry.seq) for problem in problems]

    def _apply(self, change: list[Any], seq: int, problems: list[str], touched: set[Key]) -> None:
        kind, table = change[0], change[1]
        rows = self.tables[table]
        if kind == "put":
            row = dict(change[2])
            key = tuple(row[column] for column in self._keys[table])
            if key in rows:
                problems.append(f"{table} {key} is put twice")
            rows[key] = row
            if table == "version":
                self._check_number(row, problems)
        elif kind in ("set", "cut"):
            key = tuple(change[2][column] for column in self._keys[table])
            if key not in rows:
                problems.append(f"{table} {key} is changed but was never put")
                return
            row = rows.pop(key) if kind == "cut" else rows[key]
            if kind == "set":
                if table == "version" and row.get("manifest") not in (None, {**row, **change[3]}["manifest"]):
                    problems.append(f"version {row['version']} was pinned and got other files")
                row.update(change[3])
        else:
            raise ValueError(f"unknown kind of change {kind!r}")
        if table == "tenure":
            self._seat(row, seq, problems, touched)

    def _check_number(self, row: Row, problems: list[str]) -> None:
        """Numbers rise by one. A name used again may go on above 1, so the first of a model may be any."""
        model_id, number = row["model_id"], row["version"]
        before = (model_id, number - 1) in self.tables["version"]
        model = self.tables["model"].get((model_id,))
        if model is None:
            problems.append(f"version {number} belongs to a model that was never made")
        elif not before and model["next_version"] != number:
            problems.append(f"version {number} of {model['name']!r} leaves a gap")

    def _seat(self, row: Row, seq: int, problems: list[str], touched: set[Key]) -> None:
        slot = (row["model_id"], row["kind"], row["slot"])
        person = (row["model_id"], row["version"])
        holders, stages = self._holders.setdefault(slot, set()), self._stages.setdefault(person, set())
        if row["until_event"] is None:
            (holders.add if row["exclusive"] else holders.discard)(row["version"])
            if row["kind"] == "stage":
                stages.add(row["slot"])
        else:
            holders.discard(row["version"])
            if row["kind"] == "stage":
                stages.discard(row["slot"])
            if row["until_event"] > seq:
                problems.append(f"a tenure ends at event {row['until_event']}, which is not yet")
        touched |= {slot, person}

    def _crowded(self, key: Key) -> list[str]:
        """What the state after the entry must not be: two holders of an exclusive slot, one version in two stages."""
        holders = self._holders.get(key, set())
        stages = self._stages.get(key, set())
        problems = []
        if len(holders) > 1:
            problems.append(f"{key[2]} of model {key[0]} has {len(holders)} holders: {sorted(holders)}")
        if len(stages) > 1:
            problems.append(f"version {key[1]} of model {key[0]} is in {len(stages)} stages: {sorted(stages)}")
        return problems

    def compare(self, table: str, stored: Iterable[Row]) -> Iterator[Deviation]:
        """Yield every stored row that does not follow from the log, and every row of the log that is not stored."""
        expected = dict(self.tables[table])
        for row in stored:
            key = tuple(row[column] for column in self._keys[table])
            told = expected.pop(key, None)
            if told is None:
                yield Deviation(f"{table} {_shown(key)}", "this row is in no entry of the log")
                continue
            different = [
                f"{name} is {row[name]!r}, by the log {told.get(name)!r}" for name in row if row[name] != told.get(name)
            ]
            if different:
                yield Deviation(f"{table} {_shown(key)}", "; ".join(each[:200] for each in different[:4]))
        for key in expected:
            yield Deviation(f"{table} {_shown(key)}", "this row is missing: the log has it")


def _shown(key: Key) -> str:
    return "(" + ", ".join(str(part)[:80] for part in key) + ")"
