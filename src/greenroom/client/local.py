"""A registry in a folder of this machine, run inside this process: no server, the same services."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, Protocol

from greenroom._version import __version__
from greenroom.client.transport import actor_name, checked
from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor
from greenroom.services.api import BY_NAME
from greenroom.services.ports import BlobStore, Request

_OURS = "greenroom"
_NEEDS = {"local": "a registry in a folder of this machine", "server": "the server"}


class Opened(Protocol):
    """The registry that `greenroom.app.open_local` returns."""

    blobs: BlobStore

    def call_now(self, operation: str, command: Any, actor: Actor, *, request: Request | None = None) -> Any:
        """Run one use case and return its answer."""

    def close(self) -> None:
        """Let go of the folder."""


class Local:
    """Runs operations on the registry in `folder`. Closing it lets the next process in."""

    is_local = True

    def __init__(self, folder: Path, registry: Opened, *, actor: str | None = None) -> None:
        self.folder = folder
        self.registry = registry
        self._actor = Actor(actor or actor_name())
        self._is_open = True

    @property
    def where(self) -> str:
        """The folder."""
        return str(self.folder)

    def call(self, operation: str, command: Any) -> Any:
        """Run one operation. Raises the classes of `core.errors`; InvalidInput when the registry was closed."""
        if not self._is_open:
            raise InvalidInput("this registry was closed.", hint="Connect again.")
        if operation not in BY_NAME:
            raise ValueError(f"unknown operation {operation!r}")
        return self.registry.call_now(
            operation, checked(command), self._actor, request=Request(id=os.urandom(16).hex())
        )

    def info(self) -> dict[str, str]:
        """Return what this package is: it is the registry."""
        return {"name": "greenroom", "version": __version__, "api": "embedded"}

    def close(self) -> None:
        """Let go of the folder."""
        if self._is_open:
            self._is_open = False
            self.registry.close()


def open_folder(folder: Path, *, create: bool = False, lifecycle: str | None = None, actor: str | None = None) -> Local:
    """Open the registry in `folder`; `create` makes it when the folder is not there or empty.

    Raises NotFound when there is none, Conflict when a server owns it (`details["url"]` says where to ask instead), and
    InvalidInput when the packages that the embedded registry needs are not installed.
    """
    try:
        from greenroom.app import open_local
    except ModuleNotFoundError as exc:
        raise not_installed(exc, "local") from exc
    opened: Opened = open_local(folder, create=create, lifecycle=lifecycle)
    return Local(folder, opened, actor=actor)


def not_installed(exc: ModuleNotFoundError, extra: str) -> Exception:
    """Return the error that says which package is missing and how to install it, with the rest of the extra `extra`.

    A missing module of our own is a bug and stays what it is.
    """
    missing = (exc.name or "").partition(".")[0]
    if missing == _OURS:
        return exc
    return InvalidInput(
        f"{_NEEDS[extra]} needs the package {missing!r}, which is not installed.",
        hint=f"Install it with: {Path(sys.executable).name} -m pip install 'greenroom[{extra}]'"
        + (", or give the --url of a server." if extra == "local" else ""),
        package=missing,
    )
