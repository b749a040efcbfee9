"""What the client needs of a registry, wherever it is: `remote.py` and `local.py` provide it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, Protocol

from greenroom.core.codec import from_plain, to_plain
from greenroom.core.errors import InvalidInput


class Transport(Protocol):
    """Runs operations of `services.api`."""

    @property
    def where(self) -> str:
        """The server's URL or the folder, fit to be shown (no credentials)."""

    @property
    def is_local(self) -> bool:
        """True when the registry runs inside this process."""

    def call(self, operation: str, command: Any) -> Any:
        """Run one operation and return its answer. Raises the classes of `core.errors`."""

    def info(self) -> dict[str, str]:
        """Return what the registry says about itself: name, version, API."""

    def close(self) -> None:
        """Let go of connections or of the folder. Closing twice is no error."""


def checked(command: Any) -> Any:
    """Return the command if its values are of the types that its class declares and can be written as UTF-8.

    A caller's `swap="false"` or a number for a name is an error that names the field, wherever the registry is, and
    nothing is asked of it. Raises InvalidInput.
    """
    plain = to_plain(command)
    from_plain(type(command), plain)
    try:
        json.dumps(plain, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise InvalidInput("the request holds characters that are not text.", hint="Give valid Unicode.") from None
    return command


def actor_name(env: Mapping[str, str] | None = None) -> str:
    """Return who asks: GREENROOM_ACTOR, else the name of the account that this process runs under, else `unknown`.

    Only a claim: a server with accounts goes by the credentials.
    """
    named = (os.environ if env is None else env).get("GREENROOM_ACTOR", "").strip()
    if named:
        return named
    import getpass

    try:
        return getpass.getuser() or "unknown"
    except (KeyError, ImportError, OSError):  # a container without an account for this uid
        return "unknown"
