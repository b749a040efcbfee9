"""Commands that keep the stored bytes in order: gc, fsck."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import click

from greenroom.cli.busy import busy
from greenroom.cli.command import Command
from greenroom.cli.output import counted, size
from greenroom.cli.params import dry_run_option
from greenroom.cli.session import EXIT_DAMAGED, Session, pass_session
from greenroom.core.errors import InvalidInput

if TYPE_CHECKING:
    from greenroom.client.care import FsckReport
    from greenroom.services.answers import BlobFinding, Collected

_TIME = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|m|min|h|d|)")
_SECONDS = {"ms": 0.001, "s": 1, "": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """Return a length of time such as `24h`, `90m`, `7d` or `3600` in seconds. Raises InvalidInput."""
    found = _TIME.fullmatch(text.strip().lower())
    if found is None:
        raise InvalidInput(f"{text!r} is not a length of time.", hint="Write it like 24h, 90m, 7d or 3600.")
    return float(found[1]) * _SECONDS[found[2]]


@click.command(cls=Command)
@dry_run_option
@click.option(
    "--grace", default="24h", show_default=True, metavar="TIME", help="Keep what was stored or promised so recently."
)
@pass_session
def gc(session: Session, dry_run: bool, grace: str) -> None:
    """Remove stored bytes that nothing needs.

    Bytes of versions stay for good, also of deleted ones; so does what lies in the tree that MLflow's clients upload
    into. What goes: uploads that were never registered, those that nobody went on with, and the kept answers of
    requests older than a week. Safe at any time, while others push and register; parts of an upload stay for five
    minutes after the last of them, whatever the grace.

    \b
    Examples:
      greenroom gc --dry-run
      greenroom gc --grace 7d
    """
    grace_s = seconds_of(grace)
    with busy(session.out, "Collecting"):
        done = session.registry.collect_garbage(grace_s=grace_s, dry_run=dry_run)
    session.out.result(done, _collected(done))


def _collected(done: Collected) -> str:
    head = "would go" if done.dry_run else "gone"
    parts = (
        f"{counted(done.blobs, 'blobs')} ({size(done.bytes)})",
        f"{counted(done.staged, 'uploads')} that nobody went on with",
        f"{counted(done.keys, 'answers')} kept for retries",
    )
    return f"{head}: {', '.join(parts)}"


@click.command(cls=Command)
@click.option("--repair", is_flag=True, help="Set right what can be set right; damaged files are moved aside.")
@click.option("--quick", is_flag=True, help="Compare sizes only; do not re-hash.")
@click.option(
    "--from",
    "good_copies",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Take good copies of damaged files from here: a data folder, or a backup of one (implies --repair).",
)
@pass_session
def fsck(session: Session, repair: bool, quick: bool, good_copies: str | None) -> None:
    """Check all stored bytes, and repair them.

    Names every blob that is missing, cut, changed or swapped, files that belong to nothing, wrong sizes and rights. A
    version whose bytes are damaged is shown as such from then on. With --repair a damaged file is moved to
    `blobs/damaged`, so that pushing the same files again makes the version whole.

    Ends with 7 when bytes are damaged and were not repaired.

    \b
    Examples:
      greenroom fsck
      greenroom fsck --repair --from /backup/registry
    """
    from greenroom.client.progress import progress

    repair = repair or good_copies is not None
    bar = None if session.quiet else partial(progress, "Checking")
    with busy(session.out, "Checking") if quick else contextlib.nullcontext():
        report = session.registry.fsck(repair=repair, quick=quick, good_copies=good_copies, bar=bar)
    session.out.result(report, "\n".join(_report(report, quick=quick)))
    if report.damaged:
        click.get_current_context().exit(EXIT_DAMAGED)


def _report(report: FsckReport, *, quick: bool) -> Iterator[str]:
    verdict = f"{report.damaged} DAMAGED" if report.damaged else "no damage"
    how = "looked at" if quick else "hashed"
    yield f"{counted(report.blobs, 'blobs')}, {size(report.bytes)} {how}: {verdict}"
    for finding in report.findings:
        yield _finding(finding)


def _finding(finding: BlobFinding) -> str:
    done = "  repaired" if finding.outcome == "repaired" else ""
    needs = f"  needed by {', '.join(finding.versions)}" if finding.versions else ""
    return f"  {finding.kind}  {finding.where}  {finding.message}{needs}{done}"
