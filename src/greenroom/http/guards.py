"""What every request must be before a route is looked for: for us, from us, of a size and in a form that we read.

Each guard answers one published attack: DNS rebinding (Host), cross-site writes (Origin), request smuggling (two body
lengths), decompression bombs (Content-Encoding), routing by look-alike paths. Nothing is repaired: a path that is not
in its one canonical form is refused, not normalised into a match. Sources: security vectors BR-01..05, BR-16,
AZ-16..19, DO-01, DO-02, DO-05, DO-19; RFC 9110 and 9112.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from starlette.requests import ClientDisconnect
from starlette.requests import Request as HTTPRequest
from starlette.types import Scope

from greenroom.core.errors import Forbidden, InvalidInput, NotImplementedHere, RateLimited, TooLarge
from greenroom.core.limits import bound
from greenroom.core.names import shown
from greenroom.http.problem import RequestTimeout, TargetTooLong, UnsupportedMedia

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BODY_IDLE_S: float = bound("body_idle")  # nobody holds a request open for ever
BODY_TIME_S: float = bound("body_time")
BODIES_BYTES = bound("bodies")
IN_FLIGHT = bound("in_flight")
WHOLE_BODY = "greenroom.whole_body"  # in the scope of a request whose body is there already
UNSAFE = frozenset({"POST", "PUT", "PATCH", "DELETE"})
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})

# Probes of load balancers and orchestrators send whatever Host they like; these three say nothing worth rebinding for.
ANY_HOST_PATHS = frozenset({"/health", "/version", "/ready"})

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_PUBLIC = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]{2,45}\]|[a-z0-9._-]{1,253})(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>(?:/[a-z0-9_~-][a-z0-9._~-]*)*/?)",
    re.IGNORECASE,
)
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}
_ONCE = frozenset(
    {b"host", b"content-length", b"content-type", b"transfer-encoding", b"origin", b"authorization", b"idempotency-key"}
    | {b"x-greenroom-actor", b"content-encoding"}
)

# A path that two readers could take for two paths: empty or dot segments (also encoded), parameters, backslashes.
_UNCLEAR = re.compile(rb"//|/\.{1,2}(?:/|$)|[;\\]|[^\x21-\x7e]")
_DOTS = re.compile(rb"/(?:\.|%2e){1,2}(?:/|$)", re.IGNORECASE)


@dataclass(frozen=True)
class HTTPSettings:
    """What the operator decides about the HTTP side.

    `host` is the address listened on; it and `allowed_hosts` are what Host may say beside the loopback names. An entry
    with a port (`registry.example.org:8443`) holds for that port, one without for any. `public_url` is where clients
    find this server when that is somewhere else, behind a proxy: it is in the addresses that they are given, and its
    host and its origin are ours. No slash at its end; "" is none.
    """

    host: str = "127.0.0.1"
    allowed_hosts: tuple[str, ...] = ()
    target_bytes: int = bound("target")
    public_url: str = ""


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers by lower-case name. InvalidInput if one that must be single comes twice."""
    raw = scope["headers"]
    headers: dict[bytes, bytes] = dict(raw)
    if len(headers) != len(raw):
        seen: set[bytes] = set()
        for name, _ in raw:
            if name in seen and name in _ONCE:
                raise InvalidInput(f"The header {name.decode('ascii', 'replace')!r} is there twice.")
            seen.add(name)
    return headers


def host_rule(settings: HTTPSettings) -> Callable[[bytes | None], None]:
    """Return the check of the Host header: InvalidInput if it is none, Forbidden if it names another server."""
    bound = f"[{settings.host.strip('[]')}]" if ":" in settings.host else settings.host
    allowed = LOOPBACK_NAMES | {host.lower() for host in (bound, *settings.allowed_hosts)}
    allowed |= {urlsplit(settings.public_url).netloc} - {""}
    known: set[bytes] = set()  # Host values that passed; at most a few, as only allowed names get in

    def check(host: bytes | None) -> None:
        if host in known:
            return
        name, port = _parse_host(host)
        if name not in allowed and f"{name}:{port}" not in allowed:
            raise Forbidden(
                f"This server does not answer for the host {name!r}.",
                hint="Open it under the address it printed; the operator can allow other names.",
                host=name,
            )
        if host is not None and len(known) < 64:
            known.add(host)

    return check


