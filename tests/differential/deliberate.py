"""Where our answers differ from a stock server's on purpose: the one table, from which the docs are made.

A difference that no row explains fails; a row that explains none in a long run is said to be stale. Rows are asked in
order, and the first one that fits counts.
"""

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

    @property
    def searches(self) -> bool:
        """Whether it is a search with a filter and an order."""
        return self.call.operation.startswith("search_")


@dataclass(frozen=True)
class Difference:
    """A difference that is meant: what is asked, what either server does, why.

    `parts`: what is stored differs from then on, so nothing that follows can be compared.
    """

    name: str
    what: str
    mlflow: str
    here: str
    because: str
    when: Callable[[Seen], bool]
    parts: bool = False


_TYPE = re.compile(
    r"Invalid value .* for parameter '.*' supplied(:  Hint: Value was of type|\. It must be one of)", re.DOTALL
)
_NAMES = re.compile(
    r"Invalid (tag key|model name|artifact location|experiment name|alias|value .* for parameter '.*(key|name)')"
    r"|'(name|key|Param key)' exceeds",
    re.DOTALL,
)
_FILTERS = re.compile(r"Invalid (clause|comparator|order_by|entity|attribute)|Expected |The filter has|Search filter")
_PAGES = re.compile(r"Invalid value .*max_results.* It must be (a positive|at most)")
_OWN_WORDS = re.compile(
    r"Invalid (tag key|artifact location|value for request parameter max_results|path|alias|model name|page token)|"
    r"Invalid (experiment ID|model version source)|Invalid value .* for parameter 'status'|Parameter 'version' must be|"
    r"(Prompt|Registered Model) .* already exists|Missing value|Duplicate parameter keys|Logged model with ID|"
    r"Request specifies both",
    re.DOTALL,
)
_NO_OBJECT = "the request body must be a JSON object"
_SQL = re.compile(r"sqlite3\.|sqlalche\.me")
_ABSENT = re.compile(r"not found|^No Experiment with id|^No such artifact")
_CAMEL = re.compile(r"[a-z][A-Z]")


def _advice(seen: Seen) -> bool:
    return seen.same_code and seen.text.startswith(seen.stock_text.rstrip(" .\n"))


def _camel(seen: Seen) -> bool:
    body = seen.call.body if isinstance(seen.call.body, dict) else {}
    keys = [*body, *(key for key, _ in seen.call.query)]
    return bool(re.search("^Missing value|must specify", seen.stock_text)) and any(_CAMEL.search(key) for key in keys)


def _plain(text: str) -> str:
    """Return a text with every odd character written out, and long values cut."""
    text = re.sub(r"\\+", r"\\", text.encode("unicode_escape").decode()).replace("\\U000", "\\u")
    return re.sub(r"(\w{60})\w+(\.\.\.)?", r"\1", text)


def _escaped(seen: Seen) -> bool:
    stock = re.sub(r"(\\u[0-9a-f]{4})+", lambda found: json.loads(f'"{found[0]}"'), seen.stock_text)
    return seen.same_code and _plain(seen.text).startswith(_plain(stock).rstrip(" ."))


def _two_faults(seen: Seen) -> bool:
    absent = seen.text if seen.codes[0] == 404 else seen.stock_text
    return seen.codes in ((404, 400), (400, 404)) and bool(_ABSENT.search(absent))


def _unknown_source(seen: Seen) -> bool:
    return seen.call.operation == "create_version" and "request parameter must identify" in seen.stock_text


def _other_host(seen: Seen) -> bool:
    source = seen.call.body.get("source") if isinstance(seen.call.body, dict) else ""
    elsewhere = (
        isinstance(source, str) and source.startswith(("https://", "hdfs://", "abfss://")) and ".." not in source
    )
    return elsewhere and bool(re.search("^Invalid model version source|HOST_ADDRESSED", seen.stock_text))


