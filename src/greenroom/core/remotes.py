"""Addresses of Git repositories as they may be kept: the log forgets nothing, so no secret must get in. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit


def without_credentials(remote: str | None) -> str | None:
    """Drop user and password from a remote; None for one that cannot be read. `git@host:path` holds no secret."""
    if remote is None or "://" not in remote:
        return remote
    try:
        parts = urlsplit(remote)
    except ValueError:
        return None
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
