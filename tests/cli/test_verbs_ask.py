"""What the words after `models` mean: every spelling, every flag, and what is refused. No registry is needed."""

from __future__ import annotations

import shlex
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.cli.verbs_ask import Ask, interpret
from greenroom.cli.verbs_run import RUNS
from greenroom.cli.verbs_tables import CANONICAL_FLAG, FLAG_ROWS, FLAGS, FORMS, SPELLINGS
from greenroom.cli.verbs_words import Usage
from greenroom.mlflow_plugin import VERBS

_QUIET = {"verb", "canonical", "hint"}


def facts(line: str) -> dict[str, object]:
    """Return what a line asks for: every field that says something, without how it was spelled."""
    asked = interpret(shlex.split(line))
    assert isinstance(asked, Ask), asked
    plain = {each.name: getattr(asked, each.name) for each in fields(Ask) if each.name not in _QUIET}
    return {name: value for name, value in plain.items() if value not in (None, "", (), {}, False)}


def usage(line: str) -> Usage:
    asked = interpret(shlex.split(line))
    assert isinstance(asked, Usage), asked
    return asked


# Rule 1: operation -> the spellings that the page promises, each with what completes it.
MOVE = {"operation": "move", "name": "m", "version": 3, "stage": "Production"}
SPELLED = [
    *[
        (f"{verb} --name m --version 3 --stage Production", MOVE)
        for verb in (
            "transition-stage transition-version transition transition-version-stage transition-model-version-stage"
            " promote promote-to-production update update-model-version"
        ).split()
    ],
    ("versions update --name m --version 3 --stage Production", MOVE),
    ("promote-to-production --name m --version 3", MOVE),
    ("archive --name m --version 3", MOVE | {"stage": "Archived"}),
    (
        "archive --name m --stage Production",
        {"operation": "move", "name": "m", "stage": "Archived", "from_stage": "Production"},
    ),
    *[
        (f"{verb} --name m --version 3 --stage Production", MOVE | {"operation": "request"})
        for verb in ("transition-request", "transition-request create", "transition-request-to-stage")
    ],
    *[
        (f"{verb} -n m -v 3", {"operation": "decide", "name": "m", "version": 3, "decision": decision})
        for verb, decision in (("approve-request", "approve"), ("approve", "approve"), ("reject", "reject"))
    ],
    *[
        (f"{verb} --model-uri s3://b/k --name m", {"operation": "register", "name": "m", "source": "s3://b/k"})
        for verb in ("register", "register-model", "create-version", "create-model-version")
    ],
    ("create m", {"operation": "create_model", "name": "m"}),
    ("create-model --name m --description d", {"operation": "create_model", "name": "m", "text": "d"}),
    *[
        (line, {"operation": "list_versions", "name": "m"})
        for line in (
            "list-versions -n m",
            "versions m",
            "versions list m",
            "versions-list -n m",
            "list-model-versions m",
        )
    ],
    *[(verb, {"operation": "list_models"}) for verb in ("list", "ls", "search", "search-registered-models")],
    *[(verb, {"operation": "search_versions"}) for verb in ("search-model-versions", "search-versions")],
    ("describe m", {"operation": "describe", "name": "m"}),
    ("get m", {"operation": "describe", "name": "m"}),
    *[
        (f"{verb} --name m --version 3", {"operation": "get_version", "name": "m", "version": 3})
        for verb in ("get-version", "get-model-version", "get-model-version-details")
    ],
    ("get-latest-versions m", {"operation": "latest", "name": "m"}),
    ("transitions m", {"operation": "history", "name": "m"}),
    ("compare m 3 5", {"operation": "compare", "name": "m", "versions": (3, 5)}),
    *[
        (line, {"operation": "alias_set", "name": "m", "alias": "prod", "version": 5})
        for line in (
            "alias set --model-name m --alias prod --version 5",
            "alias set m prod 5",
            "alias create --name m --version 5 --alias prod",
            "alias -n m --alias prod --version 5",
            "set-alias --name m --alias @prod --version v5",
        )
    ],
    *[
        (line, {"operation": "alias_get", "name": "m", "alias": "prod"})
        for line in ("alias get m prod", "get-alias -n m -a prod")
    ],
    *[
        (line, {"operation": "alias_list", "name": "m"})
        for line in ("alias list m", "aliases list -n m", "aliases m", "alias m")
    ],
    *[
        (line, {"operation": "alias_delete", "name": "m", "alias": "prod"})
        for line in ("alias delete m prod", "delete-alias m prod")
    ],
    (
        "set-model-version-tag m 3 k v",
        {"operation": "set_tag", "name": "m", "version": 3, "key": "k", "value": "v", "tags": {"k": "v"}},
    ),
    ("delete m", {"operation": "delete_model", "name": "m"}),
    ("delete m 3", {"operation": "delete_version", "name": "m", "version": 3}),
    *[
        (f"{verb} -n m -v 3", {"operation": "delete_version", "name": "m", "version": 3})
        for verb in ("delete-version", "delete-model-version", "delete")
    ],
    ("restore-model-version -n m -v 3", {"operation": "restore_version", "name": "m", "version": 3}),
    ("delete-registered-model m", {"operation": "delete_model", "name": "m"}),
    ("rollback m", {"operation": "rollback", "name": "m"}),
    ("rollback --model-name m --stage Production", {"operation": "rollback", "name": "m", "stage": "Production"}),
    ('describe -n m --version 1 --text "a b"', {"operation": "set_text", "name": "m", "version": 1, "text": "a b"}),
    (
        "update-model-version -n m -v 1 --description d",
        {"operation": "set_text", "name": "m", "version": 1, "text": "d"},
    ),
]


