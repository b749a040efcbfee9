"""The gate types: one row is one judgement."""

from __future__ import annotations

from typing import Any

import pytest

from greenroom import gates as _registered
from greenroom.core.errors import InvalidInput
from greenroom.core.gates import GateInput, GateRule, gate, gate_type, gate_types, judge_all
from greenroom.core.model import SlotKind, Tenure, Verdict

assert _registered
PASSED, FAILED, PENDING, ERRORED = Verdict.PASSED, Verdict.FAILED, Verdict.PENDING, Verdict.ERRORED
HOUR = 3_600_000
SOAKED = Tenure("m", 1, "Staging", SlotKind.STAGE, 1, 0, None)
NOT_WORSE = {"name": "auc", "not_worse_than_holder_by": 0.01, "higher_is_better": True}


def facts(**more: Any) -> GateInput:
    return GateInput(**{"version": 1, "digest": "d", "stage": "Staging", "now": 2 * HOUR, **more})


@pytest.mark.parametrize(
    ("kind", "params", "given", "verdict"),
    [
        ("artifact_pinned", {}, facts(), PASSED),
        ("artifact_pinned", {}, facts(digest=None), FAILED),
        ("metric", {"name": "auc", "min": 0.9}, facts(metrics={"auc": 0.9}), PASSED),
        ("metric", {"name": "auc", "min": 0.9}, facts(metrics={"auc": 0.89}), FAILED),
        ("metric", {"name": "auc", "min": 0.9}, facts(), PENDING),
        ("metric", {"name": "auc", "min": 0.9}, facts(metrics={"auc": float("nan")}), FAILED),
        ("metric", {"name": "loss", "max": 1}, facts(metrics={"loss": 1.5}), FAILED),
        ("metric", NOT_WORSE, facts(metrics={"auc": 0.9}), PASSED),  # nobody holds the slot
        ("metric", NOT_WORSE, facts(metrics={"auc": 0.9}, holder=2, holder_metrics={"auc": 0.905}), PASSED),
        ("metric", NOT_WORSE, facts(metrics={"auc": 0.9}, holder=2, holder_metrics={"auc": 0.92}), FAILED),
        ("metric", NOT_WORSE, facts(metrics={"auc": 0.9}, holder=2), PENDING),
        (
            "metric",
            {**NOT_WORSE, "higher_is_better": False},
            facts(metrics={"auc": 0.9}, holder=2, holder_metrics={"auc": 0.92}),
            PASSED,
        ),
        ("metric", {"name": "auc", "min": 0.9}, facts(metrics={"auc": "high"}), ERRORED),
        ("min_time_in", {"stage": "staging", "hours": 2}, facts(tenures=(SOAKED,)), PASSED),
        ("min_time_in", {"stage": "Staging", "hours": 3}, facts(tenures=(SOAKED,)), PENDING),
        ("min_time_in", {"stage": "Staging", "hours": 1}, facts(), PENDING),
        (
            "required_fields",
            {"fields": ["description", "metric:auc", "param:C", "tag:owner", "git_commit", "datasets"]},
            facts(
                description="x", metrics={"auc": 0.0}, params={"C": ""}, tags={"owner": "a"}, git_commit="c", datasets=1
            ),
            PASSED,
        ),
        ("required_fields", {"fields": ["description", "tag:owner"]}, facts(tags={"owner": ""}), PENDING),
    ],
)
def test_judgement(kind: str, params: dict[str, Any], given: GateInput, verdict: Verdict) -> None:
    (result,) = judge_all([GateRule(kind, params)], given)
    assert result.verdict is verdict, result.message


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("artifact_pinned", {"x": 1}),
        ("metric", {}),
        ("metric", {"name": "auc"}),
        ("metric", {"name": "auc", "min": "0.9"}),
        ("metric", {"name": "auc", "min": True}),
        ("metric", {"name": "auc", "min": float("inf")}),
        ("metric", {"name": "auc", "not_worse_than_holder_by": 0.1}),
        ("metric", {"name": "auc", "not_worse_than_holder_by": -1, "higher_is_better": True}),
        ("metric", {"name": "auc", "minimum": 1}),
        ("min_time_in", {"stage": "Staging"}),
        ("min_time_in", {"stage": "Staging", "hours": 0}),
        ("required_fields", {"fields": []}),
        ("required_fields", {"fields": ["colour"]}),
        ("required_fields", {"fields": ["metric:"]}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(kind: str, params: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=f"gate {kind}"):
        gate_type(kind).check(params)


def test_an_unknown_type_names_the_known_ones() -> None:
    with pytest.raises(InvalidInput, match="Known gate types: artifact_pinned, metric, min_time_in, required_fields"):
        gate_type("magic")


def test_a_second_type_of_the_same_name_is_our_bug() -> None:
    with pytest.raises(ValueError, match="registered twice"):
        gate(gate_types()[0], check=lambda params: None)(lambda given, params: None)  # type: ignore[arg-type, return-value]
