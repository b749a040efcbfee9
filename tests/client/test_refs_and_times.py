"""How people name versions and dates."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime

import pytest

from greenroom.client.refs import Ref, parse_ref
from greenroom.client.times import parse_at
from greenroom.core.errors import InvalidInput


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("churn@3", Ref("churn", version=3)),
        ("churn@Production", Ref("churn", name="Production")),
        ("churn@latest", Ref("churn", latest=True)),
        ("churn@@champion", Ref("churn", alias="champion")),
        ("a@b@Staging", Ref("a@b", name="Staging")),
        ("models:/churn/3", Ref("churn", version=3)),
        ("models:/churn/Production", Ref("churn", name="Production")),
        ("models:/churn/latest", Ref("churn", latest=True)),
        ("models:/churn@champion", Ref("churn", alias="champion")),
        ("models:/my%20model/2", Ref("my model", version=2)),
    ],
)
def test_ref(text, ref):
    assert parse_ref(text) == ref


@pytest.mark.parametrize(
    "text",
    ["churn", "@3", "churn@", "churn@0", "churn@-1", "churn@٣", "models:/", "models:/a", "models:/a/b/c", "a/b@3", ""],
)
def test_what_names_no_version(text):
    with pytest.raises(InvalidInput):
        parse_ref(text)


MOMENT = 1_795_255_200_000  # 2026-11-21T10:00:00Z


@pytest.mark.parametrize(
    "at",
    [
        MOMENT, str(MOMENT), "2026-11-21T10:00:00Z", "2026-11-21T12:00:00+02:00", " 2026-11-21 10:00:00+00:00 ",
        datetime(2026, 11, 21, 10, tzinfo=UTC),
    ],
)  # fmt: skip
def test_a_moment(at):
    assert parse_at(at) == MOMENT


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="the zone can be set on POSIX only")
@pytest.mark.parametrize(
    ("at", "hours"),
    [
        ("2026-11-21 10:00", 5),
        ("2026-11-21T10:00:00", 5),
        ("2026-11-21", -5),
        (date(2026, 11, 21), -5),
        (datetime(2026, 11, 21, 10), 5),  # noqa: DTZ001
    ],
)
def test_without_a_zone_it_is_local_time(monkeypatch, at, hours):
    monkeypatch.setenv("TZ", "EST5")
    time.tzset()
    try:
        assert parse_at(at) == MOMENT + hours * 3_600_000
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("at", ["", "yesterday", "20261121", "1795255200", "2026-13-01", -1, True, "9" * 40, 1 << 60])
def test_no_date(at):
    with pytest.raises(InvalidInput) as caught:
        parse_at(at)
    assert caught.value.message.endswith("is not a date.")
    assert "2026-11-21 10:00" in (caught.value.hint or "")