@pytest.mark.parametrize(("line", "expected"), SPELLED)
def test_spelling(line, expected):
    assert facts(line) == expected


# Seen in the field; each keeps the meaning that its author had in mind.
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('transition-version-stage -m "m" -v 3 -s Production --archive-existing-versions', MOVE | {"swap": True}),
        ("transition-stage -n m -v3 -sProduction", MOVE),
        ("transition-stage --name=m --version=3 --stage=Production", MOVE),
        ("transition-stage --model_name m --model_version 3 --TO-STAGE Production", MOVE),
        ("TRANSITION_STAGE -n m -v 3 -s Production", MOVE),
        ("transition-stage name=\"m\" version=1 stage='Production'", MOVE | {"version": 1}),
        ("transition-stage 'name=\"m\"' 'version=\"3\"' \"stage='Production'\"", MOVE),
        ("transition-stage models:/m/3 Production", MOVE),
        ("promote m 3 Production", MOVE),
        ("promote m Production", {"operation": "move", "name": "m", "stage": "Production"}),
        (
            "promote -n m --from Staging --to Production",
            {"operation": "move", "name": "m", "stage": "Production", "from_stage": "Staging"},
        ),
        (
            "promote -m models:/m/latest --to Production",
            {"operation": "move", "name": "m", "stage": "Production", "ref": "latest"},
        ),
        ("transition -n m -v 3 -s Production --archive-existing-versions false", MOVE),
        ("transition -n m -v 3 -s Production --archive-existing-versions=true", MOVE | {"swap": True}),
        ("transition -n m -v 3 -s Production --no-archive-existing-versions", MOVE),
        ("transition -n m -v 3 -v 3 -s Production -s production", MOVE),
        ("archive -m models:/m/2", MOVE | {"version": 2, "stage": "Archived"}),
        ("delete -m models:/m", {"operation": "delete_model", "name": "m"}),
        ("list --name m", {"operation": "list_versions", "name": "m"}),
        (
            'search --name m --order-by "version DESC"',
            {"operation": "list_versions", "name": "m", "order_by": ("version DESC",)},
        ),
        ("search -f \"name = 'm'\"", {"operation": "list_models", "filter": "name = 'm'"}),
        ("search-model-versions --max-results 10", {"operation": "search_versions", "max_results": 10}),
        ("get-latest-versions -n m -s Production", {"operation": "latest", "name": "m", "stages": ("Production",)}),
        (
            "get-latest-versions m --stages archived,staging",
            {"operation": "latest", "name": "m", "stages": ("archived", "staging")},
        ),
        ("get-latest-versions m --stages A --stages B", {"operation": "latest", "name": "m", "stages": ("A", "B")}),
        ("register models:/x/3 m", {"operation": "register", "name": "m", "source": "models:/x/3"}),
        ("register m runs:/1/model", {"operation": "register", "name": "m", "source": "runs:/1/model"}),
        ("register -m runs:/1/model -n m", {"operation": "register", "name": "m", "source": "runs:/1/model"}),
        ("register -m ./dir --name m", {"operation": "register", "name": "m", "source": "./dir"}),
        ("register --run-id 1 --name m", {"operation": "register", "name": "m", "source": "runs:/1/model"}),
        ("create-version -m m --source s3://b", {"operation": "register", "name": "m", "source": "s3://b"}),
        (
            "create-version --name m --source s3://b --tags a=1 --tags b=2",
            {"operation": "register", "name": "m", "source": "s3://b", "tags": {"a": "1", "b": "2"}},
        ),
        ("describe --model-uri models:/m/Production", {"operation": "describe", "name": "m", "ref": "Production"}),
        ("describe models:/m@champion", {"operation": "describe", "name": "m", "ref": "@champion"}),
        (
            "get-model-version-details -n m --stage Production",
            {"operation": "get_version", "name": "m", "ref": "Production"},
        ),
        (
            "compare --model-uri models:/m/staging --baseline-model-uri models:/m/production",
            {"operation": "compare", "name": "m", "ref": "staging", "versions": ("production", "staging")},
        ),
        (
            "set-tag -n m -v 3 -t stage -v Production",
            {
                "operation": "set_tag",
                "name": "m",
                "version": 3,
                "key": "stage",
                "value": "Production",
                "tags": {"stage": "Production"},
            },
        ),
        ("--tracking-uri http://h:1 list", {"operation": "list_models", "url": "http://h:1", "tracking": "http://h:1"}),
        (
            "list --tracking-uri http://t --registry-uri http://r --output json",
            {"operation": "list_models", "url": "http://r", "tracking": "http://t", "output": "json"},
        ),
        ("rollback -m models:/m/Production", {"operation": "rollback", "name": "m", "ref": "Production"}),
        (
            "create-version -n m --source s3://b --run-id 7",
            {"operation": "register", "name": "m", "source": "s3://b", "run_id": "7"},
        ),
        ("describe -- --odd", {"operation": "describe", "name": "--odd"}),
    ],
)
def test_seen_in_the_field(line, expected):
    assert facts(line) == expected


