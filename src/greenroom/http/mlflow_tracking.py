"""The tracking half of MLflow's REST: experiments, runs, metrics and logged models as calls of our use cases.

Source: mlflow-compat sections 8 to 10; design, section 9.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.errors import InvalidInput
from greenroom.core.limits import bound
from greenroom.core.model import Page
from greenroom.core.tracking import Run, RunStatus
from greenroom.core.tracking_names import one_name
from greenroom.http import mlflow_logged_models
from greenroom.http import mlflow_tracking_in as read
from greenroom.http import mlflow_tracking_out as write
from greenroom.http import mlflow_wire as wire
from greenroom.http.keys import BODY
from greenroom.http.long_answers import AT_ONCE
from greenroom.http.long_answers import answer as answer_with
from greenroom.http.mlflow_batches import read_batch, read_point
from greenroom.http.mlflow_registry import Call
from greenroom.http.mlflow_tracking_wire import ENDPOINTS
from greenroom.http.problem import JSONAnswer
from greenroom.http.routing import Route, Wire, read_body
from greenroom.services.commands import tracking as c
from greenroom.services.ports import Registry

Body = dict[str, Any]
Handler = Callable[[Call], Awaitable[Body]]

_INLINE_BYTES = 16 << 10  # a larger body is read on a thread, so that look-ups do not wait for it
_LARGE_BODIES = frozenset({"log_inputs", "log_batch"})
_MANY = 100  # points that are read on a thread
_MOST_POINTS = 25_000
_MOST_RUNS = 100
_QUICK = {"log_metric": read_point, "log_batch": read_batch}
_ENDS = (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED)


def routes(registry: Registry) -> list[Route]:
    """Return the routes of all tracking endpoints, under both of MLflow's prefixes."""
    return [
        Route(method, prefix + each.path, each.permission, _endpoint(registry, each), Wire.MLFLOW, _limit(each))
        for each in ENDPOINTS
        for prefix in wire.PREFIXES
        for method in each.methods
    ]


def _limit(endpoint: wire.Endpoint) -> int:
    return bound("manifest_body") if endpoint.name in _LARGE_BODIES else bound("body")


def _endpoint(registry: Registry, endpoint: wire.Endpoint) -> Callable[[HTTPRequest], Awaitable[Response]]:
    handler = HANDLERS[endpoint.name]
    quick = _QUICK.get(endpoint.name)

    async def answer(http: HTTPRequest) -> Response:
        query = http.scope["query_string"].decode("utf-8", "surrogateescape")
        body = b"" if http.method == "GET" and query else await read_body(http)
        http.scope[BODY], kind = body, http.headers.get("content-type")
        if quick is not None and (command := quick(kind, body)) is not None:
            await Call(registry, http, {}).do("log_to_run", command)
            return JSONAnswer(b"{}")
        if len(body) > _INLINE_BYTES:
            given = await asyncio.to_thread(wire.read_request, endpoint, http.method, query, kind, body)
        else:
            given = wire.read_request(endpoint, http.method, query, kind, body)
        return await answer_with(await handler(Call(registry, http, given)))

    return answer


# --- experiments ---


def _experiment_id(call: Call) -> int:
    return read.read_experiment_id(call.given["experiment_id"])


async def _create_experiment(call: Call) -> Body:
    given = call.given
    made = await call.do(
        "create_experiment", c.CreateExperiment(given["name"], given["artifact_location"] or None, given["tags"])
    )
    return {"experiment_id": str(made.id)}


async def _get_experiment(call: Call) -> Body:
    found = await call.do("get_experiment", c.ExperimentNamed(_experiment_id(call)))
    return {"experiment": write.render_experiment(found)}


async def _find_experiment(call: Call) -> Body:
    found = await call.do("find_experiment", c.ExperimentCalled(call.given["experiment_name"]))
    return {"experiment": write.render_experiment(found)}


async def _search_experiments(call: Call) -> Body:
    given = call.given
    command = c.SearchExperiments(
        given["filter"] or None,
        given["order_by"],
        given["max_results"] or 0,  # a stock server asks for it too
        given["page_token"] or None,
        read.read_view("view_type", given["view_type"]),
    )
    page = await call.do("search_experiments", command)
    return write.render_page("experiments", page.items, write.render_experiment, page.next_page_token)


async def _delete_experiment(call: Call) -> Body:
    await call.do("delete_experiment", c.ExperimentNamed(_experiment_id(call)))
    return {}


async def _restore_experiment(call: Call) -> Body:
    await call.do("restore_experiment", c.ExperimentNamed(_experiment_id(call)))
    return {}


async def _rename_experiment(call: Call) -> Body:
    await call.do("rename_experiment", c.RenameExperiment(_experiment_id(call), call.given["new_name"]))
    return {}


async def _set_experiment_tag(call: Call) -> Body:
    command = c.SetExperimentTag(_experiment_id(call), call.given["key"], call.given["value"] or "")
    await call.do("set_experiment_tag", command)
    return {}


async def _delete_experiment_tag(call: Call) -> Body:
    await call.do("delete_experiment_tag", c.DeleteExperimentTag(_experiment_id(call), call.given["key"]))
    return {}


# --- runs ---


async def _create_run(call: Call) -> Body:
    given = call.given
    one_name(given["run_name"], given["tags"])  # the first that a stock server looks at
    command = c.CreateRun(
        secrets.token_hex(16),
        secrets.randbits(48),
        read.read_experiment_id(given["experiment_id"]),
        given["run_name"] or None,
        given["user_id"] or "",
        given["start_time"],
        given["tags"],
    )
    body = write.render_run(await call.do("create_run", command))
    del body["outputs"]
    return {"run": body}


