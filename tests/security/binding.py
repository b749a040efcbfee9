"""How the vectors are bound to this server: what is sent for each, over which wires, and which of them wait for what.

A vector is sent as it stands under both of MLflow's prefixes, and with its intent kept over the native API. A vector
that nothing here can stand for yet is in WAITING with the reason: an answer 404 of an address that does not exist must
not pass for a refusal.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import yaml

from tests.security.scene import MODEL_B, Live, as_path

VECTORS: dict[str, dict[str, Any]] = {
    each["id"]: each for each in yaml.safe_load(Path(__file__).with_name("vectors.yaml").read_text("utf-8"))["vectors"]
}

_ZEROS = "0" * 64
_ACCOUNTS = "accounts"
_WEB = "web pages with a log-in"
_HOOKS = "webhooks"
_APPROVALS = "approvals, which come with accounts"
_ARCHIVES = "nothing here takes archives; a folder is pushed file by file"
_CHECKS = "checks that look into files (scan, load in a sandbox)"

WAITING: dict[str, str] = {
    **dict.fromkeys(("SU-16", "SU-17"), _ACCOUNTS),
    **dict.fromkeys(("AZ-01", "AZ-02", "AZ-05", "AZ-07", "AZ-08", "AZ-10", "AZ-11"), _ACCOUNTS),
    **dict.fromkeys(("AZ-13", "AZ-14", "AZ-20", "AZ-22"), _ACCOUNTS),
    "AZ-04": _ACCOUNTS,
    **dict.fromkeys(("JW-01", "JW-02", "JW-04", "JW-05", "JW-07", "JW-08", "JW-10", "JW-11"), f"{_ACCOUNTS}: OIDC"),
    **dict.fromkeys(("GP-01", "GP-02", "GP-04", "GP-05"), _APPROVALS),
    **dict.fromkeys(("BR-07", "BR-11", "BR-13", "BR-14"), _WEB),
    **{f"SS-{n:02d}": _HOOKS for n in (1, 2, 4, 5, 7, 8, 10, 11, 13, 14)},
    "SS-16": f"{_ACCOUNTS}: OIDC",
    **dict.fromkeys(("EX-02", "EX-04", "FM-01", "FM-02"), _CHECKS),
    **{f"AR-{n:02d}": _ARCHIVES for n in (1, 2, 4, 5, 7, 8)},
    "DO-17": _HOOKS,
    "IN-05": "an export as CSV",
    "IT-07": "the witness is a command, not an address of this server; goal A4 shows it",
}
"""Vectors that no request to this server can stand for yet, and what they wait for."""

ELSEWHERE: dict[str, str] = {
    "DO-16": "tests/security/test_resources.py::test_slow_heads",
    "IT-08": "tests/mlflow/test_multipart.py::test_a_presigned_address_ends_with_what_it_was_made_for",
    "IN-04": "tests/security/test_secrets.py::test_nothing_that_came_in_as_a_secret_comes_out",
}
"""Vectors that need more than requests; the test that replays them."""

BY_HAND = ("ID-08", "GP-10", "GP-11", "GP-13", "IT-04", "IT-05", "FM-04", "EX-01", "EX-05", "BR-10", "DO-07", "DO-08")
"""Vectors that `test_vectors.py` replays with code of their own."""


@dataclass(frozen=True)
class Attack:
    """One request of a vector: where it goes, what it carries, which statuses are right."""

    method: str
    target: str
    status: tuple[int, ...]
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: int = 0
    raw: str | None = None


def attacks(vector: dict[str, Any], variables: dict[str, str]) -> Iterator[Attack]:
    """Yield every request that stands for `vector`."""
    request = vector["request"]
    status = tuple(vector["expect"]["status"])
    if "raw" in request:
        for prefix in ("/api/2.0/mlflow/registered-models/create", "/api/v1/models"):
            text = request["raw"].replace("/api/2.0/mlflow/registered-models/create", prefix)
            yield Attack("", "", status, raw=fill(text, variables))
        return
    target = fill(request["target"], variables)
    body = request.get("body")
    made = generated(request["body_gen"]) if "body_gen" in request else {}
    headers = {name: fill(value, variables) for name, value in request.get("headers", {}).items()}
    if "json" in request:
        body = json.loads(fill(json.dumps(request["json"]), {n: json.dumps(v)[1:-1] for n, v in variables.items()}))
    elif isinstance(body, str):
        body = fill(body, variables).encode()
        headers.setdefault("Content-Type", "application/octet-stream")
    first = Attack(request["method"], target, status, body, headers)
    if made:
        first = replace(first, **{**made, "headers": headers | made.get("headers", {})})
        if "query" in made.get("headers", {}):
            first = replace(first, target=target + "?" + made["headers"]["query"], headers=headers)
    yield from _both_prefixes(first)
    yield from _natively(first, vector)


def _both_prefixes(attack: Attack) -> Iterator[Attack]:
    if attack.target.startswith("/api/2.0/mlflow/artifacts/"):
        return  # the files of runs: nothing answers there yet, its path is tried elsewhere
    yield attack
    if attack.target.startswith("/api/2.0/"):
        yield replace(attack, target="/ajax-api/2.0/" + attack.target.removeprefix("/api/2.0/"))


def _natively(attack: Attack, vector: dict[str, Any]) -> Iterator[Attack]:
    path, _, query = attack.target.partition("?")
    if path in ("/get-artifact", "/api/2.0/mlflow/artifacts/list"):
        yield from _same_path_elsewhere(attack, query)
    elif path.startswith("/api/2.0/mlflow-artifacts/artifacts"):
        yield from _uploads(attack, path.removeprefix("/api/2.0/mlflow-artifacts/artifacts"), query, vector["id"])
    elif path in _NATIVE:
        yield _NATIVE[path](attack, query)
    elif path.startswith("/api/2.0/mlflow//"):
        yield replace(attack, target="/api/v1//models;x?" + query)


def _same_path_elsewhere(attack: Attack, query: str) -> Iterator[Attack]:
    """Try the path of a run's file, for which there are no runs, where there are files indeed."""
    path = query.split("&path=", 1)[1]
    found = f"name={MODEL_B}&version=1&path={path}"
    yield replace(attack, target=f"/model-versions/get-artifact?{found}")
    status = tuple({*attack.status, 400})
    for prefix in ("/api/2.0", "/ajax-api/2.0"):
        for tree in ("", "bob/1/", f"snapshots/{_ZEROS}/"):
            # As a path, `//host/share` and the like are what the guards refuse; none of it may be a file.
            yield replace(attack, target=f"{prefix}/mlflow-artifacts/artifacts/{tree}{as_path(path)}", status=status)
        if path != "link-to-canary":  # an empty folder is listed as such
            yield replace(attack, target=f"{prefix}/mlflow-artifacts/artifacts?path={path}", status=status)
    yield replace(attack, target=f"/api/v1/models/{MODEL_B}/versions/1/files/{as_path(path)}", status=status)


