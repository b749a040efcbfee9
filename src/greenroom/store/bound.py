"""Conditions with bound values: the words of a filter never become SQL, its values are always parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_uppercase
from typing import Any

from greenroom.core.search import Op

_SMALL = {ord(letter): ord(letter.lower()) for letter in ascii_uppercase}


class Bound:
    """Collects conditions and their bound values. `mark` says how a parameter is written in this dialect."""

    def __init__(self, mark: Callable[[str], str]) -> None:
        self._mark = mark
        self.params: dict[str, Any] = {}
        self.conditions: list[str] = []

    def bind(self, value: Any) -> str:
        """Return the mark of a new parameter that holds `value`."""
        name = f"p{len(self.params)}"
        self.params[name] = value
        return self._mark(name)

    def bind_lower(self, text: str) -> str:
        """Return the mark of a new parameter that holds `text` as LOWER makes it of a column: A to Z only.

        PostgreSQL lowers a parameter by the language of the database, and a column of ours by none: not even a text
        would be LIKE itself.
        """
        return self.bind(text.translate(_SMALL))

    def compare(self, column: str, op: Op, value: Any) -> str:
        """Return the condition that `column` stands in the relation `op` to `value`."""
        if op is Op.ILIKE:
            return f"LOWER({column}) LIKE {self.bind_lower(value)}"
        if op in (Op.IN, Op.NOT_IN):
            return f"{column} {op.value} ({', '.join(self.bind(each) for each in value)})"
        return f"{column} {op.value} {self.bind(value)}"

    def behind(self, columns: Sequence[str], descending: Sequence[bool], cursor: Sequence[Any]) -> None:
        """Keep what comes after the cursor in the order of the columns.

        The first column's bound stands alone too, so that an index can be used.
        """
        marks = [self.bind(value) for value in cursor]
        signs = ["<" if each else ">" for each in descending]
        self.conditions.append(f"{columns[0]} {signs[0]}= {marks[0]}")
        steps = []
        for at, column in enumerate(columns):
            equal = [f"{columns[i]} = {marks[i]}" for i in range(at)]
            steps.append("(" + " AND ".join([*equal, f"{column} {signs[at]} {marks[at]}"]) + ")")
        self.conditions.append("(" + " OR ".join(steps) + ")")
