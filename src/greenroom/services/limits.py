"""How much one request may carry: checks of counts and texts that the names' own limits do not cover."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sized
from types import MappingProxyType

from greenroom.core.errors import InvalidInput
from greenroom.core.names import check_description

_SHORT_TEXT = 2_000

COUNTS: Mapping[str, int] = MappingProxyType(
    {
        "tags": 1_000,
        "metrics": 1_000,
        "params": 1_000,
        "datasets": 1_000,
        "files": 100_000,
        "packages": 5_000,
        "stages": 64,
        "digests": 10_000,
    }
)


def check_count(what: str, values: Sized) -> None:
    """Raise InvalidInput when there are more than one entity or one request may have."""
    if len(values) > COUNTS[what]:
        raise InvalidInput(
            f"{len(values)} {what} are too many.",
            hint=f"At most {COUNTS[what]} {what} are allowed.",
            limit=what,
            maximum=COUNTS[what],
        )


def check_short_text(name: str, text: str | None) -> None:
    """Raise InvalidInput for a reason, link or id that cannot be stored or is over 2000 characters; None is fine."""
    if text is None:
        return
    check_description(text)
    if len(text) > _SHORT_TEXT:
        raise InvalidInput(
            f"`{name}` has {len(text)} characters.", hint=f"At most {_SHORT_TEXT} are allowed.", field=name
        )


def check_finite(name: str, value: float) -> float:
    """Return the value of a metric, -0.0 as 0.0. Raises InvalidInput for NaN and the infinities."""
    if not math.isfinite(value):
        raise InvalidInput(
            f"the metric {name!r} is {value}.", hint="Record a finite number, or leave it out.", metric=name
        )
    return float(value) or 0.0
