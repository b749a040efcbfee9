"""Tables made from the code: errors, refusals, exit codes, limits, search fields, audit events."""

from __future__ import annotations

import re
from pathlib import Path

import greenroom.core.lifecycle as lifecycle
from greenroom.cli import session
from greenroom.client.cache import DEFAULT_MAX_BYTES
from greenroom.core.audit import EventType
from greenroom.core.dialects import MODELS, NATIVE_MODELS, NATIVE_VERSIONS, VERSIONS
from greenroom.core.document import MAX_DOCUMENT_BYTES
from greenroom.core.errors import GreenroomError, error_classes
from greenroom.core.limits import CLOSED, SERVER_LIMITS, Bound
from greenroom.core.names import LIMITS
from greenroom.core.search import Dialect
from greenroom.http.problem import TITLES
from greenroom.services.limits import COUNTS
from tools.pages.text import code, table

REFUSALS = {
    "holder_changed": "the slot is not held by the version that `if_holder` named",
    "transition_not_allowed": "the lifecycle has no transition from the version's stage into this slot",
    "frozen": "a freeze window is open for this slot",
    "stage_conflict": "an exclusive slot is held, and neither lifecycle nor request says that the holder may leave",
    "gate_failed": "a gate said no",
    "gate_pending": "a gate lacks something that would let it judge",
    "gate_errored": "a gate could not judge: the promotion is `errored`, and nothing moved",
}

EVENTS = {
    "registry_created": "the first entry of every log: the presets, and the default lifecycle",
    "model_created": "a registered model without versions",
    "model_updated": "a model's description",
    "model_renamed": "a model's name; `from` is the old one",
    "model_deleted": "a model got its tombstone",
    "model_restored": "a deleted model came back",
    "model_tag_set": "a tag of a model",
    "model_tag_deleted": "a tag of a model went",
    "version_registered": "the next version, with the digest of its manifest",
    "version_updated": "a version's description",
    "version_deleted": "a version got its tombstone",
    "version_pinned": "the files of a version that were elsewhere are kept here from now on, under a digest",
    "version_restored": "a deleted version came back",
    "version_tag_set": "a tag of a version",
    "version_tag_deleted": "a tag of a version went",
    "version_metrics_recorded": "metrics and parameters were added to a version",
    "promotion_succeeded": "a version moved into a slot: promote, rollback, set an alias",
    "promotion_rejected": "the lifecycle said no, or a gate could not judge; the body says which and why",
    "alias_deleted": "an alias was taken away",
    "deletion_rejected": "a version in a protected slot, or its model, was not deleted",
    "lifecycle_applied": "a document became the next revision of a lifecycle, or a stage was added",
    "lifecycle_used": "another lifecycle applies to some models, or to all",
    "experiment_deleted": "an experiment and all of its runs were deleted",
    "experiment_restored": "an experiment and all of its runs were brought back",
    "run_deleted": "a run was deleted; versions that were registered from it keep what they took",
    "run_restored": "a run was brought back",
    "logged_model_deleted": "a logged model was deleted; versions that were registered from it keep what they took",
    "blobs_collected": "blobs that nothing names were taken away: how many, their bytes, the digest of their list",
    "blobs_damaged": "stored bytes were found to be lost or other bytes; versions that need them are shown as damaged",
    "blobs_healed": "damaged blobs are whole again: they were pushed again, or put back by hand",
}

EXITS = {
    0: "done",
    1: "the lifecycle said no; `audit verify`: tampered; `models …`: the stage does not exist",
    2: "wrong input, or a wrong command line; `audit verify`: incomplete",
    3: "not allowed; `audit verify`: could not be checked",
    4: "not found",
    5: "exists already",
    6: "busy, not reachable, or full: try again",
    session.EXIT_DAMAGED: "bytes are not what they were",
    session.EXIT_BUG: "a bug in Greenroom; `GREENROOM_DEBUG=1` shows where",
    session.EXIT_INTERRUPTED: "interrupted by Ctrl-C",
    session.EXIT_BROKEN_PIPE: "the reader of standard output went away",
}


