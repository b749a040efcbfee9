"""Commands about the rules: lifecycle …, stages …"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from greenroom.cli.command import Command, Group
from greenroom.cli.output import short_digest, when
from greenroom.cli.params import complete_lifecycle, complete_slot, read_document, reason_option
from greenroom.cli.session import EXIT_USAGE, Session, pass_session

if TYPE_CHECKING:
    from greenroom.cli.output import Output
    from greenroom.core.model import Binding
    from greenroom.services.answers import LifecycleView

_file = click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, allow_dash=True))


@click.group(cls=Group)
def lifecycle() -> None:
    """Show, check and apply lifecycles: stages, who may follow whom, gates."""


@lifecycle.command("list", cls=Command)
@pass_session
def list_lifecycles(session: Session) -> None:
    """List lifecycles and the models that each applies to."""
    found = session.registry.lifecycles()
    uses = {each.name: [_binding(b) for b in found.bindings if b.lifecycle == each.name] for each in found.lifecycles}
    rows = [(e.name, e.revision, ", ".join(uses[e.name]), when(e.at), e.by, e.reason) for e in found.lifecycles]
    session.out.table(("Lifecycle", "Revision", "Applies to", "Since", "By", "Reason"), rows, found)


@lifecycle.command("show", cls=Command)
@click.argument("name", required=False, shell_complete=complete_lifecycle)
@click.option("--model", metavar="MODEL", help="The one that applies to this model.")
@click.option("--revision", type=int, metavar="N", help="An earlier revision.")
@click.option("--toml", is_flag=True, help="Print the document itself, to edit and apply.")
@pass_session
def show(session: Session, name: str | None, model: str | None, revision: int | None, toml: bool) -> None:
    """Show a lifecycle (the default one unless named).

    \b
    Examples:
      greenroom lifecycle show --model churn
      greenroom lifecycle show guarded --toml > lifecycle.toml
    """
    view = session.registry.lifecycle(name, model=model, revision=revision)
    if toml:
        session.out.line(view.revision.document.rstrip("\n"))
    else:
        _show(session.out, view, of_model=model is not None)


@lifecycle.command("check", cls=Command)
@_file
@pass_session
def check(session: Session, file: str) -> None:
    """Check a document without applying it: errors with line numbers. Ends with 2 when there are any."""
    found = session.registry.check_lifecycle(read_document(file))
    lines = [f"{file}:{p.line}: {p.message}" if p.line else f"{file}: {p.message}" for p in found.problems]
    if not found.problems:
        changes = [f"  {change}" for change in found.changes] or ["  nothing would change"]
        lines = [f"{file}: lifecycle {found.name} is fine; applying it:", *changes]
    session.out.result(found, "\n".join(lines))
    if found.problems:
        click.get_current_context().exit(EXIT_USAGE)


@lifecycle.command("apply", cls=Command)
@_file
@reason_option
@pass_session
def apply(session: Session, file: str, reason: str | None) -> None:
    """Apply a document as the next revision of the lifecycle it names."""
    view = session.registry.apply_lifecycle(read_document(file), reason=reason)
    session.out.result(view, f"{view.name} revision {view.revision.revision} applies now.")
    _warn(session.out, view)


@lifecycle.command("use", cls=Command)
@click.argument("name", shell_complete=complete_lifecycle)
@click.option("--models", "pattern", metavar="PATTERN", help="Only for models named like this (fraud-*).")
@click.option("--tag", metavar="KEY=VALUE", help="Only for models with this tag.")
@reason_option
@pass_session
def use(session: Session, name: str, pattern: str | None, tag: str | None, reason: str | None) -> None:
    """Choose which lifecycle applies.

    NAME is standard, guarded, mlflow, or one of yours.

    \b
    Examples:
      greenroom lifecycle use guarded
      greenroom lifecycle use mlflow --models "legacy-*"
    """
    view = session.registry.use_lifecycle(name, pattern=pattern, tag=tag, reason=reason)
    uses = ", ".join(_binding(each) for each in view.bindings if each.lifecycle == view.name)
    session.out.result(view, f"{view.name} applies to {uses or 'all models that nothing else applies to'}.")
    _warn(session.out, view)


@lifecycle.command("history", cls=Command)
@click.argument("name", required=False, shell_complete=complete_lifecycle)
@click.option("--model", metavar="MODEL", help="Of the one that applies to this model.")
@pass_session
def history(session: Session, name: str | None, model: str | None) -> None:
    """Show every revision of a lifecycle."""
    found = session.registry.lifecycle_history(name, model=model)
    rows = [(e.name, e.revision, when(e.at), e.by, short_digest(e.digest), e.reason) for e in found]
    session.out.table(("Lifecycle", "Revision", "At", "By", "Digest", "Reason"), rows, found)


@click.group(cls=Group)
def stages() -> None:
    """List and add stages."""


@stages.command("list", cls=Command)
@click.option("--lifecycle", "name", metavar="NAME", help="Of this lifecycle instead of the default one.")
@click.option("--model", metavar="MODEL", help="Of the one that applies to this model, with its holders.")
@pass_session
def list_stages(session: Session, name: str | None, model: str | None) -> None:
    """List the stages of a lifecycle, in order."""
    view = session.registry.lifecycle(name, model=model)
    _stage_table(session.out, view, view.stages, of_model=model is not None)


@stages.command("add", cls=Command)
@click.argument("name")
@click.option(
    "--after",
    metavar="STAGE",
    shell_complete=complete_slot,
    help="Put it after this stage; the last one unless named.",
)
@click.option("--exclusive", is_flag=True, help="At most one version of a model at a time.")
@click.option("--lifecycle", "to", metavar="NAME", help="Add it to this lifecycle instead of the default one.")
@reason_option
@pass_session
def add(session: Session, name: str, after: str | None, exclusive: bool, to: str | None, reason: str | None) -> None:
    """Add a stage to a lifecycle.

    \b
    Example:
      greenroom stages add Validation --after Staging
    """
    capacity = "one" if exclusive else "many"
    view = session.registry.add_stage(name, after=after, capacity=capacity, lifecycle=to, reason=reason)
    order = " -> ".join(stage.name for stage in view.stages)
    session.out.result(view, f"{view.name} revision {view.revision.revision}: {order}")
    _warn(session.out, view)


_COLUMNS = ("Stage", "Versions", "When occupied", "Protected", "From", "Gates", "Holders")


def _rows(view: LifecycleView) -> list[tuple[object, ...]]:
    return [
        (
            stage.name,
            stage.capacity,
            stage.occupied if stage.capacity == "one" else None,
            "yes" if stage.protected else "no",
            "any" if stage.sources is None else ", ".join(stage.sources) or "none",
            ", ".join(stage.gates),
            ", ".join(str(version) for version in stage.holders) or (stage.held or None),
        )
        for stage in view.stages
    ]


def _stage_table(out: Output, view: LifecycleView, data: object, *, of_model: bool) -> None:
    """Print the stages; holders only where a model is asked about, or `-` would read as "nobody"."""
    shown = len(_COLUMNS) if of_model else _COLUMNS.index("Holders")
    out.table(_COLUMNS[:shown], [row[:shown] for row in _rows(view)], data)


def _show(out: Output, view: LifecycleView, *, of_model: bool) -> None:
    if not out.is_json:
        revision = view.revision
        uses = [_binding(each) for each in view.bindings if each.lifecycle == view.name]
        default = ["default"] if view.is_default else []
        out.line(f"{view.name}, revision {revision.revision}, since {when(revision.at)} by {revision.by}")
        out.line(f"applies to: {', '.join(uses + default) or 'no model'}")
    _stage_table(out, view, view, of_model=of_model)
    _warn(out, view)


def _warn(out: Output, view: LifecycleView) -> None:
    for warning in view.warnings:
        out.note(f"Warning: {warning}")


def _binding(binding: Binding) -> str:
    if binding.pattern is not None:
        return binding.pattern
    return f"tag {binding.tag}" if binding.tag is not None else "default"
