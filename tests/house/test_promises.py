"""Every promise is shown by a test that is there, and every mutant check that is named is there too."""

from __future__ import annotations

import pytest

from tests.house.source import expect_none
from tests.promises import Sized, promise, promises_of, sized
from tools.pages import promises as page


def test_every_goal_is_shown_or_says_what_it_waits_for():
    expect_none(page.complaints(), "a promise without a test")


def test_a_mark_says_both_sizes():
    rounds = Sized(7)
    rounds.usual, rounds.nightly = 200, 20_000

    @promise("C1", "{rounds} rounds of {many}", rounds=rounds, many=8, mutant="test_x")
    def shows() -> None: ...

    (mark,) = promises_of(shows)
    assert (mark.usual, mark.nightly, mark.now) == ("200 rounds of 8", "20 000 rounds of 8", "7 rounds of 8")


def test_a_size_is_never_smaller_at_night():
    assert sized(200, 20_000) >= 200


@pytest.mark.parametrize(
    ("goal", "mutant", "complaint"),
    [
        ("Z9", (), "does not know"),
        ("C1", ("test_that_is_not_there",), "is not there"),
        ("C1", ("tests/core/test_none.py::test_x",), "is not there"),
        ("F3", (), "still says that it waits"),
    ],
)
def test_a_bad_mark_is_seen(monkeypatch, goal, mutant, complaint):
    @promise(goal, "once", mutant=mutant)
    def shows() -> None: ...

    (shown,) = promises_of(shows)
    marks = (*page.marked(), page.Marked("tests/house/test_promises.py", "shows", shown))
    monkeypatch.setattr(page, "marked", lambda: marks)
    assert [each for each in page.complaints() if complaint in each]
