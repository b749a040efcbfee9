"""Logged models on MLflow's wire, and the folders of runs and logged models.

Source: mlflow-compat sections 8 and 8.1.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from greenroom.core.errors import InvalidInput
from greenroom.core.names import check_path, shown
from greenroom.core.tracking import LoggedModel, Run
from greenroom.core.tracking_names import tree_path
from greenroom.http import mlflow_tracking_in as read
from greenroom.http import mlflow_tracking_out as write
from greenroom.http.mlflow_artifacts import decode_path
from greenroom.http.mlflow_registry import Call
from greenroom.services import answers as a
from greenroom.services.commands import UploadPath
from greenroom.services.commands import tracking as c

Body = dict[str, Any]


# --- files ---


async def _list_artifacts(call: Call) -> Body:
    path = _inside(call.given["path"] or "")
    run: Run = await call.do("get_run", c.RunNamed(read.run_of(call.given)))
    return await _listed(call, run.artifact_uri, path)


async def _list_model_artifacts(call: Call) -> Body:
    path = _inside(call.given["artifact_directory_path"] or "")
    model: LoggedModel = await call.do("get_logged_model", c.LoggedModelNamed(_model_id(call)))
    return await _listed(call, model.artifact_uri, path)


def _inside(path: str) -> str:
    """Return a clean path below a root, "" for the root itself. Raises InvalidInput."""
    return check_path(decode_path(path.rstrip("/"))) if path.rstrip("/") else ""


async def _listed(call: Call, root: str, inside: str) -> Body:
    """Return what lies directly in a folder; paths are relative to the root."""
    folder = tree_path(root)
    if folder is None:
        raise InvalidInput(
            f"The files at '{shown(root)}' are not kept by this server.", hint="List them where they are.", uri=root
        )
    found: a.Folder = await call.do("list_uploads", UploadPath("/".join(part for part in (folder, inside) if part)))
    files = [
        {"path": f"{inside}/{each.name}" if inside else each.name, "is_dir": each.is_dir}
        | ({} if each.size_bytes is None else {"file_size": each.size_bytes})
        for each in found.entries
    ]
    return {"root_uri": root} | ({"files": files} if files else {})


# --- logged models ---


def _model_id(call: Call) -> str:
    return str(call.http.path_params["model_id"])


async def _create_logged_model(call: Call) -> Body:
    given = call.given
    command = c.CreateLoggedModel(
        f"m-{secrets.token_hex(16)}",
        secrets.randbits(48),
        read.read_experiment_id(given["experiment_id"]),
        given["name"] or None,
        given["model_type"],
        given["source_run_id"],
        dict(read.read_pairs("params", given["params"])),
        given["tags"],
    )
    return {"model": write.render_logged_model(await call.do("create_logged_model", command))}


async def _get_logged_model(call: Call) -> Body:
    command = c.LoggedModelNamed(_model_id(call), call.given["allow_deleted"])
    return {"model": write.render_logged_model(await call.do("get_logged_model", command))}


async def _finish_logged_model(call: Call) -> Body:
    command = c.FinishLoggedModel(_model_id(call), read.read_model_status(call.given["status"]))
    return {"model": write.render_logged_model(await call.do("finish_logged_model", command))}


async def _delete_logged_model(call: Call) -> Body:
    await call.do("delete_logged_model", c.LoggedModelNamed(_model_id(call)))
    return {}


async def _tag_logged_model(call: Call) -> Body:
    await call.do("tag_logged_model", c.TagLoggedModel(_model_id(call), call.given["tags"]))
    return {}


async def _untag_logged_model(call: Call) -> Body:
    await call.do("untag_logged_model", c.UntagLoggedModel(_model_id(call), call.http.path_params["key"]))
    return {}


async def _log_model_params(call: Call) -> Body:
    params = dict(read.read_pairs("params", call.given["params"]))
    await call.do("log_model_params", c.LogModelParams(_model_id(call), params))
    return {}


async def _search_logged_models(call: Call) -> Body:
    given = call.given
    orders = tuple(c.OrderKey(*each) for each in read.read_orders(given["order_by"]))
    command = c.SearchLoggedModels(
        tuple(map(read.read_experiment_id, given["experiment_ids"])),
        given["filter"] or None,
        read.read_dataset_names(given["datasets"]),
        orders,
        given["max_results"] or 100,
        given["page_token"] or None,
    )
    page = await call.do("search_logged_models", command)
    return write.render_page("models", page.items, write.render_logged_model, page.next_page_token)


HANDLERS: Final[Mapping[str, Callable[[Call], Awaitable[Body]]]] = {
    "list_artifacts": _list_artifacts,
    "create_logged_model": _create_logged_model,
    "search_logged_models": _search_logged_models,
    "get_logged_model": _get_logged_model,
    "finish_logged_model": _finish_logged_model,
    "delete_logged_model": _delete_logged_model,
    "tag_logged_model": _tag_logged_model,
    "untag_logged_model": _untag_logged_model,
    "log_model_params": _log_model_params,
    "list_model_artifacts": _list_model_artifacts,
}
