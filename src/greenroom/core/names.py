"""What people may call things, and how long a text may be: one check per kind of text, one table of limits.

Every `check_x(value)` returns the value unchanged when it is clean and raises InvalidInput when it is not; no other
error leaves this file, whatever comes in. Nothing is repaired on the way: what was checked is what is stored.
Lengths are tested before anything else, because Unicode normalisation of a long run of combining marks is quadratic.
Unassigned characters are refused because their normal form may change with the next Unicode version.
Sources: mlflow-compat section 2 (what existing clients rely on); security vectors ID-01 to ID-07, PT-01 to PT-26.
"""

from __future__ import annotations

import functools
import posixpath
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.image_names import without_image


@dataclass(frozen=True)
class Limit:
    """One stated bound: at most `value` `unit` of `what`."""

    name: str
    value: int
    unit: str
    what: str


def _table(*rows: tuple[str, int, str, str]) -> Mapping[str, Limit]:
    return MappingProxyType({name: Limit(name, value, unit, what) for name, value, unit, what in rows})


LIMITS: Mapping[str, Limit] = _table(
    ("model_name", 255, "characters", "name of a registered model"),
    ("model_name_bytes", 512, "bytes", "name of a registered model as UTF-8"),
    ("version", 9_999_999_999, "", "number of a version"),
    ("stage_name", 63, "characters", "name of a stage"),
    ("alias", 255, "characters", "name of an alias"),
    ("tag_key", 250, "characters", "key of a tag"),
    ("tag_value", 100_000, "characters", "value of a tag"),
    ("description", 100_000, "characters", "description of a model or version"),
    ("metric_key", 250, "characters", "key of a metric"),
    ("param_key", 250, "characters", "key of a parameter"),
    ("param_value", 6_000, "characters", "value of a parameter"),
    ("dataset_name", 500, "characters", "name of a data set"),
    ("actor_name", 255, "characters", "name of an actor"),
    ("path_bytes", 1_024, "bytes", "path of an artifact as UTF-8"),
    ("path_segments", 32, "segments", "path of an artifact"),
    ("path_segment_bytes", 255, "bytes", "one segment of a path as UTF-8"),
    ("source", 2_048, "characters", "source of a version"),
    ("filter", 10_000, "characters", "filter of a search"),
    ("filter_comparisons", 64, "comparisons", "filter of a search"),
    ("like_pattern", 500, "characters", "pattern of LIKE and ILIKE"),
    ("like_wildcards", 8, "'%' signs", "pattern of LIKE and ILIKE"),
    ("order_by", 8, "keys", "order of a search"),
    ("order_by_item", 500, "characters", "one key of the order of a search"),
    ("page_token", 4_096, "characters", "page token"),
    ("echo", 100, "characters", "value repeated in an error text"),
)

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
# Drawn as nothing although Unicode calls them letters, marks or symbols (default-ignorable, and the blank of Braille).
_HIDDEN = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0d\uffa0\U000e0100-\U000e01ef]"
)
# The two selectors that ordinary emoji carry: allowed, and left out of the key that makes names unique.
_EMOJI_SELECTORS = str.maketrans("", "", "\ufe0e\ufe0f")
_PERCENT_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_KEY = re.compile(r"[/\w.\- :]+")
_ALIAS = re.compile(r"[\w\-]+")
_NO_ALIAS = re.compile(r"latest|v\d+")
_STAGE = re.compile(r"[\w .\-]+")
_NO_STAGE = re.compile(r"deleted_internal|latest|\d+|\.+")
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_NO_VERSION = re.compile(r"0|-[1-9][0-9]{0,18}")
_DEVICE = re.compile(r"con|prn|aux|nul|conin\$|conout\$|com[1-9]|lpt[1-9]")
_DRIVE = re.compile(r"[A-Za-z]:")


def shown(value: object) -> str:
    """Return `value` fit for an error text: at most LIMITS["echo"] characters, nothing unprintable; total."""
    limit = LIMITS["echo"].value
    if isinstance(value, str):
        text = value if len(value) <= limit else value[: limit - 3] + "..."
    elif value is None or isinstance(value, bool | float):
        text = str(value)
    elif isinstance(value, int):
        text = str(value) if value.bit_length() <= 256 else f"an integer of {value.bit_length()} bits"
    else:
        text = f"a value of type {type(value).__name__}"
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return escaped if len(escaped) <= limit else escaped[: limit - 3] + "..."


def require_text(value: object, parameter: str) -> str:
    """Return `value` if it is a string with something in it; raises InvalidInput for None, "" and other types."""
    if value is None or (isinstance(value, str) and not value):
        raise _missing(parameter)
    return _string(value, parameter)


