"""Who asks, what they may do, and where the server may listen. Source: design, section 8.

There are no accounts yet: the server runs open, on loopback only, and believes the name that a caller gives. Identity
headers that a proxy would set (`X-Forwarded-User`, `Remote-User`) are never read: without a list of trusted proxies
anybody could send them (security vector AZ-20). Neither is a credential in the URL (AZ-22).
"""

from __future__ import annotations

import base64
import binascii
import functools
import ipaddress
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import unquote_to_bytes

from greenroom.core.errors import Forbidden, InvalidInput
from greenroom.core.model import Actor
from greenroom.core.names import check_actor_name

PUBLIC = "public"
ACTOR_HEADER = "X-Greenroom-Actor"

PERMISSIONS: Mapping[str, str] = MappingProxyType(
    {
        PUBLIC: "Anybody may, without saying who they are: health, version, documentation.",
        "read": "See models, versions, files, lifecycles and who holds what.",
        "register": "Create models and versions, upload files, describe and tag.",
        "log": "Start runs and log to them; delete and restore runs and logged models.",
        "promote": "Ask for a version to be moved into a stage or under an alias; the lifecycle decides.",
        "manage": "Rename, delete and restore models, versions and experiments.",
        "administer": "Apply lifecycles and say which models they are for.",
        "audit": "Read, check and export the audit log.",
    }
)

ANONYMOUS = Actor("anonymous")


def actor_from(headers: Mapping[bytes, bytes]) -> Actor:
    """Return who asks, by their own word: the user name of Basic, else `X-Greenroom-Actor`, else `anonymous`.

    `headers` has lower-case names. The actor is not verified. InvalidInput when the name given cannot be a name.
    """
    credentials = headers.get(b"authorization")
    if credentials is not None:
        name = _basic_name(credentials)
        if name:
            return _actor_named(name)
    claimed = headers.get(b"x-greenroom-actor")
    if claimed is None:
        return ANONYMOUS
    return _actor_named(_text(unquote_to_bytes(claimed), f"The header {ACTOR_HEADER}"))


def require(actor: Actor, permission: str) -> None:
    """Raise Forbidden unless `actor` may do what `permission` (a word of PERMISSIONS) covers."""
    if permission != PUBLIC and not actor.may(permission):
        raise Forbidden(
            f"{actor.name!r} may not do this: it needs the permission {permission!r}.",
            hint="Ask an administrator for it.",
            permission=permission,
        )


def is_loopback(host: str) -> bool:
    """Say whether `host`, a name or address as given on the command line, can only be reached from this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, *, authenticated: bool = False) -> None:
    """Raise InvalidInput if a server without accounts would listen where other machines reach it.

    There is no option to force it: an open registry on a network lets anybody put a model into production.
    """
    if authenticated or is_loopback(host):
        return
    raise InvalidInput(
        f"The server has no accounts, so it does not listen on {host!r}: whoever reached it could change everything.",
        hint="Use --host 127.0.0.1 (and a tunnel, such as ssh -L, from elsewhere). Other addresses open with "
        "authentication, the option --auth of a later release.",
        host=host,
    )


@functools.lru_cache(maxsize=1024)
def _actor_named(name: str) -> Actor:
    return Actor(check_actor_name(name))


def _basic_name(credentials: bytes) -> str | None:
    """Return the user name of Basic credentials ("" if it is empty), None for another scheme (nothing can check it)."""
    scheme, _, encoded = credentials.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        plain = base64.b64decode(encoded.strip(), validate=True)
    except binascii.Error:
        raise InvalidInput("The header Authorization is not valid Basic: it is not base64.") from None
    name, colon, _ = plain.partition(b":")
    if not colon:
        raise InvalidInput("The header Authorization is not valid Basic: there is no ':' after the user name.")
    return _text(name, "The user name of the header Authorization")


def _text(raw: bytes, what: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"{what} is not UTF-8.", hint="Send UTF-8, percent-encoded in a header.") from None
