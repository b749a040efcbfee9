"""What made a version and what was made from it: a graph of typed edges, and its pictures as a tree and as DOT. Pure.

An edge goes from what was there first to what came of it: a data set to the run that read it, a run to the version that
was registered from it, a version to its copies. What nobody recorded is not in the graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from greenroom.core.model import Dataset, Version

SHORT = 12
"""How many digits of a digest, a commit or an id a picture shows."""
_MOST = 60  # characters of any other fact; sources of data sets may be whole documents


class NodeKind(StrEnum):
    """What stands in a graph of lineage."""

    VERSION = "version"
    RUN = "run"
    DATASET = "dataset"
    CODE = "code"
    LOGGED_MODEL = "logged model"
    SLOT = "slot"


@dataclass(frozen=True)
class Node:
    """One thing. `id` is unique in its graph; `label` is for people; `facts` is what is known besides."""

    id: str
    kind: NodeKind
    label: str
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Edge:
    """`target` came of `source`; `how` is a verb, read from source to target (`registered as`, `became`)."""

    source: str
    target: str
    how: str


@dataclass(frozen=True)
class Lineage:
    """The graph around the node `root`. `cut` says that some of it was left out because it is too large."""

    root: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    cut: bool = False


@dataclass(frozen=True)
class TrainingRun:
    """What is known here of the run of a version; None where the run is in another tracking server."""

    id: str
    name: str | None = None
    user: str | None = None
    status: str | None = None
    parent: TrainingRun | None = None


class Graph:
    """Collects nodes and edges, each once."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}
        self._edges: dict[Edge, None] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def add(self, node: Node) -> str:
        """Add a node and return its id; the first of an id stays."""
        self._nodes.setdefault(node.id, node)
        return node.id

    def link(self, source: str, target: str, how: str) -> None:
        """Add an edge between nodes that are there."""
        self._edges[Edge(source, target, how)] = None

    def version(self, version: Version, run: TrainingRun | None) -> str:
        """Add a version with all that it says of where it comes from and where it is used; return its id."""
        mine = self.add(_version_node(version))
        maker = self._runs(run) if run is not None else None
        if maker is not None and not version.logged_model:
            self.link(maker, mine, "registered as")
        for dataset in version.datasets:
            self.link(self.add(_dataset_node(dataset)), maker or mine, f"used for {dataset.context or 'training'}")
        if version.context.git_commit or version.context.entry_point:
            self.link(self.add(_code_node(version)), maker or mine, "ran as")
        if version.logged_model:
            made = self.add(Node(f"logged:{version.logged_model}", NodeKind.LOGGED_MODEL, version.logged_model))
            self.link(made, mine, "registered as")
            if maker is not None:
                self.link(maker, made, "logged")
        held = [version.stage] if version.stage not in ("", "None") else []
        for slot in [*held, *(f"@{alias}" for alias in version.aliases)]:
            target = self.add(Node(f"slot:{version.model}:{slot}", NodeKind.SLOT, slot))
            self.link(mine, target, "holds")
        return mine

    def _runs(self, run: TrainingRun) -> str:
        facts = {"user": run.user, "status": run.status}
        mine = self.add(
            Node(
                f"run:{run.id}",
                NodeKind.RUN,
                f"{run.name} ({run.id[:SHORT]})" if run.name else run.id[:SHORT],
                {name: value for name, value in facts.items() if value},
            )
        )
        if run.parent is not None:
            self.link(self._runs(run.parent), mine, "parent of")
        return mine

    def lineage(self, root: str, *, cut: bool) -> Lineage:
        """Return what was collected."""
        return Lineage(root, tuple(self._nodes.values()), tuple(self._edges), cut)


def version_id(model: str, version: int) -> str:
    """Return the id of a version's node."""
    return f"version:{model}:{version}"


def _version_node(version: Version) -> Node:
    facts = {"digest": version.digest or "unpinned"}
    if version.author:
        facts["author"] = version.author
    if version.deleted:
        facts["deleted"] = "yes"
    label = f"{version.model} {version.version}"
    return Node(version_id(version.model, version.version), NodeKind.VERSION, label, facts)


def _dataset_node(dataset: Dataset) -> Node:
    facts = {"digest": dataset.digest, "source": dataset.source}
    known = {name: value for name, value in facts.items() if value}
    return Node(f"dataset:{dataset.name}:{dataset.digest or ''}", NodeKind.DATASET, dataset.name, known)


