"""F10, the rules: what garbage collection takes, what it leaves, and that it may die at any step."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry
from greenroom.core.digest import digest_of
from greenroom.core.errors import Conflict, InvalidInput
from greenroom.core.model import Actor
from greenroom.services import artifacts, collecting
from greenroom.services import commands as c
from greenroom.services.ports import Request
from greenroom.store.compiled.sqlite import DDL
from tests.blobs.scene import Clock, fsck, gc, kinds, opened, problems, publish, register, store
from tests.races.kit import TESTER, problems_of_log

DAY_S = 86_400


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(tmp_path: Path, clock: Clock) -> Iterator[LocalRegistry]:
    made = opened(tmp_path / "data", clock)
    yield made
    made.close()


def age(registry: LocalRegistry, digest: str, seconds: float) -> None:
    """Make a file that much older."""
    then = time.time() - seconds
    os.utime(registry.blobs.path_of(digest), (then, then))  # type: ignore[attr-defined]


def states(registry: LocalRegistry) -> dict[str, str]:
    with registry.rows() as rows:
        return {row["digest"]: row["state"] for row in rows("blob")}


def missing(registry: LocalRegistry, *digests: str) -> tuple[str, ...]:
    found: tuple[str, ...] = registry.call_now("missing_blobs", c.MissingBlobs(digests), TESTER).missing
    return found


# --- what stays ---


def _version(registry: LocalRegistry) -> str:
    register(registry, b"needed")
    return digest_of(b"needed")


def _deleted_version(registry: LocalRegistry) -> str:
    register(registry, b"needed")
    registry.call_now("delete_version", c.DeleteVersion("m", 1), TESTER)
    return digest_of(b"needed")


def _deleted_model(registry: LocalRegistry) -> str:
    register(registry, b"needed")
    registry.call_now("delete_model", c.DeleteModel("m"), TESTER)
    return digest_of(b"needed")


def _upload(registry: LocalRegistry) -> str:
    file = store(registry, b"needed")
    registry.call_now("put_upload", c.PutUpload("a/b", file.digest, file.size_bytes), TESTER)
    return file.digest


@pytest.mark.parametrize("make", [_version, _deleted_version, _deleted_model, _upload])
def test_what_is_named_stays_for_ever(
    registry: LocalRegistry, clock: Clock, make: Callable[[LocalRegistry], str]
) -> None:
    digest = make(registry)
    clock.forward(10_000 * DAY_S)
    assert gc(registry, 0).blobs == 0
    assert missing(registry, digest) == ()
    assert problems(registry) == []


def test_a_blob_stays_for_the_grace_after_it_was_stored_again_or_promised(
    registry: LocalRegistry, clock: Clock
) -> None:
    stored, again, promised = (store(registry, data).digest for data in (b"stored", b"again", b"promised"))
    clock.forward(DAY_S - 1)
    store(registry, b"again")
    assert missing(registry, promised) == ()
    assert gc(registry).blobs == 0
    clock.forward(1)
    assert gc(registry, dry_run=True).blobs == gc(registry).blobs == 1
    assert missing(registry, stored, again) == (stored,)
    clock.forward(DAY_S - 2)
    assert gc(registry).blobs == 0
    clock.forward(1)
    assert gc(registry).blobs == 1  # `promised`: `again` was asked for meanwhile
    assert set(states(registry)) == {again}


def test_what_left_the_upload_tree_goes(registry: LocalRegistry, clock: Clock) -> None:
    _upload(registry)
    clock.forward(2 * DAY_S)
    registry.call_now("delete_uploads", c.UploadPath("a"), TESTER)
    done = gc(registry)
    assert (done.blobs, done.bytes) == (1, len(b"needed"))
    assert list(registry.blobs.digests()) == []


# --- what goes ---


def test_every_run_that_took_something_is_one_entry(registry: LocalRegistry, clock: Clock) -> None:
    digests = sorted(store(registry, b"%d" % number).digest for number in range(3))
    clock.forward(2 * DAY_S)
    with registry.snapshot() as tx:
        before = tx.audit_head()[0].size
    plan = gc(registry, dry_run=True)
    done = gc(registry)
    assert (plan.blobs, plan.bytes, plan.dry_run) == (done.blobs, done.bytes, True) == (3, 3, True)
    assert gc(registry).blobs == 0
    with registry.snapshot() as tx:
        (entry,) = tx.audit_entries(after=before, limit=10)
    assert entry.type == "blobs_collected"
    assert {**entry.body, "verified": None} == {
        "blobs": 3,
        "bytes": 3,
        "digests": digests,
        "list": digest_of("\n".join(digests).encode()),
        "changes": [],
        "verified": None,
    }


def test_files_without_a_row_and_stale_staging_go(registry: LocalRegistry) -> None:
    orphan, fresh = publish(registry, b"orphan"), publish(registry, b"fresh")
    age(registry, orphan, 2 * DAY_S)
    registry.blobs.upload("half").pause()
    staged = registry.blobs.root / "staging" / "half"  # type: ignore[attr-defined]
    os.utime(staged, (0, 0))
    plan = gc(registry, dry_run=True)
    assert (plan.blobs, plan.staged) == (1, 1)
    done = gc(registry)
    assert (done.blobs, done.staged, done.bytes) == (1, 1, len(b"orphan"))
    assert [each for each, _ in registry.blobs.digests()] == [fresh]
    assert not staged.exists()
    registry.call_now("declare_blob", c.BlobStored(fresh, 5), TESTER)
    assert problems(registry) == []


def test_kept_outcomes_of_old_requests_go(registry: LocalRegistry, clock: Clock) -> None:
    """C7: a retry under its key is the first answer for a week; after that it is a new request."""

    def ask() -> int:
        command = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=True)
        number: int = registry.call_now("register_version", command, TESTER, request=Request("1", "key", "f")).version
        return number

    assert [ask(), ask()] == [1, 1]
    clock.forward(7 * DAY_S)
    assert gc(registry).keys == 0
    assert ask() == 1
    clock.forward(1)
    assert gc(registry, dry_run=True).keys == gc(registry).keys == 1
    assert ask() == 2


@pytest.mark.parametrize("grace_s", [-1.0, float("nan"), float("inf"), 1e12])
def test_a_grace_that_cannot_be(registry: LocalRegistry, grace_s: float) -> None:
    with pytest.raises(InvalidInput, match="cannot be"):
        gc(registry, grace_s)


# --- what is met in between ---


def test_one_collector_at_a_time(registry: LocalRegistry) -> None:
    with registry.blobs.collecting(), pytest.raises(Conflict, match="already"):
        gc(registry)


def test_a_commit_that_meets_deleting_is_a_conflict(registry: LocalRegistry) -> None:
    file = store(registry, b"abc")
    registry.write(lambda tx, ask, actor: tx.set_blob_state(file.digest, "deleting"), None, TESTER)
    asks: list[tuple[str, Any]] = [
        ("register_version", c.RegisterVersion("m", files=(file,), create_model=True)),
        ("put_upload", c.PutUpload("a", file.digest, 3)),
        ("blob_stored", c.BlobStored(file.digest, 3)),
    ]
    for operation, command in asks:
        with pytest.raises(Conflict, match="is being deleted"):
            registry.call_now(operation, command, TESTER)
    with registry.blobs.collecting():  # the collector is alive
        assert missing(registry, file.digest) == (file.digest,)
        with pytest.raises(Conflict, match="is being deleted"):
            registry.call_now("declare_blob", c.BlobStored(file.digest, 3), TESTER)
    assert states(registry) == {file.digest: "deleting"}
    assert missing(registry, file.digest) == (file.digest,)  # it is dead: finished by who asks
    assert states(registry) == {}
    with pytest.raises(Conflict, match="was just taken away"):  # with no grace, before its name was given
        registry.call_now("put_upload", c.PutUpload("a", file.digest, 3), TESTER)
    store(registry, b"abc")
    assert problems(registry) == []


def test_the_second_look_decides(registry: LocalRegistry, clock: Clock) -> None:
    """Between the list and the mark somebody registers one, puts one into the upload tree, is promised one."""
    files = [store(registry, b"%d" % number) for number in range(4)]
    clock.forward(2 * DAY_S)
    with registry.snapshot() as tx:
        listed = tx.unused_blobs(after="", until=clock.now_ms, limit=10)
    assert len(listed) == 4
    registry.call_now("register_version", c.RegisterVersion("m", files=files[:1], create_model=True), TESTER)
    registry.call_now("put_upload", c.PutUpload("a", files[1].digest, 1), TESTER)
    missing(registry, files[2].digest)
    marking = collecting._Marking(tuple(row.digest for row in listed), DAY_S * 1000)
    marked = registry.write(collecting._mark, marking, TESTER)
    assert [row.digest for row in marked] == [files[3].digest]


def test_a_file_that_went_between_publishing_and_declaring(
    registry: LocalRegistry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An upload publishes; a collector that marked before removes; the upload declares. No row may come of it."""
    digest = store(registry, b"abc").digest
    clock.forward(2 * DAY_S)
    stored, write, done = artifacts.blob_stored, registry.write, []

    def write_after_a_collection(use_case: Any, command: Any, actor: Actor) -> Any:
        if use_case is stored and not done:
            done.append(True)
            monkeypatch.setattr(registry, "write", write)
            assert gc(registry).blobs == 1
            monkeypatch.setattr(registry, "write", write_after_a_collection)
        return write(use_case, command, actor)

    publish(registry, b"abc")
    monkeypatch.setattr(registry, "write", write_after_a_collection)
    with pytest.raises(Conflict, match="was just taken away"):
        registry.call_now("declare_blob", c.BlobStored(digest, 3), TESTER)
    assert states(registry) == {}
    monkeypatch.undo()
    store(registry, b"abc")
    assert problems(registry) == []


