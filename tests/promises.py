"""Which promise a test shows: `docs/explanation/promises.md` is made from these marks, so that it cannot lie.

A test that shows a goal of the reliability list carries `@promise("C1", ...)`: how large the test is, in both sizes,
from the very numbers it runs with, and the test that shows that it fails when the protection is taken away.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

SCALE = float(os.environ.get("GREENROOM_NIGHTLY") or 0)
"""How much of the long sizes this run takes: 0 in every run, 1 under `make nightly`, a part of it with SCALE=0.05."""
NIGHTLY = SCALE > 0

_F = TypeVar("_F", bound=Callable[..., Any])
_MARK = "__greenroom_promises__"


class Sized(int):
    """A number with two sizes: of every run, and of the night. As an int it is the one of this run."""

    usual: int
    nightly: int


def sized(usual: int, nightly: int) -> Sized:
    """Return how often, how many or how long: `usual` in every run, `nightly` (or SCALE of it) under `make nightly`."""
    number = Sized(max(usual, round(nightly * SCALE)) if usual <= nightly else usual)
    number.usual, number.nightly = usual, nightly
    return number


@dataclass(frozen=True)
class Shown:
    """One mark: the goal's id, the size in words for every run, for the night and for this run, the mutant checks."""

    goal: str
    usual: str
    nightly: str
    now: str
    mutants: tuple[str, ...]
    waiting: str | None


def promise(
    goal: str, size: str, *, mutant: str | tuple[str, ...] = (), waiting: str | None = None, **numbers: int
) -> Callable[[_F], _F]:
    """Mark a test as the one that shows `goal` (an id of `tests/goals.py`).

    `size` is a sentence with places `{name}`, filled from `numbers`, which are the constants the test runs with.
    `mutant` names the tests that take the protection away and see this check fail: `test_name` of the same file or
    `tests/folder/test_file.py::test_name`. `waiting` says what of the goal is not shown yet, and why.
    """
    mutants = (mutant,) if isinstance(mutant, str) else tuple(mutant)
    sizes = (_said(size, numbers, which) for which in ("usual", "nightly", "now"))
    shown = Shown(goal, *sizes, mutants, waiting)

    def mark(test: _F) -> _F:
        setattr(test, _MARK, (*promises_of(test), shown))
        return test

    return mark


def promises_of(test: Any) -> tuple[Shown, ...]:
    """Return the marks of a test function; none is an empty tuple."""
    found: tuple[Shown, ...] = getattr(test, _MARK, ())
    return found


def _said(size: str, numbers: dict[str, int], which: str) -> str:
    return size.format(
        **{name: f"{getattr(value, which, value):,}".replace(",", " ") for name, value in numbers.items()}
    )
