"""Searches: a parsed filter and an order become one statement with bound parameters, paged by keyset.

The words of a filter reach SQL through tables of our own column names only; values are always bound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from greenroom.core.search import PROMPT_TAG, Comparison, Entity, Filter, Op, Order, Prompts
from greenroom.services.ports import ModelRow, VersionRow
from greenroom.store.bound import Bound
from greenroom.store.driver import Connection

_MODEL = (
    "id",
    "name",
    "description",
    "created_at",
    "updated_at",
    "author",
    "next_version",
    "lifecycle",
    "deleted_event",
)
_MODEL_FIELDS = {
    name: f"m.{name}" for name in ("name", "description", "author", "created_at", "updated_at", "lifecycle")
}
_VERSION_FIELDS = {
    "name": "m.name",
    "run_id": "v.run_id",
    "source": "v.source",
    "version": "v.version",
    "author": "v.author",
    "description": "v.description",
    "created_at": "v.created_at",
    "updated_at": "v.updated_at",
    "digest": "v.manifest",
}
_SLOT_FIELDS = {"stage": "stage", "alias": "alias"}
_PARTS = {Entity.TAG: "version_tag", Entity.METRIC: "version_metric", Entity.PARAM: "version_param"}
_OF_VERSION = "p.model_id = v.model_id AND p.version = v.version"


class _Builder(Bound):
    """Conditions on models and versions."""

    def __init__(self, mark: Callable[[str], str], fields: dict[str, str]) -> None:
        super().__init__(mark)
        self._fields = fields

    def add(self, comparison: Comparison, tags: str) -> None:
        """`tags` is the condition that ties a tag row `p` to the row searched."""
        field, op = comparison.field, comparison.op
        if field.entity is Entity.ATTRIBUTE:
            if field.key in _SLOT_FIELDS:
                self.conditions.append(self._holds(field.key, op, comparison.value))
            else:
                self.conditions.append(
                    self.compare(self._column(field.key, op, comparison.value), op, comparison.value)
                )
            return
        table = "model_tag" if tags.startswith("p.model_id = m.id") else _PARTS[field.entity]
        key = self.bind(field.key)
        self.conditions.append(
            f"EXISTS (SELECT 1 FROM {table} p WHERE {tags} AND p.key = {key} "
            f"AND {self.compare('p.value', op, comparison.value)})"
        )

    def _column(self, key: str, op: Op, value: Any) -> str:
        """A version without a run has the run "": it is other than every run. Asked for one run, an index helps."""
        column = self._fields[key]
        one_run = op in (Op.EQ, Op.IN) and "" not in (value if isinstance(value, tuple) else (value,))
        return column if key != "run_id" or one_run else f"COALESCE({column}, '')"

    def _holds(self, kind: str, op: Op, value: Any) -> str:
        """A version holds one stage and many aliases, so "is not" means: holds none of these."""
        names = value if isinstance(value, tuple) else (value,)
        listed = ", ".join(self.bind_lower(name) for name in names)
        negated = "NOT " if op in (Op.NE, Op.NOT_IN) else ""
        return (
            f"{negated}EXISTS (SELECT 1 FROM tenure t WHERE t.model_id = v.model_id AND t.version = v.version "
            f"AND t.kind = '{_SLOT_FIELDS[kind]}' AND t.until_event IS NULL AND LOWER(t.slot) IN ({listed}))"
        )

    def prompts(self, prompts: Prompts, tests: Sequence[str]) -> None:
        if prompts is Prompts.ANY:
            return
        key, yes = self.bind(PROMPT_TAG), self.bind("true")
        is_prompt = " OR ".join(
            f"EXISTS (SELECT 1 FROM {test} AND p.key = {key} AND p.value = {yes})" for test in tests
        )
        self.conditions.append(f"{'NOT ' if prompts is Prompts.HIDDEN else ''}({is_prompt})")

    def after(self, order: Sequence[Order], cursor: Sequence[Any]) -> None:
        """Keep the rows behind the cursor in the order."""
        self.behind([self._fields[each.key] for each in order], [each.descending for each in order], cursor)

    def tail(self, order: Sequence[Order], limit: int) -> str:
        """The statement's end: conditions, order and bound."""
        keys = ", ".join(self._fields[each.key] + (" DESC" if each.descending else "") for each in order)
        return f"WHERE {' AND '.join(self.conditions)} ORDER BY {keys} LIMIT {self.bind(limit)}"

    def keys(self, order: Sequence[Order]) -> str:
        return ", ".join(self._fields[each.key] for each in order)


class SearchReads:
    """The searching part of `services.ports.ReadTx`."""

    db: Connection

    def search_models(
        self, filter: Filter, order: Sequence[Order], after: Sequence[Any] | None, limit: int
    ) -> list[tuple[ModelRow, list[Any]]]:
        """Return living models that meet the filter, in order, each with its cursor; those behind `after` if given."""
        tags = "p.model_id = m.id"
        build = _Builder(self.db.mark, _MODEL_FIELDS)
        build.conditions.append("m.deleted_event IS NULL")
        for comparison in filter.comparisons:
            build.add(comparison, tags)
        build.prompts(filter.prompts, [f"model_tag p WHERE {tags}"])
        if after is not None:
            build.after(order, after)
        columns = ", ".join(f"m.{column}" for column in _MODEL)
        text = f"SELECT {columns}, {build.keys(order)} FROM model m {build.tail(order, limit)}"
        split = len(_MODEL)
        return [(ModelRow(*row[:split]), list(row[split:])) for row in self.db.all(text, build.params)]

    def search_versions(
        self, filter: Filter, order: Sequence[Order], after: Sequence[Any] | None, limit: int
    ) -> list[tuple[ModelRow, VersionRow, list[Any]]]:
        """Return living versions of living models that meet the filter, in order, each with its cursor."""
        build = _Builder(self.db.mark, _VERSION_FIELDS)
        build.conditions += ["m.deleted_event IS NULL", "v.deleted_event IS NULL"]
        for comparison in filter.comparisons:
            build.add(comparison, _OF_VERSION)
        build.prompts(filter.prompts, [f"version_tag p WHERE {_OF_VERSION}"])
        if after is not None:
            build.after(order, after)
        version = self.db.columns["version"]
        columns = ", ".join([*(f"m.{column}" for column in _MODEL), *(f"v.{column}" for column in version)])
        source = "version v JOIN model m ON m.id = v.model_id"
        text = f"SELECT {columns}, {build.keys(order)} FROM {source} {build.tail(order, limit)}"
        one, two = len(_MODEL), len(_MODEL) + len(version)
        rows = self.db.all(text, build.params)
        return [(ModelRow(*row[:one]), VersionRow(*row[one:two]), list(row[two:])) for row in rows]
