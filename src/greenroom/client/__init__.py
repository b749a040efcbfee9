"""The Python client: `connect` finds the registry and returns it, whether it is a server or a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from greenroom.client.registry import Registry
    from greenroom.client.resolve import Address, ServerAddress
    from greenroom.client.transport import Transport


def connect(
    where: str | os.PathLike[str] | None = None,
    *,
    url: str | None = None,
    data: str | os.PathLike[str] | None = None,
    create: bool = False,
    lifecycle: str | None = None,
    actor: str | None = None,
) -> Registry:
    """Return the registry at `where` (an http URL or a folder), or the one that the surroundings name.

    Without any: GREENROOM_URL, GREENROOM_DATA, MLFLOW_REGISTRY_URI or MLFLOW_TRACKING_URI if http, a folder
    `.greenroom` here or above. `create` makes the folder's registry, with the preset `lifecycle`, when there is none.
    A folder that a server owns is reached through that server. `actor` is who asks (None: GREENROOM_ACTOR, else the
    account's name). Raises InvalidInput when no place is named, NotFound when the folder holds no registry; a server
    is first contacted by the first call.
    """
    from greenroom.client.registry import Registry
    from greenroom.client.resolve import looks_like_url, resolve

    if where is not None:
        if isinstance(where, str) and looks_like_url(where):
            url = where
        else:
            data = where
    address = resolve(url=url, data=data, env=os.environ, cwd=Path.cwd())
    return Registry(open_transport(address, create=create, lifecycle=lifecycle, actor=actor))


def open_transport(
    address: Address, *, create: bool = False, lifecycle: str | None = None, actor: str | None = None
) -> Transport:
    """Return the transport to an address; a folder that a server owns leads to that server."""
    from greenroom.client.resolve import ServerAddress, parse_url

    if isinstance(address, ServerAddress):
        return _remote(address, actor)
    from greenroom.client.local import open_folder
    from greenroom.core.errors import Conflict

    try:
        return open_folder(address.folder, create=create, lifecycle=lifecycle, actor=actor)
    except Conflict as conflict:
        url = conflict.details.get("url")
        if not isinstance(url, str) or not url:
            raise
        return _remote(parse_url(url, f"the server that owns {address.folder}", os.environ), actor)


def _remote(address: ServerAddress, actor: str | None) -> Transport:
    from greenroom.client.remote import Remote

    return Remote(address, actor=actor)
