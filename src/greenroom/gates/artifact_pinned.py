"""Gate `artifact_pinned`: the version's files are here, under a digest.

Params: none. An unpinned version's bytes could change after somebody looked at them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.core.errors import InvalidInput
from greenroom.core.gates import GateInput, gate
from greenroom.core.model import GateResult, Verdict


def _check(params: Mapping[str, Any]) -> None:
    if params:
        raise InvalidInput(f"gate artifact_pinned takes no parameters, got {', '.join(params)}.")


@gate("artifact_pinned", check=_check)
def artifact_pinned(given: GateInput, params: Mapping[str, Any]) -> GateResult:
    """Pass when the version has a manifest digest."""
    if given.digest is None:
        said = "the files are not stored here: fetch them with `greenroom pin`, or push them as a new version"
        return GateResult("artifact_pinned", Verdict.FAILED, said)
    return GateResult("artifact_pinned", Verdict.PASSED, f"pinned as {given.digest}")
