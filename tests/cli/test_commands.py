"""Every command on a real local registry: what it prints for programs and for people, and how it ends."""

from __future__ import annotations

import json
import re

import pytest
from click.shell_completion import ShellComplete

from greenroom.cli.root import make_root

T = ("--output", "table")


def test_init_says_where(run, lonely):
    assert run("init").data == {"folder": ".greenroom", "lifecycle": "standard"}
    assert run("init", "other", "--lifecycle", "guarded", *T).out == "A registry is in other; lifecycle guarded.\n"
    assert (lonely / "other").is_dir()
    assert run("init", "third", "--lifecycle", "nonsense").code == 2
    assert run("init", "other", "--lifecycle", "standard", *T).out == "A registry is in other; lifecycle standard.\n"
    assert run("audit", "log", "--data", "other").data[-1]["type"] == "lifecycle_used"
    below = lonely / "a" / "b"
    below.mkdir(parents=True)
    assert run("info").data["why"] == f"found {lonely / '.greenroom'}"


def test_a_promotion_is_json_for_programs_and_a_sentence_for_people(churn):
    ran = churn("promote", "churn", 1, "--to", "staging", "--reason", "why not")
    assert (ran.code, ran.data["status"], ran.data["slot"], ran.data["reason"]) == (
        0,
        "succeeded",
        "Staging",
        "why not",
    )
    ran = churn("promote", "churn@1", "--to", "Production", *T)
    assert (ran.out, ran.err) == ("churn version 1 -> Production (was Staging)\n", "")


def test_a_refusal_is_an_answer_with_ways_out(churn):
    churn("promote", "churn", 1, "--to", "Production")
    ran = churn("promote", "churn", 2, "--to", "Production", "-q", *T)
    assert (ran.code, ran.out) == (1, "")
    reason, *ways = ran.err.splitlines()
    assert reason == "Production of 'churn' is held by version 1."
    assert len(ways) == 2
    assert "greenroom archive" in ways[0]
    assert "--swap" in ways[1]
    ran = churn("promote", "churn", 2, "--to", "Production", "-q")
    assert (ran.code, ran.data["status"], ran.err.splitlines()[0]) == (1, "rejected", reason)
    assert "Warning" not in churn("promote", "churn", 2, "--to", "Production", *T).err  # it enters nothing
    assert [each["status"] for each in churn("history", "churn", "--promotions").data][:2] == ["rejected", "rejected"]


def test_a_plan_says_who_moves_and_who_is_displaced(churn):
    churn("promote", "churn", 1, "--to", "Production")
    ran = churn("promote", "churn", 2, "--to", "Production", "--swap", "--dry-run", "-q", *T)
    assert ran.code == 0
    assert ran.out.splitlines() == [
        "Plan, nothing was changed: churn version 2 would move",
        "  moves      None -> Production",
        "  lifecycle  standard, revision 1",
        "  displaces  version 1 -> Archived",
    ]
    ran = churn("promote", "churn", 2, "--to", "Production", "--dry-run", *T)
    assert ran.code == 1
    assert "  refused    Production of 'churn' is held by version 1.\n" in ran.out
    assert churn("which", "churn").data["tenures"][0]["version"] == 1


def test_swap_rollback_archive(churn):
    churn("promote", "churn", 1, "--to", "Production")
    assert churn("promote", "churn", 2, "--to", "Production", "--swap", "-q", *T).out.splitlines() == [
        "churn version 2 -> Production (was None)",
        "  displaced: version 1 -> Archived",
    ]
    assert churn("rollback", "churn", "--reason", "drift").data["version"] == 1
    assert churn("archive", "churn@Production", *T).out == "churn version 1 -> Archived (was Production)\n"
    assert churn("rollback", "churn", "--if-holder", 9).code == 1


def test_the_best_is_picked(churn):
    ran = churn("promote", "churn", "--best", "auc:max", "--to", "Staging", *T)
    assert ran.out.splitlines()[0] == "churn version 2 -> Staging (was None)"
    assert ran.out.splitlines()[1].startswith("  chosen: ")
    assert churn("promote", "churn", 1, "--best", "auc", "--to", "Staging").code == 2


