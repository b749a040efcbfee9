"""Searches over runs, experiments and logged models: filter and order become one statement, paged by keyset.

Every search answers (key of the row, its cursor) pairs; the rows are fetched by key afterwards, many at once. What has
no value in an order comes last whatever the direction, and NaN before that, as on a stock MLflow server.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from greenroom.core.search import Comparison, Entity, Filter, Op, Order
from greenroom.core.tracking import Which
from greenroom.store.bound import Bound
from greenroom.store.driver import Connection

_RUN = {name: f"e.{name}" for name in ("id", "name", "status", "user_id", "start_time", "end_time")} | {
    "artifact_uri": "(SELECT x.artifact_location FROM experiment x WHERE x.id = e.experiment_id)"
    " || '/' || e.id || '/artifacts'"
}
_EXPERIMENT = {name: f"e.{name}" for name in ("id", "name", "created_at", "updated_at")}
_LOGGED = {
    name: f"e.{name}" for name in ("id", "name", "status", "source_run_id", "model_type", "created_at", "updated_at")
}
_NEVER_NULL = frozenset({"id", "name", "status", "start_time", "created_at", "updated_at"})
_EMPTY = {"end_time": "0", "value": "0"}  # what stands for nothing where numbers are compared; elsewhere a text
_ORDERED_BY = 40  # characters of a tag or parameter; a cursor must fit into a page token
_OPS = {Op.IS_NULL: "NOT EXISTS", Op.IS_NOT_NULL: "EXISTS"}
_RANK = ("timestamp", "step", "run_id", "dataset_name", "dataset_digest")  # of points of a logged model's metric


class _Query(Bound):
    """One search: `e` is the row searched, `tables` says where its tags, parameters and metrics are."""

    def __init__(
        self, mark: Callable[[str], str], fields: dict[str, str], tables: dict[Entity, str], owner: str
    ) -> None:
        """`owner` ties a row `p` of one of the tables to `e`."""
        super().__init__(mark)
        self._fields = fields
        self._tables = tables
        self._owner = owner
        self._columns: list[str] = []
        self._descending: list[bool] = []
        self.joins: list[str] = []

    def living(self, which: Which) -> None:
        """Keep the living, the deleted or all."""
        if which is not Which.ALL:
            self.conditions.append(f"e.deleted_at IS {'' if which is Which.ACTIVE else 'NOT '}NULL")

    def among(self, column: str, values: Sequence[Any]) -> None:
        """Keep rows whose column is one of the values."""
        self.conditions.append(self.compare(column, Op.IN, values) if values else "1 = 0")

    def add(self, comparison: Comparison, extra: str = "") -> None:
        """Add one condition of a filter; `extra` is one more about the row `p` of a metric."""
        field, op = comparison.field, comparison.op
        if field.entity is Entity.ATTRIBUTE:
            self.conditions.append(self.compare(self._fields[field.key], op, comparison.value))
        elif field.entity is Entity.DATASET:
            self.conditions.append(self._used(field.key, op, comparison.value))
        else:
            found = (
                f"(SELECT 1 FROM {self._tables[field.entity]} p WHERE {self._owner} AND p.key = {self.bind(field.key)}"
            )
            if op in _OPS:
                self.conditions.append(f"{_OPS[op]} {found})")
                return
            compared = self.compare("p.value", op, comparison.value)
            if field.entity is Entity.METRIC:  # NaN is other than every number, and in no other relation to any
                compared = f"(p.is_nan = 1 OR {compared})" if op is Op.NE else f"p.is_nan = 0 AND {compared}"
                found += extra
            self.conditions.append(f"EXISTS {found} AND {compared})")

    def _used(self, key: str, op: Op, value: Any) -> str:
        column = "p.context" if key == "context" else f"d.{key}"
        return (
            "EXISTS (SELECT 1 FROM run_dataset p JOIN dataset d ON d.no = p.dataset_no "
            f"WHERE {self._owner} AND {self.compare(column, op, value)})"
        )

    def order(self, order: Sequence[Order], *, newest: bool = False) -> None:
        """Take over the order; keys of metrics, parameters and tags are joined. `newest`: of several points of a metric
        the newest one stands for it.
        """
        for at, each in enumerate(order):
            if each.entity is Entity.ATTRIBUTE and each.key in _NEVER_NULL:
                self._by(self._fields[each.key], descending=each.descending)
                continue
            column, nan = self._fields.get(each.key, ""), ""
            if each.entity is not Entity.ATTRIBUTE:
                column = self._joined(at, each, newest=newest and each.entity is Entity.METRIC)
                nan = f"WHEN o{at}.is_nan = 1 THEN 1 " if each.entity is Entity.METRIC else ""
            if each.entity in (Entity.PARAM, Entity.TAG):
                column = f"substr({column}, 1, {_ORDERED_BY})"
            kind = "value" if each.entity is Entity.METRIC else each.key
            nothing = _EMPTY.get(kind, "''") if each.entity in (Entity.ATTRIBUTE, Entity.METRIC) else "''"
            self._by(f"(CASE WHEN {column} IS NULL THEN 2 {nan}ELSE 0 END)", descending=False)
            self._by(f"COALESCE({column}, {nothing})", descending=each.descending)

    def _joined(self, at: int, order: Order, *, newest: bool) -> str:
        owner = self._owner.replace("p.", f"o{at}.")
        key = self.bind(order.key)
        more = self._newest(f"o{at}", order.dataset) if newest else ""
        self.joins.append(f"LEFT JOIN {self._tables[order.entity]} o{at} ON {owner} AND o{at}.key = {key}{more}")
        return f"o{at}.value"

    def _newest(self, point: str, dataset: tuple[str | None, str | None]) -> str:
        """Return the condition that a point of a logged model's metric is the newest of those on the data set."""
        names = [(column, value) for column, value in zip(("name", "digest"), dataset, strict=True) if value]
        parts = [(f"dataset_{column}", self.bind(value)) for column, value in names]
        here, there = ("".join(f" AND {owner}.{column} = {mark}" for column, mark in parts) for owner in (point, "n"))
        mine, other = (", ".join(f"{owner}.{column}" for column in _RANK) for owner in (point, "n"))
        return (
            f"{here} AND NOT EXISTS (SELECT 1 FROM logged_model_metric n WHERE n.model_id = {point}.model_id"
            f" AND n.key = {point}.key{there} AND ({other}) > ({mine}))"
        )

    def _by(self, column: str, *, descending: bool) -> None:
        self._columns.append(column)
        self._descending.append(descending)

    def text(self, table: str, key: str, after: Sequence[Any] | None, limit: int) -> str:
        """Return the statement: the key and the cursor of each row."""
        if after is not None:
            self.behind(self._columns, self._descending, after)
        where = f" WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        order = ", ".join(
            column + (" DESC" if down else "") for column, down in zip(self._columns, self._descending, strict=True)
        )
        return (
            f"SELECT {', '.join([key, *self._columns])} FROM {table} e {' '.join(self.joins)}{where} "
            f"ORDER BY {order} LIMIT {self.bind(limit)}"
        )


