"""A4: of two forks of a log at most one is ever cosigned: in any order, at the same time, killed, without power."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.core import witness as rules
from greenroom.core.merkle import root_of
from greenroom.core.note import VerifierKey, open_note, parse_checkpoint
from greenroom.core.witness import AddCheckpoint, Answer
from greenroom.witness import folder as witness_folder
from greenroom.witness.folder import Witness, verify
from tests.audit.logs import Killed, Log, Machine, machine
from tests.promises import promise, sized
from tests.races.kit import ROOT, SEED
from tests.tamper.scene import quick_folder

FORKS = sized(1_000, 100_000)
KILLS = sized(8, 200)
ORIGINS_PER_FOLDER = 5


@pytest.fixture
def place() -> Iterator[Path]:
    with quick_folder() as folder:
        yield folder


Given = list[tuple[AddCheckpoint, str]]
"""Each request that was answered with a cosignature, and the cosignature."""


class Attack:
    """One log that has signed two histories, and everything that is tried to get both cosigned."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self.rng = rng
        self.log = Log(rng, f"example.org/log-{number}")
        self.common = self.log.leaves(rng.randrange(0, 40))
        short, long = sorted(rng.randrange(1, 30) for _ in range(2))
        self.forks = [self.common + self.log.leaves(short), self.common + self.log.leaves(long)]
        if rng.random() < 0.5:  # the same size: the plainest fork
            self.forks[1] = self.forks[1][: len(self.forks[0])]
        self.given: Given = []

    def ask(self, witness: Witness, fork: int) -> None:
        """Ask for one fork with what an attacker could say: true and false old sizes, proofs of either history."""
        leaves = self.forks[fork]
        known = witness.known(self.log.name)
        old = self.rng.choice([known.size if known else 0, 0, len(self.common), len(leaves), self.rng.randrange(60)])
        ask = self.log.ask(leaves, old)
        if self.rng.random() < 0.3:  # a proof that does hold, but of the other history
            other = self.log.ask(self.forks[1 - fork], old)
            ask = AddCheckpoint(old, other.proof, ask.note)
        judged, line = witness.add(ask, 1_700_000_000)
        assert bool(line) is (judged.answer is Answer.COSIGNED)
        if line:
            self.given.append((ask, line))


def contradictions(attack: Attack, key: VerifierKey) -> list[str]:
    """Return which cosigned checkpoints are not of one history. Looks at what was signed, not at what was answered."""
    found = []
    seen = []
    for ask, line in attack.given:
        note = open_note(ask.note + line, [attack.log.key, key], verify)
        assert note.signed_by == (attack.log.name, key.name)
        seen.append(parse_checkpoint(note.body))
    histories = [
        {number for number, leaves in enumerate(attack.forks) if root_of(leaves[: each.size]) == each.root}
        for each in seen
    ]
    for at, history in enumerate(histories):
        found += [
            f"{seen[at]} and {other} are both cosigned"
            for other, of_other in zip(seen[:at], histories[:at], strict=True)
            if not history & of_other
        ]
    return found


def survive(place: Path, rng: random.Random, forks: int) -> list[str]:
    """Attack witnesses with `forks` forks, cutting process and power at random; return the contradictions."""
    found: list[str] = []
    signed = 0
    for first in range(0, forks, ORIGINS_PER_FOLDER):
        folder = place / f"witness-{first}"
        with machine(folder) as given:
            witness = Witness(folder, name="w.example")
            attacks = [Attack(rng, number) for number in range(first, min(first + ORIGINS_PER_FOLDER, forks))]
            for attack in attacks:
                witness = _one(witness, given, attack, rng)
            found += [text for attack in attacks for text in contradictions(attack, witness.key)]
            witness.close()
            signed += sum(len(attack.given) for attack in attacks)
    assert signed > forks  # else nothing was tried
    return found


def _one(witness: Witness, given: Machine, attack: Attack, rng: random.Random) -> Witness:
    """Have one log's two histories asked for, in one of several ways; return the witness that is alive then."""
    witness.trust(attack.log.key)
    if rng.random() < 0.5 and attack.common:
        judged, line = witness.add(attack.log.ask(attack.common, 0), 1_700_000_000)
        assert judged.answer is Answer.COSIGNED
        attack.given.append((attack.log.ask(attack.common, 0), line))
    if rng.random() < 0.1:
        _at_once(witness, attack)
    for _ in range(6):
        given.die_at = given.step + rng.randrange(1, 14) if rng.random() < 0.4 else None
        try:
            attack.ask(witness, rng.randrange(2))
        except Killed:
            pass
        killed = given.die_at is not None and given.step >= given.die_at
        given.die_at = None
        if killed or rng.random() < 0.2:
            witness.close()
            if rng.random() < 0.5:
                given.lose_power()
            witness = Witness(given.folder)
            witness.trust(attack.log.key)
    return witness


