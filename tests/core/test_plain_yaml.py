"""The YAML that tools write is read as PyYAML reads it; what could do harm is refused at once, with its line."""

from __future__ import annotations

import random
import re
import string
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from greenroom.core.errors import InvalidInput
from greenroom.core.plain_yaml import MOST_CHARACTERS, read_yaml
from tests.promises import sized
from tests.races import kit

ROUNDS = sized(400, 20_000)


class Oracle(yaml.SafeLoader):
    """PyYAML that leaves every plain scalar a text but null, true and false."""


Oracle.yaml_implicit_resolvers = {}
Oracle.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), [*"~nN", ""])
Oracle.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), [*"tTfF"])

WRITTEN = {
    "": None,
    "# only this\n": None,
    "a: 1\nb: 3.10\nc: no\n": {"a": "1", "b": "3.10", "c": "no"},
    "a: null\nb: ~\nc:\nd: true\ne: 'null'\n": {"a": None, "b": None, "c": None, "d": True, "e": "null"},
    "a:\n- 1\n- b: 2\n  c: 3\n- - x\n  - y\n-\n": {"a": ["1", {"b": "2", "c": "3"}, ["x", "y"], None]},
    "a:\n  - 1\n  - 2\n": {"a": ["1", "2"]},
    "---\na: b # told\n...\n": {"a": "b"},
    "a: one\n  two\n\n  three\nb: x\n": {"a": "one two\nthree", "b": "x"},
    "a: 'it''s\n  far\n\n  away'\n": {"a": "it's far\naway"},
    'a: "x\\ty\\u00e9\\\n  \\  z"\n': {"a": "x\ty\u00e9  z"},
    "a: |\n  x\n    y\n\nb: >-\n  one\n  two\n\n  three\n": {"a": "x\n  y\n", "b": "one two\nthree"},
    "a: []\nb: {}\nc: [x, 'y, z', {k: v}]\nd: {a: [1,\n   2], b: }\n": {
        "a": [], "b": {}, "c": ["x", "y, z", {"k": "v"}], "d": {"a": ["1", "2"], "b": None},
    },
    "'a b': 1\n\"c\": 2\nd e: 3\n": {"a b": "1", "c": "2", "d e": "3"},
    "just text\n": "just text",
    "url: http://x:80/y#z\ntime: '12:00'\n": {"url": "http://x:80/y#z", "time": "12:00"},
    "\ufeffa: 1\r\nb: 2\r\n": {"a": "1", "b": "2"},
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), WRITTEN.items())
def test_what_tools_write(text: str, value: Any):
    assert read_yaml(text) == value
    assert yaml.load(text, Oracle) == value


BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{to}: &{to} [{', '.join([f'*{of}'] * 9)}]\n" for of, to in zip("abcdefgh", "bcdefghi", strict=True)
)
REFUSED = {
    BOMB: "line 1: an anchor",
    "a: 1\nb: *a\n": "line 2: an alias",
    "- *a\n": "line 1: an alias",
    "a: [*x]\n": "line 1: an alias",
    "&a b: 1\n": "line 1: an anchor",
    "a: !!python/object/apply:os.system ['true']\n": "line 1: a tag",
    "!t a: 1\n": "line 1: a tag",
    "%YAML 1.2\n---\na: 1\n": "line 1: a directive",
    "a: 1\n---\nb: 2\n": "line 2: what is neither",
    "a: 1\na: 2\n": "line 2: the key 'a' twice",
    "<<: {a: 1}\n": "the key '<<' (merging)",
    "? a\n: b\n": "line 1: a key of several lines",
    "a:\n\t- b\n": "line 2: a tab",
    "a: b: c\n": "line 1: a colon",
    "a: 'x\nb: 1\n": "a quoted text without its end",
    "a: 'x' y\n": "line 1: text behind a value",
    "a: [1, 2\n": "a bracket that is not closed",
    "a: [1 [2]]\n": "a missing comma",
    "a: [1}\n": "in brackets is not read",
    'a: "\\q"\n': "the escape \\q",
    'a: "\\ud800"\n': "the escape \\u",
    "a: 1\n   b: 2\n": "a colon in a text",
    "a:\n  - 1\n b: 1\n": "line 3",
    "- " * 40 + "x": "more than 32 levels",
    "a: " + "[" * 40 + "]" * 40: "more than 32 levels",
    "x" * (MOST_CHARACTERS + 1): "at most 1048576 are read",
}


