"""Where our answers differ from a stock server's on purpose: the one table, from which the docs are made.

A difference that no row explains fails; a row that explains none in a long run is said to be stale. Rows are asked in
order, and the first one that fits counts.
"""

from __future__ import annotations

import re

from tests.differential import seeing as of
from tests.differential.seeing import Difference, Seen

_REFUSALS = ((400, "INVALID_PARAMETER_VALUE"), (404, "RESOURCE_DOES_NOT_EXIST"), (400, "RESOURCE_ALREADY_EXISTS"))

TABLE: tuple[Difference, ...] = (
    Difference(
        "author", "a registered model, a version", "nobody's", "`user_id` says who made it",
        "clients skip what they do not know; the wire shows what the log says",
        lambda s: s.path.endswith("/user_id") and s.stock is None,
    ),
    Difference(
        "warnings", "a transition that changes nothing", "nothing said", "`warnings` say so",
        "clients skip what they do not know", lambda s: s.path == "/body/warnings" and s.stock is None,
    ),
    Difference(
        "no-description", "a version whose description was taken away", "has no `description`", "has an empty one",
        "as a version that never had one",
        lambda s: s.path.endswith("/description") and (s.ours, s.stock) == ("", None),
    ),
    Difference(
        "put-json", "PUT of a file", "an empty body", "`{}`", "one rule for every success: a JSON object",
        lambda s: s.call.operation == "put_file" and s.ours in ({}, "application/json"),
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
        "long-values", "a run's name over 250 characters, a logged model's parameter over 6000",
        "kept on SQLite, an error elsewhere", "cut, as other values are", "both databases do the same",
        lambda s: s.path.endswith(("/run_name", "/value")) and len(str(s.ours)) == (250 if "run" in s.path else 6000)
        and str(s.stock).startswith(str(s.ours)),
    ),
    Difference(
        "advice", "the text of a refusal", "what is wrong", "the same, and what to do about it",
        "the reader of an error wants to go on", of.advice,
    ),
    Difference(
        "stock-5xx", "a request that is wrong in ways MLflow breaks on", "500",
        "`INVALID_PARAMETER_VALUE` 400 or `RESOURCE_DOES_NOT_EXIST` 404", "its clients repeat a 500 for minutes",
        lambda s: s.codes[1] >= 500 and s.ours_is(*_REFUSALS), parts=True,
    ),
    Difference(
        "stock-5xx-done", "the same key twice in an order; a version from a logged model that is not known; `null` for"
        " a list; JSON inside a JSON string", "500", "done: the first of the keys counts, the version is unpinned,"
        " nothing is in the list", "it can mean one thing only", of.done_here, parts=True,
    ),
    Difference(
        "twice", "the same tag, parameter, model or data set twice in one request", "`BAD_REQUEST` 400 with SQL in its"
        " text, or `RESOURCE_ALREADY_EXISTS`", "the last one counts", "so it is with tags of registered models",
        lambda s: s.codes == (200, 400) and "UNIQUE constraint" in s.stock_text
        and (of.holds_twice(s.call.body) or of.runs_name_twice(s.call.body)), parts=True,
    ),
    Difference(
        "no-sql", "the text where the database refuses", "the SQL statement and its values, `BAD_REQUEST`",
        "what is wrong, with the code of such a refusal", "statements are nobody's business",
        lambda s: s.codes[1] == 400 and bool(of.SQL.search(s.stock_text)) and s.ours_is(*_REFUSALS), parts=True,
    ),
    Difference(
        "types",
        "a field of another type: a run's status, a metric's time or value, a flag, a number; a body that is no object",
        "dropped without a word, or taken for 0; which of two is named first",
        "`INVALID_PARAMETER_VALUE` 400", "what was meant would be lost",
        lambda s: s.wrong("spoiled", "part") and bool(of.TYPE.match(s.text)) and (s.only_ours or s.same_code),
        parts=True,
    ),
    Difference(
        "names",
        "empty names and keys (data sets without name or digest), and ones (users too) with invisible characters, of"
        " spaces only, `..`, backslashes, percent-escapes, too long; look-alikes of an existing name; artifact"
        " locations with a query or `..`; digits of other scripts",
        "taken (some endpoints check keys, others do not), or the next fault is named: not found, exists already",
        "400, everywhere",
        "[ADR 7](../adr/0007-names.md); a key that no URL and no file can carry is found too late",
        lambda s: s.wrong("key", "name", "location", "path", "part", "spoiled") and bool(of.NAMES.match(s.text))
        and (s.only_ours or s.codes == (400, 404) or of.taken_there(s)), parts=True,
    ),
    Difference(
        "filters", "filters and orders that say nothing clear: two comparisons without AND, `AND AND`, `IN ('a',)`",
        "a part is ignored", "400", "nobody can have meant it",
        lambda s: s.only_ours and s.searches and s.wrong("filter", "order", "spoiled")
        and bool(of.FILTERS.match(s.text)),
    ),
    Difference(
        "lenient-filter", "a filter of spaces only, `attribute.` and `tag.` in one, for logged models; the id of an"
        " experiment without quotes", "400", "taken", "so they are in every other search; it can mean one thing",
        lambda s: s.codes == (200, 400) and s.wrong("filter") and bool(re.match(of.LENIENT, s.stock_text)),
    ),
    Difference(
        "lower-case", "`like`, `ilike`, `in` in a search of experiments", "400 where `LIKE` is taken", "both are taken",
        "so it is in every other search", lambda s: s.codes == (200, 400) and bool(of.LOWER.match(s.stock_text)),
    ),
    Difference(
        "search-words", "the text for a filter or an order that is wrong", "sets in random order, parser's words",
        "our words", "the same status and error code; the text names the place",
        lambda s: s.same_code and s.searches and s.wrong("filter", "order", "spoiled"),
    ),
    Difference(
        "search-code", "a filter of logged models that compares what is no field (`tags = 'a'`)",
        "`BAD_REQUEST` 400 with words of its database library", "`INVALID_PARAMETER_VALUE` 400", "as in other searches",
        lambda s: s.call.operation == "search_logged_models" and s.wrong("filter")
        and s.ours_is((400, "INVALID_PARAMETER_VALUE")) and s.stock[:2] == [400, "BAD_REQUEST"],
    ),
    Difference(
        "page-size", "`max_results` of 0 or below, or over the limit, where MLflow does not look",
        "an empty page with a token for the same place", "400", "who turns pages would turn them for ever",
        lambda s: s.only_ours and s.wrong("spoiled") and bool(of.PAGES.match(s.text)),
    ),
    Difference(
        "twice-in-query", "a parameter of a query twice, with two values or in both spellings", "the last one counts",
        "400", "nobody can have meant it",
        lambda s: s.only_ours and s.wrong("spoiled") and bool(of.TWICE.match(s.text)),
    ),
    Difference(
        "camel", "a required field in its other spelling (`runId`)", "said to be missing", "read",
        "optional fields are read in both spellings", lambda s: s.wrong("spoiled") and of.camel(s), parts=True,
    ),
    Difference(
        "model-id", "a logged model that is named by the path only", "said to be missing in the body",
        "read from the path", "the path says it",
        lambda s: s.stock_text.startswith("Missing value for required parameter 'model_id'")
        and "/logged-models/" in s.call.path, parts=True,
    ),
    Difference(
        "sources",
        "a version from `runs:/R/…` or `models:/m-…` without its `run_id` or `model_id`, or with another's",
        "400", "taken; unpinned where its run is not known here",
        "older servers take it, and the run may be in another tracking server", of.unknown_source, parts=True,
    ),
    Difference(
        "other-hosts", "a version whose source is on another host (`https:`, `hdfs:`, `abfss:`)", "400",
        "kept as given, unpinned", "this server never connects to it, so there is nothing to fear", of.other_host,
        parts=True,
    ),
    Difference(
        "deleted-model", "status, tags and parameters of a logged model that is deleted", "changed", "404",
        "what is deleted does not change", lambda s: s.codes == (404, 200) and s.call.operation in of.CHANGE_LOGGED
        and s.text.startswith("Logged model with ID"), parts=True,
    ),
    Difference(
        "noted-again", "an output that the run has already", "`BAD_REQUEST` 400 with SQL in its text", "stays as it is",
        "a client that asks again after a lost answer has not failed", lambda s: s.codes == (200, 400)
        and s.call.operation == "log_outputs" and "UNIQUE constraint" in s.stock_text, parts=True,
    ),
    Difference(
        "model-points", "two points of one metric of a logged model at the same time and step, of two data sets or"
        " with two values", "`BAD_REQUEST` 400 with SQL in its text", "those of several data sets are kept; of two"
        " values the first", "an evaluation on two data sets logs them in one moment; a client asks again",
        lambda s: s.codes == (200, 400) and "UNIQUE constraint failed: logged_model_metrics" in s.stock_text,
        parts=True,
    ),
    Difference(
        "model-nan", "NaN as a metric of a logged model", "0", "NaN", "0 is what nobody logged",
        lambda s: s.wrong("nan") and s.path.endswith("/value") and (s.ours, s.stock) == ("NaN", 0.0),
        parts=True, behind=True,
    ),
    Difference(
        "bulk-nan", "NaN in `get-history-bulk`", "`NaN`, which is not JSON", '`"NaN"`, as everywhere else',
        "a browser cannot read it", lambda s: s.call.operation == "metric_history_bulk" and s.ours == "NaN"
        and s.stock != s.stock,
    ),
    Difference(
        "model-search", "logged models by their `status`, by a data set without its digest, by keys and values in"
        " double quotes", "never found: a number or nothing is compared, the quotes count", "found",
        "what the client's documentation says",
        lambda s: s.call.operation == "search_logged_models" and s.codes == (200, 200)
        and (s.wrong("quotes", "status") or of.any_digest(s.call.body)),
    ),
    Difference(
        "download-of-none", "a browser's download that does not say of which run", "404 for the run `None`",
        "`INVALID_PARAMETER_VALUE` 400", "as for every other field that is missing",
        lambda s: s.call.operation == "get_artifact" and s.text.startswith("Missing value")
        and s.codes in ((400, 404), (400, 400)),
    ),
    Difference(
        "batch", "a batch of which something cannot be kept", "its parameters and metrics are kept, its tags not",
        "nothing is kept", "a batch that failed can be mended and sent again",
        lambda s: s.call.operation == "get_run" and s.before is not None and s.before.operation == "log_batch"
        and s.path.startswith("/body/run/data"), parts=True, behind=True,
    ),
    Difference(
        "two-faults", "a request that names something that is not there *and* holds a wrong value",
        "one of both errors", "the other one", "either is true; which comes first is nobody's promise", of.two_faults,
        two_faults=True,
    ),
    Difference(
        "folder", "a folder as if it were a file, a path that ends with `/`", "400 without an error code",
        "`INVALID_PARAMETER_VALUE` 400", "clients show the code and the text",
        lambda s: s.codes == (400, 400) and s.call.operation.endswith(("_file", "get_artifact"))
        and bool(re.match("Artifact path refers to a directory|Invalid path", s.text)),
    ),
    Difference(
        "escaped", "odd characters and long values in the text of a refusal", "as they came", "written out, and cut",
        "a terminal or a log shall not obey them", of.escaped,
    ),
    Difference(
        "words", "the text for a bad tag key, alias, path, source, page token, or a name that is taken; which of two"
        " is named first", "its words", "our words", "the same status and error code", of.words,
    ),
)  # fmt: skip

NAMES = frozenset(row.name for row in TABLE)


def listed(seen: Seen) -> Difference | None:
    """Return the row that explains a difference, or None: then it is a fault. A 5xx of ours always is one."""
    if seen.codes[0] >= 500:
        return None
    return next((row for row in TABLE if row.when(seen)), None)


def none_listed(seen: Seen) -> Difference | None:
    """Between two servers of one make no difference is meant."""
    return None
