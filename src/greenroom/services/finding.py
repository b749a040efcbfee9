"""Look-ups that every use case shares: what is named must be there, and says so in one way."""

from __future__ import annotations

import functools
from shlex import quote

from greenroom.core.document import parse_policy
from greenroom.core.errors import IntegrityFailure, NotFound
from greenroom.core.model import SlotKind
from greenroom.core.names import check_alias, check_model_name, parse_version, shown
from greenroom.core.policy import Policy, Slot
from greenroom.services.ports import ModelRow, ReadTx, VersionRow

ARCHIVE = "archived"
read_policy_cached = functools.lru_cache(maxsize=256)(parse_policy)


def get_model(tx: ReadTx, name: str) -> ModelRow:
    """Return the living model. Raises NotFound, or InvalidInput for a name that no model can have."""
    model = tx.find_model(name)
    if model is None:
        check_model_name(name)
        raise NotFound(
            f"there is no registered model {shown(name)!r}.",
            hint="List them with: greenroom list",
            kind="model",
            model=name,
        )
    return model


def get_version(tx: ReadTx, model: ModelRow, version: int, *, deleted: bool = False) -> VersionRow:
    """Return the version; a deleted one only if asked for. Raises NotFound, or InvalidInput for what is no number."""
    row = tx.find_version(model.id, parse_version(version, model=model.name))
    if row is None or (row.deleted_event is not None and not deleted):
        gone = " (it was deleted)" if row is not None else ""
        see = "List them with: greenroom versions" if row is None else "Bring it back with: greenroom restore"
        raise NotFound(
            f"model {model.name!r} has no version {version}{gone}.",
            hint=f"{see} {quote(model.name)}" + (f" {version}" if row is not None else ""),
            kind="version",
            model=model.name,
            version=version,
        )
    return row


def policy_of(tx: ReadTx, lifecycle: str) -> tuple[Policy, int]:
    """Return the newest revision of a lifecycle as a policy, and its number. Raises NotFound."""
    revision = tx.find_lifecycle(lifecycle)
    if revision is None:
        known = ", ".join(tx.lifecycle_names())
        raise NotFound(
            f"there is no lifecycle {shown(lifecycle)!r}.",
            hint=f"Known lifecycles: {known}.",
            kind="lifecycle",
            lifecycle=lifecycle,
        )
    return read_policy_cached(revision.document), revision.revision


def policy_for(tx: ReadTx, model: ModelRow) -> tuple[Policy, int]:
    """Return the policy that applies to a model. Raises IntegrityFailure when the store names one that is not there."""
    try:
        return policy_of(tx, model.lifecycle)
    except NotFound as exc:
        raise IntegrityFailure(
            f"model {model.name!r} names the lifecycle {model.lifecycle!r}, which is not there."
        ) from exc


def slot_of(policy: Policy, text: str) -> Slot:
    """Return the slot that `text` names: `@champion` is an alias, everything else a stage. Raises NotFound,
    InvalidInput.
    """
    if text.startswith("@"):
        return policy.find_alias(check_alias(text[1:]))
    if policy.archive is not None and text.casefold() == ARCHIVE and policy.find_stage(text) is None:
        return policy.archive  # whatever it is called here: people and our own hints say "archive"
    return policy.get_stage(text)


def slot_text(kind: SlotKind, slot: str) -> str:
    """Return a slot as people write it."""
    return f"@{slot}" if kind is SlotKind.ALIAS else slot
