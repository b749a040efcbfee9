"""One row is one sentence: what a name, a key, a version or a path may be, and what the refusal says."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.core import names
from greenroom.core.errors import InvalidInput, NotFound

Check = Callable[[object], object]
CHECKS: list[Check] = [
    names.check_model_name,
    names.check_tag_key,
    names.check_tag_value,
    names.check_metric_key,
    names.check_param_key,
    names.check_param_value,
    names.check_description,
    names.check_alias,
    names.check_version,
    names.parse_version,
    names.check_stage_name,
    names.check_actor_name,
    names.check_dataset_name,
    names.check_path,
]
ANYTHING = st.one_of(
    st.text(),
    st.text(alphabet=st.characters(), max_size=300),
    st.text(alphabet="./\\%#?;: aC2eE\x00\u200b\ud800\uff0e\u0301'", max_size=40),
    st.binary(),
    st.integers(),
    st.floats(),
    st.booleans(),
    st.none(),
    st.lists(st.integers()),
)


@pytest.mark.parametrize(
    "name",
    [
        "iris",
        "Iris",
        "my model",
        "a.b-c_d",
        "100%",
        "50%zz",
        "модель",
        "模型",
        "model 🚀",
        "❤\ufe0f",
        "what?",
        "a" * 255,
    ],
)
def test_a_clean_model_name_comes_back_unchanged(name: str) -> None:
    assert names.check_model_name(name) == name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (None, "Missing value for required parameter 'name'."),
        ("", "Missing value for required parameter 'name'."),
        (" \t ", "Missing value for required parameter 'name'."),
        ("\ufe0f", "Missing value for required parameter 'name'."),
        (5, "Invalid value 5 for parameter 'name' supplied:  Hint: Value was of type 'int'."),
        (
            10**1000,
            "Invalid value an integer of 3322 bits for parameter 'name' supplied:  Hint: Value was of type 'int'.",
        ),
        ("a/b", "Invalid model name 'a/b'. Names cannot contain '/' or ':'."),
        ("a:b", "Invalid model name 'a:b'. Names cannot contain '/' or ':'."),
        ("../../etc", "Invalid model name '../../etc'. Names cannot contain '/' or ':'."),
        (".", "Invalid model name '.'. Names cannot read as a relative path."),
        ("..", "Invalid model name '..'. Names cannot read as a relative path."),
        ("..x", "Invalid model name '..x'. Names cannot read as a relative path."),
        ("a\\b", "Invalid model name 'a\\b'. Names cannot contain a backslash or a percent-escape."),
        ("ir%69s", "Invalid model name 'ir%69s'. Names cannot contain a backslash or a percent-escape."),
        (" iris", "Invalid model name ' iris'. It begins or ends with white space."),
        ("iris\u00a0", "Invalid model name 'iris\\xa0'. It begins or ends with white space."),
        ("cafe\u0301", "Invalid model name 'cafe\u0301'. It is not in Unicode normal form C."),
        (
            "iris\u200b",
            "Invalid model name 'iris\\u200b'. Character 5 (U+200B ZERO WIDTH SPACE) is invisible or not a character.",
        ),
        ("a" * 256, f"Invalid model name '{'a' * 97}...'. It has 256 characters."),
        ("模" * 171, f"Invalid model name '{'模' * 97}...'. It has 513 bytes."),
    ],
)
def test_an_unclean_model_name_is_refused_in_words(name: object, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names.check_model_name(name)
    assert caught.value.message == text


@pytest.mark.parametrize("character", ["\x00", "\n", "\x7f", "\u202e", "\u2066", "\ufeff", "\ud800", "\ue000", "\u2028",
                                       "\u0378", "\u3164", "\u2800", "\u034f", "\ufe01", "\U000e0101",
                                       "\u00ad"])  # fmt: skip
@pytest.mark.parametrize("check", [names.check_model_name, names.check_actor_name, names.check_dataset_name,
                                   names.check_stage_name, names.check_path, names.check_tag_key,
                                   names.check_alias])  # fmt: skip
def test_what_cannot_be_seen_cannot_be_part_of_a_name(check: Check, character: str) -> None:
    with pytest.raises(InvalidInput):
        check(f"a{character}b")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("iris", "iris", True),
        ("iris", "Iris", False),  # MLflow's clash check is case-sensitive
        ("iris", "ｉｒｉｓ", True),
        ("ﬁsh", "fish", True),
        ("my model", "my  model", True),
        ("my model", "my\u00a0model", True),
        ("❤", "❤\ufe0f", True),
        ("a b", "ab", False),
    ],
)
def test_names_that_look_alike_share_a_key(one: str, other: str, same: bool) -> None:
    assert (names.name_key(one) == names.name_key(other)) is same


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Production", "PRODUCTION", True),
        ("In review", "in  Review", True),
        ("Straße", "STRASSE", True),
        ("A", "B", False),
    ],
)
def test_stages_are_compared_without_case(one: str, other: str, same: bool) -> None:
    assert (names.stage_key(one) == names.stage_key(other)) is same


@pytest.mark.parametrize(
    ("check", "value"),
    [
        (names.check_stage_name, "Production"),
        (names.check_stage_name, "In review-2.b"),
        (names.check_stage_name, "v2"),
        (names.check_stage_name, "2nd look"),
        (names.check_stage_name, "Prüfung"),
        (names.check_stage_name, "a" * 63),
        (names.check_alias, "champion"),
        (names.check_alias, "v"),
        (names.check_alias, "v1-beta"),
        (names.check_alias, "a" * 255),
        (names.check_tag_key, "mlflow.prompt.is_prompt"),
        (names.check_tag_key, "a/b: c-d"),
        (names.check_tag_key, "clé"),
        (names.check_tag_key, "a" * 250),
        (names.check_metric_key, "val/auc"),
        (names.check_param_key, "model.C"),
        (names.check_tag_value, ""),
        (names.check_tag_value, "line\nline\u200d🚀"),
        (names.check_tag_value, "a" * 100_000),
        (names.check_param_value, "a" * 6_000),
        (names.check_description, "a" * 100_000),
        (names.check_actor_name, "DOMAIN\\ana: team/a@example.org"),
        (names.check_dataset_name, "s3://bucket/train.csv"),
    ],
)
def test_clean_values_come_back_unchanged(check: Check, value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(
    ("check", "value", "text"),
    [
        (names.check_stage_name, "", "Missing value for required parameter 'stage'."),
        (names.check_stage_name, "@x",
         "Invalid stage name '@x'. It has more than letters, digits, spaces, '_', '-' and '.'."),
        (names.check_stage_name, "a" * 64, f"Invalid stage name '{'a' * 64}'. It has 64 characters."),
        (names.check_stage_name, "DELETED_internal", "Invalid stage name 'DELETED_internal'. This name is reserved."),
        (names.check_stage_name, "Latest", "Invalid stage name 'Latest'. This name is reserved."),
        (names.check_stage_name, "3", "Invalid stage name '3'. This name is reserved."),
        (names.check_stage_name, "٣", "Invalid stage name '٣'. This name is reserved."),
        (names.check_stage_name, "..", "Invalid stage name '..'. This name is reserved."),
        (names.check_alias, "Latest", "Invalid alias 'Latest'. 'latest' and 'v' with a number are reserved."),
        (names.check_alias, "ｌatest",
         "Invalid alias 'ｌatest'. 'latest' and 'v' with a number are reserved."),
        (names.check_alias, "V12", "Invalid alias 'V12'. 'latest' and 'v' with a number are reserved."),
        (names.check_alias, "a b", "Invalid alias 'a b'. Aliases consist of letters, digits, '_' and '-'."),
        (names.check_alias, "a\n",
         "Invalid alias 'a\\n'. Character 2 (U+000A no name) is invisible or not a character."),
        (names.check_tag_key, "a@b",
         "Invalid tag key 'a@b'. Keys consist of letters, digits, spaces and '_', '-', '.', ':', '/'."),
        (names.check_tag_key, "a/../b", "Invalid tag key 'a/../b'. Keys cannot read as a path that leads elsewhere."),
        (names.check_tag_key, "/a", "Invalid tag key '/a'. Keys cannot read as a path that leads elsewhere."),
        (names.check_metric_key, "a//b", "Invalid metric key 'a//b'. Keys cannot read as a path that leads elsewhere."),
        (names.check_tag_value, None, "Missing value for required parameter 'value'."),
        (names.check_tag_value, "a\x00", "Invalid tag value 'a\\x00'. It contains a NUL character."),
        (names.check_tag_value, "\ud800", "Invalid tag value '\\ud800'. It contains half of a surrogate pair."),
        (names.check_description, [], "Invalid value a value of type list for parameter 'description' supplied:  "
                                      "Hint: Value was of type 'list'."),
    ],
)  # fmt: skip
def test_unclean_values_are_refused_in_words(check: Check, value: object, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check(value)
    assert caught.value.message == text


def test_reserved_aliases_can_be_looked_up() -> None:
    assert names.check_alias("latest", reserved_ok=True) == "latest"


@pytest.mark.parametrize(("value", "number"), [("1", 1), (7, 7), ("9999999999", 9_999_999_999)])
def test_a_version_is_a_positive_integer(value: object, number: int) -> None:
    assert names.check_version(value) == names.parse_version(value) == number


@pytest.mark.parametrize(
    "value",
    [
        "abc",
        "01",
        "1.0",
        "1e1",
        "+2",
        " 2 ",
        "2\n",
        "٣",
        "1٣",
        "²",
        "1_0",
        "12345678901",
        "9" * 20,
        "-01",
        True,
        1.0,
        10**10,
        [],
    ],
)
def test_no_other_spelling_of_a_version_passes(value: object) -> None:
    for check in (names.check_version, names.parse_version):
        with pytest.raises(InvalidInput) as caught:
            check(value)
        assert caught.value.message == f"Parameter 'version' must be an integer, got '{names.shown(value)}'."


@pytest.mark.parametrize("value", ["0", "-1", 0, -5])
def test_zero_and_below_are_no_version_of_ours_and_not_found_for_mlflow(value: object) -> None:
    with pytest.raises(InvalidInput, match="must be a positive integer, got"):
        names.check_version(value)
    with pytest.raises(NotFound) as caught:
        names.parse_version(value)
    assert caught.value.message == f"Model Version (version={value}) not found"
    with pytest.raises(NotFound) as caught:
        names.parse_version(value, model="iris")
    assert caught.value.message == f"Model Version (name=iris, version={value}) not found"


@pytest.mark.parametrize(
    "path",
    ["a", "model/MLmodel", "a b/c", ".hidden/x", "a..b", "2026-01-31T12:00.json", "auxiliary/console", "質問？.txt",
     "a" * 255,
     "/".join("a" * 32), "100%", "notes…"],
)  # fmt: skip
def test_a_clean_path_comes_back_unchanged(path: str) -> None:
    assert names.check_path(path) == path


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("../x", "has a '..' segment"),
        ("a/./b", "has a '.' segment"),
        ("a//b", "has an empty segment"),
        ("/etc", "begins or ends with '/'"),
        ("//127.0.0.1/share", "begins or ends with '/'"),
        ("a/", "begins or ends with '/'"),
        ("..\\..\\x", "contains a backslash; segments are joined by '/'"),
        ("C:/Windows/win.ini", "has a segment that begins with a drive letter"),
        ("a/c:x", "has a segment that begins with a drive letter"),
        ("%2e%2e/x", "contains '#', '?', ';' or a percent-escape"),
        ("%25252e/x", "contains '#', '?', ';' or a percent-escape"),
        ("a#/x", "contains '#', '?', ';' or a percent-escape"),
        ("a;/x", "contains '#', '?', ';' or a percent-escape"),
        ("a?x", "contains '#', '?', ';' or a percent-escape"),
        ("．．/x", "contains a compatibility form of a '.', '..' or device segment"),
        ("‥/x", "contains a compatibility form of a '.', '..' or device segment"),
        ("a／．．／b", "contains a compatibility form of a '.', '..' or device segment"),
        ("com¹", "contains a compatibility form of a '.', '..' or device segment"),
        ("a＼b", "contains a compatibility form of a backslash or a percent-escape"),
        ("aux.txt ", "has a segment that ends with a dot or a space"),
        ("a./b", "has a segment that ends with a dot or a space"),
        ("x/NUL.tar.gz", "has the segment 'NUL.tar.gz', a device on Windows"),
        ("lpt1", "has the segment 'lpt1', a device on Windows"),
        ("aux .txt", "has the segment 'aux .txt', a device on Windows"),
        ("a" * 256, "has a segment of more than 255 bytes"),
        ("/".join("a" * 33), "has 33 segments of at most 32"),
        ("a" * 1025, "is longer than 1024 bytes"),
        ("é" * 600, "is longer than 1024 bytes"),
        ("cafe\u0301", "is not in Unicode normal form C"),
    ],
)
def test_an_unclean_path_is_refused_in_words(path: str, problem: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        names.check_path(path)
    assert caught.value.message == f"Invalid path: '{names.shown(path)}' {problem}."
    assert str(caught.value.hint).startswith("Rename it")
    assert ("unicodedata.normalize('NFC', name)" in str(caught.value)) == (problem == "is not in Unicode normal form C")


@pytest.mark.parametrize("check", CHECKS)
@given(value=ANYTHING)
@settings(max_examples=60, deadline=None)
def test_whatever_comes_in_only_the_two_known_errors_come_out(check: Check, value: object) -> None:
    text = ""
    try:
        check(value)
    except (InvalidInput, NotFound) as refusal:
        text = refusal.message
    assert len(text) < 400
    assert not set(text) & set("\n\x00\u200b")


@pytest.mark.parametrize("check", [*CHECKS, names.name_key, names.stage_key])
@pytest.mark.parametrize("unit", ["a", " ", "/", "\u0301\u0327", "%2", "a/", "\ufdfa"])
def test_a_text_sixteen_times_as_long_costs_no_more_than_in_proportion(check: Check, unit: str) -> None:
    def seconds(size: int) -> float:
        text, best = unit * (size // len(unit)), float("inf")
        for _ in range(3):
            start = time.perf_counter()
            with pytest.raises((InvalidInput, NotFound)):
                check(text)
            best = min(best, time.perf_counter() - start)
        return best

    # Quadratic work would be 256 times as much; the floor keeps timer noise of microseconds out.
    assert seconds(1 << 21) <= 64 * max(seconds(1 << 17), 1e-3)


def test_an_integer_that_python_will_not_print_is_refused_like_any_other() -> None:
    for check in CHECKS:
        with pytest.raises(InvalidInput, match="an integer of 29898 bits"):
            check(10**9000)


def test_every_limit_is_stated_once_and_with_words() -> None:
    assert all(limit.name == name and limit.value > 0 and limit.what for name, limit in names.LIMITS.items())
