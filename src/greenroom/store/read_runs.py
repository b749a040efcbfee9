"""Queries that show runs to people: by part of an id, by name, by parent, and histories sampled where they are kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from greenroom.services.ports_runs import Tally
from greenroom.store.driver import Connection

_PARENT = "mlflow.parentRunId"
_PREFIX = 200  # characters of a tag's value that its index holds; see `columns.start`
# Every point that is the last of its share of the history, and the first of all: real points, no averages (the largest
# doubles stand for infinity, and their sums are none). In the order of the primary key, so nothing is sorted.
_SAMPLE = """
SELECT s."key", s."value", s.is_nan FROM (
    SELECT p."key", p."value", p.is_nan, t.total,
        row_number() OVER (PARTITION BY p."key" ORDER BY p."timestamp", p.step, p."value", p.is_nan) AS n
    FROM metric_point p
    JOIN (SELECT "key", COUNT(*) AS total FROM metric_point WHERE {where} GROUP BY "key") t ON t."key" = p."key"
    WHERE p.run_no = {run_no}
) s WHERE s.n = 1 OR s.n * {points} / s.total > (s.n - 1) * {points} / s.total ORDER BY s."key", s.n
"""
_TALLY = """
SELECT "key", COUNT(*), MIN(CASE WHEN is_nan = 0 THEN "value" END), MAX(CASE WHEN is_nan = 0 THEN "value" END),
    SUM(is_nan), MIN(step), MAX(step)
FROM metric_point WHERE {where} GROUP BY "key" ORDER BY "key"
"""


class RunReads:
    """The part of `services.ports.ReadTx` that is in `services.ports_runs`."""

    db: Connection

    def runs_beginning(self, prefix: str, limit: int) -> list[str]:
        """See the port. Ids are ASCII, so what comes after every id that begins so is the prefix and a DEL."""
        mark = self.db.mark
        text = f"SELECT id FROM run WHERE id >= {mark('low')} AND id < {mark('high')} ORDER BY id LIMIT {mark('most')}"
        return [row[0] for row in self.db.all(text, {"low": prefix, "high": f"{prefix}\x7f", "most": limit})]

    def runs_called(self, name: str, limit: int) -> list[str]:
        """See the port."""
        mark = self.db.mark
        text = (
            f"SELECT id FROM run WHERE name = {mark('name')} AND deleted_at IS NULL "
            f"ORDER BY start_time DESC, id LIMIT {mark('most')}"
        )
        return [row[0] for row in self.db.all(text, {"name": name, "most": limit})]

    def runs_within(self, parents: Sequence[str], limit: int) -> list[tuple[str, int]]:
        """See the port."""
        names = {f"p{number}": parent for number, parent in enumerate(parents)}
        listed = ", ".join(self.db.mark(name) for name in names)
        text = (
            'SELECT t."value", r.no FROM run_tag t JOIN run r ON r.no = t.run_no '
            f'WHERE t."key" = {self.db.mark("key")} AND substr(t."value", 1, {_PREFIX}) IN ({listed}) '
            f"AND r.deleted_at IS NULL ORDER BY r.start_time, r.no LIMIT {self.db.mark('most')}"
        )
        return [(row[0], int(row[1])) for row in self.db.all(text, {**names, "key": _PARENT, "most": limit})]

    def tallies(self, run_no: int, keys: Sequence[str]) -> list[Tally]:
        """See the port."""
        where, params = self._points(run_no, keys)
        rows = self.db.all(_TALLY.format(where=where), params)
        return [
            Tally(key, int(count), _number(low), _number(high), int(nans), int(first), int(last))
            for key, count, low, high, nans, first, last in rows
        ]

    def samples(self, run_no: int, keys: Sequence[str], points: int) -> dict[str, list[float | None]]:
        """See the port."""
        where, params = self._points(run_no, keys)
        text = _SAMPLE.format(where=where, run_no=self.db.mark("run_no"), points=int(points))
        found: dict[str, list[float | None]] = {}
        for key, value, is_nan in self.db.all(text, params):
            found.setdefault(key, []).append(None if is_nan else float(value))
        return found

    def _points(self, run_no: int, keys: Sequence[str]) -> tuple[str, dict[str, Any]]:
        names = {f"k{number}": key for number, key in enumerate(keys)}
        where = f"run_no = {self.db.mark('run_no')}"
        if names:
            where += f' AND "key" IN ({", ".join(self.db.mark(name) for name in names)})'
        return where, {"run_no": run_no, **names}


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
