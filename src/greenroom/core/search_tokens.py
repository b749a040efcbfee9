"""The words of a filter: texts, numbers, operators and names, each with where it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenroom.core import names
from greenroom.core.errors import InvalidInput

CLAUSE = "Invalid clause(s) in filter string"
_FORM = "Write comparisons joined by AND, such as: tags.team = 'risk' AND tags.kind LIKE 'tree%'."
_TOKEN = re.compile(
    r"(?P<space>\s+)|(?P<text>'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")|(?P<tick>`[^`]*`)"
    r"|(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![\w.]))"
    r"|(?P<op>!=|<=|>=|[=<>])|(?P<word>[^\W\d][\w.\-/]*)|(?P<mark>[(),;])"
)


@dataclass(frozen=True)
class Token:
    """One word: `kind` is a group of the pattern above or "end"; `at` and `end` are offsets in the filter, from 0."""

    kind: str
    text: str
    at: int
    end: int


def tokens_of(source: str) -> list[Token]:
    """Return the words of a filter and an empty one of kind "end". InvalidInput for a character that begins none."""
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise invalid(source, Token("bad", "", at, at))
        if match.lastgroup != "space":
            found.append(Token(str(match.lastgroup), match[0], at, match.end()))
        at = match.end()
    return [*found, Token("end", "", at, at)]


def unquoted(token: Token) -> str:
    """Return what stands between the quotes of a text or a name in backticks; a doubled quote is one."""
    mark = token.text[0]
    return token.text[1:-1] if mark == "`" else token.text[1:-1].replace(mark * 2, mark)


def refused(text: str, **details: object) -> InvalidInput:
    """Return the error about a filter, with the general hint."""
    return InvalidInput(text, hint=_FORM, **details)


def invalid(source: str, token: Token) -> InvalidInput:
    """Return the error that nothing can be made of a filter from a word on."""
    return refused(f"{CLAUSE}: '{names.shown(source[token.at :] or source)}'", column=token.at + 1)
