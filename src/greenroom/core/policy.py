"""Lifecycle policies as values: stages in order, who may enter, what happens to the holder, gates, freeze windows.

`core.document` reads them from TOML, `core.lifecycle` decides by them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote

from greenroom.core.errors import UnknownStage
from greenroom.core.gates import GateRule
from greenroom.core.model import Binding, SlotKind


@dataclass(frozen=True)
class Slot:
    """A stage, or a guarded alias, as the policy describes it.

    `sources` are the stages it may be entered from (None: any); `rollback_sources` the same for a rollback. `occupied`
    says what entering does to a holder when only one is allowed: `conflict`, `archive` or `allow`. A `protected` slot's
    holder cannot be deleted. `expects` names a stage a version should have been in before: entering without is flagged.
    """

    name: str
    kind: SlotKind = SlotKind.STAGE
    exclusive: bool = False
    occupied: str = "allow"
    protected: bool = False
    sources: tuple[str, ...] | None = None
    rollback_sources: tuple[str, ...] | None = None
    expects: str | None = None
    gates: tuple[GateRule, ...] = ()
    ungated: bool = False
    archive: bool = False


@dataclass(frozen=True)
class Freeze:
    """A window, in UTC milliseconds, in which nothing enters `stages` (empty: any exclusive stage)."""

    since: int
    until: int
    stages: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class Policy:
    """A lifecycle policy. The first stage is where versions begin.

    `numbering` says what happens when a deleted model's name is used again: `continue` its numbers, or `restart` at 1.
    """

    name: str
    stages: tuple[Slot, ...]
    aliases: tuple[Slot, ...] = ()
    freezes: tuple[Freeze, ...] = ()
    bindings: tuple[Binding, ...] = ()
    numbering: str = "continue"
    description: str = ""
    warnings: tuple[str, ...] = field(default=())

    @property
    def initial(self) -> Slot:
        """The stage a version is registered into."""
        return self.stages[0]

    @property
    def archive(self) -> Slot | None:
        """Where displaced versions go; None when no stage is meant for it."""
        return next((stage for stage in self.stages if stage.archive), None)

    def find_stage(self, name: str) -> Slot | None:
        """Return the stage called `name` in any case, or None."""
        wanted = name.casefold()
        return next((stage for stage in self.stages if stage.name.casefold() == wanted), None)

    def get_stage(self, name: str) -> Slot:
        """Return the stage. Raises UnknownStage with the known ones and how to make it."""
        stage = self.find_stage(name)
        if stage is None:
            raise unknown_stage(self, name)
        return stage

    def find_alias(self, name: str) -> Slot:
        """Return the guarded alias, or the free one that every other name is: one holder, moves freely."""
        guarded = next((alias for alias in self.aliases if alias.name == name), None)
        return guarded or Slot(name, SlotKind.ALIAS, exclusive=True, occupied="archive", ungated=True)

    def stage_before(self, stage: Slot) -> Slot | None:
        """Return the stage that comes before `stage` in the policy's order, or None for the first."""
        at = self.stages.index(stage)
        return self.stages[at - 1] if at else None


def unknown_stage(policy: Policy, name: str) -> UnknownStage:
    """The error for a stage that the policy does not have; its first sentence is what scripts look for."""
    known = ", ".join(stage.name for stage in policy.stages)
    return UnknownStage(
        f"Stage '{name[:100]}' does not exist.",
        hint=f"Known stages: {known}. Create it with: greenroom stages add {quote(name[:100])}",
        stage=name[:100],
        known=[stage.name for stage in policy.stages],
        kind="stage",
    )
