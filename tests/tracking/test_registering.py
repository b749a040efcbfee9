"""A version that is registered from a run takes over what made it, in the same transaction, and keeps it."""

from __future__ import annotations

import json
import math
import secrets
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local
from greenroom.core.model import Actor, Context, Dataset, Version
from greenroom.core.tracking import DatasetInput, LoggedDataset, Metric, ModelOutput
from greenroom.services import commands as r
from greenroom.services.commands import tracking as c
from tests.tracking.conftest import ANA, Do

RUN, MODEL, OTHER = "a" * 32, "m-" + "b" * 32, "m-" + "c" * 32
TAGS = {
    "mlflow.source.git.commit": "0" * 40,
    "mlflow.source.git.branch": "main",
    "mlflow.source.git.repoURL": "https://example.org/r",
    "mlflow.source.name": "train.py",
    "mlflow.user": "rosa",
    "mlflow.parentRunId": "d" * 32,
}
DATA = LoggedDataset("iris", "d1", "local", '{"uri": "s3://d"}')
CONTEXT = Context(
    git_commit="0" * 40, git_branch="main", git_remote="https://example.org/r", entry_point="train.py",
    run_name="amber-ant-0", parent_run="d" * 32, user="rosa",
)  # fmt: skip


class Place:
    """A registry with a run; files are put where clients put them."""

    def __init__(self, registry: LocalRegistry, do: Do) -> None:
        self.registry, self.do = registry, do
        do("create_run", c.CreateRun(RUN, 1, 0, user_id="rosa", tags=TAGS))
        do("log_to_run", c.LogToRun(RUN, (Metric("loss", 1.0, 1, 0), Metric("loss", 0.2, 2, 1)), (("depth", "3"),)))
        do("log_inputs", c.LogInputs(RUN, (DatasetInput(DATA, {"mlflow.data.context": "training"}),)))

    def put(self, path: str, text: str = "x") -> None:
        upload = self.registry.blobs.upload(secrets.token_hex(8))
        upload.write(text.encode())
        digest, size = upload.finish_as_hashed()
        self.do("blob_stored", r.BlobStored(digest, size))
        self.do("put_upload", r.PutUpload(path, digest, size))

    def model(self, model_id: str = MODEL, *, step: int = 0, name: str = "clf") -> None:
        self.do("create_logged_model", c.CreateLoggedModel(model_id, 1, 0, name, source_run_id=RUN, params={"C": "1"}))
        self.do("log_outputs", c.LogOutputs(RUN, (ModelOutput(model_id, step),)))
        self.put(f"0/models/{model_id}/artifacts/MLmodel", model_id)

    def register(self, source: str, actor: Actor = ANA, **fields: Any) -> Version:
        version: Version = self.do(
            "register_version", r.RegisterVersion("m", source=source, create_model=True, **fields), actor
        )
        return version

    def files(self, version: Version) -> list[str]:
        return [each.path for each in self.do("list_files", r.VersionNamed("m", version.version)).files]


@pytest.fixture
def place(registry: LocalRegistry, do: Do) -> Place:
    return Place(registry, do)


@pytest.mark.parametrize(
    "source",
    [f"runs:/{RUN}/model", f"mlflow-artifacts:/0/{RUN}/artifacts/model", f"runs:/{RUN}/model/"],
)
def test_from_a_run(place: Place, source: str) -> None:
    place.put(f"0/{RUN}/artifacts/model/MLmodel")
    place.put(f"0/{RUN}/artifacts/model/data/weights", "w")
    place.put(f"0/{RUN}/artifacts/other", "o")
    version = place.register(source)
    assert place.files(version) == ["MLmodel", "data/weights"]
    assert (version.run_id, version.metrics, version.params) == (RUN, {"loss": 0.2}, {"depth": "3"})
    assert version.datasets == (Dataset("iris", "d1", '{"uri": "s3://d"}', "training"),)
    assert version.context == CONTEXT


def test_what_happens_to_the_run_afterwards_is_no_matter(place: Place) -> None:
    place.put(f"0/{RUN}/artifacts/model/MLmodel", "before")
    version = place.register(f"runs:/{RUN}/model")
    place.put(f"0/{RUN}/artifacts/model/MLmodel", "after")
    place.do("log_to_run", c.LogToRun(RUN, (Metric("loss", 9.0, 9, 9),)))
    place.do("delete_uploads", r.UploadPath(f"0/{RUN}"))
    place.do("delete_run", c.RunNamed(RUN))
    assert place.do("get_version", r.VersionNamed("m", 1)) == version
    assert place.do("audit_verify", r.AuditVerify(deep=True)).findings == ()


