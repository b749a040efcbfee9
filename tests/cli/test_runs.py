"""`greenroom runs` on a folder and against a server alike, and what `show` says of a folder with an MLmodel."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local
from greenroom.cli import output
from greenroom.cli.commands_read import few_metrics
from greenroom.cli.runs_shown import low_is_good
from greenroom.core.model import Actor
from greenroom.core.tracking import DatasetInput, LoggedDataset, Metric, RunStatus
from greenroom.services import commands as r
from greenroom.services.commands import tracking as t
from greenroom.store.driver import search_took_too_long
from greenroom.store.read_runs import RunReads
from tests.races.kit import serving

T = ("--output", "table")
PARENT, FIRST, SECOND, BROKEN = "a1" * 16, "b1" * 16, "b2" * 16, "c3" * 16
TAGS = {
    "mlflow.user": "rosa",
    "mlflow.source.name": "train.py",
    "mlflow.source.git.commit": "c0ffee" * 6,
    "mlflow.parentRunId": PARENT,
    "note": "by\x1b[31m hand",
}


def fill(registry: LocalRegistry) -> None:
    """Log a parent with two tries, and one that failed in another experiment."""

    def do(operation: str, command: Any) -> Any:
        return registry.call_now(operation, command, Actor("ana"))

    churn = do("create_experiment", t.CreateExperiment("churn")).id
    other = do("create_experiment", t.CreateExperiment("other")).id
    for number, (run, name, where, tags) in enumerate(
        ((PARENT, "search", churn, {}), (FIRST, "try", churn, TAGS), (SECOND, "try", churn, TAGS),
         (BROKEN, "broken", other, {})), start=1,
    ):  # fmt: skip
        do("create_run", t.CreateRun(run, 1, where, name, start_time=number * 1000, tags=tags))
        status = RunStatus.FAILED if run == BROKEN else RunStatus.FINISHED
        do("update_run", t.UpdateRun(run, status, number * 1000 + 200_000))
    for run, factor in ((FIRST, 1.0), (SECOND, 2.0)):
        points = [Metric("loss", factor / (step + 1), step, step) for step in range(1000)]
        few = tuple(Metric("auc", 0.5 + step / 10 - factor / 100, step, step) for step in range(5))
        do("log_to_run", t.LogToRun(run, tuple(points)))
        do("log_to_run", t.LogToRun(run, few, (("depth", str(factor)), ("kind", "tree"))))
    do("log_to_run", t.LogToRun(SECOND, (Metric("odd", math.nan, 1), Metric("peak", math.inf, 1))))
    data = DatasetInput(LoggedDataset("iris", "d1", "local", "s3://d"), {"mlflow.data.context": "training"})
    do("log_inputs", t.LogInputs(FIRST, (data,)))
    do("register_version", r.RegisterVersion("m", source="s3://bucket/model", run_id=FIRST, create_model=True))


@pytest.fixture(params=["folder", "server"])
def tracked(request: pytest.FixtureRequest, run: Any, lonely: Path, monkeypatch: Any) -> Iterator[Any]:
    """Runs command lines on a registry with runs."""
    registry = open_local(lonely / "data", create=True)
    fill(registry)
    registry.close()
    if request.param == "folder":
        monkeypatch.setenv("GREENROOM_DATA", str(lonely / "data"))
        yield run
        return
    with serving(lonely / "data") as server:
        monkeypatch.setenv("GREENROOM_URL", server.url)
        yield run


def test_runs_on_the_terminal(tracked: Any) -> None:
    _list(tracked)
    _show(tracked)
    _compare(tracked)
    _search(tracked)
    _name(tracked)


def _list(run: Any) -> None:
    ran = run("runs", "list", *T)
    head, *rows = ran.out.splitlines()
    assert head.split() == ["Run", "Id", "Experiment", "Status", "Started", "Took", "User", "auc", "loss", "odd"]
    assert [row.split()[0] for row in rows] == ["broken", "try", "try", "search"]
    assert "0.88 ▁▂▃▅▇" in rows[1]
    assert "NaN x" in rows[1]
    assert "3 m 20 s" in rows[1]
    assert [each["id"] for each in run("runs", "list").data] == [BROKEN, SECOND, FIRST, PARENT]
    (second, *_) = run("runs", "list", "churn", "--limit", 1).data
    assert (second["id"], second["metrics"]["odd"], second["user"]) == (SECOND, None, "rosa")
    ran = run("runs", "list", "other", "--metric", "loss", *T)
    assert ran.out.splitlines()[0].split() == ["Run", "Id", "Status", "Started", "Took", "User", "loss"]
    assert run("runs", "list", "--deleted", *T).err == "No runs.\n"
    ran = run("runs", "list", "--limit", 2, *T)
    assert (len(ran.out.splitlines()), ran.err) == (3, "Only the first 2 are shown; --limit 0 shows all.\n")
    assert len(run("runs", "list", "--limit", 0).data) == 4


def _show(run: Any) -> None:
    out = run("runs", "show", "b1b1", *T).out
    for line in (
        "run         try", f"id          {FIRST}", "experiment  churn (1)", "status      FINISHED", "user        rosa",
        "source      train.py", f"git commit  {'c0ffee' * 6}", "  depth = 1.0", "  iris d1 training", "  m 1 (None)",
        f"  search ({PARENT[:8]}) FINISHED 3 m 20 s", f"  └─ try ({FIRST[:8]}, this run)",
        "  note = by\\x1b[31m hand", "models  -", "files  -",
    ):  # fmt: skip
        assert line in out.splitlines(), line
    loss = next(line for line in out.splitlines() if line.startswith("  loss"))
    assert loss.split()[:6] == ["loss", "0.001", "0.001", "1", "1000", "0-999"]
    assert len(loss.split()[6]) == 40
    odd = run("runs", "show", SECOND, *T).out
    assert "1, 1 NaN" in odd
    assert "inf" in odd
    report = run("runs", "show", PARENT).data
    assert [each["id"] for each in report["children"]] == [FIRST, SECOND]
    assert [line for line in run("runs", "show", "search", *T).out.splitlines() if "try" in line] == [
        f"  ├─ try ({FIRST[:8]}) FINISHED 3 m 20 s",
        f"  └─ try ({SECOND[:8]}) FINISHED 3 m 20 s",
    ]
    ran = run("runs", "show", BROKEN, *T)
    assert [line for line in ran.out.splitlines() if line.endswith("  -")][:5] == [
        "user        -", "source      -", "git commit  -", "parameters  -", "metrics  -",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "low"),
    [
        *((key, True) for key in ("val_loss", "rank_test_score", "std_test_score", "mean_fit_time", "false_negatives")),
        *((key, False) for key in ("mean_test_score", "auc", "times_seen", "mrr_rank")),
    ],
)
def test_which_metrics_are_better_when_they_are_lower(key: str, low: bool) -> None:
    assert low_is_good(key) is low


def test_metrics_that_a_search_names_are_its_columns(tracked: Any) -> None:
    def columns(*words: str) -> list[str]:
        head: list[str] = tracked("runs", "search", *words, *T).out.splitlines()[0].split()
        return head[6:]

    assert columns("", "-e", "churn") == ["auc", "loss", "odd"]
    assert columns("metrics.`peak` > 1", "-e", "churn") == ["peak", "auc", "loss"]
    assert columns("metric.loss > 0", "-e", "churn", "--order-by", "metrics.auc DESC") == ["auc", "loss", "odd"]
    assert columns("metrics.peak > 1", "-e", "churn", "--metric", "odd") == ["odd"]


def test_a_version_of_many_metrics_has_a_few_in_its_row() -> None:
    assert few_metrics({}) == ""
    assert few_metrics({"a": 1.0, "b": 0.5}) == "a=1, b=0.5"
    assert few_metrics({"b": 1.0, "system/x": 1.0, "t": 1.0, "z": 1.0, "zz": 2.0}) == "b=1, t=1, z=1 and 2 more"


def _compare(run: Any) -> None:
    rows = {line.split()[0]: line for line in run("runs", "compare", "b1b1", "b2b2", *T).out.splitlines()[1:]}
    assert rows.keys() == {"data", "params.depth", "metrics.auc", "metrics.loss", "metrics.odd", "metrics.peak"}
    assert "0.89*" in rows["metrics.auc"]
    assert "0.001*" in rows["metrics.loss"]
    assert "*" not in rows["metrics.odd"] + rows["metrics.peak"]
    assert "inf ▇" in rows["metrics.peak"]
    everything = run("runs", "compare", "b1b1", "b2b2", "--all", "--higher", "loss", *T).out
    assert "params.kind" in everything
    assert "0.002*" in everything
    assert run("runs", "compare", "b1b1", FIRST, *T).err == "These runs do not differ.\n"
    assert [each["run"]["id"] for each in run("runs", "compare", "b1b1", "b2b2").data] == [FIRST, SECOND]
    ran = run("runs", "compare", FIRST)
    assert (ran.code, ran.err.splitlines()[0]) == (2, "Error: One run cannot be compared.")


def _search(run: Any) -> None:
    found = run("runs", "search", "metrics.loss < 0.0015 AND params.kind = 'tree'").data
    assert [each["id"] for each in found] == [FIRST]
    found = run("runs", "search", "", "-e", "churn", "--order-by", "metrics.auc DESC", "--limit", 2).data
    assert [each["id"] for each in found] == [FIRST, SECOND]
    assert run("runs", "search", "status = 'KILLED'", *T).err == "No run matches.\n"
    for text, column in (("metrics.loss < ", 16), ("status = 3", 10), ("status = 'x' AND foo = 1", 18), ("a ~ b", 3)):
        ran = run("runs", "search", text, *T)
        assert ran.code == 2
        assert ran.err.splitlines()[:2] == [f"  {text}", " " * (column + 1) + "^"]


def _name(run: Any) -> None:
    ran = run("runs", "show", "try")
    assert ran.code == 2
    assert ran.err.startswith("Error: 'try' may mean several runs: ")
    assert FIRST in ran.err
    assert SECOND in ran.err
    ran = run("runs", "show", "nothing")
    assert (ran.code, ran.err.splitlines()[0]) == (4, "Error: there is no run 'nothing', by id or by name.")
    ran = run("runs", "list", "nowhere")
    assert (ran.code, ran.err.splitlines()[0]) == (4, "Error: there is no experiment 'nowhere', by name or by id.")


def test_what_was_logged_cannot_drive_a_terminal(run: Any, lonely: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("GREENROOM_DATA", str(lonely / "data"))
    escape = "\x1b]0;x\x07"
    with closing(open_local(lonely / "data", create=True)) as registry:
        for each in (FIRST, SECOND):
            registry.call_now("create_run", t.CreateRun(each, 1, 0, escape + each[:2]), Actor("ana"))
        data = DatasetInput(LoggedDataset(escape, escape, "local", escape), {"mlflow.data.context": escape})
        registry.call_now("log_inputs", t.LogInputs(FIRST, (data,)), Actor("ana"))
    for command in (("list",), ("show", FIRST), ("compare", FIRST, SECOND)):
        out = run("runs", *command, *T).out
        assert r"\x1b]0;x\x07" in out
        assert not {"\x1b", "\x07"} & set(out)


def test_a_pushed_folder_says_what_its_files_say(churn: Any, lonely: Path) -> None:
    (lonely / "m" / "MLmodel").write_text(
        "flavors:\n  sklearn:\n    sklearn_version: 1.9.1\n"
        "saved_input_example_info:\n  artifact_path: example.json\n  type: ndarray\n"
        'signature:\n  inputs: \'[{"type": "double", "name": "age", "required": false}]\'\n'
    )
    churn("push", "m", "churn")
    packaging = churn("show", "churn", 4).data["packaging"]
    assert packaging["signature"]["inputs"] == [{"name": "age", "type": "double", "optional": True, "default": None}]
    assert packaging["requirements"] == ["numpy==2.0"]
    lines = churn("show", "churn", 4, *T).out.splitlines()
    for line in (
        "flavors        sklearn 1.9.1", "requirements   numpy==2.0", "inputs         age?: double",
        "input example  example.json (ndarray), missing from the files",
    ):  # fmt: skip
        assert line in lines
    assert not any(line.startswith("outputs") for line in lines)
    assert "flavors" not in churn("show", "churn", 3, *T).out
    assert churn("register", "churn", "--source", "s3://bucket/model").code == 0
    assert "notes    unpinned: the files are not stored here" in churn("show", "churn", 5, *T).out.splitlines()
    (lonely / "m" / "MLmodel").write_text("a: &a [x]\nb: [*a, *a]\n")
    churn("push", "m", "churn")
    assert churn("show", "churn", 6).data["packaging"]["notes"] == [
        "MLmodel could not be read: line 1: an anchor is not read here."
    ]


def test_a_large_file_is_not_read(churn: Any, lonely: Path) -> None:
    (lonely / "m" / "MLmodel").write_bytes(b"#" * (2 << 20))
    (lonely / "m" / "conda.yaml").write_bytes(b"\xff\xfe")
    churn("push", "m", "churn")
    assert churn("show", "churn", 4).data["packaging"]["notes"] == [
        "MLmodel is larger than 1048576 bytes and was not read", "conda.yaml is not UTF-8 and was not read",
    ]  # fmt: skip


def test_histories_that_take_too_long_are_said_to_be_left_out(
    run: Any, lonely: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of the table is there, and says for how many runs it shows less; nobody waits, nothing is hidden."""
    registry = open_local(lonely / "data", create=True)
    fill(registry)
    registry.close()
    monkeypatch.setenv("GREENROOM_DATA", str(lonely / "data"))
    assert run("runs", "list", *T).err == ""
    monkeypatch.setattr(RunReads, "samples", lambda *_: too_long())
    for words in (("list",), ("search", "metrics.loss > 0")):
        ran = run("runs", *words, *T)
        assert ran.code == 0
        assert "0.88" in ran.out
        assert not set("▁▂▃▄▅▆▇") & set(ran.out)
        assert ran.err.startswith("The histories of 2 runs are too long to be read in time and shown without")
        assert run("runs", *words, "--quiet", *T).err == ""
    assert len(run("runs", "list").data) == 4  # who asks for data is asked for no histories


