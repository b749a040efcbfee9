"""Use cases that search experiments, runs and logged models."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from greenroom.core.dialects import EXPERIMENTS, LOGGED_MODELS, RUNS
from greenroom.core.errors import InvalidInput
from greenroom.core.limits import bound
from greenroom.core.model import Actor, Page
from greenroom.core.names import LIMITS
from greenroom.core.paging import check_page_size, decode_token, encode_token, page_scope
from greenroom.core.search import parse_filter, parse_order_by
from greenroom.core.tracking import Experiment, LoggedModel, Run
from greenroom.core.tracking_names import DATASETS_PER_SEARCH, EXPERIMENTS_PER_SEARCH
from greenroom.services.commands import tracking as c
from greenroom.services.ports import ReadTx
from greenroom.services.tracking_views import experiment_views, logged_model_views, run_views

MOST_ON_A_PAGE = 50_000
PAGE_BYTES = bound("page_bytes")
_LARGEST_ID = 2**63 - 1
_PORTION = 250
_SMALLEST_ITEM = 400
_SMALLEST_POINT = 80
_CURSOR_BYTES = LIMITS["page_token"].value * 3 // 4 - 100  # base64, beside the seal

Item = TypeVar("Item", Experiment, Run, LoggedModel)
Shown = TypeVar("Shown")
Found = list[tuple[Any, list[Any]]]


def search_experiments(tx: ReadTx, ask: c.SearchExperiments, actor: Actor) -> Page[Experiment]:
    """Return a page of experiments. Raises InvalidInput for filter, order, size or token."""
    size = check_page_size(ask.page_size, default=1000, maximum=MOST_ON_A_PAGE)
    scope = page_scope("experiments", ask.filter or "", "\n".join(ask.order_by), ask.which, actor.name)
    chosen, order = parse_filter(ask.filter, EXPERIMENTS), parse_order_by(ask.order_by, EXPERIMENTS)
    found = tx.search_experiments(ask.which, chosen, order, _after(tx, scope, ask.page_token), size + 1)

    def view(keys: Sequence[int]) -> tuple[Experiment, ...]:
        rows = tx.experiments(keys)
        return experiment_views(tx, [rows[key] for key in keys])

    return _page(tx, scope, found, size, view)


def search_runs(tx: ReadTx, ask: c.SearchRuns, actor: Actor) -> Page[Run]:
    """Return a page of runs of the experiments named. Raises InvalidInput for filter, order, size or token."""
    size = check_page_size(ask.page_size, default=1000, maximum=MOST_ON_A_PAGE)
    ids = ",".join(str(each) for each in ask.experiment_ids)
    scope = page_scope("runs", ask.filter or "", "\n".join(ask.order_by), ask.which, ids, actor.name)
    chosen, order = parse_filter(ask.filter, RUNS), parse_order_by(ask.order_by, RUNS)
    after = _after(tx, scope, ask.page_token)
    found = tx.search_runs(_possible(ask.experiment_ids), ask.which, chosen, order, after, size + 1)

    def view(keys: Sequence[int]) -> tuple[Run, ...]:
        rows = tx.runs(keys)
        return run_views(tx, [rows[key] for key in keys])

    return _page(tx, scope, found, size, view)


def search_logged_models(tx: ReadTx, ask: c.SearchLoggedModels, actor: Actor) -> Page[LoggedModel]:
    """Return a page of logged models. Raises InvalidInput for filter, order, data sets, size or token."""
    size = check_page_size(ask.page_size, default=100, maximum=MOST_ON_A_PAGE)
    if any(not name for name, _ in ask.datasets):
        raise InvalidInput("`dataset_name` in the `datasets` clause must be specified.", parameter="datasets")
    _check_count("datasets", len(ask.datasets), DATASETS_PER_SEARCH)
    ids = ",".join(str(each) for each in ask.experiment_ids)
    scope = page_scope("logged_models", ask.filter or "", repr(ask.order_by), repr(ask.datasets), ids, actor.name)
    keys = [f"{each.field} {'DESC' if each.descending else 'ASC'}" for each in ask.order_by]
    measured_on = [(each.dataset_name, each.dataset_digest) for each in ask.order_by]
    chosen, order = parse_filter(ask.filter, LOGGED_MODELS), parse_order_by(keys, LOGGED_MODELS, measured_on)
    after = _after(tx, scope, ask.page_token)
    found = tx.search_logged_models(_possible(ask.experiment_ids), ask.datasets, chosen, order, after, size + 1)

    def view(keys: Sequence[str]) -> tuple[LoggedModel, ...]:
        rows = tx.logged_models(keys)
        return logged_model_views(tx, [rows[key] for key in keys])

    return _page(tx, scope, found, size, view)


def _possible(experiment_ids: Sequence[int]) -> list[int]:
    """Return the ids that an experiment can have, each once. Raises InvalidInput for too many."""
    found = [each for each in dict.fromkeys(experiment_ids) if 0 <= each <= _LARGEST_ID]
    _check_count("experiment_ids", len(found), EXPERIMENTS_PER_SEARCH)
    return found


def _check_count(what: str, count: int, maximum: int) -> None:
    if count > maximum:
        hint = f"At most {maximum} fit into one search; ask for the others in another one."
        raise InvalidInput(f"{count} {what} are too many.", hint=hint, parameter=what)


def _page(
    tx: ReadTx, scope: str, found: Found, size: int, view: Callable[[Sequence[Any]], tuple[Item, ...]]
) -> Page[Item]:
    return paged(tx, scope, found, size, view, _weight)


def paged(
    tx: ReadTx,
    scope: str,
    found: Found,
    size: int,
    view: Callable[[Sequence[Any]], tuple[Shown, ...]],
    weight: Callable[[Shown], int],
) -> Page[Shown]:
    """Return the items of a page; one whose texts are over the limit ends early, with a token for the next."""
    items: list[Shown] = []
    used = 0
    for at in range(0, min(size, len(found)), _PORTION):
        if used > PAGE_BYTES:
            break
        portion = view([key for key, _ in found[at : min(at + _PORTION, size)]])
        items += portion
        used += sum(map(weight, portion))
    more = len(found) > len(items)
    return Page(tuple(items), _token(tx, scope, found[len(items) - 1][1]) if more else None)


def _token(tx: ReadTx, scope: str, cursor: list[Any]) -> str:
    """Raises InvalidInput where the texts that were ordered by do not fit into a token."""
    if len(json.dumps(cursor)) > _CURSOR_BYTES:
        raise InvalidInput(
            "the texts that the page ends with are too long to go on behind them.",
            hint="Order by fewer keys, by a number or a time, or ask for a larger page.",
            parameter="order_by",
        )
    return encode_token(tx.page_secret(), scope, cursor)


def _weight(item: Experiment | Run | LoggedModel) -> int:
    """Return about how many characters an item takes."""
    weight = _SMALLEST_ITEM + _texts(item.tags)
    if not isinstance(item, Experiment):
        weight += _texts(item.params) + _SMALLEST_POINT * len(item.metrics)
    if isinstance(item, Run):
        for each in item.datasets:
            data = each.dataset
            weight += _texts(each.tags) + len(data.source) + len(data.schema or "") + len(data.profile or "")
    return weight


def _texts(pairs: Mapping[str, str]) -> int:
    return sum(len(key) + len(value) for key, value in pairs.items())


def _after(tx: ReadTx, scope: str, token: str | None) -> list[Any] | None:
    return list(decode_token(tx.page_secret(), scope, token)) if token else None
