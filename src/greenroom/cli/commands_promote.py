"""Commands that move versions: promote, rollback, archive, delete, restore."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from greenroom.cli.command import Command
from greenroom.cli.params import (
    complete_slot,
    dry_run_option,
    model_and_version,
    model_argument,
    need_version,
    reason_option,
    version_argument,
)
from greenroom.cli.session import Session, pass_session
from greenroom.core.errors import InvalidInput

if TYPE_CHECKING:
    from greenroom.cli.output import Output
    from greenroom.core.model import Promotion

_if_holder = click.option(
    "--if-holder", type=int, metavar="N", help="Go on only while version N holds the slot (0: while nobody does)."
)


@click.command(cls=Command)
@model_argument
@version_argument
@click.option(
    "--to", required=True, metavar="SLOT", shell_complete=complete_slot, help="The stage, or @alias, to move it into."
)
@click.option("--best", metavar="METRIC[:min|:max]", help="Pick the version with the best recorded metric.")
@click.option("--swap", is_flag=True, help="Archive whoever holds the stage, in the same transaction.")
@_if_holder
@dry_run_option
@reason_option
@pass_session
def promote(
    session: Session,
    model: str,
    version: str | None,
    to: str,
    best: str | None,
    swap: bool,
    if_holder: int | None,
    dry_run: bool,
    reason: str | None,
) -> None:
    """Move a version into a stage or onto an alias.

    Without VERSION: the best by --best, else the newest in the stage before. Ends with 1 and the reasons when the
    lifecycle says no.

    \b
    Examples:
      greenroom promote churn 3 --to Staging
      greenroom promote churn 3 --to Production --swap --reason "beats 2 on October"
      greenroom promote churn --best auc:max --to Production --dry-run
      greenroom promote churn 4 --to Production --swap --if-holder 3
    """
    name, number = model_and_version(session, model, version)
    if best is not None and number is not None:
        raise InvalidInput("both a version and --best are given.", hint="Give one of them.")
    promotion = session.registry.promote(
        name, number, to=to, best=best, swap=swap, if_holder=if_holder, reason=reason, dry_run=dry_run, check=False
    )
    show_promotion(session.out, promotion)


@click.command(cls=Command)
@model_argument
@click.argument("slot", default="Production", shell_complete=complete_slot)
@click.option("--version", metavar="N", help="Go back to this earlier holder instead of the last healthy one.")
@_if_holder
@dry_run_option
@reason_option
@pass_session
def rollback(
    session: Session,
    model: str,
    slot: str,
    version: str | None,
    if_holder: int | None,
    dry_run: bool,
    reason: str | None,
) -> None:
    """Give a stage back to its last healthy holder.

    SLOT is Production unless named. The last holder by history, whatever stage it is in now; never "current minus one".

    \b
    Examples:
      greenroom rollback churn
      greenroom rollback churn Staging --dry-run
      greenroom rollback churn --version 2 --reason "3 drifts"
    """
    promotion = session.registry.rollback(
        model, slot, version=version, if_holder=if_holder, reason=reason, dry_run=dry_run, check=False
    )
    show_promotion(session.out, promotion)


@click.command(cls=Command)
@model_argument
@version_argument
@dry_run_option
@reason_option
@pass_session
def archive(session: Session, model: str, version: str | None, dry_run: bool, reason: str | None) -> None:
    """Move a version to Archived.

    \b
    Examples:
      greenroom archive churn 2
      greenroom archive churn@Production --reason "retired"
    """
    name, number = need_version(session, model, version)
    show_promotion(session.out, session.registry.archive(name, number, reason=reason, dry_run=dry_run, check=False))


@click.command(cls=Command)
@model_argument
@version_argument
@click.option("--whole-model", is_flag=True, help="Delete the model with all its versions.")
@reason_option
@pass_session
def delete(session: Session, model: str, version: str | None, whole_model: bool, reason: str | None) -> None:
    """Delete a version or a model (can be restored).

    Number, bytes and history stay; `greenroom restore` brings it back. Who holds a protected stage is not deleted.

    \b
    Examples:
      greenroom delete churn 1
      greenroom delete churn --whole-model
    """
    from greenroom.client.refs import is_ref

    if whole_model and version is None:
        gone = session.registry.delete_model(model, reason=reason)
        session.out.result(gone, f"{model} deleted with its versions. `greenroom restore {model}` brings it back.")
        return
    if whole_model:
        raise InvalidInput("both a version and --whole-model are given.", hint="Give one of them.")
    if version is None and not is_ref(model):
        raise InvalidInput(
            f"no version of {model!r} is given.",
            hint=f"Write {model} 3 for one version, or {model} --whole-model for all of them.",
        )
    name, number = need_version(session, model, version)
    deleted = session.registry.delete(name, number, reason=reason)
    text = f"{name} version {number} deleted. `greenroom restore {name} {number}` brings it back."
    session.out.result(deleted, text)


@click.command(cls=Command)
@model_argument
@version_argument
@reason_option
@pass_session
def restore(session: Session, model: str, version: str | None, reason: str | None) -> None:
    """Bring a deleted version or model back.

    \b
    Examples:
      greenroom restore churn 1      the version, into the first stage
      greenroom restore churn        the model, with the versions deleted with it
    """
    if version is None:
        session.out.result(session.registry.restore_model(model, reason=reason), f"{model} is back.")
        return
    back = session.registry.restore(model, version, reason=reason)
    session.out.result(back, f"{model} version {back.version} is back, in stage {back.stage}.")


def show_promotion(out: Output, promotion: Promotion) -> None:
    """Print what became of a move, as JSON or sentences; one that did not succeed ends the command with 1."""
    from greenroom.cli.session import refusal_text, say
    from greenroom.client.calls import refused

    planned = promotion.id is None
    fine = promotion.succeeded or promotion.status.value == "planned"
    if out.is_json:
        out.json(promotion)
    elif planned:
        out.line(_plan(out, promotion))
    elif fine:
        out.line(_moved(out, promotion))
    for warning in promotion.warnings:
        out.note(f"Warning: {warning}")
    if not fine:
        if out.is_json or not planned:
            say(refusal_text(refused(promotion), promotion))
        click.get_current_context().exit(1)


def _moved(out: Output, promotion: Promotion) -> str:
    into = _slot(out, promotion)
    came = f" (was {promotion.from_stage})" if promotion.from_stage and promotion.slot_kind.value == "stage" else ""
    lines = [f"{promotion.model} version {promotion.version} -> {into}{came}"]
    lines += [f"  displaced: {_displaced(gone.version, gone.to)}" for gone in promotion.displaced]
    if promotion.chosen_because:
        lines.append(f"  chosen: {promotion.chosen_because}")
    return "\n".join(lines)


def _plan(out: Output, promotion: Promotion) -> str:
    verb = "would move" if promotion.status.value == "planned" else "would be refused"
    lines = [
        f"Plan, nothing was changed: {promotion.model} version {promotion.version} {verb}",
        f"  moves      {promotion.from_stage or '-'} -> {_slot(out, promotion)}",
        f"  lifecycle  {promotion.lifecycle}, revision {promotion.lifecycle_revision}",
    ]
    if promotion.chosen_because:
        lines.append(f"  chosen     {promotion.chosen_because}")
    lines += [f"  displaces  {_displaced(gone.version, gone.to)}" for gone in promotion.displaced]
    lines += [f"  gate       {result.gate}: {result.verdict.value}: {result.message}" for result in promotion.gates]
    for refusal in promotion.refusals:
        lines.append(f"  refused    {refusal.message}")
        lines += [f"             - {way}" for way in refusal.ways_out]
    return "\n".join(lines)


def _slot(out: Output, promotion: Promotion) -> str:
    is_alias = promotion.slot_kind.value == "alias"
    return f"@{promotion.slot.removeprefix('@')}" if is_alias else out.stage(promotion.slot)


def _displaced(version: int, to: str | None) -> str:
    return f"version {version} -> {to}" if to else f"version {version}"
