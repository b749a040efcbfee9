"""Use cases about lifecycle policies: documents, their revisions, and which applies to which models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from greenroom.core.binding import (
    EVERY_MODEL,
    check_pattern,
    check_tag_rule,
    lifecycle_for,
    with_binding,
    with_document,
)
from greenroom.core.digest import digest_of
from greenroom.core.document import parse_policy, read_policy
from greenroom.core.errors import AlreadyExists, InvalidInput, NotFound
from greenroom.core.model import Actor, Binding, LifecycleRevision, SlotKind
from greenroom.core.names import check_stage_name, shown
from greenroom.core.policy import Policy, Slot
from greenroom.core.presets import DEFAULT, PRESETS
from greenroom.services import answers as a
from greenroom.services.commands import AddStage, ApplyLifecycle, CheckLifecycle, LifecycleOf, Nothing, UseLifecycle
from greenroom.services.finding import get_model, policy_of
from greenroom.services.fitting import misfits, refuse_misfit
from greenroom.services.limits import check_short_text
from greenroom.services.ports import ModelRow, ReadTx, WriteTx
from greenroom.services.tracking_experiments import begin_tracking


@dataclass(frozen=True)
class CreateRegistry:
    """The first use case of every log: the presets, and the one that is the default."""

    preset: str = DEFAULT


def check_preset(name: str) -> str:
    """Return the name. Raises InvalidInput unless it is one of the presets."""
    if name not in PRESETS:
        raise InvalidInput(f"there is no preset {shown(name)!r}.", hint=f"Presets: {', '.join(PRESETS)}.", preset=name)
    return name


def create_registry(tx: WriteTx, ask: CreateRegistry, actor: Actor) -> None:
    """Write the presets and the default binding. A second call finds them and does nothing."""
    if tx.bindings():
        return
    for name, document in PRESETS.items():
        _insert_revision(tx, name, 1, document, actor, reason="preset")
    tx.insert("binding", {"position": 1, "lifecycle": check_preset(ask.preset), "pattern": EVERY_MODEL})
    begin_tracking(tx)
    tx.record("registry_created", actor, body={"preset": ask.preset})


def default_name(tx: ReadTx) -> str:
    """Return the name of the lifecycle that applies to models which no other binding matches."""
    return tx.bindings()[-1].binding.lifecycle


def list_lifecycles(tx: ReadTx, ask: Nothing, actor: Actor) -> a.Lifecycles:
    """Return the newest revision of every lifecycle, and the bindings in the order in which they are tried."""
    found = [tx.find_lifecycle(name) for name in tx.lifecycle_names()]
    return a.Lifecycles(tuple(each for each in found if each is not None), _bindings(tx))


def get_lifecycle(tx: ReadTx, ask: LifecycleOf, actor: Actor) -> a.LifecycleView:
    """Return a lifecycle by name, by model, or the default. Raises NotFound, InvalidInput."""
    if ask.name is not None and ask.model is not None:
        raise InvalidInput("both a lifecycle and a model are named.", hint="Give one of them.")
    model = get_model(tx, ask.model) if ask.model is not None else None
    name = model.lifecycle if model is not None else ask.name if ask.name is not None else default_name(tx)
    return _view(tx, name, model, ask.revision)


def lifecycle_history(tx: ReadTx, ask: LifecycleOf, actor: Actor) -> tuple[LifecycleRevision, ...]:
    """Return every revision of a lifecycle, newest first. Raises NotFound."""
    view = get_lifecycle(tx, replace(ask, revision=None), actor)
    return tx.lifecycle_history(view.name)


def check_lifecycle(tx: ReadTx, ask: CheckLifecycle, actor: Actor) -> a.LifecycleCheck:
    """Say what is wrong with a document: in itself, with lines, and with what is held now. Never raises for a bad
    one.
    """
    policy, problems = read_policy(ask.document)
    found = [a.Problem(each.line, each.message) for each in problems]
    if policy is None:
        return a.LifecycleCheck(None, tuple(found))
    found += [a.Problem(None, text) for text in _unfit(tx, policy, _changed_bindings(tx, policy))]
    return a.LifecycleCheck(policy.name, tuple(found), tuple(_changes(tx, policy)))


def apply_lifecycle(tx: WriteTx, ask: ApplyLifecycle, actor: Actor) -> a.LifecycleView:
    """Make a document the next revision of the lifecycle it names.

    Raises InvalidInput with line numbers for a bad document, and for one that drops a stage which is still held.
    """
    _apply(tx, ask.document, actor, ask.reason)
    return _view(tx, parse_policy(ask.document).name, None, None)


def add_stage(tx: WriteTx, ask: AddStage, actor: Actor) -> a.LifecycleView:
    """Add a stage at the end of a lifecycle's document, behind the stage `after` (None: before the archive).

    Raises NotFound, AlreadyExists, InvalidInput.
    """
    name = ask.lifecycle if ask.lifecycle is not None else default_name(tx)
    policy, _ = policy_of(tx, name)
    check_stage_name(ask.name)
    if policy.find_stage(ask.name) is not None:
        raise AlreadyExists(f"Stage '{ask.name}' exists already in {name!r}.", stage=ask.name)
    if ask.capacity not in ("one", "many"):
        raise InvalidInput(f"capacity must be one or many, got {shown(ask.capacity)!r}.", field="capacity")
    after = policy.get_stage(ask.after) if ask.after is not None else _before_archive(policy)
    revision = tx.find_lifecycle(name)
    document = (revision.document if revision else "").rstrip("\n")
    lines = ["", "", "[[stage]]", f"name = {_quoted(ask.name)}", f'capacity = "{ask.capacity}"']
    lines += [f"after = {_quoted(after.name)}"] if after else []
    lines += ["ungated = true"] if ask.capacity == "one" else []
    _apply(tx, document + "\n".join(lines) + "\n", actor, ask.reason or f"stage {ask.name} added")
    return _view(tx, name, None, None)


def _before_archive(policy: Policy) -> Slot | None:
    """Where a stage goes when nobody says: before the archive, which nothing is meant to come after."""
    return policy.stage_before(policy.archive) if policy.archive is not None else None


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _apply(tx: WriteTx, document: str, actor: Actor, reason: str | None) -> None:
    check_short_text("reason", reason)
    policy = parse_policy(document)
    bindings = _changed_bindings(tx, policy)
    newest = tx.find_lifecycle(policy.name)
    _insert_revision(tx, policy.name, newest.revision + 1 if newest else 1, document, actor, reason=reason)
    _rebind(tx, bindings, changed=policy)
    tx.record(
        "lifecycle_applied",
        actor,
        body={"lifecycle": policy.name, "revision": newest.revision + 1 if newest else 1, "reason": reason},
    )


def use_lifecycle(tx: WriteTx, ask: UseLifecycle, actor: Actor) -> a.LifecycleView:
    """Make a lifecycle the default, or bind it to models by name pattern or tag.

    Raises NotFound for an unknown one, InvalidInput when versions hold stages that it does not have.
    """
    policy_of(tx, ask.name)
    if ask.pattern is not None and ask.tag is not None:
        raise InvalidInput("both a pattern and a tag are given.", hint="Give one of them.")
    if ask.pattern is not None:
        check_pattern(ask.pattern)
    if ask.tag is not None:
        check_tag_rule(ask.tag)
    check_short_text("reason", ask.reason)
    pattern = ask.pattern if ask.tag is None and ask.pattern is not None else None if ask.tag else EVERY_MODEL
    bindings = with_binding(_bindings(tx), Binding(ask.name, pattern, ask.tag))
    _rebind(tx, bindings, changed=None)
    tx.record(
        "lifecycle_used", actor, body={"lifecycle": ask.name, "pattern": pattern, "tag": ask.tag, "reason": ask.reason}
    )
    return _view(tx, ask.name, None, None)


def _insert_revision(tx: WriteTx, name: str, revision: int, document: str, actor: Actor, *, reason: str | None) -> None:
    digest = digest_of(document.encode())
    row = {"name": name, "revision": revision, "document": document, "digest": digest, "at": tx.now}
    tx.insert("lifecycle", {**row, "applied_by": actor.name, "event": tx.seq, "reason": reason})


def _bindings(tx: ReadTx) -> tuple[Binding, ...]:
    return tuple(row.binding for row in tx.bindings())


def _changed_bindings(tx: ReadTx, policy: Policy) -> list[Binding]:
    known = tx.find_lifecycle(policy.name) is not None
    before = policy_of(tx, policy.name)[0].bindings if known else ()
    return with_document(_bindings(tx), policy.name, policy.bindings, before)


def _rebind(tx: WriteTx, bindings: Sequence[Binding], *, changed: Policy | None) -> None:
    """Store the bindings and move every model whose lifecycle they change, or whose policy changed, after a check."""
    if list(bindings) != list(_bindings(tx)):
        for row in tx.bindings():
            tx.remove("binding", {"position": row.position})
        for position, each in enumerate(bindings, start=1):
            tx.insert("binding", {"position": position, **each.__dict__})
    for model_id, name, lifecycle in tx.living_models():
        wanted = lifecycle_for(name, tx.model_tags(model_id), bindings)
        if wanted == lifecycle and (changed is None or changed.name != lifecycle):
            continue
        model = tx.find_model(name)
        if model is not None:
            refuse_misfit(tx, model, policy_of(tx, wanted)[0])
            if wanted != lifecycle:
                tx.update("model", {"id": model_id}, {"lifecycle": wanted})


def _unfit(tx: ReadTx, policy: Policy, bindings: Sequence[Binding]) -> list[str]:
    """Return what is held now and would not fit if the document were applied."""
    problems = []
    for model_id, name, lifecycle in tx.living_models():
        wanted = lifecycle_for(name, tx.model_tags(model_id), bindings)
        if wanted == policy.name:
            problems += misfits(policy, name, tx.stages_of_model(model_id))
        elif wanted != lifecycle:
            problems += misfits(policy_of(tx, wanted)[0], name, tx.stages_of_model(model_id))
    return problems


def _changes(tx: ReadTx, policy: Policy) -> list[str]:
    """Say in words what applying the policy would change."""
    if policy.name not in tx.lifecycle_names():
        return [f"a new lifecycle {policy.name!r} with the stages {', '.join(stage.name for stage in policy.stages)}"]
    old, revision = policy_of(tx, policy.name)
    before, after = {stage.name: stage for stage in old.stages}, {stage.name: stage for stage in policy.stages}
    changes = [f"stage {name} goes" for name in before if name not in after]
    changes += [f"stage {name} comes" for name in after if name not in before]
    changes += [f"stage {name} changes" for name in after if name in before and after[name] != before[name]]
    return changes or [f"nothing about the stages of revision {revision}"]


def _view(tx: ReadTx, name: str, model: ModelRow | None, number: int | None) -> a.LifecycleView:
    policy, newest = policy_of(tx, name)
    revision = tx.find_lifecycle(name, number if number is not None else newest)
    if revision is None:
        raise NotFound(f"the lifecycle {name!r} has no revision {number}; the newest is {newest}.", kind="lifecycle")
    shown_policy = policy if number is None else parse_policy(revision.document)
    held = tx.stages_of_model(model.id) if model is not None else {}
    stages = [
        a.StageView(
            name=stage.name,
            capacity="one" if stage.exclusive else "many",
            occupied=stage.occupied,
            protected=stage.protected,
            sources=stage.sources,
            gates=tuple(rule.type for rule in stage.gates),
            holders=tuple(tx.versions_in_slot(model.id, SlotKind.STAGE, stage.name)[:20]) if model is not None else (),
            held=held.get(stage.name, 0),
        )
        for stage in shown_policy.stages
    ]
    bindings = tuple(each for each in _bindings(tx) if each.lifecycle == name)
    return a.LifecycleView(name, revision, tuple(stages), bindings, default_name(tx) == name, shown_policy.warnings)
