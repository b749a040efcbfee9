"""What somebody means by `models …`: words in, one canonical question out.

Pure: no registry, no terminal, no file is looked at. Whatever the words are, the answer is an `Ask` or a `Usage`.
Source: cli-verbs, rules 1 to 4, 6 and 8.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from greenroom.cli.verbs_tables import CANONICAL_FLAG, COMMON, FLAGS, FORMS, GLOBAL, SPELLINGS, SWITCHES, TWO_WORD, Form
from greenroom.core.names import parse_version, shown

MODELS = "models:/"
_LOGGED_MODEL = re.compile(r"models:/+m-[0-9a-f]{32}(/.*)?")
_YES, _NO = ("true", "yes", "1", "on"), ("false", "no", "0", "off")


@dataclass(frozen=True)
class Usage:
    """The words cannot be understood; `message` says why, without the word `Error:`."""

    message: str
    exit_code: int = 2
    hint: str | None = None


class Stop(Exception):
    """Ends an interpretation with a `Usage`; never leaves `interpret`."""

    def __init__(self, message: str, exit_code: int = 2, hint: str | None = None) -> None:
        super().__init__(message)
        self.usage = Usage(message, exit_code, hint)


@dataclass
class Given:
    """What the words say so far: values by field, in the order given, and the bare words."""

    operation: str
    verb: str
    values: dict[str, list[str]] = field(default_factory=dict)
    bare: list[str] = field(default_factory=list)
    flags: set[str] = field(default_factory=set)
    help: bool = False
    plain: bool = True  # no bare or key=value word, which are never canonical

    @property
    def form(self) -> Form:
        """The canonical form of the operation."""
        return FORMS[self.operation]

    def add(self, name: str, value: str) -> None:
        """Note one value of a field."""
        self.values.setdefault(name, []).append(value)

    def has(self, name: str) -> bool:
        """Say whether a field was given at all."""
        return name in self.values

    def one(self, name: str) -> str | None:
        """Return the one value of a field, None when absent or empty. Raises Stop for two different ones."""
        found = list(dict.fromkeys(self.values.get(name, [])))
        if len({value.casefold() if name == "stage" else value for value in found}) > 1:
            raise two_different(CANONICAL_FLAG[name], found[0], found[1])
        return found[0] if found and found[0] else None

    def many(self, name: str) -> tuple[str, ...]:
        """Return the values of a field that may be repeated; commas separate stages and versions too."""
        found = self.values.get(name, [])
        if name in ("stages", "versions"):
            found = [part.strip() for value in found for part in value.split(",")]
        return tuple(dict.fromkeys(value for value in found if value))


def two_different(what: str, left: str, right: str) -> Stop:
    """The error for words that contradict each other."""
    return Stop(f"Two different values given for '{what}': '{shown(left)}' and '{shown(right)}'.")


def read_words(words: Sequence[str]) -> Given:
    """Split words into a verb, flags, key=value words and bare words. Raises Stop."""
    rest = list(words)
    early: list[str] = []
    while rest and rest[0].startswith("-") and rest[0] != "--":  # `models --tracking-uri URL list`
        flag = rest[0].partition("=")[0]
        if FLAGS.get(_long(flag)) == "help":
            return Given("help", "help", help=True)
        if FLAGS.get(_long(flag)) not in GLOBAL:
            raise Stop(f"The command comes first, before '{shown(flag)}'.", hint="See 'models --help'.")
        takes = "=" not in rest[0] and FLAGS[_long(flag)] not in SWITCHES and _long(flag) != "--json"
        early += rest[: 2 if takes else 1]
        rest = rest[2 if takes else 1 :]
    if not rest:
        return Given("help", "help", help=True)
    given, used = _read_verb(rest)
    _read_rest(given, [*early, *rest[used:]])
    return given


def _read_verb(words: Sequence[str]) -> tuple[Given, int]:
    verb = _plain(words[0])
    if len(words) > 1 and verb in TWO_WORD:
        pair = f"{verb}-{_plain(words[1])}"
        if pair in SPELLINGS:
            return Given(SPELLINGS[pair].operation, f"{verb} {_plain(words[1])}"), 2
    if verb not in SPELLINGS:
        raise Stop(f"No such command '{shown(words[0])}'.{did_you_mean(verb, SPELLINGS)}")
    return Given(SPELLINGS[verb].operation, verb), 1


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the nearest known word, or nothing when none is near."""
    near = difflib.get_close_matches(word[:80], list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""


def _plain(word: str) -> str:
    return word.lower().replace("_", "-").replace(".", "-")


def _long(flag: str) -> str:
    return flag.lower().replace("_", "-") if flag.startswith("--") else flag


def _read_rest(given: Given, words: list[str]) -> None:
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "--":
            given.bare += words[at:]
            return
        if word.startswith("-") and not _is_value(word):
            at = _read_flag(given, word, words, at)
        elif not _read_pair(given, word):
            given.bare.append(word)
            given.plain = given.plain and given.form.bare_words


def _is_value(word: str) -> bool:
    return word == "-" or word[1:].isdigit()


def _read_flag(given: Given, word: str, words: Sequence[str], at: int) -> int:
    """Note one flag and its value; return where the next word begins."""
    flag, equals, value = word.partition("=")
    if not flag.startswith("--") and len(flag) > 2:  # -nNAME, -v3
        flag, equals, value = word[:2], "=", word[2:]
    flag = _long(flag)
    name = _field(given, flag)
    if name == "help":
        given.help = True
        return at
    given.flags.add(flag)
    if flag == "--json":
        value, equals = "json", "="
    elif name.removeprefix("not ") in SWITCHES:
        if not equals and at < len(words) and words[at].lower() in (*_YES[:1], *_NO[:1]):
            value, equals, at = words[at], "=", at + 1
        value = value if equals else "true"
    elif not equals:
        if at >= len(words) or _is_flag(words[at]):
            raise Stop(f"Option '{flag}' requires an argument.")
        value, at = words[at], at + 1
    _note(given, name, flag, value)
    return at


def _is_flag(word: str) -> bool:
    return word.startswith("-") and _long(word.partition("=")[0]) in FLAGS


def _field(given: Given, flag: str) -> str:
    """Return the field that `flag` means for this operation. Raises Stop for one that has no meaning here."""
    negated = flag.startswith("--no-") and FLAGS.get("--" + flag[5:]) in SWITCHES
    name = FLAGS.get("--" + flag[5:] if negated else flag)
    if name == "tags" and flag == "-t" and given.operation in ("set_tag", "delete_tag"):
        name = "key"
    if name == "version" and flag == "-v" and given.operation == "set_tag" and given.has("version"):
        name = "value"  # `set-tag -n NAME -v 3 -t stage -v Production`
    if name in ("help", "model") or name in COMMON:
        return str(name)
    if name == "stages" and "stages" not in given.form.accepts:
        name = "stage"
    if name is None or name not in given.form.accepts:
        known = [each for each, meant in FLAGS.items() if meant in (*given.form.accepts, *COMMON) and each[:2] == "--"]
        raise Stop(f"No such option '{shown(flag)}' of '{given.verb}'.{did_you_mean(flag, known)}")
    return f"not {name}" if negated else name


def _note(given: Given, name: str, flag: str, value: str) -> None:
    if name == "version" and not value:
        # An empty shell variable must not turn "version 3" into "the newest one".
        raise Stop(f"Option '{flag}' has an empty value.")
    if name.removeprefix("not ") in SWITCHES:
        if value.lower() not in (*_YES, *_NO):
            raise Stop(f"Option '{flag}' is true or false, got '{shown(value)}'.")
        on = (value.lower() in _YES) != name.startswith("not ")
        name, value = name.removeprefix("not "), "true" if on else "false"
    if name == "model":
        name = "uri" if value.startswith("models:") else "name"
        if given.operation == "register":
            name = "model"
    if name == "tags" and given.operation == "set_tag" and "=" not in value and not value.startswith("{"):
        name = "key"
    given.add(name, value)


def _read_pair(given: Given, word: str) -> bool:
    """Take a `key=value` word; say whether it was one."""
    key, equals, value = word.partition("=")
    if not equals or not key or "/" in key or ":" in key or any(c.isspace() for c in key):
        return False
    flag = "--" + _plain(key)
    name = FLAGS.get(flag)
    wanted = (*given.form.accepts, *COMMON)
    if name == "stages" and "stages" not in wanted:
        name = "stage"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        value = value[1:-1]
    given.plain = False
    if name in wanted and name is not None:
        _note(given, name, key, value)
    elif given.operation in ("set_tag", "create_model", "register"):
        given.add("tags", f"{key}={value}")
    else:
        near = did_you_mean(flag, [each for each, meant in FLAGS.items() if meant in wanted]).replace("--", "")
        raise Stop(f"'{shown(key)}=' is no option of '{given.verb}'.{near}")
    return True


def read_tags(values: Iterable[str]) -> dict[str, str]:
    """Return tags from `key=value` texts or JSON objects of texts. Raises Stop."""
    tags: dict[str, str] = {}
    for text in values:
        for key, value in _tag_pairs(text):
            if tags.get(key, value) != value:
                raise two_different(f"tag {shown(key)}", tags[key], value)
            tags[key] = value
    return tags


def _tag_pairs(text: str) -> list[tuple[str, str]]:
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise Stop(f"Tags are no JSON object: '{shown(text)}'.") from None
        return [(key, value if isinstance(value, str) else json.dumps(value)) for key, value in found.items()]
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Stop(f"Option '--tags' takes KEY=VALUE, got '{shown(text)}'.")
    return [(key, value)]


def split_uri(uri: str) -> tuple[str, str | None]:
    """Return name and the rest of `models:/NAME/REST` or `models:/NAME@alias` (the rest is `@alias`). Raises Stop."""
    path = uri.removeprefix("models:").strip("/")
    name, slash, rest = path.partition("/")
    if not slash:
        name, at, alias = path.rpartition("@")
        name, rest = (name, "@" + alias) if at and alias else (path, "")
    if not uri.startswith("models:") or not name or "/" in rest:
        raise Stop(f"'{shown(uri)}' is not models:/NAME/VERSION, models:/NAME/STAGE or models:/NAME@ALIAS.")
    return name, rest or None


def read_version(text: str, *, model: str | None = None, stage: bool = False) -> tuple[int | None, str | None]:
    """Return a version's number, or what stands for one: `latest`, `@alias`, and with `stage` a stage's name.

    Raises InvalidInput and NotFound as `core.names.parse_version`.
    """
    if text.casefold() == "latest":
        return None, "latest"
    digits = text[1:] if text[:1] in ("v", "V") and text[1:].isascii() and text[1:].isdigit() else text
    if text.startswith("@") or (stage and not re.fullmatch(r"-?\d+", digits, re.ASCII)):
        return None, text
    return parse_version(digits, model=model or None), None


def is_logged_model(uri: str) -> bool:
    """Say whether a URI names a logged model of MLflow 3 (`models:/m-<32 hex>`), not a registered one."""
    return _LOGGED_MODEL.fullmatch(uri) is not None