@pytest.mark.parametrize(
    "flag", [flag for flag, field in FLAGS.items() if field in ("name", "version", "stage", "comment", "swap")]
)
def test_every_synonym_of_a_move(flag):
    given_ = {"name": "m", "version": "3", "stage": "Production", "comment": "why", "swap": "true"}
    field = FLAGS[flag]
    rest = [word for name, value in given_.items() if name != field for word in (CANONICAL_FLAG[name], value)]
    asked = interpret(["transition-stage", *rest, flag, given_[field]])
    assert isinstance(asked, Ask), asked
    assert (asked.name, asked.version, asked.stage, asked.comment, asked.swap) == ("m", 3, "Production", "why", True)


_REFS = "models:/NAME/VERSION, models:/NAME/STAGE or models:/NAME@ALIAS"
_VALUES = {"version": "3", "versions": "3,5", "max_results": "7", "if_holder": "0", "output": "json", "tags": "k=v"}
_VALUES |= dict.fromkeys(("swap", "dry_run", "yes", "quiet", "no_color"), "true")
_VALUES |= {"uri": "models:/m/3", "baseline": "models:/m/5"}


@pytest.mark.parametrize("field", sorted(set(FLAG_ROWS)))
def test_all_synonyms_of_a_flag_mean_the_same(field):
    operations = [name for name, form in FORMS.items() if field in form.accepts] or ["list_models"]
    verb = FORMS[operations[0]].verbs[0].split()
    told = []
    for flag in FLAG_ROWS[field].split():
        asked = interpret([*verb, "--model-name", "m", flag, _VALUES.get(field, "m")])
        told.append(
            asked
            if isinstance(asked, Usage)
            else {f.name: getattr(asked, f.name) for f in fields(Ask) if f.name not in _QUIET}
        )
    assert told.count(told[0]) == len(told)


