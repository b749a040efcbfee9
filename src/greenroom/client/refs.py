"""How people name a version: `MODEL@Production`, `MODEL@champion`, `MODEL@3`, and MLflow's `models:/…` URIs."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

from greenroom.core.errors import InvalidInput
from greenroom.core.names import check_alias, check_model_name, check_version

LATEST = "latest"
_URI = "models:/"
_FORMS = "Write MODEL@Production (a stage), MODEL@champion (an alias), MODEL@3 (a version) or MODEL@latest."


@dataclass(frozen=True)
class Ref:
    """A version as it was named: one of the fields says which; `name` is a stage or an alias."""

    model: str
    version: int | None = None
    alias: str | None = None
    name: str | None = None
    latest: bool = False


def parse_ref(text: str) -> Ref:
    """Return what `text` names.

    Grammar: `MODEL@SLOT`, where SLOT is a number, `latest`, `@ALIAS` or a name that is looked up as a stage first and
    as an alias then; `models:/MODEL/VERSION`, `models:/MODEL/STAGE`, `models:/MODEL@ALIAS`. The last `@` separates.
    Raises InvalidInput for all else.
    """
    if text.startswith(_URI):
        return _uri(text)
    model, at, slot = text.rpartition("@")
    if not at or not model or not slot:
        raise InvalidInput(f"{text[:100]!r} does not name a version.", hint=_FORMS)
    if model.endswith("@"):  # MODEL@@champion: surely an alias
        return Ref(check_model_name(model[:-1]), alias=check_alias(slot, reserved_ok=True))
    return _named(check_model_name(model), slot)


def is_ref(text: str) -> bool:
    """Say whether `text` has the form of a reference rather than that of a bare model name."""
    return text.startswith(_URI) or "@" in text.strip("@")


def _named(model: str, slot: str) -> Ref:
    if slot.isdecimal() or (slot[:1] in "+-" and slot[1:].isdecimal()):
        return Ref(model, version=check_version(slot))
    if slot.casefold() == LATEST:
        return Ref(model, latest=True)
    return Ref(model, name=slot)


def _uri(text: str) -> Ref:
    rest = text[len(_URI) :].strip("/")
    model, slash, suffix = rest.partition("/")
    if slash and suffix and "/" not in suffix:
        return _named(check_model_name(unquote(model)), unquote(suffix))
    model, at, alias = rest.rpartition("@")
    if not slash and at and model and alias:
        return Ref(check_model_name(unquote(model)), alias=check_alias(unquote(alias), reserved_ok=True))
    raise InvalidInput(
        f"{text[:100]!r} is not a model URI.",
        hint="Write models:/MODEL/3, models:/MODEL/Production or models:/MODEL@champion.",
    )
