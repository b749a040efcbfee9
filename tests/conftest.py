"""What every test gets: sockets that reach nothing but this machine."""

from __future__ import annotations

import ipaddress
import sys
from typing import Any

from tests.figures import pytest_configure

__all__ = ["pytest_configure"]
_LOCAL_NAMES = {"localhost", "ip6-localhost"}
_ADDRESS_AT = {"socket.connect": 1, "socket.bind": 1, "socket.sendto": 1, "socket.sendmsg": 1}
_HOST_AT = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.gethostbyaddr": 0}


class NotLoopback(RuntimeError):
    """A test reached for another machine, or offered a socket to one."""


def is_loopback(host: object) -> bool:
    """Return whether `host` (a name, an address or None) means this machine and no other."""
    if isinstance(host, bytes):
        host = host.decode("ascii", "replace")
    if host is None or host in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


def refuse_other_machines(event: str, arguments: tuple[Any, ...]) -> None:
    """Audit hook: raise NotLoopback before a socket of this process leaves the machine. Unix sockets never do.

    A hook and not a patched class, so that C code which opens sockets through CPython is held as well.
    """
    if event in _ADDRESS_AT:
        address = arguments[_ADDRESS_AT[event]]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event in _HOST_AT:
        host = arguments[_HOST_AT[event]]
    else:
        return
    if not is_loopback(host):
        raise NotLoopback(f"{event} to {host!r}: tests use loopback addresses only")


sys.addaudithook(refuse_other_machines)
