"""Commands that look: which, show, list, versions, search, history."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from greenroom.cli.command import Command
from greenroom.cli.output import pairs, size, when
from greenroom.cli.packaging_shown import packaging_fields
from greenroom.cli.params import (
    complete_slot,
    first,
    limit_option,
    model_and_version,
    model_argument,
    pointing_at,
    split_ref,
    version_argument,
)
from greenroom.cli.session import EXIT_NOT_FOUND, Session, pass_session
from greenroom.cli.signs import metric_text
from greenroom.core.codec import to_plain

if TYPE_CHECKING:
    from greenroom.cli.output import Output
    from greenroom.core.model import Context, RegisteredModel, Tenure, Version

_MOST_SHOWN = 12  # packages, files and the like in a summary
_FEW = 3  # metrics in a row of a table


@click.command(cls=Command)
@model_argument
@click.argument("slot", default="Production", shell_complete=complete_slot)
@click.option("--at", metavar="DATE", help="At this time: 2026-11-21, 2026-11-21T10:00:00Z, or milliseconds.")
@pass_session
def which(session: Session, model: str, slot: str, at: str | None) -> None:
    """Who holds a stage or alias, now or at a date.

    SLOT is a stage (Production unless named) or @ALIAS. A date without a zone is local time; a date alone is its first
    moment. Ends with 4 when nobody holds it.

    \b
    Examples:
      greenroom which churn
      greenroom which churn Production --at "2026-11-01 12:00"
      greenroom which churn @champion
    """
    out = session.out
    holding = session.registry.holding(model, slot, at=at)
    then = "" if holding.at is None else f" at {when(holding.at)}"
    if out.is_json:
        out.json(holding)
    for tenure in () if out.is_json else holding.tenures:
        out.line(f"{model} version {tenure.version} {'holds' if at is None else 'held'} {holding.slot}{then}")
        out.line(f"  {_period(tenure)}")
    if not holding.tenures:
        out.note(f"Nobody {'holds' if at is None else 'held'} {holding.slot} of {model}{then}.")
        click.get_current_context().exit(EXIT_NOT_FOUND)


def _period(tenure: Tenure) -> str:
    until = "" if tenure.until_at is None else f" until {when(tenure.until_at)}"
    return f"since {when(tenure.since_at)}{until}, by {tenure.by or '-'}" + (
        f": {tenure.reason}" if tenure.reason else ""
    )


@click.command(cls=Command)
@model_argument
@version_argument
@pass_session
def show(session: Session, model: str, version: str | None) -> None:
    """Show a model or one of its versions.

    Of a version: what made it (run, parameters, metrics, data, code), and what its own files say (environment,
    signature, input example). What nobody recorded is left out; in JSON it is null or empty.

    \b
    Examples:
      greenroom show churn
      greenroom show churn 3
      greenroom show churn@Production
    """
    name, found = model_and_version(session, model, version)
    if found is None:
        whole = session.registry.model(name)
        session.out.fields(_model_fields(whole), whole)
    else:
        exact = session.registry.get(name, found)
        packaging = session.registry.packaging(exact.model, exact.version)
        fields = (*_version_fields(exact), *packaging_fields(packaging))
        known = [(label, value) for label, value in fields if value not in (None, "")]
        session.out.fields(known, {**to_plain(exact), "packaging": packaging})


@click.command("list", cls=Command)
@click.option("--filter", "-f", "filter_", metavar="FILTER", help="Such as: name LIKE 'fraud%' AND tags.team = 'risk'")
@limit_option
@pass_session
def list_models(session: Session, filter_: str | None, limit: int) -> None:
    """List models."""
    found = first(session.registry.models(filter_), limit, session.out)
    _model_table(session.out, found, "No models yet. `greenroom push DIR MODEL` registers the first.")


@click.command(cls=Command)
@model_argument
@limit_option
@pass_session
def versions(session: Session, model: str, limit: int) -> None:
    """List the versions of a model, newest first."""
    found = first(session.registry.versions(model), limit, session.out)
    columns = ("Version", "Stage", "Aliases", "Created", "Author", "Metrics", "Size", "Description")
    rows = [_version_row(version) for version in found]
    session.out.table(columns, rows, found, empty=f"{model} has no versions.")


@click.command(cls=Command)
@click.argument("filter_", metavar="[FILTER]", required=False)
@click.option("--models", is_flag=True, help="Search models instead of versions.")
@click.option("--order-by", multiple=True, metavar="KEY [ASC|DESC]", help="May be repeated.")
@limit_option
@pass_session
def search(session: Session, filter_: str | None, models: bool, order_by: tuple[str, ...], limit: int) -> None:
    """Search versions or models.

    FILTER is comparisons joined by AND over name, version, stage, alias, author, description, source, run_id, digest,
    created_at, updated_at, tags.KEY, metrics.KEY and params.KEY.

    \b
    Examples:
      greenroom search "name = 'churn' AND metrics.auc > 0.9"
      greenroom search "stage = 'Production'"
      greenroom search --models "tags.team = 'risk'"
    """
    if models:
        with pointing_at(filter_):
            known = first(session.registry.models(filter_, order_by=order_by), limit, session.out)
        _model_table(session.out, known, "No model matches.")
        return
    with pointing_at(filter_):
        found = first(session.registry.search(filter_, order_by=order_by), limit, session.out)
    columns = ("Model", "Version", "Stage", "Aliases", "Created", "Author", "Metrics", "Size", "Description")
    rows = [(version.model, *_version_row(version)) for version in found]
    session.out.table(columns, rows, found, empty="No version matches.")


@click.command(cls=Command)
@model_argument
@version_argument
@click.option("--slot", metavar="SLOT", shell_complete=complete_slot, help="Only this stage or @alias.")
@click.option("--promotions", is_flag=True, help="The requests to move, refused ones too.")
@limit_option
@pass_session
def history(session: Session, model: str, version: str | None, slot: str | None, promotions: bool, limit: int) -> None:
    """Who held what, when and why; newest first.

    \b
    Examples:
      greenroom history churn --slot Production
      greenroom history churn 3
      greenroom history churn --promotions
    """
    name, ref = split_ref(model)
    exact = version if ref is None else str(session.registry.find_version(ref))
    if promotions:
        _promotions(session, name, exact, limit)
        return
    found = first(session.registry.history(name, slot, version=exact), limit, session.out)
    columns = ("Slot", "Version", "Since", "Until", "By", "Reason")
    rows = [_tenure_row(tenure) for tenure in found]
    session.out.table(columns, rows, found, empty="No history yet.")


def _promotions(session: Session, model: str, version: str | None, limit: int) -> None:
    found = first(session.registry.promotions(model, version=version), limit, session.out)
    columns = ("Id", "At", "Version", "From", "To", "Kind", "Status", "By", "Reason")
    rows = [
        (
            p.id,
            when(p.at),
            p.version,
            p.from_stage,
            p.slot,
            p.kind.value,
            p.status.value,
            p.requested_by,
            _why(p.reason, p),
        )
        for p in found
    ]
    session.out.table(columns, rows, found, empty="No promotions yet.")


def _why(reason: str | None, promotion: object) -> str | None:
    refusals = getattr(promotion, "refusals", ())
    return refusals[0].message if refusals else reason


def _tenure_row(tenure: Tenure) -> tuple[object, ...]:
    name = tenure.slot if tenure.kind.value == "stage" else f"@{tenure.slot.removeprefix('@')}"
    until = "now" if tenure.until is None else when(tenure.until_at)
    return (name, tenure.version, when(tenure.since_at), until, tenure.by, tenure.reason)


def _model_table(out: Output, found: Iterable[RegisteredModel], empty: str) -> None:
    models = list(found)
    rows = [
        (m.name, _slots(m.latest), _slots(m.aliases), m.lifecycle, when(m.updated_at), m.description) for m in models
    ]
    out.table(("Model", "Newest", "Aliases", "Lifecycle", "Updated", "Description"), rows, models, empty=empty)


def _slots(held: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {version}" for name, version in held.items())


def few_metrics(metrics: Mapping[str, float]) -> str:
    """Return three metrics and how many more there are, for a column of a table; what the system measured comes last.

    Autologging records dozens, which would make towers of a column. `show` has them all.
    """
    keys = sorted(metrics, key=lambda key: key.startswith("system/"))
    more = f" and {len(keys) - _FEW} more" if len(keys) > _FEW else ""
    return pairs({key: metrics[key] for key in keys[:_FEW]}) + more


def _version_row(v: Version) -> tuple[object, ...]:
    aliases = ", ".join(v.aliases)
    stage = f"{v.stage} (deleted)" if v.deleted else v.stage
    return (
        v.version,
        stage,
        aliases,
        when(v.created_at),
        v.author,
        few_metrics(v.metrics),
        size(v.size_bytes),
        v.description,
    )


def _model_fields(m: RegisteredModel) -> Iterator[tuple[str, object]]:
    yield "model", m.name
    yield "description", m.description
    yield "lifecycle", m.lifecycle
    yield "newest", _slots(m.latest)
    yield "aliases", _slots(m.aliases)
    yield "tags", pairs(m.tags)
    yield "author", m.author
    yield "created", when(m.created_at)
    yield "updated", when(m.updated_at)


def _version_fields(v: Version) -> Iterator[tuple[str, object]]:
    yield "version", f"{v.model} {v.version}" + (" (deleted)" if v.deleted else "")
    yield "stage", v.stage
    yield "aliases", ", ".join(v.aliases)
    yield "description", v.description
    yield "author", v.author
    yield "created", when(v.created_at)
    yield "digest", v.digest or "unpinned: the bytes are not stored here"
    yield "files", f"{v.file_count}, {size(v.size_bytes)}" if v.digest else None
    if v.damaged:
        yield "DAMAGED", "bytes of this version are lost; `greenroom fsck` says which"
    yield "source", v.source
    yield "run", _run(v)
    yield "parent run", v.context.parent_run
    yield "user", v.context.user
    yield "metrics", "\n".join(f"{name} = {metric_text(value)}" for name, value in v.metrics.items())
    yield "params", "\n".join(f"{name} = {value}" for name, value in v.params.items())
    yield "tags", "\n".join(f"{name} = {value}" for name, value in v.tags.items())
    yield (
        "datasets",
        "\n".join(" ".join(p for p in (d.name, d.context, d.digest, _place(d.source)) if p) for d in v.datasets),
    )
    yield "parent", f"{v.parent.model}@{v.parent.version}" if v.parent else None
    yield from _context_fields(v.context)


def _run(v: Version) -> str:
    """Return the run that made a version. The name of one that is kept here is always known, that of others never."""
    told = " ".join(part for part in (v.context.run_name, v.run_id, v.run_link) if part)
    return told if v.context.run_name else f"{told} (not kept here)" if told else "none here"


def _place(source: str | None) -> str | None:
    """Return where data are, if that is a place: clients also write whole documents there (JSON output has them)."""
    return None if source is None or source.startswith("{") else source


def _context_fields(context: Context) -> Iterator[tuple[str, object]]:
    yield "commit", context.git_commit
    yield "branch", context.git_branch
    yield "remote", context.git_remote
    yield "changes", context.git_dirty_digest or ("none recorded" if context.git_commit else None)
    yield "entry point", context.entry_point
    yield "trained with", f"Python {context.python}" if context.python else None
    yield "platform", context.platform
    shown = [f"{name} {version}" for name, version in list(context.packages.items())[:_MOST_SHOWN]]
    more = len(context.packages) - len(shown)
    yield "packages", ", ".join(shown) + (f" and {more} more (--output json)" if more > 0 else "")