def require_length(text: str, kind: str, limit_name: str, size: int | None = None) -> None:
    """Raise InvalidInput if `text` (or its given `size`) is over LIMITS[limit_name]; `kind` is what it is called."""
    limit, actual = LIMITS[limit_name], len(text) if size is None else size
    if actual > limit.value:
        why = f"It has {actual} {limit.unit}."
        raise _bad(kind, text, why, f"At most {limit.value} {limit.unit} are allowed.", limit=limit_name)


def hidden_character(text: str) -> str | None:
    """Return a description of the first control, format, invisible, private or unassigned character; None if clean."""
    for at, character in enumerate("" if text.isascii() and text.isprintable() else text, start=1):
        if unicodedata.category(character) in _HIDDEN_CATEGORIES or _HIDDEN.match(character):
            name = unicodedata.name(character, "no name")
            return f"Character {at} (U+{ord(character):04X} {name}) is invisible or not a character."
    return None


def check_model_name(name: object) -> str:
    """Return a clean name of a registered model: 1 to 255 characters, at most 512 bytes as UTF-8, one visible line.

    Spaces inside, dots, dashes, any script and emoji are fine. Raises InvalidInput for what cannot stand in a URL or
    a path (`/`, `:`, a backslash, `..` in front, percent-escapes) and for what would look like another name.
    """
    kind, text = "model name", require_text(name, "name")
    require_length(text, kind, "model_name")
    if not name_key(text):
        raise _missing("name")
    if "/" in text or ":" in text:
        raise _bad(kind, text, "Names cannot contain '/' or ':'.", "Use '-', '_' or '.' to join words.")
    _require_visible(text, kind)
    require_length(text, kind, "model_name_bytes", len(text.encode()))
    if "\\" in text or _PERCENT_ESCAPE.search(text):
        raise _bad(kind, text, "Names cannot contain a backslash or a percent-escape.", "Write the characters as is.")
    if text == "." or text.startswith("..") or posixpath.normpath(text) != text:
        raise _bad(kind, text, "Names cannot read as a relative path.", "Begin with a letter or a digit.")
    return text


def name_key(name: str) -> str:
    """Return the key that two look-alike names share: NFKC, white space as single spaces, no emoji selectors.

    Case counts: MLflow's clash check is case-sensitive and its clients rely on it. "" means nothing visible.
    Raises InvalidInput for a text longer than a name may be. Unique in the database.
    """
    require_length(name, "name", "model_name")
    return " ".join(unicodedata.normalize("NFKC", name).translate(_EMOJI_SELECTORS).split())


def check_tag_key(key: object) -> str:
    """Return a clean tag key: 1 to 250 letters, digits, `_ - . : /` and spaces, not a path that resolves elsewhere."""
    return _check_key(key, "tag key", "tag_key")


def check_metric_key(key: object) -> str:
    """Return a clean metric key; same rule as a tag key."""
    return _check_key(key, "metric key", "metric_key")


def check_param_key(key: object) -> str:
    """Return a clean parameter key; same rule as a tag key."""
    return _check_key(key, "parameter key", "param_key")


def check_tag_value(value: object) -> str:
    """Return a clean tag value: text of at most 100 000 characters, "" and line breaks allowed, no NUL."""
    return _check_free_text(value, "value", "tag value", "tag_value")


def check_param_value(value: object) -> str:
    """Return a clean parameter value: text of at most 6 000 characters, "" and line breaks allowed, no NUL."""
    return _check_free_text(value, "value", "parameter value", "param_value")


def check_description(text: object) -> str:
    """Return a clean description: text of at most 100 000 characters, "" and line breaks allowed, no NUL."""
    return _check_free_text(text, "description", "description", "description")


def check_alias(alias: object, *, reserved_ok: bool = False) -> str:
    """Return a clean alias: 1 to 255 letters, digits, `_` and `-`.

    `latest` (any case) and `v3` are reserved: they are how people ask for the newest and for a numbered version.
    `reserved_ok` lets them through, for look-ups. Raises InvalidInput otherwise.
    """
    kind, text = "alias", require_text(alias, "alias")
    require_length(text, kind, "alias")
    hidden = hidden_character(text)
    if hidden or not _ALIAS.fullmatch(text):
        raise _bad(kind, text, hidden or "Aliases consist of letters, digits, '_' and '-'.", "Choose another alias.")
    if not reserved_ok and _NO_ALIAS.fullmatch(unicodedata.normalize("NFKC", text).casefold()):
        raise _bad(kind, text, "'latest' and 'v' with a number are reserved.", "Choose another alias.")
    return text


