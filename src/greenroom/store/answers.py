"""Answers of point reads, kept until anybody commits anything.

Serving asks the same few questions all the time and changes are rare. SQLite tells in 3 µs whether any connection has
committed since; while none has, the last answer is the answer. A commit is seen before its writer is told of it, so
nobody who was told of a change can get an older answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from greenroom.core.model import Actor
from greenroom.store.driver import Connection

MOST_ANSWERS = 4_096


class Answers:
    """A bounded store of answers, valid for one state of the database. One thread uses it at a time."""

    def __init__(self) -> None:
        self._state: int | None = None
        self._kept: dict[Any, Any] = {}

    def get(
        self,
        db: Connection,
        use_case: Callable[..., Any],
        command: Any,
        actor: Actor,
        look: Callable[[Callable[..., Any], Any, Actor], Any],
    ) -> Any:
        """Return the kept answer, or look and keep it. Errors are not kept, nor answers to what cannot be a key."""
        try:
            key = (use_case, command, actor)
            hash(key)
        except TypeError:
            return look(use_case, command, actor)
        state = db.changed()
        if state is None or state != self._state:
            self._kept.clear()
            self._state = state
        elif key in self._kept:
            return self._kept[key]
        answer = look(use_case, command, actor)
        if state is not None and db.changed() == state and len(self._kept) < MOST_ANSWERS:
            self._kept[key] = answer
        return answer