def test_which(churn):
    churn("promote", "churn", 1, "--to", "Production", "--reason", "first")
    ran = churn("which", "churn", *T)
    assert ran.out.startswith("churn version 1 holds Production\n  since ")
    assert ran.out.endswith(", by ana: first\n")
    ran = churn("holder", "churn", "production", "--at", "2001-02-03 04:05", *T)
    assert (ran.code, ran.err) == (4, "Nobody held Production of churn at 2001-02-03 04:05:00.\n")
    ran = churn("which", "churn", "Production", "--at", "2001-01-01")
    assert (ran.code, ran.data["tenures"]) == (4, [])
    ran = churn("which", "churn", "--at", "tomorrow")
    assert (ran.code, ran.err.splitlines()[0]) == (2, "Error: 'tomorrow' is not a date.")


def test_lists(churn):
    churn("promote", "churn", 2, "--to", "Production")
    assert [each["name"] for each in churn("list").data] == ["churn"]
    ran = churn("versions", "churn", *T)
    assert ran.out.startswith("Version  Stage ")
    assert next(line for line in ran.out.splitlines() if "Production" in line).startswith("2 ")
    ran = churn("versions", "churn", "--limit", 2)
    assert ([each["version"] for each in ran.data], ran.err) == (
        [3, 2],
        "Only the first 2 are shown; --limit 0 shows all.\n",
    )
    assert [each["version"] for each in churn("search", "metrics.auc > 0.87").data] == [2]
    assert churn("search", "--models", "name = 'none'", *T).err == "No model matches.\n"
    assert churn("search", "metrics.auc >").code == 2
    assert churn("versions", "none").code == 4


def test_show(churn):
    ran = churn("show", "churn", *T)
    assert "lifecycle    standard\n" in ran.out
    ran = churn("show", "churn@3", *T)
    assert re.search(r"^metrics +auc = 0.85$", ran.out, re.MULTILINE)
    assert re.search(r"^run +none here$", ran.out, re.MULTILINE)
    assert "trained with" not in ran.out  # the command line did not train it
    assert not re.search(r" -$", ran.out, re.MULTILINE), "what is not known is left out"
    assert churn("show", "churn@3").data["context"]["python"] is None  # and is there for programs
    assert re.search(r"^packages +numpy 2.0$", ran.out, re.MULTILINE)
    assert churn("show", "churn", 2).data["version"] == 2
    assert churn("show", "churn@2", 2).code == 2
    assert churn("show", "churn", 9).code == 4
    assert churn("show", "churn", "x").code == 2


def test_texts_and_tags(churn):
    assert churn("create", "m2", "--tag", "a=b", "--description", "d", *T).out == "m2 created; lifecycle standard.\n"
    assert churn("create", "m2").code == 5
    assert churn("tag", "m2", "c=d=e", "--remove", "a").data == {"c": "d=e"}
    assert churn("tag", "churn@1", "ok=yes", *T).out == "ok=yes\n"
    ran = churn("tag", "churn", "novalue")
    assert (ran.code, ran.err.splitlines()[1]) == (2, "Hint: Write it like team=growth.")
    assert churn("push", "m", "churn", "--param", "x").err.splitlines()[1] == "Hint: Write it like depth=6."
    assert churn("record", "churn", 1, "--metric", "f1=0.5", "-d", "text").data["metrics"] == {"auc": 0.8, "f1": 0.5}
    assert churn("record", "churn", 1).code == 2
    assert (
        churn("record", "churn", 1, "--metric", "f1=high").err.splitlines()[0]
        == "Error: metric 'f1' is not a number: 'high'."
    )


def test_register_elsewhere(churn):
    ran = churn(
        "register",
        "churn",
        "--source",
        "s3://b/x",
        "--dataset",
        "d,context=training",
        "--parent",
        "churn@1",
        "--no-context",
    )
    assert (ran.data["source"], ran.data["digest"], ran.data["parent"]["version"]) == ("s3://b/x", None, 1)
    assert ran.data["datasets"][0]["context"] == "training"
    assert churn("register", "new", "--source", "s3://b", "--existing-model").code == 4
    assert churn("register", "churn", "--source", "s3://b", "--dataset", "d,size=3").code == 2


def test_aliases(churn):
    assert churn("alias", "set", "churn", "champion", 2, *T).out == "churn version 2 -> @champion\n"
    assert churn("alias", "list", "churn").data == {"champion": 2}
    assert churn("which", "churn", "@champion").data["tenures"][0]["version"] == 2
    assert churn("alias", "delete", "churn", "champion").code == 0
    assert churn("alias", "list", "churn", *T).err == "churn has no aliases.\n"


