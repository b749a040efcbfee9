"""How answers of `models …` look: sentences, greppable tables, and JSON in the fields that scripts of the field read.

JSON lists have one compact object per line, so that both `jq` and `grep Production` work on them (cli-verbs, rule 5).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from greenroom.cli.output import is_terminal, number, plain_table, size, visible, when
from greenroom.core.codec import to_plain
from greenroom.core.model import Promotion, RegisteredModel, Tenure, Version
from greenroom.services.answers import Comparison, ValueChange

MISSING = "missing"  # a fact nobody recorded: said, not left out


@dataclass(frozen=True)
class Printer:
    """Where answers go. `output` is `json`, `table`, or None: a table on a terminal and JSON anywhere else."""

    out: TextIO
    err: TextIO
    output: str | None = None
    quiet: bool = False

    @property
    def is_json(self) -> bool:
        """True when a list or an object is wanted as JSON."""
        return self.output == "json" or (self.output is None and not is_terminal(self.out))

    def sentence(self, text: str, data: Any) -> None:
        """Print what was done; text also in a pipe, because scripts look for the sentence."""
        if self.output == "json":
            self._object(data)
        else:
            write(self.out, text)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]], data: Sequence[Any]) -> None:
        """Print a list."""
        if self.is_json:
            lines = ",\n".join(_compact(item) for item in data)
            write(self.out, f"[\n{lines}\n]" if data else "[]")
        else:
            cells = [[_cell(cell) for cell in row] for row in rows]
            write(self.out, plain_table(columns, cells).rstrip("\n"))

    def fields(self, pairs: Iterable[tuple[str, str]], data: Any) -> None:
        """Print one thing."""
        if self.is_json:
            return self._object(data)
        shown = list(pairs)
        width = max(len(name) for name, _ in shown) + 1
        for name, text in shown:
            first, *rest = visible(text).split("\n")
            write(self.out, f"{name + ':':{width}}  {first}".rstrip())
            for line in rest:
                write(self.out, f"{'':{width}}  {line}".rstrip())
        return None

    def note(self, text: str) -> None:
        """Say something beside the answer, on standard error."""
        if not self.quiet:
            write(self.err, visible(text))

    def _object(self, data: Any) -> None:
        write(self.out, json.dumps(to_plain(data), indent=2, ensure_ascii=False))


def write(stream: TextIO, text: str) -> None:
    """Write a line; what the stream's encoding cannot hold is written as an escape."""
    try:
        stream.write(text + "\n")
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write((text + "\n").encode(encoding, "backslashreplace").decode(encoding))


def _compact(data: Any) -> str:
    return json.dumps(to_plain(data), ensure_ascii=False, separators=(", ", ": "))


def _cell(value: object) -> str:
    return "-" if value is None or value == "" else " ".join(visible(str(value)).split())


def version_item(version: Version) -> dict[str, Any]:
    """Return a version as scripts of the field know it (`version` is text), with our facts beside."""
    return {
        "name": version.model,
        "version": str(version.version),
        "current_stage": version.stage,
        "status": version.status,
        "aliases": list(version.aliases),
        "creation_timestamp": version.created_at,
        "last_updated_timestamp": version.updated_at,
        "user_id": version.author,
        "description": version.description,
        "source": version.source,
        "run_id": version.run_id,
        "tags": dict(version.tags),
        "metrics": dict(version.metrics),
        "params": dict(version.params),
        "digest": version.digest,
        "size_bytes": version.size_bytes,
    }


VERSION_COLUMNS = ("Version", "Stage", "Aliases", "Created", "Author", "Run")


def version_row(version: Version) -> tuple[object, ...]:
    """Return a version as a line of the table headed `Version  Stage …`."""
    made = when(version.created_at)
    return version.version, version.stage, ",".join(version.aliases), made, version.author, version.run_id


def newest(model: RegisteredModel) -> tuple[int, str] | None:
    """Return number and stage of a model's newest version, None when it has none."""
    return max(((version, stage) for stage, version in model.latest.items()), default=None)


def model_item(model: RegisteredModel) -> dict[str, Any]:
    """Return a registered model; `version` and `current_stage` are those of its newest version, None without one."""
    last = newest(model)
    return {
        "name": model.name,
        "version": str(last[0]) if last else None,
        "current_stage": last[1] if last else None,
        "latest_versions": [{"version": str(v), "current_stage": stage} for stage, v in model.latest.items()],
        "aliases": {alias: str(version) for alias, version in model.aliases.items()},
        "description": model.description,
        "creation_timestamp": model.created_at,
        "last_updated_timestamp": model.updated_at,
        "user_id": model.author,
        "tags": dict(model.tags),
        "lifecycle": model.lifecycle,
    }


def alias_item(model: str, alias: str, version: int) -> dict[str, Any]:
    """Return an alias; `text` is the sentence that a terminal shows."""
    return {"name": model, "alias": alias, "version": str(version), "text": alias_text(model, alias, version)}


def alias_text(model: str, alias: str, version: int) -> str:
    """Return `my-classifier: prod -> version 5`."""
    return f"{model}: {alias} -> version {version}"


