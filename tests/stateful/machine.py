"""C4: Hypothesis plays every write operation against the embedded registry and against the rules, and compares."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from greenroom.app import LocalRegistry, open_local
from greenroom.core.digest import digest_of
from greenroom.core.errors import AlreadyExists, GreenroomError, InvalidInput, NotFound, Refused
from greenroom.core.model import File, Parent, SlotKind
from greenroom.services import commands as c
from tests.races.kit import TESTER
from tests.stateful.lifecycles import DOCUMENTS, Place
from tests.stateful.rules import Model, No, Rules

MEMORY = Path("/dev/shm")  # durability is not this test's subject, and a file system in memory is quick
BLOBS = {"one": b"1", "two": b"22"}

ANY_NAME = st.sampled_from(["alpha", "alpha", "beta", "beta", "gamma", "ａlpha"])
LIVING = st.runner().flatmap(lambda machine: st.sampled_from(machine.living()))  # what is there, most of the time
NAMES = st.one_of(LIVING.map(lambda pair: pair[0]), LIVING.map(lambda pair: pair[0]), ANY_NAME)
PAIRS = st.one_of(LIVING, LIVING, LIVING, st.tuples(ANY_NAME, st.sampled_from([1, 2, 3, 4, 7])))
NUMBERS = st.sampled_from([1, 2, 3, 4])
DELETED = st.runner().flatmap(lambda machine: st.sampled_from(machine.deleted()))
GONE = st.runner().flatmap(lambda machine: st.sampled_from(machine.gone()))
CONTESTED = st.runner().flatmap(lambda machine: st.sampled_from(machine.contested()))
STAGES = st.sampled_from(["None", "Staging", "Production", "Production", "production", "Archived", "Canary", "Nowhere"])
ALIASES = st.sampled_from(["champion", "champion", "shadow", "free"])
SLOTS = st.one_of(STAGES, ALIASES.map(lambda name: "@" + name))
HOLDERS = st.sampled_from([None, None, None, None, 0, 1, 2])
TEXTS = st.sampled_from([None, "about it"])
KEYS = st.sampled_from(["team", "k"])
VALUES = st.sampled_from(["risk", "ads", ""])
ORIGINS = st.sampled_from(["s3://elsewhere/m", "blob:one", "blob:two", "models:/alpha/1", "models:/beta/2"])
PARENTS = st.sampled_from([None, None, None, ("alpha", 1), ("beta", 1)])
PATHS = st.sampled_from(["a", "a/b", "a/b/c", "d"])
FLAGS = st.booleans()
RARELY = st.sampled_from([False, False, False, True])

ERRORS = {
    each: each.code for each in (NotFound, AlreadyExists, Refused, InvalidInput)
}  # a finer one counts as its base


def rarely(machine: RegistryMachine) -> bool:
    """Hold back what ends games or does little, so that the others come about."""
    return machine.told.events % 4 == 0


def say(value: Any) -> Any:
    """Return a promotion as the rules tell it."""
    return {
        "version": value.version,
        "status": value.status.value,
        "refusals": [each.code for each in value.refusals],
        "displaced": [(each.version, each.to) for each in value.displaced],
    }


class RegistryMachine(RuleBasedStateMachine):
    """Each rule is named after the operation that it exercises."""

    preset: ClassVar[str] = "standard"
    custom: ClassVar[bool] = False  # begin with a lifecycle that a document brings
    templates: ClassVar[dict[str, Path]] = {}
    played: ClassVar[Counter[tuple[str, str]]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.told = Rules(self.preset)
        self.folder = Path(tempfile.mkdtemp(prefix="greenroom-", dir=MEMORY if MEMORY.is_dir() else None))
        shutil.copytree(self._template(), self.folder, dirs_exist_ok=True)
        self.registry = open_local(self.folder)
        self.last = "alpha"

    @classmethod
    def _template(cls) -> Path:
        if cls.preset not in cls.templates:
            folder = Path(tempfile.mkdtemp(prefix="greenroom-", dir=MEMORY if MEMORY.is_dir() else None))
            registry = open_local(folder / "data", create=True, lifecycle=cls.preset)
            for data in BLOBS.values():
                upload = registry.blobs.upload(digest_of(data)[7:])
                upload.write(data)
                upload.finish(digest_of(data), len(data))
            registry.close()
            cls.templates[cls.preset] = folder / "data"
        return cls.templates[cls.preset]

    @classmethod
    def forget_templates(cls) -> None:
        for each in cls.templates.values():
            shutil.rmtree(each.parent, ignore_errors=True)
        cls.templates.clear()

    def play(self, operation: str, command: Any, expected: Callable[[], Any], *, name: str | None = None) -> None:
        """Ask the rules and the registry, and compare answer and state."""
        try:
            wanted, code = expected(), "ok"
        except No as no:
            wanted, code = None, no.code
        try:
            answer, got = self.registry.call_now(operation, command, TESTER), "ok"
        except GreenroomError as exc:
            answer, got = exc, next((code for kind, code in ERRORS.items() if isinstance(exc, kind)), exc.code)
        assert got == code, f"{operation} {command}: {got} ({answer}), expected {code}"
        if isinstance(wanted, dict):
            assert say(answer) == wanted
            code = wanted["status"]
        self.played[operation, code] += 1
        self.last = name or self.last
        self.compare()

    def living(self) -> list[tuple[str, int]]:
        """Return the versions that are there now, those of the first model twice."""
        found = [(each.name, number) for each in self.told.models if each.deleted is None for number in each.living()]
        return [*found, *(each for each in found if each[0] == "alpha")] or [("alpha", 1)]

    def deleted(self) -> list[tuple[str, int]]:
        """Return the versions of living models that were deleted."""
        living = [each for each in self.told.models if each.deleted is None]
        return [(each.name, n) for each in living for n, version in each.versions.items() if version.deleted]

    def gone(self) -> list[str]:
        """Return the names of deleted models that nobody has taken since."""
        living = {each.name for each in self.told.models if each.deleted is None}
        return sorted({each.name for each in self.told.models} - living)

    def contested(self) -> list[tuple[str, str]]:
        """Return the slots, with their model, that could be rolled back now."""
        found = []
        for model in (each for each in self.told.models if each.deleted is None):
            for kind, slot in {(stay.kind, stay.slot): None for stay in model.stays if stay.slot != "None"}:
                place = Place(slot, kind)
                try:
                    self.told.healthy(model, place, self.told.stays_in(model, place))
                    found.append((model.name, slot if kind == "stage" else f"@{slot}"))
                except No:
                    continue
        return found

    # --- models ---

    @initialize(versions=st.integers(1, 4))
    def begin(self, versions: int) -> None:
        if self.custom:
            self.apply_lifecycle("strict")
            self.use_lifecycle("strict", None, None)
        self.create_model_("alpha", {})
        for blob in BLOBS:
            self.blob_stored_(blob)
        for _ in range(versions):
            self.register("alpha", "blob:one", create=False, parent=None)

    def create_model_(self, name: str, tags: dict[str, str]) -> None:
        ask = c.CreateModel(name, tags=tags)
        self.play("create_model", ask, lambda: self.told.create_model(name, tags), name=name)

    @precondition(rarely)
    @rule(name=NAMES, tags=st.sampled_from([{}, {}, {"team": "risk"}]))
    def create_model(self, name: str, tags: dict[str, str]) -> None:
        self.create_model_(name, tags)

    @precondition(rarely)
    @rule(name=NAMES, text=TEXTS)
    def update_model(self, name: str, text: str | None) -> None:
        self.play("update_model", c.UpdateModel(name, text), lambda: self.told.update_model(name, text), name=name)

    @precondition(rarely)
    @rule(name=NAMES, new=NAMES)
    def rename_model(self, name: str, new: str) -> None:
        self.play("rename_model", c.RenameModel(name, new), lambda: self.told.rename_model(name, new), name=new)

    @rule(name=NAMES)
    def delete_model(self, name: str) -> None:
        self.play("delete_model", c.DeleteModel(name), lambda: self.told.delete_model(name), name=name)

    @precondition(gone)
    @rule(name=GONE)
    def restore_model__deleted(self, name: str) -> None:
        self.restore_model(name)

    @precondition(rarely)
    @rule(name=NAMES)
    def restore_model(self, name: str) -> None:
        self.play("restore_model", c.RestoreModel(name), lambda: self.told.restore_model(name), name=name)

    @rule(name=NAMES, key=KEYS, value=VALUES)
    def set_model_tag(self, name: str, key: str, value: str) -> None:
        ask = c.SetModelTag(name, key, value)
        self.play("set_model_tag", ask, lambda: self.told.set_model_tag(name, key, value), name=name)

    @precondition(rarely)
    @rule(name=NAMES, key=KEYS)
    def delete_model_tag(self, name: str, key: str) -> None:
        ask = c.DeleteModelTag(name, key)
        self.play("delete_model_tag", ask, lambda: self.told.delete_model_tag(name, key), name=name)

    # --- versions ---

    def register(self, name: str, origin: str, *, create: bool, parent: tuple[str, int] | None) -> None:
        data = BLOBS.get(origin[5:])
        files = (File("model.bin", digest_of(data), len(data)),) if data else None
        source = "" if data else origin
        made = Parent(*parent) if parent else None
        ask = c.RegisterVersion(name, files=files, source=source, create_model=create, parent=made)
        expected = lambda: self.told.register_version(name, origin, create=create, parent=parent)  # noqa: E731
        self.play("register_version", ask, expected, name=name)

    @rule(name=NAMES, origin=ORIGINS, create=FLAGS, parent=PARENTS)
    def register_version(self, name: str, origin: str, create: bool, parent: tuple[str, int] | None) -> None:
        self.register(name, origin, create=create, parent=parent)

    @rule(pair=PAIRS, blob=st.sampled_from(list(BLOBS)))
    def pin_version(self, pair: tuple[str, int], blob: str) -> None:
        name, number = pair
        ask = c.PinVersion(name, number, (File("model.bin", digest_of(BLOBS[blob]), len(BLOBS[blob])),))
        self.play("pin_version", ask, lambda: self.told.pin_version(name, number, blob), name=name)

    @rule(pair=PAIRS, text=TEXTS)
    def update_version(self, pair: tuple[str, int], text: str | None) -> None:
        name, number = pair
        ask = c.UpdateVersion(name, number, text)
        self.play("update_version", ask, lambda: self.told.update_version(name, number, text), name=name)

    @rule(pair=PAIRS)
    def delete_version(self, pair: tuple[str, int]) -> None:
        name, number = pair
        ask = c.DeleteVersion(name, number)
        self.play("delete_version", ask, lambda: self.told.delete_version(name, number), name=name)

    @rule(pair=PAIRS)
    def restore_version(self, pair: tuple[str, int]) -> None:
        name, number = pair
        ask = c.RestoreVersion(name, number)
        self.play("restore_version", ask, lambda: self.told.restore_version(name, number), name=name)

    @rule(pair=PAIRS, key=KEYS, value=VALUES)
    def set_version_tag(self, pair: tuple[str, int], key: str, value: str) -> None:
        name, number = pair
        ask = c.SetVersionTag(name, number, key, value)
        self.play("set_version_tag", ask, lambda: self.told.set_version_tag(name, number, key, value), name=name)

    @rule(pair=PAIRS, key=KEYS)
    def delete_version_tag(self, pair: tuple[str, int], key: str) -> None:
        name, number = pair
        ask = c.DeleteVersionTag(name, number, key)
        self.play("delete_version_tag", ask, lambda: self.told.delete_version_tag(name, number, key), name=name)

    @rule(
        pair=PAIRS,
        metrics=st.sampled_from([{}, {"auc": 0.5}, {"auc": 0.7}, {"loss": 1.5}]),
        params=st.sampled_from([{}, {}, {"depth": "3"}, {"depth": "4"}]),
    )
    def record_metrics(self, pair: tuple[str, int], metrics: dict[str, float], params: dict[str, str]) -> None:
        name, number = pair
        ask = c.RecordMetrics(name, number, metrics, params)
        self.play("record_metrics", ask, lambda: self.told.record_metrics(name, number, metrics, params), name=name)

    # --- slots ---

    @rule(
        name=NAMES,
        to=SLOTS,
        number=st.one_of(NUMBERS, NUMBERS, st.none()),
        best=st.sampled_from([None, None, None, None, "auc", "loss", "auc:min"]),
        swap=FLAGS,
        if_holder=HOLDERS,
        dry=RARELY,
    )
    def promote(
        self, name: str, to: str, number: int | None, best: str | None, swap: bool, if_holder: int | None, dry: bool
    ) -> None:
        ask = c.Promote(name, to, number, best, swap, if_holder, dry_run=dry)
        told = best if best != "loss" else "loss:min"  # less of a loss is better
        play = {"swap": swap, "if_holder": if_holder, "dry": dry}
        self.play("promote", ask, lambda: self.told.promote(name, to, number, told, **play), name=name)

    @rule(pair=LIVING, to=st.sampled_from(["Staging", "Production", "Production", "Archived", "@champion", "@shadow"]))
    def promote__by_swap(self, pair: tuple[str, int], to: str) -> None:
        """The move that makes holders, displaced ones and histories: often enough for the rarer rules to matter."""
        self.promote(pair[0], to, pair[1], best=None, swap=True, if_holder=None, dry=False)

    @rule(pair=LIVING, to=st.sampled_from(["Staging", "Production", "Production", "Production", "@shadow"]))
    def promote__plainly(self, pair: tuple[str, int], to: str) -> None:
        self.promote(pair[0], to, pair[1], best=None, swap=False, if_holder=None, dry=False)

    @precondition(contested)
    @rule(pair=CONTESTED)
    def rollback__plain(self, pair: tuple[str, str]) -> None:
        self.rollback(*pair, None, None, dry=False)

    @rule(
        pair=LIVING,
        numbers=st.lists(NUMBERS, min_size=2, max_size=3),
        slot=st.sampled_from(["Production", "Staging", "@free"]),
    )
    def rollback__after_swaps(self, pair: tuple[str, int], numbers: list[int], slot: str) -> None:
        """One after the other, then back, and back again: what a bad week looks like."""
        for number in numbers:
            self.promote(pair[0], slot, number, best=None, swap=True, if_holder=None, dry=False)
        self.rollback(pair[0], slot, None, None, dry=False)
        self.rollback(pair[0], slot, None, None, dry=False)

    @precondition(deleted)
    @rule(pair=DELETED)
    def restore_version__deleted(self, pair: tuple[str, int]) -> None:
        self.restore_version(pair)

    @rule(
        name=NAMES,
        slot=st.one_of(st.just("Production"), SLOTS),
        number=st.one_of(st.none(), st.none(), NUMBERS),
        if_holder=HOLDERS,
        dry=RARELY,
    )
    def rollback(self, name: str, slot: str, number: int | None, if_holder: int | None, dry: bool) -> None:
        ask = c.Rollback(name, slot, number, if_holder, dry_run=dry)
        expected = lambda: self.told.rollback(name, slot, number, if_holder=if_holder, dry=dry)  # noqa: E731
        self.play("rollback", ask, expected, name=name)

    @rule(pair=PAIRS, alias=st.one_of(ALIASES, ALIASES, st.just("latest")), if_holder=HOLDERS)
    def set_alias(self, pair: tuple[str, int], alias: str, if_holder: int | None) -> None:
        name, number = pair
        ask = c.SetAlias(name, alias, number, if_holder)
        self.play("set_alias", ask, lambda: self.told.set_alias(name, alias, number, if_holder), name=name)

    @rule(name=NAMES, alias=ALIASES)
    def delete_alias(self, name: str, alias: str) -> None:
        ask = c.DeleteAlias(name, alias)
        self.play("delete_alias", ask, lambda: self.told.delete_alias(name, alias), name=name)

    # --- lifecycles ---

    @precondition(rarely)
    @rule(document=st.sampled_from(list(DOCUMENTS)))
    def apply_lifecycle(self, document: str) -> None:
        ask = c.ApplyLifecycle(DOCUMENTS[document][0])
        self.play("apply_lifecycle", ask, lambda: self.told.apply_lifecycle(document))

    @precondition(rarely)
    @rule(
        name=st.sampled_from(["standard", "guarded", "mlflow", "strict", "unknown"]),
        pattern=st.sampled_from([None, None, "alpha", "be*"]),
        tag=st.sampled_from([None, None, "team=risk", "k=ads"]),
    )
    def use_lifecycle(self, name: str, pattern: str | None, tag: str | None) -> None:
        ask = c.UseLifecycle(name, pattern, tag)
        self.play("use_lifecycle", ask, lambda: self.told.use_lifecycle(name, pattern, tag))

    @precondition(rarely)
    @rule(
        name=st.sampled_from(["Canary", "Shadow", "staging"]),
        after=st.sampled_from([None, "Staging", "Nowhere"]),
        capacity=st.sampled_from(["one", "many"]),
        lifecycle=st.sampled_from([None, None, "standard", "strict"]),
    )
    def add_stage(self, name: str, after: str | None, capacity: str, lifecycle: str | None) -> None:
        ask = c.AddStage(name, after, capacity, lifecycle)
        self.play("add_stage", ask, lambda: self.told.add_stage(name, after, capacity, lifecycle))

    # --- bytes ---

    def blob_stored_(self, blob: str) -> None:
        ask = c.BlobStored(digest_of(BLOBS[blob]), len(BLOBS[blob]))
        self.play("blob_stored", ask, lambda: self.told.blob_stored(blob))

    @precondition(rarely)
    @rule(blob=st.sampled_from(list(BLOBS)))
    def blob_stored(self, blob: str) -> None:
        self.blob_stored_(blob)

    @precondition(rarely)
    @rule(path=PATHS, blob=st.sampled_from(list(BLOBS)))
    def put_upload(self, path: str, blob: str) -> None:
        ask = c.PutUpload(path, digest_of(BLOBS[blob]), len(BLOBS[blob]))
        self.play("put_upload", ask, lambda: self.told.put_upload(path, blob))

    @precondition(rarely)
    @rule(path=PATHS)
    def delete_uploads(self, path: str) -> None:
        self.play("delete_uploads", c.UploadPath(path), lambda: self.told.delete_uploads(path))

    # --- what is compared ---

    def compare(self) -> None:
        """After every step: the log's length, and all of the model that was touched."""
        with self.registry.snapshot() as tx:
            assert tx.audit_head()[0].size == self.told.events
            assert [name for _, name, _ in tx.living_models()] == [
                each.name for each in self.told.models if each.deleted is None
            ]
            row, told = tx.find_model(self.last), self.told.find(self.last)
            assert (row is None) == (told is None)
            if row is not None and told is not None:
                _compare_model(tx, row, told)

    def teardown(self) -> None:
        """At the end: everything once more, and the log proves it."""
        try:
            with self.registry.snapshot() as tx:
                for each in self.told.models:
                    row = tx.find_model(each.name)
                    if each.deleted is None:
                        _compare_model(tx, row, each)
                assert {file.path: file.digest for file in tx.uploads_below("")} == {
                    path: digest_of(BLOBS[blob]) for path, blob in self.told.uploads.items()
                }
                bindings = [(each.binding.lifecycle, each.binding.pattern, each.binding.tag) for each in tx.bindings()]
                assert bindings == self.told.bindings
                newest = {name: found.revision for name in tx.lifecycle_names() if (found := tx.find_lifecycle(name))}
                assert newest == {name: revision for name, (revision, _) in self.told.lifecycles.items()}
            _verify(self.registry, self.told.events)
        finally:
            self.registry.close()
            shutil.rmtree(self.folder, ignore_errors=True)


