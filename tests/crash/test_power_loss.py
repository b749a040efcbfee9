"""F1: the power goes at any moment; whatever of the unsynced is on the disk then, nothing acknowledged is lost.

The workflows are recorded call by call below SQLite and below the blob store. From each record crash states are made by
the rules of `disk.py`, laid out as files, opened as after a restart, and judged.
"""

from __future__ import annotations

import itertools
import random
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local
from greenroom.core.digest import digest_of
from greenroom.core.errors import GreenroomError
from greenroom.services import commands as c
from greenroom.store.compiled.sqlite import AUDITED
from tests.crash import syscalls
from tests.crash.disk import KINDS, Disk
from tests.crash.workflows import WORKFLOWS
from tests.promises import promise, sized
from tests.races.kit import ROOT, SEED, TESTER, problems_of_log

STATES = sized(6_000, 2_000_000)
FLOWS = len(WORKFLOWS)
MEMORY = Path("/dev/shm")  # what is durable is simulated: a file system in memory is as good, and quick
LOCKS = ("server.lock", "turn.lock", "-shm")  # hold nothing that is kept
FULL_EVERY = 200
MAKING = 0.1  # weight of a moment before the registry was made: these are the same in every workflow

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(syscalls.why_not() is not None, reason=str(syscalls.why_not())),
]


@dataclass
class Acknowledged:
    """What had been answered at a moment."""

    made: bool = False
    entries: set[str] = field(default_factory=set)
    blobs: set[str] = field(default_factory=set)
    tracked: set[str] = field(default_factory=set)  # `point KEY STEP`, `param KEY`, `file PATH` of the run

    def note(self, text: str) -> None:
        for line in text.splitlines():
            kind, _, what = line.partition(" ")
            self.made |= kind == "made"
            if kind == "entry":
                self.entries.add(what)
            elif kind == "blob":
                self.blobs.add(what)
            elif kind in ("point", "param", "file", "ended"):
                self.tracked.add(line)


def moments(place: Path, calls: list[syscalls.Call], ledger: Path) -> Iterator[tuple[Disk, Acknowledged]]:
    """Yield the disk after each call that changed it, with what was acknowledged by then."""
    disk, acknowledged = Disk(str(place), LOCKS), Acknowledged()
    for call in calls:
        if call.name == "write" and call.path == str(ledger):
            acknowledged.note(call.text(0))
            yield disk, acknowledged  # answered, and the power goes at once: the most that can be asked
        elif disk.take(call):
            yield disk, acknowledged