@pytest.mark.parametrize(
    "source",
    [f"models:/{MODEL}", f"mlflow-artifacts:/0/models/{MODEL}/artifacts", f"runs:/{RUN}/clf"],
)
def test_from_a_logged_model(place: Place, source: str) -> None:
    place.model()
    place.do("log_to_run", c.LogToRun(RUN, (Metric("loss", 1.0, 3, 0, MODEL),)))  # as 3.x clients do for its step
    version = place.register(source)
    assert place.files(version) == ["MLmodel"]
    assert (version.run_id, version.logged_model) == (RUN, MODEL)
    assert version.metrics == {"loss": 0.2}  # of the run's only model: where the run ended
    assert version.params == {"depth": "3", "C": "1"}
    place.register(source)
    tags = place.do("get_logged_model", c.LoggedModelNamed(MODEL)).tags
    assert json.loads(tags["mlflow.modelVersions"]) == [{"name": "m", "version": 1}, {"name": "m", "version": 2}]


@pytest.mark.parametrize("step", [0, 7])
def test_one_of_several_models_has_its_own_metrics(place: Place, step: int) -> None:
    place.model(step=step)
    if not step:
        place.model(OTHER, name="other")
    place.do("log_to_run", c.LogToRun(RUN, (Metric("loss", 0.5, 3, step, MODEL), Metric("f1", 0.9, 4, step, MODEL))))
    assert place.register(f"models:/{MODEL}").metrics == {"loss": 0.5, "f1": 0.9}


def test_what_is_said_comes_first(place: Place) -> None:
    place.put(f"0/{RUN}/artifacts/model/MLmodel")
    own = Dataset("own")
    version = place.register(
        f"runs:/{RUN}/model", metrics={"loss": 7.0, "auc": 0.5}, params={"depth": "4"}, datasets=(own,),
        context=Context(git_commit="1" * 40),
    )  # fmt: skip
    assert version.metrics == {"loss": 7.0, "auc": 0.5}
    assert version.params == {"depth": "4"}
    assert version.datasets == (own,)
    assert (version.context.git_commit, version.context.git_branch) == ("1" * 40, "main")


@pytest.mark.parametrize(
    ("actor", "author"), [(Actor("anonymous"), "rosa"), (ANA, "ana"), (Actor("anonymous", verified=True), "anonymous")]
)
def test_whose_it_is(place: Place, actor: Actor, author: str) -> None:
    assert place.register("s3://b/m", actor, run_id=RUN).author == author


@pytest.mark.parametrize(
    "source",
    [f"runs:/{'f' * 32}/model", f"models:/m-{'f' * 32}", f"mlflow-artifacts:/0/{'f' * 32}/artifacts/model"],
)
def test_what_another_server_tracks_is_unpinned(place: Place, source: str) -> None:
    version = place.register(source)
    assert (version.digest, version.source, version.metrics) == (None, source, {})


def test_a_run_without_files_here_still_tells_its_facts(place: Place) -> None:
    version = place.register("s3://bucket/model", run_id=RUN)
    assert (version.digest, version.metrics, version.context) == (None, {"loss": 0.2}, CONTEXT)


def test_a_path_that_only_looks_like_a_run_says_nothing(place: Place) -> None:
    place.put(f"elsewhere/{RUN}/artifacts/model/MLmodel")
    version = place.register(f"mlflow-artifacts:/elsewhere/{RUN}/artifacts/model")
    assert (version.digest is not None, version.run_id, version.metrics) == (True, None, {})


def test_facts_that_a_version_cannot_hold_are_left_out(place: Place) -> None:
    place.do(
        "log_to_run",
        c.LogToRun(
            RUN, (Metric("nan", math.nan, 1), Metric("inf", math.inf, 1)), tags={"mlflow.source.name": "n" * 7000}
        ),
    )
    many = tuple(Metric(f"k{number:04}", 1.0, 1) for number in range(999))
    place.do("log_to_run", c.LogToRun(RUN, many))
    hidden = DatasetInput(LoggedDataset("a\u200bb", "1", "", "x" * 7000))
    place.do("log_inputs", c.LogInputs(RUN, (hidden, DatasetInput(LoggedDataset("long", "2", "", "x" * 7000)))))
    version = place.register("s3://bucket/model", run_id=RUN)
    assert len(version.metrics) == 1000
    assert "nan" not in version.metrics
    assert version.metrics["inf"] == 1.7976931348623157e308
    assert version.context.entry_point is None
    assert [(each.name, each.source is None) for each in version.datasets] == [("iris", False), ("long", True)]


def test_an_embedded_registry_of_before_gets_its_first_experiment(tmp_path: Path) -> None:
    folder = tmp_path / "old"
    open_local(folder, create=True).close()
    made = open_local(folder)
    db = made.store.connect()
    db.run("DELETE FROM experiment")
    db.close()
    made.close()
    again = open_local(folder)
    assert again.call_now("get_experiment", c.ExperimentNamed(0), ANA).name == "Default"
    again.close()