def _verify(registry: LocalRegistry, events: int) -> None:
    report = registry.call_now("audit_verify", c.AuditVerify(), TESTER)
    assert (report.status, report.findings, report.entries) == ("ok", (), events)


def _compare_model(tx: Any, row: Any, told: Model) -> None:
    assert (row.description, row.lifecycle, row.next_version) == (told.description, told.lifecycle, told.next_version)
    assert tx.model_tags(row.id) == told.tags
    stays = tx.history(row, kind=None, slot=None, version=None, before=(2**62, 2**62), limit=10_000)
    assert sorted(
        (each.since, each.version, each.kind.value, each.slot, each.until, each.ended_by and each.ended_by.value)
        for each in stays
    ) == sorted((each.since, each.version, each.kind, each.slot, each.until, each.ended_by) for each in told.stays)
    for kind, slot in {(each.kind, each.slot) for each in told.stays}:
        held = [each.version for each in tx.holders(row, SlotKind(kind), slot)]
        assert held == told.holders(kind, slot), (kind, slot)
    assert tx.living_versions(row.id) == told.living()
    for number, version in told.versions.items():
        found = tx.find_version(row.id, number)
        assert (found.description, found.deleted_event is not None) == (version.description, version.deleted)
        assert (found.manifest is not None) == version.pinned
        assert (found.parent_model, found.parent_version) == (version.parent or (None, None))
        assert tx.version_tags(row.id, number) == version.tags
        assert tx.version_metrics(row.id, number) == version.metrics
        assert tx.version_params(row.id, number) == version.params