def _uploads(attack: Attack, path: str, query: str, name: str) -> Iterator[Attack]:
    if attack.method == "PUT":
        if ".." in path or "%2e" in path:  # a merely odd name is none natively, where digests name blobs
            yield replace(attack, target="/api/v1/blobs/sha256" + path)
            yield replace(attack, target=f"/api/v1/uploads{path}", method="GET", body=None)
        files = [{"path": path.lstrip("/").replace("%20", " "), "digest": f"sha256:{_ZEROS}", "size_bytes": 1}]
        yield replace(
            attack, method="POST", target=f"/api/v1/models/{MODEL_B}/versions", body={"files": files}, headers={}
        )


def _created(attack: Attack, query: str) -> Attack:
    if attack.method != "POST" or isinstance(attack.body, bytes) or attack.body is None:
        status = (400, *attack.status) if query else attack.status  # GET searches, and refuses the parameter
        return replace(attack, target="/api/v1/models" + (f"?{query}" if query else ""), status=status)
    return replace(attack, target="/api/v1/models")


def _registered(attack: Attack, query: str) -> Attack:
    rest = {name: value for name, value in attack.body.items() if name != "name"}
    return replace(attack, target=f"/api/v1/models/{quote(attack.body['name'], safe='')}/versions", body=rest)


def _searched(attack: Attack, query: str) -> Attack:
    words = {"max_results": "page_size"}
    pairs = [(words.get(name, name), value) for name, value in parse_qsl(query, keep_blank_values=True)]
    return replace(attack, target="/api/v1/models" + ("?" + urlencode(pairs, quote_via=quote) if pairs else ""))


