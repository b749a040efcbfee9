"""One place where two answers differ, and what can be said about it: what the rows of `deliberate` are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.differential.calls import Call


@dataclass(frozen=True)
class Seen:
    """One place where two answers differ; None stands for what is not there.

    At path "" stands a refusal of one side or both, as [status, error code, text]; of a success the text is its body.
    """

    call: Call
    path: str
    ours: Any
    stock: Any
    before: Call | None = None
    """The request before this one, if both refused it."""

    @property
    def codes(self) -> tuple[int, int]:
        """Our status and theirs."""
        return (200, 200) if self.path else (self.ours[0], self.stock[0])

    @property
    def same_code(self) -> bool:
        """Whether both refuse, with the same status and error code."""
        return not self.path and self.ours[:2] == self.stock[:2] and self.ours[0] != 200

    @property
    def text(self) -> str:
        """Our text of a refusal."""
        return "" if self.path else str(self.ours[2])

    @property
    def stock_text(self) -> str:
        """Their text of a refusal."""
        return "" if self.path else str(self.stock[2])

    @property
    def only_ours(self) -> bool:
        """Whether we refuse as INVALID_PARAMETER_VALUE what a stock server takes."""
        return not self.path and self.ours[:2] == [400, "INVALID_PARAMETER_VALUE"] and self.stock[0] == 200

    def ours_is(self, *refusals: tuple[int, str]) -> bool:
        """Whether we refuse with one of these statuses and error codes."""
        return not self.path and tuple(self.ours[:2]) in refusals

    def wrong(self, *faults: str) -> bool:
        """Whether the request was made with one of these faults on purpose."""
        return bool(self.call.faults.intersection(faults))

    @property
    def searches(self) -> bool:
        """Whether it is a search with a filter and an order."""
        return self.call.operation.startswith("search_")


@dataclass(frozen=True)
class Difference:
    """A difference that is meant: what is asked, what either server does, why.

    `parts`: what is stored differs from then on, so nothing that follows can be compared; `behind`: it differs since
    the request before. `two_faults`: counts only when the servers, asked again, show that either fault is in the
    request (see `proofs`).
    """

    name: str
    what: str
    mlflow: str
    here: str
    because: str
    when: Callable[[Seen], bool]
    parts: bool = False
    two_faults: bool = False
    behind: bool = False


TYPE = re.compile(
    r"Invalid value .* for parameter '.*' supplied(:  Hint: Value was of type|\. It must be one of)"
    r"|Invalid boolean value|the request body must be a JSON object",
    re.DOTALL,
)
NAMES = re.compile(
    r"Invalid (tag key|model name|artifact location|experiment name|alias|value .* for parameter '.*(key|name)')"
    r"|'(name|key|Param key|user_id)' exceeds|Invalid path|The path is not in canonical form"
    r"|Parameter 'version' must be an integer, got '[^\x00-\x7f]"
    r"|Missing value for required parameter '((params|tags)\[\d+\]\.key|metric_key|datasets\[\d+\]\.dataset(\.\w+)?)'",
    re.DOTALL,
)
FILTERS = re.compile(r"Invalid (clause|comparator|order_by|entity|attribute)|Expected |The filter has|Search filter")
PAGES = re.compile(r"Invalid value .*max_results.* It must be (a positive|at most)")
TWICE = re.compile(r"Request specifies ('.*' twice|both '.*' and)")
SQL = re.compile(r"sqlite3\.|sqlalche\.me")
_CAMEL = re.compile(r"[a-z][A-Z]")
CHANGE_LOGGED = ("finish_logged_model", "tag_logged_model", "log_model_params", "untag_logged_model")
LENIENT = re.compile(
    r"Invalid filter string: ' '|Invalid entity type: '(attribute|tag)'|Expected a quoted string value for attributes\."
)
LOWER = re.compile(r"Invalid comparator (for \w+: (like|ilike|in|not in)$|'(like|ilike|in|not in)' not one of)")
_MISSING = "Missing value for required parameter|must specify"
_SAME_SUBJECT = tuple(
    (re.compile(ours, re.DOTALL), re.compile(stock, re.DOTALL))
    for ours, stock in (
        (_MISSING, _MISSING),  # two are missing: which of them is named first
        (_MISSING, "Parameter 'version' must be an integer, got ''"),
        (_MISSING, "Invalid value .* for parameter 'key'"),
        ("Invalid path", _MISSING),
        (f"{_MISSING}|Invalid value", "must be in the 'active' state"),  # a deleted run, and a field that is wrong
        ("Parameter 'version' must be", "Invalid Model Version stage"),
        ("Invalid tag key", "Invalid model version source"),
        ("The path is not in canonical form", "Invalid path"),
        ("Invalid tag key", "Invalid value .* for parameter '.*key'|Missing value .*key|'key' exceeds"),
        ("Invalid value .* for parameter '.*'", "Invalid value .* for parameter '.*'"),
        ("Invalid artifact location", "[Aa]rtifact.location"),
        ("Invalid alias", "alias name"),
        ("Invalid model name", "[Mm]odel name|Invalid value .* for parameter 'name'"),
        ("Invalid model version source", "Invalid model version source"),
        ("Invalid page token", "[Pp]age token"),
        ("Invalid path", "Invalid path"),
        ("(Prompt|Registered Model) .* already exists", "is already taken by a"),
        ("Logged model with ID", "No tag with key"),
        ("Duplicate parameter keys", "Duplicate parameter keys"),
    )
)


def words(seen: Seen) -> bool:
    """Whether both refuse alike, in other words about the same, or naming another of several faults."""
    return seen.same_code and (len(seen.call.faults) > 1 or same_subject(seen.text, seen.stock_text))


def same_subject(ours: str, stock: str) -> bool:
    """Whether two refusals are about the same."""
    return any(one.match(ours) and other.search(stock) for one, other in _SAME_SUBJECT)


def advice(seen: Seen) -> bool:
    return seen.same_code and seen.text.startswith(seen.stock_text.rstrip(" .\n"))


def camel(seen: Seen) -> bool:
    body = seen.call.body if isinstance(seen.call.body, dict) else {}
    keys = [*body, *(key for key, _ in seen.call.query)]
    return bool(re.search(_MISSING, seen.stock_text)) and any(_CAMEL.search(key) for key in keys)


def _plain(text: str) -> str:
    """Return a text with every odd character written out, and long values cut."""
    text = re.sub(r"\\+", r"\\", text.encode("unicode_escape").decode()).replace("\\U000", "\\u")
    return re.sub(r"(\w{60})\w+(\.\.\.)?", r"\1", text)


def escaped(seen: Seen) -> bool:
    stock = re.sub(r"(\\u[0-9a-f]{4})+", lambda found: json.loads(f'"{found[0]}"'), seen.stock_text)
    return seen.same_code and _plain(seen.text).startswith(_plain(stock).rstrip(" ."))


def two_faults(seen: Seen) -> bool:
    return seen.codes in ((400, 404), (404, 400))


def taken_there(seen: Seen) -> bool:
    """Whether a stock server, which takes the name or key that we refuse, came as far as a name that is taken."""
    return seen.codes == (400, 400) and seen.stock[1] == "RESOURCE_ALREADY_EXISTS"


def any_digest(body: Any) -> bool:
    """Whether a search names a data set without its digest."""
    datasets = body.get("datasets") if isinstance(body, dict) else None
    return isinstance(datasets, list) and any(
        isinstance(each, dict) and not each.get("dataset_digest") for each in datasets
    )


def only_ours_sees(text: str) -> bool:
    """Whether a refusal of ours is about something that a stock server takes: a type, a name."""
    return bool(TYPE.match(text) or NAMES.match(text))


def unknown_source(seen: Seen) -> bool:
    return (
        seen.call.operation == "create_version"
        and seen.codes[0] in (200, 404)
        and "request parameter must identify" in seen.stock_text
    )


def other_host(seen: Seen) -> bool:
    source = seen.call.body.get("source") if isinstance(seen.call.body, dict) else ""
    elsewhere = (
        isinstance(source, str) and source.startswith(("https://", "hdfs://", "abfss://")) and ".." not in source
    )
    return elsewhere and bool(re.search("^Invalid model version source|HOST_ADDRESSED", seen.stock_text))


def holds_twice(part: Any) -> bool:
    """Whether a list in a request holds the same tag, parameter, model or data set twice."""
    if isinstance(part, dict):
        return any(map(holds_twice, part.values()))
    if not isinstance(part, list):
        return False
    known = [_identity(each) for each in part if isinstance(each, dict)]
    return len(set(known)) < len(known) or any(map(holds_twice, part))


def _identity(part: dict[str, Any]) -> str:
    dataset = part.get("dataset")
    inside = dataset if isinstance(dataset, dict) else part
    names = (
        "key",
        "model_id",
        "modelId",
        "name",
        "digest",
        "timestamp",
        *(("value", "step") if "timestamp" in part else ()),
    )
    return repr([inside.get(name) for name in names])


def runs_name_twice(body: Any) -> bool:
    """Whether a request gives a run its name and the tag that holds it."""
    tags = body.get("tags") if isinstance(body, dict) else None
    return (
        isinstance(tags, list)
        and "run_name" in body
        and any(isinstance(each, dict) and each.get("key") == "mlflow.runName" for each in tags)
    )


def done_here(seen: Seen) -> bool:
    """Whether what a stock server breaks on is a request with one meaning."""
    if seen.codes[0] != 200 or seen.codes[1] < 500:
        return False
    text = seen.stock_text
    if "`order_by` contains duplicate fields" in text or text.startswith("Unable to fetch model from model URI"):
        return True
    body = seen.call.body
    return "spoiled" in seen.call.faults and (isinstance(body, bytes) or "None" in repr(body) or "null" in repr(body))
