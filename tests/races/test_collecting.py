"""F10: garbage collection against uploads, registrations, deletes and restores, on one server and on two.

In each round several clients work on few files, over and over, while every server collects. Half of the rounds collect
without any grace: then a client may be told Conflict and sends again, and nothing that a version needs may go. The
other half keep a grace: then what was stored or promised within it can be registered, without a word.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core.digest import digest_of, hex_of
from greenroom.core.model import File
from greenroom.services import commands as c
from tests.blobs.scene import problems
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.kit import SEED, TESTER, Client, Server, serving, together

ROUNDS = sized(120, 12_000)
ROUNDS_OF_TWO = sized(80, 8_000)
GRACE_S = 0.6
FILES = 3
TRIES = 60
MODEL = "m"


@dataclass
class Truth:
    """What was acknowledged, and what is wrong."""

    chance: random.Random
    versions: dict[int, bytes] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    collected: int = 0
    conflicts: int = 0

    def wrong(self, text: str) -> None:
        self.problems.append(text)


class Hand:
    """One client, with a connection to each server."""

    def __init__(self, servers: list[Server], name: str, truth: Truth) -> None:
        self._chance = random.Random(f"{SEED}-{name}")
        self._clients = [Client(server.address, name) for server in servers]
        self._addresses = [server.address for server in servers]
        self.truth, self.name = truth, name
        self.grace_s = 0.0

    def ask(self, operation: str, command: Any) -> tuple[int, Any]:
        return self._chance.choice(self._clients).ask(operation, command)

    def send(self, method: str, target: str, body: bytes = b"") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(*self._chance.choice(self._addresses), timeout=60)
        try:
            connection.request(method, target, body, {"X-Greenroom-Actor": self.name})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def close(self) -> None:
        for each in self._clients:
            each.close()

    def until_done(self, what: str, attempt: Any) -> Any:
        """Try until it succeeds; being told that something was taken away meanwhile is no failure."""
        for _ in range(TRIES):
            status, answer = attempt()
            if status in (200, 201):
                return answer
            if not _is_passing(status, answer):
                self.truth.wrong(f"{what} was answered {status}: {answer}")
                return None
            self.truth.conflicts += 1
        self.truth.wrong(f"{what} never came to its end")
        return None

    # --- what clients do ---

    def push(self, data: bytes) -> None:
        """Ask what is missing, send it (in one piece, or in two through any server), register."""
        digest = digest_of(data)
        files = (File("f", digest, len(data)),)

        def register(promised: float) -> tuple[int, Any]:
            status, answer = self.ask("register_version", c.RegisterVersion(MODEL, files=files))
            if status != 200 and self.grace_s and time.monotonic() - promised < self.grace_s:
                self.truth.wrong(f"a promised file was taken away: {status} {answer}")
            return status, answer

        def attempt() -> tuple[int, Any]:
            started = time.monotonic()
            status, answer = self.ask("missing_blobs", c.MissingBlobs((digest,)))
            if status == 200 and digest in answer["missing"]:
                status, answer = self._upload(data)
            return register(started) if status in (200, 201) else (status, answer)

        answer = self.until_done("a push", attempt)
        if answer is not None:
            self.truth.versions[answer["version"]] = data
            self.read(answer["version"])

    def _upload(self, data: bytes) -> tuple[int, Any]:
        target = f"/api/v1/blobs/sha256/{hex_of(digest_of(data))}?size={len(data)}"
        if self._chance.random() < 0.5:
            return _parsed(self.send("PUT", target, data))
        name, half = f"u{self._chance.getrandbits(40)}", len(data) // 2
        status, said = _parsed(self.send("PUT", f"{target}&upload={name}&offset=0", data[:half]))
        if status != 200:
            return status, said
        return _parsed(self.send("PUT", f"{target}&upload={name}&offset={half}", data[half:]))

    def log(self, data: bytes) -> None:
        """Upload as MLflow does, and register from there, or delete it again."""
        path = f"up/{self.name}-{self._chance.getrandbits(40)}"
        tree = f"/api/2.0/mlflow-artifacts/artifacts/{path}"
        if self.until_done("an MLflow upload", lambda: _parsed(self.send("PUT", f"{tree}/f", data))) is None:
            return
        if self._chance.random() < 0.5:
            ask = c.RegisterVersion(MODEL, source=f"mlflow-artifacts:/{path}")
            status, answer = self.ask("register_version", ask)
            if status != 200:  # never: the upload tree names it
                self.truth.wrong(f"registering from the upload tree was answered {status}: {answer}")
            else:
                self.truth.versions[answer["version"]] = data
                self.read(answer["version"])
        status, body = self.send("GET", f"{tree}/f")
        if (status, body) != (200, data):
            self.truth.wrong(f"the upload tree answers {status} {body[:80]!r}")
        if self._chance.random() < 0.7:
            self.send("DELETE", tree)
        else:
            self.truth.uploads[path] = data

    def leave(self, data: bytes) -> None:
        """Send a file and register nothing, wholly or in part."""
        target = f"/api/v1/blobs/sha256/{hex_of(digest_of(data))}?size={len(data)}"
        if self._chance.random() < 0.5:
            self.send("PUT", target, data)
        else:
            self.send("PUT", f"{target}&upload=left{self._chance.getrandbits(40)}&offset=0", data[: len(data) // 2])

    def toggle(self, version: int) -> None:
        """Delete a version and bring it back."""
        self.ask("delete_version", c.DeleteVersion(MODEL, version))
        self.ask("restore_version", c.RestoreVersion(MODEL, version))

    def read(self, version: int) -> None:
        """A version's bytes are there, whatever happens."""
        data = self.truth.versions[version]
        status, body = self.send("GET", f"/api/v1/blobs/sha256/{hex_of(digest_of(data))}")
        if (status, body) != (200, data):
            self.truth.wrong(f"version {version} answers {status} {body[:200]!r}")

    def collect(self, stop: threading.Event) -> None:
        """Collect until the others are done."""
        while not stop.wait(0.005):  # others shall get a word in
            status, answer = self.ask("collect_garbage", c.CollectGarbage(self.grace_s))
            if status == 200:
                self.truth.collected += answer["blobs"]
            elif status != 409:
                self.truth.wrong(f"gc was answered {status}: {answer}")
                return


