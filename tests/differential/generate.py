"""Random sequences of requests. The same number gives the same sequence."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tests.differential import words as w
from tests.differential.calls import API, Call
from tests.differential.file_calls import download, get_file, list_files, put_file
from tests.differential.making import get_call, pages, post
from tests.differential.registry_calls import (
    aliases,
    change_model,
    change_version,
    create_model,
    create_version,
    get_model,
    get_version,
    latest_versions,
    prompts,
    search_models,
    search_versions,
)
from tests.differential.spoil import spoiled
from tests.differential.words import Pool

Maker = Callable[[Pool], Call | list[Call]]
E, R, L = (f"{API}/{part}" for part in ("experiments", "runs", "logged-models"))
WRONG = 0.13
_SHOWS = ("get_run", "get_logged_model")


def sequence(seed: int, length: int) -> list[Call]:
    """Return `length` requests: experiments, models and runs first, so that the others have something to meet."""
    pool = Pool(random.Random(seed), calm=seed % 2 == 0)
    found: list[Call] = []
    for first in (create_experiment, create_experiment, create_run, create_run, create_model):
        found += _made(pool, first)
    makers, weights = zip(*MAKERS.items(), strict=True)
    while len(found) < length:
        made = _made(pool, pool.rand.choices(makers, weights)[0])
        if made and not pool.calm and pool.maybe(WRONG):
            made[0] = spoiled(pool.rand, made[0])
            made = [
                made[0],
                *(each for each in made[1:] if each.operation in _SHOWS),
            ]  # pages belong to the good search
        found += made
    return found[:length]


def _made(pool: Pool, maker: Maker) -> list[Call]:
    made = maker(pool)
    faults = pool.faults()
    return [replace(each, faults=faults) for each in (made if isinstance(made, list) else [made])]


# --- experiments ---


def create_experiment(pool: Pool) -> Call:
    label = pool.label()
    pool.exps.append(label)
    body: dict[str, Any] = {"name": pool.exp_name() if pool.maybe(0.6) else f"«p»{label}"}
    if pool.maybe(0.06):
        body["artifact_location"] = pool.rand.choice(("s3://bucket/«p»", "mlflow-artifacts:/elsewhere/«p»", ""))
    if pool.wrong("location", 0.1):
        body["artifact_location"] = pool.rand.choice(("s3://b/x?y", "s3://b/#f", "runs:/x/y", "s3://b/../c"))
    if pool.maybe(0.4):
        body["tags"] = pool.pairs()
    return post("create_experiment", f"{E}/create", body, label)


def get_experiment(pool: Pool) -> Call:
    return get_call("get_experiment", f"{E}/get", experiment_id=pool.exp())


def find_experiment(pool: Pool) -> Call:
    return get_call("find_experiment", f"{E}/get-by-name", experiment_name=pool.exp_name())


def change_experiment(pool: Pool) -> Call:
    what = pool.rand.choice(
        ("delete", "restore", "update", "set-experiment-tag", "set-experiment-tag", "delete-experiment-tag")
    )
    body: dict[str, Any] = {"experiment_id": pool.exp()}
    if what == "update":
        body["new_name"] = pool.exp_name()
    if what.endswith("tag"):
        body["key"] = pool.key()
    if what.startswith("set"):
        body["value"] = pool.text()
    return post(what.replace("-", "_") + ("_experiment" if "exp" not in what else ""), f"{E}/{what}", body)


def search_experiments(pool: Pool) -> list[Call]:
    label = pool.label()
    body: dict[str, Any] = {"max_results": pool.rand.choice((1, 2, 100, 1000))}
    body["filter"] = w.filter_of(pool, w.EXP_CLAUSES, "name LIKE '«p»%'")
    if pool.maybe(0.5):
        body["order_by"] = w.orders_of(pool, w.EXP_ORDERS)
    if pool.maybe(0.4):
        body["view_type"] = pool.rand.choice(w.VIEWS)
    return pages(pool, post("search_experiments", f"{E}/search", body, label))


# --- runs ---


def create_run(pool: Pool) -> Call:
    label = pool.label()
    pool.runs.append(label)
    # A name of its own always: the ones that servers think up differ, and so does what is found by them.
    name = pool.rand.choice(("r1", "r2", "R1", "a b", "Ärger", "ärger"))
    body: dict[str, Any] = {"experiment_id": pool.exp(), "start_time": pool.time(), "run_name": name}
    pool.exp_of[label] = body["experiment_id"]
    if pool.maybe(0.3):
        body["user_id"] = pool.rand.choice(("ana", "ben", ""))
    if pool.maybe(0.5):
        body["tags"] = pool.pairs()
        if pool.maybe(0.3):
            body["tags"].append({"key": "mlflow.runName", "value": pool.rand.choice((name, name, "r3", ""))})
        if pool.maybe(0.3):
            body["tags"].append({"key": "mlflow.parentRunId", "value": pool.run()})
    return post("create_run", f"{R}/create", body, label)


def get_run(pool: Pool) -> Call:
    return get_call("get_run", f"{R}/get", **{pool.rand.choice(("run_id", "run_id", "run_uuid")): pool.run()})


def update_run(pool: Pool) -> Call:
    body: dict[str, Any] = {"run_id": pool.run()}
    if pool.maybe(0.6):
        body["status"] = pool.rand.choice(w.STATUSES)
    if pool.maybe(0.5):
        body["end_time"] = pool.time()
    if pool.maybe(0.4):
        body["run_name"] = pool.rand.choice(("r1", "r4", ""))
    return post("update_run", f"{R}/update", body)


def delete_run(pool: Pool) -> Call:
    what = pool.rand.choice(("delete", "restore", "restore"))
    return post(f"{what}_run", f"{R}/{what}", {"run_id": pool.run()})


def search_runs(pool: Pool) -> list[Call]:
    label = pool.label()
    body: dict[str, Any] = {"experiment_ids": [f"«exp:{each}»" for each in pool.exps if pool.maybe(0.8)]}
    body["filter"] = w.filter_of(pool, w.RUN_CLAUSES)
    body["max_results"] = pool.rand.choice((1, 2, 3, 100))
    if pool.maybe(0.6):
        body["order_by"] = w.orders_of(pool, w.RUN_ORDERS)
    if pool.maybe(0.4):
        body["run_view_type"] = pool.rand.choice(w.VIEWS)
    return pages(pool, post("search_runs", f"{R}/search", body, label))


def _point(pool: Pool) -> dict[str, Any]:
    point: dict[str, Any] = {
        "key": pool.key(),
        "value": pool.rand.choice(w.NUMBERS),
        "timestamp": pool.rand.randrange(6),
    }
    if pool.maybe(0.7):
        point["step"] = pool.rand.choice(w.STEPS)
    if pool.models and pool.maybe(0.15):
        _of_model(pool, point)
    return point


def _of_model(pool: Pool, point: dict[str, Any]) -> None:
    """Make it a point of a logged model too; those are seldom not a number."""
    point["model_id"] = pool.model()
    if pool.maybe(0.5):
        point |= _of_dataset(pool)
    if point["value"] == "NaN" and not pool.wrong("nan", 0.3):
        point["value"] = 0.25


def _of_dataset(pool: Pool) -> dict[str, str]:
    return {"dataset_name": pool.rand.choice(("d1", "d2")), "dataset_digest": pool.rand.choice(("g1", "g1", "g2"))}


def log_metric(pool: Pool) -> list[Call]:
    call = post("log_metric", f"{R}/log-metric", {"run_id": pool.run(), **_point(pool)})
    if "model_id" not in call.body:
        return [call]
    return [*_then_read(pool, call), get_call("get_logged_model", f"{L}/{call.body['model_id']}")]


def log_model_metrics(pool: Pool) -> list[Call]:
    """Log points of logged models, of data sets and of none, and ask for the models in their order."""
    if not pool.models:
        return []
    model = {"model_id": pool.model()}
    points = [_point(pool) | {"key": pool.rand.choice(("a", "loss"))} for _ in range(pool.rand.randrange(1, 5))]
    for point in points:
        _of_model(pool, point)
        point |= model
    logged = post("log_batch", f"{R}/log-batch", {"run_id": pool.run(), "metrics": points})
    shown = get_call("get_logged_model", f"{L}/{model['model_id']}")
    return [*_then_read(pool, logged), shown, *search_logged(pool)]


def _then_read(pool: Pool, call: Call) -> list[Call]:
    """Return a request that logs, and one that shows what of it was kept."""
    return [call, get_call("get_run", f"{R}/get", run_id=call.body["run_id"])]


def log_param(pool: Pool) -> Call:
    return post("log_param", f"{R}/log-parameter", {"run_id": pool.run(), "key": pool.key(), "value": pool.text()})


def set_tag(pool: Pool) -> Call:
    key = "mlflow.runName" if pool.maybe(0.1) else pool.key()
    return post("set_tag", f"{R}/set-tag", {"run_id": pool.run(), "key": key, "value": pool.text()})


def delete_tag(pool: Pool) -> Call:
    return post("delete_tag", f"{R}/delete-tag", {"run_id": pool.run(), "key": pool.key()})


def log_batch(pool: Pool) -> list[Call]:
    body: dict[str, Any] = {"run_id": pool.run()}
    size = pool.rand.choice((1000, 1001)) if pool.wrong("size", 0.02) else pool.rand.randrange(6)
    if pool.maybe(0.8):
        body["metrics"] = [_point(pool) for _ in range(size)]
    if pool.maybe(0.6):
        body["params"] = pool.pairs()
    if pool.maybe(0.6):
        body["tags"] = pool.pairs()
    if pool.wrong("part", 0.25):
        bad = pool.rand.choice(_BAD_PARTS)
        kind = pool.rand.choice(tuple(bad))
        parts = [*body.get(kind, []), bad[kind]]
        pool.rand.shuffle(parts)
        body[kind] = parts
    made = _then_read(pool, post("log_batch", f"{R}/log-batch", body))
    models = {each["model_id"] for each in body.get("metrics", []) if isinstance(each, dict) and "model_id" in each}
    return made + [get_call("get_logged_model", f"{L}/{each}") for each in sorted(models)]


_BAD_PARTS: tuple[dict[str, Any], ...] = (
    {"metrics": {"key": "a", "value": 1, "timestamp": 1, "model_id": "m-" + "0" * 32}},  # found after others are kept
    {"metrics": {"key": "a", "value": 1, "timestamp": 1, "dataset_name": "d1"}},
    {"metrics": {"key": "a", "value": 1, "timestamp": -1}, "params": {"key": "a"}, "tags": {"key": "a"}},
    {"metrics": {"key": "a*b", "value": 1, "timestamp": 1}, "params": {"key": "a*b", "value": "v"}},
    {"metrics": {"key": "a", "timestamp": 1}, "params": {"value": "v"}, "tags": {"value": "v"}},
    {"metrics": 5, "params": "x", "tags": None},
    {"params": {"key": "b", "value": "another"}},
    {"tags": {"key": "mlflow.runName", "value": "named"}},
)


def log_inputs(pool: Pool) -> Call:
    body: dict[str, Any] = {"run_id": pool.run()}
    if pool.maybe(0.9):
        found = [_dataset(pool) for _ in range(pool.rand.randrange(3))]
        once = {(each["dataset"]["name"], each["dataset"]["digest"]): each for each in found}
        body["datasets"] = found if pool.wrong("twice", 0.1) else list(once.values())
    if pool.models and pool.maybe(0.3):
        body["models"] = [{"model_id": pool.model()}]
    return post("log_inputs", f"{R}/log-inputs", body)


def _dataset(pool: Pool) -> dict[str, Any]:
    known = {"name": pool.rand.choice(("d1", "d2")), "digest": pool.rand.choice(("g1", "g2"))}
    known |= {"source_type": "local", "source": "{}"}
    if pool.maybe(0.4):
        known |= {"schema": "{}", "profile": '{"rows": 3}'}
    if pool.wrong("size", 0.05):
        known["name"] = "n" * pool.rand.choice((500, 501))
    if pool.wrong("size", 0.05):
        known["digest"] = "n" * pool.rand.choice((36, 37))
    tags = [{"key": "mlflow.data.context", "value": pool.rand.choice(("train", "test"))}] if pool.maybe(0.6) else []
    return {"dataset": known, "tags": tags}


def log_outputs(pool: Pool) -> Call:
    found = [pool.model() for _ in range(pool.rand.choice((1, 1, 2)))]
    named = found if pool.wrong("twice", 0.1) else list(dict.fromkeys(found))
    models = [{"model_id": model, "step": pool.rand.choice((0, 1))} for model in named]
    return post("log_outputs", f"{R}/outputs", {"run_id": pool.run(), "models": models})


def log_model(pool: Pool) -> Call:
    model: dict[str, Any] = {
        "artifact_path": "model",
        "flavors": {"f": {"a": 1}},
        "utc_time_created": "t",
        "run_id": pool.run(),
    }
    if pool.wrong("record", 0.2):
        del model[pool.rand.choice(tuple(model))]
    text = pool.rand.choice(("{", "[]", "5", "null", '"x"')) if pool.wrong("record", 0.1) else json.dumps(model)
    return post("log_model", f"{R}/log-model", {"run_id": pool.run(), "model_json": text})


def metric_history(pool: Pool) -> list[Call]:
    label = pool.label()
    query = {"run_id": pool.run(), "metric_key": pool.key()}
    if pool.maybe(0.5):
        query["max_results"] = pool.rand.choice((1, 2, 100))
    return pages(pool, get_call("metric_history", f"{API}/metrics/get-history", label, **query))


def metric_history_bulk(pool: Pool) -> Call:
    path = "/ajax-api/2.0/mlflow/metrics/get-history-bulk"
    runs = [pool.run() for _ in range(pool.rand.randrange(1, 3))]
    query: dict[str, Any] = {"run_id": runs, "metric_key": pool.rand.choice(w.KEYS)}
    if len(runs) == 1 and pool.maybe(0.5):  # of several, the runs with the lower ids come first
        query["max_results"] = pool.rand.choice((1, 2, 100))
    return get_call("metric_history_bulk", path, **query)


# --- logged models ---


def create_logged(pool: Pool) -> Call:
    label = pool.label()
    pool.models.append(label)
    body: dict[str, Any] = {"experiment_id": pool.exp(), "name": pool.rand.choice(("l1", "l2", "L 3"))}
    pool.exp_of[label] = body["experiment_id"]
    if pool.wrong("name", 0.03):
        body["name"] = pool.rand.choice(("", "a/b", "a.b", "a:b", "a'b", "x" * 501))
    if pool.maybe(0.6):
        body["source_run_id"] = pool.run()
    if pool.maybe(0.4):
        body["model_type"] = pool.rand.choice(("kind", "agent", ""))
    if pool.maybe(0.4):
        body["params"] = pool.pairs()
    if pool.maybe(0.4):
        body["tags"] = pool.pairs()
    return post("create_logged_model", L, body, label)


def get_logged(pool: Pool) -> Call:
    path = f"{L}/{pool.model()}"
    return (
        get_call("get_logged_model", path, allow_deleted="true")
        if pool.maybe(0.2)
        else get_call("get_logged_model", path)
    )


def change_logged(pool: Pool) -> Call:
    model = pool.model()
    path, own = f"{L}/{model}", {"model_id": model}
    roll = pool.rand.randrange(5)
    if roll == 0:
        statuses = ("LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED", 2, 3, "LOGGED_MODEL_PENDING")
        return Call("finish_logged_model", "PATCH", path, body={**own, "status": pool.rand.choice(statuses)})
    if roll == 1:
        return Call("tag_logged_model", "PATCH", f"{path}/tags", body={**own, "tags": pool.pairs()})
    if roll == 2:
        return Call("untag_logged_model", "DELETE", f"{path}/tags/{pool.rand.choice(('a', 'b', 'loss'))}", body={})
    if roll == 3:
        return post("log_model_params", f"{path}/params", {**own, "params": pool.pairs()})
    return Call("delete_logged_model", "DELETE", path, body={})


def search_logged(pool: Pool) -> list[Call]:
    label = pool.label()
    body: dict[str, Any] = {"experiment_ids": [f"«exp:{each}»" for each in pool.exps]}
    pool.quotes = 0.5 if pool.wrong("quotes", 0.1) else 0
    body["filter"] = w.filter_of(pool, w.LOGGED_CLAUSES)
    pool.quotes = Pool.quotes
    if pool.wrong("status", 0.04):
        status = f"status {pool.rand.choice(('=', '!=', 'IN'))} ('READY')".replace("= ('READY')", "= 'READY'")
        body["filter"] = f"{body['filter']} AND {status}".removeprefix(" AND ")
    if pool.maybe(0.6):
        body["max_results"] = pool.rand.choice((1, 2, 100))
    if pool.maybe(0.4):
        field = pool.rand.choice(("creation_timestamp", "name", "metrics.a", "metrics.loss"))
        order: dict[str, Any] = {"field_name": field, "ascending": pool.maybe(0.5)}
        if field.startswith("metrics") and pool.maybe(0.5):
            order |= _of_dataset(pool)
            if pool.wrong("order", 0.1):
                del order[pool.rand.choice(("dataset_name", "dataset_digest"))]
        body["order_by"] = [order] if pool.maybe(0.8) else [order, {"field_name": "name"}]
    if pool.maybe(0.15):
        body["datasets"] = [{"dataset_name": "d1"} | ({"dataset_digest": "g1"} if pool.maybe(0.5) else {})]
    return pages(pool, post("search_logged_models", f"{L}/search", body, label))


MAKERS: dict[Maker, int] = {
    create_experiment: 3, get_experiment: 2, find_experiment: 2, change_experiment: 6, search_experiments: 6,
    create_run: 5, get_run: 8, update_run: 4, delete_run: 3, search_runs: 14, log_metric: 8, log_param: 5, set_tag: 5,
    delete_tag: 2, log_batch: 6, log_inputs: 4, log_outputs: 2, log_model: 1, metric_history: 5, metric_history_bulk: 2,
    create_logged: 4, get_logged: 3, change_logged: 5, search_logged: 6,
    create_model: 3, get_model: 4, change_model: 4, create_version: 6, get_version: 4, change_version: 8, aliases: 5,
    latest_versions: 3, search_models: 5, search_versions: 5, put_file: 4, get_file: 3, list_files: 4,
    log_model_metrics: 4, prompts: 2, download: 1,
}  # fmt: skip
