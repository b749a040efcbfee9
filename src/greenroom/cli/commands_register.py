"""Commands about what is registered: create, register, record, tag, alias."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from greenroom.cli.command import Command, Group
from greenroom.cli.output import pairs
from greenroom.cli.params import (
    datasets_of,
    metrics_of,
    model_and_version,
    model_argument,
    need_version,
    pairs_of,
    reason_option,
    version_argument,
)
from greenroom.cli.session import Session, pass_session
from greenroom.core.errors import InvalidInput

if TYPE_CHECKING:
    from greenroom.core.model import Context

F = TypeVar("F", bound=Callable[..., Any])

_METADATA: tuple[Callable[[Any], Any], ...] = (
    click.option("--metric", "metric", multiple=True, metavar="KEY=NUMBER", help="A metric; may be repeated."),
    click.option("--param", "param", multiple=True, metavar="KEY=VALUE", help="A parameter; may be repeated."),
    click.option("--tag", "tag", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated."),
    click.option("--dataset", multiple=True, metavar="NAME[,digest=…,source=…,context=…]", help="Data that made it."),
    click.option("--description", "-d", metavar="TEXT", help="What it is."),
    click.option("--parent", metavar="MODEL@N", help="The version it was made from."),
    click.option("--run-id", metavar="ID", help="The tracking run that made it."),
    click.option("--run-link", metavar="URL", help="Where that run can be seen."),
    click.option("--entry-point", metavar="FILE", help="The script that trained it."),
    click.option("--no-context", is_flag=True, help="Do not record git commit, changes and pinned packages."),
    click.option("--existing-model", is_flag=True, help="Fail when the model is not there yet."),
    reason_option,
)


def metadata_options(command: F) -> F:
    """Take what a version is registered with besides its files."""
    for option in reversed(_METADATA):
        command = option(command)
    return command


def metadata_of(given: dict[str, Any], folder: str | None = None) -> dict[str, Any]:
    """Return those options as keyword arguments of `register` and `push`. Raises InvalidInput."""
    return {
        "metrics": metrics_of(given["metric"]),
        "params": pairs_of(given["param"], "parameter"),
        "tags": pairs_of(given["tag"], "tag"),
        "datasets": datasets_of(given["dataset"]),
        "description": given["description"],
        "parent": given["parent"],
        "run_id": given["run_id"],
        "run_link": given["run_link"],
        "context": _context(folder, given["entry_point"], collected=not given["no_context"]),
        "create_model": not given["existing_model"],
        "reason": given["reason"],
    }


def _context(folder: str | None, entry_point: str | None, *, collected: bool) -> Context:
    from dataclasses import replace

    from greenroom.client.context import collect
    from greenroom.core.model import Context

    found = collect(folder, trained_here=False) if collected else Context()
    return replace(found, entry_point=entry_point)


@click.command(cls=Command)
@model_argument
@click.option("--description", "-d", metavar="TEXT", help="What the model is for.")
@click.option("--tag", multiple=True, metavar="KEY=VALUE", help="A tag; may be repeated.")
@pass_session
def create(session: Session, model: str, description: str | None, tag: tuple[str, ...]) -> None:
    """Create a model without versions.

    \b
    Example:
      greenroom create churn --description "who leaves next month" --tag team=growth
    """
    made = session.registry.create_model(model, description=description, tags=pairs_of(tag, "tag"))
    session.out.result(made, f"{made.name} created; lifecycle {made.lifecycle}.")


@click.command(cls=Command)
@model_argument
@click.option("--source", required=True, metavar="URI", help="Where the files are: models:/…, s3://…, runs:/…")
@metadata_options
@pass_session
def register(session: Session, model: str, source: str, **given: Any) -> None:
    """Register a version whose files are elsewhere.

    A source in this registry (models:/OTHER/3) is copied by digest. Any other is kept as given and the version is
    unpinned. To send files, use `greenroom push`.

    \b
    Examples:
      greenroom register churn --source models:/churn-dev/7
      greenroom register churn --source s3://bucket/churn/7 --metric auc=0.91
    """
    made = session.registry.register(model, source=source, **metadata_of(given))
    pinned = f"pinned as {made.digest}" if made.digest else "unpinned: its bytes are not stored here"
    session.out.result(made, f"{made.model} version {made.version} registered, {pinned}.")


@click.command(cls=Command)
@model_argument
@version_argument
@click.option("--metric", multiple=True, metavar="KEY=NUMBER", help="A metric; may be repeated.")
@click.option("--param", multiple=True, metavar="KEY=VALUE", help="A parameter; may be repeated.")
@click.option("--description", "-d", metavar="TEXT", help="Overwrite the description.")
@pass_session
def record(
    session: Session,
    model: str,
    version: str | None,
    metric: tuple[str, ...],
    param: tuple[str, ...],
    description: str | None,
) -> None:
    """Add metrics and parameters to a version, or overwrite its description.

    A metric may be recorded again; a parameter cannot be changed.

    \b
    Example:
      greenroom record churn 3 --metric auc_november=0.88
    """
    if not (metric or param or description is not None):
        raise InvalidInput("there is nothing to record.", hint="Give --metric, --param or --description.")
    name, number = need_version(session, model, version)
    if description is not None:
        session.registry.describe(name, description, version=number)
    known = session.registry.record(
        name, number, metrics=metrics_of(metric), params=pairs_of(param, "parameter")
    ) if metric or param else session.registry.get(name, number)  # fmt: skip
    session.out.result(known, f"{known.model} version {known.version}: {pairs(known.metrics) or 'no metrics'}")


@click.command(cls=Command)
@model_argument
@click.argument("words", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--version", metavar="N", help="Tag this version instead of the model (also: MODEL@N).")
@click.option("--remove", multiple=True, metavar="KEY", help="Remove a tag; may be repeated.")
@pass_session
def tag(session: Session, model: str, words: tuple[str, ...], version: str | None, remove: tuple[str, ...]) -> None:
    """Set, change or remove tags of a model, or of MODEL@N; without words, show them.

    \b
    Examples:
      greenroom tag churn team=growth
      greenroom tag churn@3 reviewed=yes --remove draft
    """
    name, number = model_and_version(session, model, version)
    tags = pairs_of(words, "tag")
    session.registry.tag(name, tags, version=number)
    session.registry.untag(name, *remove, version=number)
    shown = session.registry.model(name) if number is None else session.registry.get(name, number)
    session.out.result(shown.tags, pairs(shown.tags, sep="\n") or "No tags.")


@click.group(cls=Group)
def alias() -> None:
    """Set, delete and list aliases."""


@alias.command("set", cls=Command)
@model_argument
@click.argument("name")
@click.argument("version")
@click.option("--if-holder", type=int, metavar="N", help="Go on only while version N has the alias (0: nobody).")
@reason_option
@pass_session
def set_alias(session: Session, model: str, name: str, version: str, if_holder: int | None, reason: str | None) -> None:
    """Point an alias at a version.

    \b
    Example:
      greenroom alias set churn champion 3
    """
    from greenroom.cli.commands_promote import show_promotion

    done = session.registry.set_alias(model, name, version, if_holder=if_holder, reason=reason, check=False)
    show_promotion(session.out, done)


@alias.command("delete", cls=Command)
@model_argument
@click.argument("name")
@reason_option
@pass_session
def delete_alias(session: Session, model: str, name: str, reason: str | None) -> None:
    """Take an alias away; an absent one is no error."""
    left = session.registry.delete_alias(model, name, reason=reason)
    session.out.result(left, f"{model}: alias {name} is gone.")


@alias.command("list", cls=Command)
@model_argument
@pass_session
def list_aliases(session: Session, model: str) -> None:
    """List the aliases of a model."""
    found = session.registry.model(model).aliases
    rows = [(name, version) for name, version in sorted(found.items())]
    session.out.table(("Alias", "Version"), rows, found, empty=f"{model} has no aliases.")
