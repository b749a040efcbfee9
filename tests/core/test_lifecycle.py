"""The promotion rule, as a table: one row is one sentence about who may enter and who leaves."""

from __future__ import annotations

from dataclasses import replace

import pytest

from greenroom import gates as _registered
from greenroom.core.document import parse_policy
from greenroom.core.gates import GateInput, GateRule
from greenroom.core.lifecycle import RULES, Move, Situation, decide, delete_refusal, rollback_target
from greenroom.core.model import Displaced, PromotionKind, PromotionStatus, SlotKind, Tenure, Verdict
from greenroom.core.policy import Freeze, Policy
from greenroom.core.presets import PRESETS

assert _registered
STANDARD, GUARDED, MLFLOW = (parse_policy(PRESETS[name]) for name in ("standard", "guarded", "mlflow"))
PROMOTE, ROLLBACK = PromotionKind.PROMOTE, PromotionKind.ROLLBACK
SUCCEEDED, REJECTED, ERRORED = PromotionStatus.SUCCEEDED, PromotionStatus.REJECTED, PromotionStatus.ERRORED
NOW = 1_000_000
FROZEN = replace(STANDARD, freezes=(Freeze(NOW - 1, NOW + 1, ("Production",), "holidays"),))
ARCHIVING = parse_policy(PRESETS["standard"].replace('occupied = "conflict"', 'occupied = "archive"'))


def ask(to: str = "Production", *, policy: Policy = STANDARD, version: int = 2, **more: object) -> Move:
    kind = more.pop("kind", PROMOTE)
    slot = policy.find_alias(to[1:]) if to.startswith("@") else policy.get_stage(to)
    return Move(kind, "m", version, slot, **more)  # type: ignore[arg-type]


def given(
    policy: Policy = STANDARD,
    *,
    stage: str = "Staging",
    holders: tuple[int, ...] = (),
    digest: str | None = "d",
    been: bool = True,
    **evidence: object,
) -> Situation:
    facts = GateInput(version=2, digest=digest, stage=stage, now=NOW, **evidence)  # type: ignore[arg-type]
    return Situation(policy, stage, holders, been, facts, NOW)


@pytest.mark.parametrize(
    ("move", "situation", "refused"),
    [
        # an empty exclusive stage is entered
        (ask(), given(), []),
        # a held one is a conflict, unless the swap is asked for, or the policy archives by itself
        (ask(), given(holders=(1,)), ["stage_conflict"]),
        (ask(swap=True), given(holders=(1,)), []),
        (ask(policy=ARCHIVING), given(ARCHIVING, holders=(1,)), []),
        # the holder itself may ask again
        (ask(), given(holders=(2,), stage="Production"), []),
        # stages for many are never in conflict
        (ask("Staging"), given(stage="None", holders=(1, 3)), []),
        # MLflow's lifecycle refuses nothing
        (ask(policy=MLFLOW), given(MLFLOW, stage="None", holders=(1, 3), digest=None), []),
        # optimistic: the holder must be who the caller saw
        (ask(swap=True, if_holder=1), given(holders=(1,)), []),
        (ask(swap=True, if_holder=3), given(holders=(1,)), ["holder_changed"]),
        (ask(if_holder=0), given(), []),
        (ask(if_holder=0), given(holders=(1,)), ["holder_changed", "stage_conflict"]),
        (ask(if_holder=1), given(), ["holder_changed"]),
        # guarded: from Staging only, as a rollback from Archived too, and never unpinned
        (ask(policy=GUARDED), given(GUARDED, description="x"), []),
        (ask(policy=GUARDED), given(GUARDED, stage="None", description="x"), ["transition_not_allowed"]),
        (ask(policy=GUARDED), given(GUARDED, stage="Archived", description="x"), ["transition_not_allowed"]),
        (ask(policy=GUARDED, kind=ROLLBACK), given(GUARDED, stage="Archived", description="x"), []),
        (ask(policy=GUARDED, kind=ROLLBACK), given(GUARDED, stage="None", description="x"), ["transition_not_allowed"]),
        (ask(policy=GUARDED), given(GUARDED), ["gate_pending"]),
        (ask(policy=GUARDED), given(GUARDED, digest=None, description="x"), ["gate_failed"]),
        # a rollback skips gates, but not hard ones, and displaces without being asked to
        (ask(policy=GUARDED, kind=ROLLBACK), given(GUARDED, stage="Archived", holders=(3,)), []),
        (ask(policy=GUARDED, kind=ROLLBACK), given(GUARDED, stage="Archived", digest=None), ["gate_failed"]),
        # a freeze stops everything but a rollback, and only where it says
        (ask(policy=FROZEN), given(FROZEN), ["frozen"]),
        (ask(policy=FROZEN, kind=ROLLBACK), given(FROZEN), []),
        (ask("Staging", policy=FROZEN), given(FROZEN, stage="None"), []),
        # everything in the way is said at once
        (
            ask(policy=GUARDED, if_holder=7),
            given(GUARDED, stage="None", holders=(1,), digest=None),
            ["holder_changed", "transition_not_allowed", "stage_conflict", "gate_failed", "gate_pending"],
        ),
        # an alias moves freely
        (ask("@champion"), given(holders=(1,)), []),
    ],
)
def test_who_may_enter(move: Move, situation: Situation, refused: list[str]) -> None:
    decision = decide(move, situation)
    assert [refusal.code for refusal in decision.refusals] == refused
    assert decision.allowed is (not refused)


