"""Where a version comes from and what was made from it."""

from __future__ import annotations

from collections import deque

from greenroom.core.lineage import Graph, Lineage, TrainingRun, version_id
from greenroom.core.model import Actor
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version
from greenroom.services.ports import ReadTx
from greenroom.services.views import version_view

MOST_VERSIONS = 100
_PARENT_RUN = "mlflow.parentRunId"
_MOST_PARENTS = 5


def version_lineage(tx: ReadTx, ask: c.VersionNamed, actor: Actor) -> Lineage:
    """Return the graph around a version: its parents, what was made from it, and what each of them says of its making.

    At most 100 versions, the nearest first. Raises NotFound.
    """
    model = get_model(tx, ask.model)
    row = get_version(tx, model, ask.version, deleted=True)
    graph = Graph()
    seen = {(model.name, row.version)}
    ahead: deque[tuple[str, int]] = deque(seen)
    cut = False
    while ahead:
        name, number = ahead.popleft()
        parent = _add(tx, graph, name, number)
        near = [(*parent, name, number)] if parent is not None else []
        made = tx.versions_made_from(name, number, MOST_VERSIONS + 1)
        near += [(name, number, *each) for each in made]
        for source_name, source, target_name, target in near:
            for other in ((source_name, source), (target_name, target)):
                if other not in seen and len(seen) < MOST_VERSIONS and _exists(tx, *other):
                    seen.add(other)
                    ahead.append(other)
            if {(source_name, source), (target_name, target)} <= seen:
                graph.link(version_id(source_name, source), version_id(target_name, target), "became")
            else:
                cut = cut or (_exists(tx, source_name, source) and _exists(tx, target_name, target))
    return graph.lineage(version_id(model.name, row.version), cut=cut)


def _exists(tx: ReadTx, name: str, number: int) -> bool:
    model = tx.find_model(name)
    return model is not None and tx.find_version(model.id, number) is not None


def _add(tx: ReadTx, graph: Graph, name: str, number: int) -> tuple[str, int] | None:
    """Add a version that exists; return its parent's name and number."""
    model = get_model(tx, name)
    view = version_view(tx, model, get_version(tx, model, number, deleted=True))
    graph.version(view, _run(tx, view.run_id, _MOST_PARENTS) if view.run_id else None)
    return (view.parent.model, view.parent.version) if view.parent is not None else None


def _run(tx: ReadTx, run_id: str, parents: int) -> TrainingRun:
    row = tx.find_run(run_id)
    if row is None:
        return TrainingRun(run_id)
    above = tx.run_tag(row.no, _PARENT_RUN) if parents else None
    parent = _run(tx, above, parents - 1) if above and above != run_id else None
    return TrainingRun(run_id, row.name, row.user_id or None, row.status, parent)
