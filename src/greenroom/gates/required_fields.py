"""Gate `required_fields`: what must be known about a version before it goes on.

Params: fields (list of `description`, `git_commit`, `datasets`, `metric:NAME`, `param:NAME`, `tag:NAME`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.gates import GateInput, gate
from greenroom.core.model import GateResult, Verdict

_PLAIN = ("description", "git_commit", "datasets")
_NAMED = ("metric", "param", "tag")


def _check(params: Mapping[str, Any]) -> None:
    fields = params.get("fields")
    if set(params) != {"fields"} or not isinstance(fields, list) or not fields:
        raise InvalidInput("gate required_fields needs exactly `fields`, a list that is not empty.")
    for name in fields:
        kind, _, key = name.partition(":") if isinstance(name, str) else ("", "", "")
        if name not in _PLAIN and not (kind in _NAMED and key):
            known = ", ".join([*_PLAIN, *(f"{kind}:NAME" for kind in _NAMED)])
            raise InvalidInput(f"gate required_fields does not know the field {name!r}.", hint=f"Known: {known}.")


@gate("required_fields", check=_check)
def required_fields(given: GateInput, params: Mapping[str, Any]) -> GateResult:
    """Pass when every field is there."""
    missing = [name for name in params["fields"] if not _present(given, name)]
    if missing:
        return GateResult("required_fields", Verdict.PENDING, f"missing: {', '.join(missing)}")
    return GateResult("required_fields", Verdict.PASSED, "all there")


def _present(given: GateInput, name: str) -> bool:
    kind, _, key = name.partition(":")
    if kind == "metric":
        return key in given.metrics
    if kind == "param":
        return key in given.params
    if kind == "tag":
        return bool(given.tags.get(key))
    return bool(getattr(given, name))
