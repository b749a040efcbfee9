"""Queries about slots: holders, tenures, promotions, lifecycles."""

from __future__ import annotations

import json
from typing import Any

from greenroom.core.codec import from_plain
from greenroom.core.model import (
    Binding,
    Displaced,
    GateResult,
    LifecycleRevision,
    Promotion,
    PromotionKind,
    PromotionStatus,
    Refusal,
    SlotKind,
    Tenure,
)
from greenroom.services.ports import BindingRow, ModelRow
from greenroom.store.driver import Connection, Row

_MOST_HOLDERS = 10_000
_MOST_TENURES = 1_000


def _tenure(row: Row, model: str) -> Tenure:
    (_, version, kind, slot, since, _exclusive, since_at, by, reason, promotion, until, until_at, until_by, ended) = row
    return Tenure(
        model=model,
        version=version,
        slot=slot,
        kind=SlotKind(kind),
        since=since,
        since_at=since_at,
        by=by,
        reason=reason,
        promotion=promotion,
        until=until,
        until_at=until_at,
        until_by=until_by,
        ended_by=PromotionKind(ended) if ended else None,
    )


def _age(tenure: Tenure) -> tuple[int, int]:
    """Oldest first. Sorted here, not in SQL: there are mostly one or two, and a sorter costs more than the look-up."""
    return tenure.since, tenure.version


def _promotion(row: Row, model: str) -> Promotion:
    values = dict(zip(_PROMOTION, row, strict=True))
    for name, kind in _PROMOTION_LISTS.items():
        values[name] = from_plain(tuple[kind, ...], json.loads(values[name]), lenient=True)  # type: ignore[valid-type]
    values["slot_kind"] = SlotKind(values["slot_kind"])
    values["kind"] = PromotionKind(values["kind"])
    values["status"] = PromotionStatus(values["status"])
    del values["model_id"]
    return Promotion(model=model, event=values["id"], **values)


_PROMOTION = (
    "id",
    "model_id",
    "version",
    "slot",
    "slot_kind",
    "kind",
    "status",
    "lifecycle",
    "lifecycle_revision",
    "at",
    "requested_by",
    "from_stage",
    "digest",
    "reason",
    "displaced",
    "refusals",
    "gates",
    "warnings",
    "chosen_because",
)
_PROMOTION_LISTS: dict[str, Any] = {"displaced": Displaced, "refusals": Refusal, "gates": GateResult, "warnings": str}


class SlotReads:
    """The part of `services.ports.ReadTx` about slots and the policies over them."""

    db: Connection

    def _tenures(self, statement: str, model: ModelRow, **params: Any) -> tuple[Tenure, ...]:
        rows = self.db.all(self.db.sql[statement], {"model_id": model.id, **params})
        return tuple(_tenure(row, model.name) for row in rows)

    def holders(self, model: ModelRow, kind: SlotKind, slot: str) -> tuple[Tenure, ...]:
        """Return who holds the slot now, oldest first: one look-up in one index."""
        found = self._tenures("holders", model, kind=kind.value, slot=slot, limit=_MOST_HOLDERS)
        return tuple(sorted(found, key=_age)) if len(found) > 1 else found

    def holders_at(self, model: ModelRow, kind: SlotKind, slot: str, at: int) -> tuple[Tenure, ...]:
        """Return who held the slot at a time, newest first."""
        return self._tenures("holders_at", model, kind=kind.value, slot=slot, at=at, limit=_MOST_HOLDERS)

    def newest_in_slot(self, model_id: int, kind: SlotKind, slot: str) -> int | None:
        """Return the highest version in the slot, or None."""
        row = self.db.one(self.db.sql["newest_in_slot"], {"model_id": model_id, "kind": kind.value, "slot": slot})
        return int(row[0]) if row else None

    def versions_in_slot(self, model_id: int, kind: SlotKind, slot: str) -> list[int]:
        """Return the versions in the slot, newest first."""
        params = {"model_id": model_id, "kind": kind.value, "slot": slot, "limit": _MOST_HOLDERS}
        return [int(row[0]) for row in self.db.all(self.db.sql["versions_in_slot"], params)]

    def open_tenures(self, model: ModelRow, version: int | None) -> tuple[Tenure, ...]:
        """Return what a version holds now; with None what every version of the model holds."""
        if version is None:
            return self._tenures("open_of_model", model)
        return tuple(sorted(self._tenures("open_tenures", model, version=version), key=_age))

    def tenures_of_version(self, model: ModelRow, version: int) -> tuple[Tenure, ...]:
        """Return the newest tenures of a version, newest first."""
        return self._tenures("tenures_of_version", model, version=version, limit=_MOST_TENURES)

    def has_held(self, model_id: int, version: int, kind: SlotKind, slot: str) -> bool:
        """Say whether a version holds or ever held a slot."""
        params = {"model_id": model_id, "version": version, "kind": kind.value, "slot": slot}
        return self.db.one(self.db.sql["has_held"], params) is not None

    def history(
        self,
        model: ModelRow,
        *,
        kind: SlotKind | None,
        slot: str | None,
        version: int | None,
        before: tuple[int, int],
        limit: int,
    ) -> tuple[Tenure, ...]:
        """Return tenures older than `before` (event, version), newest first; of one slot and one version if given."""
        name = "history"
        params: dict[str, Any] = {"event": before[0], "before": before[1], "limit": limit}
        if slot is not None and kind is not None:
            name, params = name + "_of_slot", params | {"kind": kind.value, "slot": slot}
        if version is not None:
            name, params = name + ("_and_version" if slot is not None else "_of_version"), params | {"version": version}
        return self._tenures(name, model, **params)

    def stages_of_model(self, model_id: int) -> dict[str, int]:
        """Return how many versions of a model are in each stage that has any."""
        return {str(s): int(n) for s, n in self.db.all(self.db.sql["stages_of_model"], {"model_id": model_id})}

    def promotions(self, model: ModelRow, *, version: int | None, before: int, limit: int) -> tuple[Promotion, ...]:
        """Return promotions with an id below `before`, newest first, refused ones too."""
        params: dict[str, Any] = {"model_id": model.id, "before": before, "limit": limit}
        if version is None:
            rows = self.db.all(self.db.sql["promotions"], params)
        else:
            rows = self.db.all(self.db.sql["promotions_of_version"], params | {"version": version})
        return tuple(_promotion(row, model.name) for row in rows)

    def find_lifecycle(self, name: str, revision: int | None = None) -> LifecycleRevision | None:
        """Return a revision of a lifecycle (None: the newest), or None."""
        if revision is None:
            row = self.db.one(self.db.sql["lifecycle_newest"], {"name": name})
        else:
            row = self.db.one(self.db.sql["lifecycle_revision"], {"name": name, "revision": revision})
        return LifecycleRevision(*row) if row else None

    def lifecycle_history(self, name: str) -> tuple[LifecycleRevision, ...]:
        """Return every revision, newest first."""
        return tuple(LifecycleRevision(*row) for row in self.db.all(self.db.sql["lifecycle_history"], {"name": name}))

    def lifecycle_names(self) -> list[str]:
        """Return the names of all lifecycles."""
        return [str(row[0]) for row in self.db.all(self.db.sql["lifecycle_names"])]

    def bindings(self) -> list[BindingRow]:
        """Return the bindings in the order in which they are tried."""
        rows = self.db.all(self.db.sql["bindings"])
        return [BindingRow(int(p), Binding(lifecycle, pattern, tag)) for p, lifecycle, pattern, tag in rows]
