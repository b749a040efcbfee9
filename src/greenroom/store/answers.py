"""Answers of point reads, kept until anything commits that could change them.

Serving asks the same few questions all the time and changes are rare; commits of metrics are not, and no point read
looks at what they change (`services.operation.Mode`). The writer tells which commits were more than logging, SQLite
whether anybody has committed: while none was, the last answer is the answer. A commit is seen before its writer is told
of it, so nobody who was told of a change can get an older answer. Nobody but our writer may write while a server has
the folder; who does all the same is seen a moment later.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from greenroom.core.model import Actor
from greenroom.store.driver import Connection

MOST_ANSWERS = 4_096
FOREIGN_S = 0.05
SHARED_S = 1.0


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
        self._until = 0.0  # when it is looked at again, whatever our writer says
        self._state: Hashable | None = None
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
        # Only logs were committed since: no need to ask the database, for which others would take our turn.
        current = self._commits.changing <= self._ended and time.monotonic() < self._until
        if current and key in self._kept:
            return self._kept[key]
        state = self._state_of(db)
        if state is not None and key in self._kept:
            return self._kept[key]
        answer = look(use_case, command, actor)
        if state is not None and db.changed() == state and len(self._kept) < MOST_ANSWERS:
            self._kept[key] = answer
        return answer

    def _state_of(self, db: Connection) -> Hashable | None:
        """Look at the state of the database and forget what may be older; None when it does not tell."""
        ended = self._commits.ended  # read before the state, the other two after it: what is on its way counts
        state = db.changed()
        if state is None or state != self._state:
            only_logs = self._commits.changing <= self._ended < self._commits.begun
            if state is None or self._state is None or not only_logs:
                self._kept.clear()
        self._state, self._ended, self._until = state, ended, time.monotonic() + FOREIGN_S
        return state


class SharedAnswers:
    """Answers made of audited rows alone, in a database that others write to as well, kept while the head of its log is
    the same: one short question in place of six. Any number of threads use it.
    """

    def __init__(self) -> None:
        self._kept = _Kept(None, 0.0)

    def get(self, db: Connection, key: Any, look: Callable[[], Any]) -> Any:
        """Return the kept answer to `key`, or look and keep it. Errors are not kept, nor anything for long: rows that
        somebody changed by hand are seen a moment later.
        """
        try:
            hash(key)
        except TypeError:
            return look()
        state = db.changed()
        if state is None:
            return look()
        kept = self._kept
        if kept.state != state or time.monotonic() > kept.until:
            kept = self._kept = _Kept(state, time.monotonic() + SHARED_S)
        elif key in kept.answers:
            return kept.answers[key]
        answer = look()
        if db.changed() == state and len(kept.answers) < MOST_ANSWERS:
            kept.answers[key] = answer
        return answer


@dataclass(frozen=True)
class _Kept:
    """What was found while the log had one head."""

    state: Hashable | None
    until: float
    answers: dict[Hashable, Any] = field(default_factory=dict)
