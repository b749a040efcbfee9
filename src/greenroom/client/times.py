"""Dates as people give them, to UTC milliseconds."""

from __future__ import annotations

from datetime import date, datetime

from greenroom.core.errors import InvalidInput

_HINT = "Write 2026-11-21, 2026-11-21 10:00 (local time), 2026-11-21T10:00:00Z, or milliseconds since 1970."
_MS_DIGITS = 11  # a shorter run of digits would be a moment in 1970: most likely seconds, or a date without dashes


def parse_at(at: int | str | date) -> int:
    """Return a moment as UTC milliseconds since the epoch.

    Accepts milliseconds, ISO 8601 dates and times (a space for the `T` is fine), and `datetime`. Without a zone it is
    the local time; a date alone is its first moment. Raises InvalidInput for anything else.
    """
    if isinstance(at, bool):
        raise _wrong(at)
    if isinstance(at, int):
        return _checked(at, at)
    if isinstance(at, str):
        text = at.strip()
        if text.isascii() and text.isdigit() and len(text) >= _MS_DIGITS:
            return _checked(int(text[:20]), at)
        if text.isdigit():
            raise _wrong(at)
        return _of_text(text)
    moment = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day)  # noqa: DTZ001 - local time
    return _of_moment(moment, at)


def _of_text(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(text) from None
    return _of_moment(moment, text)


def _of_moment(moment: datetime, given: object) -> int:
    try:
        return _checked(round(moment.timestamp() * 1000), given)  # a naive one is local time
    except (OverflowError, OSError, ValueError):
        raise _wrong(given) from None


def _checked(at: int, given: object) -> int:
    if not 0 <= at < 1 << 53:
        raise _wrong(given)
    return at


def _wrong(given: object) -> InvalidInput:
    return InvalidInput(f"{str(given)[:60]!r} is not a date.", hint=_HINT)