Found = list[tuple[Any, list[Any]]]


class TrackingSearches:
    """The searching part of `services.ports_tracking.TrackingReads`."""

    db: Connection

    def search_runs(
        self,
        experiment_ids: Sequence[int] | None,
        which: Which,
        filter: Filter,
        order: Sequence[Order],
        after: Sequence[Any] | None,
        limit: int,
    ) -> Found:
        """Return (number of the run, cursor) of runs of experiments (None: of all) that meet the filter, in order."""
        tables = {Entity.TAG: "run_tag", Entity.PARAM: "run_param", Entity.METRIC: "run_metric"}
        query = _Query(self.db.mark, _RUN, tables, "p.run_no = e.no")
        if experiment_ids is not None:
            query.among("e.experiment_id", experiment_ids)
        query.living(which)
        for comparison in filter.comparisons:
            query.add(comparison)
        query.order(order)
        return self._found(query.text("run", "e.no", after, limit), query)

    def search_experiments(
        self, which: Which, filter: Filter, order: Sequence[Order], after: Sequence[Any] | None, limit: int
    ) -> Found:
        """Return (id, cursor) of the experiments that meet the filter, in order."""
        query = _Query(self.db.mark, _EXPERIMENT, {Entity.TAG: "experiment_tag"}, "p.experiment_id = e.id")
        query.living(which)
        for comparison in filter.comparisons:
            query.add(comparison)
        query.order(order)
        return self._found(query.text("experiment", "e.id", after, limit), query)

    def search_logged_models(
        self,
        experiment_ids: Sequence[int],
        datasets: Sequence[tuple[str, str | None]],
        filter: Filter,
        order: Sequence[Order],
        after: Sequence[Any] | None,
        limit: int,
    ) -> Found:
        """Return (id, cursor) of logged models. With `datasets` the filter counts metrics on one of them only; a key of
        the order names its own.
        """
        tables = {
            Entity.TAG: "logged_model_tag",
            Entity.PARAM: "logged_model_param",
            Entity.METRIC: "logged_model_metric",
        }
        query = _Query(self.db.mark, _LOGGED, tables, "p.model_id = e.id")
        query.among("e.experiment_id", experiment_ids)
        query.living(Which.ACTIVE)
        measured = _on(query, datasets)
        if measured and not any(each.field.entity is Entity.METRIC for each in filter.comparisons):
            query.conditions.append(f"EXISTS (SELECT 1 FROM logged_model_metric p WHERE p.model_id = e.id{measured})")
        for comparison in filter.comparisons:
            query.add(comparison, measured)
        query.order(order, newest=True)
        return self._found(query.text("logged_model", "e.id", after, limit), query)

    def _found(self, text: str, query: _Query) -> Found:
        return [(row[0], list(row[1:])) for row in self.db.all(text, query.params)]


def _on(query: _Query, datasets: Sequence[tuple[str, str | None]]) -> str:
    """Return the condition that a metric `p` was measured on one of the data sets."""
    ways = [
        f"(p.dataset_name = {query.bind(name)}"
        + (f" AND p.dataset_digest = {query.bind(digest)})" if digest is not None else ")")
        for name, digest in datasets
    ]
    return f" AND ({' OR '.join(ways)})" if ways else ""