def test_delete_and_restore(churn):
    churn("promote", "churn", 1, "--to", "Production")
    assert churn("delete", "churn", 1).code == 1
    assert churn("delete", "churn", 2, *T).out.startswith("churn version 2 deleted.")
    assert churn("restore", "churn", 2, *T).out == "churn version 2 is back, in stage None.\n"
    ran = churn("delete", "churn")
    assert (ran.code, "--whole-model" in ran.err) == (2, True)
    assert churn("delete", "churn@Production").code == 1
    churn("archive", "churn", 1)
    assert churn("delete", "churn", "--whole-model").code == 0
    assert churn("show", "churn").code == 4
    assert churn("restore", "churn", *T).out == "churn is back.\n"


def test_bytes(churn, lonely):
    churn("promote", "churn", 2, "--to", "Production")
    ran = churn("pull", "churn@Production", "out", *T)
    assert ran.out.startswith("churn version 2 (Production) is in out, verified: sha256:")
    assert (lonely / "out" / "w.bin").read_bytes() == b"0.9"
    ran = churn("pull", "churn@1", "out")
    assert (ran.code, "(--replace)" in ran.err) == (5, True)
    assert churn("pull", "churn@1", "out", "--replace").data["version"]["version"] == 1
    assert churn("pull", "churn", "out2").code == 2
    assert churn("push", "nowhere", "churn").code == 2
    ran = churn("diff", "churn", 1, "Production", *T)
    assert ran.out.splitlines()[:5] == [
        "churn: version 1 -> version 2", "files: 1 differ, 1 the same", "  ~ w.bin  3 B -> 3 B", "metrics: 1 differ",
        "  ~ auc  0.8 -> 0.9  (+0.1)",
    ]  # fmt: skip
    assert churn("verify", "churn", 1).data["findings"] == []
    assert churn("verify", "churn", 1, *T).out == "1 version, 2 files, 14 B hashed: all as registered\n"


def test_a_flipped_byte_is_found(churn, lonely):
    blobs = [path for path in (lonely / ".greenroom" / "blobs").rglob("*") if path.is_file()]
    victim = next(path for path in blobs if path.read_bytes() == b"0.9")
    victim.chmod(0o644)
    victim.write_bytes(b"0.8")
    ran = churn("verify", *T)
    assert ran.code == 7
    assert "1 WRONG" in ran.out
    assert "w.bin" in ran.out
    ran = churn("audit", "verify")
    assert (ran.code, ran.data["status"]) == (1, "tampered")
    assert churn("pull", "churn@2", "out").code == 7
    assert not (lonely / "out").exists()


def test_lifecycles(churn, lonely):
    ran = churn("lifecycle", "show", *T)
    assert ran.out.startswith("standard, revision 1, since ")
    assert "Production" in ran.out
    assert "Holders" not in ran.out  # of which model? `-` would read as "nobody"
    document = churn("lifecycle", "show", "guarded", "--toml").out
    (lonely / "l.toml").write_text(document)
    assert churn("lifecycle", "check", "l.toml").code == 0
    (lonely / "bad.toml").write_text(document + "\n[[stages]\n")
    ran = churn("lifecycle", "check", "bad.toml", *T)
    assert ran.code == 2
    assert ran.out.startswith(f"bad.toml:{len(document.splitlines()) + 2}: ")
    assert churn("lifecycle", "apply", "bad.toml").code == 2
    assert churn("lifecycle", "check", "none.toml").code == 2
    (lonely / "latin.toml").write_bytes(b"\xff")
    assert churn("lifecycle", "check", "latin.toml").err == "Error: latin.toml is not a text in UTF-8 (byte 0).\n"
    assert churn("lifecycle", "use", "mlflow", "--models", "legacy-*").code == 0
    churn("create", "legacy-1")
    assert churn("lifecycle", "show", "--model", "legacy-1").data["name"] == "mlflow"
    assert churn("stages", "add", "Validation", "--after", "Staging", "--exclusive").code == 0
    names = [each["name"] for each in churn("stages", "list").data]
    assert names == ["None", "Staging", "Validation", "Production", "Archived"]
    assert [each["revision"] for each in churn("lifecycle", "history").data] in ([1, 2], [2, 1])
    assert churn("promote", "churn", 1, "--to", "validation").data["slot"] == "Validation"
    assert "Validation" in churn("stages", "list", "--model", "churn", *T).out
    assert churn("stages", "list", "--model", "churn", *T).out.splitlines()[0].endswith("Gates  Holders")
    assert churn("stages", "list", *T).out.splitlines()[0].endswith("Gates")
    digest = churn("lifecycle", "history").data[0]["digest"]
    shown = churn("lifecycle", "history", *T).out
    assert (digest[:19] in shown, digest in shown) == (True, False)
    assert {each["name"] for each in churn("lifecycle", "list").data["lifecycles"]} >= {"standard", "guarded", "mlflow"}


