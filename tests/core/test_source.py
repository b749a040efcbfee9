"""One row is one sentence: what a source names, and which sources are refused before anything looks at them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.core.errors import InvalidInput
from greenroom.core.source import ModelRef, Source, SourceKind, check_run_source, parse_source

LOGGED = "m-" + "0af" * 10 + "00"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models:/iris/3", {"kind": SourceKind.MODELS, "ref": ModelRef("iris", version=3)}),
        ("models:/my model/3", {"kind": SourceKind.MODELS, "ref": ModelRef("my model", version=3)}),
        ("models:/100%/3", {"kind": SourceKind.MODELS, "ref": ModelRef("100%", version=3)}),
        ("models:/iris@champion", {"kind": SourceKind.MODELS, "ref": ModelRef("iris", alias="champion")}),
        ("models:/a@b@champion", {"kind": SourceKind.MODELS, "ref": ModelRef("a@b", alias="champion")}),
        ("models:/a@b/3", {"kind": SourceKind.MODELS, "ref": ModelRef("a@b", version=3)}),
        ("models:/iris@latest", {"kind": SourceKind.MODELS, "ref": ModelRef("iris", alias="latest")}),
        ("models:/iris/Latest", {"kind": SourceKind.MODELS, "ref": ModelRef("iris", alias="latest")}),
        ("models:/iris/Production", {"kind": SourceKind.MODELS, "ref": ModelRef("iris", stage="Production")}),
        (f"models:/{LOGGED}", {"kind": SourceKind.LOGGED_MODEL, "logged_model": LOGGED}),
        ("runs:/0123abcd/model", {"kind": SourceKind.RUN, "run_id": "0123abcd", "path": "model"}),
        ("runs:/R/my model/x", {"kind": SourceKind.RUN, "run_id": "R", "path": "my model/x"}),
        ("runs:/R", {"kind": SourceKind.RUN, "run_id": "R", "path": ""}),
        ("runs:/R/", {"kind": SourceKind.RUN, "run_id": "R", "path": ""}),
        ("mlflow-artifacts:/0/R/artifacts/model", {"kind": SourceKind.UPLOAD, "path": "0/R/artifacts/model"}),
        ("mlflow-artifacts:///0/R/", {"kind": SourceKind.UPLOAD, "path": "0/R"}),
        ("mlflow-artifacts://host:5000/0/R", {"kind": SourceKind.URI, "scheme": "mlflow-artifacts"}),
        ("s3://bucket/key/model", {"kind": SourceKind.URI, "scheme": "s3"}),
        ("S3://bucket/my%20model/", {"kind": SourceKind.URI, "scheme": "s3"}),
        ("s3://2130706433/x", {"kind": SourceKind.URI, "scheme": "s3"}),
        ("gs://b_1.x/k", {"kind": SourceKind.URI, "scheme": "gs"}),
        ("wasbs://box@acc.blob.core.windows.net/p", {"kind": SourceKind.URI, "scheme": "wasbs"}),
        ("abfss://box@acc.dfs.core.windows.net/p", {"kind": SourceKind.URI, "scheme": "abfss"}),
        ("dbfs:/databricks/m", {"kind": SourceKind.URI, "scheme": "dbfs"}),
        ("hdfs://namenode:8020/m", {"kind": SourceKind.URI, "scheme": "hdfs"}),
        ("hdfs:///m", {"kind": SourceKind.URI, "scheme": "hdfs"}),
        ("https://[2001:db8::1]:8443/m", {"kind": SourceKind.URI, "scheme": "https"}),
        ("http://127.0.0.1:5000/m", {"kind": SourceKind.URI, "scheme": "http"}),
        ("ftp2://h/x", {"kind": SourceKind.URI, "scheme": "ftp2"}),  # unknown schemes are opaque, as in MLflow
        ("dummy-source", {"kind": SourceKind.OPAQUE_NAME, "scheme": None}),
    ],
)
def test_a_source_names(text: str, expected: dict[str, object]) -> None:
    source = parse_source(text)
    assert source.text == text
    assert {field: getattr(source, field) for field in expected} == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("/etc", "It names files of a machine, not of this registry."),  # SU-01
        ("./model", "It names files of a machine, not of this registry."),
        ("~/model", "It names files of a machine, not of this registry."),
        ("..", "It names files of a machine, not of this registry."),
        ("C:/models", "It names files of a machine, not of this registry."),
        ("file:///etc", "It names files of a machine, not of this registry."),  # SU-02
        ("FILE:/etc", "It names files of a machine, not of this registry."),
        ("file:etc", "It names files of a machine, not of this registry."),
        ("file://localhost/etc", "It names files of a machine, not of this registry."),  # SU-04
        ("mlflow-artifacts:/0/../../../etc", "It has a '.' or '..' segment."),  # SU-05
        ("mlflow-artifacts:/0/./x", "It has a '.' or '..' segment."),
        ("mlflow-artifacts:/0/%2e%2e/etc", "It hides a character as '%2e'."),
        ("s3://b/%252e%252e/etc", "It hides a character as '%25'."),
        ("s3://b/%2F..%2Fx", "It hides a character as '%2F'."),
        ("s3://b/a%00b", "It hides a character as '%00'."),
        ("s3://b/%c0%ae%c0%ae/x", "Its percent-escapes are not UTF-8."),
        ("s3://b/%EF%BC%8E%EF%BC%8E/x", "It has a '.' or '..' segment."),
        ("s3://b/．．/x", "It has a '.' or '..' segment."),
        ("s3://b/100%", "'%' is not a percent-escape."),
        ("/etc%3f/../../a", "It names files of a machine, not of this registry."),  # SU-07
        ("http:///#/../../../../etc", "It has a query, a fragment or parameters ('?', '#', ';')."),  # SU-08
        ("http:///?/../../../../etc", "It has a query, a fragment or parameters ('?', '#', ';')."),  # SU-10
        ("http:///;/../../../../etc", "It has a query, a fragment or parameters ('?', '#', ';')."),  # SU-11
        ("http:///x", "'http:' needs a host or bucket after '//'."),
        ("s3:/x", "'s3:' needs a host or bucket after '//'."),
        ("file:///tmp\\..\\..\\etc", "It contains a backslash."),  # SU-13
        ("\tfi\nle:///etc", "Character 1 (U+0009 no name) is invisible or not a character."),  # SU-14
        (" file:///etc", "It contains white space."),
        ("s3://b/k\u00a0", "It contains white space."),
        ("s3://b/my model", "It contains a space."),
        ("runs://x@127.0.0.1/R/model", "'runs:' takes one '/' and no host."),  # SU-19
        ("models://x/iris/1", "'models:' takes one '/' and no host."),
        ("models:iris/1", "'models:' takes one '/' and no host."),
        ("ftp://u:p@127.0.0.1:2121/x", "The scheme 'ftp' is not supported."),  # SU-22
        ("sftp://localhost/x", "'sftp:' may not lead back to this machine."),
        ("hdfs://127.0.0.1:8020/x", "'hdfs:' may not lead back to this machine."),
        ("hdfs://a.localhost./x", "'hdfs:' may not lead back to this machine."),
        ("hdfs://[::ffff:127.0.0.1]/x", "'hdfs:' may not lead back to this machine."),
        ("viewfs://0.0.0.0/x", "'viewfs:' may not lead back to this machine."),
        ("hdfs://127.1/x", "'127.1' is not an IP address."),
        ("http://2130706433/x", "'2130706433' is not an IP address."),
        ("http://0x7f.1/x", "'0x7f.1' is not an IP address."),
        ("sftp://ana@host/x", "It carries a user name."),
        ("s3://evil@bkt/../other/key", "It carries a user name."),  # SU-23
        ("s3://bkt/../other/key", "It has a '.' or '..' segment."),
        ("s3://a:b@bkt/key", "'a:b@bkt' is not a host or bucket."),
        ("http://[::1/x", "'[::1' is not a host or bucket."),
        ("http://[1:2]/x", "'[1:2]' is not an IP address."),
        ("http://h:70000/x", "'h:70000' is not a host or bucket."),
        ("s3://../x", "'..' is not a host or bucket."),
        ("s3://b//k", "It has an empty segment ('//')."),
        ("mlflow-artifacts:/", "Missing value for required parameter 'path'."),
        ("mlflow-artifacts:/a/aux", "Invalid path: 'a/aux' has the segment 'aux', a device on Windows."),
        ("models:/iris", "It names no version, alias or stage."),
        ("models:/m-123", "It names no version, alias or stage."),
        ("models:/iris/1/x", "It has too many segments."),
        ("models:/iris/", "Missing value for required parameter 'stage'."),
        ("models:/iris/01", "Parameter 'version' must be an integer, got '01'."),
        ("models:/iris/٣", "Parameter 'version' must be an integer, got '٣'."),
        ("models:/iris/-1", "Parameter 'version' must be a positive integer, got '-1'."),
        ("models:/ir%69s/1", "Invalid model name 'ir%69s'. Names cannot contain a backslash or a percent-escape."),
        ("models:/%2e%2e/1", "It has a '.' or '..' segment."),
        ("runs:/../x", "It has a '.' or '..' segment."),
        ("runs:/a b/x", "'a b' is not the id of a run."),
        ("javascript:alert(1)", "The scheme 'javascript' is not supported."),
        ("x:y", "It names files of a machine, not of this registry."),
        ("gopher:y", "'gopher:' is not followed by '/'."),
        ("s3://b/" + "k" * 2048, "It has 2055 characters."),
    ],
)
def test_a_source_is_refused(text: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_source(text)
    assert caught.value.message.startswith("Invalid model version source: '")
    assert caught.value.message.endswith(f"'. {why}")
    assert caught.value.hint


@pytest.mark.parametrize("text", [None, ""])
def test_no_source_is_a_missing_parameter(text: object) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_source(text)
    assert caught.value.message == "Missing value for required parameter 'source'."


def test_local_files_are_told_the_way_in() -> None:
    with pytest.raises(InvalidInput, match="greenroom push DIR MODEL"):
        parse_source("/home/ana/model")


def test_a_run_source_and_its_run_id_must_agree() -> None:
    source = parse_source("runs:/R1/model")
    for run_id in ("R1", "", None):
        check_run_source(source, run_id)
    check_run_source(parse_source("s3://b/k"), "R2")
    with pytest.raises(InvalidInput) as caught:
        check_run_source(source, "R2")
    assert (
        caught.value.message
        == "Invalid model version source: 'runs:/R1/model'. It belongs to run 'R1', not to run 'R2'."
    )


PIECES = st.sampled_from(
    ["models:", "runs:", "mlflow-artifacts:", "s3:", "http:", "hdfs:", "abfss:", "file:", "/", "//", "..", ".", "%2e",
     "%25",
     "%", "@", ":", "[", "]", "::1", "127.0.0.1", "R1", "m", "1", "\\", "#", "?", ";", " ", "\t", "\x00", "．", "é",
     "\ud800"]
)  # fmt: skip


@given(text=st.one_of(st.text(), st.lists(PIECES, max_size=12).map("".join), st.none(), st.integers(), st.binary()))
@settings(max_examples=600, deadline=None)
def test_whatever_comes_in_is_a_clean_source_or_refused(text: object) -> None:
    try:
        source = parse_source(text)
    except InvalidInput:
        return
    assert isinstance(source, Source)
    assert ".." not in source.text.split("/")
    assert "\\" not in source.text
    assert not set(source.text) & set("?#;\t\n\x00")
    assert not source.text.lower().startswith(("file:", "/"))
