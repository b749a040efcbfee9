"""Lifecycle documents: TOML to `Policy`, with every problem named by line.

`read_policy` never stops at the first problem: who writes a document wants them all.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from greenroom.core.binding import check_pattern, check_tag_rule
from greenroom.core.errors import InvalidInput
from greenroom.core.gates import LEVELS, GateRule, gate_type
from greenroom.core.model import Binding, SlotKind
from greenroom.core.names import check_alias, check_stage_name, stage_key
from greenroom.core.policy import Freeze, Policy, Slot
from greenroom.core.toml_lines import Path, key_lines, line_of

MAX_DOCUMENT_BYTES = 256 * 1024
MAX_STAGES = 64
MAX_RULES = 1_000  # every new model is compared with all of them
_TOP = {"lifecycle", "description", "applies_to", "numbering", "ungated", "stage", "alias", "freeze"}
_SLOT = {"name", "capacity", "occupied", "protected", "from", "rollback_from", "expects", "ungated", "gate"}
_STAGE = _SLOT | {"after", "archive"}
_ALIAS = _SLOT - {"capacity"}
_FREEZE = {"from", "until", "stages", "reason"}
_NAME_CHARS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_")


@dataclass(frozen=True)
class DocumentProblem:
    """One thing wrong with a document; `line` counts from 1, None where no line can be named."""

    line: int | None
    message: str


@dataclass
class _Reader:
    """Collects problems while the document is walked."""

    lines: dict[Path, int]
    problems: list[DocumentProblem] = field(default_factory=list)
    places: dict[str, Path] = field(default_factory=dict)  # where each stage or alias stands

    def complain(self, path: Path, message: str) -> None:
        self.problems.append(DocumentProblem(line_of(self.lines, path), message))

    def take(self, table: Mapping[str, Any], path: Path, key: str, kind: type | tuple[type, ...], default: Any) -> Any:
        value = table.get(key, default)
        if key in table and (not isinstance(value, kind) or (isinstance(value, bool) and kind is int)):
            wanted = {str: "a string", bool: "true or false", list: "a list", dict: "a table"}.get(kind, "another type")  # type: ignore[arg-type]
            self.complain((*path, key), f"`{key}` must be {wanted}, got {value!r}")
            return default
        return value

    def choice(self, table: Mapping[str, Any], path: Path, key: str, options: tuple[str, ...], default: str) -> str:
        value: str = self.take(table, path, key, str, default)
        if value not in options:
            self.complain((*path, key), f"`{key}` must be one of {', '.join(options)}, got {value!r}")
            return default
        return value

    def names(self, table: Mapping[str, Any], path: Path, key: str) -> tuple[str, ...] | None:
        value = self.take(table, path, key, list, None)
        if value is None:
            return None
        if not all(isinstance(each, str) for each in value):
            self.complain((*path, key), f"`{key}` must be a list of strings")
            return None
        return tuple(value)

    def unknown(self, table: Mapping[str, Any], path: Path, known: set[str]) -> None:
        for key in table:
            if key not in known:
                self.complain((*path, key), f"unknown key `{key}`; known here: {', '.join(sorted(known))}")

    def checked(self, path: Path, check: Callable[[Any], Any], value: Any) -> bool:
        try:
            check(value)
        except InvalidInput as exc:
            self.complain(path, str(exc))
            return False
        return True


def read_policy(text: str) -> tuple[Policy | None, tuple[DocumentProblem, ...]]:
    """Return the policy a document describes, and what is wrong with it; the policy is None if anything is."""
    if len(text.encode("utf-8", "surrogatepass")) > MAX_DOCUMENT_BYTES:
        return None, (DocumentProblem(None, f"the document is larger than {MAX_DOCUMENT_BYTES} bytes"),)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        return None, (_syntax_problem(str(exc), text),)
    except (RecursionError, ValueError) as exc:
        return None, (DocumentProblem(None, f"not a TOML document: {exc}"),)
    reader = _Reader(key_lines(text))
    policy = _policy(reader, data)
    problems = sorted(reader.problems, key=lambda problem: problem.line or 0)
    return (None if problems else policy), tuple(problems)


def parse_policy(text: str) -> Policy:
    """Return the policy. Raises InvalidInput with all problems, each with its line."""
    policy, problems = read_policy(text)
    if policy is None:
        shown = "; ".join(f"line {p.line}: {p.message}" if p.line else p.message for p in problems[:5])
        raise InvalidInput(
            f"the lifecycle document has {len(problems)} problem{'s' if len(problems) > 1 else ''}: {shown}.",
            hint="See them all with: greenroom lifecycle check FILE",
            problems=[{"line": p.line, "message": p.message} for p in problems],
        )
    return policy


def _syntax_problem(message: str, document: str) -> DocumentProblem:
    """Take the line out of the standard parser's "… (at line 3, column 7)"."""
    _, _, place = message.partition(" (at line ")
    digits = place.split(",")[0]
    line = int(digits) if digits.isdigit() else max(len(document.splitlines()), 1)  # "(at end of document)"
    return DocumentProblem(line, f"not a TOML document: {message}")


