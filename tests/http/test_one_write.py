"""A short answer leaves in one piece, and nothing waits that is not followed by a body."""

from __future__ import annotations

import asyncio
import socket

import pytest

from greenroom.http import one_write
from tests.http.serving import running

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class _Transport:
    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.written.append(b"closed")


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        ([HEAD, b"ok"], [HEAD + b"ok"]),
        ([HEAD, b"", b"ok"], [HEAD, b"ok"]),
        ([b"HTTP/1.1 100 Continue\r\n\r\n"], [b"HTTP/1.1 100 Continue\r\n\r\n"]),
        ([HEAD, b"x" * 70_000], [HEAD, b"x" * 70_000]),
        ([HEAD, b"ok", HEAD, b"ok"], [HEAD + b"ok", HEAD + b"ok"]),
        ([HEAD, None], [HEAD, b"closed"]),
    ],
)
def test_pieces(pieces: list[bytes | None], written: list[bytes]) -> None:
    async def write() -> None:
        transport = _Transport()
        joined = one_write.OneWrite(transport, asyncio.get_running_loop())
        for each in pieces:
            if each is None:
                joined.close()
            else:
                joined.write(each)
        assert transport.written == written
        await asyncio.sleep(0)
        assert transport.written == written

    asyncio.run(write())


def test_a_head_alone_leaves_in_the_next_turn() -> None:
    async def write() -> None:
        transport = _Transport()
        one_write.OneWrite(transport, asyncio.get_running_loop()).write(HEAD)
        assert transport.written == []
        await asyncio.sleep(0)
        assert transport.written == [HEAD]

    asyncio.run(write())


def _first_piece() -> bytes:
    with running() as server:
        host, _, port = server.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as client:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return client.recv(1 << 16)


def test_a_client_is_woken_once() -> None:
    assert _first_piece().endswith(b"\r\n\r\nOK")
