"""Use cases that move versions: promote, roll back, set and delete aliases. One pure decision, one transaction each.

A refusal is recorded like a success: the promotion row and its audit event say who asked for what and why not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from shlex import quote
from typing import Any

from greenroom.core.canonical import canonical_text
from greenroom.core.choosing import Choice, choose_best, choose_candidate, parse_best, source_stage
from greenroom.core.codec import to_plain
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.gates import GateInput
from greenroom.core.lifecycle import Decision, Move, Situation, decide, rollback_target
from greenroom.core.model import Actor, Promotion, PromotionKind, PromotionStatus, RegisteredModel, SlotKind, Tenure
from greenroom.core.names import check_alias, check_metric_key
from greenroom.core.policy import Policy, Slot
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version, policy_for, slot_of, slot_text
from greenroom.services.limits import check_short_text
from greenroom.services.ports import ModelRow, VersionRow, WriteTx
from greenroom.services.tenures import close_tenure, open_tenure, stage_tenure
from greenroom.services.views import model_view

_LOOK_BACK_BY = 32


@dataclass(frozen=True)
class _Case:
    """One request to move a version, with everything that was looked up for it."""

    model: ModelRow
    policy: Policy
    revision: int
    row: VersionRow
    slot: Slot
    kind: PromotionKind
    actor: Actor
    reason: str | None
    chosen: Choice | None = None


def promote(tx: WriteTx, ask: c.Promote, actor: Actor) -> Promotion:
    """Move a version into a slot, or say why not; with `dry_run` only say. Raises NotFound, InvalidInput.

    The rule itself is `core.lifecycle.decide`.
    """
    model, policy, revision = _start(tx, ask.model, ask.reason)
    slot = slot_of(policy, ask.to)
    chosen = _choose(tx, model, policy, slot, ask)
    row = get_version(tx, model, chosen.version if chosen else _given(ask.version))
    case = _Case(model, policy, revision, row, slot, PromotionKind.PROMOTE, actor, ask.reason, chosen)
    return _carry_out(tx, case, swap=ask.swap, if_holder=ask.if_holder, dry_run=ask.dry_run)


def rollback(tx: WriteTx, ask: c.Rollback, actor: Actor) -> Promotion:
    """Give a slot back to its last healthy earlier holder. Raises NotFound when nobody held it before, InvalidInput."""
    model, policy, revision = _start(tx, ask.model, ask.reason)
    slot = slot_of(policy, ask.slot)
    _refuse_vague(tx, model, policy, slot)
    chosen = _earlier_holder(tx, model, slot, ask.version)
    row = get_version(tx, model, chosen.version)
    case = _Case(model, policy, revision, row, slot, PromotionKind.ROLLBACK, actor, ask.reason, chosen)
    return _carry_out(tx, case, swap=True, if_holder=ask.if_holder, dry_run=ask.dry_run)


def _refuse_vague(tx: WriteTx, model: ModelRow, policy: Policy, slot: Slot) -> None:
    """Raise InvalidInput where "back to the one before" has no one meaning."""
    if slot.archive or slot == policy.initial:
        raise InvalidInput(
            f"{slot.name} is not given back to anybody.", hint="Promote the version you mean.", slot=slot.name
        )
    if not slot.exclusive and len(held := tx.versions_in_slot(model.id, slot.kind, slot.name)) > 1:
        raise InvalidInput(
            f"{len(held)} versions hold {slot.name}: it is not clear who leaves.",
            hint="Promote the version you mean, and archive the others.",
            slot=slot.name,
            holders=held[:20],
        )


def set_alias(tx: WriteTx, ask: c.SetAlias, actor: Actor) -> Promotion:
    """Point an alias at a version: a promotion into the slot `@alias`. Raises NotFound, InvalidInput."""
    model, policy, revision = _start(tx, ask.model, ask.reason)
    slot = policy.find_alias(check_alias(ask.alias))
    case = _Case(
        model, policy, revision, get_version(tx, model, ask.version), slot, PromotionKind.PROMOTE, actor, ask.reason
    )
    return _carry_out(tx, case, swap=False, if_holder=ask.if_holder, dry_run=False)


def delete_alias(tx: WriteTx, ask: c.DeleteAlias, actor: Actor) -> RegisteredModel:
    """Take an alias away; an absent one is no error and no event. Raises NotFound, InvalidInput.

    The alias of a `protected` slot is a live version's: it moves by promotion, it is not taken away (InvalidInput).
    """
    model, policy, _ = _start(tx, ask.model, ask.reason)
    slot = policy.find_alias(check_alias(ask.alias, reserved_ok=True))
    held = tx.holders(model, SlotKind.ALIAS, slot.name)
    if held and slot.protected:
        raise InvalidInput(
            f"the alias {slot.name!r} is protected by the lifecycle {policy.name!r}.",
            hint="Promote another version to it instead.",
        )
    for tenure in held:
        close_tenure(tx, model, tenure, actor, PromotionKind.DELETE)
    if held:
        tx.record(
            "alias_deleted",
            actor,
            model=model.name,
            version=held[0].version,
            body={"alias": slot.name, "reason": ask.reason},
        )
    return model_view(tx, get_model(tx, ask.model))


def _start(tx: WriteTx, name: str, reason: str | None) -> tuple[ModelRow, Policy, int]:
    check_short_text("reason", reason)
    model = get_model(tx, name)
    return (model, *policy_for(tx, model))


def _given(version: int | None) -> int:
    if version is None:
        raise InvalidInput("no version is named.", hint="Say which version.")
    return version


def _choose(tx: WriteTx, model: ModelRow, policy: Policy, slot: Slot, ask: c.Promote) -> Choice | None:
    """Return the version meant when the caller named none, and why it is that one."""
    if ask.best is not None:
        if ask.version is not None:
            raise InvalidInput("both a version and `best` are given.", hint="Give one of them.")
        best = parse_best(ask.best)
        return choose_best(best, tx.metric_of_versions(model.id, check_metric_key(best.metric)))
    if ask.version is not None:
        return None
    if slot.kind is SlotKind.ALIAS:
        raise InvalidInput(f"no version is named for the alias {slot.name!r}.", hint="Say which version.")
    stage = source_stage(policy, slot)
    return choose_candidate(policy, stage, tx.versions_in_slot(model.id, SlotKind.STAGE, stage.name), model=model.name)


def _earlier_holder(tx: WriteTx, model: ModelRow, slot: Slot, wanted: int | None) -> Choice:
    """Return whom a rollback goes to. Raises NotFound when nobody (or not the one wanted) held the slot before."""
    see = f"See: greenroom history {quote(model.name)}"
    if wanted is not None:
        get_version(tx, model, wanted)
        if not tx.has_held(model.id, wanted, slot.kind, slot.name):
            raise NotFound(f"version {wanted} of {model.name!r} has never held {slot.name}.", hint=see, kind="holder")
        return Choice(wanted, "named by the caller")
    now = tuple(tenure.version for tenure in tx.holders(model, slot.kind, slot.name))
    found = rollback_target(_newest_first(tx, model, slot), now, lambda version: _is_deleted(tx, model, version))
    if found is None:
        text = (
            f"there is no earlier healthy holder of {slot_text(slot.kind, slot.name)} of {model.name!r} to go back to."
        )
        raise NotFound(text, hint=f"{see}; or name one with --version", kind="holder", model=model.name, slot=slot.name)
    return Choice(found, f"last healthy holder of {slot.name} before {_who(now)}")


def _newest_first(tx: WriteTx, model: ModelRow, slot: Slot) -> Iterator[Tenure]:
    """Yield the slot's tenures, newest first, a few at a time: the target is mostly among the first."""
    before = (2**62, 2**62)
    while True:
        found = tx.history(model, kind=slot.kind, slot=slot.name, version=None, before=before, limit=_LOOK_BACK_BY)
        yield from found
        if len(found) < _LOOK_BACK_BY:
            return
        before = (found[-1].since, found[-1].version)


