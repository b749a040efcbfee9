"""Change log from fragments.

`python tools/changelog.py` prints what is unreleased, `python tools/changelog.py release 0.2.0 2026-12-01` folds it in.
A fragment is one file `changelog.d/<subject>.<kind>.md` with one paragraph, so that two branches never touch one line.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHANGELOG = ROOT / "CHANGELOG.md"
FRAGMENTS = ROOT / "changelog.d"
KINDS = ("added", "changed", "fixed", "removed", "security")
MOST_CHARACTERS = 400
_NAME = re.compile(rf"[a-z0-9-]+\.({'|'.join(KINDS)})\.md")
_UNRELEASED = "## Unreleased\n"


def read_fragments() -> dict[str, str]:
    """Return the text of each fragment by its file name."""
    return {path.name: path.read_text("utf-8") for path in sorted(FRAGMENTS.glob("*")) if path.name != "README.md"}


def fragment_complaints(name: str, text: str) -> Iterator[str]:
    """Yield what is wrong with a fragment: its name, no text, more than a paragraph, more than 400 characters."""
    if not _NAME.fullmatch(name):
        yield f"{name}: call it <subject>.<kind>.md, where kind is one of {', '.join(KINDS)}"
    if not text.strip():
        yield f"{name}: is empty"
    if "\n\n" in text.strip():
        yield f"{name}: has more than one paragraph"
    if len(text) > MOST_CHARACTERS:
        yield f"{name}: has more than {MOST_CHARACTERS} characters"


def section(fragments: dict[str, str]) -> str:
    """Return the fragments as Markdown, one list for each kind; empty text when there are none."""
    parts = []
    for kind in KINDS:
        texts = [" ".join(text.split()) for name, text in fragments.items() if name.endswith(f".{kind}.md")]
        if texts:
            parts.append(f"### {kind.capitalize()}\n\n" + "".join(f"- {text}\n" for text in texts))
    return "\n".join(parts)


def released(changelog: str, version: str, date: str, fragments: dict[str, str]) -> str:
    """Return the change log with the fragments under a heading for `version`. Raises ValueError without its place."""
    if changelog.count(_UNRELEASED) != 1:
        raise ValueError(f"the change log needs one line {_UNRELEASED.strip()!r}")
    return changelog.replace(_UNRELEASED, f"{_UNRELEASED}\n## {version} ({date})\n\n{section(fragments)}")


def main(arguments: list[str]) -> int:
    """Print the unreleased changes, or fold them into the change log and remove the fragments."""
    fragments = read_fragments()
    match arguments:
        case []:
            print(section(fragments) or "Nothing unreleased.")
        case ["release", version, date]:
            CHANGELOG.write_text(released(CHANGELOG.read_text("utf-8"), version, date, fragments), "utf-8")
            for name in fragments:
                (FRAGMENTS / name).unlink()
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
