"""HTML of the API reference, from an OpenAPI document. Every text that comes out of the document is escaped here."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

Document = Mapping[str, Any]

_CODE = re.compile(r"`([^`]+)`")
_EMPHASIS = re.compile(r"\*([^*]+)\*")
_FIELD = re.compile(r"\{(\w+)\}")
_VERBS = ("get", "post", "put", "patch", "delete")


def prose(text: str) -> str:
    """Return `text` as paragraphs; backticks become code, stars emphasis."""
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part.strip())


def _inline(text: str) -> str:
    return _EMPHASIS.sub(r"<em>\1</em>", _CODE.sub(r"<code>\1</code>", escape(text)))


def sidebar(document: Document) -> str:
    """Return the table of contents: subjects, their operations, the types."""
    parts = []
    for tag in document["tags"]:
        links = "".join(
            f'<li><a href="#{entry["operationId"]}">{_method(method)}<span>{escape(entry["summary"])}</span></a></li>'
            for method, _, entry in _entries(document, tag["name"])
        )
        parts.append(f'<h2><a href="#{_slug(tag["name"])}">{escape(tag["name"])}</a></h2><ul>{links}</ul>')
    return f'<nav class="side" aria-label="Contents">{"".join(parts)}<h2><a href="#types">Types</a></h2></nav>'


def sections(document: Document) -> str:
    """Return one section for each subject with its operations, and the types at the end."""
    parts = []
    for tag in document["tags"]:
        found = "".join(_operation(document, *each) for each in _entries(document, tag["name"]))
        name = escape(tag["name"])
        parts.append(f'<h2 id="{_slug(tag["name"])}">{name}</h2>{prose(tag["description"])}{found}')
    return "".join(parts) + _types(document)


def _entries(document: Document, tag: str) -> Iterator[tuple[str, str, Document]]:
    for path, item in document["paths"].items():
        for method in _VERBS:
            if method in item and tag in item[method]["tags"]:
                yield method, path, item[method]


def _slug(name: str) -> str:
    return "on-" + name.lower().replace(" ", "-")


def _method(method: str) -> str:
    return f'<span class="verb {method}">{method.upper()}</span>'


def _operation(document: Document, method: str, path: str, entry: Document) -> str:
    shown = _FIELD.sub(r"<b>{\1}</b>", escape(path))
    identity = entry["operationId"]
    return (
        f'<section class="operation" id="{identity}"><h3><a href="#{identity}">{escape(entry["summary"])}</a></h3>'
        f'<p class="target">{_method(method)}<code>{shown}</code>'
        f'<a class="right" href="#permissions" title="permission">{escape(entry["x-permission"])}</a></p>'
        f'<div class="columns"><div>{prose(entry["description"])}{_asked(document, entry)}'
        f"{_answered(document, entry)}</div><pre>{escape(_curl(method, path, entry))}</pre></div></section>"
    )


def _asked(document: Document, entry: Document) -> str:
    rows = []
    for each in entry["parameters"]:
        if "$ref" in each:
            continue  # the headers that all operations take are said once, in the document
        rows.append(_row(each["name"], each["schema"], required=each["required"], where=each["in"]))
    content = entry.get("requestBody", {}).get("content", {})
    body = content.get("application/json", {}).get("schema", {})
    for name, schema in body.get("properties", {}).items():
        rows.append(_row(name, schema, required=name in body.get("required", ()), where="body"))
    if "application/octet-stream" in content:
        rows.append('<tr><td></td><td class="where">body</td><td>bytes</td><td></td></tr>')
    return f"<h4>Request</h4>{_table(rows)}" if rows else ""


def _row(name: str, schema: Document, *, required: bool, where: str | None = None) -> str:
    need = '<span class="required">required</span>' if required else _default(schema)
    place = f'<td class="where">{where}</td>' if where else ""
    return f"<tr><td><code>{escape(name)}</code></td>{place}<td>{_type(schema)}</td><td>{need}</td></tr>"


def _default(schema: Document) -> str:
    default = schema.get("default")
    nothing = default is None or (not default and not isinstance(default, bool | int))
    return "" if nothing else f"<code>{escape(json.dumps(default))}</code>"


def _table(rows: list[str]) -> str:
    return f'<div class="scroll"><table>{"".join(rows)}</table></div>'


def _answered(document: Document, entry: Document) -> str:
    answer = entry["responses"]["200"]
    media, content = next(iter(answer.get("content", {"": {}}).items()))
    schema = content.get("schema", {})
    what = _type(schema) if schema and media == "application/json" else escape(media)
    fields = _fields_of(document, schema)
    head = f"{what} {_inline(answer['description']) if answer['description'] != 'The answer.' else ''}"
    if not fields:
        return f"<h4>Answer</h4><p>{head}</p>"
    return f"<h4>Answer</h4><details><summary>{head}</summary>{_table(fields)}</details>"


def _fields_of(document: Document, schema: Document) -> list[str]:
    while "$ref" in schema or "items" in schema:
        schema = document["components"]["schemas"][_name_of(schema["$ref"])] if "$ref" in schema else schema["items"]
    return [_row(name, each, required=False) for name, each in schema.get("properties", {}).items()]


def _types(document: Document) -> str:
    parts = ['<h2 id="types">Types</h2>']
    for name, schema in document["components"]["schemas"].items():
        title = escape(schema.get("title", name))
        rows = [_row(each, kind, required=False) for each, kind in schema.get("properties", {}).items()]
        values = ", ".join(f"<code>{escape(str(value))}</code>" for value in schema.get("enum", ()))
        parts.append(
            f'<section class="type" id="type-{escape(name)}"><h3>{title}</h3>{prose(schema.get("description", ""))}'
            f"{_table(rows) if rows else f'<p>{values}</p>'}</section>"
        )
    return "".join(parts)


def _type(schema: Document) -> str:
    """Return the type in words, with links to the types section."""
    if "$ref" in schema:
        name = _name_of(schema["$ref"])
        return f'<a href="#type-{escape(name)}">{escape(name.strip("_").replace("_", " of "))}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    kind = schema.get("type", "any value")
    if isinstance(kind, list):
        return escape(" or ".join(kind))
    if kind == "array":
        return f"list of {_type(schema['items'])}"
    if kind == "object" and "additionalProperties" in schema:
        inner = schema["additionalProperties"]
        return f"map to {_type(inner)}" if isinstance(inner, dict) else "object"
    return escape(str(kind))


def _name_of(reference: str) -> str:
    return reference.rpartition("/")[2]


def _curl(method: str, path: str, entry: Document) -> str:
    given = {
        each["name"]: each.get("example", each["name"].upper()) for each in entry["parameters"] if "$ref" not in each
    }
    target = _FIELD.sub(lambda found: str(given[found[1]]), path)
    query = "&".join(
        f"{each['name']}={each.get('example', '')}"
        for each in entry["parameters"]
        if each.get("in") == "query" and each["required"]
    )
    verb = "" if method == "get" else f"-X {method.upper()} "
    lines = [f'curl {verb}"$GREENROOM_URL{target}{"?" + query if query else ""}"']
    content = entry.get("requestBody", {}).get("content", {})
    if "application/octet-stream" in content:
        lines.append("--data-binary @model.pkl")
    elif content:
        example = json.dumps(content["application/json"]["example"], indent=2)
        lines += ['-H "Content-Type: application/json"', f"-d '{example}'"]
    return " \\\n  ".join(lines)
