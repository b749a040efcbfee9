"""Addresses that are their own permission: sealed by the server, for one thing and for a short time.

A seal is an HMAC-SHA256 over what the address is for, every value that it names, and when it ends. Nobody without the
server's secret can make one or change a value in one. Pure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json

from greenroom.core.errors import Forbidden

_LABEL = b"greenroom presigned address 1"


def address_key(secret: bytes) -> bytes:
    """Return the key of addresses, which is of no use for anything else that the server seals with `secret`."""
    return hmac.digest(secret, _LABEL, "sha256")


def seal(key: bytes, purpose: str, *values: str | int, until: int) -> str:
    """Return the seal of an address for `purpose` that names `values` and ends at `until` (UTC milliseconds)."""
    message = json.dumps([purpose, *values, until], ensure_ascii=True).encode()
    return base64.urlsafe_b64encode(hmac.digest(key, message, hashlib.sha256)).rstrip(b"=").decode()


def check_seal(key: bytes, given: str, purpose: str, *values: str | int, until: int, now: int) -> None:
    """Raise Forbidden unless `given` is that seal and the time `now` is before its end."""
    expected = seal(key, purpose, *values, until=until)
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "surrogatepass")):
        raise Forbidden("This address was not made by this server, or was changed.", hint="Ask for a new one.")
    if now >= until:
        raise Forbidden("The time of this address is over.", hint="Ask for a new one.", until=until)