@pytest.mark.parametrize(
    ("line", "text", "code"),
    [
        ("transition-version --version 5 --stage production", "Missing option '--model-name'.", 2),
        ("transition-version --model-name '' --version 5 --stage production", "Missing option '--model-name'.", 2),
        ("register --model-uri s3://b", "Missing option '--model-name'.", 2),
        ("describe", "Missing option '--model-name'.", 2),
        ("rollback", "Missing option '--model-name'.", 2),
        ("set-alias --alias a --version 1", "Missing option '--model-name'.", 2),
        ("transition-stage --model-name m --version 3", "Missing option '--stage'.", 2),
        ("update m --version 3", "Missing option '--stage'.", 2),
        ("alias set m prod", "Missing option '--version'.", 2),
        ("alias get m", "Missing option '--alias'.", 2),
        ("delete-model-version m", "Missing option '--version'.", 2),
        ("register --name m", "Missing option '--model-uri'.", 2),
        ("set-tag m 3 k", "Missing option '--value'.", 2),
        ("transition-stge -n m", "No such command 'transition-stge'. Did you mean 'transition-stage'?", 2),
        ("xyzzy", "No such command 'xyzzy'.", 2),
        ("transition-stage -n m --stge P", "No such option '--stge' of 'transition-stage'. Did you mean '--stage'?", 2),
        ("transition-stage -n m nmae=x -s P", "'nmae=' is no option of 'transition-stage'. Did you mean 'name'?", 2),
        ("transition-stage -n m -v 1 -v 2 -s P", "Two different values given for '--version': '1' and '2'.", 2),
        ("transition-stage models:/m/1 -v 2 -s P", "Two different values given for '--version': '1' and '2'.", 2),
        ("transition-stage models:/m/1 -n k -s P", "Two different values given for '--model-name': 'k' and 'm'.", 2),
        ("transition-stage -n m -s P -s Q", "Two different values given for '--stage': 'P' and 'Q'.", 2),
        ("promote-to-production m -s Dev", "Two different values given for '--stage': 'Production' and 'Dev'.", 2),
        ("describe models:/m/Staging -v 3", "Two different values given for '--version': 'Staging' and '3'.", 2),
        ("transition-stage -n m -s P -v ''", "Option '-v' has an empty value.", 2),
        ("transition-stage -n m -s P --version=", "Option '--version' has an empty value.", 2),
        ("transition-stage -n m -s P version=", "Option 'version' has an empty value.", 2),
        ("transition-stage m '' P", "The version is an empty word.", 2),
        ("transition-stage -n m -v --stage P", "Option '-v' requires an argument.", 2),
        ("transition-stage -n m -s", "Option '-s' requires an argument.", 2),
        ("transition-stage -n m -v 1.4 -s P", "Parameter 'version' must be an integer, got '1.4'.", 2),
        ("transition-stage -n m -v null -s P", "Parameter 'version' must be an integer, got 'null'.", 2),
        ("transition-stage -n m -v ٣ -s P", "Parameter 'version' must be an integer, got '٣'.", 2),
        ("transition-stage -n m -v 0 -s P", "Model Version (name=m, version=0) not found", 4),
        ("transition-stage -n m -v -1 -s P", "Model Version (name=m, version=-1) not found", 4),
        ("transition-stage m 3 P extra", "Got unexpected extra argument (extra).", 2),
        ("describe -m models:/", f"'models:/' is not {_REFS}.", 2),
        ("describe -m models:/m/3/4", f"'models:/m/3/4' is not {_REFS}.", 2),
        ("register --version 3 --name m --model-uri s3://b", "The registry numbers versions itself.", 2),
        ("compare m 3", "Two versions are compared.", 2),
        ("compare models:/m/1 models:/k/2", "Only versions of one model can be compared, not 'm' and 'k'.", 2),
        ("list --output yaml", "Option '--output' is json or table, got 'yaml'.", 2),
        ("list --max-results many", "Option '--max-results' takes a whole number from 1, got 'many'.", 2),
        ("set-tag m 3 --tags '{oops'", "Tags are no JSON object: '{oops'.", 2),
    ],
)  # fmt: skip
def test_refused(line, text, code):
    said = usage(line)
    assert (said.message, said.exit_code) == (text, code)


