"""All commands by name: what `greenroom --help` shows and where each command lives.

`greenroom --help` is printed from this table without importing click or any command, which keeps it instant; a test
holds that every summary is the command's own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """One command: `target` is `module:attribute` below `greenroom.cli`."""

    name: str
    target: str
    summary: str
    hidden: bool = False


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Start",
        (
            Entry("init", "commands_server:init", "Make a local registry in a folder; no server needed."),
            Entry("server", "commands_server:server", "Serve a registry: API, MLflow's API and web pages."),
            Entry("info", "commands_server:info", "Show which registry is used, and why."),
            Entry("completion", "commands_server:completion", "Print the completion script of a shell."),
        ),
    ),
    (
        "Register",
        (
            Entry("push", "commands_files:push", "Send a folder and register it as the next version."),
            Entry("pull", "commands_files:pull", "Fetch a version's files, verified."),
            Entry("register", "commands_register:register", "Register a version whose files are elsewhere."),
            Entry("pin", "commands_pin:pin", "Fetch the files of a version that are elsewhere, and keep them."),
            Entry("create", "commands_register:create", "Create a model without versions."),
            Entry("tag", "commands_register:tag", "Set, change or remove tags."),
            Entry("record", "commands_register:record", "Add metrics and parameters to a version."),
        ),
    ),
    (
        "Promote",
        (
            Entry("promote", "commands_promote:promote", "Move a version into a stage or onto an alias."),
            Entry("rollback", "commands_promote:rollback", "Give a stage back to its last healthy holder."),
            Entry("archive", "commands_promote:archive", "Move a version to Archived."),
            Entry("alias", "commands_register:alias", "Set, delete and list aliases."),
            Entry("delete", "commands_promote:delete", "Delete a version or a model (can be restored)."),
            Entry("restore", "commands_promote:restore", "Bring a deleted version or model back."),
        ),
    ),
    (
        "Look",
        (
            Entry("which", "commands_read:which", "Who holds a stage or alias, now or at a date."),
            Entry("holder", "commands_read:which", "The same as `which`.", hidden=True),
            Entry("show", "commands_read:show", "Show a model or one of its versions."),
            Entry("list", "commands_read:list_models", "List models."),
            Entry("versions", "commands_read:versions", "List the versions of a model."),
            Entry("search", "commands_read:search", "Search versions or models."),
            Entry("history", "commands_read:history", "Who held what, when and why."),
            Entry("runs", "commands_runs:runs", "List, show, compare and search tracked runs."),
            Entry("diff", "commands_files:diff", "Compare two versions."),
            Entry("lineage", "commands_lineage:lineage", "Draw what a version came of, and what came of it."),
            Entry("verify", "commands_files:verify", "Re-hash the files of versions."),
        ),
    ),
    (
        "Govern",
        (
            Entry("lifecycle", "commands_lifecycle:lifecycle", "Show, check and apply lifecycles."),
            Entry("stages", "commands_lifecycle:stages", "List and add stages."),
            Entry("audit", "commands_audit:audit", "Read, verify and export the audit log."),
            Entry("gc", "commands_care:gc", "Remove stored bytes that nothing needs."),
            Entry("fsck", "commands_care:fsck", "Check all stored bytes, and repair them."),
            Entry("db", "commands_db:db", "Back up, restore, move, check and upgrade a registry."),
        ),
    ),
    (
        "For MLflow users",
        (
            Entry("models", "verbs:models", "The `mlflow models …` commands people already type."),
            Entry("model", "verbs:model", "Refused: did you mean `models`?", hidden=True),
        ),
    ),
)

ENTRIES = {entry.name: entry for _, entries in SECTIONS for entry in entries}

_HEAD = """\
Usage: greenroom [OPTIONS] COMMAND [ARGS]...

  Greenroom, a model registry in which going into production is a
  transaction: gated, atomic, recorded, reversible.

Examples:
  greenroom init                                     a registry in ./.greenroom
  greenroom push ./model churn --metric auc=0.91     the next version of churn
  greenroom promote churn 3 --to Production          move it
  greenroom which churn Production --at 2026-11-01   who was it then?
  greenroom rollback churn                           the last healthy one again
"""

_TAIL = """\
Options of every command:
  --url URL             Talk to the server at this address  [env: GREENROOM_URL]
  --data DIR            Use the registry in this folder, without a server
                        [env: GREENROOM_DATA]
  --output table|json   How to print; a table on a terminal, else JSON
  --no-color            No colour  [env: NO_COLOR]
  -q, --quiet           No notes, hints and progress
  --version             Show the version
  -h, --help            Show help; also after any command

Exit codes:
  0 done, 1 refused by the lifecycle, 2 wrong input, 3 not allowed, 4 not found,
  5 exists already, 6 busy or not reachable, 7 bytes damaged
"""


def help_text() -> str:
    """Return what `greenroom --help` prints."""
    width = max(len(entry.name) for entry in ENTRIES.values())
    blocks = [_HEAD]
    for title, entries in SECTIONS:
        lines = [f"  {entry.name:<{width}}  {entry.summary}" for entry in entries if not entry.hidden]
        blocks.append("\n".join((f"{title}:", *lines)) + "\n")
    return "\n".join((*blocks, _TAIL))
