"""One function with MLflow's signature, for scripts that only ever need that one."""

from __future__ import annotations

from greenroom.client import connect
from greenroom.core.model import Version


def transition_model_version_stage(
    name: str, version: int | str, stage: str, archive_existing_versions: bool = False
) -> Version:
    """Move a version into a stage of the registry that the surroundings name (see `connect`), and return the version.

    Raises Refused, which carries the recorded promotion, when the lifecycle said no.
    """
    with connect() as registry:
        return registry.transition_model_version_stage(name, version, stage, archive_existing_versions)
