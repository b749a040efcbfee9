"""Queries about models and versions."""

from __future__ import annotations

from greenroom.core.model import Dataset, SlotKind
from greenroom.services.ports import ModelRow, VersionRow
from greenroom.store.driver import Connection


class CatalogReads:
    """The catalog's part of `services.ports.ReadTx`."""

    db: Connection

    def find_model(self, name: str) -> ModelRow | None:
        """Return the living model of that name, or None."""
        row = self.db.one(self.db.sql["model_by_name"], {"name": name})
        return ModelRow(*row) if row else None

    def find_twin(self, name_key: str) -> ModelRow | None:
        """Return the living model whose name looks the same, or None."""
        row = self.db.one(self.db.sql["model_by_key"], {"name_key": name_key})
        return ModelRow(*row) if row else None

    def find_tombstone(self, name: str) -> ModelRow | None:
        """Return the model of that name that was deleted last, or None."""
        row = self.db.one(self.db.sql["model_tombstone"], {"name": name})
        return ModelRow(*row) if row else None

    def next_number(self, name: str) -> int:
        """Return the number after the highest ever given under that name, deleted models included; 1 for a new name."""
        row = self.db.one(self.db.sql["model_next_number"], {"name": name})
        return int(row[0]) if row and row[0] is not None else 1

    def living_models(self) -> list[tuple[int, str, str]]:
        """Return (id, name, lifecycle) of every living model, oldest first."""
        return [(int(i), str(n), str(lc)) for i, n, lc in self.db.all(self.db.sql["living_models"])]

    def model_tags(self, model_id: int) -> dict[str, str]:
        """Return a model's tags, by key."""
        return {str(k): str(v) for k, v in self.db.all(self.db.sql["model_tags"], {"model_id": model_id})}

    def aliases(self, model_id: int) -> dict[str, int]:
        """Return a model's aliases and the version each points at."""
        return {str(k): int(v) for k, v in self.db.all(self.db.sql["model_aliases"], {"model_id": model_id})}

    def find_version(self, model_id: int, version: int) -> VersionRow | None:
        """Return a version, deleted ones too, or None."""
        row = self.db.one(self.db.sql["version_row"], {"model_id": model_id, "version": version})
        return VersionRow(*row) if row else None

    def versions_made_from(self, model: str, version: int, limit: int) -> list[tuple[str, int]]:
        """Return (model, number) of the versions whose parent is this one, oldest model first."""
        rows = self.db.all(self.db.sql["versions_made_from"], {"model": model, "version": version, "limit": limit})
        return [(str(name), int(number)) for name, number in rows]

    def versions_of_run(self, run_id: str, limit: int) -> list[tuple[str, int]]:
        """Return (model, number) of the living versions that came of a run, oldest model first."""
        rows = self.db.all(self.db.sql["versions_of_run"], {"run_id": run_id, "limit": limit})
        return [(str(name), int(number)) for name, number in rows]

    def version_tags(self, model_id: int, version: int) -> dict[str, str]:
        """Return a version's tags, by key."""
        return dict(self.db.all(self.db.sql["version_tags"], {"model_id": model_id, "version": version}))

    def version_metrics(self, model_id: int, version: int) -> dict[str, float]:
        """Return a version's newest value of every metric."""
        return dict(self.db.all(self.db.sql["version_metrics"], {"model_id": model_id, "version": version}))

    def version_params(self, model_id: int, version: int) -> dict[str, str]:
        """Return a version's parameters."""
        return dict(self.db.all(self.db.sql["version_params"], {"model_id": model_id, "version": version}))

    def version_datasets(self, model_id: int, version: int) -> tuple[Dataset, ...]:
        """Return the data sets of a version, in the order in which they were given."""
        rows = self.db.all(self.db.sql["version_datasets"], {"model_id": model_id, "version": version})
        return tuple(Dataset(*row) for row in rows)

    def version_slots(self, model_id: int, version: int) -> list[tuple[SlotKind, str]]:
        """Return the stage and the aliases that a version holds."""
        rows = self.db.all(self.db.sql["version_slots"], {"model_id": model_id, "version": version})
        return sorted((SlotKind(kind), str(slot)) for kind, slot in rows)

    def living_versions(self, model_id: int) -> list[int]:
        """Return the numbers of the versions that are not deleted, ascending."""
        return [int(row[0]) for row in self.db.all(self.db.sql["living_versions"], {"model_id": model_id})]

    def versions_deleted_by(self, model_id: int, event: int) -> list[int]:
        """Return the versions that one event deleted, ascending."""
        rows = self.db.all(self.db.sql["versions_deleted_by"], {"model_id": model_id, "event": event})
        return [int(row[0]) for row in rows]

    def metric_of_versions(self, model_id: int, key: str) -> dict[int, float | None]:
        """Return one metric of every living version; None where it is not recorded."""
        return {
            int(v): x for v, x in self.db.all(self.db.sql["metric_of_versions"], {"model_id": model_id, "key": key})
        }
