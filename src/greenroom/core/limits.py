"""What a server takes from its clients at most: sizes, times, and how much of it at once. One table, for code and docs.

Every bound is said to whoever meets it: the answer has the status below, the limit's name in `details["limit"]` and its
number in the text. Limits of single texts are in `core.names.LIMITS`, of counts in `services.limits.COUNTS`.
Sources: security vectors DO-01 to DO-19; reliability goal S10.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

CLOSED = 0
"""In place of a status: the connection is closed, because there is nobody to answer or an answer has begun."""


@dataclass(frozen=True)
class Bound:
    """At most `value` `unit` of `what`; over it the answer has `status` (CLOSED: none, the connection ends)."""

    name: str
    value: int
    unit: str
    what: str
    status: int


def _table(*rows: tuple[str, int, str, str, int]) -> Mapping[str, Bound]:
    return MappingProxyType({row[0]: Bound(*row) for row in rows})


SERVER_LIMITS: Mapping[str, Bound] = _table(
    ("target", 60_000, "bytes", "path and query of a request", 414),  # httptools counts to 65 535
    ("head", 128 << 10, "bytes", "request line and headers", 431),
    ("head_time", 10, "s", "time for request line and headers to arrive", 408),
    ("query_parameters", 100, "parameters", "query of a native request", 400),
    ("body", 1 << 20, "bytes", "body of a request", 413),
    ("manifest_body", 16 << 20, "bytes", "body that holds a manifest or asks for missing blobs", 413),
    ("body_idle", 60, "s", "pause in a body", 408),
    ("body_time", 120, "s", "time for the body of a request to arrive; uploads have a pace instead", 408),
    ("bodies", 64 << 20, "bytes", "bodies held at the same time, all requests together", 429),
    ("upload_pace", 60, "s", "time for the next 64 KiB of an upload to arrive", 408),
    ("uploads", 64, "uploads", "uploads at the same time", 429),
    ("downloads", 256, "downloads", "downloads of more than 64 KiB at the same time", 429),
    ("in_flight", 512, "requests", "requests worked on at the same time, without uploads and downloads", 429),
    ("heavy_requests", 16, "requests", "verifications, comparisons and garbage collections that run or wait", 429),
    ("searches", 256, "searches", "searches that run or wait", 429),
    ("reader_wait", 5, "s", "time that a search waits for its turn", 503),
    ("search_time", 10, "s", "time of one search", 400),
    ("page_bytes", 8 << 20, "bytes", "texts of one page; a fuller page ends early, with a token for the next", 200),
    ("connections", 2_048, "connections", "open connections; the one that waits longest without a request goes", 429),
    ("silent_connections", 1_024, "connections", "connections that have not finished a request line", 429),
    ("pipeline", 64, "requests", "requests sent ahead on one connection", CLOSED),
    ("keep_alive", 75, "s", "time that a connection is kept open between requests", CLOSED),
    ("answer_pace", 60, "s", "time in which 64 KiB of an answer have to be read", CLOSED),
    ("unread_bytes", 64 << 20, "bytes", "answers that nobody reads, all connections together", CLOSED),
)

PACE_BYTES = 64 << 10
"""What an upload or a reader has to manage within its pace."""


def bound(name: str) -> int:
    """Return the number of a limit. KeyError (our bug) for an unknown one."""
    return SERVER_LIMITS[name].value