def _policy(reader: _Reader, data: Mapping[str, Any]) -> Policy | None:
    reader.unknown(data, (), _TOP)
    name = reader.take(data, (), "lifecycle", str, None)
    if not name or not set(name) <= _NAME_CHARS or len(name) > 63:
        reader.complain(("lifecycle",), "`lifecycle` must name the lifecycle: 1 to 63 of a-z, 0-9, - and _")
    ungated = reader.take(data, (), "ungated", bool, False)
    stages = _stages(reader, data, ungated=ungated)
    aliases = tuple(_slots(reader, data, "alias", ungated=ungated))
    if not stages:
        reader.complain(("stage",), "a lifecycle needs at least one [[stage]]; versions begin in the first")
        return None
    _check_first(reader, stages)
    _check_references(reader, stages, stages + aliases)
    return Policy(
        name=name or "",
        stages=stages,
        aliases=aliases,
        freezes=tuple(_freezes(reader, data, stages)),
        bindings=tuple(_bindings(reader, data, name or "")),
        numbering=reader.choice(data, (), "numbering", ("continue", "restart"), "continue"),
        description=reader.take(data, (), "description", str, ""),
    )


def _tables(reader: _Reader, data: Mapping[str, Any], key: str) -> list[tuple[Path, Mapping[str, Any]]]:
    value = reader.take(data, (), key, list, [])
    if not all(isinstance(each, dict) for each in value):
        reader.complain((key,), f"write each {key} as a table of its own: [[{key}]]")
        return []
    if len(value) > MAX_STAGES:
        reader.complain((key,), f"more than {MAX_STAGES} [[{key}]] tables")
        return []
    return [((key, index), table) for index, table in enumerate(value)]


def _stages(reader: _Reader, data: Mapping[str, Any], *, ungated: bool) -> tuple[Slot, ...]:
    """Return the stages in order; `after` moves one behind another, so that a stage can be added at the end of the
    file.
    """
    ordered: list[Slot] = []
    tables = [table for _, table in _tables(reader, data, "stage")]
    slots = _slots(reader, data, "stage", ungated=ungated)
    for index, (slot, table) in enumerate(zip(slots, tables, strict=False)):
        after = reader.take(table, ("stage", index), "after", str, None)
        at = len(ordered)
        if after is not None:
            found = [i for i, each in enumerate(ordered) if each.name.casefold() == after.casefold()]
            if not found:
                reader.complain(("stage", index, "after"), f"`after` names {after!r}, which is no stage above it")
            at = found[0] + 1 if found else at
        ordered.insert(at, slot)
    if not any(slot.archive for slot in ordered):  # a stage called Archived is the archive unless another says so
        ordered = [_as_archive(slot) if slot.name.casefold() == "archived" else slot for slot in ordered]
    return tuple(ordered)


def _as_archive(slot: Slot) -> Slot:
    return Slot(**{**slot.__dict__, "archive": True})


def _slots(reader: _Reader, data: Mapping[str, Any], key: str, *, ungated: bool) -> list[Slot]:
    slots: list[Slot] = []
    seen: set[str] = set()
    for path, table in _tables(reader, data, key):
        slot = _slot(reader, table, path, SlotKind.STAGE if key == "stage" else SlotKind.ALIAS, ungated=ungated)
        same = _look(slot.name) if key == "stage" else slot.name
        if same in seen:
            reader.complain((*path, "name"), f"{key} {slot.name!r} is there twice (neither case nor width counts)")
        seen.add(same)
        slots.append(slot)
    return slots


def _look(name: str) -> str:
    """Return what stages that look alike share; of a text that is too long to be a name, as it is."""
    try:
        return stage_key(name)
    except InvalidInput:
        return name


def _slot(reader: _Reader, table: Mapping[str, Any], path: Path, kind: SlotKind, *, ungated: bool) -> Slot:
    is_stage = kind is SlotKind.STAGE
    reader.unknown(table, path, _STAGE if is_stage else _ALIAS)
    name = reader.take(table, path, "name", str, "")
    reader.places.setdefault(name, path)
    reader.checked((*path, "name"), check_stage_name if is_stage else check_alias, name)
    exclusive = not is_stage or reader.choice(table, path, "capacity", ("one", "many"), "many") == "one"
    default = "conflict" if exclusive and is_stage else "archive" if exclusive else "allow"
    gates = _gates(reader, table, path)
    is_ungated = reader.take(table, path, "ungated", bool, ungated)
    protected = reader.take(table, path, "protected", bool, False)
    if not gates and not is_ungated and (exclusive or protected):
        reader.complain(path, f"{name!r} lists no [[{path[0]}.gate]]; if everybody may enter, say so: ungated = true")
    return Slot(
        name=name,
        kind=kind,
        exclusive=exclusive,
        occupied=reader.choice(table, path, "occupied", ("conflict", "archive", "allow"), default),
        protected=protected,
        sources=reader.names(table, path, "from"),
        rollback_sources=reader.names(table, path, "rollback_from"),
        expects=reader.take(table, path, "expects", str, None),
        gates=gates,
        ungated=is_ungated,
        archive=reader.take(table, path, "archive", bool, False),
    )