def check_version(value: object) -> int:
    """Return the version number that `value` (int or str) spells: 1 to 9 999 999 999, ASCII digits, nothing around.

    Raises InvalidInput for all else, 0 and negative numbers included. Needs a 64-bit column.
    """
    if value is None or value == "":
        raise _missing("version")
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LIMITS["version"].value:
        return int(value)
    if isinstance(value, str) and len(value) <= 10 and _VERSION.fullmatch(value):
        return int(value)
    sign = "a positive integer" if _is_no_version(value) else "an integer"
    hint = f"Versions are numbered 1, 2, 3 and so on, in plain digits, up to {LIMITS['version'].value}."
    raise InvalidInput(f"Parameter 'version' must be {sign}, got '{shown(value)}'.", hint=hint, parameter="version")


def parse_version(value: object, *, model: str | None = None) -> int:
    """Return the version number that `value` spells, answering like MLflow for 0 and below.

    Raises NotFound for "0" and "-1" (integers no version can have; the text names `model`), InvalidInput for what
    `check_version` refuses otherwise: "01", "1.0", "+2", " 2 ", other scripts' digits, more than 10 digits.
    """
    if _is_no_version(value):
        name = "" if model is None else f"name={shown(model)}, "
        raise NotFound(f"Model Version ({name}version={shown(value)}) not found", model=model, version=int(str(value)))
    return check_version(value)


def check_stage_name(name: object) -> str:
    """Return a clean stage name: 1 to 63 letters, digits, spaces, `_ - .`; raises InvalidInput.

    Reserved are MLflow's `Deleted_Internal` and what a reference or a path reads otherwise: `latest`, 3 and `..`.
    """
    kind, text = "stage name", require_text(name, "stage")
    require_length(text, kind, "stage_name")
    _require_visible(text, kind)
    if not _STAGE.fullmatch(text):
        raise _bad(kind, text, "It has more than letters, digits, spaces, '_', '-' and '.'.", "Choose another name.")
    if _NO_STAGE.fullmatch(stage_key(text)):
        raise _bad(kind, text, "This name is reserved.", "Choose another name.")
    return text


@functools.lru_cache(1024)
def stage_key(name: str) -> str:
    """Return what stage names are compared by: `name_key` with case folded. Raises InvalidInput above 255 characters.
    Source: mlflow-compat 0.16 (stages match case-insensitively and are shown as registered).
    """
    return unicodedata.normalize("NFKC", name_key(name).casefold())


def check_actor_name(name: object) -> str:
    """Return a clean actor name: one visible line of 1 to 255 characters (`ana@example.org`, `ci:train`)."""
    return _check_line(name, "actor", "actor name", "actor_name")


def check_dataset_name(name: object) -> str:
    """Return a clean data set name: one visible line of 1 to 500 characters."""
    return _check_line(name, "dataset name", "data set name", "dataset_name")


def check_path(path: object) -> str:
    """Return a clean artifact path: relative, `/` between segments, at most 1024 bytes, 32 segments of 255 bytes.

    Raises InvalidInput (`Invalid path: ...`) for anything that some file system, browser or URL parser would read
    as another path: `.` and `..`, backslashes, drive letters, device names, a dot or space ending a segment, `#`,
    `?`, `;`, percent-escapes, invisible characters, and full-width twins of dots and slashes. A `:` inside is fine.
    """
    text = require_text(path, "path")
    limit = LIMITS["path_bytes"].value
    if len(text) > limit or len(text.encode("utf-8", "surrogatepass")) > limit:
        raise _bad_path(text, f"is longer than {limit} bytes")
    if problem := hidden_character(text):
        raise _bad_path(text, f"cannot be used. {problem.rstrip('.')}")
    folded = unicodedata.normalize("NFKC", text)
    problem = _path_problem(text) or (_folded_path_problem(folded) if folded != text else None)
    if problem:
        raise _bad_path(text, problem)
    if not unicodedata.is_normalized("NFC", text):
        raise _bad_path(text, "is not in Unicode normal form C", "Rename it: unicodedata.normalize('NFC', name).")
    return text


def _missing(parameter: str) -> InvalidInput:
    return InvalidInput(f"Missing value for required parameter '{parameter}'.", parameter=parameter)


def _bad(kind: str, value: str, why: str, hint: str, **details: str) -> InvalidInput:
    return InvalidInput(f"Invalid {kind} '{shown(value)}'. {why}", hint=hint, kind=kind, value=shown(value), **details)


def _bad_path(path: str, problem: str, hint: str = "Rename it, to a path like 'model/weights.bin'.") -> InvalidInput:
    value = shown(path)
    return InvalidInput(f"Invalid path: '{value}' {problem}.", hint=hint, kind="path", value=value)


