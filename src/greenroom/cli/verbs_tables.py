"""The tables behind `models …`: which spelling means which operation, which flag means which field.

A new spelling is one row here (and one word in `greenroom.mlflow_plugin.VERBS`; a test compares the two).
Source: cli-verbs, rules 1 and 2, and what tutorials and runbooks in the field type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType


@dataclass(frozen=True)
class Form:
    """One operation in its canonical form.

    `verbs` are the spellings that earn no hint, the first is the one shown. `accepts` are the fields that make sense,
    `flags` the canonical flag of each field where it is not the field's own, `positional` the fields that bare words
    fill from left to right, `needs` those without which nothing can be done, in the order in which they are asked for.
    """

    verbs: tuple[str, ...]
    accepts: tuple[str, ...]
    positional: tuple[str, ...] = ("name",)
    needs: tuple[str, ...] = ("name",)
    flags: Mapping[str, str] = field(default_factory=dict)
    bare_words: bool = False  # positional words are the canonical form


# Fields that every command takes.
COMMON = ("name", "output", "url", "tracking", "data", "yes", "quiet", "no_color")
_ONE = ("uri", "version", "stage", "alias")  # the ways to say which version
_SEARCH = ("filter", "order_by", "max_results")
_TAGGED = ("uri", "version", "tags", "key", "value")

FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "move": Form(
            ("transition-stage", "transition-version"),
            ("uri", "version", "stage", "from_stage", "swap", "comment", "text", "dry_run", "best", "if_holder"),
            ("name", "version", "stage"),
            ("name", "stage"),
        ),
        "request": Form(
            ("transition-request",),
            ("uri", "version", "stage", "comment", "text", "swap"),
            ("name", "version", "stage"),
            ("name",),
        ),
        "decide": Form(
            ("approve", "reject"), ("uri", "version", "stage", "comment"), ("name", "version", "stage"), ("name",)
        ),
        "register": Form(
            ("register",),
            ("uri", "run_id", "artifact_path", "text", "tags", "comment", "version"),
            ("uri", "name"),
            ("name", "uri"),
            {"name": "--name"},
        ),
        "create_model": Form(("create",), ("text", "tags"), flags={"name": "--name"}),
        "list_models": Form(("list",), (*_SEARCH, "stage", "uri"), needs=()),
        "list_versions": Form(("list-versions",), (*_SEARCH, "stage", "stages", "uri"), ("name", "stage")),
        "search_versions": Form(("search-versions",), (*_SEARCH, "stage", "stages", "uri"), needs=()),
        "latest": Form(("get-latest-versions",), ("stages", "stage", "uri", "max_results"), ("name", "stages")),
        "describe": Form(("describe",), (*_ONE, "text"), ("name", "version", "stage")),
        "get_version": Form(("get-version",), _ONE, ("name", "version", "stage"), ("name", "version")),
        "history": Form(
            ("transitions",), ("uri", "version", "stage", "alias", "max_results"), ("name", "version", "stage")
        ),
        "compare": Form(
            ("compare",),
            ("uri", "baseline", "version", "versions", "stage", "stages"),
            ("name", "versions"),
            bare_words=True,
        ),
        "alias_set": Form(
            ("alias set",),
            (*_ONE, "comment", "if_holder"),
            ("name", "alias", "version"),
            ("name", "alias", "version"),
        ),
        "alias_get": Form(("alias get",), ("alias", "uri"), ("name", "alias"), ("name", "alias")),
        "alias_list": Form(("alias list",), ("uri",)),
        "alias_delete": Form(("alias delete",), ("alias", "uri", "comment"), ("name", "alias"), ("name", "alias")),
        "set_tag": Form(("set-tag",), _TAGGED, ("name", "version", "key", "value"), ("name", "tags")),
        "delete_tag": Form(("delete-tag",), _TAGGED, ("name", "version", "key"), ("name", "key")),
        "set_text": Form(("describe", "update"), ("uri", "version", "text"), needs=("name",), flags={"text": "--text"}),
        "update": Form(
            ("update",),
            ("uri", "version", "stage", "from_stage", "swap", "comment", "text", "tags", "dry_run"),
            ("name", "version", "stage"),
            ("name", "stage"),
        ),
        "delete": Form(("delete",), ("uri", "version", "stage", "comment"), ("name", "version")),
        "delete_version": Form(
            ("delete-version", "delete"),
            ("uri", "version", "stage", "comment"),
            ("name", "version"),
            ("name", "version"),
        ),
        "delete_model": Form(("delete-model", "delete"), ("comment", "uri")),
        "restore": Form(("restore",), ("uri", "version", "comment"), ("name", "version")),
        "restore_version": Form(
            ("restore-version", "restore"), ("uri", "version", "comment"), ("name", "version"), ("name", "version")
        ),
        "restore_model": Form(("restore-model", "restore"), ("comment", "uri")),
        "rollback": Form(
            ("rollback",),
            ("uri", "version", "stage", "alias", "comment", "dry_run", "if_holder"),
            ("name", "version", "stage"),
        ),
        "alias": Form(("alias",), (*_ONE, "comment", "if_holder"), ("name", "alias", "version")),
        "help": Form(("help",), (), (), ()),
    }
)


@dataclass(frozen=True)
class Spelling:
    """A verb that people type: its operation, and what the word itself already says."""

    operation: str
    preset: Mapping[str, str] = field(default_factory=dict)


def _same(operation: str, verbs: str, **preset: str) -> dict[str, Spelling]:
    return {verb: Spelling(operation, preset) for verb in verbs.split()}


# Two words count as one verb when the second is a word of this table (`versions list`, but `versions my-model`).
SPELLINGS: Mapping[str, Spelling] = MappingProxyType(
    _same(
        "move",
        "transition-stage transition-version transition transition-version-stage transition-model-version-stage"
        " transition-model-version transition-model-stage promote move set-stage update-stage update-version-stage"
        " update-model-version-stage promote-model promote-version",
    )
    | _same("move", "promote-to-production", stage="Production")
    | _same("move", "promote-to-staging", stage="Staging")
    | _same("move", "archive archive-version archive-model-version", stage="Archived")
    | _same(
        "request", "transition-request transition-request-create transition-request-to-stage create-transition-request"
    )
    | _same("request", "request-transition request-stage-transition")
    | _same(
        "decide", "approve-request approve approve-transition-request transition-request-approve", decision="approve"
    )
    | _same("decide", "reject reject-request reject-transition-request transition-request-reject", decision="reject")
    | _same("register", "register register-model create-version create-model-version register-version versions-create")
    | _same("create_model", "create create-model create-registered-model")
    | _same("list_models", "list ls list-models list-registered-models search search-models search-registered-models")
    | _same("list_versions", "list-versions versions versions-list list-model-versions get-model-versions get-versions")
    | _same("search_versions", "search-model-versions search-versions versions-search")
    | _same("latest", "get-latest-versions get-latest-version list-latest-versions latest-versions")
    | _same(
        "describe", "describe get show info describe-model get-model get-registered-model describe-registered-model"
    )
    | _same("describe", "describe-version describe-model-version")
    | _same("get_version", "get-version get-model-version get-model-version-details get-version-details versions-get")
    | _same("get_version", "get-model-version-by-alias versions-describe")
    | _same("history", "transitions history list-transitions versions-history")
    | _same("compare", "compare compare-versions diff versions-compare")
    | _same("alias", "alias aliases")
    | _same("alias_set", "alias-set alias-create alias-add alias-update aliases-set set-alias set-model-alias")
    | _same("alias_set", "set-registered-model-alias update-alias create-alias")
    | _same("alias_get", "alias-get aliases-get get-alias")
    | _same("alias_list", "alias-list alias-ls aliases-list aliases-ls list-aliases")
    | _same(
        "alias_delete", "alias-delete alias-remove alias-rm aliases-delete delete-alias delete-registered-model-alias"
    )
    | _same("alias_delete", "remove-alias unset-alias")
    | _same("set_tag", "set-model-version-tag set-tag tag set-version-tag set-registered-model-tag set-model-tag")
    | _same("delete_tag", "delete-model-version-tag delete-tag untag delete-version-tag delete-registered-model-tag")
    | _same("update", "update update-model-version update-version versions-update update-registered-model update-model")
    | _same("delete", "delete rm")
    | _same("delete_version", "delete-version delete-model-version versions-delete")
    | _same("delete_model", "delete-registered-model delete-model")
    | _same("restore", "restore")
    | _same("restore_version", "restore-version restore-model-version versions-restore")
    | _same("restore_model", "restore-registered-model restore-model")
    | _same("rollback", "rollback roll-back revert")
    | _same("help", "help")
)

# First words that may be followed by a second one; `transition-request create` is one verb, `transition create` is not.
TWO_WORD = ("versions", "alias", "aliases", "transition-request")


def _flags(rows: Mapping[str, str]) -> dict[str, str]:
    """Turn rows of words around: every word leads to the key of its row."""
    return {flag: name for name, flags in rows.items() for flag in flags.split()}


# The first flag of a row is the canonical one.
FLAG_ROWS: Mapping[str, str] = MappingProxyType(
    {
        "name": "--model-name --name --model --registered-model-name --registered-model -n",
        "version": "--version --model-version --ver --version-number --to-version -v",
        "versions": "--versions",
        "stage": "--stage --to-stage --to --target-stage --new-stage -s",
        "stages": "--stages",
        "from_stage": "--from-stage --from --current-stage",
        "alias": "--alias --alias-name -a",
        "comment": "--comment --reason --message -c",
        "swap": "--archive-existing-versions --archive-existing --swap",
        "uri": "--model-uri --uri --source --source-uri --path",
        "run_id": "--run-id --run -r",
        "artifact_path": "--artifact-path --model-path",
        "text": "--description --desc --text -d",
        "tags": "--tags --tag -t",
        "key": "--key --tag-key -k",
        "value": "--value --tag-value",
        "filter": "--filter --filter-string -f",
        "order_by": "--order-by",
        "max_results": "--max-results --limit",
        "output": "--output --output-format --format -o",
        "url": "--registry-uri --url",
        "tracking": "--tracking-uri",
        "data": "--data",
        "dry_run": "--dry-run",
        "best": "--best",
        "if_holder": "--if-holder",
        "baseline": "--baseline-model-uri --baseline --baseline-uri",
        "yes": "--yes --no-prompt -y",
        "quiet": "--quiet -q",
        "no_color": "--no-color",
    }
)
FLAGS: Mapping[str, str] = MappingProxyType(
    _flags(FLAG_ROWS) | {"-m": "model", "--json": "output", "--help": "help", "-h": "help"}
)
CANONICAL_FLAG: Mapping[str, str] = MappingProxyType({name: row.split()[0] for name, row in FLAG_ROWS.items()})

# How a help page names the value of a flag; flags that stand alone have none.
METAVARS: Mapping[str, str] = MappingProxyType(
    _flags(
        {
            "N": "version versions max_results if_holder",
            "STAGE": "stage stages from_stage",
            "TEXT": "comment text",
            "URI": "uri baseline",
            "NAME": "name",
            "ALIAS": "alias",
            "KEY": "key order_by",
            "VALUE": "value",
            "KEY=VALUE": "tags",
            "FILTER": "filter",
            "METRIC[:min|:max]": "best",
            "ID": "run_id",
            "PATH": "artifact_path",
            "json|table": "output",
        }
    )
)

# Flags that stand alone; a `true` or `false` may still follow.
SWITCHES = frozenset({"swap", "dry_run", "yes", "quiet", "no_color"})
# Where the registry is and how to print: never worth a hint.
GLOBAL = frozenset({"output", "url", "tracking", "data", "yes", "quiet", "no_color"})

HELP = """\
Move, register, list, read, alias and roll back model versions.

