"""What the store needs from a database driver. SQLite implements it now, PostgreSQL next.

The queries, the writer and the sealing of the log are written against this protocol, never against a driver.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

from greenroom.core.errors import InvalidInput
from greenroom.core.limits import bound

Row = tuple[Any, ...]
Params = Mapping[str, Any]


class Connection(Protocol):
    """One connection, used by one thread at a time. Statements are named in `sql`; texts may be given as well."""

    dialect: str
    sql: Mapping[str, str]
    columns: Mapping[str, tuple[str, ...]]
    keys: Mapping[str, tuple[str, ...]]

    def all(self, sql: str, params: Params | Sequence[Any] = ()) -> list[Row]:
        """Run a query and return its rows."""

    def one(self, sql: str, params: Params | Sequence[Any] = ()) -> Row | None:
        """Run a query and return its first row, or None."""

    def run(self, sql: str, params: Params | Sequence[Any] = ()) -> int:
        """Run a change and return how many rows it touched."""

    def later(self, sql: str, params: Params | Sequence[Any], *, exactly: int | None = None) -> None:
        """Run a change before the next statement that answers something; what is wrong with it may be raised there.

        RuntimeError (our bug) when it does not touch `exactly` so many rows.
        """

    def flush(self) -> None:
        """Run what waits of `later`: its errors are raised here."""

    def run_many(self, sql: str, rows: Iterable[Params]) -> None:
        """Run one change for each of the rows."""

    def insert_rows(self, head: str, rows: Sequence[Row], tail: str) -> None:
        """Insert rows of texts and numbers, many at a time and in their order, like `later`. `head` says where to,
        `tail` what becomes of those that clash.
        """

    def stream(self, sql: str) -> Iterator[Row]:
        """Yield a query's rows inside an open snapshot, without holding them all."""

    def mark(self, name: str) -> str:
        """Return how a bound parameter `name` is written in this dialect."""

    def begin(self, *, head: bool = True) -> None:
        """Open the writer's transaction. With `head` it holds the chain head from here on, and others wait."""

    def hold_runs(self, ids: Sequence[str]) -> None:
        """Let nobody else log to these runs until the end of the transaction, which has changed nothing yet.

        Two transactions that log to the same runs in another order would wait for each other.
        """

    def begin_schema(self) -> None:
        """Open a transaction that makes or changes tables; only one does at a time."""

    def tables(self) -> set[str]:
        """Return the names of the tables that are there."""

    def commit(self) -> None:
        """Make the transaction durable."""

    def rollback(self) -> None:
        """Undo the transaction; without one nothing happens."""

    def savepoint(self) -> None:
        """Begin one request inside the transaction."""

    def release(self) -> None:
        """Keep what the request did."""

    def rollback_to_savepoint(self) -> None:
        """Undo what the request did."""

    def snapshot(self, *, limit_s: float | None = None) -> AbstractContextManager[None]:
        """A consistent view for reading, interrupted after `limit_s` seconds. Never takes a write lock."""

    def changed(self) -> Hashable | None:
        """Return what is another after each commit of any other connection, or at least after each that changed audited
        rows; None when that cannot be told.
        """

    def is_lost(self, error: Exception) -> bool:
        """Say whether the error means that the connection is gone, and with it what is known of a commit under way."""

    def is_race(self, error: Exception) -> bool:
        """Say whether the error means that other writers were in the way: the transaction may be run again."""

    def reconnect(self) -> None:
        """Connect again after a loss. Raises Unavailable when that fails, or when it is another database now."""

    def tidy(self) -> None:
        """Do what a batch leaves to do once its callers are answered. Raises what the driver raises."""

    def translate(self, error: Exception) -> Exception:
        """Return the error of `core.errors` that a driver's error means; other errors come back as they are."""

    def close(self) -> None:
        """Close; a second time is no error."""


def search_took_too_long() -> InvalidInput:
    """Return what a search is told that did not come to its end within the limit."""
    most = bound("search_time")
    text, hint = f"the search took longer than {most} s.", "Narrow the filter or ask for a smaller page."
    return InvalidInput(text, hint=hint, limit="search_time", maximum=most)
