"""Read a requirements.txt for comparison: one name, one text. Nothing is resolved or installed."""

from __future__ import annotations

import re

_NAME = re.compile(r"^([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(\[[^\]]*\])?\s*(.*)$")
_RUNS = re.compile(r"[-_.]+")


def parse_requirements(text: str) -> dict[str, str]:
    """Return each requirement's specifier by its normalised name; lines that are no requirement are kept under
    themselves.

    Comments, blank lines and hashes are left out. Source: PEP 503 (names), PEP 508 (specifiers).
    """
    found: dict[str, str] = {}
    for line in text.replace("\\\n", " ").splitlines():
        plain = re.sub(r"(^|\s)#.*$", "", line).strip()
        plain = re.sub(r"\s--hash=\S+", "", plain).strip()
        if not plain:
            continue
        match = _NAME.match(plain)
        if match is None or plain.startswith("-"):
            found[plain] = ""
            continue
        name, extras, rest = match.groups()
        found[_RUNS.sub("-", name).lower() + (extras or "")] = rest.strip()
    return found
