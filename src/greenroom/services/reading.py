"""Use cases that only look: models, versions, files, holders, history, promotions."""

from __future__ import annotations

from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor, Page, Promotion, RegisteredModel, SlotKind, Tenure, Version
from greenroom.core.paging import check_page_size, decode_token, encode_token, page_scope
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version, policy_for, slot_of, slot_text
from greenroom.services.ports import ReadTx
from greenroom.services.views import model_view, version_view

_BEGINNING = 2**62
_MAX_PAGE = 1_000


def get_model_view(tx: ReadTx, ask: c.ModelNamed, actor: Actor) -> RegisteredModel:
    """Return a model. Raises NotFound, InvalidInput."""
    return model_view(tx, get_model(tx, ask.name))


def get_version_view(tx: ReadTx, ask: c.VersionNamed, actor: Actor) -> Version:
    """Return a version that is not deleted. Raises NotFound, InvalidInput."""
    model = get_model(tx, ask.model)
    return version_view(tx, model, get_version(tx, model, ask.version))


def list_files(tx: ReadTx, ask: c.VersionNamed, actor: Actor) -> a.Manifest:
    """Return a version's files; an unpinned version has none here. Raises NotFound, InvalidInput."""
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version)
    files = tx.manifest_files(row.manifest) if row.manifest else ()
    return a.Manifest(model.name, row.version, row.manifest, row.size_bytes or 0, files)


def latest_versions(tx: ReadTx, ask: c.LatestVersions, actor: Actor) -> tuple[Version, ...]:
    """Return the newest version in each stage asked for, in the order of the stages. Raises NotFound for an unknown
    one.
    """
    model = get_model(tx, ask.model)
    policy, _ = policy_for(tx, model)
    stages = [policy.get_stage(name) for name in ask.stages] or list(policy.stages)
    newest = [
        tx.newest_in_slot(model.id, SlotKind.STAGE, name) for name in dict.fromkeys(stage.name for stage in stages)
    ]
    return tuple(version_view(tx, model, get_version(tx, model, number)) for number in newest if number is not None)


def latest_of_models(tx: ReadTx, ask: c.LatestOfModels, actor: Actor) -> tuple[tuple[Version, ...], ...]:
    """Return the newest version in each stage of every model named, in that order; nothing for one that is not
    there.
    """
    found = []
    for name in ask.models:
        there = tx.find_model(name) is not None
        found.append(latest_versions(tx, c.LatestVersions(name), actor) if there else ())
    return tuple(found)


def get_holder(tx: ReadTx, ask: c.GetHolder, actor: Actor) -> a.Holding:
    """Return who holds a slot, or held it at a time. Raises NotFound for an unknown model or stage, InvalidInput."""
    model = get_model(tx, ask.model)
    policy, _ = policy_for(tx, model)
    slot = slot_of(policy, ask.slot)
    if ask.at is None:
        tenures = tx.holders(model, slot.kind, slot.name)
    elif ask.at < 0:
        raise InvalidInput(f"`at` must be UTC milliseconds since 1970, got {ask.at}.", field="at")
    else:
        tenures = tx.holders_at(model, slot.kind, slot.name, ask.at)
    return a.Holding(model.name, slot_text(slot.kind, slot.name), ask.at, tenures)


def list_history(tx: ReadTx, ask: c.ListHistory, actor: Actor) -> Page[Tenure]:
    """Return tenures, newest first, a page at a time. Raises NotFound, InvalidInput."""
    model = get_model(tx, ask.model)
    kind = name = None
    if ask.slot is not None:
        kind, name = _slot_in_history(tx, ask)
    if ask.version is not None:
        get_version(tx, model, ask.version, deleted=True)
    size = check_page_size(ask.page_size, default=100, maximum=_MAX_PAGE, parameter="page_size")
    scope = page_scope("history", str(model.id), ask.slot or "", str(ask.version or ""))
    event, version = _cursor(tx, scope, ask.page_token, (_BEGINNING, _BEGINNING))
    found = tx.history(model, kind=kind, slot=name, version=ask.version, before=(event, version), limit=size + 1)
    items = found[:size]
    token = encode_token(tx.page_secret(), scope, [items[-1].since, items[-1].version]) if len(found) > size else None
    return Page(items, token)


def _slot_in_history(tx: ReadTx, ask: c.ListHistory) -> tuple[SlotKind, str]:
    """Return the slot asked for; a stage that the policy has no more may still have a history under its exact name."""
    text = str(ask.slot)
    if text.startswith("@"):
        return SlotKind.ALIAS, text[1:]
    policy, _ = policy_for(tx, get_model(tx, ask.model))
    stage = policy.find_stage(text)
    model = get_model(tx, ask.model)
    if stage is None and not tx.history(
        model, kind=SlotKind.STAGE, slot=text, version=None, before=(_BEGINNING, _BEGINNING), limit=1
    ):
        policy.get_stage(text)
    return SlotKind.STAGE, stage.name if stage else text


def list_promotions(tx: ReadTx, ask: c.ListPromotions, actor: Actor) -> Page[Promotion]:
    """Return promotions, newest first, refused ones too. Raises NotFound, InvalidInput."""
    model = get_model(tx, ask.model)
    if ask.version is not None:
        get_version(tx, model, ask.version, deleted=True)
    size = check_page_size(ask.page_size, default=100, maximum=_MAX_PAGE, parameter="page_size")
    scope = page_scope("promotions", str(model.id), str(ask.version or ""))
    (before,) = _cursor(tx, scope, ask.page_token, (_BEGINNING,))
    found = tx.promotions(model, version=ask.version, before=before, limit=size + 1)
    items = found[:size]
    token = encode_token(tx.page_secret(), scope, [items[-1].id or 0]) if len(found) > size else None
    return Page(items, token)


def _cursor(tx: ReadTx, scope: str, token: str | None, first: tuple[int, ...]) -> tuple[int, ...]:
    if not token:
        return first
    values = decode_token(tx.page_secret(), scope, token)
    return tuple(int(value) for value in values if isinstance(value, int))