def _is_deleted(tx: WriteTx, model: ModelRow, version: int) -> bool:
    row = tx.find_version(model.id, version)
    return row is None or row.deleted_event is not None


def _who(versions: Sequence[int]) -> str:
    return "now" if not versions else "version " + ", ".join(str(version) for version in versions)


def _carry_out(tx: WriteTx, case: _Case, *, swap: bool, if_holder: int | None, dry_run: bool) -> Promotion:
    """Decide, change what follows from it, record. The one path on which any version enters any slot."""
    own = tx.open_tenures(case.model, case.row.version)
    held = _holders(tx, case, own, everybody=swap or if_holder is not None)
    situation = _situation(tx, case, held, own)
    move = Move(case.kind, case.model.name, case.row.version, case.slot, swap=swap, if_holder=if_holder)
    decision = decide(move, situation)
    promotion = _promotion(tx, case, decision, situation.stage)
    if dry_run:
        return replace(
            promotion, status=PromotionStatus.PLANNED if decision.allowed else decision.status, id=None, event=None
        )
    if decision.allowed:
        _move(tx, case, decision, held, own)
    else:
        promotion = replace(promotion, displaced=())  # a plan says who would leave; here nobody did
    tx.insert("promotion", _row(promotion, case.model.id))
    kind = "promotion_succeeded" if decision.allowed else "promotion_rejected"
    tx.record(
        kind,
        case.actor,
        model=case.model.name,
        version=case.row.version,
        body={
            "slot": slot_text(case.slot.kind, case.slot.name),
            "kind": case.kind.value,
            "status": decision.status.value,
            "reason": case.reason,
        },
    )
    return promotion


