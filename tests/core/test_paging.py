"""One row is one sentence: a page token opens only the search it was made for, and only unchanged."""

from __future__ import annotations

import base64
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.core.errors import InvalidInput
from greenroom.core.paging import check_page_size, decode_token, encode_token, page_scope

SECRET, SCOPE = b"k" * 32, page_scope("name = 'a'", "name ASC", "ana")
SCALARS = st.one_of(
    st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none()
)


@given(cursor=st.lists(SCALARS, max_size=5))
@settings(max_examples=100, deadline=None)
def test_a_token_leads_back_to_its_cursor(cursor: list[str | int | float | bool | None]) -> None:
    token = encode_token(SECRET, SCOPE, cursor)
    assert token.replace("-", "").replace("_", "").isalnum()
    assert decode_token(SECRET, SCOPE, token) == cursor


def _refused(token: object, secret: bytes = SECRET, scope: str = SCOPE) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_token(secret, scope, token)
    assert caught.value.message == "Invalid page token, it was not made by this server for this search."


@pytest.mark.parametrize(
    "token",
    ["", "AAAA", "A", "é", "\ud800", "====", None, 5, b"AAAA", "A" * 4096,
     base64.b64encode(b'{"offset": 100}').decode(),  # MLflow's own kind of token
     base64.urlsafe_b64encode(b"\0" * 32 + b"[]").decode()],
)  # fmt: skip
def test_a_token_from_elsewhere_is_refused(token: object) -> None:
    _refused(token)


@pytest.mark.parametrize("count", [4097, 1_000_000])
def test_a_token_over_the_limit_is_refused_unread(count: int) -> None:
    with pytest.raises(InvalidInput, match=f"It has {count} characters\\. At most 4096") as caught:
        decode_token(SECRET, SCOPE, "A" * count)
    assert caught.value.details["limit"] == "page_token"


def test_a_token_is_bound_to_its_secret_and_scope() -> None:
    token = encode_token(SECRET, SCOPE, ["iris", 3])
    _refused(token, secret=b"l" * 32)
    _refused(token, scope=page_scope("name = 'b'", "name ASC", "ana"))
    _refused(token, scope=page_scope("name = 'a'", "name ASC", "bob"))


def test_every_change_of_a_character_is_noticed() -> None:
    token = encode_token(SECRET, SCOPE, ["iris", 3])
    for at, character in enumerate(token):
        for other in "AQgw_-B+/= ":
            if other != character:
                _refused(token[:at] + other + token[at + 1 :])
    for changed in (token[:-1], token + "=", token + "A", " " + token, token + "\n"):
        _refused(changed)


@given(token=st.one_of(st.text(), st.text(alphabet="ABCabc012-_="), st.binary(), st.none()))
@settings(max_examples=200, deadline=None)
def test_no_garbage_is_a_token(token: object) -> None:
    _refused(token)


@pytest.mark.parametrize("cursor", [[math.nan], [math.inf], ["a" * 4000]])
def test_a_cursor_that_cannot_be_a_token_is_our_bug(cursor: list[str | float]) -> None:
    with pytest.raises(ValueError, match=r"."):
        encode_token(SECRET, SCOPE, cursor)


def test_scopes_differ_when_borders_do() -> None:
    assert page_scope("ab", "c") != page_scope("a", "bc") != page_scope("a", "b", "c")


@pytest.mark.parametrize(("value", "size"), [(None, 100), (1, 1), ("7", 7), (1000, 1000), ("1000", 1000)])
def test_a_page_size_is(value: object, size: int) -> None:
    assert check_page_size(value, default=100, maximum=1000) == size


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "Invalid value 0 for parameter 'max_results' supplied. It must be a positive integer"),
        (-1, "Invalid value -1 for parameter 'max_results' supplied. It must be a positive integer"),
        ("abc", "Invalid value abc for parameter 'max_results' supplied. It must be a positive integer"),
        ("٣", "Invalid value ٣ for parameter 'max_results' supplied. It must be a positive integer"),
        (True, "Invalid value True for parameter 'max_results' supplied. It must be a positive integer"),
        (1.0, "Invalid value 1.0 for parameter 'max_results' supplied. It must be a positive integer"),
        (1001, "Invalid value 1001 for parameter 'max_results' supplied. It must be at most 1000"),
        ("1001", "Invalid value 1001 for parameter 'max_results' supplied. It must be at most 1000"),
        (10**5000, "Invalid value an integer of 16610 bits for parameter 'max_results' supplied. "
                   "It must be at most 1000"),
    ],
    ids=lambda _: "",
)  # fmt: skip
def test_no_other_page_size_is_taken(value: object, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_page_size(value, default=100, maximum=1000)
    assert caught.value.message == text
