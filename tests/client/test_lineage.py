"""Lineage over versions: parents, copies and copies of copies, also of what was deleted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.app import open_local
from greenroom.client import connect
from greenroom.client.registry import Registry
from greenroom.core.errors import NotFound
from greenroom.core.lineage import Lineage, tree
from greenroom.services import lineage as use_case


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    open_local(tmp_path / "data", create=True).close()
    with connect(data=tmp_path / "data", actor="ana") as found:
        found.create_model("churn")
        for _ in range(4):
            found.register("churn", source="s3://b/m")
        yield found


def edges(found: Lineage) -> set[tuple[str, str]]:
    return {(edge.source, edge.target) for edge in found.edges if edge.how == "became"}


def test_parents_and_copies_are_followed(registry: Registry) -> None:
    for name in ("copy", "copy of copy"):
        registry.create_model(name)
    first = registry.register("copy", source="models:/churn/2")
    registry.register("copy of copy", source=f"models:/copy/{first.version}")
    chain = {("version:churn:2", "version:copy:1"), ("version:copy:1", "version:copy of copy:1")}
    for model, number in (("churn", 2), ("copy", 1), ("copy of copy", 1)):
        found = registry.lineage(model, number)
        assert edges(found) == chain
        assert found.root == f"version:{model}:{number}"
        assert not found.cut
    assert edges(registry.lineage("churn", 1)) == set()


def test_a_deleted_version_is_still_told(registry: Registry) -> None:
    registry.register("churn", source="models:/churn/2")
    registry.delete("churn", 2)
    assert edges(registry.lineage("churn", 5)) == {("version:churn:2", "version:churn:5")}
    assert "deleted yes" in "\n".join(tree(registry.lineage("churn", 5)))


def test_a_large_graph_is_cut_and_says_so(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(use_case, "MOST_VERSIONS", 3)
    for _ in range(5):
        registry.register("churn", source="models:/churn/1")
    found = registry.lineage("churn", 1)
    assert found.cut
    assert len([node for node in found.nodes if node.kind == "version"]) == 3
    assert tree(found)[-1] == "(more was left out)"


def test_what_is_not_there_is_said(registry: Registry) -> None:
    with pytest.raises(NotFound, match="has no version 9"):
        registry.lineage("churn", 9)
