"""What MLflow's clients may send, how it is read, and how answers are written: tables without a server."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import pytest

from greenroom.core.errors import InvalidInput
from greenroom.core.model import Actor, Context, RegisteredModel, Version
from greenroom.http import mlflow_bridge as bridge
from greenroom.http import mlflow_wire as wire

BY_NAME = {endpoint.name: endpoint for endpoint in wire.ENDPOINTS}
DOCS = "See the API docs for more information about request parameters."


def read(name: str, body: object = None, *, query: str = "", method: str | None = None, raw: bytes = b"") -> dict:
    endpoint = BY_NAME[name]
    sent = raw if body is None else json.dumps(body).encode()
    return wire.read_request(endpoint, method or endpoint.methods[0], query, "application/json", sent)


def present(given: dict) -> dict:
    return {key: value for key, value in given.items() if value not in (None, (), {}, False)}


def test_the_table_has_every_endpoint_once():
    paths = [(method, endpoint.path) for endpoint in wire.ENDPOINTS for method in endpoint.methods]
    assert len(wire.ENDPOINTS) == 21
    assert len(set(paths)) == len(paths) == 22  # get-latest-versions answers GET and POST


@pytest.mark.parametrize(
    ("endpoint", "body", "read_as"),
    [
        ("rename_model", {"name": "a", "new_name": "b"}, {"name": "a", "new_name": "b"}),
        ("rename_model", {"name": "a", "newName": "b"}, {"name": "a", "new_name": "b"}),  # lowerCamelCase
        ("get_model", {"name": "a", "colour": 1}, {"name": "a"}),  # unknown fields are ignored
        ("create_model", {"name": "a", "description": None, "tags": None}, {"name": "a"}),  # null is absent
        ("create_model", {"name": "a", "description": ""}, {"name": "a", "description": ""}),
        (
            "create_model",
            {"name": "a", "tags": [{"key": "k", "value": "1"}, {"key": "k", "value": "2"}, {"key": "e"}]},
            {"name": "a", "tags": {"k": "2", "e": ""}},  # the last one counts; no value is ""
        ),
        ("latest_versions", {"name": "a", "stages": ["Staging"]}, {"name": "a", "stages": ("Staging",)}),
        ("latest_versions", {"name": "a", "stages": []}, {"name": "a"}),
        ("search_models", {"max_results": 5}, {"max_results": 5}),
        ("search_models", {"max_results": "5"}, {"max_results": 5}),
        ("search_models", {"maxResults": 5.0}, {"max_results": 5}),
        ("search_models", {"max_results": "-7"}, {"max_results": -7}),
        (
            "transition",
            {"name": "a", "version": "1", "stage": "Staging", "archiveExistingVersions": True},
            {"name": "a", "version": "1", "stage": "Staging", "archive_existing_versions": True},
        ),
    ],
)
def test_bodies_that_are_understood(endpoint, body, read_as):
    assert present(read(endpoint, body)) == read_as


@pytest.mark.parametrize(
    ("query", "read_as"),
    [
        ("name=a", {"name": "a"}),
        ("name=a&stages=Staging&stages=Production", {"name": "a", "stages": ("Staging", "Production")}),
        ("name=a&stages=Staging", {"name": "a", "stages": ("Staging",)}),  # one is a list as well
        (urlencode({"name": "ä b+c"}), {"name": "ä b+c"}),
        ("name=a&name=a", {"name": "a"}),
    ],
)
def test_queries_that_are_understood(query, read_as):
    assert present(read("latest_versions", query=query, method="GET")) == read_as


def test_a_get_without_a_query_reads_its_body():
    assert read("get_model", {"name": "a"}) == {"name": "a"}


def test_a_get_with_a_query_does_not_read_its_body():
    with pytest.raises(InvalidInput, match="Missing value for required parameter 'name'"):
        read("get_model", {"name": "a"}, query="x=1")


def test_a_body_that_is_a_json_string_is_decoded_again():
    assert read("get_model", json.dumps({"name": "a"})) == {"name": "a"}


@pytest.mark.parametrize("text", ["true", "True", "TRUE"])
def test_flags_in_a_query_are_words_in_any_case(text):
    query = f"name=a&version=1&stage=s&archive_existing_versions={text}"
    assert read("transition", query=query, method="GET")["archive_existing_versions"] is True


@pytest.mark.parametrize("raw", [b"", b"{", b"null", b'"{"', b"\xff\xfe", b"[" + b"9" * 5000 + b"]"])
def test_what_is_no_json_is_an_empty_object(raw):
    with pytest.raises(InvalidInput, match="Missing value for required parameter 'name'"):
        read("create_model", raw=raw)


@pytest.mark.parametrize(
    ("endpoint", "body", "text"),
    [
        ("create_model", {}, f"Missing value for required parameter 'name'. {DOCS}"),
        ("create_model", {"name": ""}, f"Missing value for required parameter 'name'. {DOCS}"),
        ("create_model", {"name": None}, f"Missing value for required parameter 'name'. {DOCS}"),
        ("create_version", {"name": "a"}, f"Missing value for required parameter 'source'. {DOCS}"),
        (
            "get_version",
            {"name": "a", "version": 3},
            f"Invalid value 3 for parameter 'version' supplied:  Hint: Value was of type 'int'. {DOCS}",
        ),
        (
            "create_model",
            {"name": "a", "tags": "x"},
            f"Invalid value \"x\" for parameter 'tags' supplied:  Hint: Value was of type 'str'. {DOCS}",
        ),
        (
            "create_model",
            {"name": "a", "tags": [{"key": 5}]},
            f"Invalid value 5 for parameter 'key' supplied:  Hint: Value was of type 'int'. {DOCS}",
        ),
        (
            "create_model",
            {"name": "a", "tags": [["k", "v"]]},
            f"Invalid value [[\"k\",\"v\"]] for parameter 'tags' supplied:  Hint: Value was of type 'list'. {DOCS}",
        ),
        (
            "search_models",
            {"max_results": "abc"},
            f"Invalid value \"abc\" for parameter 'max_results' supplied:  Hint: Value was of type 'str'. {DOCS}",
        ),
        (
            "latest_versions",
            {"name": "a", "stages": "Staging"},
            f"Invalid value \"Staging\" for parameter 'stages' supplied:  Hint: Value was of type 'str'. {DOCS}",
        ),
        (
            "transition",
            {"name": "a", "version": "1", "stage": "s", "archive_existing_versions": "true"},
            f"Invalid value \"true\" for parameter 'archive_existing_versions' supplied:  "
            f"Hint: Value was of type 'str'. {DOCS}",
        ),
        (
            "rename_model",
            {"name": "a", "new_name": "b", "newName": "c"},
            "Request specifies both 'new_name' and 'newName'; provide only one of them.",
        ),
        ("create_model", [1], "the request body must be a JSON object, got [1]."),
        ("create_model", 5, "the request body must be a JSON object, got 5."),
        ("create_model", "[1]", "the request body must be a JSON object, got [1]."),
        ("create_model", True, "the request body must be a JSON object, got true."),
    ],
)
def test_bodies_that_are_refused(endpoint, body, text):
    with pytest.raises(InvalidInput) as caught:
        read(endpoint, body)
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (2**63 - 1, True),
        (-(2**63), True),
        (2**63, False),
        (1e300, False),
        (1.5, False),
        (True, False),
        ("--5", False),
        ("5-", False),
        ("٣", False),
        ("", False),
        (" 5", False),
        ([5], False),
        ({}, False),
    ],
)
def test_integers(value, fits):
    if fits:
        assert read("search_models", {"max_results": value})["max_results"] == value
    else:
        with pytest.raises(InvalidInput, match=r"Invalid value .* for parameter 'max_results'"):
            read("search_models", {"max_results": value})


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b'{"name": NaN}', "holds NaN, which is not JSON"),
        (b'{"name": 1e999}', "out of range"),
        (b'{"name": "a", "name": "b"}', "the same key twice"),
        (b"[" * 200_000, "nested too deeply"),
        (b'{"name": "\\ud800"}', "Invalid value"),  # half of a surrogate pair
    ],
)
def test_json_that_has_no_one_meaning_is_refused(raw, text):
    with pytest.raises(InvalidInput, match=text):
        read("create_model", raw=raw)


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("name=a&name=b", "Request specifies 'name' twice"),
        ("name=%ff", "cannot be read"),
        ("&".join(f"x{n}=" for n in range(2000)), "cannot be read"),
        ("stages=x", "Missing value for required parameter 'name'"),
        ("name=a\udcff", "Invalid value"),  # a raw byte that is no UTF-8
    ],
)
def test_queries_that_are_refused(query, text):
    with pytest.raises(InvalidInput, match=text):
        read("latest_versions", query=query, method="GET")


def test_a_flag_in_a_query_must_be_a_flag():
    with pytest.raises(InvalidInput, match="Invalid boolean value: yes, must be 'true' or 'false'"):
        read("transition", query="name=a&version=1&stage=s&archive_existing_versions=yes", method="GET")


@pytest.mark.parametrize(
    ("method", "content_type", "text"),
    [
        ("POST", None, "Bad Request. Content-Type header is missing."),
        ("POST", "text/plain", "Bad Request. Content-Type must be one of ['application/json']."),
        ("POST", "application/json; charset=utf-8", None),
        ("POST", "Application/JSON", None),
        ("PATCH", None, None),
        ("DELETE", "text/plain", None),
    ],
)
def test_content_types(method, content_type, text):
    endpoint = wire.Endpoint("any", (method,), "/any", "read", (wire.Field("name"),))
    if text is None:
        assert wire.read_request(endpoint, method, "", content_type, b'{"name": "a"}') == {"name": "a"}
    else:
        with pytest.raises(InvalidInput) as caught:
            wire.read_request(endpoint, method, "", content_type, b'{"name": "a"}')
        assert caught.value.message == text


def test_a_bare_model_has_three_fields():
    model = RegisteredModel("m", None, 1, 2, "mlflow")
    assert wire.render_model(model, ()) == {"name": "m", "creation_timestamp": 1, "last_updated_timestamp": 2}


def test_a_full_model():
    model = RegisteredModel("m", "d", 1, 2, "mlflow", tags={"k": ""}, aliases={"champion": 3}, latest={"None": 3})
    body = wire.render_model(model, [Version("m", 3, "None", 1, 2, aliases=("champion",))])
    assert body["description"] == "d"
    assert body["tags"] == [{"key": "k", "value": ""}]
    assert body["aliases"] == [{"alias": "champion", "version": "3"}]  # the number is text here too
    assert "aliases" not in body["latest_versions"][0]


def test_a_bare_version_still_says_that_its_texts_are_empty():
    assert wire.render_version(Version("m", 3, "None", 1, 2, source="s3://b/x")) == {
        "name": "m",
        "version": "3",
        "creation_timestamp": 1,
        "last_updated_timestamp": 2,
        "current_stage": "None",
        "description": "",
        "source": "s3://b/x",
        "run_id": "",
        "status": "READY",
        "run_link": "",
    }


def test_a_full_version():
    version = Version("m", 3, "Staging", 1, 2, author="ana", aliases=("a", "b"), tags={"k": "v"}, run_id="r")
    body = wire.render_version(version)
    assert (body["user_id"], body["aliases"], body["run_id"]) == ("ana", ["a", "b"], "r")
    assert body["tags"] == [{"key": "k", "value": "v"}]


def test_tags_tell_metrics_parameters_and_where_it_was_trained():
    tags = {
        "greenroom.metric.auc": "0.93",
        "greenroom.param.depth": "4",
        "mlflow.source.git.commit": "abc",
        "mlflow.source.git.branch": "main",
        "mlflow.source.name": "train.py",
        "other": "x",
    }
    metrics, params, context = bridge.facts_of_tags(tags)
    assert (metrics, params) == ({"auc": 0.93}, {"depth": "4"})
    assert context == Context(git_commit="abc", git_branch="main", entry_point="train.py")


@pytest.mark.parametrize("text", ["nan", "inf", "high", ""])
def test_a_metric_must_be_a_finite_number(text):
    with pytest.raises(InvalidInput, match=r"Tag 'greenroom.metric.auc' must hold a finite number, got"):
        bridge.facts_of_tags({"greenroom.metric.auc": text})


@pytest.mark.parametrize(
    ("actor", "tags", "author"),
    [
        (Actor("anonymous"), {"mlflow.user": "ana"}, "ana"),
        (Actor("anonymous"), {}, "anonymous"),
        (Actor("anonymous"), {"mlflow.user": "a\nb"}, "anonymous"),  # no name for anybody
        (Actor("ben"), {"mlflow.user": "ana"}, "ben"),  # said who they are
        (Actor("anonymous", verified=True), {"mlflow.user": "ana"}, "anonymous"),
    ],
)
def test_who_registers(actor, tags, author):
    assert bridge.author_of(tags, actor).name == author