def test_the_log(churn, lonely):
    ran = churn("audit", "log", "--model", "churn")
    assert {each["actor"] for each in ran.data} == {"ana"}
    assert churn("audit", "log", "--after", ran.data[0]["seq"], "--limit", 1).data[0]["seq"] == ran.data[1]["seq"]
    shown = churn("audit", "log", *T).out
    assert shown.startswith("Seq  At ")
    assert ran.data[-1]["body"]["digest"][:19] + "\n" in shown  # enough to compare; JSON has all of it
    (lonely / "old").write_text(churn("audit", "checkpoint", *T).out)
    churn("promote", "churn", 1, "--to", "Staging")
    ran = churn("audit", "verify", "--checkpoint", "old", *T)
    assert (ran.code, ran.out[:3]) == (0, "ok:")
    (lonely / "forged").write_text((lonely / "old").read_text().replace("greenroom/", "greenroom/x", 1))
    assert churn("audit", "verify", "--checkpoint", "forged").code != 0


def test_the_log_is_exported_with_its_checkpoint(churn, lonely):
    for _ in range(2):  # the second replaces the first
        ran = churn("audit", "export", "kept")
        lines = (lonely / "kept" / "entries.jsonl").read_text("utf-8").splitlines()
        assert len(lines) == ran.data["entries"] == ran.data["size"]
        assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
        assert sorted(each.name for each in (lonely / "kept").iterdir()) == [
            "checkpoint",
            "entries.jsonl",
            "key",
            "tile",
        ]
        assert churn("audit", "verify", "--checkpoint", "kept/checkpoint").code == 0
        churn("promote", "churn", 1, "--to", "Staging")


@pytest.mark.parametrize(("name", "line", "says"), [("checkpoint", 1, "99 entries"), ("key", 0, "of another log")])
def test_an_export_is_not_replaced_by_one_that_shows_less(churn, lonely, name, line, says):
    assert churn("audit", "export", "kept").code == 0
    file = lonely / "kept" / name
    lines = file.read_text("utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines[:line], "99\n", *lines[line + 1 :]]), "utf-8")
    before = file.read_bytes()
    ran = churn("audit", "export", "kept")
    assert ran.code == 5
    assert says in ran.err
    assert file.read_bytes() == before


def test_info(churn, lonely):
    assert churn("info").data["reachable"] is True
    assert churn("info", *T).out.endswith("reachable  yes\n")
    ran = churn("info", "--data", "nowhere")
    assert (ran.code, ran.data["reachable"]) == (4, False)


@pytest.mark.parametrize(
    ("words", "incomplete", "offered"),
    [
        (["promote"], "ch", ["churn"]),
        (["promote", "churn", "1", "--to"], "p", ["Production"]),  # stages match in any case
        (["promote", "churn", "1", "--to"], "@", ["@best"]),
        (["which", "churn"], "A", ["Archived"]),
        (["history", "churn", "--slot"], "S", ["Staging"]),
        (["stages", "add", "X", "--after"], "", ["None", "Staging", "Production", "Archived"]),
        (["promote", "nobody", "--to"], "P", []),
        (["pull"], "c", ["churn"]),
        (["lifecycle", "use"], "", ["guarded", "mlflow", "standard"]),
    ],
)
def test_completion(churn, words, incomplete, offered):
    churn("alias", "set", "churn", "best", 1)
    found = ShellComplete(make_root(), {}, "greenroom", "_X").get_completions(words, incomplete)
    assert [each.value for each in found] == offered


@pytest.mark.parametrize("name", ["..", "a/b", "a\x00b", "\u200b", "x" * 300, ""])
def test_names_that_cannot_be(churn, name):
    for words in (("create", name), ("show", name), ("promote", name, 1, "--to", "Staging")):
        ran = churn(*words)
        assert ran.code in (2, 4)
        assert ran.err.startswith("Error: ")
        assert len(ran.err.splitlines()) <= 2