def _searched_by_body(attack: Attack, query: str) -> Attack:
    return replace(attack, target="/api/v1/blobs/missing")


def _got(attack: Attack, query: str) -> Attack:
    given = dict(pair.split("=", 1) for pair in query.split("&"))
    return replace(attack, target=f"/api/v1/models/{given['name']}/versions/{given['version']}")


def _moved(attack: Attack, query: str) -> Attack:
    body = {"to": attack.body["stage"], "version": 1, "swap": True}
    return replace(attack, target=f"/api/v1/models/{attack.body['name']}/promotions", body=body, status=(200,))


def _aliased(attack: Attack, query: str) -> Attack:
    target = f"/api/v1/models/{attack.body['name']}/aliases/{attack.body['alias']}"
    return replace(attack, method="PUT", target=target, body={"version": 1}, status=(200,))


_MLFLOW = "/api/2.0/mlflow"
_NATIVE: dict[str, Callable[[Attack, str], Attack]] = {
    f"{_MLFLOW}/registered-models/create": _created,
    f"{_MLFLOW}/model-versions/create": _registered,
    f"{_MLFLOW}/registered-models/search": _searched,
    f"{_MLFLOW}/model-versions/search": _searched_by_body,
    f"{_MLFLOW}/model-versions/get": _got,
    f"{_MLFLOW}/model-versions/transition-stage": _moved,
    f"{_MLFLOW}/registered-models/alias": _aliased,
}


def fill(text: str, variables: dict[str, str]) -> str:
    """Return `text` with its variables, `{repeat:c:n}` and a fresh `{nonce}`; what is no variable stays."""
    text = re.sub(r"\{repeat:([^:]+):(\d+)\}", lambda found: found[1] * int(found[2]), text)
    return re.sub(r"\{(\w+)\}", lambda found: variables.get(found[1], found[0]), text)


def generated(spec: dict[str, Any]) -> dict[str, Any]:
    """Return body, headers or chunked size that a vector's `body_gen` describes."""
    kind, size = next(iter(spec.items()))
    if kind == "json_pad":
        return {"body": b'{"name":"pad","description":"' + b"a" * size + b'"}', "headers": _JSON}
    if kind == "chunked":
        return {"chunks": size, "headers": {"Transfer-Encoding": "chunked", **_JSON}}
    if kind == "gzip_bomb":
        return {"body": gzip.compress(bytes(1 << 20)) * (size >> 20), "headers": _JSON}
    if kind == "filter_nested":
        return {"headers": {"query": "filter=" + quote("(" * size + "name = 'x'" + ")" * size, safe="")}}
    if kind == "tags":
        tags = [{"key": f"k{number}", "value": "v"} for number in range(size)]
        return {"body": json.dumps({"name": "tagged", "tags": tags}).encode(), "headers": _JSON}
    raise KeyError(kind)


_JSON = {"Content-Type": "application/json"}


def sent(attack: Attack, server: Live) -> bytes | Iterator[bytes]:
    """Return the bytes of an attack."""
    if attack.raw is not None:
        return attack.raw.encode()
    head = server.request(attack.method, attack.target, attack.body, **attack.headers)
    return _chunked(head, attack.chunks) if attack.chunks else head


def _chunked(head: bytes, size: int) -> Iterator[bytes]:
    yield head
    piece = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    for _ in range(size >> 16):
        yield piece
    yield b"0\r\n\r\n"


def path_payloads(variables: dict[str, str]) -> list[str]:
    """Return what the path and URI vectors attack with, as plain text: the seeds of the encoder fuzz."""
    found = []
    for vector in VECTORS.values():
        request = vector["request"]
        if vector["cls"] == "path-traversal":
            target = fill(request["target"], variables)
            query = urlsplit(target).query
            found.append(query.split("path=", 1)[1] if "path=" in query else target.partition("/artifacts/")[2])
        elif vector["cls"] == "source-uri":
            given = request["json"]
            found.append(
                fill(next(given[key] for key in ("source", "artifact_location", "name") if key in given), variables)
            )
    extra = [
        "etc/passwd",
        "....//....//",
        "..\\..\\",
        "file:///",
        "\x00",
        "~root",
        ".ssh/id_rsa",
        "%00",
        "CON",
        "a/b/../../..",
    ]
    return [each for each in found if len(each) < 2000] + [f"{each}{variables['canary_tail']}" for each in extra]
