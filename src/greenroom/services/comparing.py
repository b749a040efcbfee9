"""Use case `diff`: how two versions of a model differ, in files, parameters, metrics and requirements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from greenroom.core.errors import GreenroomError
from greenroom.core.model import Actor, File, Version
from greenroom.core.requirements import parse_requirements
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version
from greenroom.services.ports import Desk, ReadTx
from greenroom.services.views import version_view

_REQUIREMENTS = "requirements.txt"
_MOST_BYTES = 1 << 20


def compare_versions(desk: Desk, ask: c.CompareVersions, actor: Actor) -> a.Comparison:
    """Return what differs from `left` to `right`. Raises NotFound, InvalidInput."""
    with desk.snapshot() as tx:
        left, left_files = _side(tx, ask.model, ask.left)
        right, right_files = _side(tx, ask.model, ask.right)
    files = _files(left_files, right_files)
    requirements, note = _requirements(desk, left_files, right_files)
    return a.Comparison(
        model=left.model,
        left=left.version,
        right=right.version,
        files=files,
        unchanged_files=sum(
            1 for path, each in right_files.items() if path in left_files and left_files[path].digest == each.digest
        ),
        params=_values(left.params, right.params),
        metrics=_values(left.metrics, right.metrics),
        requirements=requirements,
        requirements_note=note,
    )


def _side(tx: ReadTx, name: str, number: int) -> tuple[Version, dict[str, File]]:
    model = get_model(tx, name)
    row = get_version(tx, model, number)
    files = tx.manifest_files(row.manifest) if row.manifest else ()
    return version_view(tx, model, row), {each.path: each for each in files}


def _files(left: Mapping[str, File], right: Mapping[str, File]) -> tuple[a.FileChange, ...]:
    paths = (path for path in sorted(set(left) | set(right)) if _digest(left, path) != _digest(right, path))
    return tuple(
        a.FileChange(path, _digest(left, path), _digest(right, path), _bytes(left, path), _bytes(right, path))
        for path in paths
    )


def _digest(files: Mapping[str, File], path: str) -> str | None:
    return files[path].digest if path in files else None


def _bytes(files: Mapping[str, File], path: str) -> int | None:
    return files[path].size_bytes if path in files else None


def _values(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[a.ValueChange, ...]:
    names = sorted(set(left) | set(right))
    return tuple(
        a.ValueChange(name, left.get(name), right.get(name)) for name in names if left.get(name) != right.get(name)
    )


def _requirements(
    desk: Desk, left: Mapping[str, File], right: Mapping[str, File]
) -> tuple[tuple[a.ValueChange, ...] | None, str | None]:
    sides = []
    for name, files in (("left", left), ("right", right)):
        found = files.get(_REQUIREMENTS)
        if found is None:
            return None, f"the {name} version has no {_REQUIREMENTS}"
        if found.size_bytes > _MOST_BYTES:
            return None, f"the {name} version's {_REQUIREMENTS} is larger than {_MOST_BYTES} bytes"
        try:
            desk.blobs.check(found.digest)
            with desk.blobs.open(found.digest) as file:
                sides.append(parse_requirements(file.read(_MOST_BYTES).decode("utf-8", "replace")))
        except GreenroomError as exc:
            return None, f"the {name} version's {_REQUIREMENTS} cannot be read: {exc}"
    return _values(sides[0], sides[1]), None
