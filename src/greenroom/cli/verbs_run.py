"""What each `Ask` does: one function per operation, on the client and nothing else.

A function prints its answer and returns the exit code; what goes wrong is raised as a class of `core.errors`.
Source: cli-verbs, rules 3 to 9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from greenroom.cli import verbs_read as read
from greenroom.cli import verbs_show as show
from greenroom.cli.verbs_ask import Ask
from greenroom.cli.verbs_pick import candidate, resolve_version
from greenroom.cli.verbs_show import Printer
from greenroom.core.errors import NotFound, NotImplementedHere, Refused
from greenroom.core.model import Promotion, PromotionStatus
from greenroom.core.names import stage_key

if TYPE_CHECKING:
    from greenroom.client.registry import Registry

Run = Callable[[Ask, "Registry", Printer], int]


def run(asked: Ask, registry: Registry, out: TextIO, err: TextIO) -> int:
    """Do what is asked and print the answer; return the exit code. Raises the classes of `core.errors`."""
    printer = Printer(out, err, asked.output, asked.quiet)
    if asked.operation == "register":
        from greenroom.cli.verbs_register import register

        return register(asked, registry, printer)
    return RUNS[asked.operation](asked, registry, printer)


# --- moves ------------------------------------------------------------------------------------------------------------


def _move(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = candidate(asked, registry)
    promotion = registry.promote(
        asked.name,
        version,
        to=asked.stage or "",
        best=asked.best,
        swap=asked.swap,
        if_holder=asked.if_holder,
        reason=asked.comment,
        dry_run=asked.dry_run,
        check=False,
    )
    code = _tell(promotion, printer)
    if asked.text is not None and promotion.status is PromotionStatus.SUCCEEDED:
        registry.describe(asked.name, asked.text or None, version=promotion.version)
    return code


def _rollback(asked: Ask, registry: Registry, printer: Printer) -> int:
    slot, version, ref = asked.stage, asked.version, asked.ref
    if ref is not None and ref != "latest" and slot is None and asked.alias is None:
        slot, ref = ref, None  # `rollback -m models:/NAME/Production`
    if asked.alias is not None:
        slot = "@" + asked.alias
    if ref is not None:
        version = resolve_version(asked, registry, ref)
    promotion = registry.rollback(
        asked.name,
        slot or "Production",
        version=version,
        if_holder=asked.if_holder,
        reason=asked.comment,
        dry_run=asked.dry_run,
        check=False,
    )
    return _tell(promotion, printer)


def _tell(promotion: Promotion, printer: Printer) -> int:
    """Print what became of a move. Raises Refused for one that was not made."""
    if promotion.status not in (PromotionStatus.PLANNED, PromotionStatus.SUCCEEDED):
        raise _refused(promotion)
    text = show.moved_text(promotion)
    if promotion.status is PromotionStatus.PLANNED:
        move = f"Version '{promotion.version}' of model '{promotion.model}'"
        text = f"{move} would be moved to '{promotion.slot}'; nothing was changed."
    elif promotion.slot_kind.value == "alias":
        text = show.alias_text(promotion.model, promotion.slot.removeprefix("@"), promotion.version)
    printer.sentence(text, promotion)
    _notes(promotion, printer)
    return 0


def _notes(promotion: Promotion, printer: Printer) -> None:
    if promotion.chosen_because:
        printer.note(f"Note: version {promotion.version} was chosen: {promotion.chosen_because}.")
    for displaced in promotion.displaced:
        if displaced.to is not None:
            printer.note(f"Note: version {displaced.version} moves to stage '{displaced.to}'.")
    for warning in promotion.warnings:
        printer.note(f"Note: {warning}.")


def _refused(promotion: Promotion) -> Refused:
    reasons = " ".join(refusal.message for refusal in promotion.refusals)
    ended = f"version {promotion.version} of {promotion.model!r} into {promotion.slot}: {promotion.status.value}."
    return Refused(reasons or ended, promotion=promotion)


def _no_approvals(asked: Ask, registry: Registry, printer: Printer) -> int:
    raise NotImplementedHere(
        "This registry has no approvals yet, so nothing can be requested, approved or rejected.",
        hint="Move the version itself: models transition-stage --model-name NAME --version N --stage STAGE",
    )


# --- aliases, tags, texts ---------------------------------------------------------------------------------------------


def _alias_set(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = resolve_version(asked, registry)
    promotion = registry.set_alias(
        asked.name, asked.alias or "", version, if_holder=asked.if_holder, reason=asked.comment, check=False
    )
    return _tell(promotion, printer)


def _alias_get(asked: Ask, registry: Registry, printer: Printer) -> int:
    alias = asked.alias or ""
    holder = registry.holder(asked.name, "@" + alias)
    if holder is None:
        raise NotFound(f"model {asked.name!r} has no alias {alias!r}.", model=asked.name, alias=alias)
    item = show.alias_item(asked.name, alias, holder.version)
    if printer.is_json:
        printer.fields((), item)
    else:
        printer.sentence(item["text"], item)
    return 0


def _alias_list(asked: Ask, registry: Registry, printer: Printer) -> int:
    aliases = registry.model(asked.name).aliases
    items = [show.alias_item(asked.name, alias, version) for alias, version in sorted(aliases.items())]
    if printer.is_json:
        printer.table((), (), items)
    elif not items:
        printer.note(f"Model '{asked.name}' has no aliases.")
    for item in [] if printer.is_json else items:
        printer.sentence(item["text"], item)
    return 0


def _alias_delete(asked: Ask, registry: Registry, printer: Printer) -> int:
    alias = asked.alias or ""
    model = registry.delete_alias(asked.name, alias, reason=asked.comment)
    printer.sentence(f"{asked.name}: {alias} removed", show.model_item(model))
    return 0


def _set_tag(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = resolve_version(asked, registry) if asked.version or asked.ref else None
    registry.tag(asked.name, dict(asked.tags), version=version)
    for key, value in asked.tags.items():
        printer.sentence(f"Tag '{key}' of {_what(asked.name, version)} set to '{value}'.", {"key": key, "value": value})
    if version is not None and any(stage_key(key[:60]) == "stage" for key in asked.tags):
        printer.note("Note: a tag does not move a version; `models transition-stage` does.")
    return 0


def _delete_tag(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = resolve_version(asked, registry) if asked.version or asked.ref else None
    registry.untag(asked.name, asked.key or "", version=version)
    printer.sentence(f"Tag '{asked.key}' of {_what(asked.name, version)} removed.", {"key": asked.key})
    return 0


def _set_text(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = resolve_version(asked, registry) if asked.version or asked.ref else None
    registry.describe(asked.name, asked.text or None, version=version)
    printer.sentence(f"Description of {_what(asked.name, version)} written.", {"description": asked.text or None})
    return 0


def _what(name: str, version: int | None) -> str:
    return f"model '{name}'" if version is None else f"version '{version}' of model '{name}'"


# --- models, tombstones -----------------------------------------------------------------------------------------------


def _create_model(asked: Ask, registry: Registry, printer: Printer) -> int:
    model = registry.create_model(asked.name, description=asked.text, tags=dict(asked.tags))
    printer.sentence(f"Successfully registered model '{model.name}'.", show.model_item(model))
    return 0


def _delete_version(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = registry.delete(asked.name, resolve_version(asked, registry), reason=asked.comment)
    printer.sentence(f"Deleted version '{version.version}' of model '{version.model}'.", show.version_item(version))
    printer.note(
        f"Note: `models restore-version --model-name {version.model} --version {version.version}` brings it back."
    )
    return 0


def _restore_version(asked: Ask, registry: Registry, printer: Printer) -> int:
    version = registry.restore(asked.name, resolve_version(asked, registry), reason=asked.comment)
    text = f"Restored version '{version.version}' of model '{version.model}' into stage '{version.stage}'."
    printer.sentence(text, show.version_item(version))
    return 0


def _delete_model(asked: Ask, registry: Registry, printer: Printer) -> int:
    model = registry.delete_model(asked.name, reason=asked.comment)
    printer.sentence(f"Deleted model '{asked.name}'.", show.model_item(model))
    printer.note(f"Note: `models restore-model --model-name {asked.name}` brings it back with its versions.")
    return 0


def _restore_model(asked: Ask, registry: Registry, printer: Printer) -> int:
    model = registry.restore_model(asked.name, reason=asked.comment)
    printer.sentence(f"Restored model '{model.name}'.", show.model_item(model))
    return 0


RUNS: dict[str, Run] = {
    "move": _move,
    "rollback": _rollback,
    "request": _no_approvals,
    "decide": _no_approvals,
    "alias_set": _alias_set,
    "alias_get": _alias_get,
    "alias_list": _alias_list,
    "alias_delete": _alias_delete,
    "set_tag": _set_tag,
    "delete_tag": _delete_tag,
    "set_text": _set_text,
    "list_versions": read.versions,
    "search_versions": read.versions,
    "latest": read.latest,
    "list_models": read.models,
    "describe": read.describe,
    "get_version": read.describe,
    "history": read.history,
    "compare": read.compare,
    "create_model": _create_model,
    "delete_version": _delete_version,
    "restore_version": _restore_version,
    "delete_model": _delete_model,
    "restore_model": _restore_model,
}
