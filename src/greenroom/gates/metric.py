"""Gate `metric`: a recorded metric is good enough, absolutely or against the version it would displace.

Params: name (str); min and/or max (numbers); not_worse_than_holder_by (number >= 0) with higher_is_better (bool).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.gates import GateInput, gate
from greenroom.core.model import GateResult, Verdict

_NUMBERS = ("min", "max", "not_worse_than_holder_by")


def _check(params: Mapping[str, Any]) -> None:
    unknown = set(params) - {"name", "higher_is_better", *_NUMBERS}
    if unknown:
        raise InvalidInput(f"gate metric does not know {', '.join(sorted(unknown))}.")
    if not isinstance(params.get("name"), str) or not params["name"]:
        raise InvalidInput("gate metric needs `name`, the metric's name.")
    if not any(key in params for key in _NUMBERS):
        raise InvalidInput("gate metric needs a bound: `min`, `max` or `not_worse_than_holder_by`.")
    for key in _NUMBERS:
        value = params.get(key, 0)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise InvalidInput(f"gate metric: `{key}` must be a finite number, got {value!r}.")
    if "not_worse_than_holder_by" in params:
        if params["not_worse_than_holder_by"] < 0:
            raise InvalidInput("gate metric: `not_worse_than_holder_by` must not be negative.")
        if not isinstance(params.get("higher_is_better"), bool):
            raise InvalidInput(
                "gate metric: say `higher_is_better = true` or `false` beside `not_worse_than_holder_by`."
            )


@gate("metric", check=_check)
def metric(given: GateInput, params: Mapping[str, Any]) -> GateResult:
    """Pass when the metric is recorded, finite and within every bound."""
    name = params["name"]
    value = given.metrics.get(name)
    if value is None:
        return GateResult("metric", Verdict.PENDING, f"{name} is not recorded yet")
    if not math.isfinite(value):
        return GateResult("metric", Verdict.FAILED, f"{name} is {value}")
    if "min" in params and value < params["min"]:
        return GateResult("metric", Verdict.FAILED, f"{name} is {value:g}, at least {params['min']:g} is required")
    if "max" in params and value > params["max"]:
        return GateResult("metric", Verdict.FAILED, f"{name} is {value:g}, at most {params['max']:g} is allowed")
    if "not_worse_than_holder_by" in params:
        return _against_holder(given, params, name, value)
    return GateResult("metric", Verdict.PASSED, f"{name} is {value:g}")


def _against_holder(given: GateInput, params: Mapping[str, Any], name: str, value: float) -> GateResult:
    if given.holder is None:
        return GateResult("metric", Verdict.PASSED, f"{name} is {value:g}; nobody to compare with")
    held = given.holder_metrics.get(name)
    if held is None or not math.isfinite(held):
        return GateResult("metric", Verdict.PENDING, f"{name} of the holder, version {given.holder}, is not recorded")
    worse_by = held - value if params["higher_is_better"] else value - held
    verdict = Verdict.PASSED if worse_by <= params["not_worse_than_holder_by"] else Verdict.FAILED
    return GateResult("metric", verdict, f"{name} is {value:g}, version {given.holder} has {held:g}")
