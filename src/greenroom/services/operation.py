"""What an operation is: one use case as the edges see it, and how it runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any


class Mode(Enum):
    """How a use case runs: READ inline on a point-read connection, SEARCH on a reader thread, WRITE through the writer,
    LOG through the writer too, for what is in no audit event and needs no chain head, SLOW on a worker thread with the
    blobs at hand, BRIEF the same where nobody waits for long. LOG writes the tables of runs alone, and READ reads none
    of them: its answers stay while runs log.
    """

    READ = "read"
    SEARCH = "search"
    WRITE = "write"
    LOG = "log"
    SLOW = "slow"
    BRIEF = "brief"


@dataclass(frozen=True)
class Operation:
    """One use case as the edges see it.

    `path` is under `/api/v1`; `{name}` parts are fields of `command`; what is left over travels as query parameters on
    GET and DELETE and as the JSON body elsewhere.
    """

    name: str
    method: str
    path: str
    permission: str
    mode: Mode
    command: type[Any]
    result: Any
    use_case: str
    summary: str

    def load(self) -> Callable[..., Any]:
        """Return the function that does it."""
        module, _, function = self.use_case.partition(":")
        loaded: Callable[..., Any] = getattr(importlib.import_module(f"greenroom.services.{module}"), function)
        return loaded
