"""Connections for reading: so many and no more, and nobody waits for one without end."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from greenroom.core.errors import Unavailable
from greenroom.store.pool import Pool


class _Connection:
    def __init__(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False


def test_connections_are_kept_and_the_last_one_is_taken_first() -> None:
    made: list[Any] = []

    def connect() -> Any:
        made.append(_Connection())
        return made[-1]

    pool = Pool(connect, size=2, wait_s=1)
    with pool.lend() as one, pool.lend() as other:
        assert one is not other
    with pool.lend() as again:
        assert again is one  # it came back last
    pool.close()
    assert [each.is_open for each in made] == [False, False]


def test_who_waits_too_long_is_told_that_the_server_is_busy() -> None:
    pool = Pool(_Connection, size=1, wait_s=0.05)  # type: ignore[arg-type]
    with pool.lend():
        began = time.monotonic()
        with pytest.raises(Unavailable, match="all 1 connections for reading were busy") as caught, pool.lend():
            pass
        assert time.monotonic() - began < 5
    assert (caught.value.retryable, caught.value.details) == (True, {"limit": "readers"})
    with pool.lend():
        pass


def test_a_connection_that_cannot_be_had_costs_no_place() -> None:
    def connect() -> Any:
        raise Unavailable("gone")

    pool = Pool(connect, size=1, wait_s=0.05)
    for _ in range(3):
        with pytest.raises(Unavailable, match="gone"), pool.lend():
            pass


def test_what_is_lent_when_the_pool_closes_is_closed_when_it_comes_back() -> None:
    pool = Pool(_Connection, size=1, wait_s=1)  # type: ignore[arg-type]
    with pool.lend() as lent:
        pool.close()
        assert lent.is_open  # type: ignore[attr-defined]
    assert not lent.is_open  # type: ignore[attr-defined]


def test_many_threads_share_few() -> None:
    size = 3
    guard, busy, most = threading.Lock(), 0, 0
    pool = Pool(_Connection, size=size, wait_s=20)  # type: ignore[arg-type]

    def work() -> None:
        nonlocal busy, most
        for _ in range(200):
            with pool.lend():
                with guard:
                    busy += 1
                    most = max(most, busy)
                with guard:
                    busy -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert most <= size
