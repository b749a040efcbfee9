"""The REST reference, from the OpenAPI document, which is made from `services/api.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from greenroom.http.access import PERMISSIONS
from greenroom.http.mlflow_tracking_wire import ENDPOINTS as TRACKING_ENDPOINTS
from greenroom.http.mlflow_wire import ENDPOINTS, Endpoint
from greenroom.http.openapi import document
from tools.pages.text import code, table

_Schema = dict[str, Any]
_SHARED = "#/components/parameters/"


def reference() -> str:
    """Return all operations by subject, with their fields, then the types of the answers."""
    made = document()
    parts = []
    for tag in made["tags"]:
        parts.append(f"## {tag['name']}\n\n{tag['description']}\n")
        for path, methods in made["paths"].items():
            parts += [_operation(path, m, each) for m, each in methods.items() if each["tags"] == [tag["name"]]]
    parts.append("## Types\n\nFields that are not always there may be `null`.\n")
    parts += [_type(name, schema) for name, schema in made["components"]["schemas"].items()]
    return "\n".join(parts)


def overview() -> str:
    """Return one line per operation."""
    rows = [
        (code(f"{method.upper()} {path}"), each.get("summary", ""), code(each.get("x-permission", "")))
        for path, methods in document()["paths"].items()
        for method, each in methods.items()
    ]
    return table(("request", "what", "permission"), rows)


def permissions() -> str:
    """Return what each permission covers."""
    return table(("permission", "covers"), [(code(word), text) for word, text in PERMISSIONS.items()])


def mlflow_endpoints() -> str:
    """Return the endpoints of MLflow's registry that are answered, with their fields."""
    return _endpoints(ENDPOINTS)


def mlflow_tracking() -> str:
    """Return the endpoints of MLflow's tracking that are answered, with their fields."""
    return _endpoints(TRACKING_ENDPOINTS)


def _endpoints(endpoints: Iterable[Endpoint]) -> str:
    rows = [
        (
            code(f"{' or '.join(each.methods)} {each.path}"),
            ", ".join(code(f.name) + ("*" if f.required else "") for f in each.fields),
        )
        for each in endpoints
    ]
    return table(("endpoint", "fields (* required)"), rows)


def _operation(path: str, method: str, entry: dict[str, Any]) -> str:
    lines = [
        f"### {entry['operationId']}\n",
        f"`{method.upper()} {path}`\n",
        entry.get("description", entry["summary"]),
    ]
    lines.append(f"\nPermission: `{entry['x-permission']}`.\n")
    rows = [_parameter(each) for each in entry.get("parameters", []) if not each.get("$ref", "").startswith(_SHARED)]
    body = entry.get("requestBody", {}).get("content", {})
    for media, content in body.items():
        schema = content["schema"]
        required = schema.get("required", [])
        rows += [
            (code(name), "body", code(type_of(each)), _default(each, required=name in required))
            for name, each in schema.get("properties", {}).items()
        ] or [("bytes", "body", code(media), "required")]
    if rows:
        lines.append(table(("field", "in", "type", "default"), rows))
    answer = entry["responses"].get("200", {}).get("content", {})
    lines += [f"Answer: `{type_of(each['schema'])}`.\n" for each in answer.values() if "schema" in each]
    return "\n".join(lines)


def _parameter(each: dict[str, Any]) -> tuple[str, str, str, str]:
    schema = each["schema"]
    return code(each["name"]), each["in"], code(type_of(schema)), _default(schema, required=each.get("required", False))


def _default(schema: _Schema, *, required: bool) -> str:
    if required:
        return "required"
    default = schema.get("default")
    return "" if default in (None, {}, [], ()) else code(default)


def _type(name: str, schema: _Schema) -> str:
    rows = [(code(field), code(type_of(each))) for field, each in schema.get("properties", {}).items()]
    said = f"{schema.get('description', '')}\n"
    values = schema.get("enum")
    if values:
        said += "\nOne of " + ", ".join(code(each) for each in values) + ".\n"
    return f"### {name}\n\n{said}\n" + (table(("field", "type"), rows) if rows else "")


def type_of(schema: _Schema) -> str:
    """Return a schema's type in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(type_of(each) for each in schema["anyOf"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map of {type_of(schema['additionalProperties'])}"
    return " or ".join(kind) if isinstance(kind, list) else str(kind)
