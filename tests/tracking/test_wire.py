"""MLflow's tracking wire against a real server: what comes back, field by field, and what is said to bad requests."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.races.kit import Server, serving

API = "/api/2.0/mlflow"


class Wire:
    """One connection."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection(*server.address, timeout=30)

    def ask(self, method: str, path: str, given: Any = None, **headers: str) -> tuple[int, Any]:
        body, target = None, path if path.startswith("/v1") else API + path
        if method == "GET" and given:
            target += "?" + urlencode(given, doseq=True)
        elif given is not None:
            body = given if isinstance(given, bytes) else json.dumps(given).encode()
            headers.setdefault("Content-Type", "application/json")
        self._connection.request(method, target, body, headers)
        answer = self._connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")

    def good(self, method: str, path: str, given: Any = None) -> Any:
        status, answer = self.ask(method, path, given)
        assert status == 200, answer
        return answer


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    with serving(Path(tmp_path_factory.mktemp("wire")) / "data") as server:
        made = Wire(server)
        yield made
        made._connection.close()


def new_run(wire: Wire, **fields: Any) -> str:
    run: str = wire.good("POST", "/runs/create", {"experiment_id": "0", **fields})["run"]["info"]["run_id"]
    return run


def test_an_experiment_as_it_is_written(wire: Wire) -> None:
    made = wire.good("POST", "/experiments/create", {"name": "e", "tags": [{"key": "k", "value": "v"}]})
    number = made["experiment_id"]
    for found in (
        wire.good("GET", "/experiments/get", {"experiment_id": number}),
        wire.good("GET", "/experiments/get-by-name", {"experiment_name": "e"}),
    ):
        times = found["experiment"].pop("creation_time"), found["experiment"].pop("last_update_time")
        assert all(isinstance(each, int) for each in times)
        assert found == {
            "experiment": {
                "experiment_id": number, "name": "e", "artifact_location": f"mlflow-artifacts:/{number}",
                "lifecycle_stage": "active", "workspace": "default", "tags": [{"key": "k", "value": "v"}],
            }
        }  # fmt: skip


def test_a_run_as_it_is_written(wire: Wire) -> None:
    run = new_run(wire, user_id="u", start_time=5, run_name="r")
    wire.good(
        "POST", "/runs/log-metric", {"run_uuid": run, "run_id": run, "key": "m", "value": "NaN", "timestamp": "7"}
    )
    wire.good("POST", "/runs/log-parameter", {"run_id": run, "key": "p"})
    data = {"name": "d", "digest": "1", "sourceType": "local", "source": "{}"}
    wire.good("POST", "/runs/log-inputs", {"run_id": run, "datasets": [{"dataset": data}], "models": []})
    info = {
        "run_uuid": run, "run_id": run, "run_name": "r", "experiment_id": "0", "user_id": "u", "status": "RUNNING",
        "start_time": 5, "artifact_uri": f"mlflow-artifacts:/0/{run}/artifacts", "lifecycle_stage": "active",
    }  # fmt: skip
    assert wire.good("GET", "/runs/get", {"run_uuid": run}) == {
        "run": {
            "info": info,
            "data": {
                "metrics": [{"key": "m", "value": "NaN", "timestamp": 7, "step": 0}],
                "params": [{"key": "p", "value": ""}],
                "tags": [{"key": "mlflow.runName", "value": "r"}],
            },
            "inputs": {
                "dataset_inputs": [{"dataset": {"name": "d", "digest": "1", "source_type": "local", "source": "{}"}}]
            },
            "outputs": {},
        }
    }
    ended = wire.good("POST", "/runs/update", {"run_id": run, "status": "FINISHED", "end_time": 9})
    assert ended == {"run_info": info | {"status": "FINISHED", "end_time": 9}}


def test_a_logged_model_as_it_is_written(wire: Wire) -> None:
    run = new_run(wire)
    asked = {"experiment_id": "0", "name": "clf", "source_run_id": run, "params": [{"key": "p", "value": "1"}]}
    model = wire.good("POST", "/logged-models", asked)["model"]["info"]["model_id"]
    point = {"key": "m", "value": 1, "timestamp": 2, "step": 3, "model_id": model}
    point |= {"dataset_name": "d", "dataset_digest": "g"}
    wire.good("POST", "/runs/log-batch", {"run_id": run, "metrics": [point]})
    wire.good("PATCH", f"/logged-models/{model}/tags", {"tags": [{"key": "a/b", "value": "v"}]})
    found = wire.good("PATCH", f"/logged-models/{model}", {"status": "LOGGED_MODEL_READY"})["model"]
    assert (found.pop("info") | {"creation_timestamp_ms": 0, "last_updated_timestamp_ms": 0}) == {
        "model_id": model, "experiment_id": "0", "name": "clf", "status": "LOGGED_MODEL_READY", "model_type": "",
        "source_run_id": run, "artifact_uri": f"mlflow-artifacts:/0/models/{model}/artifacts",
        "creation_timestamp_ms": 0, "last_updated_timestamp_ms": 0, "tags": [{"key": "a/b", "value": "v"}],
    }  # fmt: skip
    assert found == {
        "data": {"params": [{"key": "p", "value": "1"}], "metrics": [point | {"value": 1.0, "run_id": run}]}
    }
    wire.good("DELETE", f"/logged-models/{model}/tags/a/b")
    assert wire.good("POST", "/logged-models/search", {"experiment_ids": ["0"], "filter": "name = 'clf'"})["models"]
    assert wire.good("DELETE", f"/logged-models/{model}") == {}
    assert wire.ask("GET", f"/logged-models/{model}")[0] == 404
    assert wire.good("GET", f"/logged-models/{model}", {"allow_deleted": "True"})["model"]["info"]["name"] == "clf"


