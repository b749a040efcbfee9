"""Which version the words of `models …` mean: a number, `latest`, a stage, or `@alias`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from greenroom.cli.verbs_ask import Ask
from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.names import stage_key

if TYPE_CHECKING:
    from greenroom.client.registry import Registry


def resolve_version(asked: Ask, registry: Registry, ref: str | None = None) -> int:
    """Return the version that is meant, by number, `latest`, stage or `@alias`.

    Of several versions in a stage the newest is meant, as in `models:/NAME/Staging`. Raises NotFound.
    """
    from greenroom.client.refs import Ref

    ref = ref or asked.ref
    if asked.version is not None and ref is None:
        return asked.version
    if ref is None:
        raise InvalidInput("no version is named.", hint="Add --version N.")
    if ref == "latest":
        return registry.find_version(Ref(asked.name, latest=True))
    if ref.startswith("@"):
        return registry.find_version(Ref(asked.name, alias=ref[1:]))
    model = registry.model(asked.name)
    if ref in model.aliases and stage_key(ref) not in {stage_key(stage) for stage in model.latest}:
        return model.aliases[ref]
    found = registry.latest(asked.name, (ref,))
    if not found:
        raise NotFound(f"no version of {asked.name!r} is in {ref}.", model=asked.name, slot=ref)
    return found[0].version


def candidate(asked: Ask, registry: Registry) -> int | None:
    """Return the version to move; None leaves the choice to the registry (rule 3)."""
    if asked.from_stage is not None:
        return _from_stage(asked, registry, asked.from_stage)
    return resolve_version(asked, registry) if asked.ref is not None else asked.version


def _from_stage(asked: Ask, registry: Registry, stage: str) -> int:
    registry.latest(asked.name, (stage,))  # names the stage if it is unknown
    there = [each.version for each in registry.versions(asked.name) if stage_key(each.stage) == stage_key(stage)]
    version = asked.version or (there[0] if len(there) == 1 else None)
    if version is None and there:
        named = ", ".join(str(number) for number in sorted(there))
        raise InvalidInput(
            f"several versions of {asked.name!r} are in {stage}: {named}.", hint="Say which with --version."
        )
    if version is None or version not in there:
        which = f"version {version}" if version else "no version"
        raise NotFound(
            f"{which} of {asked.name!r} is {'not ' if version else ''}in {stage}.", model=asked.name, slot=stage
        )
    return version
