"""A log in memory that signs whatever it is told to, forks included; and disks that forget what was not synced."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from greenroom.core.merkle import consistency_proof, leaf_hash, lookup_of, root_of
from greenroom.core.note import VerifierKey, checkpoint_body, sign_note
from greenroom.core.witness import AddCheckpoint
from greenroom.witness import folder as witness_folder


class Log:
    """A log with a key. Its histories are lists of leaf hashes."""

    def __init__(self, rng: random.Random, name: str = "example.org/log") -> None:
        self.rng, self.name = rng, name
        self._key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        self.key = VerifierKey(name, self._key.public_key().public_bytes_raw())

    def leaves(self, count: int) -> list[bytes]:
        return [leaf_hash(self.rng.randbytes(8)) for _ in range(count)]

    def note(self, leaves: list[bytes], size: int | None = None) -> str:
        size = len(leaves) if size is None else size
        body = checkpoint_body(self.name, size, root_of(leaves[:size]))
        return sign_note(body, self.name, self.key.public_key, self._key.sign)

    def ask(self, leaves: list[bytes], old_size: int) -> AddCheckpoint:
        """Return the request to cosign all of `leaves`, with the proof from `old_size` if there is one."""
        known = 0 < old_size <= len(leaves)
        proof = consistency_proof(lookup_of(leaves), old_size, len(leaves)) if known else ()
        return AddCheckpoint(old_size, proof, self.note(leaves))


class Killed(BaseException):
    """The process died here."""


class Machine:
    """Stands before `os` in the witness's folder module: may kill the process at a step, and knows what is durable.

    A file's content is durable once it was fsynced, a name once its folder was; nothing else survives a power loss.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.die_at: int | None = None
        self.step = 0
        self._content: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int | None]] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _tick(self) -> None:
        self.step += 1
        if self.die_at is not None and self.step >= self.die_at:
            raise Killed

    def open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_CREAT:
            self._tick()
        return os.open(path, flags, mode)

    def replace(self, old: Any, new: Any) -> None:
        self._tick()
        os.replace(old, new)
        self._tick()

    def fsync(self, fd: int) -> None:
        self._tick()
        path = Path(os.readlink(f"/proc/self/fd/{fd}"))
        if path.is_dir():
            self._names[path] = {p.name: None if p.is_dir() else p.stat().st_ino for p in path.iterdir()}
        else:
            self._content[os.fstat(fd).st_ino] = path.read_bytes()
        self._tick()

    def lose_power(self) -> None:
        """Put the folder into the state that is durable."""
        durable: list[tuple[Path, bytes]] = []
        waiting = [self.folder]
        folders = []
        while waiting:
            at = waiting.pop()
            folders.append(at)
            for name, inode in self._names.get(at, {}).items():
                if inode is None:
                    waiting.append(at / name)
                else:
                    durable.append((at / name, self._content.get(inode, b"")))
        shutil.rmtree(self.folder)
        for each in folders:
            each.mkdir(mode=0o700)
        self._names, self._content = {}, {}
        for path, content in durable:
            path.write_bytes(content)
            path.chmod(0o600)
        for path in self.folder.rglob("*"):  # what came through once is on the disk
            if path.is_file():
                self._content[path.stat().st_ino] = path.read_bytes()
        for each in folders:
            self._names[each] = {p.name: None if p.is_dir() else p.stat().st_ino for p in each.iterdir()}


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    """Run the witness in `folder` on a machine that can be cut."""
    with pytest.MonkeyPatch.context() as patch:
        given = Machine(folder)
        patch.setattr(witness_folder, "os", given)
        yield given
