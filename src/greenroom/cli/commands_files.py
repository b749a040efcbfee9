"""Commands about bytes: push, pull, diff, verify."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from greenroom.cli.busy import busy
from greenroom.cli.command import Command
from greenroom.cli.commands_register import metadata_of, metadata_options
from greenroom.cli.output import counted, number, size
from greenroom.cli.params import complete_model, model_and_version, model_argument, version_argument
from greenroom.cli.session import EXIT_DAMAGED, Session, pass_session
from greenroom.core.errors import InvalidInput

if TYPE_CHECKING:
    from greenroom.services.answers import Comparison, FilesReport, ValueChange


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False))
@model_argument
@click.option("--source", metavar="URI", default="", help="Where the files came from, kept as information.")
@metadata_options
@pass_session
def push(session: Session, folder: str, model: str, source: str, **given: Any) -> None:
    """Send a folder and register it as the next version.

    Only what the registry does not have is sent; an interrupted push goes on where it stopped.

    \b
    Examples:
      greenroom push ./model churn --metric auc=0.91 --param depth=6
      greenroom push ./model churn --dataset churn-10,context=training --parent churn@Production
    """
    made = session.registry.push(folder, model, source=source, progress=not session.quiet, **metadata_of(given, folder))
    held = f"{counted(made.file_count or 0, 'files')}, {size(made.size_bytes)}, {made.digest}"
    session.out.result(made, f"{made.model} version {made.version} registered: {held}")


@click.command(cls=Command)
@click.argument("ref", metavar="MODEL@SLOT", shell_complete=complete_model)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option("--replace", is_flag=True, help="Put it in the place of a folder that is there.")
@pass_session
def pull(session: Session, ref: str, folder: str, replace: bool) -> None:
    """Fetch a version's files, verified.

    SLOT is a stage, an alias, a version number or `latest`. DIR appears complete or not at all.

    \b
    Examples:
      greenroom pull churn@Production ./model
      greenroom pull churn@3 ./old
    """
    pulled = session.registry.pull(ref, folder, replace=replace, progress=not session.quiet)
    version = pulled.version
    text = (
        f"{version.model} version {version.version} ({version.stage}) is in {pulled.folder}, verified: {version.digest}"
    )
    session.out.result(pulled, text)


@click.command(cls=Command)
@model_argument
@click.argument("left", metavar="N")
@click.argument("right", metavar="M")
@pass_session
def diff(session: Session, model: str, left: str, right: str) -> None:
    """Compare two versions: files, parameters, metrics, requirements.

    N and M are version numbers, or names as in MODEL@NAME.

    \b
    Examples:
      greenroom diff churn 3 5
      greenroom diff churn Production latest
    """
    numbers = [_number(session, model, each) for each in (left, right)]
    found = session.registry.diff(model, *numbers)
    if session.out.is_json:
        session.out.json(found)
        return
    for line in _comparison(found):
        session.out.line(line)


def _number(session: Session, model: str, text: str) -> int:
    return session.registry.find_version(f"{model}@{text}")


def _comparison(c: Comparison) -> Iterator[str]:
    yield f"{c.model}: version {c.left} -> version {c.right}"
    yield f"files: {len(c.files)} differ, {c.unchanged_files} the same"
    for file in c.files:
        sign = "+" if file.left is None else "-" if file.right is None else "~"
        sizes = " -> ".join(size(each) for each in (file.left_bytes, file.right_bytes) if each is not None)
        yield f"  {sign} {file.path}  {sizes}"
    for title, changes in (("metrics", c.metrics), ("parameters", c.params), ("requirements", c.requirements)):
        if changes is None:
            yield f"{title}: not compared{f' ({c.requirements_note})' if c.requirements_note else ''}"
        else:
            yield f"{title}: {len(changes)} differ"
            yield from (f"  {_change(change)}" for change in changes)


def _change(change: ValueChange) -> str:
    left, right = (_value(each) for each in (change.left, change.right))
    delta = ""
    if isinstance(change.left, int | float) and isinstance(change.right, int | float):
        delta = f"  ({change.right - change.left:+.6g})"
    sign = "+" if change.left is None else "-" if change.right is None else "~"
    return f"{sign} {change.name}  {left} -> {right}{delta}"


def _value(value: object) -> str:
    return "-" if value is None else number(value) if isinstance(value, float) else str(value)


@click.command(cls=Command)
@click.argument("model", required=False)
@version_argument
@pass_session
def verify(session: Session, model: str | None, version: str | None) -> None:
    """Re-hash the files of versions.

    Of one version, of a model, or of everything. Ends with 7 when a file is not what its manifest says.

    \b
    Examples:
      greenroom verify churn 3
      greenroom verify
    """
    name: str | None = None
    found: int | str | None = None
    if model is not None:
        name, found = model_and_version(session, model, version)
    elif version is not None:
        raise InvalidInput("a version without its model cannot be verified.", hint="Write MODEL VERSION.")
    with busy(session.out, "Hashing"):
        report = session.registry.verify(name, found)
    session.out.result(report, "\n".join(_report(report)))
    if report.findings:
        click.get_current_context().exit(EXIT_DAMAGED)


def _report(report: FilesReport) -> Iterator[str]:
    verdict = f"{len(report.findings)} WRONG" if report.findings else "all as registered"
    what = f"{counted(report.versions, 'versions')}, {counted(report.files, 'files')}, {size(report.bytes)}"
    yield f"{what} hashed: {verdict}"
    for finding in report.findings:
        yield f"  {finding.kind}  {finding.where}  {finding.message}"
    for name in report.unpinned:
        yield f"  unpinned, not checked: {name}"
