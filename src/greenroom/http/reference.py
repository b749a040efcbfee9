"""The pages about the API, made on the server from the OpenAPI document: they need no script and no network.

`/` says what this is, `/docs` lists every operation, `/docs/errors` every error code (the `type` of a problem points
there). The content policy allows this server's style sheet and picture and nothing else.
"""

from __future__ import annotations

import functools
import hashlib
from html import escape
from pathlib import Path

from starlette.requests import Request as HTTPRequest
from starlette.responses import RedirectResponse, Response

from greenroom._version import __version__
from greenroom.core.errors import GreenroomError, error_classes
from greenroom.http.access import PERMISSIONS, PUBLIC
from greenroom.http.native import PREFIX
from greenroom.http.openapi import document
from greenroom.http.problem import TITLES
from greenroom.http.reference_html import prose, sections, sidebar
from greenroom.http.routing import Endpoint, Route, Wire

_STATIC = Path(__file__).parent / "static"
_MEDIA = {"greenroom.css": "text/css", "greenroom.svg": "image/svg+xml"}
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_PAGE_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes() -> list[Route]:
    """Return the routes of the pages and of the files they need; all are public."""
    pages = [
        Route("GET", "/", PUBLIC, _home, Wire.PLAIN, 0),
        Route("GET", "/docs", PUBLIC, _reference, Wire.PLAIN, 0),
        Route("GET", "/docs/errors", PUBLIC, _errors, Wire.PLAIN, 0),
        Route("GET", f"{PREFIX}/docs", PUBLIC, _moved, Wire.PLAIN, 0),
    ]
    return pages + [Route("GET", f"/static/{name}", PUBLIC, _file(name), Wire.PLAIN, 0) for name in _MEDIA]


async def _home(request: HTTPRequest) -> Response:
    host = escape(request.scope["greenroom.headers"].get(b"host", b"127.0.0.1").decode("latin-1"))
    url = f"{request.scope['scheme']}://{host}"
    return _html(_shell("Greenroom", f'<main class="narrow">{_HOME.format(url=url)}</main>'))


async def _reference(request: HTTPRequest) -> Response:
    return _html(_reference_page())


async def _errors(request: HTTPRequest) -> Response:
    return _html(_errors_page())


async def _moved(request: HTTPRequest) -> Response:
    return RedirectResponse("/docs", status_code=307)


def _file(name: str) -> Endpoint:
    async def endpoint(request: HTTPRequest) -> Response:
        headers = {"Cache-Control": "max-age=86400", "Content-Security-Policy": "default-src 'none'; sandbox"}
        return Response(_static(name), headers=headers, media_type=_MEDIA[name])

    return endpoint


def _html(page: str) -> Response:
    return Response(page.encode(), headers=_PAGE_HEADERS, media_type="text/html")


@functools.cache
def _static(name: str) -> bytes:
    return (_STATIC / name).read_bytes()


@functools.cache
def _address(name: str) -> str:
    """Return the address of a static file; it changes with the content, so that a browser may keep the file."""
    return f"/static/{name}?v={hashlib.sha256(_static(name)).hexdigest()[:10]}"


def _shell(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<link rel="stylesheet" href="{_address("greenroom.css")}">
<link rel="icon" type="image/svg+xml" href="{_address("greenroom.svg")}">
</head>
<body>
<header class="bar">
<a class="brand" href="/"><img src="{_address("greenroom.svg")}" alt="" width="28" height="28">Greenroom</a>
<nav><a href="/docs">API reference</a><a href="/docs/errors">Errors</a><a href="{PREFIX}/openapi.json">OpenAPI</a></nav>
<span class="version">{escape(__version__)}</span>
</header>
{body}
</body>
</html>
"""


@functools.cache
def _reference_page() -> str:
    made = document()
    rights = "".join(f"<dt><code>{word}</code></dt><dd>{prose(what)}</dd>" for word, what in PERMISSIONS.items())
    intro = f"<h1>API reference</h1>{prose(made['info']['description'].partition(chr(10))[0])}"
    intro += f"<p>Examples take the address from the environment: <code>{_EXPORT}</code></p>"
    intro += f'<h2 id="permissions">Permissions</h2><dl class="rights">{rights}</dl>'
    return _shell(
        "Greenroom API reference",
        f'<div class="split">{sidebar(made)}<main>{intro}{sections(made)}</main></div>',
    )


_EXPORT = "export GREENROOM_URL=http://127.0.0.1:5000"


@functools.cache
def _errors_page() -> str:
    rows = [_error_row(code, kind) for code, kind in sorted(error_classes().items(), key=_by_status)]
    rows.append(
        _error_row("internal", GreenroomError, "A bug of ours; the server's log says more under the request id.")
    )
    head = "".join(f"<th>{name}</th>" for name in ("code", "meaning", "status", "MLflow", "exit", "again?"))
    table = f'<div class="scroll"><table class="errors"><tr>{head}</tr>{"".join(rows)}</table></div>'
    return _shell("Greenroom errors", f'<main class="narrow wide"><h1>Errors</h1>{prose(_ERRORS_INTRO)}{table}</main>')


_ERRORS_INTRO = (
    "The native API answers with problem details (RFC 9457): act on `code`, show `detail` and `hint`. The MLflow wire "
    "carries the same text as `error_code` and `message`; the command line ends with the exit status. *Again?* says "
    "whether the same request may succeed a moment later; such answers carry `Retry-After`.\n\n"
    "A promotion that the lifecycle refuses is no error natively: it is answered with 200 and its status in the body."
)


def _by_status(item: tuple[str, type[GreenroomError]]) -> tuple[int, str]:
    return item[1].http_status, item[0]


def _error_row(code: str, kind: type[GreenroomError], meaning: str | None = None) -> str:
    if code == GreenroomError.code:  # the base class is never raised as such
        return ""
    what = meaning or (kind.__doc__ or "").strip().partition("\n")[0]
    return (
        f'<tr id="{code}"><td><a href="#{code}"><code>{code}</code></a></td>'
        f"<td><strong>{escape(TITLES[code])}</strong>{prose(what)}</td><td>{kind.http_status}</td>"
        f"<td><code>{kind.mlflow_code}</code> {kind.mlflow_status}</td><td>{kind.exit_code}</td>"
        f"<td>{'yes' if kind.retryable else 'no'}</td></tr>"
    )


_HOME = """
<div class="hero">
<h1>Going into production is a transaction.</h1>
<p>This is a Greenroom server: a model registry that pins every version by the digest of its files, lets one version at
a time into an exclusive stage, and keeps a log of every change that can be checked.</p>
<p class="links"><a class="button" href="/docs">API reference</a> <a href="/docs/errors">Errors</a>
<a href="/api/v1/openapi.json">OpenAPI 3.1</a> <a href="/api/v1/models">Models as JSON</a>
<a href="/api/v1/runs">Runs as JSON</a></p>
</div>
<p>Came from a link that MLflow printed, <code>/#/experiments/…/runs/ID</code>? In a terminal, <code>greenroom runs show
ID</code> shows that run.</p>
<h2>From the command line</h2>
<pre>export GREENROOM_URL={url}
greenroom push ./model fraud
greenroom promote fraud 1 --to Production
greenroom history fraud</pre>
<h2>From MLflow code, unchanged</h2>
<pre>export MLFLOW_TRACKING_URI={url}
python train.py</pre>
<h2>With nothing but HTTP</h2>
<pre>curl {url}/api/v1/models/fraud/slots/Production</pre>
"""
