"""MLflow's registry wire as data: which endpoints there are, what they take, how nouns and errors are written.

Pure: no server, no clock, no I/O. Field names, presence rules and error texts are those that existing MLflow clients
and scripts rely on; where a stock server answers 500 for a bad request, this answers 400.

Source: mlflow-compat sections 0 to 4 and 11.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl

from greenroom.core.errors import InvalidInput
from greenroom.core.model import RegisteredModel, Version
from greenroom.core.names import shown

PREFIXES: Final = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
SEE_API_DOCS: Final = "See the API docs for more information about request parameters."
_MAX_SHOWN = 100
_MAX_QUERY_FIELDS = 1000
_INT64 = 2**63


class Kind(Enum):
    """What a field may hold on the wire."""

    TEXT = "text"
    INTEGER = "integer"
    FLAG = "flag"
    TEXTS = "texts"
    TAGS = "tags"
    ANY = "any"


@dataclass(frozen=True)
class Field:
    """One field of a request. An absent one is read as None (an empty tuple or mapping where several may come)."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False

    @functools.cached_property
    def camel_name(self) -> str:
        """The other spelling that the wire allows: `new_name` is also `newName`."""
        first, *rest = self.name.split("_")
        return first + "".join(word.capitalize() for word in rest)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint under both prefixes; `permission` is a word of the access table."""

    name: str
    methods: tuple[str, ...]
    path: str
    permission: str
    fields: tuple[Field, ...]


def _need(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name, required=True) for name in names)


def _may(*names: str) -> tuple[Field, ...]:
    return tuple(Field(name) for name in names)


_NAME, _VERSION = _need("name"), _need("name", "version")
_TAGS = (Field("tags", Kind.TAGS),)
_STAGES = (Field("stages", Kind.TEXTS),)
_FLAG = (Field("archive_existing_versions", Kind.FLAG),)
_PAGED = (*_may("filter"), Field("max_results", Kind.INTEGER), Field("order_by", Kind.TEXTS), *_may("page_token"))
_GET, _POST, _PATCH, _DELETE = ("GET",), ("POST",), ("PATCH",), ("DELETE",)
_RM, _MV = "/registered-models", "/model-versions"

ENDPOINTS: Final[tuple[Endpoint, ...]] = (
    Endpoint("create_model", _POST, f"{_RM}/create", "register", (*_NAME, *_TAGS, *_may("description"))),
    Endpoint("get_model", _GET, f"{_RM}/get", "read", _NAME),
    Endpoint("update_model", _PATCH, f"{_RM}/update", "register", (*_NAME, *_may("description"))),
    Endpoint("rename_model", _POST, f"{_RM}/rename", "manage", _need("name", "new_name")),
    Endpoint("delete_model", _DELETE, f"{_RM}/delete", "manage", _NAME),
    Endpoint("search_models", _GET, f"{_RM}/search", "read", _PAGED),
    Endpoint("latest_versions", ("POST", "GET"), f"{_RM}/get-latest-versions", "read", (*_NAME, *_STAGES)),
    Endpoint("set_model_tag", _POST, f"{_RM}/set-tag", "register", (*_need("name", "key"), *_may("value"))),
    Endpoint("delete_model_tag", _DELETE, f"{_RM}/delete-tag", "register", _need("name", "key")),
    Endpoint("set_alias", _POST, f"{_RM}/alias", "promote", _need("name", "alias", "version")),
    Endpoint("delete_alias", _DELETE, f"{_RM}/alias", "promote", _need("name", "alias")),
    Endpoint("get_by_alias", _GET, f"{_RM}/alias", "read", _need("name", "alias")),
    Endpoint(
        "create_version",
        _POST,
        f"{_MV}/create",
        "register",
        (*_need("name", "source"), *_may("run_id"), *_TAGS, *_may("run_link", "description", "model_id")),
    ),
    Endpoint("get_version", _GET, f"{_MV}/get", "read", _VERSION),
    Endpoint("update_version", _PATCH, f"{_MV}/update", "register", (*_VERSION, *_may("description"))),
    Endpoint("delete_version", _DELETE, f"{_MV}/delete", "manage", _VERSION),
    Endpoint("transition", _POST, f"{_MV}/transition-stage", "promote", (*_VERSION, *_need("stage"), *_FLAG)),
    Endpoint("search_versions", _GET, f"{_MV}/search", "read", _PAGED),
    Endpoint("download_uri", _GET, f"{_MV}/get-download-uri", "read", _VERSION),
    Endpoint("set_version_tag", _POST, f"{_MV}/set-tag", "register", (*_VERSION, *_need("key"), *_may("value"))),
    Endpoint("delete_version_tag", _DELETE, f"{_MV}/delete-tag", "register", (*_VERSION, *_need("key"))),
)


def read_request(endpoint: Endpoint, method: str, query: str, content_type: str | None, body: bytes) -> dict[str, Any]:
    """Return the endpoint's fields by name, from the query of a GET that has one, else from the JSON body.

    Raises InvalidInput with MLflow's texts: a missing required field, a wrong type, one field in both spellings.
    """
    if method == "GET" and query:
        given = _from_query(endpoint, query)
    else:
        if method in ("POST", "PUT"):
            _check_content_type(content_type)
        given = read_body(body)
    return {field.name: _value_of(field, given) for field in endpoint.fields}


def read_body(body: bytes) -> Mapping[str, Any]:
    """Return the JSON object of a body; what is no JSON counts as an empty object, as on a stock server.

    A JSON string that holds JSON is decoded a second time. Raises InvalidInput for a list, a number, NaN, the same key
    twice and deep nesting, where a stock server fails with 500 or takes any of the values.
    """
    data = _parse(body)
    if isinstance(data, str):
        data = _parse(data)
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise InvalidInput(f"the request body must be a JSON object, got {_json(data)}.")
    return data


def _from_query(endpoint: Endpoint, query: str) -> Mapping[str, Any]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS)
    except ValueError:  # bytes that are no UTF-8, or too many fields
        problem = f"the query string cannot be read: {shown(query)}."
        raise InvalidInput(problem, hint="Percent-encode it as UTF-8.") from None
    several = {name for f in endpoint.fields if f.kind is Kind.TEXTS for name in (f.name, f.camel_name)}
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in several:
            found.setdefault(name, []).append(value)
        elif found.setdefault(name, value) != value:
            raise InvalidInput(f"Request specifies '{shown(name)}' twice; provide only one value.", field=shown(name))
    for name in (name for f in endpoint.fields if f.kind is Kind.FLAG for name in (f.name, f.camel_name)):
        if name in found:
            found[name] = _flag_of_text(found[name])
    return found


def _flag_of_text(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise InvalidInput(f"Invalid boolean value: {shown(text)}, must be 'true' or 'false'.")
    return text.lower() == "true"


def _check_content_type(content_type: str | None) -> None:
    if not content_type:
        raise InvalidInput("Bad Request. Content-Type header is missing.")
    if content_type.split(";", 1)[0].strip().lower() != "application/json":
        raise InvalidInput("Bad Request. Content-Type must be one of ['application/json'].")


def _parse(text: bytes | str) -> Any:
    try:
        if isinstance(text, bytes):
            text = text.decode(json.detect_encoding(text), "surrogatepass")
        return _DECODER.decode(text)
    except RecursionError:
        raise InvalidInput("the JSON body is nested too deeply.") from None
    except ValueError:  # not JSON, not UTF-8, a number of thousands of digits
        return {}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidInput("the JSON body holds the same key twice.", hint="Give every field once.")
    return found


def _no_constant(text: str) -> Any:
    raise InvalidInput(f"the JSON body holds {text}, which is not JSON.")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0:
        raise InvalidInput(f"the JSON body holds a number that is out of range: {shown(text)}.")
    return number


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite)


def _value_of(field: Field, given: Mapping[str, Any]) -> Any:
    if field.name != field.camel_name and field.name in given and field.camel_name in given:
        raise InvalidInput(
            f"Request specifies both '{field.name}' and '{field.camel_name}'; provide only one of them.",
            parameter=field.name,
        )
    value = given.get(field.name, given.get(field.camel_name))
    if field.required and (value is None or value == ""):
        raise InvalidInput(f"Missing value for required parameter '{field.name}'. {SEE_API_DOCS}", parameter=field.name)
    return _READERS[field.kind](field, value)


def _text(field: Field, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid_value(field.name, value)
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair, which no store can hold
        raise invalid_value(field.name, value) from None
    return value


def _integer(field: Field, value: Any) -> int | None:
    if value is None:
        return None
    number = value
    if isinstance(value, str) and value.isascii() and len(value) <= 20 and value.lstrip("-").isdigit():
        number = int(value) if value.rfind("-") <= 0 else None
    elif isinstance(value, float) and value.is_integer():
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool) or not -_INT64 <= number < _INT64:
        raise invalid_value(field.name, value)
    return number


def _flag(field: Field, value: Any) -> bool:
    if value is not None and not isinstance(value, bool):
        raise invalid_value(field.name, value)
    return bool(value)


def _texts(field: Field, value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid_value(field.name, value)
    return tuple(text for item in value if (text := _text(field, item)) is not None)


def _tags(field: Field, value: Any) -> dict[str, str]:
    """Return tags by key; of a key that comes twice the last value counts, as on a stock server."""
    if value is None:
        return {}
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise invalid_value(field.name, value)
    return {
        _text(Field("key"), item.get("key")) or "": _text(Field("value"), item.get("value")) or "" for item in value
    }


def _any(field: Field, value: Any) -> Any:
    """What has a form of its own is read by whoever knows it."""
    return value


_READERS: Final[Mapping[Kind, Callable[[Field, Any], Any]]] = {
    Kind.TEXT: _text,
    Kind.INTEGER: _integer,
    Kind.FLAG: _flag,
    Kind.TEXTS: _texts,
    Kind.TAGS: _tags,
    Kind.ANY: _any,
}


def invalid_value(parameter: str, value: Any) -> InvalidInput:
    """Return the error for a value of the wrong type, in MLflow's words."""
    return InvalidInput(
        f"Invalid value {_json(value)} for parameter '{parameter}' supplied:  "
        f"Hint: Value was of type '{type(value).__name__}'. {SEE_API_DOCS}",
        parameter=parameter,
    )


