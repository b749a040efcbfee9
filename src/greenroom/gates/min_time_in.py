"""Gate `min_time_in`: the version has been in a stage for some time (soak).

Params: stage (str), hours (number > 0). Counts the time of the version's newest period in that stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.gates import GateInput, gate
from greenroom.core.model import GateResult, SlotKind, Verdict

_HOUR_MS = 3_600_000


def _check(params: Mapping[str, Any]) -> None:
    if set(params) != {"stage", "hours"}:
        raise InvalidInput("gate min_time_in needs exactly `stage` and `hours`.")
    hours = params["hours"]
    if isinstance(hours, bool) or not isinstance(hours, int | float) or not 0 < hours < 1e6:
        raise InvalidInput(f"gate min_time_in: `hours` must be a number above 0, got {hours!r}.")
    if not isinstance(params["stage"], str):
        raise InvalidInput("gate min_time_in: `stage` must be the name of a stage.")


@gate("min_time_in", check=_check)
def min_time_in(given: GateInput, params: Mapping[str, Any]) -> GateResult:
    """Pass when the newest tenure in the stage is, or was, long enough."""
    stage, needed = params["stage"], params["hours"] * _HOUR_MS
    spent = [
        (t.until_at if t.until_at is not None else given.now) - t.since_at
        for t in given.tenures
        if t.kind is SlotKind.STAGE and t.slot.casefold() == stage.casefold()
    ]
    if not spent:
        return GateResult("min_time_in", Verdict.PENDING, f"has not been in {stage}")
    verdict = Verdict.PASSED if spent[0] >= needed else Verdict.PENDING
    return GateResult("min_time_in", verdict, f"{spent[0] / _HOUR_MS:.1f} h in {stage}, {params['hours']:g} h needed")
