"""Long answers, made and encoded a piece at a time, so that whoever else asks gets a turn in between.

A run may have a hundred thousand metrics, and the encoder lets nobody in until it is done, on whatever thread it works.
A piece on the event loop holds a look-up up for the length of that piece; a thread would for 5 ms at every turn.
Source: design, section 6 (nothing holds up a look-up).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from greenroom.http.problem import JSONAnswer, json_bytes

AT_ONCE: Final = 200
"""Small items of a list, such as points of a metric, that make one piece."""

TURN_S = 0.001  # then others get theirs
JOINED_BYTES = 1 << 20  # more is put together on a thread, which does not need the interpreter for it


@dataclass(frozen=True)
class Long:
    """A list that is rendered when it is written, `at_once` items at a time; empty ones are false."""

    items: Sequence[Any]
    render: Callable[[Any], Any]
    at_once: int = AT_ONCE

    def __len__(self) -> int:
        return len(self.items)


def listed(items: Sequence[Any], render: Callable[[Any], Any], at_once: int = AT_ONCE) -> list[Any] | Long:
    """Return the rendered items: now if they are one piece, else when they are written."""
    return [render(each) for each in items] if len(items) <= at_once else Long(items, render, at_once)


async def answer(body: Mapping[str, Any]) -> Response:
    """Return the answer with `body`, in whose values (of values) a `Long` may stand for a list."""
    if not _is_long(body):
        return JSONAnswer(json_bytes(body))
    made: list[bytes] = []
    size_bytes, began = 0, time.perf_counter()
    for piece in pieces(body):
        made.append(piece)
        size_bytes += len(piece)
        if time.perf_counter() - began > TURN_S:
            await asyncio.sleep(0)
            began = time.perf_counter()
    if size_bytes <= JOINED_BYTES:
        return JSONAnswer(b"".join(made))
    return JSONAnswer(await asyncio.to_thread(b"".join, made))


def pieces(value: Any) -> Iterator[bytes]:
    """Yield the JSON of a value; together the pieces are what `json_bytes` makes of it, its lists rendered."""
    if isinstance(value, Long):
        yield from _items(value)
    elif _is_long(value):
        between = b"{"
        for key, each in value.items():
            yield between + json_bytes(key) + b":"
            yield from pieces(each)
            between = b","
        yield b"}"
    else:
        yield json_bytes(value)


def _items(long: Long) -> Iterator[bytes]:
    between = b"["
    for start in range(0, len(long.items), long.at_once):
        made = [long.render(each) for each in long.items[start : start + long.at_once]]
        if not any(map(_is_long, made)):
            yield between + json_bytes(made)[1:-1]
            between = b","
            continue
        for each in made:
            yield between
            yield from pieces(each)
            between = b","
    yield b"]" if long.items else b"[]"


def _is_long(value: Any) -> bool:
    return isinstance(value, Long) or (isinstance(value, dict) and any(map(_is_long, value.values())))