def _parsed(answer: tuple[int, bytes]) -> tuple[int, Any]:
    return answer[0], json.loads(answer[1])


def _is_passing(status: int, answer: Any) -> bool:
    """Taken away in between: to be sent again, says the answer."""
    text = json.dumps(answer)
    return status in (409, 503) or (status == 400 and ("not stored here" in text or "missing" in text))


def play(servers: list[Server], rounds: int) -> Truth:
    """Run rounds until something is wrong."""
    print(f"seed {SEED}")
    truth = Truth(random.Random(SEED))
    with Client(servers[0].address) as client:
        client.do("create_model", c.CreateModel(MODEL))
    hands = [Hand(servers, f"hand-{number}", truth) for number in range(3)]
    collectors = [Hand([server], f"collector-{at}", truth) for at, server in enumerate(servers)]
    try:
        for number in range(rounds):
            for each in (*hands, *collectors):
                each.grace_s = GRACE_S if number % 2 else 0.0
            _round(number, hands, collectors)
            if truth.problems:
                break
        _two_cycles(collectors[0])
    finally:
        for each in (*hands, *collectors):
            each.close()
    return truth


def _round(number: int, hands: list[Hand], collectors: list[Hand]) -> None:
    truth, stop, left = hands[0].truth, threading.Event(), len(hands)
    datas = [b"%d %d " % (number - back, at) * 40 for at in range(FILES) for back in range(2)]
    known = sorted(truth.versions)
    lock = threading.Lock()

    def work(at: int) -> None:
        nonlocal left
        if at >= len(hands):
            collectors[at - len(hands)].collect(stop)
            return
        hand, chance = hands[at], random.Random(f"{SEED}-{number}-{at}")
        try:
            for _ in range(2):
                chance.choice((hand.push, hand.push, hand.log, hand.leave))(chance.choice(datas))
            if known and at == 0:
                version = chance.choice(known)
                hand.toggle(version)
                hand.read(version)
        finally:
            with lock:
                left -= 1
                if not left:
                    stop.set()

    for exc in together(len(hands) + len(collectors), work):
        truth.wrong(f"{type(exc).__name__}: {exc}")


