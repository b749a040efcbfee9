"""INSERT, UPDATE and DELETE texts for the tables, made once per shape and kept.

Names come from the compiled schema only; a name that is not a column there is our bug and never becomes SQL.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from greenroom.store.driver import Connection


def select_text(db: Connection, table: str) -> str:
    """Return the query for all rows of a table, by column, in the order of its primary key."""
    names = ", ".join(f'"{column}"' for column in db.columns[table])
    order = ", ".join(f'"{column}"' for column in db.keys[table])
    return f'SELECT {names} FROM "{table}" ORDER BY {order}'


class Texts:
    """Writes the change statements for one dialect."""

    def __init__(self, db: Connection) -> None:
        self._columns = db.columns
        self._keys = db.keys
        self._mark = db.mark
        self.insert = functools.cache(self._insert)
        self.update = functools.cache(self._update)
        self.delete = functools.cache(self._delete)
        self.replace = functools.cache(self._replace)
        mark = db.mark
        below = f'"path" >= {mark("low")} AND "path" < {mark("high")}'
        self.delete_uploads = f'DELETE FROM "upload" WHERE "path" = {mark("path")} OR ({below})'

    def row(self, table: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the row with every column of the table, None where it says nothing. ValueError for an unknown one."""
        columns = self._columns[table]
        unknown = set(row) - set(columns)
        if unknown:
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")
        return {column: row.get(column) for column in columns}

    def _insert(self, table: str, *, keep: bool = False) -> str:
        """`keep`: a row with the same key that is there already stays, without an error."""
        columns = self._columns[table]
        names = ", ".join(f'"{column}"' for column in columns)
        values = ", ".join(self._mark(column) for column in columns)
        tail = " ON CONFLICT DO NOTHING" if keep else ""
        return f'INSERT INTO "{table}" ({names}) VALUES ({values}){tail}'

    def _replace(self, table: str) -> str:
        """INSERT that overwrites the row with the same primary key."""
        return f"{self._insert(table)} {self._overwriting(table)}"

    def _overwriting(self, table: str) -> str:
        kept = [column for column in self._columns[table] if column not in self._keys[table]]
        sets = ", ".join(f'"{column}" = excluded."{column}"' for column in kept)
        return f"ON CONFLICT ({_listed(self._keys[table])}) DO UPDATE SET {sets}"

    @property
    def points(self) -> tuple[str, str]:
        """The two ends of an INSERT of points into their histories: those that are there already stay."""
        return self._points("metric_point"), "ON CONFLICT DO NOTHING"

    @property
    def newest(self) -> tuple[str, str]:
        """The two ends of an INSERT that overwrites the newest point of a run's metric where the new one is newer:
        `core.tracking.rank`.
        """
        ranks = [f"({row}.step, {row}.timestamp, {row}.value, 1 - {row}.is_nan)" for row in ("excluded", "run_metric")]
        return self._points("run_metric"), f"{self._overwriting('run_metric')} WHERE {' > '.join(ranks)}"

    def _points(self, table: str) -> str:
        """INSERT of `PointRow`s."""
        names = ("run_no", "key", "timestamp", "step", "value", "is_nan")
        self._check(table, names)
        return f'INSERT INTO "{table}" ({_listed(names)})'

    def _update(self, table: str, key: tuple[str, ...], changes: tuple[str, ...]) -> str:
        self._check(table, key + changes)
        sets = ", ".join(f'"{column}" = {self._mark(column)}' for column in changes)
        return f'UPDATE "{table}" SET {sets} WHERE {self._where(key)}'

    def _delete(self, table: str, key: tuple[str, ...]) -> str:
        self._check(table, key)
        return f'DELETE FROM "{table}" WHERE {self._where(key)}'

    def _where(self, key: tuple[str, ...]) -> str:
        return " AND ".join(f'"{column}" = {self._mark("k_" + column)}' for column in key)

    def _check(self, table: str, names: tuple[str, ...]) -> None:
        unknown = set(names) - set(self._columns[table])
        if unknown:
            raise ValueError(f"{table} has no column {', '.join(sorted(unknown))}")


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f'"{name}"' for name in names)
