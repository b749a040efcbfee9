"""What a gate is: a pure judgement over evidence about one version's bytes. The types live in `greenroom.gates`.

A gate never raises its "no": it answers FAILED, PENDING or ERRORED with a message that says what would satisfy it.
Source: design, section 10.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.model import GateResult, Tenure, Verdict

LEVELS = ("advisory", "mandatory", "hard")


@dataclass(frozen=True)
class Evidence:
    """A claim by somebody about one digest."""

    kind: str
    digest: str
    body: Mapping[str, Any]
    by: str
    at: int


@dataclass(frozen=True)
class GateInput:
    """All that a gate may look at. `holder_metrics` is empty when nobody holds the slot; times are UTC milliseconds."""

    version: int
    digest: str | None
    stage: str
    now: int
    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    git_commit: str | None = None
    datasets: int = 0
    holder: int | None = None
    holder_metrics: Mapping[str, float] = field(default_factory=dict)
    tenures: tuple[Tenure, ...] = ()
    evidence: tuple[Evidence, ...] = ()


Judge = Callable[[GateInput, Mapping[str, Any]], GateResult]
Check = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True)
class GateRule:
    """A gate as a lifecycle policy names it."""

    type: str
    params: Mapping[str, Any]
    level: str = "mandatory"


@dataclass(frozen=True)
class GateType:
    """A kind of gate: its judgement and the check of its parameters."""

    name: str
    judge: Judge
    check: Check


_TYPES: dict[str, GateType] = {}


def gate(name: str, *, check: Check) -> Callable[[Judge], Judge]:
    """Register a gate type. `check` raises InvalidInput for parameters that make no sense; a second `name` is our
    bug.
    """

    def register(judge: Judge) -> Judge:
        if name in _TYPES:
            raise ValueError(f"gate type {name!r} is registered twice")
        _TYPES[name] = GateType(name, judge, check)
        return judge

    return register


def gate_type(name: str) -> GateType:
    """Return the gate type. Raises InvalidInput naming the known ones."""
    if name not in _TYPES:
        known = ", ".join(sorted(_TYPES)) or "none"
        raise InvalidInput(f"there is no gate type {name!r}.", hint=f"Known gate types: {known}.", gate=name)
    return _TYPES[name]


def gate_types() -> tuple[str, ...]:
    """Return the names of all registered gate types, sorted."""
    return tuple(sorted(_TYPES))


def judge_all(rules: Sequence[GateRule], given: GateInput) -> tuple[GateResult, ...]:
    """Return every gate's result. A gate that breaks answers ERRORED: what could not be answered lets nothing
    through.
    """
    return tuple(_judge(rule, given) for rule in rules)


def blocking(results: Sequence[GateResult], *, hard_only: bool = False) -> tuple[GateResult, ...]:
    """Return the results that stop a promotion: everything not PASSED that is more than advice.

    `hard_only`: a rollback is stopped by `hard` gates alone.
    """
    levels = ("hard",) if hard_only else ("mandatory", "hard")
    return tuple(result for result in results if result.level in levels and result.verdict is not Verdict.PASSED)


def _judge(rule: GateRule, given: GateInput) -> GateResult:
    try:
        result = _TYPES[rule.type].judge(given, rule.params)
    except (KeyError, TypeError, ValueError, ArithmeticError) as exc:
        return GateResult(rule.type, Verdict.ERRORED, f"could not be judged: {exc}", rule.level)
    return GateResult(rule.type, result.verdict, result.message, rule.level)
