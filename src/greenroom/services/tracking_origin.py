"""What a run or a logged model tells about the version that is registered from it: files, metrics, data, code.

Everything is copied inside the transaction that registers the version. The run may change or go afterwards; the version
keeps what it took. A fact that a version cannot hold (a metric that is NaN, a description of data that is too long) is
left out, never cut: what is shown is true.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor, Context, Dataset
from greenroom.core.names import check_actor_name, check_dataset_name, check_param_value
from greenroom.core.remotes import without_credentials
from greenroom.core.tracking import DatasetInput, ModelOutput, newest
from greenroom.core.tracking_names import is_model_id, is_run_id, tree_path
from greenroom.services import commands as c
from greenroom.services.limits import COUNTS
from greenroom.services.ports import ReadTx
from greenroom.services.ports_tracking import LoggedModelRow, RunRow
from greenroom.services.tracking_views import model_files, run_files

T = TypeVar("T")
CONTEXT_TAG = "mlflow.data.context"
_NOBODY = "anonymous"  # what an edge calls those who do not say who they are
USER_TAG = "mlflow.user"
PARENT_TAG = "mlflow.parentRunId"
"""The tag that names the run within which a run was started."""
_CODE = ("mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.git.repoURL", "mlflow.source.name")
_OF_MODEL = re.compile(r"(?:^|/)models/(m-[0-9a-f]{32})/artifacts(?:/|$)")
_OF_RUN = re.compile(r"(?:^|/)([A-Za-z0-9][A-Za-z0-9_\-]{0,255})/artifacts(?:/|$)")


@dataclass(frozen=True)
class Facts:
    """What is known of a training."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[Dataset, ...] = ()
    context: Context = field(default_factory=Context)
    whole_run: bool = True  # the metrics are those of the run; else the logged model's own


def find_run(tx: ReadTx, run_id: str | None) -> RunRow | None:
    """Return a run that is kept here, or None: versions may come from runs of other servers."""
    return tx.find_run(run_id) if run_id and is_run_id(run_id) else None


def find_model(tx: ReadTx, model_id: str | None) -> LoggedModelRow | None:
    """Return a living logged model that is kept here, or None: it may be another server's."""
    found = tx.find_logged_model(model_id) if model_id and is_model_id(model_id) else None
    return found if found is not None and found.deleted_at is None else None


def run_tree(row: RunRow) -> str | None:
    """Return the path of a run's files in this server's tree, None when they are elsewhere."""
    return tree_path(run_files(row))


def model_tree(row: LoggedModelRow) -> str | None:
    """Return the path of a logged model's files in this server's tree, None when they are elsewhere."""
    return tree_path(model_files(row))


def maker_of(tx: ReadTx, path: str) -> tuple[str | None, str | None]:
    """Return the run and the logged model whose files a path of this server's tree names; None where it is none's."""
    found = _OF_MODEL.search(path)
    model = find_model(tx, found[1]) if found else None
    if model is not None and _lies_in(path, model_tree(model)):
        return model.source_run_id or None, model.id
    found = _OF_RUN.search(path)
    run = find_run(tx, found[1]) if found else None
    return (run.id if run is not None and _lies_in(path, run_tree(run)) else None), None


def _lies_in(path: str, tree: str | None) -> bool:
    return tree is not None and f"{path}/".startswith(f"{tree}/")


def with_facts(tx: ReadTx, ask: c.RegisterVersion, run_id: str | None, model_id: str | None) -> c.RegisterVersion:
    """Return the request with what its run and logged model tell; what the request says itself comes first."""
    facts = facts_of(tx, run_id, model_id)
    context = {name: value for name, value in facts.context.__dict__.items() if value}
    own = {name: value for name, value in ask.context.__dict__.items() if value}
    return replace(
        ask,
        metrics=_room("metrics", ask.metrics, facts.metrics),
        params=_room("params", ask.params, facts.params),
        datasets=ask.datasets or facts.datasets,
        context=Context(**(context | own)),
    )


def author_of(tx: ReadTx, actor: Actor, run_id: str | None) -> str:
    """Return whose version it is: that of whoever registers it, or where nobody said who that is, the run's user's."""
    if actor.verified or actor.name != _NOBODY:
        return actor.name
    run = find_run(tx, run_id)
    user = (tx.run_tag(run.no, USER_TAG) or run.user_id) if run is not None else ""
    return user if user and _fits(check_actor_name, user) else actor.name


def _room(what: str, own: Mapping[str, T], more: Mapping[str, T]) -> dict[str, T]:
    """Both together, as far as a version can hold them; the keys that come first in the alphabet go first."""
    extra = sorted(set(more) - set(own))[: max(COUNTS[what] - len(own), 0)]
    return {**own, **{key: more[key] for key in extra}}


def facts_of(tx: ReadTx, run_id: str | None, model_id: str | None) -> Facts:
    """Return what the run and the logged model tell; nothing for those of other servers.

    A run may have trained several models, or one model at several steps: then only a model's own metrics are about it.
    Of a run that wrote one model at its end the newest value of every metric counts. (Clients copy to a model what its
    run logged at the model's step, which is 0 where nobody says one: the first epoch's loss, not the last one's.)
    """
    run, model = find_run(tx, run_id), find_model(tx, model_id)
    of_run = tx.run_parts([run.no])[run.no] if run is not None else None
    of_model = tx.logged_model_parts([model.id])[model.id] if model is not None else None
    metrics, whole_run = of_run.metrics if of_run else [], True
    if model is not None and of_model is not None and of_model.metrics:
        whole_run = of_run is not None and of_run.outputs == [ModelOutput(model.id)]
        metrics = metrics if whole_run else of_model.metrics
    tags = of_run.tags if of_run else {}
    used = [each for each in (of_run.datasets if of_run else []) if _fits(check_dataset_name, each.dataset.name)]
    return Facts(
        {key: each.value for key, each in newest(metrics).items() if math.isfinite(each.value)},
        {**(of_run.params if of_run else {}), **(of_model.params if of_model else {})},
        tuple(_dataset(each) for each in used[: COUNTS["datasets"]]),
        replace(context_of(tags), **_run_facts(run, tags)),
        whole_run,
    )


def context_of(tags: Mapping[str, str]) -> Context:
    """Return the code that a run's tags name, as far as a version can hold it: without secrets."""
    code = (tags.get(tag, "") for tag in _CODE)
    commit, branch, remote, entry = (text if _fits(check_param_value, text) else None for text in code)
    return Context(
        git_commit=commit, git_branch=branch, git_remote=without_credentials(remote) or None, entry_point=entry
    )


def _run_facts(run: RunRow | None, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the name, the parent and the user of a run; what is not known is left out."""
    if run is None:
        return {}
    told = {"run_name": run.name, "parent_run": tags.get(PARENT_TAG, ""), "user": tags.get(USER_TAG) or run.user_id}
    return {name: text for name, text in told.items() if _fits(check_param_value, text)}


def _dataset(given: DatasetInput) -> Dataset:
    source = given.dataset.source
    return Dataset(
        given.dataset.name,
        given.dataset.digest,
        source if _fits(check_param_value, source) else None,
        given.tags.get(CONTEXT_TAG),
    )


def _fits(check: Callable[[object], str], text: str) -> bool:
    """Say whether a version can hold a text, and there is one."""
    try:
        return bool(check(text)) if text else False
    except InvalidInput:
        return False