async def _get_run(call: Call) -> Body:
    return {"run": write.render_run(await call.do("get_run", c.RunNamed(read.run_of(call.given))))}


async def _update_run(call: Call) -> Body:
    given = call.given
    status = read.read_run_status(given["status"])
    command = c.UpdateRun(read.run_of(given), status, given["end_time"], given["run_name"] or None)
    if status in _ENDS:  # first, so that a client that asks again after a failure in between has all of it done
        for each in await call.do("versions_to_complete", command):
            await call.do("complete_version", each)
    return {"run_info": write.render_run_info(await call.do("update_run", command))}


async def _delete_run(call: Call) -> Body:
    await call.do("delete_run", c.RunNamed(call.given["run_id"]))
    return {}


async def _restore_run(call: Call) -> Body:
    await call.do("restore_run", c.RunNamed(call.given["run_id"]))
    return {}


async def _search_runs(call: Call) -> Body:
    given = call.given
    command = c.SearchRuns(
        tuple(map(read.read_experiment_id, given["experiment_ids"])),
        given["filter"] or None,
        given["order_by"],
        1000 if given["max_results"] is None else given["max_results"],
        given["page_token"] or None,
        read.read_view("run_view_type", given["run_view_type"]),
    )
    page: Page[Run] = await call.do("search_runs", command)
    return write.render_page("runs", page.items, write.render_run_found, page.next_page_token)


# --- logging ---


async def _log(call: Call, **parts: Any) -> Body:
    """Log one thing that is no batch."""
    await call.do("log_to_run", c.LogToRun(read.run_of(call.given), batch=False, **parts))
    return {}


async def _log_metric(call: Call) -> Body:
    return await _log(call, metrics=(read.read_metric(call.given),))


async def _log_param(call: Call) -> Body:
    return await _log(call, params=((call.given["key"], call.given["value"] or ""),))


async def _set_tag(call: Call) -> Body:
    return await _log(call, tags={call.given["key"]: call.given["value"] or ""})


async def _delete_tag(call: Call) -> Body:
    await call.do("delete_run_tag", c.DeleteRunTag(call.given["run_id"], call.given["key"]))
    return {}


async def _log_batch(call: Call) -> Body:
    given, run_id = call.given, read.clean_run_of(call.given)
    points = given["metrics"]
    many = isinstance(points, list) and len(points) >= _MANY
    metrics = await asyncio.to_thread(read.read_metrics, points) if many else read.read_metrics(points)
    params, tags = read.read_pairs("params", given["params"]), dict(read.read_pairs("tags", given["tags"]))
    await call.do("log_to_run", c.LogToRun(run_id, metrics, params, tags))
    return {}


async def _log_model(call: Call) -> Body:
    run_id = call.given["run_id"]
    await call.do("log_model_record", c.LogModelRecord(run_id, read.read_record(call.given["model_json"])))
    return {}


async def _log_inputs(call: Call) -> Body:
    given, run_id = call.given, read.clean_run_of(call.given)
    models = tuple(each.model_id for each in read.read_models(given["models"]))
    await call.do("log_inputs", c.LogInputs(run_id, read.read_datasets(given["datasets"]), models))
    return {}


async def _log_outputs(call: Call) -> Body:
    await call.do("log_outputs", c.LogOutputs(call.given["run_id"], read.read_models(call.given["models"])))
    return {}


async def _metric_history(call: Call) -> Body:
    given = call.given
    size = given["max_results"]
    if size is not None and size <= 0:
        raise InvalidInput(
            f"Invalid value {size} for parameter 'max_results' supplied. It must be a positive integer.",
            parameter="max_results",
        )
    command = c.MetricHistory((read.run_of(given),), given["metric_key"], size, given["page_token"] or None)
    page = await call.do("metric_history", command)
    return write.render_page("metrics", page.items, write.render_point, page.next_page_token, AT_ONCE)


async def _metric_history_bulk(call: Call) -> Body:
    given = call.given
    if not given["run_id"]:
        raise InvalidInput("GetMetricHistoryBulk request must specify at least one run_id.", parameter="run_id")
    if len(given["run_id"]) > _MOST_RUNS:
        raise InvalidInput(
            f"GetMetricHistoryBulk request cannot specify more than {_MOST_RUNS} run_ids. Received "
            f"{len(given['run_id'])} run_ids.",
            parameter="run_id",
        )
    size = min(given["max_results"] or _MOST_POINTS, _MOST_POINTS)
    page = await call.do("metric_history", c.MetricHistory(given["run_id"], given["metric_key"], max(size, 1)))
    return {"metrics": [], **write.render_page("metrics", page.items, write.render_metric, None, AT_ONCE)}


HANDLERS: Final[Mapping[str, Handler]] = {
    "create_experiment": _create_experiment,
    "get_experiment": _get_experiment,
    "find_experiment": _find_experiment,
    "search_experiments": _search_experiments,
    "delete_experiment": _delete_experiment,
    "restore_experiment": _restore_experiment,
    "rename_experiment": _rename_experiment,
    "set_experiment_tag": _set_experiment_tag,
    "delete_experiment_tag": _delete_experiment_tag,
    "create_run": _create_run,
    "get_run": _get_run,
    "update_run": _update_run,
    "delete_run": _delete_run,
    "restore_run": _restore_run,
    "search_runs": _search_runs,
    "log_metric": _log_metric,
    "log_param": _log_param,
    "set_tag": _set_tag,
    "delete_tag": _delete_tag,
    "log_batch": _log_batch,
    "log_model": _log_model,
    "log_inputs": _log_inputs,
    "log_outputs": _log_outputs,
    "metric_history": _metric_history,
    "metric_history_bulk": _metric_history_bulk,
    **mlflow_logged_models.HANDLERS,
}
