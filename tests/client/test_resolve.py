"""Where the registry is: every source, in order, and what is said when none says anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.client.resolve import FolderAddress, ServerAddress, parse_url, resolve
from greenroom.core.errors import InvalidInput

G, D = "GREENROOM_URL", "GREENROOM_DATA"
R, T = "MLFLOW_REGISTRY_URI", "MLFLOW_TRACKING_URI"


@pytest.mark.parametrize(
    ("url", "data", "env", "where"),
    [
        ("http://a:1", None, {G: "http://b", D: "/d"}, "http://a:1"),
        (None, "x", {G: "http://b", D: "/d"}, "cwd/x"),
        (None, None, {G: "http://b", D: "/d", R: "http://r"}, "http://b"),
        (None, None, {D: "/d", R: "http://r"}, "/d"),
        (None, None, {R: "http://r", T: "http://t"}, "http://r"),
        (None, None, {R: "sqlite:///x.db", T: "https://t/ml/"}, "https://t/ml"),
        (None, None, {R: "databricks", T: "file:///tmp"}, "cwd/../.greenroom"),
        (None, None, {G: "", D: ""}, "cwd/../.greenroom"),
    ],
)
def test_the_first_that_says_something_counts(tmp_path, url, data, env, where):
    cwd = tmp_path / "below"
    cwd.mkdir()
    (tmp_path / ".greenroom").mkdir()
    found = resolve(url=url, data=data, env=env, cwd=cwd)
    if isinstance(found, ServerAddress):
        assert found.url == where
    else:
        assert found.folder.resolve() == Path(where.replace("cwd", str(cwd))).resolve()


def test_nothing_named_names_every_way(tmp_path):
    with pytest.raises(InvalidInput) as caught:
        resolve(env={}, cwd=tmp_path)
    for way in ("--url", "--data", G, D, R, T, "greenroom init", ".greenroom"):
        assert way in (caught.value.hint or "")


def test_a_file_named_like_the_folder_is_no_registry(tmp_path):
    (tmp_path / ".greenroom").write_text("no")
    with pytest.raises(InvalidInput):
        resolve(env={}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("text", "url", "host", "port", "prefix"),
    [
        ("http://h", "http://h", "h", 80, ""),
        ("https://h/", "https://h", "h", 443, ""),
        ("HTTP://H:5000/a/b/", "http://h:5000/a/b", "h", 5000, "/a/b"),
        ("http://[::1]:5", "http://[::1]:5", "::1", 5, ""),
        ("https://bücher.example", "https://bücher.example", "xn--bcher-kva.example", 443, ""),
    ],
)
def test_url(text, url, host, port, prefix):
    found = parse_url(text, "given", {})
    assert (found.url, found.host, found.port, found.prefix) == (url, host, port, prefix)


def test_credentials_are_kept_and_never_shown():
    found = parse_url("http://ana:s%20cret%40@h:1/x", "given", {"GREENROOM_TOKEN": "tok"})
    assert (found.user, found.password, found.token) == ("ana", "s cret@", "tok")
    assert "cret" not in found.url + repr(found)
    assert "tok" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "h:5000",
        "ftp://ana:secret@h",
        "http://",
        "http://h:99999",
        "http://h:x",
        "http://h/?a=secret",
        "http://h#f",
        "http://a b",
        "http://h\x00",
        "http://[::1",
        "",
    ],
)
def test_bad_url_is_refused_without_its_password(text):
    with pytest.raises(InvalidInput) as caught:
        parse_url(text, "from GREENROOM_URL", {})
    assert "GREENROOM_URL" in caught.value.message
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("env", "user", "token"),
    [
        ({"MLFLOW_TRACKING_USERNAME": "u", "MLFLOW_TRACKING_PASSWORD": "p"}, "u", None),
        ({"MLFLOW_TRACKING_TOKEN": "t", "MLFLOW_TRACKING_USERNAME": "u"}, None, "t"),
        ({"MLFLOW_TRACKING_TOKEN": "t", "GREENROOM_TOKEN": "g"}, None, "g"),
    ],
)
def test_mlflow_credentials_belong_to_mlflow_addresses(tmp_path, env, user, token):
    found = resolve(env={T: "http://h", **env}, cwd=tmp_path)
    assert isinstance(found, ServerAddress)
    assert (found.user, found.token) == (user, token)
    other = resolve(env={G: "http://h", **env}, cwd=tmp_path)
    assert isinstance(other, ServerAddress)
    assert (other.user, other.token) == (None, env.get("GREENROOM_TOKEN"))


@pytest.mark.parametrize(
    ("url", "data", "message"),
    [
        ("http://h", "d", "both a URL and a data folder are given."),
        (None, "http://ana:pw@h/x", "'h/x' (given as --data) is a URL, not a folder."),
        (None, " ", "the data folder (given as --data) is empty or not a path."),
        (None, "a\0b", "the data folder (given as --data) is empty or not a path."),
    ],
)
def test_what_cannot_be(tmp_path, url, data, message):
    with pytest.raises(InvalidInput) as caught:
        resolve(url=url, data=data, env={}, cwd=tmp_path)
    assert caught.value.message == message


def test_home_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert resolve(data="~/r", env={}, cwd=Path("/")) == FolderAddress(tmp_path / "r", "given as --data")
