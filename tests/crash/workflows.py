"""Things that people do with a registry, each in a process of its own.

`python -m tests.crash.workflows FOLDER NAME LEDGER [MUTANT]` plays one of them in a folder that it makes.
Each answered request is noted in the ledger, under the name it was made with (the log keeps it as the actor), so that
whoever looks at the process from outside sees what was acknowledged when. What is prepared before is not noted.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom.app import BLOBS, LocalRegistry, open_local
from greenroom.blobs.filesystem import FilesystemBlobs
from greenroom.core.model import Actor, File
from greenroom.core.presets import STANDARD
from greenroom.core.tracking import Metric, RunStatus
from greenroom.services import commands as c
from greenroom.services.commands import tracking as t
from greenroom.store.folder import FolderStore

ELSEWHERE = "s3://elsewhere/m"
RUN = "a" * 32


class Bench:
    """A registry, and the ledger of what it acknowledged."""

    def __init__(self, registry: LocalRegistry, ledger: int) -> None:
        self.registry = registry
        self.ledger = ledger
        self._asked = 0
        self._guard = threading.Lock()

    def do(self, operation: str, command: Any) -> Any:
        """Ask, and note that it was answered."""
        with self._guard:
            self._asked += 1
            name = f"w{self._asked}"
        answer = self.registry.call_now(operation, command, Actor(name))
        os.write(self.ledger, f"entry {name}\n".encode())
        return answer

    def register(self, **more: Any) -> Any:
        return self.do("register_version", c.RegisterVersion("m", source=ELSEWHERE, create_model=True, **more))

    def store(self, data: bytes) -> File:
        """Upload a file, as a client does: the bytes first, then their row."""
        upload = self.registry.blobs.upload(f"u{len(data)}")
        upload.write(data)
        digest, size = upload.finish_as_hashed()
        self.registry.call_now("blob_stored", c.BlobStored(digest, size), Actor("uploader"))
        os.write(self.ledger, f"blob {digest}\n".encode())
        return File("model.bin", digest, size)

    def track(self, operation: str, command: Any, *noted: str) -> None:
        """Log, and note what of it was answered: it has no entry of the log to be known by."""
        self.registry.call_now(operation, command, Actor("trainer"))
        os.write(self.ledger, "".join(f"{each}\n" for each in noted).encode())


def registering(bench: Bench) -> None:
    bench.do("create_model", c.CreateModel("m", "about it", {"team": "risk"}))
    for number in range(4):
        bench.register(tags={"n": str(number)}, metrics={"auc": 0.5}, params={"depth": "6"})


def promoting(bench: Bench) -> None:
    for _ in range(2):
        bench.register()
    bench.do("promote", c.Promote("m", "Staging", 1))
    bench.do("promote", c.Promote("m", "Production", 1))
    bench.do("promote", c.Promote("m", "Production", 2))  # refused, and recorded


def swapping(bench: Bench) -> None:
    for _ in range(2):
        bench.register()
    for at in range(4):
        bench.do("promote", c.Promote("m", "Production", 1 + at % 2, swap=True))


def rolling_back(bench: Bench) -> None:
    for number in range(3):
        bench.register()
        bench.do("promote", c.Promote("m", "Production", number + 1, swap=True))
    bench.do("rollback", c.Rollback("m"))
    bench.do("rollback", c.Rollback("m"))


def archiving(bench: Bench) -> None:
    bench.register()
    for stage in ("Production", "Archived", "None", "Staging"):
        bench.do("promote", c.Promote("m", stage, 1))


def pointing(bench: Bench) -> None:
    for _ in range(2):
        bench.register()
    for at in range(3):
        bench.do("set_alias", c.SetAlias("m", "champion", 1 + at % 2))
    bench.do("delete_alias", c.DeleteAlias("m", "champion"))


def tagging(bench: Bench) -> None:
    bench.register()
    for value in ("a", "b"):
        bench.do("set_version_tag", c.SetVersionTag("m", 1, "k", value))
        bench.do("set_model_tag", c.SetModelTag("m", "k", value))
    bench.do("delete_version_tag", c.DeleteVersionTag("m", 1, "k"))
    bench.do("record_metrics", c.RecordMetrics("m", 1, {"auc": 0.9}, {"depth": "7"}))


def deleting(bench: Bench) -> None:
    for _ in range(2):
        bench.register()
    bench.do("delete_version", c.DeleteVersion("m", 1))
    bench.do("restore_version", c.RestoreVersion("m", 1))
    bench.do("delete_model", c.DeleteModel("m"))
    bench.do("restore_model", c.RestoreModel("m"))
    bench.do("rename_model", c.RenameModel("m", "n"))


def applying(bench: Bench) -> None:
    bench.register()
    bench.do("add_stage", c.AddStage("Canary", after="Staging"))
    bench.do("promote", c.Promote("m", "Canary", 1))
    bench.do("promote", c.Promote("m", "Staging", 1))
    bench.do("apply_lifecycle", c.ApplyLifecycle(STANDARD.replace('"standard"', '"house"', 1)))
    bench.do("use_lifecycle", c.UseLifecycle("house"))


def uploading(bench: Bench) -> None:
    for number in range(3):
        file = bench.store(bytes([number]) * (70_000 + number))
        bench.register(files=(file,))
    bench.register()
    bench.do("pin_version", c.PinVersion("m", 4, (file,)))


def uploading_in_parts(bench: Bench) -> None:
    blobs, key = bench.registry.blobs, "ab" * 16
    blobs.begin_parts(key, 3)
    digests = []
    for number in (3, 2, 1):
        part = blobs.part(key, number, 60_000)
        part.write(bytes([number]) * 60_000)
        digests.append(part.finish_as_part(key, number))
    digest, size = blobs.join_parts(key, digests[::-1])
    bench.registry.call_now("blob_stored", c.BlobStored(digest, size), Actor("uploader"))
    os.write(bench.ledger, f"blob {digest}\n".encode())
    bench.registry.call_now("put_upload", c.PutUpload("a/b", digest, size), Actor("uploader"))
    blobs.end_parts(key, joined=True)


def together(bench: Bench) -> None:
    """Several at once, which share commits."""
    bench.register()

    def work() -> None:
        for _ in range(4):
            bench.register()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


def checkpointing(bench: Bench) -> None:
    """A log that is brought into the database between writes, in part and then whole, and begun anew."""
    db: Any = bench.registry.store._db
    for number in range(6):
        bench.register()
        if number % 2:
            db._wal_pages = 1_000_000
            db.tidy()
    db.checkpoint_wal()
    bench.register()
    bench.do("promote", c.Promote("m", "Production", 2))


def tracking(bench: Bench) -> None:
    """A run logs batches and files, and a version is registered from it."""
    bench.track("create_run", t.CreateRun(RUN, 1, 0))
    for at in range(5):
        points = tuple(Metric(f"m{key}", at / 2, 1_000 + at, at) for key in range(3))
        noted = [f"point {each.key} {each.step}" for each in points]
        bench.track("log_to_run", t.LogToRun(RUN, points, ((f"p{at}", str(at)),)), *noted, f"param p{at}")
        file = bench.store(bytes([at]) * (5_000 + at))
        path = f"0/{RUN}/artifacts/model/{at}.bin"
        bench.track("put_upload", c.PutUpload(path, file.digest, file.size_bytes), f"file {path}")
    bench.do("register_version", c.RegisterVersion("m", source=f"runs:/{RUN}/model", create_model=True))
    bench.track("update_run", t.UpdateRun(RUN, RunStatus.FINISHED, 9), "ended x")


WORKFLOWS: dict[str, Callable[[Bench], None]] = {
    each.__name__: each
    for each in (
        registering, promoting, swapping, rolling_back, archiving, pointing, tagging, deleting, applying, uploading,
        uploading_in_parts, together, checkpointing, tracking,
    )
}  # fmt: skip


def synchronous(level: str) -> None:
    """Mutant: SQLite is told to sync less."""
    from greenroom.store import sqlite

    opened = sqlite.SQLite.__init__

    def less(self: Any, *given: Any, **options: Any) -> None:
        opened(self, *given, **options)
        self.raw.execute(f"PRAGMA synchronous = {level}")

    sqlite.SQLite.__init__ = less  # type: ignore[method-assign]


def blobs_unsynced() -> None:
    """Mutant: a blob is published without having been made durable."""
    from greenroom.blobs import parts, uploading

    parts.make_durable = uploading.make_durable = lambda fd, path, watch: None


def names_unsynced() -> None:
    """Mutant: the folder of a new blob is not made durable."""
    from greenroom.blobs import filesystem

    filesystem.sync_folder = lambda path, watch: None


MUTANTS: dict[str, Callable[[], None]] = {
    "": lambda: None,
    "normal": lambda: synchronous("NORMAL"),
    "off": lambda: synchronous("OFF"),
    "blobs_unsynced": blobs_unsynced,
    "names_unsynced": names_unsynced,
}


def main(folder: str, name: str, ledger: str, mutant: str = "") -> None:
    """Make a registry and play one workflow on it."""
    MUTANTS[mutant]()
    noted = os.open(ledger, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    path = Path(folder)
    if name == "together":
        store = FolderStore(path, create=True, serve=True)
        registry = LocalRegistry(store, FilesystemBlobs(path / BLOBS, store.health))
    else:
        registry = open_local(path, create=True)
    os.write(noted, b"made\n")
    WORKFLOWS[name](Bench(registry, noted))
    registry.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
