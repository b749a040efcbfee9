"""Addresses that are their own permission: one value changed, or a moment too late, and they are worth nothing."""

from __future__ import annotations

import pytest

from greenroom.core.errors import Forbidden
from greenroom.core.presigned import address_key, check_seal, seal

KEY = address_key(b"secret")
GIVEN = ("part", "ab", 7)
SEAL = seal(KEY, *GIVEN, until=1000)


def test_a_seal_holds_until_its_end() -> None:
    for now in (0, 999):
        check_seal(KEY, SEAL, *GIVEN, until=1000, now=now)
    with pytest.raises(Forbidden, match="is over"):
        check_seal(KEY, SEAL, *GIVEN, until=1000, now=1000)


@pytest.mark.parametrize(
    ("key", "given", "named", "until"),
    [
        (KEY, SEAL, ("part", "ab", 8), 1000),
        (KEY, SEAL, ("part", "ac", 7), 1000),
        (KEY, SEAL, ("part", "ab", "7"), 1000),
        (KEY, SEAL, ("file", "ab", 7), 1000),
        (
            KEY,
            SEAL,
            (
                "part",
                "ab7",
            ),
            1000,
        ),
        (KEY, SEAL, ("part", "ab", 7), 1001),
        (address_key(b"another"), SEAL, GIVEN, 1000),
        (b"secret", SEAL, GIVEN, 1000),
        (KEY, SEAL[:-1], GIVEN, 1000),
        (KEY, SEAL + "=", GIVEN, 1000),
        (KEY, "", GIVEN, 1000),
        (KEY, "\udcff", GIVEN, 1000),
        (KEY, "é", GIVEN, 1000),
    ],
)
def test_another_value_is_another_seal(key: bytes, given: str, named: tuple[str | int, ...], until: int) -> None:
    with pytest.raises(Forbidden, match="not made by this server"):
        check_seal(key, given, str(named[0]), *named[1:], until=until, now=0)


def test_the_borders_between_values_count() -> None:
    assert seal(KEY, "p", "a", "bc", until=1) != seal(KEY, "p", "ab", "c", until=1)