def _json(value: Any) -> str:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."


def render_model(model: RegisteredModel, latest: Iterable[Version]) -> dict[str, Any]:
    """Return a RegisteredModel as MLflow writes it: nothing that is unset; `latest` is one version per stage."""
    answer: dict[str, Any] = {
        "name": model.name,
        "creation_timestamp": model.created_at,
        "last_updated_timestamp": model.updated_at,
    }
    rows: dict[str, Any] = {
        "user_id": model.author,
        "description": model.description,
        "latest_versions": [render_version(version, with_aliases=False) for version in latest],
        "tags": _pairs(model.tags),
        "aliases": [{"alias": alias, "version": str(version)} for alias, version in model.aliases.items()],
    }
    return answer | {key: value for key, value in rows.items() if value}


def render_version(version: Version, *, with_aliases: bool = True) -> dict[str, Any]:
    """Return a ModelVersion as MLflow writes it: the number as text; description, run_id and run_link always there."""
    answer: dict[str, Any] = {
        "name": version.model,
        "version": str(version.version),
        "creation_timestamp": version.created_at,
        "last_updated_timestamp": version.updated_at,
        "current_stage": version.stage,
        "description": version.description or "",
        "source": version.source,
        "run_id": version.run_id or "",
        "status": version.status,
        "run_link": version.run_link or "",
    }
    rows: dict[str, Any] = {
        "user_id": version.author,
        "tags": _pairs(version.tags),
        "aliases": list(version.aliases) if with_aliases else [],
    }
    return answer | {key: value for key, value in rows.items() if value}


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


def model_not_found(name: str) -> str:
    """MLflow's text for a model that is not there; scripts match on it."""
    return f"Registered Model with name={shown(name)} not found"


def version_not_found(name: str, version: object) -> str:
    """MLflow's text for a version that is not there."""
    return f"Model Version (name={shown(name)}, version={shown(version)}) not found"


def exists(what: str, name: str) -> str:
    """MLflow's text for a name that is taken; `what` is `Registered Model` or `Prompt`."""
    return f"{what} (name={shown(name)}) already exists."


def alias_not_found(alias: str) -> str:
    """MLflow's text for an alias that points nowhere (an INVALID_PARAMETER_VALUE there, not a 404)."""
    return f"Registered model alias {shown(alias)} not found."


def unknown_stage(stage: str) -> str:
    """MLflow's text for a stage outside its four, given under the `mlflow` lifecycle."""
    return f"Invalid Model Version stage: {shown(stage)}. Value must be one of None, Staging, Production, Archived."


def cannot_archive(stage: str) -> str:
    """MLflow's text for archive_existing_versions with a target that holds no live versions."""
    return (
        "Model version transition cannot archive existing model versions because "
        f"'{shown(stage)}' is not an Active stage. Valid stages are ['Staging', 'Production']"
    )
