"""The rules of the game, written a second time from the design, as simply as possible: what a registry should answer.

Nothing here is taken from `greenroom.core`: two independent tellings of the same rules must agree. Every method either
returns what is expected or raises `No` with the code of the error; it changes nothing before it is sure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.stateful.lifecycles import DOCUMENTS, PRESETS, Lifecycle, Place

LOOKS_LIKE = {"ａlpha": "alpha"}  # the same to the eye


class No(Exception):
    """The expected error, by its code."""

    @property
    def code(self) -> str:
        return str(self.args[0])


def sure(condition: object, code: str) -> None:
    if not condition:
        raise No(code)


@dataclass
class Stay:
    """A version's time in a slot. Who was taken out by a rollback is not healthy: a rollback does not return to it."""

    version: int
    kind: str
    slot: str
    since: int
    until: int | None = None
    ended_by: str | None = None


@dataclass
class Version:
    number: int
    pinned: bool = False
    parent: tuple[str, int] | None = None
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    deleted: bool = False


@dataclass
class Model:
    name: str
    lifecycle: str
    next_version: int
    description: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[int, Version] = field(default_factory=dict)
    stays: list[Stay] = field(default_factory=list)
    deleted: int | None = None

    def holders(self, kind: str, slot: str) -> list[int]:
        found = [each for each in self.stays if (each.kind, each.slot, each.until) == (kind, slot, None)]
        return [each.version for each in sorted(found, key=lambda each: (each.since, each.version))]

    def current(self, version: int) -> Iterator[Stay]:
        return (each for each in self.stays if each.version == version and each.until is None)

    def stage_of(self, version: int) -> str:
        return next((each.slot for each in self.current(version) if each.kind == "stage"), "")

    def living(self) -> list[int]:
        return sorted(number for number, each in self.versions.items() if not each.deleted)