def _string(value: object, parameter: str) -> str:
    if not isinstance(value, str):
        text = f"Invalid value {shown(value)} for parameter '{parameter}' supplied:  Hint: Value was of type "
        raise InvalidInput(f"{text}'{type(value).__name__}'.", hint="Give a string.", parameter=parameter)
    return value


def _require_visible(text: str, kind: str) -> None:
    """Raise unless `text` (of bounded length) is one line that shows all it holds, in the form everybody types."""
    hidden = hidden_character(text)
    if hidden:
        raise _bad(kind, text, hidden, "Type the name again by hand.")
    if text != text.strip():
        raise _bad(kind, text, "It begins or ends with white space.", "Leave it out.")
    if not unicodedata.is_normalized("NFC", text):
        raise _bad(kind, text, "It is not in Unicode normal form C.", "Compose accents and letters (NFC) first.")


def _check_line(value: object, parameter: str, kind: str, limit_name: str) -> str:
    text = require_text(value, parameter)
    require_length(text, kind, limit_name)
    _require_visible(text, kind)
    return text


def _check_key(value: object, kind: str, limit_name: str) -> str:
    text = require_text(value, "key")
    require_length(text, kind, limit_name)
    hidden = hidden_character(text)
    if hidden or not _KEY.fullmatch(text) or not text.strip():
        why = hidden or "Keys consist of letters, digits, spaces and '_', '-', '.', ':', '/'."
        raise _bad(kind, text, why, "Choose another key.")
    if text == "." or text.startswith(("..", "/")) or posixpath.normpath(text) != text:
        raise _bad(kind, text, "Keys cannot read as a path that leads elsewhere.", "Leave out '//', '/.' and '..'.")
    return text


def _check_free_text(value: object, parameter: str, kind: str, limit_name: str) -> str:
    if value is None:
        raise _missing(parameter)
    text = _string(value, parameter)
    require_length(text, kind, limit_name)
    require_storable(text, kind)
    return text


def require_storable(text: str, kind: str) -> None:
    """Raise InvalidInput for NUL and lone surrogates, which a database or UTF-8 cannot hold."""
    if "\x00" in text:
        raise _bad(kind, text, "It contains a NUL character.", "Leave it out.")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise _bad(kind, text, "It contains half of a surrogate pair.", "Send valid UTF-8.") from exc


def _is_no_version(value: object) -> bool:
    """Tell whether `value` spells 0 or a negative integer of at most 19 digits."""
    if isinstance(value, str):
        return len(value) <= 20 and _NO_VERSION.fullmatch(value) is not None
    return isinstance(value, int) and not isinstance(value, bool) and -(10**19) < value <= 0


def _path_problem(text: str) -> str | None:
    """Say what is wrong with a path of bounded length; None if nothing is."""
    if "\\" in text:
        return "contains a backslash; segments are joined by '/'"
    if any(mark in text for mark in "#?;") or _PERCENT_ESCAPE.search(without_image(text)):
        return "contains '#', '?', ';' or a percent-escape"
    if text.startswith("/") or text.endswith("/"):
        return "begins or ends with '/'"
    segments = text.split("/")
    if len(segments) > LIMITS["path_segments"].value:
        return f"has {len(segments)} segments of at most {LIMITS['path_segments'].value}"
    return next((problem for segment in segments if (problem := _segment_problem(segment))), None)


def _segment_problem(segment: str) -> str | None:
    if not segment:
        return "has an empty segment"
    if segment in (".", ".."):
        return f"has a '{segment}' segment"
    if _DRIVE.match(segment):
        return "has a segment that begins with a drive letter"
    if segment.endswith((".", " ")):
        return "has a segment that ends with a dot or a space"
    if _is_device(segment):
        return f"has the segment '{shown(segment)}', a device on Windows"
    if len(segment.encode()) > LIMITS["path_segment_bytes"].value:
        return f"has a segment of more than {LIMITS['path_segment_bytes'].value} bytes"
    return None


def _folded_path_problem(folded: str) -> str | None:
    """Say what a reader that normalises (NFKC) would trip over; a full-width '?' in a Japanese name is no harm."""
    if "\\" in folded or _PERCENT_ESCAPE.search(without_image(folded)):
        return "contains a compatibility form of a backslash or a percent-escape"
    if any(not segment.strip(". ") or _is_device(segment) for segment in folded.split("/")):
        return "contains a compatibility form of a '.', '..' or device segment"
    return None


def _is_device(segment: str) -> bool:
    return _DEVICE.fullmatch(segment.split(".", 1)[0].rstrip(" ").casefold()) is not None
