"""`interpret`: the words after `models` become one `Ask`, or a `Usage` that says what is wrong with them.

Pure, and total: no words whatsoever raise. Source: cli-verbs, rules 1 to 4, 6 and 8.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from greenroom.cli.verbs_canonical import canonical_words, is_canonical
from greenroom.cli.verbs_tables import CANONICAL_FLAG, FORMS, SPELLINGS
from greenroom.cli.verbs_words import (
    MODELS,
    Given,
    Stop,
    Usage,
    read_tags,
    read_version,
    read_words,
    split_uri,
    two_different,
)
from greenroom.core.errors import GreenroomError
from greenroom.core.names import shown

_VERSION_LIKE = re.compile(r"[vV]?-?\d[\d.]*|latest", re.IGNORECASE | re.ASCII)
_OUTPUTS = ("json", "table", "text")
_NAMED_BY_STAGE = ("describe", "get_version", "alias_set", "delete", "delete_version")  # --stage says which version


@dataclass(frozen=True)
class Ask:
    """One question to the registry, whatever the words were.

    `ref` names a version without its number: `latest`, a stage, or `@alias`. `source` is where new files come from.
    `hint` is the canonical spelling when another one was used.
    """

    operation: str
    verb: str
    name: str = ""
    version: int | None = None
    ref: str | None = None
    versions: tuple[int | str, ...] = ()
    stage: str | None = None
    stages: tuple[str, ...] = ()
    from_stage: str | None = None
    alias: str | None = None
    decision: str | None = None
    source: str | None = None
    run_id: str | None = None
    comment: str | None = None
    text: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    value: str | None = None
    filter: str | None = None
    order_by: tuple[str, ...] = ()
    max_results: int | None = None
    swap: bool = False
    dry_run: bool = False
    best: str | None = None
    if_holder: int | None = None
    output: str | None = None
    url: str | None = None
    tracking: str | None = None
    data: str | None = None
    quiet: bool = False
    canonical: str = ""
    hint: str | None = None


def interpret(words: Sequence[str]) -> Ask | Usage:
    """Return what the words after `models` ask for, or what is wrong with them. Never raises."""
    try:
        given = read_words(words)
        if given.help:
            return Ask("help", given.verb)
        return _settle(given)
    except Stop as stop:
        return stop.usage
    except GreenroomError as error:
        return Usage(error.message, error.exit_code, error.hint)


def _settle(given: Given) -> Ask:
    preset = SPELLINGS[given.verb.replace(" ", "-")].preset
    _preset_stage(given, preset)
    _read_model_flag(given)
    _fill_bare(given)
    facts = _Facts(given)
    operation = _refine(given, facts)
    _require(given, operation, facts)
    asked = _ask(given, operation, facts, preset.get("decision"))
    words = canonical_words(asked)
    return replace(asked, canonical=words, hint=None if is_canonical(given, operation) else words)


def _preset_stage(given: Given, preset: Mapping[str, str]) -> None:
    """`archive --stage Production NAME` means the version that is in Production now."""
    if "stage" not in preset:
        return
    said = given.values.pop("stage", [])
    given.add("stage", preset["stage"])
    for stage in said:
        if stage and stage.casefold() != preset["stage"].casefold():
            if preset["stage"] != "Archived":
                raise two_different("--stage", preset["stage"], stage)
            given.add("from_stage", stage)


def _read_model_flag(given: Given) -> None:
    """`-m` of `register` is the model's URI, unless that is given already."""
    for value in given.values.pop("model", []):
        given.add("name" if given.has("uri") and not given.has("name") and not _is_location(value) else "uri", value)


def _is_location(word: str) -> bool:
    return "/" in word or "\\" in word or ":" in word or word.startswith(".")


