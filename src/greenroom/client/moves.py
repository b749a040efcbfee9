"""The client's moves: promotion, rollback, archive, aliases, delete and restore."""

from __future__ import annotations

from collections.abc import Iterator

from greenroom.client.calls import Calls, optional_version, version_number
from greenroom.core.model import Promotion, RegisteredModel, Version
from greenroom.services import commands as c

ARCHIVED = "Archived"


class Moves(Calls):
    """What moves versions between slots."""

    def promote(
        self,
        model: str,
        version: int | str | None = None,
        *,
        to: str,
        best: str | None = None,
        swap: bool = False,
        if_holder: int | None = None,
        reason: str | None = None,
        dry_run: bool = False,
        check: bool = True,
    ) -> Promotion:
        """Move a version into the stage (or `@alias`) `to`.

        Without `version`: the best by `best` (`auc`, `auc:max`, `loss:min`), else the newest in the stage before `to`.
        `swap` archives whoever holds an exclusive stage; `if_holder` goes on only while that version holds it (0:
        nobody). `dry_run` returns the plan, refused or not, and changes nothing. Raises Refused when the lifecycle
        said no, unless `check` is False.
        """
        command = c.Promote(
            model,
            to,
            optional_version(version),
            best=best,
            swap=swap,
            if_holder=if_holder,
            reason=reason,
            dry_run=dry_run,
        )
        return self._promotion("promote", command, check=check)

    def rollback(
        self,
        model: str,
        slot: str = "Production",
        *,
        version: int | str | None = None,
        if_holder: int | None = None,
        reason: str | None = None,
        dry_run: bool = False,
        check: bool = True,
    ) -> Promotion:
        """Give `slot` back to its last healthy earlier holder, or to `version` if that held it before.

        Raises Refused when nobody held it before, unless `check` is False.
        """
        command = c.Rollback(model, slot, optional_version(version), if_holder, reason, dry_run)
        return self._promotion("rollback", command, check=check)

    def archive(
        self, model: str, version: int | str, *, reason: str | None = None, dry_run: bool = False, check: bool = True
    ) -> Promotion:
        """Move a version to `Archived`."""
        return self.promote(model, version, to=ARCHIVED, reason=reason, dry_run=dry_run, check=check)

    def set_alias(
        self,
        model: str,
        alias: str,
        version: int | str,
        *,
        if_holder: int | None = None,
        reason: str | None = None,
        check: bool = True,
    ) -> Promotion:
        """Point an alias at a version. Raises Refused when the lifecycle guards the alias and said no."""
        command = c.SetAlias(model, alias.removeprefix("@"), version_number(version), if_holder, reason)
        return self._promotion("set_alias", command, check=check)

    def delete_alias(self, model: str, alias: str, *, reason: str | None = None) -> RegisteredModel:
        """Take an alias away; an absent one is no error."""
        return self._ask("delete_alias", c.DeleteAlias(model, alias.removeprefix("@"), reason), RegisteredModel)

    def delete(self, model: str, version: int | str, *, reason: str | None = None) -> Version:
        """Delete a version (a tombstone: number, bytes and history stay). Raises Refused for a protected holder."""
        return self._ask("delete_version", c.DeleteVersion(model, version_number(version), reason), Version)

    def restore(self, model: str, version: int | str, *, reason: str | None = None) -> Version:
        """Bring a deleted version back, into the lifecycle's first stage."""
        return self._ask("restore_version", c.RestoreVersion(model, version_number(version), reason), Version)

    def promotions(self, model: str, *, version: int | str | None = None) -> Iterator[Promotion]:
        """Yield the promotions of a model, refused ones too, newest first; of one version if given."""
        return self._pages("list_promotions", c.ListPromotions(model, optional_version(version)), Promotion)
