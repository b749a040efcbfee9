"""Sparklines and trees, with letters that every terminal has where it must be."""

from __future__ import annotations

import io

import pytest

from greenroom.cli.signs import Signs, metric_text, signs_of
from greenroom.core.tracking import LARGEST

NAN = None


@pytest.mark.parametrize(
    ("points", "width", "line", "plain"),
    [
        ((), 9, "", ""),
        ((1.0,), 9, "▃", "-"),
        ((1.0, 1.0), 9, "▃▃", "--"),
        ((0.0, 1.0, 2.0, 3.0, 4.0), 9, "▁▂▃▅▇", "_.-=#"),
        ((4.0, 0.0), 9, "▇▁", "#_"),
        (tuple(float(n) for n in range(100)), 5, "▁▂▃▅▇", "_.-=#"),
        ((0.0, NAN, 1.0), 9, "▁x▇", "_x#"),
        ((NAN, NAN), 9, "xx", "xx"),
        ((0.0, LARGEST, -LARGEST, 1.0), 9, "▁▇▁▇", "_#_#"),
        ((LARGEST, LARGEST), 9, "▇▇", "##"),
        ((-1e308, 0.0, 1e308), 9, "▁▃▇", "_-#"),
        ((5e-324, 0.0), 9, "▇▁", "#_"),
    ],
)
def test_sparklines(points: tuple[float | None, ...], width: int, line: str, plain: str):
    assert Signs().sparkline(points, width) == line
    assert Signs(plain=True).sparkline(points, width) == plain


def test_lines_side_by_side_have_one_scale():
    low, high = (0.0, 1.0), (3.0, 4.0)
    assert [Signs().sparkline(each, 9, (*low, *high)) for each in (low, high)] == ["▁▂", "▅▇"]


@pytest.mark.parametrize(
    ("depths", "branches"),
    [
        ((), []),
        ((0,), [""]),
        ((0, 1, 1), ["", "├─ ", "└─ "]),
        ((0, 1, 2, 2, 1), ["", "├─ ", "│  ├─ ", "│  └─ ", "└─ "]),
        ((0, 1, 2, 3), ["", "└─ ", "   └─ ", "      └─ "]),
    ],
)
def test_branches(depths: tuple[int, ...], branches: list[str]):
    assert list(Signs().branches(depths)) == branches
    assert all(each.isascii() for each in Signs(plain=True).branches(depths))


@pytest.mark.parametrize(("encoding", "plain"), [("utf-8", False), ("ascii", True), ("latin-1", True), ("cp437", True)])
def test_what_a_terminal_can_show(encoding: str, plain: bool):
    assert signs_of(io.TextIOWrapper(io.BytesIO(), encoding=encoding)).plain is plain
    assert signs_of(io.StringIO()).plain  # nobody knows


@pytest.mark.parametrize(
    ("value", "text"), [(None, "NaN"), (LARGEST, "inf"), (-LARGEST, "-inf"), (0.5, "0.5"), (1e-9, "1e-09")]
)
def test_metrics_are_told(value: float | None, text: str):
    assert metric_text(value) == text