def _fill_bare(given: Given) -> None:
    """Let bare words fill the fields that the operation takes by place."""
    form, words = given.form, list(given.bare)
    if given.operation == "register":
        return _fill_register(given, words)
    if words and words[0].startswith(MODELS):
        given.add("uri", words.pop(0))
        if given.operation == "compare" and words and words[0].startswith(MODELS):
            given.add("baseline", words.pop(0))
    places = [place for place in form.positional if not given.has(place)]
    if given.has("uri") and "name" in places:
        places.remove("name")
    for word in words:
        if places and places[0] == "version" and not (word == "" or _VERSION_LIKE.fullmatch(word)):
            places.pop(0)
        if places and places[0] == "alias" and given.operation == "alias_get":
            word = word.removeprefix("@")
        if not places:
            raise Stop(f"Got unexpected extra argument ({shown(word)}).")
        if places[0] == "version" and not word:
            raise Stop("The version is an empty word.")
        given.add(places[0], word)
        if places[0] not in ("stages", "versions"):
            places.pop(0)
    return None


def _fill_register(given: Given, words: list[str]) -> None:
    if not given.has("uri") and not given.has("run_id") and words:
        at = next((at for at, word in enumerate(words) if _is_location(word)), 0)
        given.add("uri", words.pop(at))
    if not given.has("name") and words:
        given.add("name", words.pop(0))
    if words:
        raise Stop(f"Got unexpected extra argument ({shown(words[0])}).")


class _Facts:
    """Which model and which version the words name, wherever they name it. Raises Stop for contradictions."""

    def __init__(self, given: Given) -> None:
        self.name = given.one("name") or ""
        self.version: int | None = None
        self.ref: str | None = None
        self.uri = given.one("uri")
        if given.operation != "register" and self.uri is not None:
            self._read_uri(self.uri)
        if given.operation == "register" and given.has("version"):
            raise Stop(
                "The registry numbers versions itself.",
                hint="Leave out '--version'; '--tags' can keep a number of your own.",
            )
        if given.operation != "compare":
            for text in given.values.get("version", []):
                self._meet(text)
        if given.operation in _NAMED_BY_STAGE:
            self._meet(given.one("stage"), stage=True)
        if given.operation in ("describe", "get_version") and given.one("alias"):
            self._meet("@" + str(given.one("alias")).removeprefix("@"), stage=True)

    def _read_uri(self, uri: str) -> None:
        name, rest = split_uri(uri)
        if self.name and name != self.name:
            raise two_different("--model-name", self.name, name)
        self.name = name
        self._meet(rest, stage=True)

    def _meet(self, text: str | None, *, stage: bool = False) -> None:
        if not text:
            return
        version, ref = read_version(text, model=self.name, stage=stage)
        known = self.ref or (str(self.version) if self.version else None)
        found = ref or str(version)
        if known is not None and known.casefold() != found.casefold():
            raise two_different("--version", known, found)
        self.version, self.ref = version, ref


def _refine(given: Given, facts: _Facts) -> str:
    """Return the operation that a word with several meanings has here."""
    numbered = facts.version is not None or facts.ref is not None
    if given.operation == "update":
        if given.one("stage"):
            return "move"
        if given.has("text"):
            return "set_text"
        return "set_tag" if given.has("tags") else "update"
    if given.operation == "describe" and given.has("text"):
        return "set_text"
    if given.operation in ("delete", "restore"):
        return f"{given.operation}_{'version' if numbered else 'model'}"
    if given.operation == "alias":
        if numbered:
            return "alias_set"
        return "alias_get" if given.has("alias") else "alias_list"
    if given.operation == "list_models" and facts.name and not given.verb.endswith("-models"):
        return "list_versions"
    return given.operation


def _require(given: Given, operation: str, facts: _Facts) -> None:
    have = {"name": facts.name, "version": facts.version or facts.ref}
    for need in FORMS[operation].needs:
        found = have[need] if need in have else given.one(need) if need not in ("tags", "uri") else "later"
        if not found:
            raise Stop(f"Missing option '{CANONICAL_FLAG[need]}'.")
    if operation == "register" and not given.one("uri") and not given.one("run_id"):
        raise Stop(
            "Missing option '--model-uri'.", hint="A folder or file here, models:/NAME/N, runs:/RUN/PATH, s3://…"
        )
    if operation == "set_tag":
        if "version" in given.verb and not have["version"]:
            raise Stop("Missing option '--version'.")
        if given.one("key") and not given.has("value"):
            raise Stop("Missing option '--value'.")
        if not given.one("key") and not given.has("tags"):
            raise Stop("Missing option '--key'.")


