"""The client: everything a registry can do, as small typed methods, the same against a URL and on a folder.

Methods raise the classes of `greenroom.core.errors`. Moves return the recorded promotion; one that was refused raises
`Refused`, which carries it, unless `check=False`. Lists are iterators that fetch pages as they go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from types import TracebackType

from greenroom.client.calls import finite, optional_version, texts, version_number
from greenroom.client.care import Care
from greenroom.client.files import Files
from greenroom.client.governance import Governance
from greenroom.client.moves import Moves
from greenroom.client.pin import Pinning
from greenroom.client.refs import Ref, is_ref, parse_ref
from greenroom.client.runs import Runs
from greenroom.client.times import parse_at
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import PromotionStatus, RegisteredModel, Tenure, Version
from greenroom.core.names import stage_key
from greenroom.services import commands as c
from greenroom.services.answers import Holding


class Registry(Moves, Files, Pinning, Governance, Care, Runs):
    """A registry. Make one with `greenroom.connect()`; use it in a `with` block or `close()` it."""

    def __enter__(self) -> Registry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<greenroom.Registry at {self.where}>"

    @property
    def where(self) -> str:
        """The server's URL or the folder, without credentials."""
        return self.transport.where

    def info(self) -> dict[str, str]:
        """Return what the registry says about itself: name, version, API."""
        return self.transport.info()

    def close(self) -> None:
        """Let go of connections or of the folder. Closing twice is no error."""
        self.transport.close()

    # --- models -----------------------------------------------------------------------------------------------------

    def create_model(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> RegisteredModel:
        """Create a model without versions. Raises AlreadyExists, also for a name that only looks different."""
        command = c.CreateModel(name, description, texts(tags))
        return self._ask("create_model", command, RegisteredModel)

    def model(self, name: str) -> RegisteredModel:
        """Return a model. Raises NotFound."""
        return self._ask("get_model", c.ModelNamed(name), RegisteredModel)

    def models(self, filter: str | None = None, *, order_by: Iterable[str] = ()) -> Iterator[RegisteredModel]:
        """Yield the models that match `filter` (None: all), ordered by name unless `order_by` says else."""
        return self._pages("search_models", c.SearchModels(filter, tuple(order_by)), RegisteredModel)

    def rename_model(self, name: str, new_name: str) -> RegisteredModel:
        """Give a model another name; versions, tags, aliases and history follow."""
        return self._ask("rename_model", c.RenameModel(name, new_name), RegisteredModel)

    def delete_model(self, name: str, *, reason: str | None = None) -> RegisteredModel:
        """Delete a model with its versions; `restore_model` brings it back. Raises Refused while one is protected."""
        return self._ask("delete_model", c.DeleteModel(name, reason), RegisteredModel)

    def restore_model(self, name: str, *, reason: str | None = None) -> RegisteredModel:
        """Bring a deleted model back with the versions that were deleted with it."""
        return self._ask("restore_model", c.RestoreModel(name, reason), RegisteredModel)

    # --- versions ---------------------------------------------------------------------------------------------------

    def get(self, model: str, version: int | str | None = None) -> Version:
        """Return a version, named as `get("churn", 3)` or as `get("churn@Production")`.

        Raises NotFound when there is none or nobody holds the slot, InvalidInput when several versions hold it.
        """
        if version is None and not is_ref(model):
            raise InvalidInput(
                f"{model!r} names a model, not a version.", hint=f"Add one: {model}@Production or {model}@3."
            )
        ref = parse_ref(model) if version is None else Ref(model, version=version_number(version))
        return self._version(ref.model, self.find_version(ref))

    def find_version(self, ref: Ref | str) -> int:
        """Return the number of the version that a reference means now.

        A name is a stage if any version of the model is in a stage of that name, else an alias if there is one, else a
        stage. Raises NotFound when nobody holds it, InvalidInput when several versions do.
        """
        ref = parse_ref(ref) if isinstance(ref, str) else ref
        if ref.version is not None:
            return ref.version
        if ref.alias is not None:
            return self._only_holder(ref.model, f"@{ref.alias}")
        model = self.model(ref.model)
        if ref.latest:
            if not model.latest:
                raise NotFound(f"model {ref.model!r} has no versions.", model=ref.model)
            return max(model.latest.values())
        name = ref.name or ""
        is_stage = stage_key(name) in {stage_key(stage) for stage in model.latest}
        if not is_stage and name in model.aliases:
            return model.aliases[name]
        return self._only_holder(ref.model, name)

    def versions(self, model: str, *, order_by: Iterable[str] = ("version DESC",)) -> Iterator[Version]:
        """Yield the versions of a model, newest first. Raises NotFound when there is no such model."""
        self.model(model)
        return self.search(f"name = {_quoted(model)}", order_by=order_by)

    def search(self, filter: str | None = None, *, order_by: Iterable[str] = ()) -> Iterator[Version]:
        """Yield the versions of all models that match `filter`, such as `metrics.auc > 0.9 AND stage = 'Staging'`."""
        return self._pages("search_versions", c.SearchVersions(filter, tuple(order_by)), Version)

    def record(
        self,
        model: str,
        version: int | str,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, object] | None = None,
    ) -> Version:
        """Add metrics and parameters. A metric may be recorded again; a parameter that differs raises InvalidInput."""
        command = c.RecordMetrics(model, version_number(version), finite(dict(metrics or {})), texts(params))
        return self._ask("record_metrics", command, Version)

    def describe(self, model: str, description: str | None, *, version: int | str | None = None) -> None:
        """Overwrite the description of a model, or of one of its versions; None clears it."""
        if version is None:
            self._ask("update_model", c.UpdateModel(model, description), RegisteredModel)
        else:
            self._ask("update_version", c.UpdateVersion(model, version_number(version), description), Version)

    def tag(self, model: str, tags: Mapping[str, object], *, version: int | str | None = None) -> None:
        """Set tags of a model, or of one of its versions. One request per tag."""
        for key, value in tags.items():
            if version is None:
                self._ask("set_model_tag", c.SetModelTag(model, key, str(value)), RegisteredModel)
            else:
                self._ask("set_version_tag", c.SetVersionTag(model, version_number(version), key, str(value)), Version)

    def untag(self, model: str, *keys: str, version: int | str | None = None) -> None:
        """Remove tags of a model, or of one of its versions; absent ones are no error."""
        for key in keys:
            if version is None:
                self._ask("delete_model_tag", c.DeleteModelTag(model, key), RegisteredModel)
            else:
                self._ask("delete_version_tag", c.DeleteVersionTag(model, version_number(version), key), Version)

    # --- who held what ----------------------------------------------------------------------------------------------

    def holder(self, model: str, slot: str = "Production", *, at: int | str | date | None = None) -> Tenure | None:
        """Return the tenure of the version that holds `slot` (a stage, or `@alias`), now or `at` a time; None: nobody.

        Raises InvalidInput when several versions hold it: ask `holders` then.
        """
        tenures = self.holders(model, slot, at=at)
        if len(tenures) > 1:
            held = ", ".join(str(tenure.version) for tenure in tenures[:10])
            raise InvalidInput(
                f"{slot} of {model!r} is held by several versions: {held}.", hint="Name one of them, or list them all."
            )
        return tenures[0] if tenures else None

    def holders(self, model: str, slot: str, *, at: int | str | date | None = None) -> tuple[Tenure, ...]:
        """Return the tenures of all versions that hold `slot`, now or `at` a time; empty when nobody does."""
        return self.holding(model, slot, at=at).tenures

    def holding(self, model: str, slot: str, *, at: int | str | date | None = None) -> Holding:
        """Return the same with what was asked: the slot's name as registered, and the time."""
        command = c.GetHolder(model, slot, None if at is None else parse_at(at))
        return self._ask("get_holder", command, Holding)

    def history(self, model: str, slot: str | None = None, *, version: int | str | None = None) -> Iterator[Tenure]:
        """Yield who held what, newest first; of one slot and one version if given."""
        return self._pages("list_history", c.ListHistory(model, slot, optional_version(version)), Tenure)

    def latest(self, model: str, stages: Iterable[str] = ()) -> tuple[Version, ...]:
        """Return the newest version in each of `stages` (none given: in every stage that has one)."""
        found: tuple[Version, ...] = self.transport.call("latest_versions", c.LatestVersions(model, tuple(stages)))
        return found

    # --- MLflow's word for it ---------------------------------------------------------------------------------------

    def transition_model_version_stage(
        self, name: str, version: int | str, stage: str, archive_existing_versions: bool = False
    ) -> Version:
        """Move a version into a stage, with MLflow's signature, and return the version as it is then.

        Raises Refused, which carries the promotion, when the lifecycle said no.
        """
        promotion = self.promote(name, version, to=stage, swap=archive_existing_versions)
        found = self._version(promotion.model, promotion.version)
        if promotion.status is PromotionStatus.SUCCEEDED and found.stage != promotion.slot:
            # Somebody moved it on between the two calls: answer what this call did.
            return replace(found, stage=promotion.slot)
        return found

    def _version(self, model: str, version: int) -> Version:
        return self._ask("get_version", c.VersionNamed(model, version), Version)

    def _only_holder(self, model: str, slot: str) -> int:
        tenure = self.holder(model, slot)
        if tenure is None:
            raise NotFound(f"no version of {model!r} holds {slot}.", model=model, slot=slot)
        return tenure.version


def _quoted(text: str) -> str:
    doubled = text.replace("'", "''")
    return f"'{doubled}'"
