"""The lifecycles of the stateful test, each told twice: as a document that the registry reads, and as plain values."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Place:
    """A stage or an alias. `gates` are (what must be there, whether a rollback needs it too)."""

    name: str
    kind: str = "stage"
    one: bool = False
    occupied: str = "allow"
    protected: bool = False
    sources: tuple[str, ...] | None = None
    back: tuple[str, ...] = ()
    gates: tuple[tuple[str, bool], ...] = ()
    archive: bool = False


@dataclass(frozen=True)
class Lifecycle:
    """`rules` are the (pattern, tag) to which it says that it applies; `frozen` the stages that nothing enters."""

    name: str
    stages: tuple[Place, ...]
    aliases: tuple[Place, ...] = ()
    rules: tuple[tuple[str | None, str | None], ...] = ()
    frozen: tuple[str, ...] = ()
    restart: bool = False

    def stage(self, name: str) -> Place | None:
        return next((each for each in self.stages if each.name.lower() == name.lower()), None)

    def alias(self, name: str) -> Place:
        free = Place(name, "alias", one=True, occupied="archive")
        return next((each for each in self.aliases if each.name == name), free)

    def with_stage(self, place: Place, behind: Place) -> Lifecycle:
        at = self.stages.index(behind) + 1
        return replace(self, stages=(*self.stages[:at], place, *self.stages[at:]))


NONE, STAGING, ARCHIVED = Place("None"), Place("Staging"), Place("Archived", archive=True)
EXCLUSIVE = Place("Production", one=True, occupied="conflict", protected=True)
GATED = replace(EXCLUSIVE, sources=("Staging",), back=("Archived",), gates=(("pinned", True), ("description", False)))
PRESETS = {
    "standard": Lifecycle("standard", (NONE, STAGING, EXCLUSIVE, ARCHIVED)),
    "guarded": Lifecycle("guarded", (NONE, STAGING, GATED, ARCHIVED)),
    "mlflow": Lifecycle("mlflow", (NONE, STAGING, Place("Production"), ARCHIVED), restart=True),
}

_STRICT = """
lifecycle = "strict"
applies_to = ["beta*", "tag:team=risk"]
numbering = "restart"

[[stage]]
name = "None"

[[stage]]
name = "Staging"
capacity = "one"
occupied = "archive"
ungated = true

[[stage]]
name = "Production"
capacity = "one"
protected = true
from = ["Staging"]
rollback_from = ["Archived", "None"]

[[stage.gate]]
type = "required_fields"
fields = ["metric:auc"]

[[stage]]
name = "Archived"
archive = true

[[alias]]
name = "champion"
from = ["Production"]
protected = true
ungated = true

[[alias]]
name = "shadow"
occupied = "conflict"
ungated = true
"""
_FREEZE = """
[[freeze]]
from = 2000-01-01T00:00:00Z
until = 2200-01-01T00:00:00Z
stages = ["Production"]
reason = "a long winter"
"""
STRICT = Lifecycle(
    "strict",
    (
        NONE,
        Place("Staging", one=True, occupied="archive"),
        replace(EXCLUSIVE, sources=("Staging",), back=("Archived", "None"), gates=(("auc", False),)),
        ARCHIVED,
    ),
    (
        Place("champion", "alias", one=True, occupied="archive", protected=True, sources=("Production",)),
        Place("shadow", "alias", one=True, occupied="conflict"),
    ),
    (("beta*", None), (None, "team=risk")),
    restart=True,
)
DOCUMENTS = {
    "strict": (_STRICT, STRICT),
    "frozen": (_STRICT + _FREEZE, replace(STRICT, frozen=("Production",))),
    "short": (
        'lifecycle = "strict"\nnumbering = "restart"\n[[stage]]\nname = "None"\n[[stage]]\nname = "Archived"\n',
        Lifecycle("strict", (NONE, ARCHIVED), restart=True),
    ),
}
