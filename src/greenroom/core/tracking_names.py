"""What experiments, runs, metrics, parameters and tags may be called, and how long their texts may be. Pure.

The rules, and the sentences that say them, are those that existing clients and scripts rely on. Texts of parameters and
tags that are too long are cut, as a stock server cuts them: training must not fail for a long list of layers.
Source: mlflow-compat section 8.
"""

from __future__ import annotations

import functools
import json
import posixpath
import re
from collections.abc import Iterable, Mapping, Sized
from types import MappingProxyType

from greenroom.core.errors import InvalidInput
from greenroom.core.names import LIMITS, hidden_character, require_storable, shown

KEY_LENGTH = LIMITS["metric_key"].value
PARAM_LENGTH = LIMITS["param_value"].value
RUN_TAG_LENGTH = 8_000
EXPERIMENT_TAG_LENGTH = 20_000
EXPERIMENT_NAME_LENGTH = 500
LOCATION_LENGTH = 2_048
NAME_LENGTH = 250  # of runs, users, kinds of models

NAME_TAG = "mlflow.runName"
"""The tag that a run's name is kept in as well; whoever changes one changes both."""
PER_BATCH: Mapping[str, int] = MappingProxyType({"metrics": 1000, "params": 100, "tags": 100})
ALL_PER_BATCH = 1000
DATASETS_PER_REQUEST = 1000
DATASETS_PER_SEARCH = 200  # SQLite takes no deeper condition
EXPERIMENTS_PER_SEARCH = 30_000  # both databases take so many values in a statement, beside those of a filter
INPUTS_PER_RUN = 10_000
DATASET_LENGTHS: Mapping[str, int] = MappingProxyType(
    {"name": 500, "digest": 36, "source_type": 36, "source": 65_535, "schema": 1_048_575, "profile": 16_777_215}
)
INPUT_TAG_LENGTHS = (255, 500)

_KEY = re.compile(r"[/\w.\- :]*")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,255}")
_MODEL_ID = re.compile(r"m-[0-9a-f]{32}")
_STORE = re.compile(r"(?!file:)[a-z][a-z0-9+.\-]+:", re.IGNORECASE)  # two letters at least: C: is a folder
_BAD_IN_MODEL_NAME = "/:.%\"'"


def check_key(key: str, parameter: str, what: str) -> str:
    """Return a clean key of a metric, parameter or tag; `what` is what it is called when it is too long."""
    if len(key) > KEY_LENGTH:
        raise too_long(what, KEY_LENGTH, parameter)
    problem = _problem_of(key)
    if problem is not None:
        raise InvalidInput(f"{_invalid(key, parameter)}: {problem}", parameter=parameter)
    return key


def one_name(name: str | None, tags: Mapping[str, str]) -> str | None:
    """Return what a new run is called, by its field or its tag. Raises InvalidInput when they differ."""
    tag = tags.get(NAME_TAG)
    if name and tag and name != tag:
        raise InvalidInput(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{shown(name)}', mlflow.runName='{shown(tag)}').",
        )
    return name or tag


@functools.lru_cache(4096)  # trainings log the same few keys all the time
def _problem_of(key: str) -> str | None:
    if not _KEY.fullmatch(key) or not key.strip() or hidden_character(key):
        return (
            "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:) and "
            "slashes (/)."
        )
    resolved = posixpath.normpath(key)
    if resolved != key or resolved == "." or resolved.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such. "
            f"This name would resolve to {resolved!r}"
        )
    return None


def _invalid(key: str, parameter: str) -> str:
    text = f"Invalid value {json.dumps(key, ensure_ascii=False)} for parameter '{parameter}' supplied"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def too_long(what: str, limit: int, parameter: str) -> InvalidInput:
    """Return the error for a text over its limit."""
    return InvalidInput(f"'{what}' exceeds the maximum length of {limit} characters", parameter=parameter)


def check_text(text: str, what: str, limit: int) -> str:
    """Return a text that can be stored. Raises InvalidInput over the limit, or for NUL and half surrogate pairs."""
    if len(text) > limit:
        raise too_long(what, limit, what)
    require_storable(text, what)
    return text