def _two_cycles(collector: Hand) -> None:
    """Orphans are gone after two runs: what is left is what versions and the upload tree name."""
    for _ in range(2):
        collector.until_done("gc", lambda: collector.ask("collect_garbage", c.CollectGarbage(0)))


def after(registry: LocalRegistry, truth: Truth) -> list[str]:
    """What is wrong when all is over: with the bytes, with what was acknowledged, with the log, with what was left."""
    try:
        found = truth.problems + problems(registry)
        report = registry.call_now("audit_verify", c.AuditVerify(), TESTER)
        found += [f"{each.kind} {each.where}: {each.message}" for each in report.findings]
        with registry.rows() as rows:
            named = {row["digest"] for table in ("manifest_entry", "upload") for row in rows(table)}
            kept = {row["digest"] for row in rows("blob")}
        acknowledged = {digest_of(data) for data in (*truth.versions.values(), *truth.uploads.values())}
        if acknowledged - named:
            found.append(f"{len(acknowledged - named)} acknowledged files are named by nothing")
        on_disk = {digest for digest, _ in registry.blobs.digests()}
        if truth.problems == [] and not kept == on_disk == named:
            found.append(f"{len(named)} blobs are named, {len(kept)} in the database, {len(on_disk)} on disk")
        return found
    finally:
        registry.close()


@contextlib.contextmanager
def two_servers(folder: Path, mutant: str | None = None) -> Iterator[tuple[list[Server], str]]:
    url = new_database()
    with (
        serving(folder, "--database-url", url, mutant=mutant) as one,
        serving(folder, "--database-url", url, mutant=mutant) as two,
    ):
        yield [one, two], url


MUTANTS = ("test_a_lost_protection_is_seen",)


@pytest.mark.slow
@promise("F10", "{rounds} rounds of {files} files on SQLite", rounds=ROUNDS, files=FILES, mutant=MUTANTS)
def test_nothing_needed_is_collected(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        truth = play([server], ROUNDS)
    assert after(open_local(tmp_path / "data"), truth) == []
    assert len(truth.versions) > ROUNDS
    assert truth.collected > ROUNDS // 4
    assert truth.conflicts > 0  # they really met


@pytest.mark.slow
@promise(
    "F10", "{rounds} rounds on two servers, one PostgreSQL, one folder of blobs", rounds=ROUNDS_OF_TWO, mutant=MUTANTS
)
def test_nothing_needed_is_collected_by_two_servers(tmp_path: Path) -> None:
    with two_servers(tmp_path / "data") as (servers, url):
        truth = play(servers, ROUNDS_OF_TWO)
    assert after(open_shared(url, tmp_path / "data"), truth) == []
    assert len(truth.versions) > ROUNDS_OF_TWO
    assert truth.collected > ROUNDS_OF_TWO // 4


@pytest.mark.parametrize("mutant", ["no_second_look", "no_grace", "no_conflict", "no_sweep_number"])
def test_a_lost_protection_is_seen(tmp_path: Path, mutant: str) -> None:
    with serving(tmp_path / "data", mutant=mutant) as server:
        truth = play([server], 40)
    assert after(open_local(tmp_path / "data"), truth) != []
