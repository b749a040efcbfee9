"""The reading half of `models …`: lists, one version, history, comparison."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from greenroom.cli import verbs_show as show
from greenroom.cli.verbs_ask import Ask
from greenroom.cli.verbs_pick import resolve_version
from greenroom.cli.verbs_show import Printer
from greenroom.core.model import Tenure, Version
from greenroom.core.names import stage_key

if TYPE_CHECKING:
    from greenroom.client.registry import Registry


def _limited(asked: Ask, items: Iterable[Version]) -> Iterator[Version]:
    """Yield the versions in the stages that are asked for, at most as many as asked for."""
    stages = (*asked.stages, *((asked.stage,) if asked.stage else ()))
    wanted = {stage_key(stage[:63]) for stage in stages}
    return islice((each for each in items if not wanted or stage_key(each.stage) in wanted), asked.max_results)


def _print_versions(versions: Iterable[Version], printer: Printer, *, of_many: bool = False) -> int:
    """Print a table headed `Version  Stage …` (rule 5); the model is its last column where it is not known before."""
    found = list(versions)
    columns = (*show.VERSION_COLUMNS, "Model") if of_many else show.VERSION_COLUMNS
    rows = [(*show.version_row(each), each.model)[: len(columns)] for each in found]
    printer.table(columns, rows, [show.version_item(each) for each in found])
    return 0


def versions(asked: Ask, registry: Registry, printer: Printer) -> int:
    """List versions: of one model if it is named, which must be there, else of all."""
    clauses = []
    if asked.name:
        registry.model(asked.name)
        doubled = asked.name.replace("'", "''")
        clauses.append(f"name = '{doubled}'")
    if asked.filter:
        clauses.append(asked.filter)
    order = asked.order_by or (("version DESC",) if asked.name else ())
    found = registry.search(" AND ".join(clauses) or None, order_by=order)
    return _print_versions(_limited(asked, found), printer, of_many=not asked.name)


def latest(asked: Ask, registry: Registry, printer: Printer) -> int:
    """List the newest version in each stage, or in the stages that are asked for."""
    found = registry.latest(asked.name, asked.stages or ((asked.ref,) if asked.ref and asked.ref[0] != "@" else ()))
    return _print_versions(islice(found, asked.max_results), printer)


def models(asked: Ask, registry: Registry, printer: Printer) -> int:
    """List registered models."""
    clauses = [asked.filter] if asked.filter else []
    if asked.name:
        doubled = asked.name.replace("'", "''")
        clauses.insert(0, f"name = '{doubled}'")
    every = registry.models(" AND ".join(clauses) or None, order_by=asked.order_by)
    wanted = stage_key(asked.stage) if asked.stage else None
    kept = (each for each in every if wanted is None or wanted in map(stage_key, each.latest))
    items = [show.model_item(each) for each in islice(kept, asked.max_results)]
    rows = (
        (
            item["name"],
            item["version"],
            item["current_stage"],
            ", ".join(f"{each['current_stage']}: {each['version']}" for each in item["latest_versions"]),
            ", ".join(f"{alias}: {version}" for alias, version in item["aliases"].items()),
        )
        for item in items
    )
    printer.table(("Name", "Version", "Stage", "Newest in", "Aliases"), rows, items)
    return 0


def describe(asked: Ask, registry: Registry, printer: Printer) -> int:
    """Show one version, or the model when no version is named."""
    if asked.version is None and asked.ref is None:
        model = registry.model(asked.name)
        printer.fields(show.describe_model(model), show.model_item(model))
        return 0
    version = registry.get(asked.name, resolve_version(asked, registry))
    entered = _entered(version, registry)
    printer.fields(show.describe_version(version, entered), show.describe_item(version, entered))
    return 0


def _entered(version: Version, registry: Registry) -> Tenure | None:
    """Return the tenure by which a version is in its stage; who registered it promoted nobody."""
    history = registry.history(version.model, version.stage, version=version.version)
    return next((tenure for tenure in history if tenure.until is None and tenure.promotion is not None), None)


def history(asked: Ask, registry: Registry, printer: Printer) -> int:
    """List who held what, newest first."""
    slot = "@" + asked.alias if asked.alias else asked.stage or asked.ref
    found = list(islice(registry.history(asked.name, slot, version=asked.version), asked.max_results))
    rows = ((each.version, show.slot_text(each), *show.tenure_cells(each)) for each in found)
    printer.table(
        ("Version", "Slot", "From", "Until", "By", "Reason"), rows, [show.tenure_item(each) for each in found]
    )
    return 0


def compare(asked: Ask, registry: Registry, printer: Printer) -> int:
    """Show what differs between two versions."""
    left, right = (each if isinstance(each, int) else resolve_version(asked, registry, each) for each in asked.versions)
    comparison = registry.diff(asked.name, left, right)
    rows = [(kind, each.name, each.left, each.right) for kind, each in show.changes(comparison)]
    if printer.is_json:
        printer.fields((), comparison)
        return 0
    if rows:
        printer.table(("What", "Name", f"Version {left}", f"Version {right}"), rows, ())
    printer.note(f"{comparison.unchanged_files} files are the same." if rows else "No differences.")
    return 0
