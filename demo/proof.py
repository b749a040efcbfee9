"""The chapters about afterwards: roll back, look back, prove, and see harm found."""

from __future__ import annotations

from demo.damage import DATABASE, blob_path, copy_registry, flip_bit, flip_in_text, run_sql
from demo.scene import Scene, as_date, now_ms
from demo.timeline import PLAIN, SHADES, Period, timeline

WHY_BACK = "false alarms since noon"


def roll_back(scene: Scene) -> None:
    """Chapter: back to the last healthy holder, by history."""
    story, name, best = scene.story, scene.names["tumour"], len(scene.candidates["breast_cancer"])
    story.chapter("3 a.m.: back")
    story.say(
        f"The forest raises false alarms. Version 2 is in Production, and before it was version {best}: one command "
        'gives the place back. "Current minus one" would have been version 1, which is what many scripts do.'
    )
    scene.shell.run(f'greenroom rollback {name} --reason "{WHY_BACK}"', says=[str(best)])
    scene.steps["back"] = now_ms()
    scene.check_holder(name, best, f"version {best} is in Production again")


def look_back(scene: Scene) -> None:
    """Chapter: who was in Production, then."""
    story, name, best = scene.story, scene.names["tumour"], len(scene.candidates["breast_cancer"])
    story.chapter("Who was in Production, then?")
    for step, version in (("first", 1), ("second", best), ("third", 2), ("back", best)):
        scene.shell.run(
            f"greenroom which {name} Production --at {as_date(scene.steps[step])}",
            says=[f"version {version} held Production"],
            claim=f"it was version {version}",
        )
    scene.shell.run(
        f"greenroom which {name} Production --at 2020-01-01",
        exits=4,
        says=["Nobody"],
        claim="and nobody, before there was one",
    )
    scene.shell.run(
        f"greenroom history {name} --slot Production", says=[WHY_BACK, "trial of the forest"], claim="with who and why"
    )
    scene.shell.run(
        f"greenroom models describe --model-uri models:/{name}/Production",
        says=["auc", str(scene.candidates["breast_cancer"][best - 1].metrics["auc"])],
        claim="and all that is known about who is there now",
    )
    story.line("")
    for label in ("tumour", "wine"):
        story.line(f"  {scene.names[label]}", "bold")
        for line in _drawn(scene, scene.names[label]):
            story.line(line)


def _drawn(scene: Scene, name: str) -> list[str]:
    tenures = [each for each in scene.registry.history(name) if each.kind == "stage"]
    periods = [Period(each.version, each.slot, each.since, each.until) for each in tenures]
    return timeline(periods, shades=SHADES if scene.story.unicode else PLAIN)


def prove(scene: Scene) -> None:
    """Chapter: the log, its signed head, and what they prove."""
    story = scene.story
    story.chapter("Can it be proven?")
    story.say("Every change, and every refusal, is one entry of a log: chained, in a Merkle tree, its head signed.")
    scene.shell.run("greenroom audit verify", says=["ok"], claim="log, tables and blobs fit together")
    scene.shell.run("greenroom audit checkpoint", says=["greenroom/"], claim="the signed head, to be kept elsewhere")
    report = scene.registry.audit_verify()
    story.check(
        report.status == "ok" and not report.findings, f"{report.entries} entries, nothing wrong", report.findings
    )
    (scene.work / "checkpoint.txt").write_text(scene.registry.audit_checkpoint().note, "utf-8")
    scene.facts["audit entries"] = report.entries + 1
    scene.registry.tag(scene.names["tumour"], {"reviewed": "yes"})
    scene.shell.run(
        "greenroom audit verify --checkpoint checkpoint.txt",
        says=["ok"],
        claim="the log has grown since, and nothing before was rewritten",
    )


def harm(scene: Scene) -> None:
    """Chapter: three kinds of harm, each on a copy of its own, each found and named."""
    story, name = scene.story, scene.names["tumour"]
    story.chapter("Breaking it on purpose (on copies)")
    holder = scene.holder(name) or 0
    file = max(scene.registry.files(name, holder).files, key=lambda each: each.size_bytes)

    story.say(f"One bit of one blob: {file.path} of version {holder}, {file.size_bytes} bytes.")
    copy = copy_registry(scene.data, scene.work / "copy-blob")
    story.line(f"    {flip_bit(blob_path(copy, file.digest), file.size_bytes // 2)}", "yellow")
    where = {"GREENROOM_URL": "", "GREENROOM_DATA": copy.name}
    scene.shell.run(
        f"greenroom verify {name} {holder}", exits=7, says=[file.path], env=where, claim=f"found: {file.path} is named"
    )

    story.say("One bit of the database, in the reason that somebody gave for the rollback:")
    copy = copy_registry(scene.data, scene.work / "copy-database")
    story.line(f"    {flip_in_text(copy / DATABASE, WHY_BACK)}", "yellow")
    where = {"GREENROOM_URL": "", "GREENROOM_DATA": copy.name}
    scene.shell.run(
        "greenroom audit verify",
        exits=1,
        says=["tampered", "reason"],
        env=where,
        shown=8,
        claim="found: tampered, exit code 1",
    )

    story.say(f"A number changed with a database tool: version {holder} is better than it was, it says now.")
    copy = copy_registry(scene.data, scene.work / "copy-row")
    changed = run_sql(
        copy,
        "UPDATE version_metric SET value = 0.9999 WHERE key = 'auc' AND version = ? "
        "AND model_id = (SELECT id FROM model WHERE name = ?)",
        (holder, name),
    )
    story.check(changed == 1, "one row changed behind the log's back", f"{changed} rows")
    where = {"GREENROOM_URL": "", "GREENROOM_DATA": copy.name}
    scene.shell.run(
        "greenroom audit verify",
        exits=1,
        says=["tampered", "auc"],
        env=where,
        shown=8,
        claim="found: the row is not what the log says",
    )
    scene.shell.run("greenroom audit verify", says=["ok"], claim="and the registry itself is untouched")
