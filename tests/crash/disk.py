"""A disk that can lose power: what was synced is there afterwards, and of the rest any part that the rules allow.

The rules are POSIX's, not those of one file system: a write is durable after fsync or fdatasync of its file, a name
after fsync of its folder. What is not durable may be there or not, in any order, and a write may be torn at sectors.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from tests.crash.syscalls import Call

KINDS = ("prefix", "dropped", "names_only", "subset", "torn_512", "torn_4096", "reordered")


@dataclass(frozen=True)
class Write:
    """Bytes at an offset of a file, or a new length when `data` is None."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(max(0, self.offset - len(content))))
            return
        if len(content) < self.offset:
            content.extend(bytes(self.offset - len(content)))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self, sector: int, chance: random.Random) -> list[Write]:
        """Return the sectors of this write that reached the disk."""
        if self.data is None:
            return [self] if chance.random() < 0.5 else []
        parts, at, end = [], self.offset, self.offset + len(self.data)
        while at < end:
            until = min(end, (at // sector + 1) * sector)
            if chance.random() < 0.5:
                parts.append(Write(at, self.data[at - self.offset : until - self.offset]))
            at = until
        return parts


@dataclass
class File:
    """Content that is durable, and the writes since."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    size: int = 0

    def write(self, write: Write) -> None:
        self.pending.append(write)
        self.size = write.offset if write.data is None else max(self.size, write.offset + len(write.data))

    def sync(self) -> None:
        for each in self.pending:
            each.apply(self.durable)
        self.pending.clear()


@dataclass(frozen=True)
class Rename:
    """A change of names: `path` names `file` from here on (None: nothing); a folder is True."""

    path: str
    file: File | bool | None


Names = dict[str, File | bool]


class Disk:
    """Everything below one folder, as the calls of a process leave it."""

    def __init__(self, root: str, ignored: Iterable[str] = ()) -> None:
        self.root = root
        self._ignored = tuple(ignored)
        self._live: Names = {root: True}
        self._durable: Names = {root: True}
        self._pending: list[Rename] = []

    def take(self, call: Call) -> bool:
        """Apply one call. False when it changes nothing here."""
        path = call.path if call.name in ("write", "pwrite64", "ftruncate", "fsync", "fdatasync") else call.text(0)
        if not self._is_here(path):
            return False
        getattr(self, f"_{_SAME.get(call.name, call.name)}")(path, call)
        return True

    def _is_here(self, path: str | None) -> bool:
        inside = path is not None and (path == self.root or path.startswith(self.root + "/"))
        return inside and not str(path).endswith(self._ignored)

    def _name(self, path: str, file: File | bool | None) -> None:
        if file is None:
            self._live.pop(path, None)
        else:
            self._live[path] = file
        self._pending.append(Rename(path, file))

    def _openat(self, path: str, call: Call) -> None:
        if "O_CREAT" in call.rest and path not in self._live:
            self._name(path, File())
        if "O_TRUNC" in call.rest:
            self._file(path).write(Write(0, None))

    def _file(self, path: str) -> File:
        found = self._live[path]
        assert isinstance(found, File), path
        return found

    def _write(self, path: str, call: Call) -> None:
        file = self._file(path)
        file.write(Write(file.size, call.strings[0][: call.answer]))

    def _pwrite64(self, path: str, call: Call) -> None:
        self._file(path).write(Write(int(call.rest.rpartition(",")[2]), call.strings[0][: call.answer]))

    def _ftruncate(self, path: str, call: Call) -> None:
        self._file(path).write(Write(int(call.rest.rpartition(",")[2]), None))

    def _fsync(self, path: str, call: Call) -> None:
        found = self._live.get(path)
        if isinstance(found, File):
            found.sync()
            return
        kept = []
        for each in self._pending:
            if str(PurePosixPath(each.path).parent) == path:
                _rename(self._durable, each)
            else:
                kept.append(each)
        self._pending = kept

    def _mkdir(self, path: str, call: Call) -> None:
        self._name(path, True)

    def _unlink(self, path: str, call: Call) -> None:
        self._name(path, None)

    def _link(self, path: str, call: Call) -> None:
        self._name(call.text(1), self._live[path])

    def _rename(self, path: str, call: Call) -> None:
        self._name(call.text(1), self._live[path])
        self._name(path, None)

    def crash(self, kind: str, chance: random.Random) -> dict[str, bytes | None]:
        """Return what is there after the power went: content by path (None: a folder)."""
        names = dict(self._durable)
        for each in self._names_that_stay(kind, chance):
            _rename(names, each)
        contents: dict[int, bytes] = {}
        after: dict[str, bytes | None] = {}
        for path in sorted(names):
            found = names[path]
            if str(PurePosixPath(path).parent) not in after and path != self.root:
                continue  # its folder is not there
            if isinstance(found, File):
                if id(found) not in contents:
                    contents[id(found)] = bytes(_content(found, kind, chance))
                after[path] = contents[id(found)]
            else:
                after[path] = None
        return after

    def _names_that_stay(self, kind: str, chance: random.Random) -> list[Rename]:
        if kind == "dropped":
            return []
        if kind in ("subset", "reordered"):
            return self._pending[: chance.randint(0, len(self._pending))]
        return self._pending

    def count_pending(self) -> int:
        """How many changes a power loss could undo now."""
        files = {id(each): each for each in self._live.values() if isinstance(each, File)}
        return len(self._pending) + sum(len(each.pending) for each in files.values())


def _rename(names: Names, change: Rename) -> None:
    if change.file is None:
        names.pop(change.path, None)
    else:
        names[change.path] = change.file


def _content(file: File, kind: str, chance: random.Random) -> bytearray:
    if not file.pending:
        return file.durable
    content = bytearray(file.durable)
    for each in _writes_that_stay(file.pending, kind, chance):
        each.apply(content)
    return content


def _writes_that_stay(pending: list[Write], kind: str, chance: random.Random) -> list[Write]:
    if kind in ("dropped", "names_only"):
        return []
    if kind == "prefix":
        return pending
    if kind == "subset":
        return [each for each in pending if chance.random() < 0.5]
    if kind == "reordered":
        return chance.sample(pending, chance.randint(0, len(pending)))
    at = chance.randrange(len(pending))
    before = [each for each in pending[:at] if chance.random() < 0.9]
    return [*before, *pending[at].torn(int(kind.removeprefix("torn_")), chance)]


_SAME = {
    "fdatasync": "fsync", "unlinkat": "unlink", "renameat": "rename", "renameat2": "rename", "linkat": "link",
    "mkdirat": "mkdir",
}  # fmt: skip
