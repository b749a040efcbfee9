"""Lifecycle documents: what is read, and every problem with its line."""

from __future__ import annotations

import pytest

from greenroom import gates as _registered
from greenroom.core.document import MAX_DOCUMENT_BYTES, parse_policy, read_policy
from greenroom.core.errors import InvalidInput
from greenroom.core.gates import GateRule
from greenroom.core.model import Binding
from greenroom.core.presets import PRESETS
from greenroom.core.toml_lines import key_lines, line_of

assert _registered
HEAD = 'lifecycle = "x"\n'
TWO = HEAD + '[[stage]]\nname = "None"\n[[stage]]\nname = "Archived"\n'


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_good_document(name: str) -> None:
    policy = parse_policy(PRESETS[name])
    assert policy.name == name
    assert [stage.name for stage in policy.stages] == ["None", "Staging", "Production", "Archived"]
    assert policy.initial.name == "None"
    assert policy.archive is not None
    assert policy.archive.name == "Archived"


def test_presets_differ_in_what_the_design_says() -> None:
    rules = {
        name: (stage.exclusive, stage.occupied, stage.protected, stage.sources, [gate.type for gate in stage.gates])
        for name, stage in ((name, parse_policy(text).get_stage("production")) for name, text in PRESETS.items())
    }
    assert rules == {
        "standard": (True, "conflict", True, None, []),
        "guarded": (True, "conflict", True, ("Staging",), ["artifact_pinned", "required_fields"]),
        "mlflow": (False, "allow", False, None, []),
    }


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('lifecycle = "x"\nstage = [', 2, "not a TOML document"),
        (HEAD, None, "needs at least one [[stage]]"),
        (TWO.replace('"x"', '"X y"'), 1, "`lifecycle` must name"),
        (TWO + "color = 1\n", 6, "unknown key `color`"),
        (TWO + "colour.x = 1\n", 6, "unknown key `colour`"),
        ("speed = 3\n" + TWO, 1, "unknown key `speed`"),
        (TWO + '[[stage]]\nname = "P"\ncapacity = "two"\n', 8, "`capacity` must be one of one, many"),
        (TWO + '[[stage]]\nname = "P"\ncapacity = "one"\n', 6, "lists no [[stage.gate]]"),
        (TWO + '[[stage]]\nname = "ARCHIVED"\n', 7, "is there twice"),
        (TWO + '[[stage]]\nname = "Ａrchived"\n', 7, "is there twice"),
        (TWO + '[[stage]]\nname = "3"\n', 7, "This name is reserved"),
        (TWO + '[[stage]]\nname = ""\n', 7, ""),
        (TWO + '[[stage]]\nname = "P"\nprotected = "yes"\n', 8, "`protected` must be true or false"),
        (TWO + '[[stage]]\nname = "P"\nfrom = ["Nowhere"]\n', 8, "names 'Nowhere', which is no stage"),
        (TWO + '[[stage]]\nname = "P"\nafter = "Q"\n', 8, "`after` names 'Q'"),
        (TWO + '[[stage]]\nname = "P"\n[[stage.gate]]\ntype = "magic"\n', 8, "there is no gate type 'magic'"),
        (TWO + '[[stage]]\nname = "P"\n[[stage.gate]]\ntype = "metric"\n', 8, "gate metric needs `name`"),
        (TWO + '[[stage]]\nname = "P"\n[[stage.gate]]\nlevel = "hard"\n', 8, "a gate needs `type`"),
        (
            TWO + "[[freeze]]\nfrom = 2026-12-24T00:00:00Z\nuntil = 2026-12-23T00:00:00Z\n",
            8,
            "must end after it begins",
        ),
        (TWO + '[[freeze]]\nfrom = "soon"\nuntil = 2026-12-23T00:00:00Z\n', 7, "must be a date and time"),
        (HEAD + '[[stage]]\nname = "A"\ncapacity = "one"\nungated = true\n', 2, "needs a stage for whom it displaces"),
        (HEAD + 'applies_to = ["tag:x"]\n' + TWO[len(HEAD) :], 2, "write a tag as tag:KEY=VALUE"),
        (HEAD + 'applies_to = ["tag:../x=1"]\n' + TWO[len(HEAD) :], 2, "Invalid tag key '../x'"),
        (HEAD + 'applies_to = ["a\\u0000"]\n' + TWO[len(HEAD) :], 2, "no model name matches the pattern 'a\\x00'"),
        (HEAD + f"applies_to = {['a'] * 1001}\n" + TWO[len(HEAD) :], 2, "has 1001 rules; at most 1000"),
        (HEAD + 'applies_to = ["*"]\n' + TWO[len(HEAD) :], 2, "greenroom lifecycle use x"),
        ("stage = 3\n" + HEAD, 1, "`stage` must be a list"),
    ],
)
def test_problems_name_their_line(text: str, line: int | None, says: str) -> None:
    policy, problems = read_policy(text)
    assert policy is None
    assert any(problem.line == line and says in problem.message for problem in problems), problems