def clipped(text: str, what: str, limit: int) -> str:
    """Return a text that can be stored, cut at the limit. Raises InvalidInput for NUL and half surrogate pairs."""
    return check_text(text[:limit], what, limit)


def check_experiment_name(name: str) -> str:
    """Return a name that an experiment can have: one visible line of 1 to 500 characters."""
    if not name.strip():
        raise InvalidInput(f"Invalid experiment name: '{shown(name)}'", hint="Give it a name that can be seen.")
    check_text(name, "name", EXPERIMENT_NAME_LENGTH)
    hidden = hidden_character(name)
    if hidden:
        raise InvalidInput(f"Invalid experiment name: '{shown(name)}'. {hidden}", hint="Choose another name.")
    return name


def check_location(location: str) -> str:
    """Return the URI below which an experiment's files are kept, without a slash at its end.

    It may be in any store: clients read and write there, this server only where it is its own artifact tree. A folder
    is refused: whose it would be, the server's or each client's, is for the one to guess who reads it (CVE-2024-1483).
    """
    check_text(location, "artifact_location", LOCATION_LENGTH)
    problem = hidden_character(location)
    if any(mark in location for mark in "#;"):
        raise InvalidInput("'artifact_location' URL can't include fragments or params.", parameter="artifact_location")
    if "?" in location:
        problem = "It has a query, which the paths of files would follow."
    elif location.startswith(("runs:", "models:")):
        problem = f"Artifact location cannot be a {location.partition(':')[0]}:/ URI."
    elif not _STORE.match(location):
        problem = "It is a folder of one machine. Leave it out: the files go to this server; or name a store (s3://…)."
    elif ".." in location.replace("\\", "/").split("/"):
        problem = "It has a '..' segment."
    if problem:
        raise InvalidInput(f"Invalid artifact location '{shown(location)}'. {problem}", parameter="artifact_location")
    return location if location.endswith((":/", "//")) else location.rstrip("/") or location


def is_run_id(text: str) -> bool:
    """Say whether a run can have this id."""
    return _RUN_ID.fullmatch(text) is not None


def is_model_id(text: str) -> bool:
    """Say whether a logged model can have this id."""
    return _MODEL_ID.fullmatch(text) is not None


def check_logged_model_name(name: str) -> str:
    """Return a name that a logged model can have; files are found by it, and URIs hold it."""
    if not name or any(mark in name for mark in _BAD_IN_MODEL_NAME):
        raise InvalidInput(
            f"Invalid model name ({shown(name)!r}) provided. Model name must be a non-empty string and cannot contain "
            f"the following characters: {tuple(_BAD_IN_MODEL_NAME)}",
            parameter="name",
        )
    hidden = hidden_character(name)
    if hidden:
        raise InvalidInput(f"Invalid model name ({shown(name)!r}) provided. {hidden}", parameter="name")
    return check_text(name, "name", EXPERIMENT_NAME_LENGTH)


def check_batch(**parts: Sized) -> None:
    """Raise InvalidInput when one request logs more than it may: of one kind, or in all."""
    for what, values in parts.items():
        _check_batch(what, PER_BATCH[what], len(values))
    _check_batch("metrics, params, and tags", ALL_PER_BATCH, sum(len(values) for values in parts.values()))


def _check_batch(what: str, limit: int, length: int) -> None:
    if length > limit:
        raise InvalidInput(
            f"A batch logging request can contain at most {limit} {what}. Got {length} {what}. Please split up {what} "
            "across multiple requests and try again.",
            limit=what,
            maximum=limit,
        )


def check_unique(keys: Iterable[str]) -> None:
    """Raise InvalidInput when a request holds the same parameter twice."""
    seen: set[str] = set()
    twice = [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    if twice:
        raise InvalidInput(
            f"Duplicate parameter keys have been submitted: {[shown(key) for key in twice[:10]]}. Please ensure the "
            "request contains only one param value per param key.",
        )


def tree_path(uri: str) -> str | None:
    """Return the path in this server's own artifact tree that a URI names, None for one that leads elsewhere."""
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme.lower() != "mlflow-artifacts" or rest.startswith("//"):
        return None
    return rest.strip("/")