# --- dying at every step ---


class _Death(Exception):
    """The process ends here."""


class _Dying:
    """A desk that dies at its nth step, before or after the step took effect."""

    def __init__(self, desk: LocalRegistry, step: int, *, after: bool) -> None:
        self._desk, self._left, self._after = desk, step, after
        self.blobs = self
        self.snapshot, self.signer = desk.snapshot, desk.signer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._desk.blobs, name)

    def _step(self, act: Callable[..., Any], *args: Any) -> Any:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise _Death
        answer = act(*args)
        if self._left == 0:
            raise _Death
        return answer

    def write(self, *args: Any) -> Any:
        return self._step(self._desk.write, *args)

    def remove(self, digest: str) -> None:
        self._step(self._desk.blobs.remove, digest)

    def set_aside(self, digest: str) -> Any:
        return self._step(self._desk.blobs.set_aside, digest)


def _die_at(desk: LocalRegistry, step: int, *, after: bool, work: Callable[[Any], Any]) -> bool:
    """Run `work` until it dies at its nth step; False when it has fewer."""
    try:
        work(_Dying(desk, step, after=after))
    except _Death:
        return True
    return False


@pytest.mark.parametrize("after", [False, True])
def test_a_collector_may_die_at_any_step(tmp_path: Path, after: bool) -> None:
    """Whatever it left: nothing needed is gone, the same bytes can be stored at once, and the next run finishes."""
    for step in range(1, 40):
        clock, folder = Clock(), tmp_path / f"data-{step}"
        registry = opened(folder, clock)
        register(registry, b"needed")
        loose = [store(registry, b"loose %d" % number).digest for number in range(3)]
        orphan = publish(registry, b"orphan")
        age(registry, orphan, 2 * DAY_S)
        clock.forward(2 * DAY_S)
        died = _die_at(
            registry, step, after=after, work=lambda desk: collecting.collect_garbage(desk, c.CollectGarbage(), TESTER)
        )
        assert problems(registry) == []
        assert set(missing(registry, *loose)) >= set(loose) - set(states(registry))
        with contextlib.suppress(Conflict):  # one that is being deleted may say so once
            store(registry, b"loose 0")
        store(registry, b"loose 0")
        assert problems(registry) == []
        registry.close()
        registry = opened(folder, clock)  # a start finishes what was marked
        assert "deleting" not in states(registry).values()
        clock.forward(2 * DAY_S)
        gc(registry)
        assert set(states(registry)) == {digest_of(b"needed")} == {each for each, _ in registry.blobs.digests()}
        assert fsck(registry) == []
        registry.close()
        assert problems_of_log(folder) == []
        if not died:
            assert step > 8
            return
    raise AssertionError("it never came to its end")