def test_files_of_runs_and_models(wire: Wire) -> None:
    run = new_run(wire)
    root = f"mlflow-artifacts:/0/{run}/artifacts"
    assert wire.good("GET", "/artifacts/list", {"run_id": run}) == {"root_uri": root}
    for path in ("a.txt", "d/b.txt", "d/c c.txt"):
        tree = f"/api/2.0/mlflow-artifacts/artifacts/0/{run}/artifacts/{path.replace(' ', '%20')}"
        wire._connection.request("PUT", tree, path.encode())
        assert wire._connection.getresponse().read() == b"{}"
    listed = wire.good("GET", "/artifacts/list", {"run_id": run})["files"]
    assert listed == [{"path": "a.txt", "is_dir": False, "file_size": 5}, {"path": "d", "is_dir": True}]
    inside = wire.good("GET", "/artifacts/list", {"run_id": run, "path": "d"})["files"]
    assert [each["path"] for each in inside] == ["d/b.txt", "d/c c.txt"]
    wire._connection.request("GET", f"/get-artifact?{urlencode({'run_id': run, 'path': 'd/c c.txt'})}")
    assert wire._connection.getresponse().read() == b"d/c c.txt"
    number = wire.good("POST", "/experiments/create", {"name": "far", "artifact_location": "s3://b/x"})["experiment_id"]
    far = new_run(wire, experiment_id=number)
    status, said = wire.ask("GET", "/artifacts/list", {"run_id": far})
    assert (status, "not kept by this server" in said["message"]) == (400, True)


def test_histories(wire: Wire) -> None:
    runs = [new_run(wire), new_run(wire)]
    for run in runs:
        points = [{"key": "m", "value": at, "timestamp": at, "step": at} for at in range(1, 6)]
        wire.good("POST", "/runs/log-batch", {"run_id": run, "metrics": points * 2})
    page = wire.good("GET", "/metrics/get-history", {"run_id": runs[0], "metric_key": "m", "max_results": 3})
    rest = {"run_id": runs[0], "metric_key": "m", "max_results": 3, "page_token": page["next_page_token"]}
    last = wire.good("GET", "/metrics/get-history", rest)
    assert [each["step"] for each in page["metrics"] + last["metrics"]] == [1, 2, 3, 4, 5]
    assert set(last) == {"metrics"}
    assert set(page["metrics"][0]) == {"key", "value", "timestamp", "step"}
    assert wire.good("GET", "/metrics/get-history", {"run_id": runs[0], "metric_key": "x"}) == {}
    bulk = wire.good("GET", "/metrics/get-history-bulk", {"run_id": runs, "metric_key": "m"})["metrics"]
    assert [each["run_id"] for each in bulk] == sorted(runs * 5)