def _at_once(witness: Witness, attack: Attack) -> None:
    """Two requests at the same moment, each true by itself."""
    known = witness.known(attack.log.name)
    assert known is not None
    asks = [attack.log.ask(leaves, known.size) for leaves in attack.forks]
    barrier = threading.Barrier(2)

    def run(ask: AddCheckpoint) -> None:
        barrier.wait(30)
        _, line = witness.add(ask, 1_700_000_000)
        if line:
            attack.given.append((ask, line))

    threads = [threading.Thread(target=run, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@promise(
    "A4",
    "{forks} forks, asked for in any order, with false sizes and proofs, at once, killed and without power",
    forks=FORKS,
    mutant="test_each_protection_of_the_witness_is_needed",
)
def test_of_two_forks_at_most_one_is_cosigned(place: Path) -> None:
    print(f"seed {SEED}")
    assert survive(place, random.Random(SEED), FORKS) == []


# --- the protection taken away ---


def _forgets(patch: pytest.MonkeyPatch) -> None:
    """It signs and keeps nothing."""
    write = witness_folder.write_durably
    patch.setattr(
        witness_folder, "write_durably", lambda path, text: None if path.name == "checkpoint" else write(path, text)
    )


def _answers_first(patch: pytest.MonkeyPatch) -> None:
    """It does not wait until its memory is durable."""
    patch.setattr(Machine, "fsync", lambda self, fd: None if self.step > 40 else _fsync(self, fd))


_fsync = Machine.fsync


def _forgets_the_folder(patch: pytest.MonkeyPatch) -> None:
    """The file is durable, its name is not."""
    patch.setattr(witness_folder, "_sync_folder", lambda path: None if "logs" in path.parts else _sync_folder(path))


_sync_folder = witness_folder._sync_folder


def _asks_no_proof(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "verify_consistency", lambda *given: True)


def _asks_no_size(patch: pytest.MonkeyPatch) -> None:
    """The proof is checked from the size that the caller names, against nothing that the witness knows."""
    judge = rules.judge

    def misjudge(ask, logs, check):
        judged = judge(ask, logs, check)
        if judged.answer is Answer.OTHER_SIZE and judged.checkpoint is not None and ask.old_size == 0:
            return rules.Judgement(Answer.COSIGNED, "", judged.checkpoint)
        return judged

    patch.setattr(witness_folder, "judge", misjudge)


def _no_lock(patch: pytest.MonkeyPatch) -> None:
    """Two requests are judged by the same memory: both before either is kept."""
    both, lock = threading.Barrier(2), threading.Lock()
    cosign = witness_folder.cosign

    def meet(*given):
        if threading.current_thread() is not threading.main_thread():
            lock.release()
            try:
                both.wait(1)
            except threading.BrokenBarrierError:
                both.reset()
            lock.acquire()
        return cosign(*given)

    patch.setattr(witness_folder, "cosign", meet)
    start = Witness.__init__

    def begin(self, *given, **named):
        start(self, *given, **named)
        self._lock = lock

    patch.setattr(Witness, "__init__", begin)
    patch.setattr(witness_folder, "cosign", meet)


@pytest.mark.parametrize(
    "mutant", [_forgets, _answers_first, _forgets_the_folder, _asks_no_proof, _asks_no_size, _no_lock]
)
def test_each_protection_of_the_witness_is_needed(
    place: Path, monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    mutant(monkeypatch)
    assert survive(place, random.Random(SEED), 100)


# --- a real process, a real kill ---

_PROCESS = """
import os, sys
from pathlib import Path
from greenroom.core.note import parse_verifier_key
from greenroom.core.witness import parse_add_checkpoint
from greenroom.witness import folder
witness = folder.Witness(Path(sys.argv[1]))
witness.trust(parse_verifier_key(sys.argv[2]))
steps = int(sys.argv[3])

class Dying:
    def __getattr__(self, name):
        return getattr(os, name)
    def _step(self):
        global steps
        steps -= 1
        if steps == 0:
            os.kill(os.getpid(), 9)
    def fsync(self, fd):
        self._step()
        os.fsync(fd)
        self._step()
    def replace(self, a, b):
        self._step()
        os.replace(a, b)

folder.os = Dying()
judged, line = witness.add(parse_add_checkpoint(sys.stdin.buffer.read()), 1_700_000_000)
sys.stdout.write(line)
sys.stdout.flush()
"""


@promise("A4", "{kills} witness processes killed between their steps", kills=KILLS)
def test_a_killed_process_does_not_forget(place: Path) -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for number in range(KILLS):
        attack = Attack(rng, number)
        folder = place / f"killed-{number}"
        with_key = Witness(folder, name="w.example")
        with_key.close()
        known = 0
        for fork in (number % 2, 1 - number % 2, number % 2):
            ask = attack.log.ask(attack.forks[fork], known)
            steps = 1 + (number + fork) % 6
            done = subprocess.run(
                [sys.executable, "-c", _PROCESS, str(folder), _vkey(attack.log), str(steps)],
                input=rules.add_checkpoint_body(ask.old_size, ask.proof, ask.note),
                capture_output=True,
                cwd=ROOT,
            )
            assert done.returncode in (0, -signal.SIGKILL), done.stderr
            if done.stdout:
                attack.given.append((ask, done.stdout.decode()))
            again = Witness(folder)
            state = again.known(attack.log.name)
            known = state.size if state is not None else 0
            again.close()
        assert contradictions(attack, with_key.key) == []


def _vkey(log: Log) -> str:
    from greenroom.core.note import verifier_key

    return verifier_key(log.key.name, log.key.public_key)
