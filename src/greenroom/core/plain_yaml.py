"""The part of YAML that tools write into configuration files, read as data. Pure, in linear time, within bounds.

What is read: one document of block mappings and lists, one-line or wrapped flow collections, plain, quoted and block
scalars, comments. That is all that PyYAML, conda and MLflow write for a model. What YAML could do besides is refused
with its line: anchors and aliases (a few lines of them expand to gigabytes), tags (they make objects), merge keys,
several documents, keys that are no scalars, a key twice.

Why not PyYAML's safe loader with aliases refused: this runs wherever a version is shown, the embedded registry too,
which would cost everybody a compiled dependency; and a loader that turns `3.10` into 3.1 and `no` into False has to be
told not to. Here a plain scalar stays the text that it is; only null, true and false are more. Tests hold the reading
against PyYAML's.
"""

from __future__ import annotations

import re
from typing import Any

from greenroom.core.errors import InvalidInput

MOST_CHARACTERS = 1 << 20
MOST_DEEP = 32
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None} | {
    word: word.lower() == "true" for word in ("true", "True", "TRUE", "false", "False", "FALSE")
}
_REFUSED = {"&": "an anchor", "*": "an alias", "!": "a tag", "%": "a directive", "@": "'@'", "`": "'`'"}
_ESCAPES = dict(zip('0abtnvfre "/\\N_LP', '\0\a\b\t\n\v\f\r\x1b "/\\\x85\xa0\u2028\u2029', strict=True)) | {"\t": "\t"}
_CODES = {"x": 2, "u": 4, "U": 8}
_DIGITS = frozenset("0123456789abcdefABCDEF")
_GOES_ON, _JOINED = -1, -2
_BLOCK = re.compile(r"[|>](?P<chomp>[+-]?)(?P<indent>[1-9]?)(?P<late>[+-]?)\s*(?:#.*)?")
_COMMENT = re.compile(r"(?:^|\s)#")
_COLON = re.compile(r":(?=\s|$)")
_SINGLE = re.compile(r"'(?:[^']|'')*+'")
_DOUBLE = re.compile(r'"(?:[^"\\]|\\.)*+"')
_FLOW = re.compile(
    r"""\s*([\[\]{},]|:(?=[\s,\[\]{}]|$)|'(?:[^']|'')*+'|"(?:[^"\\]|\\.)*+\"|"""
    r"""[^\s,\[\]{}'"#](?:[^,\[\]{}:\s]|:(?![\s,\[\]{}]|$)|[ \t]+(?=[^\s,\[\]{}:#]))*+)"""
)


