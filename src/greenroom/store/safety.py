"""What a server must not start with: a folder that anybody can write, a database across a network in the clear.

There is no option to force it. The key that signs the log is checked where it is read (`keys`), the settings of SQLite
where it is opened (`sqlite`), the address listened on at the edge (`http.access`).
"""

from __future__ import annotations

import ipaddress
import os
import stat
from pathlib import Path

from greenroom.core.errors import InvalidInput, Unavailable

_UNSAID = ("", "allow", "prefer")


def check_folder(folder: Path) -> None:
    """Raise Unavailable when any user of the machine may write the folder; its group may (volumes are shared so).

    A folder that is not there yet is made private, so it passes.
    """
    if os.name != "posix" or not folder.is_dir():
        return
    if stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
        raise Unavailable(
            f"anybody on this machine can write the data folder {folder}.",
            hint=f"Run: chmod o-w {folder}",
            folder=str(folder),
        )


def check_database_url(url: str) -> None:
    """Raise InvalidInput for a database on another machine without a word on encryption: `prefer`, what the driver does
    then, falls back to plain text without saying so. An explicit `sslmode=disable` is the operator's word.
    """
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        given = conninfo_to_dict(url)
    except ProgrammingError:
        return  # connecting says what is wrong with it, without the password
    mode = str(given.get("sslmode") or os.environ.get("PGSSLMODE") or "")
    hosts = str(given.get("hostaddr") or given.get("host") or os.environ.get("PGHOST") or "").split(",")
    remote = next((host for host in hosts if not _is_here(host)), None)
    if remote is not None and mode in _UNSAID:
        raise InvalidInput(
            f"--database-url leads to {remote!r} and does not say whether the connection is encrypted.",
            hint="Add ?sslmode=verify-full with sslrootcert, or sslmode=disable where the network is yours alone.",
            host=remote,
        )


def _is_here(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