class Rules:
    """The whole registry. `events` is the number of entries that the log should have."""

    def __init__(self, preset: str) -> None:
        self.models: list[Model] = []
        self.lifecycles: dict[str, tuple[int, Lifecycle]] = {name: (1, each) for name, each in PRESETS.items()}
        self.bindings: list[tuple[str, str | None, str | None]] = [(preset, "*", None)]
        self.uploads: dict[str, str] = {}
        self.blobs: set[str] = set()
        self.events = 1

    # --- finding ---

    def find(self, name: str) -> Model | None:
        return next((each for each in self.models if each.name == name and each.deleted is None), None)

    def model(self, name: str) -> Model:
        found = self.find(name)
        if found is None:
            raise No("not_found")
        return found

    def version(self, name: str, number: int, *, deleted: bool = False) -> tuple[Model, Version]:
        model = self.model(name)
        found = model.versions.get(number)
        if found is None or (found.deleted and not deleted):
            raise No("not_found")
        return model, found

    def policy(self, model: Model) -> Lifecycle:
        return self.lifecycles[model.lifecycle][1]

    def slot(self, policy: Lifecycle, text: str) -> Place:
        if text.startswith("@"):
            sure(text != "@latest", "invalid_input")
            return policy.alias(text[1:])
        place = policy.stage(text)
        if place is None:
            raise No("not_found")
        return place

    def applying(self, name: str, tags: dict[str, str], bindings: list[Any] | None = None) -> str:
        for lifecycle, pattern, tag in self.bindings if bindings is None else bindings:
            if pattern is not None and (
                pattern in ("*", name) or (pattern[-1] == "*" and name.startswith(pattern[:-1]))
            ):
                return str(lifecycle)
            if tag is not None and tags.get(tag.split("=")[0]) == tag.split("=")[1]:
                return str(lifecycle)
        raise AssertionError("the default is always there")

    def fits(self, model: Model, policy: Lifecycle) -> bool:
        held = [each.slot for each in model.stays if each.kind == "stage" and each.until is None]
        places = {each.name: each for each in policy.stages}
        return all(slot in places and not (places[slot].one and held.count(slot) > 1) for slot in held)

    def free_name(self, name: str, but: Model | None = None) -> None:
        same = LOOKS_LIKE.get(name, name)
        for each in self.models:
            if each.deleted is None and each is not but and LOOKS_LIKE.get(each.name, each.name) == same:
                raise No("already_exists")

    # --- models ---

    def create_model(self, name: str, tags: dict[str, str]) -> Model:
        self.free_name(name)
        lifecycle = self.applying(name, tags)
        old = self.same_line(name, lifecycle)
        self.events += 1
        if old is None:
            self.models.append(Model(name, lifecycle, 1, tags=dict(tags)))
            return self.models[-1]
        for stay in old.stays:
            if stay.until is None:
                self.end(stay, "delete")
        for version in old.versions.values():
            version.deleted = True
        old.lifecycle, old.tags, old.description, old.deleted = lifecycle, dict(tags), None, None
        old.next_version = max(each.next_version for each in self.models if each.name == name)
        return old

    def same_line(self, name: str, lifecycle: str) -> Model | None:
        """Return the deleted model that a new one of its name goes on with, where numbers are not given twice."""
        gone = [each for each in self.models if each.name == name and each.deleted is not None]
        if self.lifecycles[lifecycle][1].restart or not gone:
            return None
        return max(gone, key=lambda each: each.deleted or 0)

    def update_model(self, name: str, description: str | None) -> None:
        self.model(name).description = description
        self.events += 1

    def rename_model(self, name: str, new_name: str) -> None:
        model = self.model(name)
        self.free_name(new_name, but=model)
        self.move(model, new_name, model.tags)
        model.name = new_name
        self.events += 1

    def move(self, model: Model, name: str, tags: dict[str, str]) -> None:
        lifecycle = self.applying(name, tags)
        if lifecycle != model.lifecycle:
            sure(self.fits(model, self.lifecycles[lifecycle][1]), "invalid_input")
        model.lifecycle = lifecycle

    def delete_model(self, name: str) -> None:
        model = self.model(name)
        self.events += 1
        self.keep_protected(model, [each for each in model.stays if each.until is None])
        model.deleted = self.events

    def keep_protected(self, model: Model, stays: list[Stay]) -> None:
        policy = self.policy(model)
        for each in stays:
            place = policy.stage(each.slot) if each.kind == "stage" else policy.alias(each.slot)
            sure(place is None or not place.protected, "refused")

    def restore_model(self, name: str) -> None:
        self.free_name(name)
        gone = [each for each in self.models if each.name == name and each.deleted is not None]
        sure(gone, "not_found")
        model = max(gone, key=lambda each: each.deleted or 0)
        lifecycle = self.applying(name, model.tags)
        sure(self.fits(model, self.lifecycles[lifecycle][1]), "invalid_input")
        model.lifecycle, model.deleted = lifecycle, None
        self.events += 1

    def set_model_tag(self, name: str, key: str, value: str) -> None:
        model = self.model(name)
        tags = {**model.tags, key: value}
        self.move(model, name, tags)
        model.tags = tags
        self.events += 1

    def delete_model_tag(self, name: str, key: str) -> None:
        model = self.model(name)
        if key in model.tags:
            tags = {k: v for k, v in model.tags.items() if k != key}
            self.move(model, name, tags)
            model.tags = tags
            self.events += 1

    # --- versions ---

    def register_version(self, name: str, origin: str, *, create: bool, parent: tuple[str, int] | None) -> Version:
        model = self.find(name)
        if model is None:
            sure(create, "not_found")
            self.free_name(name)
        made, known = parent, None
        if parent is not None and model is None and parent[0] == name:
            old = self.same_line(name, self.applying(name, {}))
            sure(old is not None and parent[1] in old.versions, "not_found")
        elif parent is not None:
            self.version(*parent, deleted=True)
        if origin.startswith("models:/"):
            source, _, number = origin[len("models:/") :].partition("/")
            # the new model is there already for a source that names it, and has no versions
            sure(not (model is None and source == name), "not_found")
            _, known = self.version(source, int(number))
            made = made or (source, int(number))
        if origin.startswith("blob:"):
            sure(origin[5:] in self.blobs, "invalid_input")
        if model is None:
            model = self.create_model(name, {})
            self.events -= 1  # one request, one event
        self.events += 1
        pinned = known.pinned if known else origin.startswith("blob:")
        version = Version(model.next_version, pinned, made)
        model.versions[version.number] = version
        model.next_version += 1
        model.stays.append(Stay(version.number, "stage", self.policy(model).stages[0].name, self.events))
        return version

    def pin_version(self, name: str, number: int, blob: str) -> None:
        version = self.version(name, number)[1]
        sure(not version.pinned, "already_exists")
        sure(blob in self.blobs, "invalid_input")
        version.pinned = True
        self.events += 1

    def update_version(self, name: str, number: int, description: str | None) -> None:
        self.version(name, number)[1].description = description
        self.events += 1

    def delete_version(self, name: str, number: int) -> None:
        model, version = self.version(name, number)
        self.events += 1
        self.keep_protected(model, list(model.current(number)))
        for each in list(model.current(number)):
            self.end(each, "delete")
        version.deleted = True

    def end(self, stay: Stay, kind: str) -> None:
        stay.until, stay.ended_by = self.events, kind

    def restore_version(self, name: str, number: int) -> None:
        model, version = self.version(name, number, deleted=True)
        sure(version.deleted, "invalid_input")
        self.events += 1
        version.deleted = False
        model.stays.append(Stay(number, "stage", self.policy(model).stages[0].name, self.events))

    def set_version_tag(self, name: str, number: int, key: str, value: str) -> None:
        self.version(name, number)[1].tags[key] = value
        self.events += 1

    def delete_version_tag(self, name: str, number: int, key: str) -> None:
        if self.version(name, number)[1].tags.pop(key, None) is not None:
            self.events += 1

    def record_metrics(self, name: str, number: int, metrics: dict[str, float], params: dict[str, str]) -> None:
        version = self.version(name, number)[1]
        sure(metrics or params, "invalid_input")
        sure(all(version.params.get(key, value) == value for key, value in params.items()), "invalid_input")
        version.metrics |= metrics
        version.params |= params
        self.events += 1

    # --- slots ---

    def promote(
        self, name: str, to: str, number: int | None, best: str | None, *, swap: bool, if_holder: int | None, dry: bool
    ) -> dict[str, Any]:
        model = self.model(name)
        place = self.slot(self.policy(model), to)
        number = self.choose(model, place, number, best)
        self.version(name, number)
        return self.enter(model, place, number, "promote", swap=swap, if_holder=if_holder, dry=dry)

    def choose(self, model: Model, place: Place, number: int | None, best: str | None) -> int:
        if best is not None:
            sure(number is None, "invalid_input")
            metric, lowest = best.split(":")[0], best.endswith(":min")
            have = [
                (each.metrics[metric], n)
                for n, each in model.versions.items()
                if n in model.living() and metric in each.metrics
            ]
            sure(have, "not_found")
            return max(have, key=lambda each: (-each[0] if lowest else each[0], each[1]))[1]
        if number is not None:
            return number
        sure(place.kind == "stage", "invalid_input")
        stages = self.policy(model).stages
        at = stages.index(place)
        sure(at > 0, "invalid_input")
        waiting = model.holders("stage", stages[at - 1].name)
        sure(waiting, "not_found")
        sure(len(waiting) == 1 or at == 1, "invalid_input")  # a queue before the first stage, a choice before others
        return max(waiting)

    def rollback(self, name: str, slot: str, number: int | None, *, if_holder: int | None, dry: bool) -> dict[str, Any]:
        model = self.model(name)
        place = self.slot(self.policy(model), slot)
        sure(place.name not in (self.policy(model).stages[0].name, "Archived"), "invalid_input")
        sure(place.one or len(model.holders(place.kind, place.name)) <= 1, "invalid_input")
        was = self.stays_in(model, place)
        if number is not None:
            sure(any(each.version == number for each in was), "not_found")
        else:
            number = self.healthy(model, place, was)
        self.version(name, number)
        return self.enter(model, place, number, "rollback", swap=True, if_holder=if_holder, dry=dry)

    def stays_in(self, model: Model, place: Place) -> list[Stay]:
        was = [each for each in model.stays if (each.kind, each.slot) == (place.kind, place.name)]
        return sorted(was, key=lambda each: (each.since, each.version), reverse=True)

    def healthy(self, model: Model, place: Place, was: list[Stay]) -> int:
        now = model.holders(place.kind, place.name)
        for each in was:
            last = next(other for other in was if other.version == each.version)
            if each.version not in now and not model.versions[each.version].deleted and last.ended_by != "rollback":
                return each.version
        raise No("not_found")

    def set_alias(self, name: str, alias: str, number: int, if_holder: int | None) -> dict[str, Any]:
        model = self.model(name)
        place = self.slot(self.policy(model), "@" + alias)
        self.version(name, number)
        return self.enter(model, place, number, "promote", swap=False, if_holder=if_holder, dry=False)

    def delete_alias(self, name: str, alias: str) -> None:
        model = self.model(name)
        held = [each for each in model.stays if (each.kind, each.slot, each.until) == ("alias", alias, None)]
        sure(not held or not self.policy(model).alias(alias).protected, "invalid_input")
        self.events += len(held)
        for each in held:
            self.end(each, "delete")

    def enter(
        self, model: Model, place: Place, number: int, kind: str, *, swap: bool, if_holder: int | None, dry: bool
    ) -> dict[str, Any]:
        """The one way into a slot: what is in the way, who has to go, and then the moves."""
        now = model.holders(place.kind, place.name)
        against = self.against(model, place, number, kind, swap=swap, if_holder=if_holder)
        leave = [each for each in now if each != number] if (place.one or swap) and not place.archive else []
        stages = self.policy(model).stages
        to = next((each.name for each in stages if each.archive), stages[0].name) if place.kind == "stage" else None
        told = {"version": number, "refusals": against, "status": "rejected" if against else "succeeded"}
        told["displaced"] = [(each, to) for each in leave] if dry or not against else []
        if dry:
            return told | {"status": "rejected" if against else "planned"}
        self.events += 1
        if not against:
            self.carry_out(model, place, number, kind, leave, to)
        return told

    def carry_out(self, model: Model, place: Place, number: int, kind: str, leave: list[int], to: str | None) -> None:
        for each in list(model.stays):
            if (each.kind, each.slot, each.until) == (place.kind, place.name, None) and each.version in leave:
                self.end(each, kind)
                if to is not None:
                    model.stays.append(Stay(each.version, "stage", to, self.events))
        if number not in model.holders(place.kind, place.name):
            for each in list(model.current(number)):
                if each.kind == place.kind == "stage":
                    self.end(each, "promote")  # it leaves by itself: nobody rolled back from it
            model.stays.append(Stay(number, place.kind, place.name, self.events))

    def against(
        self, model: Model, place: Place, number: int, kind: str, *, swap: bool, if_holder: int | None
    ) -> list[str]:
        now, version = model.holders(place.kind, place.name), model.versions[number]
        found = []
        if if_holder is not None and now != ([if_holder] if if_holder else []):
            found.append("holder_changed")
        sources = None if place.sources is None else place.sources + (place.back if kind == "rollback" else ())
        if sources is not None and model.stage_of(number) not in sources and number not in now:
            found.append("transition_not_allowed")
        if place.name in self.policy(model).frozen and kind != "rollback":
            found.append("frozen")
        others = [each for each in now if each != number]
        if others and place.one and place.occupied == "conflict" and not swap and kind != "rollback":
            found.append("stage_conflict")
        lacks: dict[str, Callable[[], str | None]] = {
            "pinned": lambda: None if version.pinned else "gate_failed",
            "description": lambda: None if version.description else "gate_pending",
            "auc": lambda: None if "auc" in version.metrics else "gate_pending",
        }
        for gate, hard in place.gates:
            said = lacks[gate]()
            if said and (hard or kind != "rollback"):
                found.append(said)
        return found

    # --- lifecycles ---

    def apply_lifecycle(self, document: str) -> None:
        self.put_lifecycle(DOCUMENTS[document][1])

    def put_lifecycle(self, policy: Lifecycle) -> None:
        stated = [(policy.name, *rule) for rule in policy.rules]
        rules = {(pattern, tag) for _, pattern, tag in stated}
        before = self.lifecycles.get(policy.name, (0, policy))[1].rules  # what was bound without the document stays
        gone = [(policy.name, *rule) for rule in before]
        kept = [each for each in self.bindings[:-1] if each not in gone and (each[1], each[2]) not in rules]
        bindings = [*kept, *stated, self.bindings[-1]]
        revision = self.lifecycles.get(policy.name, (0, policy))[0] + 1
        self.rebind(bindings, {**self.lifecycles, policy.name: (revision, policy)}, changed=policy.name)

    def rebind(self, bindings: list[Any], lifecycles: dict[str, tuple[int, Lifecycle]], changed: str | None) -> None:
        wanted = {}
        for each in (each for each in self.models if each.deleted is None):
            wanted[id(each)] = lifecycle = self.applying(each.name, each.tags, bindings)
            if lifecycle != each.lifecycle or lifecycle == changed:
                sure(self.fits(each, lifecycles[lifecycle][1]), "invalid_input")
        for each in self.models:
            each.lifecycle = wanted.get(id(each), each.lifecycle)
        self.bindings, self.lifecycles = bindings, lifecycles
        self.events += 1

    def use_lifecycle(self, name: str, pattern: str | None, tag: str | None) -> None:
        sure(name in self.lifecycles, "not_found")
        sure(pattern is None or tag is None, "invalid_input")
        rule = (pattern, tag) if pattern or tag else ("*", None)
        old = [(each[1], each[2]) for each in self.bindings]
        if rule in old:
            bindings = [(name, *rule) if each == rule else self.bindings[at] for at, each in enumerate(old)]
        else:
            bindings = [*self.bindings[:-1], (name, *rule), self.bindings[-1]]
        self.rebind(bindings, self.lifecycles, changed=None)

    def add_stage(self, name: str, after: str | None, capacity: str, lifecycle: str | None) -> None:
        target = lifecycle or self.bindings[-1][0]
        sure(target in self.lifecycles, "not_found")
        policy = self.lifecycles[target][1]
        sure(policy.stage(name) is None, "already_exists")
        names = [each.name for each in policy.stages]
        last = names.index("Archived") - 1 if "Archived" in names else len(names) - 1
        behind = policy.stage(after) if after else policy.stages[last]
        if behind is None:
            raise No("not_found")
        one = capacity == "one"
        self.put_lifecycle(policy.with_stage(Place(name, one=one, occupied="conflict" if one else "allow"), behind))

    # --- bytes ---

    def blob_stored(self, blob: str) -> None:
        self.blobs.add(blob)

    def put_upload(self, path: str, blob: str) -> None:
        sure(blob in self.blobs, "invalid_input")
        parts = path.split("/")
        sure(not any("/".join(parts[:end]) in self.uploads for end in range(1, len(parts))), "invalid_input")
        sure(not any(each.startswith(path + "/") for each in self.uploads), "invalid_input")
        self.uploads[path] = blob

    def delete_uploads(self, path: str) -> None:
        self.uploads = {k: v for k, v in self.uploads.items() if k != path and not k.startswith(path + "/")}