@pytest.mark.parametrize("after", [False, True])
def test_a_repair_may_die_at_any_step(tmp_path: Path, after: bool) -> None:
    from greenroom.services import fsck as checking

    for step in range(1, 20):
        folder = tmp_path / f"data-{step}"
        registry = opened(folder)
        version = register(registry, b"needed")
        path = registry.blobs.path_of(digest_of(b"needed"))  # type: ignore[attr-defined]
        path.chmod(0o600)
        path.write_bytes(b"nedeed")
        path.chmod(0o444)
        died = _die_at(registry, step, after=after, work=lambda desk: checking.fsck(desk, c.Fsck(repair=True), TESTER))
        registry.close()
        registry = opened(folder)
        assert missing(registry, digest_of(b"needed")) == (digest_of(b"needed"),) or step == 1
        fsck(registry)
        assert registry.call_now("get_version", c.VersionNamed("m", version.version), TESTER).damaged
        store(registry, b"needed")
        assert not registry.call_now("get_version", c.VersionNamed("m", version.version), TESTER).damaged
        assert problems(registry) == []
        assert kinds(fsck(registry)) == []
        registry.close()
        assert problems_of_log(folder) == []
        if not died:
            assert step > 3
            return
    raise AssertionError("it never came to its end")


def test_push_sends_again_what_was_collected_in_between(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client was told that a file is here, then waited for longer than the grace."""
    from greenroom import connect
    from greenroom.client import files

    monkeypatch.setenv("GREENROOM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights").write_bytes(b"abc")
    with connect(data=tmp_path / "data", create=True) as client:
        register_version, waits = files.Files._register, []

        def after_a_collection(self: Any, *args: Any) -> Any:
            if not waits:
                waits.append(client.collect_garbage(grace_s=0).blobs)
            return register_version(self, *args)

        monkeypatch.setattr(files.Files, "_register", after_a_collection)
        assert client.push(tmp_path / "model", "m", context=None).version == 1
        assert waits == [1]
        assert client.verify().findings == ()


def test_every_table_that_names_blobs_is_asked() -> None:
    """Whoever adds a table that refers to blobs must teach `unused_blobs` and `is_named` about it."""
    tables = [text.split()[2] for text in DDL if "REFERENCES blob (" in text]
    assert sorted(tables) == ["manifest_entry", "upload"]