def read_yaml(text: str) -> Any:
    """Return the document as dicts with text keys, lists, texts, None, True and False; None for an empty one.

    Raises InvalidInput naming the line of what is not read here, and for a text over 1 Mi characters or 32 levels.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(f"it has {len(text)} characters; at most {MOST_CHARACTERS} are read.")
    return _Reader(text).document()


class _Reader:
    """Works through the lines; `at` is the next one. A list's dash is blanked out once it is understood."""

    def __init__(self, text: str) -> None:
        self.lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
        self.at = 0

    def document(self) -> Any:
        if self._next() is not None and self.lines[self.at].rstrip() == "---":
            self.at += 1
        if self._next() is None:
            return None
        found = self._node(-1, 0)
        left = self._next()
        if left is not None and self.lines[self.at].rstrip() != "...":
            raise self.refused("what is neither indented like the lines before nor a new key")
        return found

    def refused(self, what: str) -> InvalidInput:
        line = min(self.at, len(self.lines) - 1) + 1
        return InvalidInput(f"line {line}: {what} is not read here.", line=line)

    def _next(self) -> int | None:
        """Go to the next line that is not blank or a comment and return its indentation; None at the end."""
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.lstrip(" ")
            if text.startswith("\t"):
                raise self.refused("a tab in the indentation")
            if text.rstrip() and not text.startswith("#"):
                return len(line) - len(text)
            self.at += 1
        return None

    def _node(self, parent: int, depth: int) -> Any:
        """Read what begins at the next line, which is indented by more than `parent`."""
        if depth > MOST_DEEP:
            raise self.refused(f"what is nested more than {MOST_DEEP} levels deep")
        indent = self._next()
        if indent is None or indent <= parent:
            return None
        if self._is_dash(indent):
            return self._list(indent, depth)
        if self._key(indent) is not None:
            return self._mapping(indent, depth)
        return self._value(indent, parent, depth)

    def _is_dash(self, indent: int) -> bool:
        return self.lines[self.at][indent : indent + 2].rstrip() == "-"

    def _list(self, indent: int, depth: int) -> list[Any]:
        found = []
        while self._next() == indent and self._is_dash(indent):
            line = self.lines[self.at]
            if _is_empty(line[indent + 1 :]):
                self.at += 1
                found.append(self._node(indent, depth + 1))
            else:
                self.lines[self.at] = f"{line[:indent]} {line[indent + 1 :]}"
                found.append(self._node(indent, depth + 1))
        return found

    def _mapping(self, indent: int, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while self._next() == indent:
            key = self._key(indent)
            if key is None:
                break
            name, after = key
            if name in found or name == "<<":
                raise self.refused(f"the key {name[:60]!r} " + ("twice" if name in found else "(merging)"))
            if _is_empty(self.lines[self.at][after:]):
                self.at += 1
                below = self._next()
                same = below == indent and self._is_dash(indent)
                found[name] = self._list(indent, depth + 1) if same else self._node(indent, depth + 1)
            else:
                start = after + len(self.lines[self.at][after:]) - len(self.lines[self.at][after:].lstrip())
                found[name] = self._value(start, indent, depth + 1)
        return found

    def _key(self, indent: int) -> tuple[str, int] | None:
        """Return the key that a line begins with and where its value begins, or None."""
        line = self.lines[self.at]
        if line[indent : indent + 2].rstrip() == "?":
            raise self.refused("a key of several lines")
        if line[indent] in "'\"":
            end = _closing(line, indent)
            if end is None or not line[end:].lstrip(" ").startswith(":"):
                return None
            quoted, _ = self._quoted_line(line, indent)
            return quoted, line.index(":", end) + 1
        if line[indent] in "[{|>":
            return None
        found = _COLON.search(line, indent)
        if found is None or _COMMENT.search(line[indent : found.start()]):
            return None
        name = line[indent : found.start()].rstrip()
        if name[:1] in _REFUSED:
            raise self.refused(_REFUSED[name[0]])
        return name, found.end()

    # --- values -----------------------------------------------------------------------------------------------------

    def _value(self, start: int, parent: int, depth: int) -> Any:
        """Read the value that begins in this line at `start`; its further lines are indented by more than `parent`."""
        first = self.lines[self.at][start]
        if first in _REFUSED:
            raise self.refused(_REFUSED[first])
        if first in "'\"":
            text, rest = self._quoted(start)
            self._nothing_after(rest)
            return text
        if first in "|>":
            return self._block(start, parent)
        if first in "[{":
            return self._flow(start, parent, depth)
        return self._plain(start, parent)

    def _nothing_after(self, rest: str) -> None:
        if not _is_empty(rest):
            raise self.refused("text behind a value")
        self.at += 1

    def _plain(self, start: int, parent: int) -> Any:
        parts = [_bare(self.lines[self.at][start:])]
        begun, blank = self.at, 0
        self.at += 1
        while self.at < len(self.lines):
            line = self.lines[self.at]
            text = line.strip(" \t")
            if not text:
                blank += 1
            elif len(line) - len(line.lstrip(" ")) <= parent or text.startswith("#") or (parent < 0 and text == "..."):
                break
            else:
                parts.append(("\n" * blank if blank else " ") + _bare(text))
                blank = 0
            self.at += 1
        text = "".join(parts)
        if _COLON.search(text):
            self.at = begun
            raise self.refused("a colon in a text without quotes")
        return _WORDS.get(text, text)

    def _block(self, start: int, parent: int) -> str:
        head = _BLOCK.fullmatch(self.lines[self.at], start)
        if head is None:
            raise self.refused("such a head of a block of text")
        folded, chomp = self.lines[self.at][start] == ">", head["chomp"] or head["late"]
        self.at += 1
        begun, lines = self.at, []
        indent = max(parent, 0) + int(head["indent"]) if head["indent"] else None
        while self.at < len(self.lines):
            line = self.lines[self.at]
            depth = len(line) - len(line.lstrip(" "))
            if line.strip():
                indent = depth if indent is None else indent
                if depth < indent or depth <= parent:
                    break
            lines.append(line[indent:] if indent is not None else "")
            self.at += 1
        if begun == self.at and not lines:
            return ""
        text = "\n".join(lines)
        body = text.rstrip("\n")
        ends = text[len(body) :] + "\n"
        if folded:
            body = _folded(body)
        return body + ("" if chomp == "-" or not body else ends if chomp == "+" else "\n")

    def _quoted(self, start: int) -> tuple[str, str]:
        """Return a quoted text, which may go over several lines, and what follows it in its last line."""
        mark = self.lines[self.at][start]
        text, end = self._quoted_line(self.lines[self.at], start)
        parts, blank = [text], 0
        while end in (_GOES_ON, _JOINED):
            self.at += 1
            if self.at >= len(self.lines):
                raise self.refused("a quoted text without its end")
            line = self.lines[self.at].lstrip(" \t")
            if not line:
                blank += 1
                continue
            glue = "\n" * blank or ("" if end == _JOINED else " ")
            text, end = self._quoted_line(mark + line, 0)
            parts.append(glue + text)
            blank = 0
        line = self.lines[self.at] if len(parts) == 1 else mark + self.lines[self.at].lstrip(" \t")
        return "".join(parts), line[end:]

    def _quoted_line(self, line: str, start: int) -> tuple[str, int]:
        """Return the text of a quoted scalar as far as it is in this line, and where it ends: _GOES_ON in the next
        line, or _JOINED to it without a blank.
        """
        end = _closing(line, start)
        if line[start] == "'":
            inner = line[start + 1 :].rstrip(" \t") if end is None else line[start + 1 : end - 1]
            return inner.replace("''", "'"), _GOES_ON if end is None else end
        if end is not None:
            return self._unescaped(line[start + 1 : end - 1]), end
        inner = line[start + 1 :]
        kept = inner.rstrip(" \t")
        if (len(kept) - len(kept.rstrip("\\"))) % 2 == 0:
            return self._unescaped(kept), _GOES_ON
        if kept != inner:  # an escaped blank
            return self._unescaped(inner[: len(kept) + 1]), _GOES_ON
        return self._unescaped(kept[:-1]), _JOINED

    def _unescaped(self, text: str) -> str:
        if "\\" not in text:
            return text
        found, at = [], 0
        while (slash := text.find("\\", at)) >= 0:
            found.append(text[at:slash])
            mark = text[slash + 1 : slash + 2]
            digits = text[slash + 2 : slash + 2 + _CODES.get(mark, 0)]
            if mark in _CODES and _is_character(digits, _CODES[mark]):
                found.append(chr(int(digits, 16)))
            elif mark in _ESCAPES:
                found.append(_ESCAPES[mark])
            else:
                raise self.refused(f"the escape \\{mark}")
            at = slash + 2 + len(digits)
        return "".join(found) + text[at:]

    # --- flow collections -------------------------------------------------------------------------------------------

    def _flow(self, start: int, parent: int, depth: int) -> Any:
        """Read `[...]` or `{...}`, to its closing bracket."""
        tokens: list[str] = []
        level, at = 0, start
        while True:
            found = _FLOW.match(self.lines[self.at], at)
            if found is None:
                if not _is_empty(self.lines[self.at][at:]):
                    raise self.refused("such a text in brackets")
                self.at, at = self.at + 1, 0
                if self.at >= len(self.lines):
                    raise self.refused("a bracket that is not closed")
                continue
            token, at = found[1].rstrip(), found.end()
            tokens.append(token)
            level += (token in ("[", "{")) - (token in ("]", "}"))
            if level == 0:
                break
        tokens.reverse()
        read = self._flow_node(tokens, depth)
        if tokens:
            raise self.refused("a bracket too many")
        self._nothing_after(self.lines[self.at][at:])
        return read

    def _flow_node(self, tokens: list[str], depth: int) -> Any:
        if depth > MOST_DEEP:
            raise self.refused(f"what is nested more than {MOST_DEEP} levels deep")
        word = tokens.pop() if tokens else ""
        if word == "[":
            return self._flow_items(tokens, depth)
        if word == "{":
            return self._flow_pairs(tokens, depth)
        if word in ("", "]", "}", ",", ":"):
            raise self.refused(f"{word!r} in brackets")
        if word[0] in _REFUSED:
            raise self.refused(_REFUSED[word[0]])
        if word[0] in "'\"":
            return self._quoted_line(word, 0)[0]
        return _WORDS.get(word, word)

    def _flow_items(self, tokens: list[str], depth: int) -> list[Any]:
        items: list[Any] = []
        while tokens and tokens[-1] != "]":
            items.append(self._flow_node(tokens, depth + 1))
            self._comma(tokens, "]")
        self._close(tokens)
        return items

    def _flow_pairs(self, tokens: list[str], depth: int) -> dict[str, Any]:
        pairs: dict[str, Any] = {}
        while tokens and tokens[-1] != "}":
            quoted = tokens[-1][0] in "'\""
            name = tokens[-1]
            key = self._flow_node(tokens, depth + 1)
            if isinstance(key, list | dict) or not tokens or tokens.pop() != ":":
                raise self.refused("a key without a value in brackets")
            name = str(key) if quoted else name
            if name in pairs or name == "<<":
                raise self.refused(f"the key {name[:60]!r} twice or merging")
            pairs[name] = None if tokens and tokens[-1] in (",", "}") else self._flow_node(tokens, depth + 1)
            self._comma(tokens, "}")
        self._close(tokens)
        return pairs

    def _close(self, tokens: list[str]) -> None:
        if not tokens:
            raise self.refused("a bracket of the wrong kind")
        tokens.pop()

    def _comma(self, tokens: list[str], closing: str) -> None:
        if not tokens or tokens[-1] not in (",", closing):
            raise self.refused("a missing comma in brackets")
        if tokens[-1] == ",":
            tokens.pop()


def _is_character(digits: str, count: int) -> bool:
    """Say whether the digits are a code point of a character; halves of pairs are none."""
    if len(digits) != count or not set(digits) <= _DIGITS:
        return False
    code = int(digits, 16)
    return code < 0xD800 or 0xDFFF < code < 0x110000


def _is_empty(text: str) -> bool:
    """Say whether nothing is left in a line but blanks and a comment."""
    bare = text.strip()
    return not bare or (bare.startswith("#") and text[0] in " \t")


def _bare(text: str) -> str:
    """Return a plain text without a comment behind it."""
    found = _COMMENT.search(text)
    return (text[: found.start()] if found else text).strip(" \t")


def _closing(line: str, start: int) -> int | None:
    """Return where the quoted text that begins at `start` ends in this line, or None."""
    found = (_SINGLE if line[start] == "'" else _DOUBLE).match(line, start)
    return found.end() if found else None


def _folded(body: str) -> str:
    """Return the lines of a folded block as paragraphs; lines that are indented more stay lines."""
    parts: list[str] = []
    blank, kept = 0, True
    for line in body.split("\n"):
        if not line:
            blank += 1
            continue
        keep = line[0] in " \t"
        if parts:
            parts.append("\n" * (blank + 1) if keep or kept else "\n" * blank or " ")
        elif blank:
            parts.append("\n" * blank)
        parts.append(line)
        blank, kept = 0, keep
    return "".join(parts)