def _ask(given: Given, operation: str, facts: _Facts, decision: str | None) -> Ask:
    tags = read_tags(given.values.get("tags", []))
    key, value = given.one("key"), _text(given, "value")
    if operation == "set_tag" and key:
        tags[key] = value or ""
    slots = operation in _NAMED_BY_STAGE or (operation == "set_text" and facts.ref is not None)
    return Ask(
        operation,
        given.verb,
        facts.name,
        facts.version,
        facts.ref,
        versions=_pair(given, facts) if operation == "compare" else (),
        stage=None if slots or operation == "latest" else given.one("stage"),
        stages=_stages(given, operation),
        from_stage=given.one("from_stage"),
        alias=(given.one("alias") or "").removeprefix("@") or None,
        decision=decision,
        source=_source(given) if operation == "register" else None,
        run_id=given.one("run_id") if given.one("uri") else None,
        comment=_text(given, "comment"),
        text=_text(given, "text"),
        tags=tags,
        key=key,
        value=value,
        filter=given.one("filter"),
        order_by=given.many("order_by"),
        max_results=_count(given, "max_results"),
        swap=given.one("swap") == "true",
        dry_run=given.one("dry_run") == "true",
        best=given.one("best"),
        if_holder=_count(given, "if_holder"),
        output=_output(given),
        url=_where(given),
        tracking=given.one("tracking"),
        data=given.one("data"),
        quiet=given.one("quiet") == "true",
    )


def _stages(given: Given, operation: str) -> tuple[str, ...]:
    stages = given.many("stages")
    also = given.one("stage") if operation == "latest" else None
    return (*stages, also) if also and also not in stages else stages


def _text(given: Given, name: str) -> str | None:
    """Return a text that may be empty on purpose (a description is cleared so)."""
    return given.values[name][-1] if given.one(name) is not None or given.has(name) else None


def _source(given: Given) -> str | None:
    uri, run_id = given.one("uri"), given.one("run_id")
    if uri is None and run_id is not None:
        return f"runs:/{run_id}/{(given.one('artifact_path') or 'model').strip('/')}"
    return uri


def _pair(given: Given, facts: _Facts) -> tuple[int | str, ...]:
    """Return the two versions to compare, older first as given; none when the words name none."""
    texts = [*given.values.get("version", []), *given.many("versions")]
    texts += [stage for stage in (given.one("stage"), *given.many("stages")) if stage]
    found: list[int | str] = []
    if given.one("baseline"):
        name, rest = split_uri(str(given.one("baseline")))
        if name != facts.name:
            raise Stop(f"Only versions of one model can be compared, not '{shown(facts.name)}' and '{shown(name)}'.")
        texts = [rest or "latest", *texts]
    for text in texts:
        version, ref = read_version(text, model=facts.name, stage=True)
        found.append(ref if version is None and ref is not None else version or 0)
    if facts.version or facts.ref:
        found.append(facts.version or str(facts.ref))
    if len(found) != 2:
        raise Stop("Two versions are compared.", hint=f"models compare {shlex.quote(shown(facts.name))} 3 5")
    return tuple(found)


def _count(given: Given, name: str) -> int | None:
    text = given.one(name)
    if text is None:
        return None
    least = 0 if name == "if_holder" else 1
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) < least:
        raise Stop(f"Option '{CANONICAL_FLAG[name]}' takes a whole number from {least}, got '{shown(text)}'.")
    return int(text)


def _output(given: Given) -> str | None:
    text = given.one("output")
    if text is None:
        return None
    if text.lower() not in _OUTPUTS:
        raise Stop(f"Option '--output' is json or table, got '{shown(text)}'.")
    return "json" if text.lower() == "json" else "table"


def _where(given: Given) -> str | None:
    """Return the registry's URL; where a tracking URI is given too, the registry's counts, as for MLflow."""
    tracking = given.one("tracking")
    return given.one("url") or (tracking if tracking and tracking.lower().startswith("http") else None)