def errors() -> str:
    """Return every error class: code, meaning, statuses, exit code, whether to try again."""
    rows = []
    for name, kind in sorted(error_classes().items(), key=lambda item: (item[1].http_status, item[0])):
        if kind is GreenroomError:
            continue
        meaning = (kind.__doc__ or TITLES.get(name, "")).partition("\n")[0]
        again = "yes" if kind.retryable else "no"
        wire = f"{code(kind.mlflow_code)} {kind.mlflow_status}"
        rows.append((code(name), meaning, kind.http_status, wire, kind.exit_code, again))
    return table(("code", "meaning", "HTTP", "MLflow's wire", "exit", "try again"), rows)


def refusals() -> str:
    """Return every reason for which a promotion is refused. KeyError when the rule has one that is not told here."""
    text = Path(lifecycle.__file__).read_text("utf-8")
    used = set(re.findall(r'Refusal\(\s*"([a-z_]+)"', text)) - {"gate_"}
    if not used <= set(REFUSALS):
        raise KeyError(f"undocumented refusals: {sorted(used - set(REFUSALS))}")
    return table(("code", "because"), [(code(name), why) for name, why in REFUSALS.items()])


def exits() -> str:
    """Return the exit codes. KeyError when an error class ends with one that is not told here."""
    known = {kind.exit_code for kind in error_classes().values()}
    if not known <= set(EXITS):
        raise KeyError(f"undocumented exit codes: {sorted(known - set(EXITS))}")
    return table(("exit", "means"), sorted(EXITS.items()))


def events() -> str:
    """Return every type of audit event. KeyError when one is not told here."""
    types = [kind.value for kind in EventType]
    return table(("type", "records"), [(code(name), EVENTS[name]) for name in types])


def limits() -> str:
    """Return the limits on single texts, on counts, and on what the server takes."""
    texts = [(code(name), f"{each.value:,} {each.unit}".strip(), each.what) for name, each in LIMITS.items()]
    counts = [(code(name), f"{count:,}") for name, count in COUNTS.items()]
    server = [(code(name), _amount(each), each.what, _answered(each)) for name, each in SERVER_LIMITS.items()]
    others = [
        ("a lifecycle document", _bytes(MAX_DOCUMENT_BYTES)),
        ("the client's cache of blobs", _bytes(DEFAULT_MAX_BYTES)),
    ]
    return "\n".join(
        (
            "## Texts\n",
            table(("limit", "at most", "of"), texts),
            "## Counts\n\nAt most so many in one request, and per version or model.\n",
            table(("what", "at most"), counts),
            "## The server\n",
            table(("limit", "at most", "of", "over it"), server),
            "## Others\n",
            table(("what", "at most"), others),
        )
    )


def _amount(limit: Bound) -> str:
    return _bytes(limit.value) if limit.unit == "bytes" else f"{limit.value:,} {limit.unit}"


def _answered(limit: Bound) -> str:
    return "the connection ends" if limit.status == CLOSED else str(limit.status)


def _bytes(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size and count % size == 0:
            return f"{count // size} {unit}"
    return f"{count} bytes"


def search_fields() -> str:
    """Return what can be searched and ordered by, for models and versions, natively and on MLflow's wire."""
    parts = []
    for title, dialect in (
        ("Versions", NATIVE_VERSIONS),
        ("Models", NATIVE_MODELS),
        ("Versions on MLflow's wire", VERSIONS),
        ("Models on MLflow's wire", MODELS),
    ):
        parts.append(f"### {title}\n\n{_fields(dialect)}\nOrder by: {_orders(dialect)}.\n")
    return "\n".join(parts)


def _fields(dialect: Dialect) -> str:
    rows = [(code(word), spec.kind.value, _ops(spec.ops)) for word, spec in sorted(dialect.attributes.items())]
    rows += [(code(f"{entity.value}s.KEY"), spec.kind.value, _ops(spec.ops)) for entity, spec in dialect.keyed.items()]
    return table(("field", "type", "operators"), rows)


def _ops(ops: frozenset[str]) -> str:
    order = ("=", "!=", "<", "<=", ">", ">=", "LIKE", "ILIKE", "IN", "NOT IN")
    return " ".join(code(op) for op in order if op in {str(each.value) for each in ops})  # type: ignore[attr-defined]


def _orders(dialect: Dialect) -> str:
    default = ", ".join(f"{each.key}{' DESC' if each.descending else ''}" for each in dialect.default_order)
    return ", ".join(code(word) for word in sorted(dialect.orders)) + f"; without: `{default}`"