Every spelling in the field works here: transition-model-version-stage, promote, update --stage, register-model,
create-version, search-model-versions, set-alias and some fifty more, with --name, --model, -n, -m, positional words,
NAME=value words and models:/NAME/VERSION as you like. These are the canonical forms:

\b
  models transition-stage   --model-name NAME --version N --stage STAGE
                            [--archive-existing-versions] [--comment TEXT] [--dry-run]
  models transition-version --model-name NAME --version N --stage STAGE     (the same)
  models list-versions      --model-name NAME
  models register           --model-uri URI --name NAME
  models describe           --model-uri models:/NAME/STAGE
  models alias set          --model-name NAME --alias ALIAS --version N
  models alias get|delete   --model-name NAME --alias ALIAS
  models alias list         --model-name NAME
  models rollback           --model-name NAME [--stage Production]

\b
  models list                                          registered models
  models search-versions [--filter F]                  versions of all models
  models get-latest-versions --model-name NAME [--stages S]
  models transitions     --model-name NAME             who was where, when, by whom
  models compare         NAME 3 5                      what changed between two versions
  models set-tag         --model-name NAME --version N --key K --value V
  models update          --model-name NAME --version N --description TEXT
  models delete-version | restore-version | delete-model | restore-model

Without --version, the newest version in the stage before the target moves; several candidates are refused by name.
Stages match in any case. Answers are tables on a terminal and JSON elsewhere (--output json|table).
URI is a local folder or file, models:/NAME/N, runs:/RUN/PATH or s3://….
"""
