"""Who asks, by their own word, and where an open server may listen."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from greenroom.core.errors import Forbidden, InvalidInput
from greenroom.core.model import Actor
from greenroom.http import access, native
from greenroom.services.api import OPERATIONS


def basic(text: str | bytes) -> bytes:
    return b"Basic " + base64.b64encode(text.encode() if isinstance(text, str) else text)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({}, "anonymous"),
        ({b"authorization": basic("ana:secret")}, "ana"),
        ({b"authorization": basic("ana:se:cret").replace(b"Basic", b"bAsIc")}, "ana"),
        ({b"authorization": basic("ana:x"), b"x-greenroom-actor": b"ben"}, "ana"),
        ({b"authorization": basic(":x"), b"x-greenroom-actor": b"ben"}, "ben"),
        ({b"authorization": b"Bearer abc", b"x-greenroom-actor": b"ben"}, "ben"),
        ({b"x-greenroom-actor": b"Ana%20M%C3%BCller"}, "Ana Müller"),
        ({b"x-greenroom-actor": "Jörg".encode()}, "Jörg"),
        ({b"x-forwarded-user": b"admin", b"remote-user": b"admin"}, "anonymous"),
    ],
)
def test_the_name_given(headers: dict[bytes, bytes], name: str) -> None:
    assert access.actor_from(headers) == Actor(name, verified=False)


@pytest.mark.parametrize(
    "headers",
    [
        {b"authorization": b"Basic !!!"},
        {b"authorization": basic("no colon")},
        {b"authorization": basic(b"\xff:x")},
        {b"authorization": basic("a\nb:x")},
        {b"x-greenroom-actor": b""},
        {b"x-greenroom-actor": b"%00"},
        {b"x-greenroom-actor": b"a%0d%0ab"},
        {b"x-greenroom-actor": b"%FF"},
        {b"x-greenroom-actor": "a\u202eb".encode()},
        {b"x-greenroom-actor": b"x" * 300},
    ],
)
def test_what_cannot_be_a_name(headers: dict[bytes, bytes]) -> None:
    with pytest.raises(InvalidInput):
        access.actor_from(headers)


def test_a_password_is_in_no_error_text() -> None:
    with pytest.raises(InvalidInput) as caught:
        access.actor_from({b"authorization": basic("a\x00b:canary")})
    assert "canary" not in str(caught.value) + repr(caught.value.details)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LocalHost", "::1", "[::1]"])
def test_loopback_is_open(host: str) -> None:
    access.check_bind(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.4", "example.org", "127.0.0.1.example", "2130706433"])
def test_elsewhere_needs_authentication(host: str) -> None:
    with pytest.raises(InvalidInput, match="The server has no accounts, so it does not listen on"):
        access.check_bind(host)
    access.check_bind(host, authenticated=True)


def test_permissions() -> None:
    reader: Any = Actor("rea", rights=frozenset({"read"}))
    access.require(reader, "read")
    access.require(reader, "public")
    with pytest.raises(Forbidden, match="needs the permission 'promote'"):
        access.require(reader, "promote")


def test_every_operation_names_a_permission_of_the_table() -> None:
    assert {operation.permission for operation in OPERATIONS} <= set(access.PERMISSIONS) - {"public"}
    assert all(route.permission in access.PERMISSIONS for route in native.routes(None))  # type: ignore[arg-type]
