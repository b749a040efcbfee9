"""The pages are complete, fresh and lead somewhere: generated text, links, settings, decisions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from greenroom.cli.table import ENTRIES
from greenroom.core.errors import GreenroomError, error_classes
from greenroom.core.gates import gate_types
from greenroom.core.lifecycle import RULES
from tests.house.source import ROOT, expect_none, package_sources
from tools import compile_sql, generate
from tools.pages.cli import commands
from tools.pages.text import block_names, fill, table

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_TEST_PATH = re.compile(r"`(tests/[\w/.-]+)`")
_ENVIRONMENT = re.compile(r"\b(?:GREENROOM|MLFLOW)_[A-Z_]+\b")
_NOT_SETTINGS = {"MLFLOW_LEVEL", "MLFLOW_PREFIXES"}  # constants


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (DOCS / name).read_text("utf-8")


def dead_links(text: str, home: Path) -> Iterator[str]:
    """Yield the links of a page that lead nowhere: to no file, or to no heading of the page they name."""
    for target in _LINK.findall(_FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = unquote(target).partition("#")
        path = (home.parent / name).resolve()
        if not path.exists() or (anchor and anchor not in anchors(path.read_text("utf-8") if name else text)):
            yield target


def anchors(text: str) -> set[str]:
    """Return what the headings of a page are called in links."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_generated_text_is_fresh():
    expect_none((path.relative_to(ROOT).as_posix() for path in generate.stale()), "stale: run `make docs`")


def test_every_generated_block_has_a_page():
    expect_none(generate.homeless(), "no page shows it: put its marks somewhere in docs/")


@pytest.mark.parametrize("dialect", compile_sql.DIALECTS)
def test_compiled_sql_is_fresh(dialect):
    written = (compile_sql.TARGET / f"{dialect}.py").read_text("utf-8")
    assert written == compile_sql.render(dialect), "stale: run `make docs`"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    expect_none(dead_links(path.read_text("utf-8"), path), f"dead links in {path.name}")


def test_every_page_can_be_found():
    linked = {
        (path.parent / target.partition("#")[0]).resolve()
        for path in PAGES
        for target in _LINK.findall(path.read_text("utf-8"))
    }
    expect_none((path.name for path in DOCS.rglob("*.md") if path not in linked), "nothing links to the page")


def test_tests_that_are_named_exist():
    named = {name for path in PAGES for name in _TEST_PATH.findall(path.read_text("utf-8"))}
    patterns = {name: name if Path(name).suffix else f"{name}/**/*.py" for name in sorted(named)}
    missing = (name for name, pattern in patterns.items() if not any(ROOT.glob(pattern)))
    expect_none(missing, "a page names a test that is not there")


def test_every_command_has_a_section():
    text = page("reference/cli.md")
    shown = [path for path, _ in commands()]
    assert {path.split()[1] for path in shown} == {name for name, entry in ENTRIES.items() if not entry.hidden}
    expect_none((path for path in shown if f"# {path}\n" not in text), "no section in the command line's page")


def test_every_error_and_every_gate_is_told():
    codes = {code for code, kind in error_classes().items() if kind is not GreenroomError}
    errors, lifecycle = page("reference/errors.md"), page("reference/lifecycle.md")
    expect_none((code for code in codes if f"| `{code}` |" not in errors), "an error that no page tells of")
    expect_none((name for name in gate_types() if f"### {name}\n" not in lifecycle), "a gate that no page tells of")


def test_settings_are_those_of_the_code():
    used = {name for text in package_sources().values() for name in _ENVIRONMENT.findall(text)} - _NOT_SETTINGS
    told = set(_ENVIRONMENT.findall(page("reference/settings.md")))
    expect_none(used - told, "a variable that no page tells of")
    expect_none(told - used, "a variable that nothing reads")


def test_the_promotion_rule_is_found():
    rule = "src/greenroom/core/lifecycle.py"
    assert len(RULES) >= 4
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", DOCS / "explanation" / "architecture.md"):
        assert rule in path.read_text("utf-8"), f"{path.name} does not say where the promotion rule is"


DECISIONS = sorted((DOCS / "adr").glob("[0-9]*.md"))


def test_decisions_are_numbered_and_listed():
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04}" for number in range(1, len(DECISIONS) + 1)]
    index = page("adr/README.md")
    expect_none((path.name for path in DECISIONS if f"({path.name})" not in index), "a decision is not in the index")


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_form(path):
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith(f"# {path.name[:4]}: ")
    assert [line for line in lines if line.startswith("## ")] == ["## Problem", "## Options", "## Choice", "## Price"]
    assert len(lines) <= 140


# --- the checks themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "dead"),
    [
        ("[a](index.md) [b](adr/README.md) [c](https://example.org/x) [d](#here-and-now)\n# Here, and `now`", []),
        ("[a](nowhere.md)", ["nowhere.md"]),
        ("![a](images/nothing.svg)", ["images/nothing.svg"]),
        ("[a](#there)\n# Here", ["#there"]),
        ("[a](index.md#nothing-like-that)", ["index.md#nothing-like-that"]),
        ("```\n[a](nowhere.md)\n```", []),
    ],
)
def test_dead_link_is_seen(text, dead):
    assert list(dead_links(text, DOCS / "a page.md")) == dead


def test_stale_block_is_seen(monkeypatch, tmp_path):
    (tmp_path / "page.md").write_text("<!-- generated: x -->\nold\n<!-- end of generated: x -->\n")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    monkeypatch.setattr(generate, "BLOCKS", {"x": lambda: "new", "y": lambda: "homeless"})
    assert "new" in generate.stale()[tmp_path / "page.md"]
    assert generate.homeless() == ["y"]


def test_filling_twice_changes_nothing():
    text = "a\n<!-- generated: x -->\n<!-- end of generated: x -->\nb\n"
    once = fill(text, {"x": table(("a",), [("1|2\n3",)])})
    assert "| 1\\|2 3 |" in once
    assert fill(once, {"x": table(("a",), [("1|2\n3",)])}) == once
    assert block_names(once) == ["x"]
    with pytest.raises(KeyError):
        fill(text, {})
