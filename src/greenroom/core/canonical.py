"""One text for one value: the JSON that digests and the audit log are computed over.

The form: keys sorted by code point, no spaces, UTF-8 with nothing escaped that JSON lets stand, floats as their
shortest exact text (`repr`), `-0.0` as `0.0`. It is its own fixed point: reading canonical bytes as JSON and writing
them again gives the same bytes, so a digest can be checked from what a store keeps. It is not RFC 8785 (that one sorts
by UTF-16 units and writes `1.0` as `1`, which would lose the difference between a count and a measure).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from json.encoder import JSONEncoder, encode_basestring

MAX_DEPTH = 64


def canonical(value: object) -> bytes:
    """Return the canonical JSON of `value` as UTF-8.

    Takes None, bool, int, float, str, list, tuple, mappings with text keys, and frozen dataclasses (objects of their
    fields; a field that is None is left out, as "not known" must not change a digest when a field is added later).
    A float that JSON has no number for becomes the text `NaN`, `Infinity` or `-Infinity`: metrics are not always
    finite, and an event about them must be recorded all the same.
    ValueError (our bug) for any other type, a lone surrogate, or nesting deeper than MAX_DEPTH.
    """
    return canonical_text(value).encode()


def canonical_text(value: object) -> str:
    """Return the canonical JSON of `value` as text that is certain to encode; otherwise like `canonical`."""
    parts: list[str] = []
    _write(value, parts, 0)
    text = "".join(parts)
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ValueError(f"text with a lone surrogate has no canonical form: {text[exc.start]!r}") from exc
    return text


_plain = JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode


def canonical_plain(value: object) -> str:
    """Return the canonical JSON of lists and text-keyed dicts of scalars without -0.0: what is in every row change.

    The same text as `canonical_text`, several times faster, and on trust: other values may get a text that is not
    canonical.
    """
    return _plain(value)


def with_list(fields: Mapping[str, object], name: str, items: Sequence[str]) -> str:
    """Return the canonical JSON of `fields` and of one more, `name`, a list whose items are canonical texts already."""
    texts = {key: canonical_text(value) for key, value in fields.items()}
    texts[name] = f"[{','.join(items)}]"
    return "{" + ",".join(f"{encode_basestring(key)}:{texts[key]}" for key in sorted(texts)) + "}"


def _write(value: object, parts: list[str], depth: int) -> None:
    if value is None:
        parts.append("null")
    elif isinstance(value, str):
        parts.append(encode_basestring(value))
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, int):
        parts.append(int.__repr__(value))
    elif isinstance(value, float):
        parts.append(_number(value))
    elif depth >= MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels, or within itself")
    elif isinstance(value, (list, tuple)):
        _write_list(value, parts, depth + 1)
    else:
        _write_object(_items(value), parts, depth + 1)


def _number(value: float) -> str:
    if math.isfinite(value):
        return float.__repr__(value) if value else "0.0"
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def _write_list(values: list[object] | tuple[object, ...], parts: list[str], depth: int) -> None:
    before = "["
    for value in values:
        parts.append(before)
        _write(value, parts, depth)
        before = ","
    parts.append("]" if values else "[]")


def _write_object(items: Iterator[tuple[str, object]], parts: list[str], depth: int) -> None:
    before = "{"
    for key, value in sorted(items, key=_key_of):
        parts.append(f"{before}{encode_basestring(key)}:")
        _write(value, parts, depth)
        before = ","
    parts.append("}" if before == "," else "{}")


def _key_of(item: tuple[str, object]) -> str:
    return item[0]


def _items(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key must be text, not {type(key).__name__}: {key!r}")
            yield key, item
    elif is_dataclass(value) and not isinstance(value, type) and _is_frozen(value):
        for field in fields(value):
            item = getattr(value, field.name)
            if item is not None:
                yield field.name, item
    else:
        raise ValueError(f"no canonical form for a {type(value).__name__}")


def _is_frozen(value: object) -> bool:
    return bool(getattr(value, "__dataclass_params__").frozen)  # noqa: B009 - the attribute is unknown to type checkers
