"""JSON to typed values, strictly, and back."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.core.codec import from_plain, loads_strict, to_plain
from greenroom.core.errors import InvalidInput
from greenroom.core.model import Page, PromotionKind, SlotKind, Tenure
from greenroom.services import commands as c
from greenroom.services.api import BY_NAME

FULL = {
    "model": "m",
    "files": [{"path": "a", "digest": "d", "size_bytes": 1}],
    "metrics": {"auc": 1},
    "parent": {"model": "p", "version": 2},
    "context": {"packages": {"x": "1"}},
}


def test_round_trip() -> None:
    command = from_plain(c.RegisterVersion, FULL)
    assert command.metrics == {"auc": 1.0}
    assert command.files[0].size_bytes == 1
    assert command.parent.version == 2
    assert from_plain(c.RegisterVersion, to_plain(command)) == command


def test_a_generic_page() -> None:
    page = Page((Tenure("m", 1, "s", SlotKind.STAGE, 1, 1, None, ended_by=PromotionKind.ROLLBACK),), "t")
    assert from_plain(Page[Tenure], to_plain(page)) == page


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({}, "missing value for required field 'model'"),
        ({"model": 3}, "model must be a string, got 3"),
        ({"model": None}, "model must be a string, got null"),
        ({"model": "m", "to": "P", "version": "3"}, 'version must be an integer, got "3"'),
        ({"model": "m", "to": "P", "version": True}, "version must be an integer, got true"),
        ({"model": "m", "to": "P", "version": 2**70}, "version must be an integer of 64 bits"),
        ({"model": "m", "to": "P", "swap": 1}, "swap must be true or false, got 1"),
        ({"model": "m", "to": "P", "wat": 1}, "unknown field 'wat'. Known fields: model, to, version"),
        ([], "the body must be an object, got []"),
        ("x", 'the body must be an object, got "x"'),
        (None, "the body must be an object, got null"),
    ],
)
def test_what_does_not_fit_is_named(data: Any, says: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        from_plain(c.Promote, data)
    assert says in str(caught.value)


def test_nested_fields_are_named_by_path() -> None:
    with pytest.raises(InvalidInput, match=r"files\[0\].size_bytes must be an integer"):
        from_plain(c.RegisterVersion, {**FULL, "files": [{"path": "a", "digest": "d", "size_bytes": "x"}]})
    with pytest.raises(InvalidInput, match=r"metrics\.auc must be a number"):
        from_plain(c.RegisterVersion, {**FULL, "metrics": {"auc": "high"}})


def test_a_lenient_reader_ignores_what_it_does_not_know() -> None:
    assert from_plain(c.ModelNamed, {"name": "m", "new": 1}, lenient=True) == c.ModelNamed("m")


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": 1, "a": 2}',
        b"{",
        b"",
        b"\xff",
        b"[" * 100_000,
        b"1" * 10_000,
        "{'a': 1}",
    ],
)
def test_what_is_not_json_is_refused(text: bytes | str) -> None:
    with pytest.raises(InvalidInput):
        loads_strict(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(JSON, st.sampled_from(sorted(BY_NAME)))
def test_no_value_whatsoever_breaks_it(data: Any, name: str) -> None:
    with contextlib.suppress(InvalidInput):
        from_plain(BY_NAME[name].command, data)
