"""Which version is meant when none is named."""

from __future__ import annotations

import math

import pytest

from greenroom.core.binding import lifecycle_for, with_binding, with_document
from greenroom.core.choosing import Best, choose_best, choose_candidate, parse_best, source_stage
from greenroom.core.document import parse_policy
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import Binding
from greenroom.core.presets import STANDARD

POLICY = parse_policy(STANDARD)


@pytest.mark.parametrize(
    ("text", "best"),
    [
        ("auc", Best("auc", True, False)),
        ("auc:max", Best("auc", True, True)),
        ("auc:min", Best("auc", False, True)),
        ("val_loss", Best("val_loss", False, False)),
        ("test/rmse", Best("test/rmse", False, False)),
        ("a:b:max", Best("a:b", True, True)),
        ("closeness", Best("closeness", True, False)),  # a word of its own, not a part of one
    ],
)
def test_a_metric_and_its_direction(text: str, best: Best) -> None:
    assert parse_best(text) == best


@pytest.mark.parametrize("text", ["", " ", ":max", ":", "auc:"])
def test_no_metric_is_named(text: str) -> None:
    with pytest.raises(InvalidInput, match="names no metric"):
        parse_best(text)


@pytest.mark.parametrize(
    ("best", "values", "version"),
    [
        ("auc:max", {1: 0.8, 2: 0.9, 3: 0.7}, 2),
        ("loss:min", {1: 0.8, 2: 0.9, 3: 0.7}, 3),
        ("auc:max", {1: 0.9, 2: 0.9}, 2),  # of equals the newest
        ("auc:max", {1: math.nan, 2: 0.1}, 2),  # what is not finite is not best
        ("auc:max", {1: math.inf, 2: 0.1}, 2),
        ("auc:max", {1: None, 2: 0.1}, 2),
    ],
)
def test_the_best(best: str, values: dict[int, float | None], version: int) -> None:
    assert choose_best(parse_best(best), values).version == version


def test_the_choice_says_why() -> None:
    because = choose_best(parse_best("auc"), {1: 0.5, 2: None}).because
    inferred = "(direction inferred from the name; say auc:min or :max to be sure)"
    assert because == f"highest auc = 0.5 of 1 version, 1 without it {inferred}"


def test_a_metric_nobody_recorded() -> None:
    with pytest.raises(NotFound, match="no version has recorded the metric 'auc'"):
        choose_best(parse_best("auc"), {1: None})


def test_the_newest_waiting_in_the_first_stage_is_meant() -> None:
    assert choose_candidate(POLICY, POLICY.initial, [1, 3, 2], model="m").version == 3


def test_several_in_a_later_stage_are_ambiguous_and_named() -> None:
    with pytest.raises(InvalidInput, match="several versions of 'm' are in Staging: 2, 5") as caught:
        choose_candidate(POLICY, POLICY.get_stage("Staging"), [5, 2], model="m")
    assert caught.value.details["candidates"] == [2, 5]


def test_nobody_waits() -> None:
    with pytest.raises(NotFound, match="no version of 'm' is in Staging"):
        choose_candidate(POLICY, POLICY.get_stage("Staging"), [], model="m")


def test_nothing_comes_before_the_first_stage() -> None:
    assert source_stage(POLICY, POLICY.get_stage("Production")).name == "Staging"
    with pytest.raises(InvalidInput, match="no stage comes before None"):
        source_stage(POLICY, POLICY.initial)


RULES = [Binding("risk", pattern="fraud-*"), Binding("team", tag="team=a"), Binding("standard", pattern="*")]


@pytest.mark.parametrize(
    ("name", "tags", "lifecycle"),
    [
        ("fraud-1", {}, "risk"),
        ("Fraud-1", {}, "standard"),
        ("x", {"team": "a"}, "team"),
        ("fraud-1", {"team": "a"}, "risk"),
        ("x", {"team": "b"}, "standard"),
    ],
)
def test_the_first_binding_that_matches_wins(name: str, tags: dict[str, str], lifecycle: str) -> None:
    assert lifecycle_for(name, tags, RULES) == lifecycle


def test_a_new_binding_comes_before_the_default_and_replaces_its_own_rule() -> None:
    assert with_binding(RULES, Binding("x", pattern="b*")) == [*RULES[:2], Binding("x", pattern="b*"), RULES[2]]
    assert with_binding(RULES, Binding("x", pattern="fraud-*")) == [Binding("x", pattern="fraud-*"), *RULES[1:]]
    assert with_binding(RULES, Binding("guarded", pattern="*")) == [*RULES[:2], Binding("guarded", pattern="*")]
    assert with_binding([], Binding("standard", pattern="*")) == [Binding("standard", pattern="*")]


def test_a_document_replaces_the_rules_it_stated_and_leaves_all_others() -> None:
    loans, before = Binding("risk", pattern="loan-*"), [Binding("risk", pattern="fraud-*")]
    assert with_document(RULES, "risk", [loans], before) == [RULES[1], loans, RULES[2]]
    assert with_document(RULES, "risk", [], before) == RULES[1:]
    assert with_document(RULES, "standard", [], []) == RULES
    assert with_document(RULES, "risk", [], []) == RULES  # bound by somebody, not by the document: a revision keeps it
    assert with_document(RULES, "risk", [loans], []) == [*RULES[:2], loans, RULES[2]]
    assert with_document(RULES, "risk", [], [Binding("risk", tag="team=a")]) == RULES  # by now it is another's rule
    assert with_document(RULES, "team", [RULES[0]], []) == [RULES[1], RULES[0], RULES[2]]