class Judge:
    """Lays a state out, opens it as after a restart, and says what is wrong with it."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._known: dict[tuple[str, int], object] = {}
        self.judged = 0

    def problems(self, flow: str, after: dict[str, bytes | None], root: str, told: Acknowledged) -> list[str]:
        """Return what is wrong with one state, nothing if it is as promised."""
        self.judged += 1
        self._lay_out(after, root)
        folder = self._place / "data"
        try:
            registry = open_local(folder, create=not told.made)
        except GreenroomError as exc:
            return [f"it does not open: {exc}"]
        try:
            found = registry.store.read(lambda tx, command, actor: self._look(registry, tx, flow, told), None, TESTER)
        except Exception as exc:  # whatever a damaged state does to the reader is a finding
            return [f"it cannot be read: {type(exc).__name__} {exc}"]
        finally:
            registry.close()
        if not found and self.judged % FULL_EVERY == 0:
            found = _write_more(folder) + problems_of_log(folder)
        return found

    def _lay_out(self, after: dict[str, bytes | None], root: str) -> None:
        for each in self._place.iterdir():
            shutil.rmtree(each)
        for path, content in after.items():
            target = self._place / path.removeprefix(root).lstrip("/")
            if content is None:
                target.mkdir(mode=0o700, exist_ok=True)
            else:
                target.write_bytes(content)
                target.chmod(0o600)

    def _look(self, registry: LocalRegistry, tx: Any, flow: str, told: Acknowledged) -> list[str]:
        head, _ = tx.audit_head()
        rows = tx.db.all("SELECT seq, prev, leaf, actor FROM audit_entry ORDER BY seq")
        if [row[0] for row in rows] != list(range(1, head.size + 1)):
            return [f"the head says {head.size}, the log has {len(rows)} entries"]
        if any(row[1] != before[2] for before, row in itertools.pairwise(rows)) or rows[-1][2] != head.last:
            return ["the chain is broken"]
        lost = told.entries - {row[3] for row in rows}
        if lost:
            return [f"acknowledged, and lost: {sorted(lost)}"]
        pages = tx.db.raw.execute("PRAGMA integrity_check").fetchall()
        if pages != [("ok",)]:
            return [f"integrity_check says {pages}"]
        found = _lost_blobs(registry, told) + _lost_of_run(tx, told)
        if found or not told.made:
            return found
        return self._replayed(registry, flow, head.last, [tx.db.all(f"SELECT * FROM {table}") for table in AUDITED])

    def _replayed(self, registry: LocalRegistry, flow: str, last: str, state: object) -> list[str]:
        """State = replay(audit). The same log must always come with the same tables; the first time it is replayed."""
        key = (flow, last)
        if key not in self._known:
            report = registry.call_now("audit_verify", c.AuditVerify(), TESTER)
            if report.status != "ok":
                return [f"{each.kind} {each.where}: {each.message}" for each in report.findings] or [report.status]
            self._known[key] = state
        return [] if self._known[key] == state else ["the same log, and other tables"]


def _lost_blobs(registry: LocalRegistry, told: Acknowledged) -> list[str]:
    found = []
    for digest in sorted(told.blobs):
        try:
            with registry.blobs.open(digest) as file:
                whole = digest_of(file.read()) == digest
        except GreenroomError as exc:
            found.append(f"an acknowledged blob is lost: {exc}")
        else:
            if not whole:
                found.append(f"an acknowledged blob holds other bytes: {digest}")
    return found


def _lost_of_run(tx: Any, told: Acknowledged) -> list[str]:
    """What a run logged is there, every acknowledged point, parameter and file of it, and each point once."""
    if not told.tracked:
        return []
    points = [f"point {key} {step}" for key, step in tx.db.all('SELECT "key", step FROM metric_point')]
    there = {*points, *(f"param {key}" for (key,) in tx.db.all('SELECT "key" FROM run_param'))}
    there |= {f"file {path}" for (path,) in tx.db.all("SELECT path FROM upload")}
    there |= {"ended x" for (status,) in tx.db.all("SELECT status FROM run") if status == "FINISHED"}
    newest = dict(tx.db.all('SELECT "key", step FROM run_metric'))
    found = [f"acknowledged by the run, and lost: {each}" for each in sorted(told.tracked - there)]
    found += [f"a point is there twice: {points}"] if len(points) != len(set(points)) else []
    stale = [key for key, step in newest.items() if f"point {key} {step + 1}" in points]
    return found + [f"the newest point of {key} is not the newest" for key in stale]


def _write_more(folder: Path) -> list[str]:
    """What was recovered must go on: the next write is an ordinary one."""
    registry = open_local(folder)
    try:
        registry.call_now("create_model", c.CreateModel("afterwards"), TESTER)
    except GreenroomError as exc:
        return [f"it does not go on: {exc}"]
    finally:
        registry.close()
    return []


def recorded(name: str, mutant: str = "") -> tuple[Path, list[syscalls.Call], Path]:
    """Play a workflow in a fresh place under the recorder."""
    place = Path(tempfile.mkdtemp(prefix="greenroom-f1-", dir=MEMORY))
    (place / "disk").mkdir()
    ledger = place / "ledger"
    words = [
        "-m",
        "tests.crash.workflows",
        str(place / "disk" / "data"),
        name,
        str(ledger),
        *([mutant] if mutant else []),
    ]
    return place / "disk", syscalls.record(words, place / "log", ROOT), ledger


def judge_flow(name: str, states: int, judge: Judge, mutant: str = "") -> list[str]:
    """Judge `states` crash states of one workflow, spread evenly; stops at the third that is wrong."""
    place, calls, ledger = recorded(name, mutant)
    try:
        weights = [1.0 if told.made else MAKING for _, told in moments(place, calls, ledger)]
        chance, problems, owed = random.Random(f"{SEED} {name}"), [], 0.0
        for at, (disk, told) in enumerate(moments(place, calls, ledger)):
            owed += weights[at] * states / sum(weights)
            while owed >= 1:
                owed -= 1
                kind = chance.choice(KINDS)
                where = f"{name}, call {at} of {len(weights)}, {kind} (seed {SEED})"
                found = judge.problems(name, disk.crash(kind, chance), str(place), told)
                problems += [f"{where}: {each}" for each in found]
            if len(problems) >= 3:
                break
        return problems
    finally:
        shutil.rmtree(place.parent)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with tempfile.TemporaryDirectory(prefix="greenroom-f1-", dir=MEMORY) as place:
        yield Judge(Path(place))


@promise(
    "F1",
    "{states} crash states over {flows} workflows: prefix, dropped, subset, torn, reordered",
    states=STATES,
    flows=FLOWS,
    mutant=("test_less_synchronous_loses", "test_unsynced_blobs_are_lost", "test_what_a_run_logged_is_lost_by_less"),
)
@pytest.mark.parametrize("name", WORKFLOWS)
def test_power_loss_takes_nothing_that_was_acknowledged(name: str, judge: Judge) -> None:
    assert judge_flow(name, STATES // FLOWS, judge) == []


@pytest.mark.parametrize("level", ["normal", "off"])
def test_less_synchronous_loses(level: str, judge: Judge) -> None:
    problems = judge_flow("checkpointing", 1_000, judge, level)
    assert any("lost" in each or "is empty" in each or "damaged" in each for each in problems), problems


@pytest.mark.parametrize("flow", ["uploading", "uploading_in_parts"])
@pytest.mark.parametrize("mutant", ["blobs_unsynced", "names_unsynced"])
def test_unsynced_blobs_are_lost(mutant: str, flow: str, judge: Judge) -> None:
    problems = judge_flow(flow, 1_000, judge, mutant)
    assert any("an acknowledged blob" in each for each in problems), problems


@pytest.mark.parametrize("mutant", ["off", "blobs_unsynced"])
def test_what_a_run_logged_is_lost_by_less(mutant: str, judge: Judge) -> None:
    problems = judge_flow("tracking", 1_000, judge, mutant)
    assert any("lost" in each or "is empty" in each or "acknowledged blob" in each for each in problems), problems
