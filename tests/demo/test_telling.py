"""The parts of the demo that need no server: the drawing, the claims, the harm."""

from __future__ import annotations

import io

import pytest

pytest.importorskip("rich")

from demo.damage import flip_bit, flip_in_text
from demo.story import Story, Untrue
from demo.timeline import PLAIN, Period, timeline


def test_timeline_draws_each_period_where_it_was():
    periods = [
        Period(1, "Staging", 10, 20),
        Period(1, "Production", 20, 30),
        Period(1, "Archived", 30, None),
        Period(2, "Production", 30, None),
    ]
    assert timeline(periods, width=9, shades=PLAIN) == [
        "  version 1  |===###...|",
        "  version 2  |      ###|",
        "             ### Production   === Staging   ... Archived",
    ]


@pytest.mark.parametrize("periods", [[], [Period(1, "None", 1, None)]])
def test_timeline_without_a_shown_stage_is_empty(periods):
    assert timeline(periods) == []


def test_claim_that_does_not_hold_ends_the_story():
    story = Story(io.StringIO())
    story.check(True, "this holds")
    with pytest.raises(Untrue, match=r"(?s)that does not.*instead: 5"):
        story.check(False, "that does not", 5)
    assert story.claims == 1


def test_plain_story_has_no_colour():
    out = io.StringIO()
    story = Story(out)
    story.chapter("One")
    story.command("greenroom list")
    story.output("\x1b[1mbold\x1b[0m")
    assert out.getvalue().split("\n")[1:] == [
        "1. One",
        out.getvalue().split("\n")[2],
        "",
        "    $ greenroom list",
        "      bold",
        "",
    ]


def test_one_bit_is_flipped(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc abc")
    assert flip_bit(path, 1) == "0x62 -> 0x63 at byte 1"
    assert path.read_bytes() == b"acc abc"
    assert flip_in_text(path, "abc") == "0x61 -> 0x60 at byte 4"
    with pytest.raises(Untrue, match="stands in file"):
        flip_in_text(path, "abc")