def _parse_host(host: bytes | None) -> tuple[str, str | None]:
    if host is None:
        raise InvalidInput("The request has no Host header.", hint="Send one; HTTP/1.1 needs it (RFC 9112, 3.2).")
    match = _HOST.fullmatch(host.decode("latin-1"))
    if match is None or int(match[2] or 0) > 65_535:
        raise InvalidInput("The Host header is not a host name with an optional port.")
    return match[1].lower(), match[2]


def check_origin(method: str, scheme: str, headers: Mapping[bytes, bytes], public_url: str = "") -> None:
    """Raise Forbidden for a write that a browser sends from a page of another origin (scheme, host or port)."""
    origin = headers.get(b"origin")
    if origin is None or method not in UNSAFE:
        return
    own = f"{scheme}://{headers.get(b'host', b'').decode('latin-1')}".lower()
    given = origin.decode("latin-1").lower()
    if public_url and given == _origin_of(public_url):
        return
    default = _DEFAULT_PORTS.get(scheme, "")
    if given.removesuffix(default) != own.removesuffix(default):
        raise Forbidden(
            "This write comes from a page of another origin.",
            hint="Writes are taken from this server's own pages and from programs that send no Origin header.",
        )


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def parse_public_url(text: str) -> str:
    """Return the address under which clients find the server, in its one form. Raises InvalidInput for what is none."""
    found = _PUBLIC.fullmatch(text)
    if found is None or int(found["port"] or 0) > 65_535:
        raise InvalidInput(
            f"{shown(text)!r} cannot be a public URL.",
            hint="Write it like https://registry.example.org or https://example.org:8443/greenroom.",
        )
    scheme, host, port = found["scheme"].lower(), found["host"].lower(), f":{found['port']}" if found["port"] else ""
    port = "" if port == _DEFAULT_PORTS[scheme] else port
    return f"{scheme}://{host}{port}{found['path'].rstrip('/')}"


def check_method(method: str) -> None:
    """Raise NotImplementedHere for a method outside the closed set."""
    if method not in METHODS:
        hint = f"Use {', '.join(sorted(METHODS))}."
        raise NotImplementedHere(f"The method {shown(method)!r} is not known here.", hint=hint)


def check_framing(headers: Mapping[bytes, bytes]) -> None:
    """Raise for a body with two lengths or a coded one."""
    if b"transfer-encoding" in headers and b"content-length" in headers:
        hint = "Send one of them (RFC 9112, 6.1)."
        raise InvalidInput("The request has both Content-Length and Transfer-Encoding.", hint=hint)
    coding = headers.get(b"transfer-encoding", b"chunked")
    if coding.strip().lower() != b"chunked":  # the parser leaves whatever stands before `chunked` undone
        raise NotImplementedHere(
            f"The body has the transfer encoding {shown(coding.decode('latin-1'))!r}.", hint="Send it plain or chunked."
        )
    encoding = headers.get(b"content-encoding")
    if encoding is not None and encoding.strip().lower() != b"identity":
        raise UnsupportedMedia(
            f"The body has the encoding {shown(encoding.decode('latin-1'))!r}.",
            hint="Send it as it is, without Content-Encoding.",
        )