def _gates(reader: _Reader, table: Mapping[str, Any], path: Path) -> tuple[GateRule, ...]:
    rules = []
    for index, each in enumerate(reader.take(table, path, "gate", list, [])):
        here = (*path, "gate", index)
        if not isinstance(each, dict) or not isinstance(each.get("type"), str):
            reader.complain(here, "a gate needs `type`, the name of its kind")
            continue
        level = reader.choice(each, here, "level", LEVELS, "mandatory")
        params = {key: value for key, value in each.items() if key not in ("type", "level")}
        if reader.checked(here, gate_type, each["type"]) and reader.checked(
            here, gate_type(each["type"]).check, params
        ):
            rules.append(GateRule(each["type"], params, level))
    return tuple(rules)


def _check_first(reader: _Reader, stages: tuple[Slot, ...]) -> None:
    """Every version begins in the first stage, so that it must have room, and nothing may keep a version out."""
    first = stages[0]
    if first.exclusive or first.gates or first.sources is not None:
        place = reader.places[first.name]
        reader.complain(place, f"{first.name!r} is where versions begin: it takes many, from anywhere, without gates")


def _check_references(reader: _Reader, stages: tuple[Slot, ...], slots: tuple[Slot, ...]) -> None:
    """Every stage that a slot names must be one, and an exclusive stage needs somewhere to send who leaves."""
    known = {stage.name.casefold() for stage in stages}
    for slot in slots:
        for key, names in (
            ("from", slot.sources),
            ("rollback_from", slot.rollback_sources),
            ("expects", (slot.expects,)),
        ):
            for name in names or ():
                if name is not None and name.casefold() not in known:
                    place = (*reader.places[slot.name], key)
                    reader.complain(place, f"`{key}` of {slot.name!r} names {name!r}, which is no stage here")
    if sum(stage.archive for stage in stages) > 1:
        reader.complain(("stage",), "more than one stage says `archive = true`")
    if any(stage.exclusive for stage in stages) and not any(stage.archive for stage in stages):
        reader.complain(("stage",), "a stage with capacity one needs a stage for whom it displaces: `archive = true`")


def _freezes(reader: _Reader, data: Mapping[str, Any], stages: tuple[Slot, ...]) -> list[Freeze]:
    known = {stage.name.casefold(): stage.name for stage in stages}
    freezes = []
    for path, table in _tables(reader, data, "freeze"):
        reader.unknown(table, path, _FREEZE)
        since, until = _moment(reader, table, path, "from"), _moment(reader, table, path, "until")
        names = reader.names(table, path, "stages") or ()
        for name in names:
            if name.casefold() not in known:
                reader.complain((*path, "stages"), f"{name!r} is no stage here")
        if since is not None and until is not None and since >= until:
            reader.complain((*path, "until"), "a freeze must end after it begins")
        reason = reader.take(table, path, "reason", str, "")
        freezes.append(Freeze(since or 0, until or 0, tuple(known.get(n.casefold(), n) for n in names), reason))
    return freezes


def _moment(reader: _Reader, table: Mapping[str, Any], path: Path, key: str) -> int | None:
    value = table.get(key)
    if not isinstance(value, datetime):
        reader.complain((*path, key), f"`{key}` must be a date and time such as 2026-12-24T00:00:00Z")
        return None
    aware = value if value.tzinfo else value.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)


def _bindings(reader: _Reader, data: Mapping[str, Any], name: str) -> list[Binding]:
    """`applies_to` lists model name patterns (`fraud-*`) and tags (`tag:team=risk`)."""
    bindings: list[Binding] = []
    rules = reader.names(data, (), "applies_to") or ()
    if len(rules) > MAX_RULES:
        reader.complain(("applies_to",), f"`applies_to` has {len(rules)} rules; at most {MAX_RULES} are allowed")
        return bindings
    for each in rules:
        if each.startswith("tag:"):
            key, mark, _ = each[4:].partition("=")
            if not key or not mark:
                reader.complain(("applies_to",), f"{each!r}: write a tag as tag:KEY=VALUE")
            elif reader.checked(("applies_to",), check_tag_rule, each[4:]):
                bindings.append(Binding(name, tag=each[4:]))
        elif not each or each == "*":
            reader.complain(("applies_to",), f"{each!r}: for every model use `greenroom lifecycle use {name}` instead")
        elif reader.checked(("applies_to",), check_pattern, each):
            bindings.append(Binding(name, pattern=each))
    return bindings
