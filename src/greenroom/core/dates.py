"""Dates as people write them, as UTC milliseconds. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def utc_milliseconds(text: str) -> int | None:
    """Return the UTC milliseconds of an ISO 8601 date or time (without a zone: UTC); None if it is none."""
    try:
        at = datetime.fromisoformat(text)
        return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError):
        return None
