"""Plain JSON values to typed values and back, strictly.

The types are frozen dataclasses with fields of scalars, enums, `X | None`, tuples, mappings and other dataclasses; that
is all the API uses. Kept small and free of dependencies, because the client and the CLI start with it.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

from greenroom.core.errors import InvalidInput

_NOTHING = type(None)
_MAX_SHOWN = 60


def to_plain(value: Any) -> Any:
    """Return `value` as JSON-able dicts, lists and scalars. Fields that are None stay, as null: unknown is said,
    not hidden.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    return value


def from_plain(kind: Any, data: Any, *, lenient: bool = False) -> Any:
    """Return `data` as a value of type `kind`.

    Raises InvalidInput naming the field when a type does not fit, a field is missing or unknown. `lenient` ignores
    unknown
    fields: a client reading a newer server's answers.
    """
    return _decode(kind, data, "", lenient)


def loads_strict(text: bytes | str) -> Any:
    """Parse JSON, refusing what JSON does not have: NaN, Infinity, duplicate keys. Raises InvalidInput."""
    try:
        return json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)
    except InvalidInput:
        raise
    except RecursionError:
        raise InvalidInput("the JSON body is nested too deeply.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as exc:
        raise InvalidInput(f"the body is not valid JSON: {exc}.") from None
    except ValueError:  # the limit of the length of an integer
        raise InvalidInput("the JSON body holds a number of too many digits.") from None


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:  # 1e400 parses to infinity
        raise InvalidInput(f"the JSON body holds a number that is out of range: {text[:_MAX_SHOWN]}.")
    return number


def _no_constant(text: str) -> Any:
    raise InvalidInput(f"the JSON body holds {text}, which is not JSON.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidInput(f"the JSON body holds the key {twice[:_MAX_SHOWN]!r} twice.")
    return found


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _decode(kind: Any, data: Any, where: str, lenient: bool) -> Any:
    origin = typing.get_origin(kind)
    if kind is Any:
        return data
    if origin is types.UnionType or origin is typing.Union:
        return _decode_optional(kind, data, where, lenient)
    if origin is tuple:
        return _decode_tuple(kind, data, where, lenient)
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return _decode_mapping(kind, data, where, lenient)
    target = origin or kind
    if dataclasses.is_dataclass(target):
        return _decode_dataclass(kind, data, where, lenient)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _decode_enum(kind, data, where)
    return _decode_scalar(kind, data, where)


def _decode_optional(kind: Any, data: Any, where: str, lenient: bool) -> Any:
    options = typing.get_args(kind)
    if data is None and _NOTHING in options:
        return None
    rest = [option for option in options if option is not _NOTHING]
    return _decode(rest[0], data, where, lenient)


def _decode_tuple(kind: Any, data: Any, where: str, lenient: bool) -> Any:
    if not isinstance(data, list | tuple):
        raise _wrong(where, "a list", data)
    item = typing.get_args(kind)[0]
    return tuple(_decode(item, each, f"{where}[{index}]", lenient) for index, each in enumerate(data))


def _decode_mapping(kind: Any, data: Any, where: str, lenient: bool) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(where, "an object", data)
    value = typing.get_args(kind)[1]
    return {key: _decode(value, each, f"{where}.{key}" if where else key, lenient) for key, each in data.items()}


def _decode_dataclass(kind: Any, data: Any, where: str, lenient: bool) -> Any:
    if not isinstance(data, Mapping):
        raise _wrong(where, "an object", data)
    target = typing.get_origin(kind) or kind
    bound = dict(zip(getattr(target, "__parameters__", ()), typing.get_args(kind), strict=False))
    hints = _hints(target)
    known = {f.name: f for f in dataclasses.fields(target)}
    values = {}
    for name, each in data.items():
        if name not in known:
            if lenient:
                continue
            raise InvalidInput(
                f"unknown field {_path(where, str(name)[:_MAX_SHOWN])!r}.",
                hint=f"Known fields: {', '.join(known)}.",
                field=name,
            )
        values[name] = _decode(_bind(hints[name], bound), each, _path(where, name), lenient)
    for name, f in known.items():
        if name not in values and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise InvalidInput(f"missing value for required field {_path(where, name)!r}.", field=name)
    return target(**values)


def _bind(hint: Any, bound: Mapping[Any, Any]) -> Any:
    """Put the arguments of a generic dataclass (`Page[Version]`) into the hint of one of its fields."""
    if not bound:
        return hint
    if hint in bound:
        return bound[hint]
    args = typing.get_args(hint)
    if typing.get_origin(hint) is tuple and args and args[0] in bound:
        return types.GenericAlias(tuple, (bound[args[0]], ...))
    return hint


def _decode_enum(kind: type[Enum], data: Any, where: str) -> Any:
    try:
        return kind(data)
    except ValueError:
        known = ", ".join(str(each.value) for each in kind)
        raise InvalidInput(
            f"{_shown(data)} is not a value of {where!r}.", hint=f"Use one of: {known}.", field=where
        ) from None


_WORDS = {str: "a string", int: "an integer", float: "a number", bool: "true or false"}


def _decode_scalar(kind: type, data: Any, where: str) -> Any:
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError:
            raise _wrong(where, "a number in range", data) from None
    if kind is int and isinstance(data, bool):
        raise _wrong(where, "an integer", data)
    if not isinstance(data, kind):
        raise _wrong(where, _WORDS.get(kind, kind.__name__), data)
    if isinstance(data, int) and not -(2**63) <= data < 2**63:
        raise _wrong(where, "an integer of 64 bits", data)
    return data


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _wrong(where: str, wanted: str, data: Any) -> InvalidInput:
    return InvalidInput(f"{where or 'the body'!s} must be {wanted}, got {_shown(data)}.", field=where)


def _shown(data: Any) -> str:
    try:
        text = json.dumps(data, ensure_ascii=True, default=str)
    except (ValueError, RecursionError):
        text = type(data).__name__
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 1] + "…"
