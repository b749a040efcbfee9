"""The canonical form of a question: was it used, and how is it written (cli-verbs, rule 6)."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING

from greenroom.cli.verbs_tables import CANONICAL_FLAG, FLAGS, FORMS, GLOBAL
from greenroom.cli.verbs_words import MODELS

if TYPE_CHECKING:
    from greenroom.cli.verbs_ask import Ask
    from greenroom.cli.verbs_words import Given

_SHOWN = (
    *("version", "versions", "stage", "stages", "from_stage", "alias", "baseline", "key", "value", "tags", "filter"),
    *("run_id", "order_by", "max_results", "best", "if_holder", "comment", "text", "swap", "dry_run"),
)


def is_canonical(given: Given, operation: str) -> bool:
    """Say whether verb and flags are those of the operation's canonical form (rule 6)."""
    form = FORMS[operation]
    flags = {flag for flag in given.flags if FLAGS.get(flag) not in GLOBAL}
    allowed = {form.flags.get(name, CANONICAL_FLAG[name]) for name in ("name", "uri", *form.accepts)}
    if operation == "set_text":
        allowed.add(CANONICAL_FLAG["text"])  # `--text` is canonical (rule 8), and the name that it has elsewhere
    return given.plain and given.verb in form.verbs and flags <= allowed


def canonical_words(asked: Ask) -> str:
    """Return the canonical words for what is asked, quoted for a shell."""
    form = FORMS[asked.operation]
    verb = (asked.decision or form.verbs[0]) if asked.operation == "decide" else form.verbs[0]
    words = ["models", *verb.split()]
    if asked.operation == "compare":
        return shlex.join([*words, asked.name, *(str(version) for version in asked.versions)])
    if asked.operation == "register":
        words += ["--model-uri", asked.source or ""]
    if asked.ref is not None:
        joined = asked.ref if asked.ref.startswith("@") else f"/{asked.ref}"
        words += ["--model-uri", f"{MODELS}{asked.name}{joined}"]
    elif asked.name:
        words += [form.flags.get("name", CANONICAL_FLAG["name"]), asked.name]
    for name in _SHOWN:
        words += _flag_words(asked, name, form.flags.get(name, CANONICAL_FLAG[name]))
    return shlex.join(words)


def _flag_words(asked: Ask, name: str, flag: str) -> list[str]:
    value = getattr(asked, name, None)
    if name in ("key", "value") and asked.operation == "set_tag":
        return []
    if value is None or value is False or value in ((), {}):
        return []
    if value is True:
        return [flag]
    if isinstance(value, Mapping):
        return [word for key, text in value.items() for word in ("--tags", f"{key}={text}")]
    if isinstance(value, tuple):
        return [word for each in value for word in (flag, str(each))]
    return [flag, str(value)]