def test_all_problems_are_told_and_the_error_carries_them() -> None:
    text = TWO + 'colour = 1\n[[stage]]\nname = "P"\ncapacity = "two"\n'
    with pytest.raises(InvalidInput) as caught:
        parse_policy(text)
    assert "2 problems: line 6: unknown key `colour`" in str(caught.value)
    assert [problem["line"] for problem in caught.value.details["problems"]] == [6, 9]


def test_a_stage_may_name_the_one_it_stands_behind() -> None:
    policy = parse_policy(PRESETS["standard"] + '\n[[stage]]\nname = "Validation"\nafter = "Staging"\n')
    assert [stage.name for stage in policy.stages] == ["None", "Staging", "Validation", "Production", "Archived"]


def test_gates_freezes_aliases_and_bindings_are_read() -> None:
    policy = parse_policy(
        'lifecycle = "risk"\napplies_to = ["fraud-*", "tag:team=risk"]\n'
        + TWO[len(HEAD) :]
        + '[[stage]]\nname = "Live"\ncapacity = "one"\n'
        + '[[stage.gate]]\ntype = "metric"\nname = "auc"\nmin = 0.9\nlevel = "hard"\n'
        + '[[alias]]\nname = "champion"\nprotected = true\nungated = true\n'
        + "[[freeze]]\nfrom = 2026-12-24T00:00:00Z\nuntil = 2026-12-27T00:00:00\n"
        + 'stages = ["live"]\nreason = "holidays"\n'
    )
    assert policy.get_stage("live").gates == (GateRule("metric", {"name": "auc", "min": 0.9}, "hard"),)
    assert policy.bindings == (Binding("risk", pattern="fraud-*"), Binding("risk", tag="team=risk"))
    assert policy.find_alias("champion").protected
    assert not policy.find_alias("other").protected
    (freeze,) = policy.freezes
    assert freeze.stages == ("Live",)
    assert freeze.until - freeze.since == 3 * 24 * 3600 * 1000


@pytest.mark.parametrize(
    "text", ["\x00", "[" * 5000, "a = " + "[" * 3000, "=" * 100, "é" * 10, "\ud800", "a" * (MAX_DOCUMENT_BYTES + 1)]
)
def test_rubbish_is_a_problem_and_never_more(text: str) -> None:
    policy, problems = read_policy(text)
    assert policy is None
    assert problems


def test_lines_of_keys_inside_arrays_and_multi_line_texts() -> None:
    text = 'a = """\nb = 1\n"""\n[[s]]\nname = 1\n[[s.g]]\nt = 1\n[[s]]\nname = 2\n[[s.g]]\nt = 2\n'
    lines = key_lines(text)
    assert ("b",) not in lines
    assert lines["s", 1, "g", 0, "t"] == 11
    assert line_of(lines, ("s", 1, "unknown")) == 8
    assert line_of(lines, ("nothing",)) is None


@pytest.mark.parametrize(
    "rule", ['capacity = "one"\nungated = true', 'from = ["Archived"]', '[[stage.gate]]\ntype = "artifact_pinned"']
)
def test_versions_can_always_begin(rule: str) -> None:
    """The first stage takes every new version; a rule that could keep one out would make registering fail."""
    policy, problems = read_policy(HEAD + f'[[stage]]\nname = "None"\n{rule}\n[[stage]]\nname = "Archived"\n')
    assert policy is None
    assert "'None' is where versions begin" in problems[0].message
