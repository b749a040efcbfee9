"""Commands that move versions into slots, and questions about who holds them.

A slot is written as people say it: `Production` is a stage, `@champion` an alias.
"""

from __future__ import annotations

from dataclasses import dataclass

NOBODY = 0  # `if_holder=NOBODY`: go on only while the slot is empty


@dataclass(frozen=True)
class Promote:
    """Move a version into the slot `to`.

    Without `version`: the best by `best` (`auc`, `auc:max`, `loss:min`), else the newest in the stage before `to`.
    `swap` archives whoever holds an exclusive slot in the same transaction; without it the lifecycle decides.
    `if_holder` refuses unless that version (or `NOBODY`) holds the slot. `dry_run` only plans.
    """

    model: str
    to: str
    version: int | None = None
    best: str | None = None
    swap: bool = False
    if_holder: int | None = None
    reason: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class Rollback:
    """Give the slot back to its last healthy earlier holder, or to `version` if that held it before."""

    model: str
    slot: str = "Production"
    version: int | None = None
    if_holder: int | None = None
    reason: str | None = None
    dry_run: bool = False


@dataclass(frozen=True)
class SetAlias:
    """Point an alias at a version. An alias that the lifecycle guards is a promotion like any other."""

    model: str
    alias: str
    version: int
    if_holder: int | None = None
    reason: str | None = None


@dataclass(frozen=True)
class DeleteAlias:
    """Take an alias away; an absent one is no error."""

    model: str
    alias: str
    reason: str | None = None


@dataclass(frozen=True)
class GetHolder:
    """Who holds a slot now, or who held it `at` a time (UTC milliseconds)."""

    model: str
    slot: str
    at: int | None = None


@dataclass(frozen=True)
class ListHistory:
    """Tenures of a model, newest first; of one slot and one version if given."""

    model: str
    slot: str | None = None
    version: int | None = None
    page_size: int = 100
    page_token: str | None = None


@dataclass(frozen=True)
class ListPromotions:
    """Promotions of a model, refused ones too, newest first."""

    model: str
    version: int | None = None
    page_size: int = 100
    page_token: str | None = None
