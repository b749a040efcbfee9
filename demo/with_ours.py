"""The chapters told with Greenroom's own client and command line."""

from __future__ import annotations

import numpy as np

from demo.scene import Scene, load_folder, save_folder
from greenroom import Refused, Version


def push(scene: Scene) -> None:
    """Chapter: registering with our client; a missing stage; a skipped stage; the best by its metrics."""
    story, name = scene.story, scene.names["digits"]
    story.chapter("Without MLflow: the client of its own")
    story.say(
        "Three readers of handwritten digits. `push` sends a folder, whatever is in it, hashes every byte, and "
        "registers it with metrics, parameters, the data's digests, and the context that can be seen: commit, Python, "
        "packages."
    )
    story.python(f'''
        registry = greenroom.connect("{scene.server.url}")
        registry.push("./model", "{name}", metrics={{"accuracy": 0.9389}}, params=params, datasets=datasets)
    ''')
    versions = [_push(scene, name, number) for number in range(1, len(scene.candidates["digits"]) + 1)]
    for candidate, version in zip(scene.candidates["digits"], versions, strict=True):
        story.check(
            dict(version.metrics) == dict(candidate.metrics) and version.datasets == candidate.data.recorded,
            f"version {version.version} ({candidate.what}): accuracy {version.metrics['accuracy']}, "
            f"{len(version.datasets)} data sets with digests",
            version,
        )
    again = scene.registry.push(scene.work / f"{name}-1", name, description="the same bytes once more")
    story.check(
        again.digest == versions[0].digest,
        f"the same bytes have the same digest: version {again.version} shares them",
        again,
    )
    _missing_stage(scene, name)
    _skipped_stage(scene, name)


def _push(scene: Scene, name: str, number: int) -> Version:
    candidate = scene.candidates["digits"][number - 1]
    folder = save_folder(candidate, scene.work / f"{name}-{number}")
    return scene.registry.push(
        folder, name, metrics=candidate.metrics, params=candidate.params, datasets=candidate.data.recorded,
        description=candidate.what,
    )  # fmt: skip


def _missing_stage(scene: Scene, name: str) -> None:
    scene.story.say(
        "A stage that does not exist is said to be missing, with the ones there are and the command that makes it:"
    )
    scene.shell.run(
        f"greenroom models transition-stage --model-name {name} --version 1 --stage Prod",
        exits=1,
        says=["Stage 'Prod' does not exist.", "Production", "greenroom stages add"],
    )


def _skipped_stage(scene: Scene, name: str) -> None:
    story = scene.story
    story.say(
        "Nobody has to pass through Staging under the standard lifecycle, but who does not is flagged, in the answer "
        "and for good in the log. Which version is the best, the registry knows itself:"
    )
    candidates = scene.candidates["digits"]
    best = max(range(len(candidates)), key=lambda index: candidates[index].metrics["accuracy"]) + 1
    scene.shell.run(
        f"greenroom promote {name} --best accuracy:max --to Production",
        says=["Production", "Staging", f"{candidates[best - 1].metrics['accuracy']:g}"],
    )
    scene.check_holder(name, best, f"version {best} ({candidates[best - 1].what}) was picked, and is in Production")
    promotion = next(scene.registry.promotions(name))
    story.check(bool(promotion.warnings), f"flagged in the record: {' '.join(promotion.warnings)}", promotion)


def from_the_shell(scene: Scene) -> None:
    """Chapter: the whole round from the command line."""
    story, name = scene.story, scene.names["diabetes"]
    candidates = scene.candidates["diabetes"]
    story.chapter("From the shell alone")
    story.say(
        "The same round for the diabetes data, as a Makefile or a CI job would do it; a lower error is better here."
    )
    for number, candidate in enumerate(candidates, 1):
        folder = save_folder(candidate, scene.work / f"{name}-{number}")
        data = candidate.data.recorded[0]
        metrics = " ".join(f"--metric {key}={value}" for key, value in candidate.metrics.items())
        scene.shell.run(
            f'greenroom push {folder.name} {name} {metrics} --param "model={candidate.what}" '
            f"--dataset {data.name},digest={data.digest},context=training",
            claim=f"version {number} is registered",
            says=[name],
        )
    best = min(range(len(candidates)), key=lambda index: candidates[index].metrics["rmse"]) + 1
    scene.shell.run(
        f"greenroom diff {name} 1 {best}",
        says=["rmse", "model.skops"],
        claim="what changed, file by file and number by number",
    )
    scene.shell.run(f"greenroom promote {name} {best} --to Staging --reason 'lowest error so far'")
    scene.shell.run(f"greenroom promote {name} --best rmse:min --to Production")
    scene.check_holder(name, best, f"version {best} ({candidates[best - 1].what}) is in Production")
    scene.shell.run(f"greenroom pull {name}@Production served", says=["verified"], claim="fetched and verified")
    patients, _ = candidates[best - 1].data.test
    guessed = load_folder(scene.work / "served").predict(patients)
    story.check(
        bool(np.array_equal(guessed, candidates[best - 1].model.predict(patients))),
        f"the model that was pulled predicts the same {len(guessed)} numbers",
    )


def guarded(scene: Scene) -> None:
    """Chapter: a stricter lifecycle for some models."""
    story, name = scene.story, scene.names["wine"]
    story.chapter("A stricter lifecycle: guarded")
    story.say(
        "What needs more care gets more: under `guarded`, Production is entered from Staging only, and past gates."
    )
    scene.shell.run('greenroom lifecycle use guarded --models "wine*"')
    for number, candidate in enumerate(scene.candidates["wine"], 1):
        folder = save_folder(candidate, scene.work / f"{name}-{number}")
        scene.registry.push(
            folder, name, metrics=candidate.metrics, params=candidate.params, datasets=candidate.data.recorded
        )
    story.python(f'registry.promote("{name}", 1, to="Production")')
    refused = None
    try:
        scene.registry.promote(name, 1, to="Production")
    except Refused as exc:
        refused = exc
        story.error(f"greenroom.Refused: {exc}")
    story.check(refused is not None and "Staging" in str(refused), "a skipped stage is refused here")
    scene.shell.run(f"greenroom promote {name} 1 --to Staging")
    scene.shell.run(
        f"greenroom promote {name} 1 --to Production",
        exits=1,
        says=["description"],
        claim="a gate asks for a description first",
    )
    scene.shell.run(f'greenroom record {name} 1 --description "Which of three cultivars a wine is made from"')
    scene.shell.run(f"greenroom promote {name} 1 --to Production", claim="with it the gate passes")
    scene.shell.run(f'greenroom record {name} 2 --description "The same, by naive Bayes"')
    scene.shell.run(f"greenroom promote {name} 2 --to Staging")
    scene.shell.run(f"greenroom promote {name} 2 --to Production --swap")
    scene.shell.run(f'greenroom rollback {name} --reason "the laboratory changed its instrument"')
    scene.check_holder(name, 1, "back to version 1, from Archived: a rollback may do that, a promotion may not")
