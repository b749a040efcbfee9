"""Habits that break promises: a commit outside the store, an error that nobody hears of, a core that looks around."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator

import pytest

from tests.house.exceptions import SILENT_CATCHES
from tests.house.source import expect_none, imports, package_sources

STORE = "src/greenroom/store/"
CORE = "src/greenroom/core/"

_TRANSACTION = re.compile(
    r"\s*(?:(?:BEGIN|COMMIT|ROLLBACK|END)(?:\s+(?:IMMEDIATE|DEFERRED|EXCLUSIVE|TRANSACTION|WORK))*\s*;?\s*$"
    r"|(?i:BEGIN\s+(?:IMMEDIATE|DEFERRED|EXCLUSIVE|TRANSACTION)\b)"
    r"|SAVEPOINT\b|RELEASE\s+SAVEPOINT\b|ROLLBACK\s+TO\b)"
)
# Each of these reads a clock, the world or chance; time, ids and randomness come into the core as arguments.
_IMPURE_MODULES = frozenset(
    "asyncio builtins ctypes fcntl getpass glob http io locale logging mmap multiprocessing os pathlib platform random"
    " secrets select shutil signal socket sqlite3 ssl subprocess tempfile threading time urllib.request uuid".split()
)
_IMPURE_CALLS = re.compile(
    r"(?:^|\.)(?:now|utcnow|today|fromtimestamp|localtime|urandom)$|^(?:open|print|input|exec|eval)$"
)


def transactions(text: str) -> Iterator[str]:
    """Yield each place that opens or ends a transaction by call or by SQL."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "commit":
            yield f"line {node.lineno}: {ast.unparse(node.func)}()"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _TRANSACTION.match(node.value):
            yield f"line {node.lineno}: {node.value!r}"


def silent_catches(text: str) -> Iterator[str]:
    """Yield each bare `except`, and each that catches everything and then does nothing."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                yield f"line {node.lineno}: bare except"
            elif _is_everything(node.type) and all(_is_nothing(each) for each in node.body):
                yield f"line {node.lineno}: catches {ast.unparse(node.type)} and says nothing"
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "suppress":
            yield from (f"line {node.lineno}: suppresses everything" for each in node.args if _is_everything(each))


def _is_everything(node: ast.expr) -> bool:
    each = node.elts if isinstance(node, ast.Tuple) else [node]
    return any(ast.unparse(one).rpartition(".")[2] in {"Exception", "BaseException"} for one in each)


def _is_nothing(node: ast.stmt) -> bool:
    if isinstance(node, ast.Return):
        return node.value is None or isinstance(node.value, ast.Constant)
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or isinstance(node, (ast.Pass, ast.Continue, ast.Break))


def impurities(text: str) -> Iterator[str]:
    """Yield what makes a module of the core depend on more than its arguments and the standard library."""
    tree = ast.parse(text)
    for line, module in imports(tree):
        top = module.partition(".")[0]
        ours = module == "greenroom.core" or module.startswith("greenroom.core.")
        if not ours and top not in sys.stdlib_module_names:
            yield f"line {line}: imports {module}"
        elif any(module == each or module.startswith(f"{each}.") for each in _IMPURE_MODULES):
            yield f"line {line}: imports {module}, which knows more than its arguments"
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _IMPURE_CALLS.search(ast.unparse(node.func)):
            yield f"line {node.lineno}: calls {ast.unparse(node.func)}"


def _complaints(check, *, under="src/greenroom/", but="\0") -> list[str]:
    chosen = {p: text for p, text in package_sources().items() if p.startswith(under) and not p.startswith(but)}
    assert chosen, f"nothing under {under}"
    return [f"{path} {each}" for path, text in chosen.items() for each in check(text)]


def test_only_the_store_ends_transactions():
    expect_none(_complaints(transactions, but=STORE), "a transaction outside store/")


def test_no_error_is_swallowed():
    found = {path for path, text in package_sources().items() if any(silent_catches(text))}
    complaints = [each for each in _complaints(silent_catches) if each.partition(" ")[0] not in SILENT_CATCHES]
    expect_none(complaints, "catches everything and says nothing")
    expect_none(set(SILENT_CATCHES) - found, "exceptions that are no longer needed")


def test_the_core_is_pure():
    expect_none(_complaints(impurities, under=CORE), "the core knows more than its arguments")


@pytest.mark.parametrize(
    "text",
    [
        "connection.commit()",
        "self._db.commit()",
        "tx.execute('COMMIT')",
        "tx.execute('begin immediate')",
        "tx.execute('BEGIN')",
        "tx.execute(f'SAVEPOINT {name}')",
        "tx.execute('ROLLBACK TO one')",
    ],
)
def test_transaction_is_seen(text):
    assert list(transactions(text))


@pytest.mark.parametrize("text", ["context['commit']", "client.rollback('m')", "x = '-----BEGIN KEY-----'", "commit()"])
def test_what_is_no_transaction_passes(text):
    assert list(transactions(text)) == []


@pytest.mark.parametrize(
    "handler",
    [
        "except: raise",
        "except Exception: pass",
        "except BaseException: ...",
        "except (ValueError, Exception) as error: return None",
        "except builtins.Exception: 'never mind'",
    ],
)
def test_silent_catch_is_seen(handler):
    assert list(silent_catches(f"def f():\n  try: g()\n  {handler}"))
    assert list(silent_catches("with contextlib.suppress(Exception): g()"))


@pytest.mark.parametrize("handler", ["except KeyError: pass", "except Exception: log()", "except Exception: raise"])
def test_narrow_or_spoken_catch_passes(handler):
    assert list(silent_catches(f"try: g()\n{handler}")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import msgspec",
        "from greenroom.services import ports",
        "from greenroom import settings",
        "from .. import services",
        "def f():\n  import time",
        "from os import path",
        "datetime.datetime.now()",
        "open('x')",
        "date.today()",
    ],
)
def test_impurity_is_seen(text):
    assert list(impurities(text))


@pytest.mark.parametrize(
    "text",
    [
        "import re, json",
        "from urllib.parse import urlsplit",
        "from greenroom.core.errors import X",
        "from datetime import UTC",
    ],
)
def test_pure_import_passes(text):
    assert list(impurities(text)) == []
