"""Every row of the page's sample, and every rule about answers, on a real server and on a local folder."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from greenroom.cli.main import main
from greenroom.cli.verbs import models_command
from greenroom.cli.verbs_tables import FLAGS, SPELLINGS
from greenroom.client import connect
from greenroom.core.model import Context, Dataset
from tests.mlflow.servers import greenroom_server


@dataclass(frozen=True)
class Ran:
    """What one command left behind."""

    code: int
    out: str
    err: str

    @property
    def data(self):
        return json.loads(self.out)

    @property
    def hints(self) -> int:
        return self.err.count("Hint: the canonical form is")


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with greenroom_server("standard") as url:
        yield url


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    data = str(tmp_path_factory.mktemp("registry") / "data")
    connect(data=data, create=True).close()
    return data


@pytest.fixture(params=["server", "folder"])
def place(request, monkeypatch) -> str:
    """Name the registry in the environment, as people do; return where it is."""
    for name in ("GREENROOM_URL", "GREENROOM_DATA", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        monkeypatch.delenv(name, raising=False)
    where = str(request.getfixturevalue(request.param))
    monkeypatch.setenv("GREENROOM_URL" if request.param == "server" else "GREENROOM_DATA", where)
    monkeypatch.setenv("GREENROOM_ACTOR", "ana")
    return where


@pytest.fixture
def models(place, capsys) -> Callable[[str], Ran]:
    """Return a function that runs `greenroom models` with a line of words."""

    def run(line: str) -> Ran:
        capsys.readouterr()
        code = main(["models", *shlex.split(line)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ran(code, said.out, said.err)

    return run


_count = iter(range(1_000_000))


@pytest.fixture
def name(place) -> str:
    """Return the name of a fresh model with five versions in None; the files differ."""
    name = f"m{next(_count)}"
    with connect(place) as registry:
        for number in range(1, 6):
            registry.register(
                name,
                source=f"s3://bucket/{name}/{number}",
                metrics={"auc": 0.5 + number / 100},
                params={"depth": number},
                datasets=(Dataset("churn-2026", "sha256:" + "a" * 64, "s3://data/churn", "training"),),
                context=Context(git_commit="c0ffee", python="3.11.7"),
                run_id="run7",
            )
    return name


def stages(place: str, name: str) -> dict[int, str]:
    with connect(place) as registry:
        return {each.version: each.stage for each in registry.versions(name)}


def moved(version: int, name: str, stage: str) -> str:
    return f"Model version '{version}' of model '{name}' transitioned to stage '{stage}'.\n"


# --- the sample, row by row ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "version", "stage"),
    [
        ("transition-version --model-name {m} --version 3 --stage production", 3, "Production"),
        ("transition-stage --model-name {m} --version 5 --stage Staging", 5, "Staging"),
        ("transition-stage -n {m} -s Staging", 5, "Staging"),
        ('transition-model-version-stage --name {m} --version 5 --stage Staging --comment "why not"', 5, "Staging"),
        ('transition-stage name="{m}" version=1 stage="Production"', 1, "Production"),
        ("update {m} --version 1 --stage Production", 1, "Production"),
    ],
)
def test_a_move_of_the_sample(models, name, place, line, version, stage):
    ran = models(line.format(m=name))
    assert (ran.code, ran.out) == (0, moved(version, name, stage)), ran.err
    assert stages(place, name)[version] == stage


def test_a_comment_is_in_the_history(models, name):
    assert models(f'transition-model-version-stage -n {name} -v 5 -s Staging --comment "for QA"').code == 0
    newest = models(f"transitions {name}").data[0]
    assert (newest["version"], newest["slot"], newest["by"], newest["reason"]) == ("5", "Staging", "ana", "for QA")


def test_a_missing_name_is_a_usage_error(models):
    ran = models("transition-version --version 5 --stage production")
    assert ran == Ran(2, "", "Error: Missing option '--model-name'.\n")


def test_an_unknown_stage(models, name, place):
    ran = models(f"transition-stage --model-name {name} --version 2 --stage Prod")
    first, second = ran.err.splitlines()
    assert (ran.code, ran.out, first) == (1, "", "Stage 'Prod' does not exist.")
    assert "None, Staging, Production, Archived" in second
    assert "greenroom stages add" in second
    assert "Prod" in second
    assert stages(place, name)[2] == "None"


def test_list_versions_can_be_grepped(models, name):
    models(f"transition-stage --model-name {name} --version 3 --stage Production")
    for output in ("", " --output table", " --output json"):
        ran = models(f"list-versions --model-name {name}{output}")
        found = [line for line in ran.out.splitlines() if "Production" in line]
        assert len(found) == 1
        assert name + "/3" in found[0] or found[0].split()[:2] == ["3", "Production"]
        assert name + "/4" not in found[0]
    assert [each["version"] for each in models(f"list-versions --model-name {name}").data] == ["5", "4", "3", "2", "1"]


def test_the_table_is_headed_as_people_grep_it(models, name):
    models(f"transition-stage --model-name {name} --version 3 --stage Production")
    lines = models(f"list-versions --model-name {name} --output table").out.splitlines()
    assert lines[0].startswith("Version  Stage ")
    assert lines[3].split()[:2] == ["3", "Production"]


def test_get_latest_versions_gives_text_numbers(models, name):
    models(f"transition-stage --model-name {name} --version 3 --stage Production")
    found = models(f"get-latest-versions --name {name} --stages Production").data
    assert [(each["version"], each["current_stage"]) for each in found] == [("3", "Production")]
    both = models(f"get-latest-versions {name} --stages production,none").data
    assert {(each["version"], each["current_stage"]) for each in both} == {("3", "Production"), ("5", "None")}


def test_describe_tells_where_a_version_comes_from(models, name):
    models(f"transition-stage --model-name {name} --version 3 --stage Production --comment 'best auc'")
    table = models(f"describe --model-uri models:/{name}/Production --output table").out
    told = {line.partition(":")[0]: line.partition(":")[2].strip() for line in table.splitlines()}
    assert told["Version"] == "3"
    assert told["Run"] == "run7"
    assert told["Code commit"] == "c0ffee"
    assert told["Data"] == f"training: churn-2026, digest sha256:{'a' * 64}, source s3://data/churn"
    assert told["Metrics"] == "auc = 0.53"
    assert told["Parameters"] == "depth = 3"
    assert told["Promoted by"].startswith("ana, 2")
    assert told["Promoted by"].endswith(": best auc")
    assert told["Parent"] == "missing"
    found = models(f"describe --model-uri models:/{name}/Production").data
    assert (found["version"], found["current_stage"], found["run_id"]) == ("3", "Production", "run7")
    assert (found["code_commit"], found["metrics"], found["params"]) == ("c0ffee", {"auc": 0.53}, {"depth": "3"})
    assert found["promoted_by"] == "ana"
    assert isinstance(found["promoted_at"], int)
    assert found["parent"] is None


def test_who_only_registered_a_version_promoted_nobody(models, name):
    assert models(f"get-version {name} 2").data["promoted_by"] is None
    assert "Promoted by:    missing" in models(f"describe -n {name} -v 2 --output table").out


def test_promote_takes_the_newest_of_the_stage_before(models, name, place):
    refused = models(f"promote --model-name {name} --stage production")
    assert (refused.code, refused.out) == (4, "")
    assert f"no version of '{name}' is in Staging" in refused.err
    models(f"transition-stage -n {name} -v 2 -s Staging")
    assert models(f"promote --model-name {name} --stage production").out == moved(2, name, "Production")
    for version in (3, 4):
        models(f"transition-stage -n {name} -v {version} -s Staging")
    ambiguous = models(f"promote --model-name {name} --stage production")
    assert ambiguous.code == 2
    assert "3, 4" in ambiguous.err
    assert stages(place, name)[2] == "Production"


# --- moves -----------------------------------------------------------------------------------------------------------


def test_promoting_into_an_occupied_stage_is_refused_with_both_ways_out(models, name, place):
    models(f"transition-stage --model-name {name} --version 1 --stage Production")
    ran = models(f"transition-stage --model-name {name} --version 2 --stage Production")
    assert (ran.code, ran.out) == (1, "")
    assert "is held by version 1" in ran.err
    assert f"greenroom archive {name} 1" in ran.err
    assert "--swap" in ran.err
    assert stages(place, name)[1] == "Production"


@pytest.mark.parametrize(
    "swap",
    [
        ["archive {m} 1", "promote {m} 2 Production"],
        [
            "transition-stage --model-name {m} --version 1 --stage Archived",
            "transition-stage -n {m} -v 2 -s Production",
        ],
        ["transition-stage --model-name {m} --version 2 --stage Production --archive-existing-versions"],
    ],
)
def test_both_swaps_end_in_the_same_state(models, name, place, swap):
    models(f"transition-stage --model-name {name} --version 1 --stage Production")
    assert [models(line.format(m=name)).code for line in swap] == [0] * len(swap)
    assert stages(place, name) == {1: "Archived", 2: "Production", 3: "None", 4: "None", 5: "None"}


def test_a_rollback_goes_by_history_not_by_number(models, name, place):
    for version in (2, 5):
        models(
            f"transition-stage --model-name {name} --version {version} --stage Production --archive-existing-versions"
        )
    ran = models(f"rollback --model-name {name}")
    assert (ran.code, ran.out) == (0, moved(2, name, "Production")), ran.err
    assert ran.hints == 0
    assert stages(place, name)[5] == "Archived"


def test_a_dry_run_changes_nothing(models, name, place):
    ran = models(f"transition-stage --model-name {name} --version 2 --stage Production --dry-run")
    assert ran.code == 0
    assert ran.out == f"Version '2' of model '{name}' would be moved to 'Production'; nothing was changed.\n"
    models(f"transition-stage --model-name {name} --version 1 --stage Production")
    swap = models(f"transition-stage -n {name} -v 2 -s Production --dry-run --swap")
    assert (swap.code, "Note: version 1 moves to stage 'Archived'." in swap.err) == (0, True)
    refused = models(f"transition-stage --model-name {name} --version 2 --stage Production --dry-run")
    assert refused.code == 1
    assert "is held by version 1" in refused.err
    assert stages(place, name)[2] == "None"


def test_a_move_as_json(models, name):
    ran = models(f"transition-stage --model-name {name} --version 2 --stage Staging --output json")
    assert (ran.data["version"], ran.data["slot"], ran.data["status"]) == (2, "Staging", "succeeded")


def test_from_stage_names_the_version(models, name, place):
    models(f"transition-stage -n {name} -v 2 -s Production")
    assert models(f"archive --name {name} --stage production").out == moved(2, name, "Archived")
    several = models(f"promote -n {name} --from None --to Staging")
    assert several.code == 2
    assert "1, 3, 4, 5" in several.err
    assert models(f"promote -n {name} -v 2 --from Staging --to Production").code == 4
    assert models(f"promote -m models:/{name}/latest --to Staging").out == moved(5, name, "Staging")


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("transition-stage --model-name {m} --version 77 --stage Staging", "77"),
        ("transition-stage --model-name no-such-model --version 1 --stage Staging", "no-such-model"),
        ("transition-stage --model-name {m} --version 0 --stage Staging", "version=0"),
        ("describe --model-uri models:/{m}/77", "77"),
        ("describe --model-uri models:/{m}/Production", "Production"),
        ("describe --model-uri models:/{m}@champion", "champion"),
        ("describe no-such-model", "no-such-model"),
        ("list-versions --model-name no-such-model", "no-such-model"),
        ("get-latest-versions --name no-such-model", "no-such-model"),
        ("rollback --model-name no-such-model", "no-such-model"),
        ("alias get {m} champion", "champion"),
        ("delete-version {m} 77", "77"),
        ("transitions no-such-model", "no-such-model"),
    ],
)
def test_what_is_missing_is_named(models, name, line, says):
    ran = models(line.format(m=name))
    assert (ran.code, ran.out) == (4, "")
    assert says in ran.err


@pytest.mark.parametrize(
    "verb", ["transition-request create", "transition-request", "approve", "reject", "approve-request"]
)
def test_there_are_no_approvals_yet(models, name, verb):
    ran = models(f"{verb} --model-name {name} --version 1 --stage Production")
    assert (ran.code, ran.out) == (2, "")
    assert "This registry has no approvals yet" in ran.err


# --- hints -----------------------------------------------------------------------------------------------------------


def test_a_hint_comes_once_and_on_standard_error(models, name):
    ran = models(f"promote {name} 3 Staging")
    assert ran.hints == 1
    assert f"greenroom models transition-stage --model-name {name} --version 3 --stage Staging" in ran.err
    assert "Hint" not in ran.out
    assert models(f"promote {name} 4 Staging --quiet").err == ""


def test_the_singular_is_refused(place, capsys):
    assert main(["model", "list"]) == 2
    assert "Did you mean 'models'?" in capsys.readouterr().err


def test_an_unknown_command_is_not_guessed(models):
    ran = models("transition-stagee -n m")
    assert ran == Ran(2, "", "Error: No such command 'transition-stagee'. Did you mean 'transition-stage'?\n")


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        ([], "trans", {"transition-stage", "transition-request", "transitions"}),
        (["rollback"], "--st", {"--stage"}),
        (["register"], "--model-", {"--model-name", "--model-uri"}),
        ([], "--o", {"--output"}),
        (["rollback"], "x", set()),
    ],
)
def test_completion(words, incomplete, offered):
    context = click.Context(
        models_command, info_name="models", resilient_parsing=True, help_option_names=["-h", "--help"]
    )
    models_command.parse_args(context, list(words))
    assert {item.value for item in models_command.shell_complete(context, incomplete)} == offered


@pytest.mark.parametrize("line", ["", "--help", "help", "-h"])
def test_help_lists_the_canonical_forms_first(models, line):
    ran = models(line)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.index("transition-stage   --model-name") < ran.out.index("list-versions      --model-name")


# --- registering -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "usage"),
    [
        ("transition-version --help", "transition-stage --model-name NAME --stage STAGE [OPTIONS]"),
        ("archive --help", "transition-stage --stage Archived --model-name NAME [OPTIONS]"),
        ("register -h", "register --name NAME --model-uri URI [OPTIONS]"),
        ("diff --help", "compare NAME 3 5 [OPTIONS]"),
        ("reject-request --help", "reject --model-name NAME [OPTIONS]"),
        ("list --help", "list [OPTIONS]"),
    ],
)
def test_the_help_of_a_verb_is_its_canonical_form(models, line, usage):
    first, _, *lines = models(line).out.splitlines()
    assert first == f"Usage: greenroom models {usage}"
    assert lines[0] == "Options:"
    assert max(map(len, lines)) <= 102
    assert all(row.startswith("  --") for row in lines[1 : lines.index("")])


def test_register_a_folder_and_a_file(models, place, tmp_path):
    name = f"r{next(_count)}"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"12")
    ran = models(f"register --model-uri {shlex.quote(str(tmp_path / 'model'))} --name {name}")
    assert (ran.code, ran.out) == (0, f"Successfully registered model '{name}' with version 1\n"), ran.err
    ran = models(f"register --model-uri {shlex.quote(str(tmp_path / 'model' / 'weights.bin'))} --name {name}")
    assert ran.out == f"Successfully registered model '{name}' with version 2\n"
    first, second = (models(f"get-version {name} {number}").data for number in (1, 2))
    assert first["digest"] == second["digest"] is not None


def test_a_registered_folder_was_not_trained_by_the_command_line(models, place, tmp_path):
    (tmp_path / "requirements.txt").write_text("numpy==2.0\n")
    models(f"register --model-uri {shlex.quote(str(tmp_path))} --name untold")
    context = models("describe --model-uri models:/untold/1").data["context"]
    assert (context["entry_point"], context["python"], context["platform"]) == (None, None, None)
    assert context["packages"] == {"numpy": "2.0"}


def test_register_what_is_elsewhere(models, name):
    copy = models(f"register --model-uri models:/{name}/latest --name {name}")
    assert (copy.code, copy.out) == (0, f"Successfully registered model '{name}' with version 6\n"), copy.err
    assert models(f"get-version {name} 6").data["parent"] == {"model": name, "version": 5}
    away = models(f"create-version --name {name} --source s3://bucket/x --run-id 9 --tags a=1 --description d")
    assert away.out == f"Successfully registered model '{name}' with version 7\n"
    assert "unpinned" in away.err
    item = models(f"get-version {name} 7").data
    assert (item["tags"], item["description"], item["source"]) == ({"a": "1"}, "d", "s3://bucket/x")
    assert item["run_id"] == "9"


def test_register_a_folder_that_is_not_there(models):
    ran = models("register --model-uri runs/abc/model --name x")
    assert (ran.code, ran.out) == (2, "")
    assert "neither a file or folder here nor a URI. Did you mean runs:/abc/model?" in " ".join(
        ran.err.replace("Hint: ", "").split()
    )


# --- aliases, tags, texts, models ------------------------------------------------------------------------------------


def test_aliases(models, name):
    assert models(f"alias set --model-name {name} --alias prod --version 5").out == f"{name}: prod -> version 5\n"
    assert models(f"alias get {name} prod --output table").out == f"{name}: prod -> version 5\n"
    assert models(f"get-alias -n {name} -a prod").data["version"] == "5"
    assert models(f"alias list {name} --output table").out == f"{name}: prod -> version 5\n"
    assert [(each["alias"], each["version"]) for each in models(f"aliases list {name}").data] == [("prod", "5")]
    assert models(f"describe models:/{name}@prod").data["version"] == "5"
    assert models(f"alias delete {name} prod").code == 0
    assert models(f"aliases list {name}").data == []


def test_tags_and_descriptions(models, name):
    assert models(f"set-model-version-tag {name} 3 status failed").code == 0
    moved_by_tag = models(f"set-tag -n {name} -v 3 -t stage -v Production")
    assert "does not move a version" in moved_by_tag.err
    assert models(f"describe -n {name} --version 3 --text 'the first that works'").code == 0
    item = models(f"describe -n {name} --version 3").data
    assert item["tags"] == {"status": "failed", "stage": "Production"}
    assert (item["description"], item["current_stage"]) == ("the first that works", "None")
    models(f"delete-model-version-tag {name} 3 status")
    assert models(f"describe -n {name} --version 3").data["tags"] == {"stage": "Production"}


def test_models_and_searches(models, name):
    assert models(f"transition-stage --model-name {name} --version 3 --stage Production").code == 0
    mine = [each for each in models("list").data if each["name"] == name]
    assert [(each["version"], each["current_stage"]) for each in mine] == [("5", "None")]
    assert [each["name"] for each in models(f"search -f \"name = '{name}'\"").data] == [name]
    assert [each["name"] for each in models(f"search-registered-models --name {name}").data] == [name]
    found = models(f"search-model-versions --filter \"name = '{name}'\" --max-results 2").data
    assert len(found) == 2
    assert all(isinstance(each["version"], str) and each["current_stage"] for each in found)
    assert [each["version"] for each in models(f"list --name {name} --stage production").data] == ["3"]
    assert models("search-versions --filter 'nonsense ~ 1'").code == 2
    assert models("list --output table").out.startswith("Name ")
    of_all = models(f"search-versions --filter \"name = '{name}'\" --output table").out.splitlines()
    assert of_all[0].split() == ["Version", "Stage", "Aliases", "Created", "Author", "Run", "Model"]
    assert all(row.endswith(f" {name}") for row in of_all[1:])


def test_compare(models, name):
    found = models(f"compare {name} 1 2").data
    assert [(each["name"], each["left"], each["right"]) for each in found["params"]] == [("depth", "1", "2")]
    assert (
        "depth"
        in models(f"compare --model-uri models:/{name}/2 --baseline-model-uri models:/{name}/1 --output table").out
    )


def test_delete_and_restore(models, name):
    assert models(f"delete-model-version --name {name} --version 5").code == 0
    assert [each["version"] for each in models(f"versions {name}").data] == ["4", "3", "2", "1"]
    assert models(f"restore-model-version --name {name} --version 5").code == 0
    assert models(f"get-version {name} 5").data["current_stage"] == "None"
    models(f"transition-stage -n {name} -v 1 -s Production")
    assert models(f"delete-version {name} 1").code == 1  # it holds Production
    models(f"archive {name} 1")
    assert models(f"delete-registered-model {name}").code == 0
    assert models(f"versions {name}").code == 4
    assert models(f"restore-model {name}").code == 0
    assert len(models(f"versions {name}").data) == 5


def test_a_new_model(models):
    name = f"n{next(_count)}"
    assert models(f"create -n {name} -d 'churn in Spain'").out == f"Successfully registered model '{name}'.\n"
    assert models(f"describe {name}").data["description"] == "churn in Spain"
    assert models(f"create {name}").code == 5
    assert models(f"versions {name}").data == []


# --- nothing ever ends in a traceback --------------------------------------------------------------------------------


_WORDS = st.one_of(
    st.sampled_from(["m", "3", "models:/m/3", "models:/m@a", "x=y", *FLAGS]), st.text(st.characters(), max_size=8)
)
_LINES = st.lists(_WORDS, max_size=6)
_SAFE = sorted(verb for verb, spelling in SPELLINGS.items() if spelling.operation != "register")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(_SAFE), _LINES)
def test_no_words_end_in_a_traceback(server, monkeypatch, capfd, verb, words):
    monkeypatch.setenv("GREENROOM_URL", server)
    code = main(["models", verb, *(word for word in words if FLAGS.get(word) not in ("url", "tracking", "data"))])
    said = capfd.readouterr()
    assert code in (0, 1, 2, 4, 5), said.err
    assert "Traceback" not in said.err


def test_the_program_itself(server, tmp_path):
    """Once through the console: exit code, streams, and a pipe as standard output."""
    command = [sys.executable, "-m", "greenroom", "models", "list", "--registry-uri", server]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert isinstance(json.loads(ran.stdout), list)
