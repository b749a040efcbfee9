"""What MLflow users say in tags, read as facts about a version: metrics, parameters, where it was trained, by whom.

The tags stay tags besides. `greenroom.metric.<name>` and `greenroom.param.<name>` give an unmodified MLflow client a
way to record what a version scored where there is no run to take it from. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor, Context
from greenroom.core.names import check_actor_name, shown
from greenroom.core.remotes import without_credentials
from greenroom.http.access import ANONYMOUS

METRIC_TAG: Final = "greenroom.metric."
PARAM_TAG: Final = "greenroom.param."
USER_TAG: Final = "mlflow.user"


def facts_of_tags(tags: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str], Context]:
    """Return the metrics, parameters and training context that tags tell.

    Raises InvalidInput for a metric that is no finite number.
    """
    metrics = {key[len(METRIC_TAG) :]: _number(key, text) for key, text in tags.items() if key.startswith(METRIC_TAG)}
    params = {key[len(PARAM_TAG) :]: text for key, text in tags.items() if key.startswith(PARAM_TAG)}
    context = Context(
        git_commit=tags.get("mlflow.source.git.commit") or None,
        git_branch=tags.get("mlflow.source.git.branch") or None,
        git_remote=without_credentials(tags.get("mlflow.source.git.repoURL")) or None,
        entry_point=tags.get("mlflow.source.name") or None,
    )
    return metrics, params, context


def author_of(tags: Mapping[str, str], actor: Actor) -> Actor:
    """Return who registers: whoever said who they are, else the user that MLflow's client names in a tag."""
    claimed = tags.get(USER_TAG)
    if actor != ANONYMOUS or not claimed:
        return actor
    try:
        return replace(actor, name=check_actor_name(claimed))
    except InvalidInput:  # a tag may hold any text; it stays a tag and names nobody
        return actor


def _number(key: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        problem = f"Tag '{shown(key)}' must hold a finite number, got '{shown(text)}'."
        raise InvalidInput(problem, hint="Write it as 0.93.")
    return value