TABLE: tuple[Difference, ...] = (
    Difference(
        "author", "a registered model, a version", "nobody's", "`user_id` says who made it",
        "clients skip what they do not know; the wire shows what the log says",
        lambda s: s.path.endswith("/user_id") and s.stock is None,
    ),
    Difference(
        "put-json", "PUT of a file", "an empty body", "`{}`", "one rule for every success: a JSON object",
        lambda s: s.call.operation == "put_file" and s.codes == (200, 200),
    ),
    Difference(
        "empty-file", "the size of an empty file in a list", "left out", "`0`", "empty is known, not unknown",
        lambda s: s.path.endswith("/file_size") and s.ours == 0 and s.stock is None,
    ),
    Difference(
        "download", "`get-download-uri` of a pinned version", "where the files were", "the immutable snapshot",
        "bytes served are bytes approved", lambda s: s.path == "/body/artifact_uri" and "snapshots/" in str(s.ours),
    ),
    Difference(
        "search-aliases", "versions in the answers of searches", "without their aliases", "with them",
        "clients read them everywhere else", lambda s: s.path.endswith("/aliases") and s.searches and s.stock is None,
    ),
    Difference(
        "long-run-name", "a run's name over 250 characters", "kept on SQLite, an error elsewhere", "cut, as values are",
        "both databases do the same",
        lambda s: s.path.endswith("/run_name") and len(str(s.ours)) == 250 and str(s.stock).startswith(str(s.ours)),
    ),
    Difference(
        "advice", "the text of a refusal", "what is wrong", "the same, and what to do about it",
        "the reader of an error wants to go on", _advice,
    ),
    Difference(
        "stock-5xx", "a request that is wrong in ways MLflow breaks on", "500",
        "`INVALID_PARAMETER_VALUE` 400 with an error code, or done where it makes sense",
        "its clients repeat a 500 for minutes", lambda s: s.codes[1] >= 500 > s.codes[0], parts=True,
    ),
    Difference(
        "twice", "the same tag, model or data set twice in one request", "`BAD_REQUEST` 400 with SQL in its text",
        "the last one counts", "so it is with tags of registered models",
        lambda s: s.codes == (200, 400) and bool(_SQL.search(s.stock_text)), parts=True,
    ),
    Difference(
        "no-sql", "the text where the database refuses", "the SQL statement and its values", "what is wrong",
        "statements are nobody's business",
        lambda s: s.codes[0] in (400, 404) and s.codes[1] == 400 and bool(_SQL.search(s.stock_text)), parts=True,
    ),
    Difference(
        "types",
        "a field of another type: a run's status, a metric's time or value, a flag, a number; a body that is no object",
        "dropped without a word, or taken for 0",
        "`INVALID_PARAMETER_VALUE` 400", "what was meant would be lost",
        lambda s: s.codes[0] == 400 and bool(_TYPE.match(s.text) or s.text.startswith(_NO_OBJECT)), parts=True,
    ),
    Difference(
        "names",
        "names and keys with invisible characters, of spaces only, `..`, backslashes, percent-escapes, too long;"
        " look-alikes of an existing name; artifact locations with a query or `..`",
        "taken (some endpoints check keys, others do not)", "400, everywhere",
        "[ADR 7](../adr/0007-names.md); a key that no URL and no file can carry is found too late",
        lambda s: (s.only_ours or s.codes in ((400, 404), (400, 400))) and bool(_NAMES.match(s.text)), parts=True,
    ),
    Difference(
        "filters", "filters and orders that say nothing clear: two comparisons without AND, `AND AND`, `IN ('a',)`",
        "a part is ignored", "400", "nobody can have meant it",
        lambda s: s.only_ours and s.searches and bool(_FILTERS.match(s.text)),
    ),
    Difference(
        "blank-filter", "a filter of spaces only, for logged models", "400", "as none",
        "so it is in every other search",
        lambda s: s.codes == (200, 400) and s.stock_text.startswith("Invalid filter string: ' '"),
    ),
    Difference(
        "lower-case", "`like`, `ilike`, `in` in a search of experiments", "400 where `LIKE` is taken", "both are taken",
        "so it is in every other search",
        lambda s: s.codes == (200, 400) and bool(re.match("Invalid comparator.*(like|in)", s.stock_text)),
    ),
    Difference(
        "search-words", "the text for a filter or an order that is wrong", "sets in random order, parser's words",
        "our words", "the same status and error code; the text names the place",
        lambda s: s.codes == (400, 400) and s.searches,
    ),
    Difference(
        "page-size", "`max_results` of 0 or below, or over the limit, where MLflow does not look",
        "an empty page with a token for the same place", "400", "who turns pages would turn them for ever",
        lambda s: s.only_ours and bool(_PAGES.match(s.text)),
    ),
    Difference(
        "twice-in-query", "a parameter twice in a query, with two values", "the last one counts", "400",
        "nobody can have meant it", lambda s: s.only_ours and bool(re.match("Request specifies '.*' twice", s.text)),
    ),
    Difference(
        "camel", "a required field in its other spelling (`runId`)", "said to be missing", "read",
        "optional fields are read in both spellings", _camel, parts=True,
    ),
    Difference(
        "model-id", "a logged model that is named by the path only", "said to be missing in the body",
        "read from the path", "the path says it",
        lambda s: s.stock_text.startswith("Missing value for required parameter 'model_id'"), parts=True,
    ),
    Difference(
        "sources",
        "a version from `runs:/R/…` or `models:/m-…` without its `run_id` or `model_id`, or with another's",
        "400", "taken; unpinned where its run is not known here",
        "older servers take it, and the run may be in another tracking server", _unknown_source, parts=True,
    ),
    Difference(
        "other-hosts", "a version whose source is on another host (`https:`, `hdfs:`, `abfss:`)", "400",
        "kept as given, unpinned", "this server never connects to it, so there is nothing to fear", _other_host,
        parts=True,
    ),
    Difference(
        "deleted-model-tags", "tags, or an empty list of them, for a logged model that is deleted or not there", "200",
        "404", "as with its parameters and its status",
        lambda s: s.codes == (404, 200) and s.call.operation == "tag_logged_model", parts=True,
    ),
    Difference(
        "two-faults", "a request that names something that is not there *and* holds a wrong value",
        "one of both errors", "the other one", "either is true; which comes first is nobody's promise", _two_faults,
    ),
    Difference(
        "folder", "GET of a folder as if it were a file", "400 without an error code", "`INVALID_PARAMETER_VALUE` 400",
        "clients show the code and the text", lambda s: s.codes == (400, 400) and s.call.operation.endswith("_file"),
    ),
    Difference(
        "escaped", "odd characters and long values in the text of a refusal", "as they came", "written out, and cut",
        "a terminal or a log shall not obey them", _escaped,
    ),
    Difference(
        "words", "the text for a bad tag key, alias, version, path, source or page token; which of two is named first",
        "its words", "our words", "the same status and error code",
        lambda s: s.same_code and bool(_OWN_WORDS.match(s.text)),
    ),
)  # fmt: skip

NAMES = frozenset(row.name for row in TABLE)


def listed(seen: Seen) -> Difference | None:
    """Return the row that explains a difference, or None: then it is a fault."""
    return next((row for row in TABLE if row.when(seen)), None)


def none_listed(seen: Seen) -> Difference | None:
    """Between two servers of one make no difference is meant."""
    return None
