"""Two PostgreSQL clusters of our own: a primary and its synchronous standby, which can take over."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import psycopg

from tests.postgres import Cluster


def kill(cluster: Cluster) -> None:
    """End every process of a cluster as a power switch would."""
    postmaster = int((cluster.data / "postmaster.pid").read_text().split()[0])
    children = _children(postmaster)
    for pid in (postmaster, *children):  # the postmaster first: it would start a recovery of its own
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    while any(_is_alive(pid) for pid in (postmaster, *children)):
        time.sleep(0.005)  # not for a condition of ours: the kernel ends them
    # Where nobody reaps the dead, their ids stay taken, and the next start would think that they live.
    (cluster.data / "postmaster.pid").unlink()


def _children(parent: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


class Standby(Cluster):
    """A cluster that follows another one from the start."""

    def __init__(self, primary: Cluster, port: int | None = None) -> None:
        self._primary = primary
        self._port = port
        super().__init__()

    def _run(self, program: str, *arguments: str) -> None:
        if program == "initdb":
            self.port = self._port or self.port
            where = ("-h", "127.0.0.1", "-p", str(self._primary.port), "-U", "greenroom")
            arguments = (*where, "-R", "-X", "stream", "-c", "fast", "--no-sync")
            program = "pg_basebackup"
        super()._run(program, *arguments)

    def promote(self) -> None:
        """Make it a primary; returns when it takes writes."""
        self._run("pg_ctl", "-w", "-s", "promote")


class Pair:
    """A primary whose commits wait for its standby."""

    def __init__(self) -> None:
        self.primary = Cluster()
        self.standby: Standby | None = None
        self._gone: list[Cluster] = []
        try:
            with self._admin() as db:
                db.execute("CREATE DATABASE registry")
            self.follow(None)
        except BaseException:
            self.remove()
            raise

    def follow(self, port: int | None) -> None:
        """Give the primary a standby, and wait until its commits wait for it."""
        self.standby = Standby(self.primary, port)
        with self._admin() as db:
            db.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            db.execute("SELECT pg_reload_conf()")
            while True:
                row = db.execute("SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'").fetchone()
                if row is not None and row[0]:
                    return
                time.sleep(0.02)  # not for a condition of ours: the standby connects

    def fail_over(self) -> None:
        """Kill the primary and promote the standby."""
        assert self.standby is not None
        dead = self.primary
        kill(dead)
        if not (self.standby.data / "postmaster.pid").exists():
            self.standby.start()
        self.standby.promote()
        self.primary, self.standby = self.standby, None
        self._gone.append(dead)
        shutil.rmtree(dead.folder, ignore_errors=True)

    def restore(self) -> None:
        """Put a new standby where the primary was that died last."""
        self.follow(self._gone[-1].port)

    def url(self) -> str:
        """Return the address of both: the driver finds the one that takes writes."""
        assert self.standby is not None
        ports = sorted((self.primary.port, self.standby.port))
        hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
        return f"postgresql://greenroom@{hosts}/registry?target_session_attrs=read-write"

    def remove(self) -> None:
        for each in (self.primary, self.standby):
            if each is not None:
                each.remove()

    def _admin(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.primary.url(), autocommit=True)
