"""A version that was registered while its run went on gets, once, what the run logged before it ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from greenroom.app import LocalRegistry
from greenroom.core.model import Version
from greenroom.core.tracking import DatasetInput, Metric, RunStatus
from greenroom.services import commands as r
from greenroom.services.commands import tracking as c
from greenroom.services.tracking_ending import MOST_POINTS
from tests.races.kit import Client, serving
from tests.tracking.conftest import Do
from tests.tracking.test_registering import DATA, MODEL, OTHER, RUN, Place

LATER = 1 << 42  # milliseconds, after any version of these tests


@pytest.fixture
def place(registry: LocalRegistry, do: Do) -> Place:
    return Place(registry, do)


def end(place: Place) -> list[int]:
    """End the run as the edge does; return the versions that were completed."""
    named = place.do("versions_to_complete", c.UpdateRun(RUN, RunStatus.FINISHED))
    for each in named:
        place.do("complete_version", each)
    place.do("update_run", c.UpdateRun(RUN, RunStatus.FINISHED, 99))
    return [each.version for each in named]


def log(
    place: Place,
    *points: tuple[str, float],
    params: tuple[tuple[str, str], ...] = (),
    model: str | None = None,
    time: int = LATER,
    step: int = 9,
) -> None:
    found = tuple(Metric(key, value, time, step, model) for key, value in points)
    place.do("log_to_run", c.LogToRun(RUN, found, params))


def version(place: Place, number: int = 1) -> Version:
    found: Version = place.do("get_version", r.VersionNamed("m", number))
    return found


def test_what_is_logged_afterwards_is_added_and_nothing_changes(place: Place) -> None:
    place.register("s3://b/m", run_id=RUN, metrics={"own": 1.0})
    log(place, ("loss", 0.1), ("auc", 0.9), ("nan", float("nan")), params=(("best", "5"),))
    assert end(place) == [1]
    assert version(place).metrics == {"own": 1.0, "loss": 0.2, "auc": 0.9}
    assert version(place).params == {"depth": "3", "best": "5"}
    assert place.do("audit_verify", r.AuditVerify(deep=True)).findings == ()
    events = place.do("audit_log", r.AuditLog()).entries
    assert [each.type for each in events if each.version == 1] == ["version_registered", "version_metrics_recorded"]


def test_what_was_measured_before_and_arrives_afterwards_counts(place: Place) -> None:
    place.register("s3://b/m", run_id=RUN, metrics={"own": 1.0})  # with the loss of step 1, 0.2
    log(place, ("loss", 0.1), ("own", 3.0), time=3, step=2)
    log(place, ("loss", float("nan")), time=4, step=3)
    log(place, ("loss", 0.05))  # of a training that goes on
    assert end(place) == [1]
    assert version(place).metrics == {"own": 1.0, "loss": 0.1}
    assert place.do("audit_verify", r.AuditVerify(deep=True)).findings == ()
    assert end(place) == []


def test_a_history_that_is_too_long_changes_nothing(place: Place) -> None:
    place.register("s3://b/m", run_id=RUN)
    for first in range(0, MOST_POINTS, 1000):
        points = tuple(Metric("loss", 0.1, 3 + at, 3 + at) for at in range(first, first + 1000))
        place.do("log_to_run", c.LogToRun(RUN, points))
    assert end(place) == []
    assert version(place).metrics == {"loss": 0.2}


def test_data_sets_come_late_too(place: Place) -> None:
    place.do("create_run", c.CreateRun("d" * 32, 1, 0))
    place.register("s3://b/m", run_id="d" * 32)
    place.do("log_inputs", c.LogInputs("d" * 32, (DatasetInput(DATA, {"mlflow.data.context": "training"}),)))
    for each in place.do("versions_to_complete", c.UpdateRun("d" * 32, RunStatus.FINISHED)):
        place.do("complete_version", each)
    assert [(each.name, each.context) for each in version(place).datasets] == [("iris", "training")]


def nothing(place: Place) -> None:
    """It has everything."""


def ended_before(place: Place) -> None:
    end(place)
    place.do("update_run", c.UpdateRun(RUN, RunStatus.RUNNING))
    log(place, ("late", 1.0))


def deleted(place: Place) -> None:
    log(place, ("late", 1.0))
    place.do("delete_version", r.DeleteVersion("m", 1))


def run_deleted(place: Place) -> None:
    log(place, ("late", 1.0))
    place.do("delete_run", c.RunNamed(RUN))
    place.do("restore_run", c.RunNamed(RUN))
    place.do("update_run", c.UpdateRun(RUN, RunStatus.KILLED, 5))


@pytest.mark.parametrize("happens", [nothing, ended_before, deleted, run_deleted])
def test_there_is_nothing_to_complete(place: Place, happens: Callable[[Place], None]) -> None:
    place.register("s3://b/m", run_id=RUN)
    happens(place)
    before = place.do("audit_log", r.AuditLog()).entries
    place.do("complete_version", r.VersionNamed("m", 1))  # asked for all the same: nothing happens
    assert end(place) == []
    assert place.do("audit_log", r.AuditLog()).entries == before


def test_of_several_models_each_gets_its_own(place: Place) -> None:
    ids = (MODEL, OTHER)
    for number, each in enumerate(ids):
        place.model(each, name=f"clf{number}")
        log(place, ("auc", 0.5 + number), model=each)
    for each in ids:
        place.register(f"models:/{each}")
    for number, each in enumerate(ids):
        log(place, (f"f{number}", 0.7), model=each)
    assert end(place) == [1, 2]
    assert [dict(version(place, at).metrics) for at in (1, 2)] == [{"auc": 0.5, "f0": 0.7}, {"auc": 1.5, "f1": 0.7}]


def test_the_end_of_a_run_on_the_wire(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server, Client(server.address) as client:

        def post(path: str, **body: object) -> Any:
            request = Request(f"{server.url}/api/2.0/mlflow/{path}", json.dumps(body).encode())
            request.add_header("Content-Type", "application/json")
            with urlopen(request, timeout=20) as answer:
                return json.loads(answer.read())

        run = post("runs/create", experiment_id="0", start_time=1)["run"]["info"]["run_id"]
        post("registered-models/create", name="m")
        post("model-versions/create", name="m", source="s3://b/m", run_id=run)
        post("runs/log-metric", run_id=run, key="auc", value=0.9, timestamp=1)
        refused(post, "runs/update", run_id=run, status="FINISHED", run_name="\x00")
        post("runs/delete", run_id=run)
        refused(post, "runs/update", run_id=run, status="FINISHED")
        assert client.do("get_version", r.VersionNamed("m", 1))["metrics"] == {}  # what is refused changes nothing
        post("runs/restore", run_id=run)
        for _ in range(2):  # a client that did not hear the answer says it again
            post("runs/update", run_id=run, status="FINISHED", end_time=2)
        assert client.do("get_version", r.VersionNamed("m", 1))["metrics"] == {"auc": 0.9}
        types = [each["type"] for each in client.do("audit_log", r.AuditLog())["entries"]]
        assert types.count("version_metrics_recorded") == 1


def refused(post: Callable[..., Any], path: str, **body: object) -> None:
    with pytest.raises(HTTPError) as caught:
        post(path, **body)
    assert caught.value.code == 400
    caught.value.close()
