"""Commands about the proof: audit log, verify, checkpoint, export, witness."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from greenroom.cli.busy import busy
from greenroom.cli.command import Command, Group
from greenroom.cli.commands_witness import witness
from greenroom.cli.output import counted, short_digest, when
from greenroom.cli.params import first, limit_option, read_document
from greenroom.cli.session import Session, pass_session
from greenroom.cli.session import report as report_error
from greenroom.core.audit import Entry
from greenroom.core.canonical import canonical_text
from greenroom.core.codec import to_plain
from greenroom.core.errors import AlreadyExists, IntegrityFailure, InvalidInput, NotFound, Unavailable
from greenroom.core.export import log_files

if TYPE_CHECKING:
    from greenroom.services.answers import AuditEntry, Checkpoint, VerifyReport

_UNSHOWN = frozenset({"document", "model", "status", "verified", "version"})  # shown elsewhere, or too long
_EXITS = {"ok": 0, "tampered": 1, "incomplete": 2, "unchecked": 3}


@click.group(cls=Group)
def audit() -> None:
    """Read, verify and export the audit log."""


audit.add_command(witness)


@audit.command("log", cls=Command)
@click.option("--model", metavar="MODEL", help="Only entries about this model.")
@click.option("--after", type=click.IntRange(min=0), default=0, metavar="SEQ", help="Only entries after this number.")
@limit_option
@pass_session
def log(session: Session, model: str | None, after: int, limit: int) -> None:
    """Print the audit log, oldest entry first.

    \b
    Examples:
      greenroom audit log --model churn
      greenroom audit log --after 1000 --limit 0 --output json
    """
    found = first(session.registry.audit_log(after=after, model=model), limit, session.out)
    rows = [(e.seq, when(e.at), e.type, e.actor, e.model, e.version, _body(e)) for e in found]
    session.out.table(("Seq", "At", "Type", "Actor", "Model", "Version", "What"), rows, found, empty="No entries.")


def _body(entry: AuditEntry) -> str:
    return ", ".join(
        f"{name}={short_digest(value) if isinstance(value, str) else value}"
        for name, value in entry.body.items()
        if isinstance(value, str | int | float) and value != "" and name not in _UNSHOWN
    )


@audit.command("verify", cls=Command)
@click.option(
    "--checkpoint",
    "checkpoints",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    metavar="FILE",
    help="An older signed checkpoint, kept elsewhere; may be repeated.",
)
@click.option("--witness", "witnesses", multiple=True, metavar="VKEY", help="Demand this witness's cosignature.")
@click.option("--key", metavar="VKEY", help="The log's verifier key, from elsewhere (with DIR).")
@click.option("--fast", is_flag=True, help="Do not re-hash the blobs.")
@click.argument("folder", metavar="[DIR]", required=False, type=click.Path(exists=True, file_okay=False))
@pass_session
def verify(
    session: Session,
    checkpoints: tuple[str, ...],
    witnesses: tuple[str, ...],
    key: str | None,
    fast: bool,
    folder: str | None,
) -> None:
    """Verify log, tables and blobs, or an exported folder.

    With DIR, an export is verified offline, by code that shares nothing with what wrote it. Ends with 0: all is as it
    should be; 1: tampered with, the first bad entry is named; 2: incomplete; 3: could not be checked. Only a checkpoint
    kept elsewhere proves that the whole log was not rewritten.
    """
    notes = [read_document(each) for each in checkpoints]
    if folder is not None:
        _verify_export(session, folder, notes, witnesses, key)
        return
    if key is not None:
        raise InvalidInput("--key is for an exported folder.", hint="The registry has its key; leave --key out.")
    try:
        _demand(witnesses, notes)
        with busy(session.out, "Verifying"):
            report = session.registry.audit_verify(checkpoints=notes, deep=not fast)
    except (IntegrityFailure, Unavailable, NotFound) as exc:  # not even opened: that is an answer of this command's own
        report_error(exc)
        click.get_current_context().exit(_EXITS["unchecked"])
    session.out.result(report, "\n".join(_report(report)))
    click.get_current_context().exit(_EXITS.get(report.status, 3))


def _verify_export(
    session: Session, folder: str, notes: list[str], witnesses: tuple[str, ...], key: str | None
) -> None:
    from greenroom.auditor import EXITS, Unchecked, said, verify_export

    try:
        with busy(session.out, "Verifying"):
            report = verify_export(Path(folder), key=key, checkpoints=notes, witnesses=witnesses)
    except Unchecked as exc:
        report_error(IntegrityFailure(f"nothing can be said: {exc}."))
        click.get_current_context().exit(_EXITS["unchecked"])
    session.out.result({"status": report.status, **asdict(report)}, said(report))
    click.get_current_context().exit(EXITS[report.status])


def _demand(witnesses: tuple[str, ...], notes: list[str]) -> None:
    """Raise IntegrityFailure unless each witness cosigned one of the checkpoints given."""
    from greenroom.auditor import Unchecked, witnessed

    for text in witnesses:
        try:
            if not any(witnessed(note, text) for note in notes):
                raise IntegrityFailure(
                    f"no checkpoint given is cosigned by {text.partition('+')[0]}.",
                    hint="Give with --checkpoint the one that the witness keeps for this log.",
                )
        except Unchecked as exc:
            raise InvalidInput(str(exc)) from exc


def _report(report: VerifyReport) -> Iterable[str]:
    checked = ", ".join(counted(count, what) for what, count in report.checked.items())
    yield f"{report.status}: {counted(report.entries, 'entries')}" + (f"; checked {checked}" if checked else "")
    for finding in report.findings:
        yield f"  {finding.kind}  {finding.where}  {finding.message}"


@audit.command("checkpoint", cls=Command)
@pass_session
def checkpoint(session: Session) -> None:
    """Print the signed head of the log; keep it elsewhere.

    \b
    Example:
      greenroom audit checkpoint --output table > checkpoint.txt
    """
    head = session.registry.audit_checkpoint()
    session.out.result(head, head.note.rstrip("\n"))


@audit.command("export", cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@pass_session
def export(session: Session, folder: str) -> None:
    """Write log and checkpoint into a folder.

    Keep it elsewhere: with it, a log that was rewritten as a whole is found out.

    `entries.jsonl` (one entry per line, with its body), `tile/` (entry bundles and hash tiles for standard verifiers),
    `key`, and last `checkpoint` (signed, over exactly these entries). Files of an earlier export are replaced, each at
    once, but not by those of another log or of fewer entries.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    head = session.registry.audit_checkpoint()  # before the entries: it must not speak of entries that are not exported
    _require_earlier(target, head)
    with busy(session.out, "Exporting"):
        entries = islice(session.registry.audit_log(), head.size)
        count = _replace(target / "entries.jsonl", (_line(entry) for entry in entries))
        for path, content in log_files(_read(target / "entries.jsonl"), head.size, bytes.fromhex(head.root)):
            _replace_bytes(target / path, content)
    _replace(target / "key", [head.key.rstrip("\n") + "\n"])
    _replace(target / "checkpoint", [head.note])
    written = {"folder": str(target), "entries": count, "size": head.size, "root": head.root}
    session.out.result(written, f"{counted(count, 'entries')} and the checkpoint of {head.size} are in {target}.")