@pytest.mark.parametrize(
    ("move", "situation", "leaving"),
    [
        (ask(swap=True), given(holders=(1,)), [Displaced(1, "Archived")]),
        (ask(swap=True), given(holders=(2,), stage="Production"), []),  # nobody displaces itself
        (ask("@champion"), given(holders=(1,)), [Displaced(1, None)]),  # who loses an alias keeps its stage
        (
            ask("Staging", swap=True),
            given(stage="None", holders=(1, 3)),
            [Displaced(1, "Archived"), Displaced(3, "Archived")],
        ),
        (ask("Staging"), given(stage="None", holders=(1, 3)), []),
        (ask(policy=MLFLOW, swap=True), given(MLFLOW, holders=(1, 2)), [Displaced(1, "Archived")]),
        (ask("Archived", swap=True), given(holders=(1,)), []),  # the archive displaces nobody
        (ask(kind=ROLLBACK), given(holders=(3,)), [Displaced(3, "Archived")]),
    ],
)
def test_who_leaves(move: Move, situation: Situation, leaving: list[Displaced]) -> None:
    assert list(decide(move, situation).displaced) == leaving


def test_a_skipped_stage_is_flagged_and_allowed() -> None:
    decision = decide(ask(), given(stage="None", been=False))
    assert decision.allowed
    assert decision.warnings == ("version 2 enters Production without having been in Staging",)


def test_a_conflict_names_the_holder_and_both_ways_out() -> None:
    (refusal,) = decide(ask(), given(holders=(1,))).refusals
    assert refusal.message == "Production of 'm' is held by version 1."
    assert refusal.ways_out == (
        "archive version 1 first: greenroom archive m 1",
        "or swap in one step: greenroom promote m 2 --to Production --swap",
    )


def test_a_gate_that_breaks_lets_nothing_through() -> None:
    broken = GateRule("metric", {"name": "auc", "min": "high"})
    stage = replace(STANDARD.get_stage("Production"), gates=(broken,), ungated=False)
    decision = decide(replace(ask(), slot=stage), given(metrics={"auc": 0.9}))
    assert decision.status is ERRORED
    assert [result.verdict for result in decision.gates] == [Verdict.ERRORED]


def test_advice_is_said_and_stops_nothing() -> None:
    advice = GateRule("metric", {"name": "auc", "min": 0.9}, "advisory")
    decision = decide(replace(ask(), slot=replace(STANDARD.get_stage("Production"), gates=(advice,))), given())
    assert decision.status is SUCCEEDED
    assert decision.warnings == ("gate metric (advisory): auc is not recorded yet",)


def test_every_rule_can_refuse() -> None:
    """The table above would not notice a rule that was taken out of RULES; this does."""
    assert [rule.__name__ for rule in RULES] == ["expected_holder", "allowed_source", "not_frozen", "free_slot"]


def tenure(version: int, since: int, *, ended: PromotionKind | None = PROMOTE) -> Tenure:
    return Tenure("m", version, "Production", SlotKind.STAGE, since, since, "ana", until=since + 1, ended_by=ended)


@pytest.mark.parametrize(
    ("newest_first", "holders", "deleted", "target"),
    [
        # the one before the holder
        ([tenure(2, 2), tenure(1, 1)], (2,), (), 1),
        # not "current minus one": the one that really held it
        ([tenure(5, 2), tenure(2, 1)], (5,), (), 2),
        # a second rollback goes further back, not forth again
        ([tenure(2, 4), tenure(3, 3, ended=ROLLBACK), tenure(2, 2), tenure(1, 1)], (2,), (), 1),
        # who was rolled back from long ago and came back well is healthy
        ([tenure(4, 4), tenure(3, 3), tenure(2, 2), tenure(3, 1, ended=ROLLBACK)], (4,), (), 3),
        # deleted versions are passed over
        ([tenure(3, 3), tenure(2, 2), tenure(1, 1)], (3,), (2,), 1),
        # an empty slot: whoever held it last
        ([tenure(3, 3), tenure(2, 2)], (), (), 3),
        # nobody before
        ([tenure(1, 1)], (1,), (), None),
        ([], (), (), None),
    ],
)
def test_where_a_rollback_goes(
    newest_first: list[Tenure], holders: tuple[int, ...], deleted: tuple[int, ...], target: int | None
) -> None:
    assert rollback_target(newest_first, holders, lambda version: version in deleted) == target


def test_a_rollback_reads_no_further_than_it_needs() -> None:
    def tenures() -> object:
        yield tenure(2, 2)
        yield tenure(1, 1)
        raise AssertionError("read on")

    assert rollback_target(tenures(), (2,), lambda _: False) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "slot", "kept"),
    [(STANDARD, "Production", True), (STANDARD, "Staging", False), (MLFLOW, "Production", False)],
)
def test_who_may_be_deleted(policy: Policy, slot: str, kept: bool) -> None:
    refusal = delete_refusal(policy, "m", [Tenure("m", 4, slot, SlotKind.STAGE, 1, 1, None)])
    assert (refusal is not None) is kept
    if refusal is not None:
        assert str(refusal) == (
            "version 4 of 'm' holds Production, which the lifecycle 'standard' protects. "
            "Take it out first: greenroom archive m 4"
        )
