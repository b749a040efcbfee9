"""What the client needs of a registry, wherever it is: `remote.py` and `local.py` provide it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol


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