def _require_earlier(target: Path, head: Checkpoint) -> None:
    """Raise AlreadyExists when the folder shows what this log does not: that is evidence, and stays."""
    hint = "Keep it, and name another folder."
    with contextlib.suppress(FileNotFoundError):
        if (target / "key").read_text(encoding="utf-8", errors="replace").strip() != head.key.strip():
            raise AlreadyExists(f"{target} holds the export of another log.", hint=hint)
        size = (target / "checkpoint").read_text(encoding="utf-8", errors="replace").split("\n")[1:2]
        if size and size[0].isdecimal() and int(size[0]) > head.size:
            text = f"{target} holds an export of {size[0]} entries; this log has {head.size}."
            raise AlreadyExists(text, hint=hint)


def _read(path: Path) -> Iterator[Entry]:
    """Yield the entries as they were just written, so that what is proven is what is kept."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            told = json.loads(line)
            told["body_text"] = canonical_text(told.pop("body"))
            yield Entry(**told)


def _replace_bytes(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    draft.write_bytes(content)
    draft.replace(path)


def _line(entry: AuditEntry) -> str:
    return json.dumps(to_plain(entry), ensure_ascii=False, separators=(",", ":")) + "\n"


def _replace(path: Path, lines: Iterable[str]) -> int:
    """Write a file whole or not at all; returns the number of lines."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    count = 0
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as out:
            for line in lines:
                out.write(line)
                count += 1
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return count
