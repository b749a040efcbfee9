"""Files and functions stay small enough to read, and public ones say what they promise."""

from __future__ import annotations

import ast
from textwrap import dedent, indent

import pytest

from tests.house.exceptions import LONG_FILES, LONG_FUNCTIONS
from tests.house.source import expect_none, functions, package_sources, type_of_function

MOST_FILE_LINES = 400
MOST_FUNCTION_LINES = 40


def long_files(path: str, text: str) -> list[str]:
    """Return the path when the file is too long."""
    return [path] if len(text.splitlines()) > MOST_FILE_LINES else []


def long_functions(path: str, text: str) -> list[str]:
    """Return `path::name` of each function that is too long. Neither docstring nor decorators count."""
    return [f"{path}::{name}" for name, node in functions(ast.parse(text)) if _lines(node) > MOST_FUNCTION_LINES]


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    docstring = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
    hidden = docstring.end_lineno - docstring.lineno + 1 if docstring and docstring.end_lineno else 0
    return (node.end_lineno or node.lineno) - node.lineno + 1 - hidden


def undocumented(path: str, text: str) -> list[str]:
    """Return the module, public classes, functions and methods without a docstring.

    Private things, overloads, setters and `@override` need none: what they promise is said elsewhere. Nor do the
    tests of
    a conformance suite: their names are sentences.
    """
    tree = ast.parse(text)
    missing = [] if ast.get_docstring(tree) or not tree.body else [f"{path}: the module"]
    return missing + [f"{path}:{node.lineno} {name}" for name, node in _public(tree) if not ast.get_docstring(node)]


def _public(tree, inside=""):
    for node in tree.body:
        if not isinstance(node, (ast.ClassDef, *type_of_function)) or node.name.startswith(("_", "test_")):
            continue
        if isinstance(node, ast.ClassDef):
            yield inside + node.name, node
            yield from _public(node, f"{inside}{node.name}.")
        elif not any(_last_name(each) in {"overload", "override", "setter"} for each in node.decorator_list):
            yield inside + node.name, node


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node).rpartition(".")[2]


def test_files_are_short():
    found = [each for path, text in package_sources().items() for each in long_files(path, text)]
    expect_none(set(found) - set(LONG_FILES), f"more than {MOST_FILE_LINES} lines")
    expect_none(set(LONG_FILES) - set(found), "exceptions that are no longer needed")


def test_functions_are_short():
    found = [each for path, text in package_sources().items() for each in long_functions(path, text)]
    expect_none(set(found) - set(LONG_FUNCTIONS), f"more than {MOST_FUNCTION_LINES} lines")
    expect_none(set(LONG_FUNCTIONS) - set(found), "exceptions that are no longer needed")


def test_exceptions_have_reasons():
    for name, reason in (LONG_FILES | LONG_FUNCTIONS).items():
        assert len(reason.split()) >= 4, f"{name}: say why, in a sentence"


def test_public_things_are_documented():
    found = (each for path, text in package_sources().items() for each in undocumented(path, text))
    expect_none(found, "no docstring")


@pytest.mark.parametrize(("lines", "found"), [(400, []), (401, ["x.py"])])
def test_long_file_is_seen(lines, found):
    assert long_files("x.py", "a = 1\n" * lines) == found


@pytest.mark.parametrize(
    ("head", "body_lines", "found"),
    [
        ("def f():", 39, []),
        ("def f():", 40, ["x.py::f"]),
        ('def f():\n    """One.\n\n    Two.\n    """', 39, []),  # a docstring does not count
        ('def f():\n    """One."""', 40, ["x.py::f"]),
        ("@cache\nasync def f():", 40, ["x.py::f"]),
    ],
)
def test_long_function_is_seen(head, body_lines, found):
    assert long_functions("x.py", f"{head}\n" + "    a = 1\n" * body_lines) == found
    method = "class C:\n" + indent(f"{head}\n" + "    a = 1\n" * body_lines, "    ")
    assert long_functions("x.py", method) == [each.replace("::", "::C.") for each in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('"""M."""', []),
        ("", []),
        ("a = 1", ["x.py: the module"]),
        ('"""M."""\ndef f(): pass', ["x.py:2 f"]),
        ('"""M."""\nasync def f(): pass', ["x.py:2 f"]),
        ('"""M."""\nclass C: pass', ["x.py:2 C"]),
        ('"""M."""\nclass C:\n    """C."""\n    def f(self): pass\n    def _g(self): pass', ["x.py:4 C.f"]),
        ('"""M."""\n@typing.overload\ndef f(): ...\ndef _g():\n    def h(): pass', []),
        ('"""M."""\nclass _C:\n    def f(self): pass', []),
    ],
)
def test_missing_docstring_is_seen(text, found):
    assert undocumented("x.py", dedent(text)) == found