def raw_path_of(scope: Scope, settings: HTTPSettings) -> str:
    """Return the path as sent, still percent-encoded. Raises TargetTooLong, or InvalidInput if it is not canonical."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode("ascii", "replace")
    query: bytes = scope["query_string"]
    if len(raw) + len(query) + bool(query) > settings.target_bytes:
        raise TargetTooLong(
            f"The request target has more than {settings.target_bytes} bytes.",
            hint="Send long values in the body.",
            limit="target",
            maximum=settings.target_bytes,
        )
    if _UNCLEAR.search(raw) or (b"%" in raw and _DOTS.search(raw)):
        raise InvalidInput(
            "The path is not in canonical form.",
            hint="Leave out '//', '/./', '/../', ';' and backslashes; percent-encode what belongs to a name.",
        )
    return raw.decode("ascii")


def decode_part(raw: str, *, slashes: bool) -> str:
    """Return one matched part of a path, percent-decoded once.

    InvalidInput if it is not UTF-8, holds a control character, or an encoded slash where `slashes` does not allow one.
    """
    if "%" not in raw:
        return raw
    try:
        text = unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidInput(f"The path part {shown(raw)!r} is not percent-encoded UTF-8.") from None
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise InvalidInput(f"The path part {shown(raw)!r} holds a control character.")
    if "/" in text and not slashes:
        raise InvalidInput(f"The path part {shown(raw)!r} holds an encoded slash.", hint="No name here contains '/'.")
    return text


async def read_whole_body(request: HTTPRequest) -> bytes:
    """Return the whole body, of at most the route's `limit_bytes`; the dispatcher puts this behind `routing.read_body`.

    Raises TooLarge, before reading where a Content-Length says so; RequestTimeout when the body stays away; RateLimited
    when all bodies together are too many. What a client goes on sending is thrown away by the server, not kept.
    ValueError (our bug) for a route without a limit: it streams its body itself.
    """
    limit: int | None = request.scope["greenroom.limit_bytes"]
    if limit is None:
        raise ValueError("a route that streams its body does not read it whole")
    declared: bytes = request.scope["greenroom.headers"].get(b"content-length", b"0")
    if not declared.isdigit() or len(declared) > 19:
        raise InvalidInput("The header Content-Length is not a number.")
    if int(declared) > limit:
        raise _body_too_large(limit)
    load: Load = request.scope["greenroom.load"]
    if WHOLE_BODY in request.scope:  # nearly always, and then there is nothing to wait for
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        whole: bytes = message["body"]
        if len(whole) > limit:
            raise _body_too_large(limit)
        load.hold(request.scope, len(whole))
        return whole
    body, loop = bytearray(), asyncio.get_running_loop()
    end = loop.time() + BODY_TIME_S
    clock = asyncio.timeout_at(min(end, loop.time() + BODY_IDLE_S))
    try:
        async with clock:
            async for piece in request.stream():
                if len(body) + len(piece) > limit:
                    raise _body_too_large(limit)
                load.hold(request.scope, len(piece))
                body += piece
                clock.reschedule(min(end, loop.time() + BODY_IDLE_S))
    except TimeoutError:
        raise _body_too_slow(late=clock.when() == end) from None  # not by the time: a clock may ring a little early
    return bytes(body)


class Load:
    """What one application has in hand: requests that are worked on, and bytes of their bodies."""

    def __init__(self) -> None:
        self.requests = 0
        self.bytes = 0

    @contextlib.contextmanager
    def request(self, scope: Scope) -> Iterator[None]:
        """Count a request until its answer is known. Raises RateLimited when too many are worked on."""
        if self.requests >= IN_FLIGHT:
            raise RateLimited(
                f"{IN_FLIGHT} requests are worked on already.",
                hint="Try again in a moment.",
                limit="in_flight",
                maximum=IN_FLIGHT,
            )
        scope["greenroom.load"], scope["greenroom.held_bytes"] = self, 0
        self.requests += 1
        try:
            yield
        finally:
            self.requests -= 1
            self.bytes -= scope["greenroom.held_bytes"]

    def hold(self, scope: Scope, count: int) -> None:
        """Count bytes of a body until its request is answered. Raises RateLimited when all bodies hold too many."""
        if self.bytes + count > BODIES_BYTES:
            raise RateLimited(
                f"The bodies of all requests together have more than {BODIES_BYTES} bytes.",
                hint="Try again in a moment.",
                limit="bodies",
                maximum=BODIES_BYTES,
            )
        self.bytes += count
        scope["greenroom.held_bytes"] += count


def _body_too_slow(*, late: bool) -> RequestTimeout:
    if late:
        text, limit, most = f"The body did not arrive within {BODY_TIME_S:g} s.", "body_time", BODY_TIME_S
    else:
        text, limit, most = f"Of the body nothing arrived for {BODY_IDLE_S:g} s.", "body_idle", BODY_IDLE_S
    return RequestTimeout(text, hint="Send it again.", limit=limit, maximum=most)


def _body_too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body has more than {limit} bytes.", hint="Send less at once.", limit="body", maximum=limit)
