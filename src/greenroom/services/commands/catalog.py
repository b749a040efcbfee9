"""Commands about registered models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CreateModel:
    """Create a registered model without versions."""

    name: str
    description: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelNamed:
    """Name one registered model (get)."""

    name: str


@dataclass(frozen=True)
class UpdateModel:
    """Overwrite a model's description; None clears it."""

    name: str
    description: str | None = None


@dataclass(frozen=True)
class RenameModel:
    """Give a model another name; versions, tags, aliases and history follow."""

    name: str
    new_name: str


@dataclass(frozen=True)
class DeleteModel:
    """Delete a model and its versions (tombstones)."""

    name: str
    reason: str | None = None


@dataclass(frozen=True)
class RestoreModel:
    """Bring a deleted model back with the versions that were deleted with it."""

    name: str
    reason: str | None = None


@dataclass(frozen=True)
class SetModelTag:
    """Set one tag of a model."""

    name: str
    key: str
    value: str


@dataclass(frozen=True)
class DeleteModelTag:
    """Remove one tag of a model; an absent one is no error."""

    name: str
    key: str


@dataclass(frozen=True)
class SearchModels:
    """Search models; `filter` and `order_by` as in the reference, `dialect` `native` or `mlflow`."""

    filter: str | None = None
    order_by: tuple[str, ...] = ()
    page_size: int = 100
    page_token: str | None = None
    dialect: str = "native"