@pytest.mark.parametrize(("text", "told"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_refused_and_where(text: str, told: str):
    with pytest.raises(InvalidInput) as refused:
        read_yaml(text)
    assert told in refused.value.message


HUGE = {
    "open brackets": "a: " + "[" * 1_000_000,
    "dashes": "- " * 500_000,
    "a line that never ends": "a: " + "x " * 500_000,
    "quotes": "a: '" + "''" * 500_000,
    "slashes": 'a: "' + "\\\\" * 500_000,
    "colons": "a: [" + ":" * 1_000_000,
    "blanks in brackets": "a: [x" + " " * 1_000_000,
    "comments": "#\n" * 500_000,
    "blank lines": "a: x" + "\n" * 1_000_000,
    "keys": "".join(f"k{number}: v\n" for number in range(80_000)),
    "lines of a list in brackets": "a: [" + "x,\n" * 300_000 + "x]",
    "lines of a text": "a: x" + "\n  y" * 250_000,
    "lines of quotes": "a: 'x" + "\n  y" * 250_000 + "'",
    "lines of a block": "a: >\n" + "  y\n" * 200_000,
    "indented": "".join(" " * depth + "a:\n" for depth in range(1_300)),
}


@pytest.mark.parametrize("text", HUGE.values(), ids=HUGE)
def test_a_hostile_megabyte_is_read_or_refused_within_a_moment(text: str):
    began = time.perf_counter()
    try:
        read_yaml(text[:MOST_CHARACTERS])
    except InvalidInput as refused:
        assert refused.message.endswith("not read here.")  # noqa: PT017
    assert time.perf_counter() - began < 5


def _value(rng: random.Random, depth: int) -> Any:
    kind = rng.randrange(10 if depth else 7)
    if kind >= 8:
        return {_text(rng)[:60]: _value(rng, depth - 1) for _ in range(rng.randrange(4))}
    if kind >= 7:
        return [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return [None, True, False, _text(rng), _text(rng), rng.choice(["3.10", "no", "null", "true", "", "-", "a: b"]),
            " ".join(_text(rng) for _ in range(rng.randrange(30)))][kind]  # fmt: skip


def _text(rng: random.Random) -> str:
    letters = rng.choice(
        [string.ascii_lowercase, string.printable, "ab'\"\\ \n:#-[]{},&*!|>%@`", "aé漢\U0001f600\t \x07"]
    )
    return "".join(rng.choice(letters) for _ in range(rng.randrange(20)))


def test_what_pyyaml_writes_is_read_as_it_was():
    print(f"seed {kit.SEED}")
    rng = random.Random(kit.SEED)
    for number in range(ROUNDS):
        value = _value(rng, 4)
        width = rng.choice([20, 80, 10_000])
        flow = rng.choice([False, False, None])
        text = yaml.safe_dump(
            value, width=width, allow_unicode=rng.random() < 0.5, sort_keys=False, default_flow_style=flow
        )
        if "? " in text or "&id" in text or (flow is None and ("'" in text or '"' in text)):
            continue  # keys over lines, the same object twice; quotes over lines in brackets: refused
        assert read_yaml(text) == yaml.load(text, Oracle), f"round {number}: {text!r}"


def test_files_of_models_are_read_as_pyyaml_reads_them():
    found = sorted((Path(__file__).parent / "models").glob("*.y*ml"))
    assert len(found) >= 4
    for path in found:
        assert read_yaml(path.read_text("utf-8")) == yaml.load(path.read_text("utf-8"), Oracle)