def _code_node(version: Version) -> Node:
    context = version.context
    commit = (context.git_commit or "")[:SHORT]
    label = " ".join(part for part in (context.entry_point, commit) if part)
    facts = {
        "commit": context.git_commit,
        "branch": context.git_branch,
        "repository": context.git_remote,
        "uncommitted changes": context.git_dirty_digest,
    }
    known = {name: value for name, value in facts.items() if value}
    return Node(f"code:{context.git_commit or ''}:{context.entry_point or ''}", NodeKind.CODE, label, known)


def tree(lineage: Lineage) -> list[str]:
    """Return the graph as lines of a tree: the root, what it came of, then what came of it.

    What stands in two places is drawn whole the first time and named afterwards.
    """
    nodes = {node.id: node for node in lineage.nodes}
    before: dict[str, list[Edge]] = {}
    after: dict[str, list[Edge]] = {}
    for edge in lineage.edges:
        before.setdefault(edge.target, []).append(edge)
        after.setdefault(edge.source, []).append(edge)
    root = nodes[lineage.root]
    branches = [
        *_branches(lineage.root, before, nodes, {lineage.root}, back=True),
        *_branches(lineage.root, after, nodes, {lineage.root}, back=False),
    ]
    lines = [_text(root), *_drawn(branches)]
    return [*lines, "(more was left out)"] if lineage.cut else lines


@dataclass(frozen=True)
class _Branch:
    text: str
    below: Sequence[_Branch]


def _branches(
    at: str, edges: Mapping[str, Sequence[Edge]], nodes: Mapping[str, Node], seen: set[str], *, back: bool
) -> list[_Branch]:
    found = []
    for edge in edges.get(at, ()):
        other = edge.source if back else edge.target
        arrow = f"\N{LEFTWARDS ARROW} {edge.how}" if back else f"\N{RIGHTWARDS ARROW} {edge.how}"
        text = f"{arrow}: {_text(nodes[other])}"
        if other in seen:
            found.append(_Branch(f"{text} (see above)" if edges.get(other) else text, ()))
            continue
        seen.add(other)
        found.append(_Branch(text, _branches(other, edges, nodes, seen, back=back)))
    return found


def _drawn(branches: Sequence[_Branch]) -> Iterator[str]:
    for number, branch in enumerate(branches, start=1):
        last = number == len(branches)
        yield ("└─ " if last else "├─ ") + branch.text
        for line in _drawn(branch.below):
            yield ("   " if last else "│  ") + line


def _text(node: Node) -> str:
    facts = ", ".join(f"{name} {_short(value)}" for name, value in _shown(node))
    return f"{node.kind.value} {node.label}" + (f" [{facts}]" if facts else "")


def _shown(node: Node) -> list[tuple[str, str]]:
    """Return the facts of a node that a picture shows; a source that is a whole document is none of them."""
    return [(name, value) for name, value in node.facts.items() if not value.startswith("{")]


def _short(value: str) -> str:
    prefix, colon, digits = value.partition(":")
    if colon and len(digits) == 64 and prefix == "sha256":
        return f"{prefix}:{digits[:SHORT]}"
    if len(value) == 40 and value.isalnum():
        return value[:SHORT]
    return value if len(value) <= _MOST else value[: _MOST - 1] + "\N{HORIZONTAL ELLIPSIS}"


_SHAPES = {
    NodeKind.VERSION: "box",
    NodeKind.RUN: "ellipse",
    NodeKind.DATASET: "cylinder",
    NodeKind.CODE: "note",
    NodeKind.LOGGED_MODEL: "component",
    NodeKind.SLOT: "cds",
}


def dot(lineage: Lineage) -> str:
    """Return the graph in the DOT language (`dot -Tsvg` draws it)."""
    return "\n".join(_dot_lines(lineage)) + "\n"


def _dot_lines(lineage: Lineage) -> Iterable[str]:
    yield "digraph lineage {"
    yield "  rankdir=LR;"
    for node in lineage.nodes:
        label = "\n".join([node.label, *(f"{name}: {_short(value)}" for name, value in _shown(node))])
        style = ' style="bold"' if node.id == lineage.root else ""
        yield f"  {_quoted(node.id)} [shape={_SHAPES[node.kind]}{style} label={_quoted(label)}];"
    for edge in lineage.edges:
        yield f"  {_quoted(edge.source)} -> {_quoted(edge.target)} [label={_quoted(edge.how)}];"
    yield "}"


def _quoted(text: str) -> str:
    """A DOT string: quotes and backslashes are escaped, a line break becomes the two characters that mean one."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