def _holders(tx: WriteTx, case: _Case, own: tuple[Tenure, ...], *, everybody: bool) -> tuple[Tenure, ...]:
    """Return who holds the slot, as far as the decision can depend on it.

    A slot for many (the archive above all) may be held by thousands; then only the version itself matters.
    """
    if case.slot.exclusive or everybody:
        return tx.holders(case.model, case.slot.kind, case.slot.name)
    return tuple(tenure for tenure in own if (tenure.kind, tenure.slot) == (case.slot.kind, case.slot.name))


def _situation(tx: WriteTx, case: _Case, held: tuple[Tenure, ...], own: tuple[Tenure, ...]) -> Situation:
    stage = stage_tenure(own)
    current = stage.slot if stage is not None else ""
    holder = next((tenure.version for tenure in held if tenure.version != case.row.version), None)
    model_id, version = case.model.id, case.row.version
    evidence = GateInput(version=version, digest=case.row.manifest, stage=current, now=tx.now)
    if case.slot.gates:  # what no gate asks for is not read: the ungated promotion stays cheap
        evidence = replace(
            evidence,
            metrics=tx.version_metrics(model_id, version),
            params=tx.version_params(model_id, version),
            tags=tx.version_tags(model_id, version),
            description=case.row.description,
            git_commit=json.loads(case.row.context).get("git_commit"),
            datasets=len(tx.version_datasets(model_id, version)),
            holder=holder,
            holder_metrics=tx.version_metrics(model_id, holder) if holder is not None else {},
            tenures=tx.tenures_of_version(case.model, version),
        )
    return Situation(
        policy=case.policy,
        stage=current,
        holders=tuple(tenure.version for tenure in held),
        been_where_expected=_been_where_expected(tx, case),
        evidence=evidence,
        now=tx.now,
    )


def _been_where_expected(tx: WriteTx, case: _Case) -> bool:
    if case.slot.expects is None:
        return True
    expected = case.policy.get_stage(case.slot.expects).name
    return tx.has_held(case.model.id, case.row.version, SlotKind.STAGE, expected)


def _move(tx: WriteTx, case: _Case, decision: Decision, held: tuple[Tenure, ...], own: tuple[Tenure, ...]) -> None:
    """Close what ends, then open what begins; the database's constraint would refuse the other order."""
    leaving = {each.version: each.to for each in decision.displaced}
    for tenure in held:
        if tenure.version in leaving:
            close_tenure(tx, case.model, tenure, case.actor, case.kind)
            _send_on(tx, case, tenure.version, leaving[tenure.version])
    if not decision.already:
        stage = stage_tenure(own)
        if case.slot.kind is SlotKind.STAGE and stage is not None:
            # it goes on from there; only who is displaced by a rollback was rolled back from
            close_tenure(tx, case.model, stage, case.actor, PromotionKind.PROMOTE)
        open_tenure(tx, case.model, case.row.version, case.slot, case.actor, reason=case.reason, promotion=tx.seq)
    if case.slot.kind is SlotKind.STAGE:  # an alias points at a version and is no change of it, as on a stock server
        tx.update("version", {"model_id": case.model.id, "version": case.row.version}, {"updated_at": tx.now})
        tx.update("model", {"id": case.model.id}, {"updated_at": tx.now})


def _send_on(tx: WriteTx, case: _Case, version: int, to: str | None) -> None:
    """Put a displaced version into the stage it goes to; who loses an alias stays in its stage."""
    if to is None:
        return
    reason = f"displaced from {case.slot.name} by version {case.row.version}"
    open_tenure(tx, case.model, version, case.policy.get_stage(to), case.actor, reason=reason, promotion=tx.seq)
    tx.update("version", {"model_id": case.model.id, "version": version}, {"updated_at": tx.now})


def _promotion(tx: WriteTx, case: _Case, decision: Decision, stage: str) -> Promotion:
    return Promotion(
        model=case.model.name,
        version=case.row.version,
        slot=case.slot.name,
        slot_kind=case.slot.kind,
        kind=case.kind,
        status=decision.status,
        lifecycle=case.policy.name,
        lifecycle_revision=case.revision,
        at=tx.now,
        requested_by=case.actor.name,
        id=tx.seq,
        from_stage=stage or None,
        digest=case.row.manifest,
        reason=case.reason,
        displaced=decision.displaced,
        refusals=decision.refusals,
        gates=decision.gates,
        warnings=decision.warnings,
        chosen_because=case.chosen.because if case.chosen else None,
        event=tx.seq,
    )


_LISTS = ("displaced", "refusals", "gates", "warnings")


def _row(promotion: Promotion, model_id: int) -> dict[str, Any]:
    row = dict(vars(promotion))
    del row["model"], row["event"]
    for name in _LISTS:
        row[name] = canonical_text(to_plain(row[name])) if row[name] else "[]"
    enums = {name: row[name].value for name in ("slot_kind", "kind", "status")}
    return {**row, **enums, "model_id": model_id}