def too_long() -> Any:
    raise search_took_too_long()


@pytest.mark.parametrize("color", [True, False])
@pytest.mark.parametrize(
    ("width", "words", "left_out"),
    [(200, (), 0), (110, (), 1), (85, (), 3), (85, ("--metric", "loss", "--metric", "auc"), 1), (66, (), 3)],
)
def test_metrics_that_do_not_fit_are_left_out_and_no_date_is_folded(
    run: Any, lonely: Path, monkeypatch: pytest.MonkeyPatch, color: bool, width: int, words: tuple[str, ...],
    left_out: int,
) -> None:  # fmt: skip
    with closing(open_local(lonely / "data", create=True)) as registry:
        fill(registry)
        registry.call_now("update_run", t.UpdateRun(FIRST, name="a try of a name that is long"), Actor("ana"))
    for name, value in (("GREENROOM_DATA", str(lonely / "data")), ("COLUMNS", str(width)), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(output, "is_terminal", lambda stream: stream is sys.stdout)
    ran = run("runs", "list", "churn", *words, *T, *(() if color else ("--no-color",)))
    told = re.sub(r"\x1b\[[0-9;]*m", "", ran.out)
    assert len(re.findall(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", told)) == 3
    assert "▇" not in re.sub(r"[\d.]+ [▁▂▃▄▅▆▇]+", "", told), "a line is folded"
    if color:
        assert max(map(len, told.splitlines())) <= width
        shown = (3 if not words else 2) - left_out
        assert sum(key in told.splitlines()[0] for key in ("auc", "loss", "odd")) == shown
        said = f"{left_out} column{'s' * (left_out > 1)} left out, for which the window is too narrow.\n"
        assert ran.err == (said if left_out else "")


def test_json_has_no_nan(tracked: Any) -> None:
    def refuse(word: str) -> Any:
        raise AssertionError(word)

    for words in (("list",), ("show", SECOND), ("compare", FIRST, SECOND)):
        json.loads(tracked("runs", *words).out, parse_constant=refuse)
