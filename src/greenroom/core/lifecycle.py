"""THE PROMOTION RULE: may this version enter this slot now, and who has to leave?

`decide` is pure. Each rule below is one function that returns a refusal or None; RULES lists them in the order in which
people want to read the answers. All of them are asked, so a refusal names everything that is in the way.
Source: design, sections 4 and 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from shlex import quote

from greenroom.core.errors import Refused
from greenroom.core.gates import GateInput, blocking, judge_all
from greenroom.core.model import (
    Displaced,
    GateResult,
    PromotionKind,
    PromotionStatus,
    Refusal,
    SlotKind,
    Tenure,
    Verdict,
)
from greenroom.core.policy import Policy, Slot


@dataclass(frozen=True)
class Move:
    """What is asked: put `version` into `slot`.

    `swap`: whoever holds an exclusive slot leaves in the same transaction. `if_holder`: go on only while exactly this
    version holds the slot (0: nobody); None does not ask.
    """

    kind: PromotionKind
    model: str
    version: int
    slot: Slot
    swap: bool = False
    if_holder: int | None = None


@dataclass(frozen=True)
class Situation:
    """All that the rule may look at, read in the same transaction.

    `holders` are those of the slot, oldest tenure first; `been_where_expected` says whether this version was ever in
    the stage that the slot expects it to come through (True when it expects none).
    """

    policy: Policy
    stage: str
    holders: tuple[int, ...]
    been_where_expected: bool
    evidence: GateInput
    now: int


@dataclass(frozen=True)
class Decision:
    """What follows. `already`: the version holds the slot, nothing opens or closes for it."""

    status: PromotionStatus
    refusals: tuple[Refusal, ...]
    displaced: tuple[Displaced, ...]
    gates: tuple[GateResult, ...]
    warnings: tuple[str, ...]
    already: bool

    @property
    def allowed(self) -> bool:
        """True when the move may be made."""
        return self.status is PromotionStatus.SUCCEEDED


Rule = Callable[[Move, Situation], Refusal | None]


def expected_holder(move: Move, given: Situation) -> Refusal | None:
    """Refuse when the caller decided on a picture of the slot that is no longer true."""
    if move.if_holder is None or given.holders == ((move.if_holder,) if move.if_holder else ()):
        return None
    wanted = f"version {move.if_holder}" if move.if_holder else "nobody"
    now = f"{_versions(given.holders)} holds it now"
    return Refusal(
        "holder_changed",
        f"{move.slot.name} was expected to be held by {wanted}, but {now}.",
        ("look again, then ask again",),
    )


def allowed_source(move: Move, given: Situation) -> Refusal | None:
    """Refuse a move that the lifecycle has no transition for."""
    sources = move.slot.sources
    if move.kind is PromotionKind.ROLLBACK and sources is not None:
        sources = (*sources, *(move.slot.rollback_sources or ()))
    if (
        sources is None
        or given.stage.casefold() in {source.casefold() for source in sources}
        or move.version in given.holders
    ):
        return None
    ways = tuple(f"move it to {source} first" for source in move.slot.sources or ())
    text = f"version {move.version} is in {given.stage}; {move.slot.name} is entered from {' or '.join(sources)} only."
    return Refusal("transition_not_allowed", text, ways)


def not_frozen(move: Move, given: Situation) -> Refusal | None:
    """Refuse inside a freeze window; a rollback is never stopped by one."""
    if move.kind is PromotionKind.ROLLBACK:
        return None
    for freeze in given.policy.freezes:
        concerned = move.slot.name in freeze.stages if freeze.stages else move.slot.exclusive
        if concerned and freeze.since <= given.now < freeze.until:
            because = f" ({freeze.reason})" if freeze.reason else ""
            return Refusal(
                "frozen",
                f"{move.slot.name} is frozen{because}.",
                ("wait for the end of the freeze", "roll back, if it is urgent"),
            )
    return None


def free_slot(move: Move, given: Situation) -> Refusal | None:
    """Refuse to push a holder out of an exclusive slot that nobody said may be pushed."""
    others = _others(move, given)
    if (
        not others
        or not move.slot.exclusive
        or move.swap
        or move.slot.occupied != "conflict"
        or move.kind is PromotionKind.ROLLBACK
    ):
        return None
    first = f"archive version {others[0]} first: greenroom archive {quote(move.model)} {others[0]}"
    swap = f"or swap in one step: greenroom promote {quote(move.model)} {move.version} --to {move.slot.name} --swap"
    text = f"{move.slot.name} of {move.model!r} is held by {_versions(others)}."
    return Refusal("stage_conflict", text, (first, swap))


RULES: tuple[Rule, ...] = (expected_holder, allowed_source, not_frozen, free_slot)


def decide(move: Move, given: Situation) -> Decision:
    """Return whether the move is made, who is displaced by it, what every gate said and what deserves a look.

    A gate's ERRORED makes the promotion ERRORED, its PENDING makes it REJECTED like a FAILED: nothing waits by itself.
    """
    refusals = [refusal for rule in RULES if (refusal := rule(move, given)) is not None]
    gates = judge_all(move.slot.gates, given.evidence)
    stopping = blocking(gates, hard_only=move.kind is PromotionKind.ROLLBACK)
    refusals += [Refusal("gate_" + each.verdict.value, f"gate {each.gate}: {each.message}.") for each in stopping]
    already = move.version in given.holders
    return Decision(
        status=_status(refusals, stopping),
        refusals=tuple(refusals),
        displaced=tuple(Displaced(each, _goes_to(move, given.policy)) for each in _leaving(move, given)),
        gates=gates,
        warnings=tuple(_warnings(move, given, refused=bool(refusals)) + _advice(gates, stopping)),
        already=already,
    )


def _status(refusals: Sequence[Refusal], stopping: Sequence[GateResult]) -> PromotionStatus:
    if any(each.verdict is Verdict.ERRORED for each in stopping):
        return PromotionStatus.ERRORED
    return PromotionStatus.REJECTED if refusals else PromotionStatus.SUCCEEDED


def _others(move: Move, given: Situation) -> tuple[int, ...]:
    return tuple(holder for holder in given.holders if holder != move.version)


def _leaving(move: Move, given: Situation) -> tuple[int, ...]:
    """Who has to go: everybody else in an exclusive slot, and in any slot when the swap was asked for.

    Nobody is displaced from the archive: it is where the displaced go.
    """
    return _others(move, given) if (move.slot.exclusive or move.swap) and not move.slot.archive else ()


def _goes_to(move: Move, policy: Policy) -> str | None:
    if move.slot.kind is SlotKind.ALIAS:
        return None
    return (policy.archive or policy.initial).name


def _warnings(move: Move, given: Situation, *, refused: bool) -> list[str]:
    if move.version in given.holders:
        return [f"version {move.version} was in {move.slot.name} already"]
    left = given.policy.find_stage(given.stage)
    if move.slot.kind is SlotKind.STAGE and left is not None and left.exclusive and not refused:
        return [f"version {move.version} leaves {left.name}, which nobody holds now"]
    on_the_way_up = move.kind is not PromotionKind.ROLLBACK and not refused
    if on_the_way_up and not given.been_where_expected:
        return [f"version {move.version} enters {move.slot.name} without having been in {move.slot.expects}"]
    return []


def _advice(gates: Sequence[GateResult], stopping: Sequence[GateResult]) -> list[str]:
    """Say what a gate that stops nothing did not like."""
    heard = (each for each in gates if each.verdict is not Verdict.PASSED and each not in stopping)
    return [f"gate {each.gate} ({each.level}): {each.message}" for each in heard]


def _versions(numbers: Sequence[int]) -> str:
    if not numbers:
        return "nobody"
    return ("version " if len(numbers) == 1 else "versions ") + ", ".join(str(number) for number in numbers)


def rollback_target(tenures: Iterable[Tenure], holders: Sequence[int], is_deleted: Callable[[int], bool]) -> int | None:
    """Return the last healthy earlier holder of a slot, or None when nobody was.

    `tenures` are those of the slot, newest first, read no further than needed; `holders` hold it now. A version whose
    newest tenure a rollback ended is not healthy: a second rollback goes further back, not forth again.
    """
    judged = set(holders)
    for tenure in tenures:
        if tenure.version in judged:
            continue
        judged.add(tenure.version)
        if tenure.ended_by is not PromotionKind.ROLLBACK and not is_deleted(tenure.version):
            return tenure.version
    return None


def delete_refusal(policy: Policy, model: str, tenures: Sequence[Tenure]) -> Refused | None:
    """Return why versions with these open tenures cannot be deleted, or None: who holds a protected slot stays."""
    for tenure in tenures:
        stage = tenure.kind is SlotKind.STAGE
        slot = policy.find_stage(tenure.slot) if stage else policy.find_alias(tenure.slot)
        if slot is not None and slot.protected:
            return Refused(
                f"version {tenure.version} of {model!r} holds {slot.name}, which the lifecycle {policy.name!r} "
                "protects.",
                hint=f"Take it out first: greenroom archive {quote(model)} {tenure.version}",
                model=model,
                version=tenure.version,
                slot=slot.name,
            )
    return None
