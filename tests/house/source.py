"""What the house tests read: the files of this repository, as text and as syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "greenroom"

type_of_function = (ast.FunctionDef, ast.AsyncFunctionDef)


def expect_none(found: Iterable[str], rule: str) -> None:
    """Fail with every complaint on a line of its own; pytest would show the first few only."""
    if complaints := list(found):
        raise AssertionError("\n  ".join([rule, *complaints]))


@cache
def tracked_files() -> tuple[Path, ...]:
    """Return every file that is committed or would be, so that a finding does not wait for the commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(path for name in sorted(set(listed.split("\0"))) if name and (path := ROOT / name).is_file())


@cache
def package_sources() -> dict[str, str]:
    """Return the text of each module of the package, by its path from the root of the repository."""
    return {path.relative_to(ROOT).as_posix(): path.read_text("utf-8") for path in sorted(PACKAGE.rglob("*.py"))}


def functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    """Yield (qualified name, node) of every function under `tree`, nested ones too."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, type_of_function):
            yield inside + node.name, node
            yield from functions(node, f"{inside}{node.name}.")
        elif isinstance(node, ast.ClassDef):
            yield from functions(node, f"{inside}{node.name}.")
        else:
            yield from functions(node, inside)


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, module) for every import anywhere in `tree`; `from a import b` gives both `a` and `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield node.lineno, module
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)
