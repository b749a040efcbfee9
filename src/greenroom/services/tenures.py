"""Open and close tenures: the only code that changes who holds what."""

from __future__ import annotations

from greenroom.core.model import Actor, PromotionKind, SlotKind, Tenure
from greenroom.core.policy import Slot
from greenroom.services.ports import ModelRow, WriteTx


def open_tenure(
    tx: WriteTx,
    model: ModelRow,
    version: int,
    slot: Slot,
    actor: Actor,
    *,
    reason: str | None = None,
    promotion: int | None = None,
) -> None:
    """Let a version hold a slot from now on. The database refuses a second holder of an exclusive one."""
    tx.insert(
        "tenure",
        {
            "model_id": model.id,
            "version": version,
            "kind": slot.kind.value,
            "slot": slot.name,
            "since_event": tx.seq,
            "exclusive": int(slot.exclusive),
            "since_at": tx.now,
            "since_by": actor.name,
            "reason": reason,
            "promotion": promotion,
        },
    )


def open_stage(
    tx: WriteTx, model: ModelRow, version: int, stage: Slot, actor: Actor, *, reason: str | None = None
) -> None:
    """Put a new or restored version into the lifecycle's first stage."""
    open_tenure(tx, model, version, stage, actor, reason=reason)


def close_tenure(tx: WriteTx, model: ModelRow, tenure: Tenure, actor: Actor, kind: PromotionKind) -> None:
    """End a tenure now; `kind` says by what sort of move."""
    key = {
        "model_id": model.id,
        "version": tenure.version,
        "kind": tenure.kind.value,
        "slot": tenure.slot,
        "since_event": tenure.since,
    }
    tx.update(
        "tenure", key, {"until_event": tx.seq, "until_at": tx.now, "until_by": actor.name, "until_kind": kind.value}
    )


def stage_tenure(tenures: tuple[Tenure, ...]) -> Tenure | None:
    """Return the one among a version's open tenures that is its stage."""
    return next((tenure for tenure in tenures if tenure.kind is SlotKind.STAGE), None)
