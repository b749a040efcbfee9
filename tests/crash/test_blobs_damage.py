"""F8: a flipped, cut or swapped blob is found by whoever reads it, and by fsck, and never sent as if it were whole.

The registry is real, so are the server and the client; only the files are changed behind their back. A found blob makes
its version damaged; the same bytes, sent again, make it whole.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from greenroom import connect
from greenroom.client.registry import Registry
from greenroom.client.transfer import carrier_of, pull_files
from greenroom.core.digest import digest_of, hex_of
from greenroom.core.errors import IntegrityFailure
from greenroom.core.model import File
from greenroom.services import damage
from tests.promises import promise, sized
from tests.races.kit import SEED, problems_of_log, serving

BLOBS = 64
DAMAGES = sized(1_000, 100_000)
WAVE = 25
MODEL = "m"
_SIZES = (1, 2, 100, 1_000, 4_096, 60_000, 70_000, 200_000)


def samples(chance: random.Random) -> list[bytes]:
    """Return the files: most are small, some take several pieces to send."""
    found = [chance.randbytes(_SIZES[at % len(_SIZES)] + at) for at in range(BLOBS - 2)]
    return [*found, chance.randbytes((1 << 20) + 17), chance.randbytes((2 << 20) + 1)]


@dataclass
class Scene:
    """A registry with one version for each file, and what is wrong with its files now."""

    folder: Path
    client: Registry
    datas: list[bytes]
    chance: random.Random
    damaged: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    found: int = 0

    def path(self, at: int) -> Path:
        digits = hex_of(digest_of(self.datas[at]))
        return self.folder / "blobs" / "sha256" / digits[:2] / digits

    def write(self, at: int, data: bytes) -> None:
        path = self.path(at)
        path.chmod(0o600)
        path.write_bytes(data)
        path.chmod(0o444)

    def spoil(self, count: int) -> None:
        """Damage so many files, each in one of three ways."""
        at = self.chance.sample(range(BLOBS), count)
        while at:
            one, way = at.pop(), self.chance.choice(("flipped", "truncated", "swapped"))
            data = self.datas[one]
            if way == "flipped":
                place = self.chance.randrange(len(data))
                self.write(one, data[:place] + bytes([data[place] ^ 1 << self.chance.randrange(8)]) + data[place + 1 :])
            elif way == "truncated":
                self.write(one, data[: self.chance.randrange(len(data))])
            elif at:
                other = at.pop()
                self.write(one, self.datas[other])
                self.write(other, data)
                self.damaged[other] = way
            else:
                continue
            self.damaged[one] = way

    def heal(self) -> None:
        """Send the right bytes again, as a push does."""
        carrier = carrier_of(self.client.transport)
        missing = carrier.missing([digest_of(each) for each in self.datas])
        wanted = {digest_of(self.datas[at]) for at in self.damaged}
        if missing != wanted:
            self.problems.append(f"{len(missing)} blobs are asked for, {len(wanted)} are damaged")
        for at in self.damaged:
            source = self.folder.parent / "good"
            source.write_bytes(self.datas[at])
            carrier.put_blob(digest_of(self.datas[at]), source, len(self.datas[at]), lambda count: None)
        for at in self.damaged:
            self.expect_mark(at, marked=False)
        self.damaged.clear()

    def expect_mark(self, at: int, *, marked: bool) -> None:
        if self.client.get(MODEL, at + 1).damaged is not marked:
            self.problems.append(f"version {at + 1} is {'not ' if marked else ''}shown as damaged")

    def read(self, at: int, way: Callable[[Scene, int], bytes | None]) -> None:
        """Read a file in one way: a damaged one must be noticed, a whole one must come."""
        got = way(self, at)
        right = self.datas[at]
        if got is not None and got != right[len(right) - len(got) :]:
            self.problems.append(f"{way.__name__} gave {len(got)} wrong bytes of a {self.damaged.get(at)} file")
        elif at in self.damaged and got is not None:
            self.problems.append(f"{way.__name__} did not notice a {self.damaged[at]} file of {len(right)} bytes")
        elif at not in self.damaged and got is None:
            self.problems.append(f"{way.__name__} refused a whole file")
        self.found += at in self.damaged
        self.expect_mark(at, marked=at in self.damaged)

    def check(self) -> None:
        """Fsck must name exactly the damaged ones, each by its kind, with its version."""
        told = {each.digest: (each.kind, each.versions) for each in self.client.fsck().findings if each.is_damage}
        wanted = {digest_of(self.datas[at]): (self.damaged[at], (f"{MODEL} {at + 1}",)) for at in self.damaged}
        for digest in told.keys() ^ wanted.keys():
            self.problems.append(f"fsck is wrong about {digest}: {told.get(digest)}, not {wanted.get(digest)}")
        for digest in told.keys() & wanted.keys():
            if told[digest] != wanted[digest]:
                self.problems.append(f"fsck says {told[digest]}, it is {wanted[digest]}")
        for at in self.damaged:
            self.expect_mark(at, marked=True)


# --- the ways to read; None: it was refused, or cut so that it could be noticed ---


def fetched(scene: Scene, target: str, **headers: str) -> bytes | None:
    host, _, port = scene.client.where.removeprefix("http://").partition(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    try:
        connection.request("GET", target, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status in (200, 206):
            return body
        told = json.loads(body)
        assert (answer.status, told.get("code", told.get("error_code"))) in (
            (500, "integrity_failure"),
            (410, "DATA_LOSS"),
        ), (answer.status, told)
    except (http.client.IncompleteRead, ConnectionError):
        pass
    finally:
        connection.close()
    return None


def native_blob(scene: Scene, at: int) -> bytes | None:
    return fetched(scene, f"/api/v1/blobs/sha256/{hex_of(digest_of(scene.datas[at]))}")


def native_file(scene: Scene, at: int) -> bytes | None:
    return fetched(scene, f"/api/v1/models/{MODEL}/versions/{at + 1}/files/f")


def native_range(scene: Scene, at: int) -> bytes | None:
    start = scene.chance.randrange(len(scene.datas[at]))
    return fetched(scene, f"/api/v1/models/{MODEL}/versions/{at + 1}/files/f", Range=f"bytes={start}-")


def mlflow_file(scene: Scene, at: int) -> bytes | None:
    digest = scene.client.get(MODEL, at + 1).digest
    assert digest is not None
    return fetched(scene, f"/api/2.0/mlflow-artifacts/artifacts/snapshots/{hex_of(digest)}/f")


def pulled(scene: Scene, at: int) -> bytes | None:
    target = scene.folder.parent / f"pulled-{scene.chance.getrandbits(64)}"
    try:
        with _without_cache():
            scene.client.pull(f"{MODEL}@{at + 1}", target)
    except IntegrityFailure:
        assert not target.exists()
        return None
    return (target / "f").read_bytes()


def verified(scene: Scene, at: int) -> bytes | None:
    return None if scene.client.verify(MODEL, at + 1).findings else scene.datas[at]


@contextlib.contextmanager
def _without_cache() -> Iterator[None]:
    """This machine's cache of whole blobs would hide that the registry's are not."""
    from greenroom.client import transfer

    def no_cache(files: Any, dest: Path, carrier: Any, cache: Any, *rest: Any, **options: Any) -> None:
        pull_files(files, dest, carrier, None, *rest, **options)

    whole, transfer.pull_files = transfer.pull_files, no_cache  # type: ignore[assignment]
    try:
        yield
    finally:
        transfer.pull_files = whole


SERVED = (native_blob, native_file, native_range, mlflow_file, pulled, verified)
EMBEDDED = (pulled, verified)


def made(folder: Path, client: Registry) -> Scene:
    """Register one version for each file."""
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    scene = Scene(folder, client, samples(chance), chance)
    carrier = carrier_of(client.transport)
    for data in scene.datas:
        (folder.parent / "good").write_bytes(data)
        carrier.put_blob(digest_of(data), folder.parent / "good", len(data), lambda count: None)
        client.register(MODEL, [File("f", digest_of(data), len(data))], context=None)
    return scene


def waves(scene: Scene, count: int, ways: tuple[Callable[[Scene, int], bytes | None], ...]) -> Scene:
    """Damage, read and check, in turn first one and first the other; heal; until so many damages were met."""
    wave = 0
    while scene.found < count and not scene.problems:
        scene.spoil(min(WAVE, count - scene.found))
        if wave % 2:
            scene.check()
        for at in [*scene.damaged, scene.chance.choice([at for at in range(BLOBS) if at not in scene.damaged])]:
            scene.read(at, scene.chance.choice(ways))
        if not wave % 2:
            scene.check()
        scene.heal()
        wave += 1
    return scene


@pytest.mark.slow
@promise(
    "F8",
    "{damages} flips, cuts and swaps over {blobs} blobs, read over HTTP, as MLflow does, by pull and by verify",
    damages=DAMAGES,
    blobs=BLOBS,
    mutant=("test_a_server_that_does_not_verify_is_seen", "test_damage_that_is_not_remembered_is_seen"),
)
def test_damage_is_found_by_every_reader(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, connect(server.url) as client:
        scene = waves(made(tmp_path / "data", client), DAMAGES, SERVED)
        assert scene.problems == []
        assert scene.found >= DAMAGES
        assert client.fsck().findings == ()
    assert problems_of_log(tmp_path / "data") == []


@pytest.mark.slow
@promise(
    "F8", "{damages} damages met embedded", damages=sized(200, 20_000), mutant="test_an_fsck_that_trusts_sizes_is_seen"
)
def test_damage_is_found_embedded(tmp_path: Path) -> None:
    with connect(data=tmp_path / "data", create=True) as client:
        scene = waves(made(tmp_path / "data", client), sized(200, 20_000), EMBEDDED)
        assert scene.problems == []
        assert client.fsck().findings == ()
    assert problems_of_log(tmp_path / "data") == []


@pytest.mark.parametrize("mutant", ["unverified_download"])
def test_a_server_that_does_not_verify_is_seen(tmp_path: Path, mutant: str) -> None:
    with serving(tmp_path / "data", mutant=mutant) as server, connect(server.url) as client:
        ways = (native_blob, native_file, native_range, mlflow_file)
        scene = waves(made(tmp_path / "data", client), 100, ways)
        assert any("wrong bytes" in each for each in scene.problems)


def test_damage_that_is_not_remembered_is_seen(tmp_path: Path) -> None:
    with serving(tmp_path / "data", mutant="nothing_remembered") as server, connect(server.url) as client:
        scene = waves(made(tmp_path / "data", client), 50, SERVED)
        assert any("not shown as damaged" in each for each in scene.problems)


def test_an_fsck_that_trusts_sizes_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = damage.fault_of
    monkeypatch.setattr(damage, "fault_of", lambda blobs, row, quick=False: look(blobs, row, quick=True))
    with connect(data=tmp_path / "data", create=True) as client:
        scene = waves(made(tmp_path / "data", client), 100, EMBEDDED)
        assert scene.problems != []
