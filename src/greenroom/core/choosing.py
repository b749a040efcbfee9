"""Which version is meant when the caller names none: the best by a metric, or the newest in the stage before.

Ambiguity is refused with the candidates named; guessing is how the wrong model goes live.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.policy import Policy, Slot

_LOWER_IS_BETTER = ("loss", "error", "rmse", "mse", "mae", "mape", "perplexity", "latency", "logloss")


@dataclass(frozen=True)
class Best:
    """A metric and its direction."""

    metric: str
    highest: bool
    stated: bool  # False: the direction was inferred from the name


@dataclass(frozen=True)
class Choice:
    """A version and why it was taken."""

    version: int
    because: str


def parse_best(text: str) -> Best:
    """Parse `auc`, `auc:max` or `loss:min`. Without a direction it is inferred from the name and said in the answer.

    Raises InvalidInput for an empty name or another direction.
    """
    name, colon, direction = text.rpartition(":")
    if colon and direction in ("min", "max") and name:
        return Best(name, direction == "max", True)
    if not text.strip() or text.endswith(":") or (colon and not name):
        raise InvalidInput(f"{text!r} names no metric.", hint="Write METRIC, METRIC:max or METRIC:min.")
    words = set(text.casefold().replace("-", "_").replace(".", "_").replace("/", "_").split("_"))
    return Best(text, not words & set(_LOWER_IS_BETTER), False)


def choose_best(best: Best, metrics: Mapping[int, float | None]) -> Choice:
    """Return the version with the best finite value; of equals the newest.

    `metrics` has an entry for every living version, None where the metric is not recorded.
    Raises NotFound when no version has recorded it.
    """
    usable = {version: value for version, value in metrics.items() if value is not None and math.isfinite(value)}
    if not usable:
        raise NotFound(
            f"no version has recorded the metric {best.metric!r}.",
            hint=f"Looked at {len(metrics)} version{'s' if len(metrics) != 1 else ''}; record it when you register.",
            metric=best.metric,
        )
    sign = 1.0 if best.highest else -1.0
    version = max(usable, key=lambda number: (sign * usable[number], number))
    word = "highest" if best.highest else "lowest"
    inferred = "" if best.stated else f" (direction inferred from the name; say {best.metric}:min or :max to be sure)"
    without = len(metrics) - len(usable)
    left_out = f", {without} without it" if without else ""
    of = f"of {len(usable)} version{'s' if len(usable) != 1 else ''}"
    return Choice(version, f"{word} {best.metric} = {usable[version]:g} {of}{left_out}{inferred}")


def source_stage(policy: Policy, target: Slot) -> Slot:
    """Return the stage whose newest version is meant when none is named. Raises InvalidInput for the first stage."""
    before = policy.stage_before(target)
    if before is None:
        raise InvalidInput(f"no stage comes before {target.name}.", hint="Say which version.", slot=target.name)
    return before


def choose_candidate(policy: Policy, stage: Slot, versions: Sequence[int], *, model: str) -> Choice:
    """Return the newest of `versions`, those in `stage`, the one before the target.

    Versions waiting in the first stage are a queue, of which the newest is meant. In a later stage somebody put each of
    them there on purpose: several are ambiguous. Raises NotFound for none, InvalidInput for several, naming them.
    """
    if not versions:
        raise NotFound(
            f"no version of {model!r} is in {stage.name}.", hint="Say which version.", model=model, stage=stage.name
        )
    if len(versions) > 1 and stage is not policy.initial:
        named = ", ".join(str(version) for version in sorted(versions))
        raise InvalidInput(
            f"several versions of {model!r} are in {stage.name}: {named}.",
            hint="Say which one with --version.",
            model=model,
            candidates=sorted(versions),
        )
    return Choice(max(versions), f"newest version in {stage.name}")
