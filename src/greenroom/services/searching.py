"""Use cases that search: a filter, an order and a page token become one keyset query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TypeVar

from greenroom.core.dialects import MODELS, NATIVE_MODELS, NATIVE_VERSIONS, VERSIONS
from greenroom.core.errors import InvalidInput
from greenroom.core.limits import bound
from greenroom.core.model import Actor, Page, RegisteredModel, Version
from greenroom.core.names import shown
from greenroom.core.paging import check_page_size, decode_token, encode_token, page_scope
from greenroom.core.search import Dialect, Filter, Order, parse_filter, parse_order_by
from greenroom.services import commands as c
from greenroom.services.ports import ReadTx
from greenroom.services.views import model_view, version_view

PAGE_BYTES = bound("page_bytes")
_PORTION = 257  # one more than fits the pages that people ask for
_SMALLEST_ITEM = 400
_MAX_MODELS = 1_000
_MAX_VERSIONS = {"native": 1_000, "mlflow": 200_000}

Item = TypeVar("Item", RegisteredModel, Version)
_Found = tuple[Callable[[], Item], list[object]]


def search_models(tx: ReadTx, ask: c.SearchModels, actor: Actor) -> Page[RegisteredModel]:
    """Return a page of the models that meet the filter. Raises InvalidInput for filter, order, size or token."""
    dialect = _dialect(ask.dialect, native=NATIVE_MODELS, mlflow=MODELS)
    size = check_page_size(ask.page_size, default=100, maximum=_MAX_MODELS, parameter=_parameter(ask.dialect))
    chosen, order, scope = _parse(ask, dialect, "models", actor)

    def find(after: list[object] | None, count: int) -> Iterator[_Found[RegisteredModel]]:
        for row, cursor in tx.search_models(chosen, order, after, count):
            yield partial(model_view, tx, row), cursor

    items, last = _gather(find, _after(tx, scope, ask.page_token), size)
    return Page(items, _next(tx, scope, last))


def search_versions(tx: ReadTx, ask: c.SearchVersions, actor: Actor) -> Page[Version]:
    """Return a page of the versions that meet the filter. Raises InvalidInput for filter, order, size or token."""
    dialect = _dialect(ask.dialect, native=NATIVE_VERSIONS, mlflow=VERSIONS)
    maximum = _MAX_VERSIONS.get(ask.dialect, _MAX_MODELS)
    size = check_page_size(ask.page_size, default=100, maximum=maximum, parameter=_parameter(ask.dialect))
    chosen, order, scope = _parse(ask, dialect, "versions", actor)

    def find(after: list[object] | None, count: int) -> Iterator[_Found[Version]]:
        for model, row, cursor in tx.search_versions(chosen, order, after, count):
            yield partial(version_view, tx, model, row), cursor

    items, last = _gather(find, _after(tx, scope, ask.page_token), size)
    return Page(items, _next(tx, scope, last))


def _gather(
    find: Callable[[list[object] | None, int], Iterable[_Found[Item]]], after: list[object] | None, size: int
) -> tuple[tuple[Item, ...], list[object] | None]:
    """Return the items of a page, and the cursor of the last one if there are more.

    A page ends early when its texts are over the limit: a thousand versions with long descriptions and tags must not
    fill the memory. Hence rows are asked for in portions as large as the texts so far allow.
    """
    items: list[Item] = []
    used, last, portion = 0, after, _PORTION
    while True:
        count = min(size + 1 - len(items), portion)
        seen = 0
        for view, cursor in find(last, count):
            if len(items) == size or used > PAGE_BYTES:
                return tuple(items), last
            seen, last = seen + 1, cursor
            items.append(view())
            used += _weight(items[-1])
        if seen < count:
            return tuple(items), None
        portion = max(_PORTION, (PAGE_BYTES - used) * len(items) // max(used, 1))


def _weight(item: RegisteredModel | Version) -> int:
    """Return about how many characters an item's texts have."""
    texts = [item.description or "", *item.tags, *item.tags.values()]
    if isinstance(item, Version):
        texts += [item.source or "", *item.params, *item.params.values()]
    return _SMALLEST_ITEM + sum(map(len, texts))


def _dialect(name: str, **known: Dialect) -> Dialect:
    if name not in known:
        raise InvalidInput(f"{shown(name)!r} is no dialect of filters.", hint="Use native or mlflow.", field="dialect")
    return known[name]


def _parameter(dialect: str) -> str:
    return "max_results" if dialect == "mlflow" else "page_size"


def _parse(
    ask: c.SearchModels | c.SearchVersions, dialect: Dialect, what: str, actor: Actor
) -> tuple[Filter, tuple[Order, ...], str]:
    """Return filter, order and the scope of a page token: it is good for the same search by the same actor only."""
    scope = page_scope(what, ask.dialect, ask.filter or "", "\n".join(ask.order_by), actor.name)
    return parse_filter(ask.filter, dialect), parse_order_by(ask.order_by, dialect), scope


def _after(tx: ReadTx, scope: str, token: str | None) -> list[object] | None:
    return list(decode_token(tx.page_secret(), scope, token)) if token else None


def _next(tx: ReadTx, scope: str, last: list[object] | None) -> str | None:
    return None if last is None else encode_token(tx.page_secret(), scope, last)  # type: ignore[arg-type]
