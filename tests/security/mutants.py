"""Greenroom with one protection taken away, as a process: `python -m tests.security.mutants NAME server --data ...`.

The replayer of attacks is trusted only after it has caught these. Nothing here is ever imported by the package.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
import sys
from collections.abc import Callable
from typing import Any

SHOWN_BY: dict[str, tuple[str, ...]] = {
    "any_host": ("BR-01", "BR-02"),
    "any_origin": ("BR-04", "BR-05"),
    "any_path": ("PT-01", "PT-17", "PT-13"),
    "any_name": ("SU-28", "ID-05", "ID-02"),
    "any_source": ("SU-02", "SU-05", "SU-22"),
    "any_size": ("DO-01", "DO-02"),
    "any_digest": ("IT-01",),
    "ungated": ("GP-07",),
    "plain_refusals": ("DO-19",),
}
"""The vectors that must notice each missing protection."""


def any_host() -> None:
    """The Host header is not looked at."""
    from greenroom.http import guards

    guards.host_rule = lambda settings: lambda host: None


def any_origin() -> None:
    """A page of any origin may write."""
    from greenroom.http import guards

    guards.check_origin = lambda method, scheme, headers, public_url="": None


def any_path() -> None:
    """A path is joined to the folder and opened, as it comes."""
    from pathlib import Path
    from urllib.parse import unquote

    from starlette.responses import Response

    from greenroom.http import guards, mlflow_artifacts

    guards._UNCLEAR = guards._DOTS = re.compile(rb"(?!)")

    def place(path: str) -> Path:
        return Path(posixpath.normpath("/srv/files/" + unquote(unquote(path))))

    async def answer(registry: Any, http: Any) -> Response:
        given = http.path_params.get("path") or http.query_params.get("path", "")
        try:
            return Response(place(given).read_bytes())
        except (OSError, ValueError):
            return Response(status_code=404)

    async def store(registry: Any, http: Any) -> Response:
        data = await http.body()
        with contextlib.suppress(OSError, ValueError):
            place(http.path_params["path"]).write_bytes(data)
        return Response(b"{}", media_type="application/json")

    for name in ("_get", "_get_of_version", "_get_of_run"):
        setattr(mlflow_artifacts, name, answer)
    mlflow_artifacts._put = store


def any_name() -> None:
    """Every text is a model's name."""
    from greenroom.services import catalog

    catalog.check_model_name = str  # type: ignore[attr-defined]


def any_source() -> None:
    """A source is kept as given, whatever it names."""
    from greenroom.core import source
    from greenroom.services import sources

    def lax(text: Any) -> Any:
        return source.Source(source.SourceKind.URI, str(text), "s3")

    for module in (source, sources):
        module.parse_source = lax  # type: ignore[attr-defined]
    from greenroom.services import versions

    if hasattr(versions, "parse_source"):
        versions.parse_source = lax


def any_size() -> None:
    """A body is read to its end."""
    from greenroom.http import guards

    async def read(request: Any) -> bytes:
        return b"".join([piece async for piece in request.stream()])

    guards.read_whole_body = read


def any_digest() -> None:
    """Bytes are stored under the digest they have, whatever digest they were claimed to have."""
    from greenroom.http import bytes as byte_routes

    receive = byte_routes.receive_blob

    async def accept(request: Any, registry: Any, digest: Any = None, size: Any = None) -> Any:
        return await receive(request, registry)

    byte_routes.receive_blob = accept


def ungated() -> None:
    """Gates are not asked."""
    from greenroom.core import lifecycle

    lifecycle.blocking = lambda results, *, hard_only: ()  # type: ignore[assignment]


def plain_refusals() -> None:
    """The HTTP server answers malformed requests itself, in plain text."""
    from greenroom.http import connections, guards

    del connections.Connection.send_400_response, connections.HTTPToolsConnection.send_400_response
    guards.check_framing = lambda headers: None


def always_fails() -> None:
    """Every use case of the catalogue has a bug."""
    from greenroom.app import LocalRegistry

    async def call(self: Any, *given: Any, **more: Any) -> Any:
        raise RuntimeError("a bug")

    LocalRegistry.call = call  # type: ignore[method-assign]


def echoes() -> None:
    """An error repeats the headers, and the log has the request."""
    from greenroom.core.errors import NotFound
    from greenroom.http import asgi

    def none(self: Any, method: str, path: str) -> Any:
        import inspect

        scope = next(each.frame.f_locals["scope"] for each in inspect.stack() if "scope" in each.frame.f_locals)
        print(scope["headers"], file=sys.stderr, flush=True)
        return NotFound(f"nothing for {scope['headers']}")

    asgi._Table._none = none  # type: ignore[method-assign]


def unbounded() -> None:
    """Connections and requests sent ahead are taken without end."""
    from greenroom.http import connections

    connections.Crowd.enter = lambda self, connection: True  # type: ignore[method-assign]
    connections.PIPELINE = 1 << 30


MUTANTS: dict[str, Callable[[], None]] = {
    **{name: globals()[name] for name in SHOWN_BY},
    "always_fails": always_fails,
    "echoes": echoes,
    "unbounded": unbounded,
}


def main() -> None:
    """Take the protection named first away, then run the command line that follows."""
    name = sys.argv.pop(1)
    MUTANTS[name]()
    from greenroom.cli.main import main as greenroom

    greenroom()


if __name__ == "__main__":
    main()