INVALID, GONE = "INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"
BAD: list[tuple[str, str, Any, int, str, str]] = [
    ("GET", "/experiments/get", {"experiment_id": "abc"}, 400, INVALID, "Invalid experiment ID 'abc'."),
    ("GET", "/experiments/get", {"experiment_id": "9" * 60}, 400, INVALID, "Invalid experiment ID"),
    ("GET", "/experiments/get", {"experiment_id": "9" * 30}, 404, GONE, "No Experiment with id="),
    ("GET", "/experiments/get-by-name", {}, 400, INVALID, "Missing value for required parameter"),
    ("POST", "/experiments/create", {"name": "Default"}, 400, "RESOURCE_ALREADY_EXISTS", "already exists"),
    ("POST", "/experiments/search", {}, 400, INVALID, "Invalid value 0 for parameter 'max_results'"),
    ("POST", "/experiments/search", {"max_results": 5, "view_type": "X"}, 400, INVALID, "ACTIVE_ONLY"),
    ("POST", "/runs/create", {"experiment_id": "77"}, 404, GONE, "No Experiment with id=77 exists"),
    ("GET", "/runs/get", {}, 400, INVALID, "Missing value for required parameter 'run_id'."),
    ("GET", "/runs/get", {"run_id": "\x00"}, 404, GONE, "Run with id="),
    ("POST", "/runs/update", {"run_id": "RUN", "status": "ODD"}, 400, INVALID, "RUNNING, SCHEDULED"),
    ("POST", "/runs/update", {"run_id": "RUN", "status": 9}, 400, INVALID, "for parameter 'status'"),
    ("POST", "/runs/log-metric", {"run_id": "RUN", "key": "m", "value": "x", "timestamp": 1}, 400,
     INVALID, "Invalid value \"x\" for parameter 'value' supplied"),
    ("POST", "/runs/log-metric", {"run_id": "RUN", "key": "m", "value": True, "timestamp": 1}, 400,
     INVALID, "for parameter 'value'"),
    ("POST", "/runs/log-metric", {"run_id": "RUN", "key": "m", "value": 10**400, "timestamp": 1}, 400,
     INVALID, "for parameter 'value'"),
    ("POST", "/runs/log-metric", {"run_id": "RUN", "key": "m", "value": 1}, 400, INVALID,
     "Missing value for required parameter 'timestamp'"),
    ("POST", "/runs/log-metric", {"run_id": "RUN", "key": "m", "value": 1, "timestamp": 2**64}, 400,
     INVALID, "for parameter 'timestamp'"),
    ("POST", "/runs/log-metric", {"run_id": "RUN", "runId": "RUN", "key": "m", "value": 1, "timestamp": 1}, 400,
     INVALID, "both 'run_id' and 'runId'"),
    ("POST", "/runs/log-batch", {"run_id": "RUN", "metrics": {"key": "m"}}, 400, INVALID,
     "Invalid value {\"key\":\"m\"} for parameter 'metrics'"),
    ("POST", "/runs/log-batch", {"run_id": "RUN", "metrics": [{"key": "m", "value": 1}]}, 400,
     INVALID, "Missing value for required parameter 'metrics[0].timestamp'"),
    ("POST", "/runs/log-batch", {"run_id": "RUN", "params": [{"value": "1"}]}, 400, INVALID,
     "Missing value for required parameter 'params[0].key'"),
    ("POST", "/runs/log-batch", {"run_id": "RUN", "tags": [{"key": 1}]}, 400, INVALID, "tags[0].key"),
    ("POST", "/runs/log-batch", b"[]", 400, INVALID, "must be a JSON object"),
    ("POST", "/runs/log-batch", b"[" * 50_000, 400, INVALID, "nested too deeply"),
    ("POST", "/runs/log-batch", b'{"run_id": "RUN", "metrics": [{"key": "m", "value": NaN, "timestamp": 1}]}', 400,
     INVALID, "which is not JSON"),
    ("POST", "/runs/log-inputs", {"run_id": "RUN", "datasets": [{}]}, 400, INVALID,
     "Missing value for required parameter 'datasets[0].dataset'"),
    ("POST", "/runs/outputs", {"run_id": "RUN"}, 400, INVALID, "required parameter 'models'"),
    ("POST", "/runs/log-model", {"run_id": "RUN", "model_json": "x"}, 400, INVALID, "is not a valid JSON"),
    ("POST", "/runs/log-model", {"run_id": "RUN", "model_json": "[]"}, 400, INVALID, "no JSON object"),
    ("POST", "/runs/log-model", {"run_id": "RUN", "model_json": "{}"}, 400, INVALID, "mandatory fields"),
    ("POST", "/runs/search", {"experiment_ids": ["x"]}, 400, INVALID, "Invalid experiment ID 'x'."),
    ("POST", "/runs/search", {"experiment_ids": ["0"], "max_results": 0}, 400, INVALID, "positive integer"),
    ("GET", "/metrics/get-history", {"run_id": "RUN", "metric_key": "m", "max_results": -1}, 400,
     INVALID, "positive integer"),
    ("GET", "/metrics/get-history-bulk", {"metric_key": "m"}, 400, INVALID, "at least one run_id"),
    ("GET", "/artifacts/list", {"run_id": "RUN", "path": "../x"}, 400, INVALID, "Invalid path"),
    ("GET", "/artifacts/list", {"run_id": "RUN", "path": "%2e%2e/x"}, 400, INVALID, "Invalid path"),
    ("POST", "/logged-models", {}, 400, INVALID, "required parameter 'experiment_id'"),
    ("PATCH", "/logged-models/m-x", {"status": 2}, 404, GONE, "Logged model with ID 'm-x' not found."),
    ("PATCH", "/logged-models/m-x", {}, 400, INVALID, "required parameter 'status'"),
    ("GET", "/experiments/list", {}, 404, "ENDPOINT_NOT_FOUND", "nothing at"),
    ("GET", "/traces", {}, 501, "NOT_IMPLEMENTED", "Greenroom does not have traces."),
    ("POST", "/webhooks", {}, 501, "NOT_IMPLEMENTED", "Greenroom does not have webhooks."),
]  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "given", "status", "code", "said"), BAD, ids=[f"{each[1]}-{at}" for at, each in enumerate(BAD)]
)
def test_what_is_said_to_bad_requests(
    wire: Wire, method: str, path: str, given: Any, status: int, code: str, said: str
) -> None:
    run = new_run(wire)
    before = wire.good("GET", "/runs/get", {"run_id": run})
    if isinstance(given, bytes):
        given = given.replace(b"RUN", run.encode())
    else:
        given = {name: run if value == "RUN" else value for name, value in given.items()}
    got, answer = wire.ask(method, path, given)
    assert (got, answer["error_code"]) == (status, code), answer
    assert said in answer["message"]
    assert wire.good("GET", "/runs/get", {"run_id": run}) == before
