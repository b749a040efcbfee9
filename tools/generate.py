"""Write everything in docs/ that is made from the code, and the compiled SQL. `--check` only says what is stale.

A generated text stands between two marks in a page that people write (`tools/pages/text.py`); pictures are whole files.
Run through `make docs`; tests/docs fails while anything is missing or stale.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:  # run as a script, Python knows the folder of the script only
    sys.path.insert(0, str(ROOT))

from greenroom.core.document import parse_policy  # noqa: E402
from greenroom.core.presets import PRESETS  # noqa: E402
from tools import compile_sql  # noqa: E402
from tools.pages import attacks, cli, diagram, lifecycle, mlflow, promises, rest, tables  # noqa: E402
from tools.pages.text import block_names, fill  # noqa: E402

DOCS = ROOT / "docs"

BLOCKS: dict[str, Callable[[], str]] = {
    "cli": cli.reference,
    "verbs": cli.verbs,
    "rest-overview": rest.overview,
    "rest": rest.reference,
    "permissions": rest.permissions,
    "mlflow-endpoints": rest.mlflow_endpoints,
    "mlflow-tracking": rest.mlflow_tracking,
    "mlflow-out": mlflow.out,
    "mlflow-differences": mlflow.differences,
    "errors": tables.errors,
    "refusals": tables.refusals,
    "exits": tables.exits,
    "events": tables.events,
    "limits": tables.limits,
    "search-fields": tables.search_fields,
    "lifecycle-keys": lifecycle.keys,
    "gates": lifecycle.gates,
    "presets": lifecycle.presets,
    "promises": promises.promises,
    "attacks-waiting": attacks.waiting,
    "nightly": promises.nightly_figures,
}


def pages() -> dict[Path, str]:
    """Return every page of docs/ that has generated text, with that text as it should be; pictures too."""
    blocks = {name: make() for name, make in BLOCKS.items()}
    found = {path: path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
    made = {path: fill(text, blocks) for path, text in found.items() if block_names(text)}
    for name, text in PRESETS.items():
        made[DOCS / "images" / f"lifecycle-{name}.svg"] = diagram.svg(parse_policy(text))
    return made


def homeless() -> list[str]:
    """Return the names of blocks that no page shows."""
    shown = {name for path in DOCS.rglob("*.md") for name in block_names(path.read_text("utf-8"))}
    return sorted(set(BLOCKS) - shown)


def stale() -> dict[Path, str]:
    """Return what is not as it should be, with the text that it should have."""
    return {path: text for path, text in pages().items() if not path.is_file() or path.read_text("utf-8") != text}


def main() -> int:
    """Write what is stale; with `--check` only say it (exit 1 if anything is)."""
    check = "--check" in sys.argv
    found = stale()
    for path, text in found.items():
        print(f"{'stale' if check else 'written'}: {path.relative_to(ROOT)}")
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    for name in homeless():
        print(f"no page shows the generated block {name!r}")
    return compile_sql.main() or (1 if homeless() or (check and found) else 0)


if __name__ == "__main__":
    raise SystemExit(main())
