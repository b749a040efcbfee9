"""The guard of tests/conftest.py: sockets of the tests reach this machine only.

Nothing here would leave the machine if the guard were broken: real sockets aim at the unspecified address, which is no
loopback address but stays at home, and addresses elsewhere are only announced to the guard.
"""

from __future__ import annotations

import socket
import sys

import pytest


@pytest.mark.parametrize(
    "reach",
    [
        lambda opened: opened.connect(("0.0.0.0", 9)),
        lambda opened: opened.connect_ex(("0.0.0.0", 9)),
        lambda opened: opened.sendto(b"x", ("0.0.0.0", 9)),
        lambda opened: opened.sendmsg([b"x"], [], 0, ("0.0.0.0", 9)),
        lambda opened: opened.bind(("0.0.0.0", 0)),
        lambda opened: opened.bind(("", 0)),
        lambda _: socket.getaddrinfo("0.0.0.0", 80),
        lambda _: socket.gethostbyname("0.0.0.0"),
    ],
)
def test_real_sockets_ask_the_guard(reach):
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened,
        pytest.raises(RuntimeError, match=r"'(0\.0\.0\.0)?': tests use loopback addresses only"),
    ):
        reach(opened)


@pytest.mark.parametrize(
    ("event", "arguments"),
    [
        ("socket.connect", (None, ("192.0.2.1", 9))),
        ("socket.connect", (None, ("2001:db8::1", 9, 0, 0))),
        ("socket.sendto", (None, ("10.0.0.1", 9))),
        ("socket.getaddrinfo", ("registry.example", 80, 0, 0, 0)),
        ("socket.getaddrinfo", (b"localhost.example", 80, 0, 0, 0)),
        ("socket.gethostbyname", ("127.0.0.1.example",)),
    ],
)
def test_other_machines_are_refused(event, arguments):
    with pytest.raises(RuntimeError, match="tests use loopback addresses only"):
        sys.audit(event, *arguments)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.8.8.8"])
def test_loopback_is_reached(host):
    with socket.create_server((host, 0)) as server, socket.create_connection(server.getsockname(), timeout=5) as client:
        assert client.getpeername() == server.getsockname()
