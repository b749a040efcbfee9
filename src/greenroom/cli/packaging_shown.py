"""How a version's environment, signature and input example are written for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from greenroom.cli.output import size

if TYPE_CHECKING:
    from greenroom.core.mlmodel import Column, InputExample, Packaging

_MOST = 12  # requirements, columns


def packaging_fields(packaging: Packaging) -> Iterator[tuple[str, object]]:
    """Yield names and texts; None where nobody recorded it."""
    yield "flavors", ", ".join(" ".join(part for part in pair if part) for pair in packaging.flavors.items())
    versions = (("Python", packaging.python), ("MLflow", packaging.mlflow))
    known = [f"{name} {version}" for name, version in versions if version]
    files = f"({', '.join(packaging.environment)})" if packaging.environment else ""
    yield "environment", " ".join(part for part in (", ".join(known), files) if part)
    yield "requirements", _some(packaging.requirements, ", ")
    signature = packaging.signature
    yield "inputs", _columns(signature.inputs) if signature else None
    yield "outputs", _columns(signature.outputs) if signature else None
    if signature and signature.params:
        yield "call params", _columns(signature.params)
    yield "input example", _example(packaging.input_example)
    if packaging.notes:
        yield "notes", "\n".join(packaging.notes)


def _columns(columns: Sequence[Column]) -> str:
    return _some([_column(each) for each in columns], "\n")


def _column(column: Column) -> str:
    name = "" if column.name is None else f"{column.name}{'?' if column.optional else ''}: "
    return f"{name}{column.type}" + ("" if column.default is None else f" = {column.default}")


def _some(texts: Sequence[str], sep: str) -> str:
    more = len(texts) - _MOST
    return sep.join(texts[:_MOST]) + (f"{sep}and {more} more (--output json)" if more > 0 else "")


def _example(example: InputExample | None) -> str | None:
    if example is None:
        return None
    kind = f" ({example.kind})" if example.kind else ""
    where = "missing from the files" if example.size_bytes is None else size(example.size_bytes)
    return f"{example.path}{kind}, {where}"
