"""Does what is held now fit a policy? Asked before a policy changes under models, and before a model changes policy."""

from __future__ import annotations

from collections.abc import Mapping

from greenroom.core.errors import InvalidInput
from greenroom.core.model import SlotKind
from greenroom.core.policy import Policy
from greenroom.services.ports import ModelRow, WriteTx


def misfits(policy: Policy, model: str, held: Mapping[str, int]) -> list[str]:
    """Return why versions in these stages (name to number of versions) cannot live under the policy; empty if they
    can.
    """
    problems = []
    for name, count in held.items():
        stage = next((each for each in policy.stages if each.name == name), None)
        if stage is None:
            problems.append(
                f"the stage {name!r} is held by {count} version{'s' if count > 1 else ''} of {model!r} "
                f"and is not in {policy.name!r}"
            )
        elif stage.exclusive and count > 1:
            problems.append(f"{count} versions of {model!r} are in {name!r}, which has room for one in {policy.name!r}")
    return problems


def refuse_misfit(
    tx: WriteTx, model: ModelRow, policy: Policy, *, hint: str = "Move those versions first, then try again."
) -> None:
    """Raise InvalidInput unless the model's versions fit the policy; then make their tenures follow it.

    Whether a tenure is exclusive is kept in its row, where the database's own constraint can see it.
    """
    problems = misfits(policy, model.name, tx.stages_of_model(model.id))
    if problems:
        raise InvalidInput(
            f"the lifecycle {policy.name!r} does not fit: {'; '.join(problems[:3])}.",
            hint=hint,
            problems=problems,
        )
    exclusive = {stage.name: int(stage.exclusive) for stage in policy.stages}
    for tenure in tx.open_tenures(model, None):
        if tenure.kind is SlotKind.STAGE:
            key = {
                "model_id": model.id,
                "version": tenure.version,
                "kind": tenure.kind.value,
                "slot": tenure.slot,
                "since_event": tenure.since,
            }
            tx.update("tenure", key, {"exclusive": exclusive[tenure.slot]})
