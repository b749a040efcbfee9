"""Where the registry is: a server's URL or a local folder, from what the caller says or the surroundings show.

Pure but for the environment and the folder names that are handed in, so that every rule is a row of a table of tests.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from greenroom.core.errors import InvalidInput

FOLDER = ".greenroom"  # the local registry that is found from any folder below it
_SCHEMES = ("http", "https")
_MLFLOW = ("MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI")
_HINT = (
    "Give --url URL or --data DIR, set GREENROOM_URL or GREENROOM_DATA (MLFLOW_REGISTRY_URI and MLFLOW_TRACKING_URI"
    f" count when they are http URLs), or make one with `greenroom init` (./{FOLDER}, found from any folder below)."
)


@dataclass(frozen=True)
class ServerAddress:
    """A server: `url` is safe to show; user, password and token never are."""

    url: str
    why: str
    host: str
    port: int
    secure: bool
    prefix: str = ""
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class FolderAddress:
    """A local registry in `folder`."""

    folder: Path
    why: str


Address = ServerAddress | FolderAddress


def resolve(
    *, url: str | None = None, data: str | os.PathLike[str] | None = None, env: Mapping[str, str], cwd: Path
) -> Address:
    """Return where the registry is. The first that says something counts:

    `url` or `data`, GREENROOM_URL, GREENROOM_DATA, MLFLOW_REGISTRY_URI and MLFLOW_TRACKING_URI if they are http URLs, a
    folder `.greenroom` in `cwd` or above it. Raises InvalidInput when nothing does, when `url` and `data` are both
    given, or when what counts is malformed.
    """
    if url is not None and data is not None:
        raise InvalidInput("both a URL and a data folder are given.", hint="Give one of --url and --data.")
    if url is not None:
        return parse_url(url, "given as --url", env)
    if data is not None:
        return _folder(data, "given as --data", cwd)
    if env.get("GREENROOM_URL"):
        return parse_url(env["GREENROOM_URL"], "from GREENROOM_URL", env)
    if env.get("GREENROOM_DATA"):
        return _folder(env["GREENROOM_DATA"], "from GREENROOM_DATA", cwd)
    return _from_surroundings(env, cwd)


def looks_like_url(text: str) -> bool:
    """Say whether `text` begins like an http or https URL."""
    return text.lower().startswith(tuple(f"{scheme}://" for scheme in _SCHEMES))


def parse_url(text: str, why: str, env: Mapping[str, str]) -> ServerAddress:
    """Return the server that the URL `text` names; credentials in it are kept apart from what is shown.

    A path is a prefix of all requests (a server behind a proxy). A token comes from GREENROOM_TOKEN. Raises
    InvalidInput; its text does not repeat a password.
    """
    try:
        parts = urlsplit(text.strip())
        port, host = parts.port, parts.hostname
    except ValueError as exc:
        raise InvalidInput(f"the address ({why}) is not a valid URL: {exc}.", hint=_EXAMPLE) from None
    if parts.scheme not in _SCHEMES or not host:
        raise InvalidInput(f"the address {_shown(text)!r} ({why}) is not an http or https URL.", hint=_EXAMPLE)
    if parts.query or parts.fragment:
        raise InvalidInput(f"the address ({why}) has a query or a fragment.", hint=_EXAMPLE)
    if not text.isprintable() or any(ch.isspace() for ch in text.strip()):
        raise InvalidInput(f"the address ({why}) has white space or invisible characters in it.", hint=_EXAMPLE)
    secure = parts.scheme == "https"
    shown_host = f"[{host}]" if ":" in host else host
    prefix = parts.path.rstrip("/")
    return ServerAddress(
        url=f"{parts.scheme}://{shown_host}{f':{port}' if port is not None else ''}{prefix}",
        why=why,
        host=_ascii_host(host, why),
        port=port if port is not None else (443 if secure else 80),
        secure=secure,
        prefix=prefix,
        user=unquote(parts.username) if parts.username is not None else None,
        password=unquote(parts.password) if parts.password is not None else None,
        token=env.get("GREENROOM_TOKEN") or None,
    )


_EXAMPLE = "Write it like http://127.0.0.1:5000 or https://registry.example.org."


def _ascii_host(host: str, why: str) -> str:
    try:
        return host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError:
        raise InvalidInput(f"the host of the address ({why}) is not a valid name.", hint=_EXAMPLE) from None


def _shown(text: str) -> str:
    """Drop what may be a password: all before the last `@`."""
    return text.rpartition("@")[2][:100]


def _folder(data: str | os.PathLike[str], why: str, cwd: Path) -> FolderAddress:
    text = os.fspath(data)
    if looks_like_url(text):
        raise InvalidInput(
            f"{_shown(text)!r} ({why}) is a URL, not a folder.", hint="Give it as --url or GREENROOM_URL."
        )
    if not text.strip() or "\0" in text:
        raise InvalidInput(f"the data folder ({why}) is empty or not a path.", hint="Name a folder.")
    return FolderAddress(cwd / Path(text).expanduser(), why)


def _from_surroundings(env: Mapping[str, str], cwd: Path) -> Address:
    for name in _MLFLOW:
        value = env.get(name, "")
        if looks_like_url(value):
            return with_mlflow_credentials(parse_url(value, f"from {name}", env), env)
    for folder in (cwd, *cwd.parents):
        if (folder / FOLDER).is_dir():
            return FolderAddress(folder / FOLDER, f"found {folder / FOLDER}")
    raise InvalidInput("no registry is named, and no folder .greenroom is here or above.", hint=_HINT)


def with_mlflow_credentials(address: ServerAddress, env: Mapping[str, str]) -> ServerAddress:
    """Somebody who is logged in for MLflow's client is logged in for ours at the same address."""
    from dataclasses import replace

    if address.user is not None or address.token is not None:
        return address
    if env.get("MLFLOW_TRACKING_TOKEN"):
        return replace(address, token=env["MLFLOW_TRACKING_TOKEN"])
    if env.get("MLFLOW_TRACKING_USERNAME"):
        password = env.get("MLFLOW_TRACKING_PASSWORD", "")
        return replace(address, user=env["MLFLOW_TRACKING_USERNAME"], password=password)
    return address
