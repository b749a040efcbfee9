"""Where the files of a version come from: one strict grammar for the `source` a caller names.

Every reader of a URI must see the same thing in it, so whatever two parsers could read differently is refused:
white space, backslashes, user names, queries, fragments, parameters, dot or empty segments, and every escape of
those. What needs the database (does the model exist, may the actor read the run, does an alias lead back to
itself) is the service's to decide. Nothing is opened or fetched here.

Sources: mlflow-compat section 6; security vectors SU-01 to SU-28; RFC 3986 section 3.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from greenroom.core import names
from greenroom.core.errors import InvalidInput


class SourceKind(StrEnum):
    """How the files behind a source are found."""

    MODELS = "models"  # another version in this registry
    LOGGED_MODEL = "logged_model"  # models:/m-<32 hex>
    RUN = "run"  # runs:/RUN/path
    UPLOAD = "upload"  # mlflow-artifacts:/path, a tree on this server
    URI = "uri"  # kept as given, not ours to read
    OPAQUE_NAME = "opaque_name"  # a bare word, MLflow's placeholder for prompts


@dataclass(frozen=True)
class ModelRef:
    """A version of `model`: by number, alias or stage; exactly one of the three is set.

    The alias `latest` (also written `models:/m/latest`) means the newest version.
    """

    model: str
    version: int | None = None
    alias: str | None = None
    stage: str | None = None


@dataclass(frozen=True)
class Source:
    """A source that passed the grammar; `text` is what the caller wrote, unchanged.

    Set by kind: `ref` (models), `logged_model` (logged_model), `run_id` and `path` (run; "" is the run's root),
    `path` (upload), `scheme` (all but opaque_name, in lower case). The others are None.
    """

    kind: SourceKind
    text: str
    scheme: str | None = None
    ref: ModelRef | None = None
    logged_model: str | None = None
    run_id: str | None = None
    path: str | None = None


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]+):")
_LOGGED_MODEL = re.compile(r"m-[0-9a-f]{32}")
_RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,255}")
_BARE_WORD = re.compile(r"[\w.\-]{1,255}")
_LOCAL_SCHEMES = frozenset({"file", "local"})
_NEVER_SCHEMES = frozenset({"ftp", "ftps", "data", "javascript"})
_OWN_SCHEMES = frozenset({"models", "runs", "mlflow-artifacts"})
# The authority is a host to connect to, not the name of a bucket.
_HOST_SCHEMES = frozenset({"http", "https", "sftp", "hdfs", "viewfs", "webhdfs", "mlflow-artifacts"})
_NO_LOOPBACK_SCHEMES = frozenset({"sftp", "hdfs", "viewfs", "webhdfs"})
_NEEDS_AUTHORITY = frozenset(
    {"http", "https", "sftp", "webhdfs", "s3", "gs", "r2", "b2", "oss", "abfs", "abfss", "wasb", "wasbs"}
)
# CONTAINER@ACCOUNT.host is how these stores spell a bucket; it is no user name.
_CONTAINER_SCHEMES = frozenset({"abfs", "abfss", "wasb", "wasbs", "r2"})
_AUTHORITY = re.compile(
    r"(?:(?P<container>[A-Za-z0-9$_.\-]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.\-]+)(?::(?P<port>[0-9]{1,5}))?"
)
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0[xX][0-9A-Fa-f]*)\.?")
_PERCENT = re.compile(r"%(.{0,2})", re.DOTALL)
_HEX2 = re.compile(r"[0-9A-Fa-f]{2}")
_NEVER_ESCAPED = frozenset("/\\.#?;%:@")
_PUSH_HINT = "Push the files to this server with `greenroom push DIR MODEL`."
_FORM_HINT = "Use models:/NAME/VERSION, runs:/RUN/PATH, mlflow-artifacts:/PATH or the URI of an object store."


def parse_source(text: object) -> Source:
    """Return what kind of source `text` is, with its parts; raises InvalidInput (`Invalid model version source: ...`).

    Local paths and `file:` are always refused, and so is whatever two URI parsers could read differently. A bare
    word such as `dummy-source` (MLflow's prompts) is `opaque_name`; the service decides where that is allowed.
    """
    source = names.require_text(text, "source")
    limit = names.LIMITS["source"]
    if len(source) > limit.value:
        raise _bad(source, f"It has {len(source)} {limit.unit}.", f"At most {limit.value} are allowed.")
    _require_plain_characters(source)
    match = _SCHEME.match(source)
    if match is None:
        return _without_scheme(source)
    scheme, rest = match[1].lower(), source[match.end() :]
    if scheme in _LOCAL_SCHEMES:
        raise _bad(source, "It names files of a machine, not of this registry.", _PUSH_HINT)
    if scheme in _NEVER_SCHEMES:
        raise _bad(source, f"The scheme '{scheme}' is not supported.", _FORM_HINT)
    _require_plain_grammar(source, scheme, rest)
    if scheme in ("models", "runs"):
        return _registry_source(source, scheme, rest)
    return _uri_source(source, scheme, rest)


def check_run_source(source: Source, run_id: str | None) -> None:
    """Raise InvalidInput if `source` lies in another run than `run_id` says; None or "" says nothing.

    Source: mlflow-compat section 6 (f), SU-20. Reading the run is a permission of its own, checked by the service.
    """
    if run_id and source.run_id is not None and source.run_id != run_id:
        why = f"It belongs to run '{source.run_id}', not to run '{names.shown(run_id)}'."
        raise _bad(source.text, why, "Give the run_id of the run that the source names, or none.")


def _bad(source: str, why: str, hint: str) -> InvalidInput:
    shown = names.shown(source)
    return InvalidInput(f"Invalid model version source: '{shown}'. {why}", hint=hint, source=shown)


def _require_plain_characters(source: str) -> None:
    """Refuse what a URI parser would strip, fold or turn into a slash (SU-13, SU-14)."""
    hidden = names.hidden_character(source)
    if hidden:
        raise _bad(source, hidden, "Leave it out.")
    if any(c.isspace() and c != " " for c in source) or source != source.strip():
        raise _bad(source, "It contains white space.", "Leave it out.")
    if "\\" in source:
        raise _bad(source, "It contains a backslash.", _PUSH_HINT)


def _without_scheme(source: str) -> Source:
    if _BARE_WORD.fullmatch(source) and source.strip("."):
        return Source(SourceKind.OPAQUE_NAME, source)
    raise _bad(source, "It names files of a machine, not of this registry.", _PUSH_HINT)


def _require_plain_grammar(source: str, scheme: str, rest: str) -> None:
    """Refuse query, fragment, parameters, bad escapes, and spaces where they are not part of one of our own names."""
    if any(mark in rest for mark in "?#;"):
        raise _bad(source, "It has a query, a fragment or parameters ('?', '#', ';').", "Leave them out.")
    if " " in rest and scheme not in _OWN_SCHEMES:
        raise _bad(source, "It contains a space.", "Write it as %20.")
    if scheme not in ("models", "runs"):  # there a lone '%' may be part of a name, and names refuse escapes
        for match in _PERCENT.finditer(rest):
            _require_harmless_escape(source, match[1])


def _require_harmless_escape(source: str, digits: str) -> None:
    if not _HEX2.fullmatch(digits):
        raise _bad(source, f"'%{names.shown(digits)}' is not a percent-escape.", "Write '%' with two hex digits.")
    code = int(digits, 16)
    if code < 0x20 or code == 0x7F or chr(code) in _NEVER_ESCAPED:
        # Refusing %25 is what settles every deeper level of encoding at once.
        raise _bad(source, f"It hides a character as '%{digits}'.", "Write the path as it is.")


def _require_plain_segments(source: str, path: str) -> None:
    """Refuse empty and dot segments in any spelling; `path` has no leading slash, and may end with one."""
    if not path:
        return
    try:
        decoded = unquote_to_bytes(path).decode()
    except UnicodeDecodeError as exc:
        raise _bad(source, "Its percent-escapes are not UTF-8.", "Encode the path as UTF-8.") from exc
    hidden = names.hidden_character(decoded)
    if hidden:
        raise _bad(source, hidden, "Leave it out.")
    if "" in path.removesuffix("/").split("/"):
        raise _bad(source, "It has an empty segment ('//').", "Write one '/' between segments.")
    folded = unicodedata.normalize("NFKC", decoded)
    if "\\" in folded or any(segment.strip(" ") in (".", "..") for segment in folded.split("/")):
        raise _bad(source, "It has a '.' or '..' segment.", "Write the path it leads to.")


def _registry_source(source: str, scheme: str, rest: str) -> Source:
    """Parse models:/... and runs:/...; names and paths are literal here, nothing is percent-decoded."""
    if not rest.startswith("/") or rest.startswith("//"):
        raise _bad(source, f"'{scheme}:' takes one '/' and no host.", _FORM_HINT)
    _require_plain_segments(source, rest[1:])
    try:
        return _model_source(source, rest[1:]) if scheme == "models" else _run_source(source, rest[1:])
    except InvalidInput as exc:
        if exc.message.startswith("Invalid model version source"):
            raise
        raise _bad(source, exc.message, exc.hint or _FORM_HINT) from exc


def _model_source(source: str, rest: str) -> Source:
    if _LOGGED_MODEL.fullmatch(rest):
        return Source(SourceKind.LOGGED_MODEL, source, "models", logged_model=rest)
    model, slash, last = rest.partition("/")
    if "/" in last:
        raise _bad(source, "It has too many segments.", _FORM_HINT)
    if slash:
        ref = _numbered_or_staged(names.check_model_name(model), last)
    else:
        model, at, alias = rest.rpartition("@")
        if not at:
            raise _bad(source, "It names no version, alias or stage.", _FORM_HINT)
        ref = ModelRef(names.check_model_name(model), alias=names.check_alias(alias, reserved_ok=True))
    return Source(SourceKind.MODELS, source, "models", ref=ref)


def _numbered_or_staged(model: str, last: str) -> ModelRef:
    # MLflow takes any text of digits for a number, so "01" or other scripts' digits must not become stage names.
    if last.lstrip("+-").isdigit():
        return ModelRef(model, version=names.check_version(last))
    if last.lower() == "latest":
        return ModelRef(model, alias="latest")
    return ModelRef(model, stage=names.check_stage_name(last))


def _run_source(source: str, rest: str) -> Source:
    run_id, _, path = rest.removesuffix("/").partition("/")
    if not _RUN_ID.fullmatch(run_id):
        raise _bad(source, f"'{names.shown(run_id)}' is not the id of a run.", _FORM_HINT)
    return Source(SourceKind.RUN, source, "runs", run_id=run_id, path=names.check_path(path) if path else "")


def _uri_source(source: str, scheme: str, rest: str) -> Source:
    """Parse every other scheme: authority by scheme, then plain segments; our own upload tree has no authority."""
    authority, path = "", rest.removeprefix("/")
    if rest.startswith("//"):
        authority, _, path = rest[2:].partition("/")
    if authority:
        _check_authority(source, scheme, authority)
    elif scheme in _NEEDS_AUTHORITY:
        raise _bad(source, f"'{scheme}:' needs a host or bucket after '//'.", _FORM_HINT)
    elif not rest.startswith("/"):
        raise _bad(source, f"'{scheme}:' is not followed by '/'.", _FORM_HINT)
    _require_plain_segments(source, path)
    if scheme != "mlflow-artifacts" or authority:
        return Source(SourceKind.URI, source, scheme)
    try:
        return Source(SourceKind.UPLOAD, source, scheme, path=names.check_path(path.removesuffix("/")))
    except InvalidInput as exc:
        raise _bad(source, exc.message, exc.hint or _FORM_HINT) from exc


def _check_authority(source: str, scheme: str, authority: str) -> None:
    match = _AUTHORITY.fullmatch(authority)
    if match is None or int(match["port"] or 0) > 65_535:
        raise _bad(source, f"'{names.shown(authority)}' is not a host or bucket.", "User names are not accepted.")
    if match["container"] and scheme not in _CONTAINER_SCHEMES:
        raise _bad(source, "It carries a user name.", "Leave it out; credentials belong in the environment.")
    host = match["host"]
    if host.strip(".") == "":
        raise _bad(source, f"'{host}' is not a host or bucket.", _FORM_HINT)
    if not (scheme in _HOST_SCHEMES or host.startswith("[")):
        return
    local = _is_loopback(source, host)
    if local and scheme in _NO_LOOPBACK_SCHEMES:
        raise _bad(source, f"'{scheme}:' may not lead back to this machine.", _PUSH_HINT)


def _is_loopback(source: str, host: str) -> bool:
    """Tell whether `host` is this machine; raises for IP addresses in a spelling that readers disagree about."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    if not host.startswith("[") and not _ENDS_IN_NUMBER.fullmatch(host):
        return False
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError as exc:
        raise _bad(
            source, f"'{host}' is not an IP address.", "Write it in full, as 192.0.2.1 or [2001:db8::1]."
        ) from exc
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)
