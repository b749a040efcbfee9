"""Use cases that search: a filter, an order and a page token become one keyset query."""

from __future__ import annotations

from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor, Page, RegisteredModel, Version
from greenroom.core.names import shown
from greenroom.core.paging import check_page_size, decode_token, encode_token, page_scope
from greenroom.core.search import (
    MODELS,
    NATIVE_MODELS,
    NATIVE_VERSIONS,
    VERSIONS,
    Dialect,
    Filter,
    Order,
    parse_filter,
    parse_order_by,
)
from greenroom.services import commands as c
from greenroom.services.ports import ReadTx
from greenroom.services.views import model_view, version_view

_MAX_MODELS = 1_000
_MAX_VERSIONS = {"native": 1_000, "mlflow": 200_000}


def search_models(tx: ReadTx, ask: c.SearchModels, actor: Actor) -> Page[RegisteredModel]:
    """Return a page of the models that meet the filter. Raises InvalidInput for filter, order, size or token."""
    dialect = _dialect(ask.dialect, native=NATIVE_MODELS, mlflow=MODELS)
    size = check_page_size(ask.page_size, default=100, maximum=_MAX_MODELS, parameter=_parameter(ask.dialect))
    chosen, order, scope = _parse(ask, dialect, "models", actor)
    found = tx.search_models(chosen, order, _after(tx, scope, ask.page_token), size + 1)
    items = tuple(model_view(tx, row) for row, _ in found[:size])
    return Page(items, _next(tx, scope, [cursor for _, cursor in found], size))


def search_versions(tx: ReadTx, ask: c.SearchVersions, actor: Actor) -> Page[Version]:
    """Return a page of the versions that meet the filter. Raises InvalidInput for filter, order, size or token."""
    dialect = _dialect(ask.dialect, native=NATIVE_VERSIONS, mlflow=VERSIONS)
    maximum = _MAX_VERSIONS.get(ask.dialect, _MAX_MODELS)
    size = check_page_size(ask.page_size, default=100, maximum=maximum, parameter=_parameter(ask.dialect))
    chosen, order, scope = _parse(ask, dialect, "versions", actor)
    found = tx.search_versions(chosen, order, _after(tx, scope, ask.page_token), size + 1)
    items = tuple(version_view(tx, model, row) for model, row, _ in found[:size])
    return Page(items, _next(tx, scope, [cursor for _, _, cursor in found], size))


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


def _next(tx: ReadTx, scope: str, cursors: list[list[object]], size: int) -> str | None:
    if len(cursors) <= size:
        return None
    return encode_token(tx.page_secret(), scope, cursors[size - 1])  # type: ignore[arg-type]
