"""The reference of lifecycle documents: keys, gate types, presets."""

from __future__ import annotations

import sys

import greenroom.gates
from greenroom.core import document
from greenroom.core.gates import LEVELS, gate_type, gate_types
from greenroom.core.presets import DEFAULT, PRESETS
from tools.pages.text import code, fenced, table

assert greenroom.gates  # importing the package registers the gate types

TOP = {
    "lifecycle": ("text", "required", "the name: 1 to 63 of `a-z`, `0-9`, `-`, `_`"),
    "description": ("text", '`""`', "one sentence for people"),
    "applies_to": (
        "list of texts",
        "`[]`",
        "the models it is for: name patterns (`fraud-*`) and tags (`tag:team=risk`)",
    ),
    "numbering": (
        "`continue`, `restart`",
        "`continue`",
        "what the numbers do when a deleted model's name is used again",
    ),
    "ungated": ("true, false", "`false`", "the same key of every stage and alias that does not say it"),
    "stage": ("tables", "required", "`[[stage]]`, in order; versions begin in the first"),
    "alias": ("tables", "`[]`", "`[[alias]]`: aliases that are guarded; every other name moves freely"),
    "freeze": ("tables", "`[]`", "`[[freeze]]`: windows in which nothing enters"),
}
SLOT = {
    "name": ("text", "required", "as it is shown; stages are found in any case"),
    "capacity": ("`one`, `many`", "`many`", "how many versions may hold it; an alias always has room for one"),
    "occupied": (
        "`conflict`, `archive`, `allow`",
        "stages with room for one: `conflict`; aliases: `archive`",
        "where there is room for one: entering is refused, or (`archive`, `allow`) displaces the holder",
    ),
    "protected": ("true, false", "`false`", "its holder cannot be deleted, a protected alias cannot be taken away"),
    "from": ("list of stages", "any stage", "where a version must be to enter"),
    "rollback_from": ("list of stages", "`[]`", "where a version may be besides, when a rollback brings it"),
    "expects": ("stage", "none", "entering without ever having been there is allowed and flagged"),
    "ungated": ("true, false", "`false`", "needed where a stage with room for one, or a protected one, lists no gate"),
    "gate": ("tables", "`[]`", "`[[stage.gate]]`: see below"),
    "after": ("stage", "the end", "stages only: put it behind this one"),
    "archive": ("true, false", "a stage called Archived", "stages only: where the displaced go; one stage at most"),
}
FREEZE = {
    "from": ("date and time", "required", "`2026-12-24T00:00:00Z`; UTC when no zone is given"),
    "until": ("date and time", "required", "the first moment that is free again"),
    "stages": ("list of stages", "stages with room for one", "which are frozen; a rollback is never stopped"),
    "reason": ("text", '`""`', "told to whoever is refused"),
}
_HEAD = ("key", "value", "without it", "meaning")


def keys() -> str:
    """Return the tables of keys. KeyError when the reader of documents knows other keys than these."""
    known = (("top", document._TOP, TOP), ("stage or alias", document._STAGE | document._ALIAS, SLOT))
    for what, real, told in (*known, ("freeze", document._FREEZE, FREEZE)):
        if real != set(told):
            raise KeyError(f"keys of {what} differ from what is documented: {sorted(real ^ set(told))}")
    parts = (("At the top", TOP), ("`[[stage]]` and `[[alias]]`", SLOT), ("`[[freeze]]`", FREEZE))
    return "\n".join(f"### {title}\n\n{table(_HEAD, _rows(told))}" for title, told in parts)


def _rows(told: dict[str, tuple[str, str, str]]) -> list[tuple[str, ...]]:
    return [(code(key), *texts) for key, texts in told.items()]


def gates() -> str:
    """Return every gate type with what its own module says about it."""
    parts = [f"`level` is one of {', '.join(code(level) for level in LEVELS)}; without it a gate is `mandatory`.\n"]
    for name in gate_types():
        module = sys.modules[gate_type(name).judge.__module__]
        said = (module.__doc__ or "").strip()
        first, _, rest = said.partition("\n")
        parts.append(f"### {name}\n\n{first.partition(': ')[2].capitalize()}\n\n{rest.strip()}\n")
    return "\n".join(parts)


def presets() -> str:
    """Return the documents of the presets with their diagrams."""
    parts = []
    for name, text in PRESETS.items():
        word = " (the default)" if name == DEFAULT else ""
        picture = f"![The stages of the lifecycle {name}](../images/lifecycle-{name}.svg)"
        parts.append(f"### {name}{word}\n\n{picture}\n\n{fenced(text, 'toml')}")
    return "\n".join(parts)
