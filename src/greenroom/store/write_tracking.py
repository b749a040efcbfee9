"""Changes of rows about experiments, runs and logged models: none of them is an audited row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from greenroom.services.ports_tracking import OnClash, PointRow
from greenroom.store.compiled.sqlite import TRACKED
from greenroom.store.read_tracking import TrackingReads
from greenroom.store.texts import Texts

_TABLES = frozenset(TRACKED)


class TrackingWrites(TrackingReads):
    """The part of `services.ports.WriteTx` about what was trained."""

    _texts: Texts

    def put(self, table: str, row: Mapping[str, Any], *, on_clash: OnClash = "refuse") -> bool:
        """See the port."""
        return self.db.run(self._put_text(table, on_clash), self._texts.row(table, row)) > 0

    def put_many(self, table: str, rows: Sequence[Mapping[str, Any]], *, on_clash: OnClash = "refuse") -> None:
        """See the port."""
        text, keys = self._put_text(table, on_clash), self.db.keys[table]
        full = [self._texts.row(table, row) for row in rows]
        self._run_many(text, sorted(full, key=lambda row: tuple(row[key] for key in keys)))

    def put_points(self, rows: Sequence[PointRow]) -> None:
        """See the port."""
        points = sorted(set(rows))  # by key, as `put_many` has it
        newest = {row[:2]: row for row in sorted(points, key=_rank)}
        for (head, tail), some in ((self._texts.points, points), (self._texts.newest, sorted(newest.values()))):
            self.db.insert_rows(head, some, tail)

    def change(self, table: str, key: Mapping[str, Any], changes: Mapping[str, Any]) -> int:
        """See the port."""
        _require_tracked(table)
        values = {**{f"k_{name}": value for name, value in key.items()}, **changes}
        return self.db.run(self._texts.update(table, tuple(key), tuple(changes)), values)

    def drop(self, table: str, key: Mapping[str, Any]) -> int:
        """See the port."""
        _require_tracked(table)
        return self.db.run(self._texts.delete(table, tuple(key)), {f"k_{name}": value for name, value in key.items()})

    def _put_text(self, table: str, on_clash: OnClash) -> str:
        _require_tracked(table)
        if on_clash == "replace":
            return self._texts.replace(table)
        return self._texts.insert(table, keep=on_clash == "keep")

    def _run_many(self, text: str, rows: Sequence[Mapping[str, Any]]) -> None:
        if len(rows) == 1:
            self.db.run(text, rows[0])
        elif rows:
            self.db.run_many(text, rows)


def _rank(row: PointRow) -> tuple[int, int, float, int]:
    """`core.tracking.rank` of a point as it is stored."""
    return row[3], row[2], row[4], -row[5]


def _require_tracked(table: str) -> None:
    if table not in _TABLES:
        raise RuntimeError(f"the table {table} is none of those that change without an audit event")