def slot_text(tenure: Tenure) -> str:
    """Return a slot as people write it: `Production`, `@champion`."""
    return f"@{tenure.slot.removeprefix('@')}" if tenure.kind.value == "alias" else tenure.slot


def tenure_item(tenure: Tenure) -> dict[str, Any]:
    """Return one line of a history; `until` None means still there."""
    return {
        "name": tenure.model,
        "version": str(tenure.version),
        "slot": slot_text(tenure),
        "since": tenure.since_at,
        "until": tenure.until_at,
        "by": tenure.by,
        "reason": tenure.reason,
        "promotion": tenure.promotion,
    }


def moved_text(promotion: Promotion) -> str:
    """Return the sentence that scripts look for."""
    return f"Model version '{promotion.version}' of model '{promotion.model}' transitioned to stage '{promotion.slot}'."


def describe_version(version: Version, entered: Tenure | None) -> list[tuple[str, str]]:
    """Return what is known of a version, line by line; `entered` is the tenure in its stage."""
    return [
        ("Model", version.model),
        ("Version", str(version.version)),
        ("Stage", version.stage),
        ("Aliases", ", ".join(version.aliases) or "none"),
        ("Run", version.run_id or MISSING),
        ("Code commit", _commit(version)),
        ("Data", _data(version)),
        ("Metrics", _values(version.metrics)),
        ("Parameters", _values(version.params)),
        ("Promoted by", _promoted(entered)),
        ("Registered by", f"{version.author or MISSING}, {when(version.created_at)}"),
        ("Source", version.source or MISSING),
        ("Digest", version.digest or "missing (unpinned: the files are not kept here)"),
        ("Files", f"{version.file_count}, {size(version.size_bytes)}" if version.file_count is not None else MISSING),
        ("Parent", f"{version.parent.model} version {version.parent.version}" if version.parent else MISSING),
        ("Environment", _environment(version)),
        ("Tags", ", ".join(f"{key}={value}" for key, value in version.tags.items()) or "none"),
        ("Description", version.description or MISSING),
    ]


def describe_item(version: Version, entered: Tenure | None) -> dict[str, Any]:
    """Return the same as one JSON object; what is not known is null."""
    return version_item(version) | {
        "code_commit": version.context.git_commit,
        "datasets": to_plain(version.datasets),
        "context": to_plain(version.context),
        "parent": to_plain(version.parent),
        "run_link": version.run_link,
        "logged_model": version.logged_model,
        "file_count": version.file_count,
        "promoted_by": entered.by if entered else None,
        "promoted_at": entered.since_at if entered else None,
        "promotion_reason": entered.reason if entered else None,
        "deleted": version.deleted,
    }


def describe_model(model: RegisteredModel) -> list[tuple[str, str]]:
    """Return what is known of a registered model, line by line."""
    return [
        ("Model", model.name),
        ("Lifecycle", model.lifecycle),
        ("Newest", ", ".join(f"{stage}: version {v}" for stage, v in model.latest.items()) or "no versions"),
        ("Aliases", ", ".join(f"{alias} -> version {v}" for alias, v in model.aliases.items()) or "none"),
        ("Registered by", f"{model.author or MISSING}, {when(model.created_at)}"),
        ("Tags", ", ".join(f"{key}={value}" for key, value in model.tags.items()) or "none"),
        ("Description", model.description or MISSING),
    ]


def _commit(version: Version) -> str:
    context = version.context
    if not context.git_commit:
        return MISSING
    branch = f" on {context.git_branch}" if context.git_branch else ""
    return f"{context.git_commit}{branch}{', with uncommitted changes' if context.git_dirty_digest else ''}"


def _data(version: Version) -> str:
    lines = []
    for each in version.datasets:
        kind = f"{each.context}: " if each.context else ""
        lines.append(f"{kind}{each.name}, digest {each.digest or MISSING}, source {each.source or MISSING}")
    return "\n".join(lines) or MISSING


def _values(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{key} = {number(value)}" for key, value in values.items()) or MISSING


def _promoted(entered: Tenure | None) -> str:
    if entered is None:
        return MISSING
    reason = f": {entered.reason}" if entered.reason else ""
    return f"{entered.by or MISSING}, {when(entered.since_at)}{reason}"


def _environment(version: Version) -> str:
    context = version.context
    known = [f"Python {context.python}" if context.python else "", context.platform or ""]
    known.append(f"{len(context.packages)} packages" if context.packages else "")
    return ", ".join(part for part in known if part) or MISSING


def tenure_cells(tenure: Tenure) -> tuple[str | None, ...]:
    """Return when, by whom and why, for the table of a history."""
    return when(tenure.since_at), when(tenure.until_at) if tenure.until is not None else "now", tenure.by, tenure.reason


def changes(comparison: Comparison) -> Iterator[tuple[str, ValueChange]]:
    """Yield everything that differs between two versions, with the kind of thing it is."""
    for file in comparison.files:
        yield "file", ValueChange(file.path, _short(file.left), _short(file.right))
    for kind, found in (
        ("parameter", comparison.params),
        ("metric", comparison.metrics),
        ("requirement", comparison.requirements or ()),
    ):
        for change in found:
            yield kind, change


def _short(digest: str | None) -> str | None:
    return digest[:19] if digest else None
