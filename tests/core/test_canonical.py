"""The canonical text: one for every value, none for what is not plain data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.core.canonical import MAX_DEPTH, canonical, canonical_plain, canonical_text, with_list


class Word(StrEnum):
    ONE = "one"


class Number(IntEnum):
    TWO = 2


@dataclass(frozen=True)
class Inner:
    size_bytes: int


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    missing: str | None = None


@dataclass
class Changeable:
    name: str


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (0, "0"),
        (-12, "-12"),
        (2**70, "1180591620717411303424"),
        (1.0, "1.0"),  # not 1: a measure stays a measure
        (0.1, "0.1"),
        (1e16, "1e+16"),
        (5e-324, "5e-324"),
        (-0.0, "0.0"),  # equal numbers have one text
        (math.nan, '"NaN"'),
        (math.inf, '"Infinity"'),
        (-math.inf, '"-Infinity"'),
        ("", '""'),
        ('a"b\\c/d', '"a\\"b\\\\c/d"'),
        ("\x00\x1f\t\n\x7f", '"\\u0000\\u001f\\t\\n\x7f"'),
        ("é 漢 🦆 \u2028", '"é 漢 🦆 \u2028"'),  # nothing escaped that JSON lets stand
        ([], "[]"),
        ((1, [2]), "[1,[2]]"),
        ({}, "{}"),
        ({"b": 1, "a": {"d": 2, "c": None}}, '{"a":{"c":null,"d":2},"b":1}'),
        ({"\uff61": 1, "\U0001f600": 2}, '{"\uff61":1,"\U0001f600":2}'),  # by code point, not by UTF-16 unit
        (MappingProxyType({"a": 1}), '{"a":1}'),
        (Word.ONE, '"one"'),
        (Number.TWO, "2"),
        ({Word.ONE: 1}, '{"one":1}'),
        (Outer("n", Inner(3)), '{"inner":{"size_bytes":3},"name":"n"}'),  # an unknown field is left out
        (Outer("n", Inner(3), ""), '{"inner":{"size_bytes":3},"missing":"","name":"n"}'),  # an empty one is not
    ],
)
def test_the_text_of_a_value(value: object, text: str) -> None:
    assert canonical(value) == text.encode()


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("\ud800", "lone surrogate"),
        ({"\udfff": 1}, "lone surrogate"),
        (b"bytes", "no canonical form for a bytes"),
        ({1, 2}, "no canonical form for a set"),
        (object(), "no canonical form for a object"),
        (Outer, "no canonical form for a type"),
        (Changeable("x"), "no canonical form for a Changeable"),  # its text could go stale
        ({1: "x"}, "a key must be text, not int: 1"),
        ({None: "x"}, "a key must be text, not NoneType: None"),
        (endless(), f"nested deeper than {MAX_DEPTH} levels"),
    ],
)
def test_what_is_not_plain_data_is_our_bug(value: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical(value)


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(PLAIN)
def test_it_says_the_same_as_the_standard_encoder_and_is_its_own_fixed_point(value: Any) -> None:
    """Mutant check: leaving out the sorting, or writing floats with `:g`, fails here."""
    text = canonical(value)
    plain = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert json.loads(text) == value
    assert canonical(json.loads(text)) == text
    assert text == plain.encode() or "-0.0" in plain


NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False).map(lambda number: number or 0.0)
ROWS = st.dictionaries(st.text(), st.none() | st.booleans() | NUMBERS | st.text(), max_size=6)


@given(st.lists(ROWS, max_size=4), ROWS.map(lambda row: {f"f{key}": value for key, value in row.items()}))
def test_the_fast_ways_give_the_same_text(changes: list[dict[str, object]], fields: dict[str, object]) -> None:
    """The audit log's bodies are written by these two; a difference would make state and log disagree."""
    try:
        expected = canonical_text({**fields, "changes": changes})
    except ValueError:
        return  # lone surrogates: refused there, never given to these
    assert with_list(fields, "changes", [canonical_plain(change) for change in changes]) == expected
