"""Answers of point reads, kept until anything commits that could change them.

Serving asks the same few questions all the time and changes are rare; commits of metrics are not, and no point read
looks at what they change (`services.operation.Mode`). SQLite tells in 3 µs whether any connection has committed since,
the writer which of those commits were its own and more than logging. While none was, the last answer is the answer.
A commit is seen before its writer is told of it, so nobody who was told of a change can get an older answer.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from greenroom.core.model import Actor
from greenroom.store.driver import Connection

MOST_ANSWERS = 4_096


class Commits:
    """The commits of one writer, numbered. Written by its thread alone, read by any."""

    def __init__(self) -> None:
        self.begun = 0
        self.ended = 0  # up to this number they are visible, or have failed
        self.changing = 0  # the last one that was begun with more than logs

    @contextlib.contextmanager
    def next(self, *, logs_only: bool) -> Iterator[None]:
        """Number the commit of the block: it may be visible from before its first statement to after its last."""
        if not logs_only:
            self.changing = self.begun + 1
        self.begun += 1
        try:
            yield
        finally:
            self.ended = self.begun


class Answers:
    """A bounded store of answers, valid for one state of the database. One thread uses it at a time."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._ended = 0  # the commits that were over when the state was looked at
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
        state = self._at(db)
        if state is not None and key in self._kept:
            return self._kept[key]
        answer = look(use_case, command, actor)
        if state is not None and db.changed() == state and len(self._kept) < MOST_ANSWERS:
            self._kept[key] = answer
        return answer

    def _at(self, db: Connection) -> int | None:
        """Return the state of the database, having forgotten what may be older; None when it does not tell."""
        ended = self._commits.ended  # read before the state, the other two after it: what is on its way counts
        state = db.changed()
        if state is None or state != self._state:
            only_logs = self._commits.changing <= self._ended < self._commits.begun
            if state is None or self._state is None or not only_logs:
                self._kept.clear()
            self._state, self._ended = state, ended
        return state