CANONICAL = [
    "transition-stage --model-name m --version 3 --stage Production",
    "transition-stage --model-name m --version 3 --stage Production --archive-existing-versions --comment 'because so'",
    "transition-stage --stage=Production --version=3 --model-name=m",
    "transition-version --model-name m --version 3 --stage Production",
    "list-versions --model-name m",
    "list-versions --model-name m --output json --tracking-uri http://h",
    "register --model-uri runs:/1/m --name m",
    "describe --model-uri models:/m/Production",
    "describe --model-name m --version 3 --text new",
    "alias set --model-name m --alias prod --version 3",
    "alias get --model-name m --alias prod",
    "alias list --model-name m",
    "alias delete --model-name m --alias prod",
    "rollback --model-name m",
    "rollback --model-name m --stage Production",
    "compare m 3 5",
    "list",
]


@pytest.mark.parametrize("line", CANONICAL)
def test_the_canonical_form_earns_no_hint(line):
    asked = interpret(shlex.split(line))
    assert isinstance(asked, Ask)
    assert asked.hint is None


@pytest.mark.parametrize("line", [line for line, _ in SPELLED])
def test_a_hint_means_the_same_and_earns_none(line):
    """What a hint says can be typed: it leads to the same question, and to no further hint."""
    asked = interpret(shlex.split(line))
    assert isinstance(asked, Ask)
    again = shlex.split(asked.canonical)
    assert again[0] == "models"
    second = interpret(again[1:])
    assert isinstance(second, Ask), (asked.canonical, second)
    assert second.hint is None, asked.canonical
    drop = {"key", "value", *(("ref",) if asked.operation == "compare" else ())}
    told = [
        {f.name: getattr(each, f.name) for f in fields(Ask) if f.name not in _QUIET | drop} for each in (asked, second)
    ]
    assert told[0] == told[1]


@pytest.mark.parametrize(
    "line",
    [
        "transition-stage m 3 Production",
        "transition-stage model-name=m version=3 stage=Production",
        "transition-stage --name m --version 3 --stage Production",
        "transition-stage -m m --version 3 --stage Production",
        "promote --model-name m --version 3 --stage Production",
        "alias-set --model-name m --alias prod --version 3",
        "list-versions --model-name m --max_results 3 -f x",
    ],
)
def test_another_spelling_earns_a_hint(line):
    asked = interpret(shlex.split(line))
    assert isinstance(asked, Ask)
    assert asked.hint == asked.canonical


def test_a_hint_is_quoted_for_the_shell():
    asked = interpret(["promote", "my model", "3", "$(rm -rf /)"])
    assert isinstance(asked, Ask)
    assert asked.hint == "models transition-stage --model-name 'my model' --version 3 --stage '$(rm -rf /)'"


def test_the_plugin_knows_the_same_verbs():
    assert set(VERBS) == set(SPELLINGS) - {"help"}
    assert len(VERBS) == len(set(VERBS))


def test_every_operation_can_run():
    said_by_words = {"update", "delete", "restore", "alias", "help", "register"}
    assert set(FORMS) - said_by_words == set(RUNS)
    assert {spelling.operation for spelling in SPELLINGS.values()} <= set(FORMS)


_WORDS = st.one_of(
    st.sampled_from(
        [
            *SPELLINGS,
            *FLAGS,
            "list",
            "set",
            "create",
            "--",
            "-",
            "=",
            "models:/",
            "models:/m/3",
            "models:/m@a",
            "",
            "m",
            "3",
            "{}",
        ]
    ),
    st.tuples(st.sampled_from([*FLAGS, "name", "version", "stage", "-n", "--tags"]), st.text(max_size=8)).map("=".join),
    st.text(st.characters(), max_size=12),
)


@given(st.lists(_WORDS, max_size=10))
def test_no_words_whatsoever_raise(words):
    asked = interpret(words)
    assert isinstance(asked, Ask | Usage)
    text = asked.message if isinstance(asked, Usage) else asked.canonical
    assert isinstance(text, str)
