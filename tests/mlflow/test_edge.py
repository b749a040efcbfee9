"""The edge itself on a real server: what is refused and how, and the files behind `mlflow-artifacts:`."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.http.mlflow_artifacts import Place, decode_path, place_of

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts"
HEX = "0123456789abcdef" * 4


class Wire:
    """One connection to a server."""

    def __init__(self, url: str) -> None:
        self.netloc = urlsplit(url).netloc

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """Return status, body (JSON where it is) and headers."""
        link = http.client.HTTPConnection(self.netloc, timeout=30)
        try:
            data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            link.request(method, target, data, {"Content-Type": "application/json"} | headers)
            answer = link.getresponse()
            text = answer.read()
            found = {key.lower(): value for key, value in answer.getheaders()}
            return answer.status, json.loads(text) if "json" in found.get("content-type", "") else text, found
        finally:
            link.close()

    def post(self, path: str, body: Any) -> Any:
        status, answer, _ = self.ask("POST", API + path, body)
        assert status == 200, answer
        return answer

    def model(self, name: str, versions: int = 0) -> str:
        self.post("/registered-models/create", {"name": name})
        for _ in range(versions):
            self.post("/model-versions/create", {"name": name, "source": "s3://b/x"})
        return name


@pytest.fixture
def wire(standard_server: str) -> Wire:
    return Wire(standard_server)


def test_a_refused_promotion_is_a_conflict_that_names_the_ways_out(wire: Wire):
    name = wire.model("refused", 2)
    wire.post("/model-versions/transition-stage", {"name": name, "version": "1", "stage": "Production"})
    status, answer, headers = wire.ask(
        "POST", f"{API}/model-versions/transition-stage", {"name": name, "version": "2", "stage": "Production"}
    )
    assert (status, answer["error_code"]) == (409, "RESOURCE_CONFLICT")
    assert "version 1" in answer["message"]
    assert "Ways out:" in answer["message"]
    assert "retry-after" not in headers  # an answer, not a hiccup


def test_an_unknown_stage_is_told_with_the_known_ones(wire: Wire):
    name = wire.model("unknown-stage", 1)
    for body in ({"stage": "Validation"}, {"stage": "@champion"}):
        status, answer, _ = wire.ask(
            "POST", f"{API}/model-versions/transition-stage", {"name": name, "version": "1"} | body
        )
        assert (status, answer["error_code"]) == (400, "INVALID_PARAMETER_VALUE")
        assert answer["message"].startswith(f"Stage '{body['stage']}' does not exist.")
        assert "Production" in answer["message"]
    status, answer, _ = wire.ask("GET", f"{API}/registered-models/get?name={name}")
    assert "aliases" not in answer["registered_model"]  # `@champion` set none


def test_a_skipped_stage_is_allowed_and_told(wire: Wire):
    name = wire.model("skips", 2)
    move = {"name": name, "version": "1", "stage": "Production"}
    assert any("Staging" in warning for warning in wire.post("/model-versions/transition-stage", move)["warnings"])
    assert "warnings" not in wire.post("/model-versions/transition-stage", move | {"version": "2", "stage": "Staging"})


def test_a_look_alike_name_is_taken(wire: Wire):
    wire.model("look alike")
    status, answer, _ = wire.ask("POST", f"{API}/registered-models/create", {"name": "look  alike"})
    assert (status, answer["error_code"]) == (400, "RESOURCE_ALREADY_EXISTS")


def test_metrics_and_parameters_may_come_as_tags(wire: Wire):
    name = wire.model("metric-tags")
    tags = {"greenroom.metric.auc": "0.93", "greenroom.param.depth": "4", "mlflow.user": "ana"}
    body = {"name": name, "source": "s3://b/x", "tags": [{"key": k, "value": v} for k, v in tags.items()]}
    made = wire.post("/model-versions/create", body)["model_version"]
    assert {tag["key"]: tag["value"] for tag in made["tags"]} == tags
    assert made["user_id"] == "ana"
    _, version, _ = wire.ask("GET", f"/api/v1/models/{name}/versions/1")
    assert (version["metrics"], version["params"], version["author"]) == ({"auc": 0.93}, {"depth": "4"}, "ana")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"{API}/no/such/endpoint", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", f"{API}/registered-models/list", 404, "ENDPOINT_NOT_FOUND"),
        ("GET", f"{API}/registered-models/create", 405, "ENDPOINT_NOT_FOUND"),
        ("GET", f"{FILES}/artifacts/nobody/here", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", f"{FILES}/artifacts/snapshots/{HEX}/MLmodel", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", f"{FILES}/artifacts/snapshots/xyz/MLmodel", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("PUT", f"{FILES}/artifacts/snapshots/{HEX}/MLmodel", 403, "PERMISSION_DENIED"),
        ("DELETE", f"{FILES}/artifacts/snapshots/{HEX}", 403, "PERMISSION_DENIED"),
        (
            "PUT",
            f"{FILES}/artifacts/%2573napshots/{HEX}/MLmodel",
            403,
            "PERMISSION_DENIED",
        ),  # decoded before it is judged
        ("GET", "/get-artifact?run_id=abc&path=model", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/get-artifact?run_id=abc&path=../../etc/passwd", 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "/model-versions/get-artifact?name=nobody&version=1&path=a", 404, "RESOURCE_DOES_NOT_EXIST"),
        ("GET", "/model-versions/get-artifact?name=nobody&version=1&path=../a", 400, "INVALID_PARAMETER_VALUE"),
        ("GET", "/model-versions/get-artifact?name=nobody&path=a", 400, "INVALID_PARAMETER_VALUE"),
    ],
)
def test_what_is_not_there_or_not_allowed(wire: Wire, method: str, path: str, status: int, code: str):
    found, answer, _ = wire.ask(method, path, b"x" if method == "PUT" else None)
    assert (found, answer["error_code"]) == (status, code), answer


def test_server_info_promises_only_what_is_so(wire: Wire):
    for prefix in ("/api", "/ajax-api"):
        status, info, _ = wire.ask("GET", f"{prefix}/3.0/mlflow/server-info")
        assert status == 200
        assert info["store_type"] == "SqlStore"
        assert [key for key, value in info.items() if value is True] == ["artifact_serving_enabled"]


def test_uploads_can_be_put_listed_read_and_deleted(wire: Wire):
    for path, text in (("life/a%20b.txt", b"one"), ("life/deep/c.txt", b""), ("life/d.txt", b"four")):
        status, answer, _ = wire.ask("PUT", f"{FILES}/artifacts/{path}", text)
        assert (status, answer) == (200, {})
    assert wire.ask("GET", f"{FILES}/artifacts?path=life")[:2] == (
        200,
        {
            "files": [
                {"path": "a b.txt", "is_dir": False, "file_size": 3},
                {"path": "d.txt", "is_dir": False, "file_size": 4},
                {"path": "deep", "is_dir": True},
            ]
        },
    )
    status, text, headers = wire.ask("GET", f"{FILES}/artifacts/life/a%20b.txt")
    assert (status, text) == (200, b"one")
    assert headers["content-disposition"].startswith("attachment;")
    assert headers["x-content-type-options"] == "nosniff"
    assert wire.ask("GET", f"{FILES}/artifacts/life/deep")[0] == 400  # a folder
    assert wire.ask("GET", f"{FILES}/artifacts?path=life/d.txt")[:2] == (200, {})  # a file is no folder
    assert wire.ask("GET", f"{FILES}/artifacts?path=life/none")[:2] == (200, {})
    assert wire.ask("PUT", f"{FILES}/artifacts/life/d.txt", b"again")[0] == 200  # the tree is mutable
    assert wire.ask("GET", f"{FILES}/artifacts/life/d.txt")[1] == b"again"
    assert wire.ask("PUT", f"{FILES}/artifacts/life/d.txt/below", b"x")[0] == 400  # a file is in the way
    assert wire.ask("PUT", f"{FILES}/artifacts/life/deep", b"x")[0] == 400  # a folder is in the way
    for path in ("life", "life"):  # deleting what is gone is no error
        assert wire.ask("DELETE", f"{FILES}/artifacts/{path}")[:2] == (200, {})
    assert wire.ask("GET", f"{FILES}/artifacts?path=life")[:2] == (200, {})


def test_a_version_keeps_its_bytes_when_the_upload_changes(wire: Wire):
    name = wire.model("keeps-bytes")
    for path in ("MLmodel", "data/model.pkl"):
        assert wire.ask("PUT", f"{FILES}/artifacts/keep/{path}", path.encode())[0] == 200
    wire.post("/model-versions/create", {"name": name, "source": "mlflow-artifacts:/keep"})
    assert wire.ask("PUT", f"{FILES}/artifacts/keep/MLmodel", b"other bytes")[0] == 200
    status, answer, _ = wire.ask("GET", f"{API}/model-versions/get-download-uri?name={name}&version=1")
    uri = answer["artifact_uri"]
    base, _, snapshot = uri.partition(f"{FILES}/artifacts/")
    assert base == f"http://{wire.netloc}"
    assert wire.ask("GET", f"{FILES}/artifacts/{snapshot}/MLmodel")[1] == b"MLmodel"
    assert wire.ask("GET", f"{FILES}/artifacts/{snapshot}")[0] == 400  # a folder
    assert wire.ask("GET", f"{FILES}/artifacts?path={snapshot}")[1]["files"] == [
        {"path": "MLmodel", "is_dir": False, "file_size": 7},
        {"path": "data", "is_dir": True},
    ]
    assert wire.ask("GET", f"{FILES}/artifacts?path=snapshots")[:2] == (200, {})
    status, text, headers = wire.ask("GET", f"/model-versions/get-artifact?name={name}&version=1&path=data/model.pkl")
    assert (status, text) == (200, b"data/model.pkl")
    assert 'filename="model.pkl"' in headers["content-disposition"]


@pytest.mark.parametrize(
    ("path", "plain"),
    [
        ("a/b", "a/b"),
        ("a%20b", "a b"),
        ("a%2520b", "a b"),  # two layers
        ("a%252525252520b", None),  # more than anybody needs
        ("a%ff", None),
        ("a\ufffd", None),
        ("%2e%2e/a", "../a"),  # decoded here, refused by the rule for paths
    ],
)
def test_paths_are_decoded_to_the_end(path: str, plain: str | None):
    if plain is None:
        with pytest.raises(InvalidInput, match="Invalid path"):
            decode_path(path)
    else:
        assert decode_path(path) == plain


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a/b", Place(None, "a/b")),
        (f"snapshots/{HEX}", Place(f"sha256:{HEX}", "")),
        (f"snapshots/{HEX}/a/b", Place(f"sha256:{HEX}", "a/b")),
        ("snapshotsandmore/a", Place(None, "snapshotsandmore/a")),
        ("snapshots/abc/a", NotFound),
        (f"snapshots/{HEX.upper()}/a", NotFound),
        (f"snapshots/{HEX}/../x", InvalidInput),
        (f"snapshots/{HEX}/%2e%2e/x", InvalidInput),
        ("../a", InvalidInput),
        ("/a", InvalidInput),
        ("a\\b", InvalidInput),
        ("a#b", InvalidInput),
        ("", InvalidInput),
    ],
)
def test_where_paths_lead(path: str, place: Place | type[Exception]):
    if isinstance(place, Place):
        assert place_of(path) == place
    else:
        with pytest.raises(place):
            place_of(path)


KEY_ID = "k2f286e9-5788-4983-88a7-b098fe0303a9"


@pytest.mark.parametrize(
    ("step", "kept"),
    [
        *(("0", "%0"), ("-3", "%-3"), ("12", "%12"), ("1795", "%1795"), ("250", "%0"), ("2519", "%19")),
        *(("20", " "), ("25", "%"), ("41", "A"), ("4100", "A00"), ("2541", "A"), ("85", "\ufffd")),
    ],
)
@pytest.mark.parametrize("end", [".png", "%compressed.webp"])
def test_images_of_older_clients_have_the_names_that_mlflow_gives_them(step: str, kept: str, end: str):
    head, tail = "7/r/artifacts/images/a dog%step", f"%timestamp%1795284849371%{KEY_ID}{end}"
    sent, found = f"{head}%{step}{tail}", Place(None, f"{head}{kept}{tail}")
    assert place_of(sent) == place_of(found.path) == found
    assert place_of(sent.replace("%", "%25").replace(" ", "%20")) == found  # one layer more


@pytest.mark.parametrize(
    "name",
    [
        f"images/dogs%step%2e%timestamp%1795284849371%{KEY_ID}.png",
        f"images/..%2fdogs%step%0%timestamp%1795284849371%{KEY_ID}.png/x",
        f"%2e%2e/dogs%step%0%timestamp%1795284849371%{KEY_ID}.png",
        f"images/do%17gs%step%0%timestamp%1795284849371%{KEY_ID}.png",
        f"images/dogs%step%23%timestamp%1795284849371%{KEY_ID}.png",
        f"images/dogs%step%00%timestamp%1795284849371%{KEY_ID}.png",
        f"images/dogs%step%0%timestamp%1795284849371%{KEY_ID}.png%00",
    ],
)
def test_what_only_resembles_such_an_image_is_decoded_and_refused(name: str):
    with pytest.raises(InvalidInput, match="Invalid path"):
        place_of(name)
