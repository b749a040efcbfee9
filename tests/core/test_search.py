"""One row is one sentence of the search language: what it means, or the words in which it is refused."""

from __future__ import annotations

import contextlib
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from greenroom.core import search
from greenroom.core.dialects import MODELS, NATIVE_MODELS, NATIVE_VERSIONS, VERSIONS
from greenroom.core.errors import InvalidInput
from greenroom.core.search import (
    Comparison,
    Dialect,
    Entity,
    Field,
    Filter,
    Op,
    Order,
    Prompts,
    parse_filter,
    parse_order_by,
)

PROMPT = f"tags.`{search.PROMPT_TAG}`"


def about(key: str, op: Op, value: search.Value, entity: Entity = Entity.ATTRIBUTE) -> Comparison:
    return Comparison(Field(entity, key), op, value)


def tag(key: str, op: Op, value: str) -> Comparison:
    return about(key, op, value, Entity.TAG)


@pytest.mark.parametrize(
    ("dialect", "text", "expected"),
    [
        (MODELS, None, []),
        (MODELS, " \n", []),
        (MODELS, "name = 'iris'", [about("name", Op.EQ, "iris")]),
        (MODELS, 'name="it\'s"', [about("name", Op.EQ, "it's")]),
        (MODELS, "name = 'it''s'", [about("name", Op.EQ, "it's")]),
        (MODELS, "name = ''", [about("name", Op.EQ, "")]),
        (MODELS, "attribute.name != 'x'", [about("name", Op.NE, "x")]),
        (MODELS, "`name` = 'x'", [about("name", Op.EQ, "x")]),
        (MODELS, "name like 'a%'", [about("name", Op.LIKE, "a%")]),
        (MODELS, "name ILIKE '%A_'", [about("name", Op.ILIKE, "%A_")]),
        (MODELS, "name IN ('a', \"b\")", [about("name", Op.IN, ("a", "b"))]),
        (MODELS, "name not  in('a')", [about("name", Op.NOT_IN, ("a",))]),
        (MODELS, "tags.team = 'risk'", [tag("team", Op.EQ, "risk")]),
        (MODELS, "tag.a.b-c = 'x'", [tag("a.b-c", Op.EQ, "x")]),
        (MODELS, "tags.`my key` != 'x'", [tag("my key", Op.NE, "x")]),
        (MODELS, 'tags."my.key" LIKE \'%\'', [tag("my.key", Op.LIKE, "%")]),
        (MODELS, "name='x'AND tags.k='1' and tags.k!='2'",
         [about("name", Op.EQ, "x"), tag("k", Op.EQ, "1"), tag("k", Op.NE, "2")]),
        (VERSIONS, "name='a' and run_id in ('r1')", [about("name", Op.EQ, "a"), about("run_id", Op.IN, ("r1",))]),
        (VERSIONS, "source_path LIKE 's3:%'", [about("source", Op.LIKE, "s3:%")]),
        (VERSIONS, "version_number >= 3", [about("version", Op.GE, 3)]),
        (VERSIONS, "version_number<'15'", [about("version", Op.LT, 15)]),
        (VERSIONS, "version_number != -1", [about("version", Op.NE, -1)]),
        (NATIVE_VERSIONS, "stage = 'Production'", [about("stage", Op.EQ, "Production")]),
        (NATIVE_VERSIONS, "alias IN ('champion')", [about("alias", Op.IN, ("champion",))]),
        (NATIVE_VERSIONS, "metrics.auc > 0.9", [about("auc", Op.GT, 0.9, Entity.METRIC)]),
        (NATIVE_VERSIONS, "metrics.`val auc` <= -1e-3", [about("val auc", Op.LE, -0.001, Entity.METRIC)]),
        (NATIVE_VERSIONS, "params.C = '1.0'", [about("C", Op.EQ, "1.0", Entity.PARAM)]),
        (NATIVE_VERSIONS, "version > 2", [about("version", Op.GT, 2)]),
        (NATIVE_VERSIONS, "created_at >= 1767225600000", [about("created_at", Op.GE, 1_767_225_600_000)]),
        (NATIVE_VERSIONS, "created_at >= '2026-01-01'", [about("created_at", Op.GE, 1_767_225_600_000)]),
        (NATIVE_VERSIONS, "updated_at < '2026-01-01T01:00:00+01:00'", [about("updated_at", Op.LT, 1_767_225_600_000)]),
        (NATIVE_MODELS, "lifecycle = 'guarded'", [about("lifecycle", Op.EQ, "guarded")]),
        (NATIVE_MODELS, "author ILIKE 'ana%'", [about("author", Op.ILIKE, "ana%")]),
    ],
)  # fmt: skip
def test_a_filter_means(dialect: Dialect, text: str | None, expected: list[Comparison]) -> None:
    assert parse_filter(text, dialect) == Filter(tuple(expected), Prompts.HIDDEN)


@pytest.mark.parametrize(
    ("dialect", "text", "message"),
    [
        (MODELS, "name='x' OR 1=1", "Invalid clause(s) in filter string: 'OR 1=1'"),
        (MODELS, "name='x' OR 1=1 --", "Invalid clause(s) in filter string: '--'"),
        (MODELS, "(name = 'x')", "Invalid clause(s) in filter string: '(name = 'x')'"),
        (MODELS, "(" * 9999, f"Invalid clause(s) in filter string: '{'(' * 97}...'"),
        (MODELS, "name", "Invalid clause(s) in filter string: 'name'"),
        (MODELS, "name =", "Invalid clause(s) in filter string: 'name ='"),
        (MODELS, "= 'x'", "Invalid clause(s) in filter string: '= 'x''"),
        (MODELS, "'name' = 'x'", "Invalid clause(s) in filter string: ''name' = 'x''"),
        (MODELS, "name = 'x' AND", "Invalid clause(s) in filter string: 'name = 'x' AND'"),
        (MODELS, "AND name = 'x'", "Invalid clause(s) in filter string: 'AND name = 'x''"),
        (MODELS, "name = 'x' name = 'y'", "Invalid clause(s) in filter string: 'name = 'y''"),
        (MODELS, "name = 'x", "Invalid clause(s) in filter string: ''x'"),
        (MODELS, "name IS NULL", "Invalid clause(s) in filter string: 'name IS NULL'"),
        (VERSIONS, "tags.k IS NOT NULL", "Invalid clause(s) in filter string: 'tags.k IS NOT NULL'"),
        (MODELS, "name NOT LIKE 'x'", "Invalid clause(s) in filter string: 'name NOT LIKE 'x''"),
        (MODELS, "tags. `k` = 'x'", "Invalid clause(s) in filter string: 'tags. `k` = 'x''"),
        (MODELS, "tags.'k' = 'x'", "Invalid clause(s) in filter string: 'tags.'k' = 'x''"),
        (MODELS, "name IN ()", "Invalid clause(s) in filter string: 'name IN ()'"),
        (MODELS, "name IN 'a'", "Invalid clause(s) in filter string: 'name IN 'a''"),
        (MODELS, "name IN ('a',)", "Invalid clause(s) in filter string: 'name IN ('a',)'"),
        (MODELS, "name IN ('a' 'b')", "Invalid clause(s) in filter string: 'name IN ('a' 'b')'"),
        (MODELS, "name IN (a)", "Expected a quoted string value for attribute (e.g. 'my-value'). Got value a"),
        (MODELS, "name = 5", "Expected a quoted string value for attribute (e.g. 'my-value'). Got value 5"),
        (MODELS, "tags.k = v", "Expected a quoted string value for tag (e.g. 'my-value'). Got value v"),
        (MODELS, "foo = 'x'", "Invalid attribute key 'foo' specified. Valid keys are '{'name'}'"),
        (MODELS, "stage = 'x'", "Invalid attribute key 'stage' specified. Valid keys are '{'name'}'"),
        (VERSIONS, "attribute.foo = 'x'",
         "Invalid attribute key 'foo' specified. Valid keys are '{'name', 'run_id', 'source_path', 'version_number'}'"),
        (MODELS, "foo.bar = 'x'", "Invalid entity type 'foo'. Valid values are attribute, tag."),
        (VERSIONS, "metrics.auc > 1", "Invalid entity type 'metrics'. Valid values are attribute, tag."),
        (MODELS, "name > 'x'", "Invalid comparator for attribute: >"),
        (MODELS, "tags.k > 'x'", "Invalid comparator for tag: >"),
        (MODELS, "tags.k IN ('x')", "Invalid comparator for tag: IN"),
        (VERSIONS, "source_path IN ('x')", "Invalid comparator for attribute: IN"),
        (VERSIONS, "version_number LIKE '1%'", "Invalid comparator for attribute: LIKE"),
        (VERSIONS, "version_number = 1.5", "Expected an integer for 'version_number'. Got value 1.5"),
        (VERSIONS, "version_number = '1.5'", "Expected an integer for 'version_number'. Got value '1.5'"),
        (VERSIONS, "version_number = '٣'", "Expected an integer for 'version_number'. Got value '٣'"),
        (VERSIONS, "version_number > 99999999999999999999",
         "Expected an integer for 'version_number'. Got value 99999999999999999999"),
        (NATIVE_VERSIONS, "metrics.auc > '1'", "Expected a finite number for 'auc'. Got value '1'"),
        (NATIVE_VERSIONS, "metrics.auc > 1e999", "Expected a finite number for 'auc'. Got value 1e999"),
        (NATIVE_VERSIONS, "created_at > 'soon'",
         "Expected milliseconds or a quoted date for 'created_at'. Got value 'soon'"),
        (MODELS, "name = 'a'; DROP TABLE x",
         "Search filter contained multiple expression 'name = 'a'; DROP TABLE x'."),
        (MODELS, "name = 'a\x00'", "Invalid filter 'name = 'a\\x00''. It contains a NUL character."),
        (MODELS, "tags.`a@b` = 'x'",
         "Invalid tag key 'a@b'. Keys consist of letters, digits, spaces and '_', '-', '.', ':', '/'."),
        (MODELS, 5, "Invalid value 5 for parameter 'filter' supplied:  Hint: Value was of type 'int'."),
        (MODELS, " AND ".join(["name='x'"] * 65), "The filter has more than 64 comparisons."),
        (MODELS, "name LIKE '" + "%a" * 9 + "'", "Invalid LIKE pattern '%a%a%a%a%a%a%a%a%a'. It has 9 '%' signs."),
        (MODELS, "name LIKE '" + "a" * 501 + "'", f"Invalid LIKE pattern '{'a' * 97}...'. It has 501 characters."),
        (MODELS, "name = '" + "a" * 10_000 + "'", f"Invalid filter 'name = '{'a' * 89}...'. It has 10009 characters."),
    ],
)  # fmt: skip
def test_a_filter_is_refused(dialect: Dialect, text: object, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_filter(text, dialect)
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "default", "expected"),
    [
        (None, Prompts.HIDDEN, Filter()),
        (None, Prompts.ANY, Filter(prompts=Prompts.ANY)),
        (f"{PROMPT} != 'true'", Prompts.ANY, Filter(prompts=Prompts.HIDDEN)),
        (f"name = 'a' AND tag.`{search.PROMPT_TAG}` != 'true'", Prompts.HIDDEN, Filter((about("name", Op.EQ, "a"),))),
        (f"tags.{search.PROMPT_TAG} = 'true'", Prompts.HIDDEN, Filter(prompts=Prompts.ONLY)),
        (f"{PROMPT} = 'true' AND name = 'a'", Prompts.ANY, Filter((about("name", Op.EQ, "a"),), Prompts.ONLY)),
        # nothing is both
        (f"{PROMPT} = 'true' AND {PROMPT} != 'true'", Prompts.ANY,
         Filter((tag(search.PROMPT_TAG, Op.EQ, "true"),), Prompts.HIDDEN)),
        (f"{PROMPT} = 'false'", Prompts.HIDDEN, Filter((tag(search.PROMPT_TAG, Op.EQ, "false"),))),
        ("tags.`mlflow.prompt.is_prompt2` != 'true'", Prompts.ANY,
         Filter((tag("mlflow.prompt.is_prompt2", Op.NE, "true"),), Prompts.ANY)),
    ],
)  # fmt: skip
def test_prompts_are_hidden_unless_asked_for(text: str | None, default: Prompts, expected: Filter) -> None:
    assert parse_filter(text, MODELS, prompts=default) == expected


NAME, VERSION_DOWN = Order("name"), Order("version", descending=True)


@pytest.mark.parametrize(
    ("dialect", "items", "expected"),
    [
        (MODELS, None, (NAME,)),
        (MODELS, ["name desc"], (Order("name", descending=True),)),
        (MODELS, ["timestamp"], (Order("updated_at"), NAME)),
        (MODELS, ["last_updated_timestamp  DESC "], (Order("updated_at", descending=True), NAME)),
        (MODELS, ["attribute.name ASC"], (NAME,)),
        (MODELS, ["`name`"], (NAME,)),
        (VERSIONS, [], (Order("updated_at", descending=True), NAME, VERSION_DOWN)),
        (VERSIONS, ["name"], (NAME, VERSION_DOWN)),
        (VERSIONS, ["version_number"], (Order("version"), NAME)),
        (VERSIONS, ["creation_timestamp Desc", "name DESC"],
         (Order("created_at", descending=True), Order("name", descending=True), VERSION_DOWN)),
        (NATIVE_VERSIONS, ["created_at"], (Order("created_at"), NAME, VERSION_DOWN)),
        (NATIVE_MODELS, ["created_at DESC"], (Order("created_at", descending=True), NAME)),
    ],
)  # fmt: skip
def test_an_order_is_total(dialect: Dialect, items: list[object] | None, expected: tuple[Order, ...]) -> None:
    assert parse_order_by(items, dialect) == expected


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["name;DROP"], "Invalid order_by key 'name;DROP' specified. Valid keys are "),
        (["name;DROP TABLE registered_models"], "Invalid order_by clause 'name;DROP TABLE registered_models'."),
        (["creation_timestamp"], "Invalid order_by key 'creation_timestamp' specified. Valid keys are "),
        (["name SIDEWAYS"], "Invalid order_by clause 'name SIDEWAYS'."),
        (["name, timestamp"], "Invalid order_by clause 'name, timestamp'."),
        ([" "], "Invalid order_by clause ' '."),
        ([""], "Missing value for required parameter 'order_by'."),
        (["name", "name DESC"], "Invalid order_by: 'name DESC' repeats a key."),
        (["timestamp", "last_updated_timestamp"], "Invalid order_by: 'last_updated_timestamp' repeats a key."),
        ([5], "Invalid value 5 for parameter 'order_by' supplied:  Hint: Value was of type 'int'."),
        (["name"] * 9, "Invalid order_by: not a list of a few keys."),
        ("name", "Invalid order_by: not a list of a few keys."),
    ],
)
def test_an_order_is_refused(items: list[object], message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_order_by(items, MODELS)
    assert caught.value.message.startswith(message)


PIECES = st.sampled_from(
    ["name", "tags.", "tags.k", "`k`", "'x'", '"y"', "=", "!=", ">", "LIKE", "IN", "NOT", "(", ")", ",", "AND", "OR",
     ";",
     "1", "-1.5", "1e9", "'", "`", ".", "version_number", "metrics.a", "created_at", "'0001-01-01T00:00:00+23:59'",
     "\x00"]
)  # fmt: skip


@pytest.mark.parametrize("dialect", [MODELS, VERSIONS, NATIVE_MODELS, NATIVE_VERSIONS])
@given(
    text=st.one_of(st.text(), st.lists(PIECES, max_size=12).map(" ".join), st.lists(PIECES).map("".join), st.integers())
)
@settings(max_examples=200, deadline=None)
def test_whatever_is_asked_is_understood_or_refused(dialect: Dialect, text: object) -> None:
    try:
        parsed = parse_filter(text, dialect)
    except InvalidInput:
        parsed = Filter()
    for comparison in parsed.comparisons:
        field = comparison.field
        known = [*dialect.attributes.values()] if field.entity is Entity.ATTRIBUTE else [dialect.keyed[field.entity]]
        assert any(spec.key in ("", field.key) and comparison.op in spec.ops for spec in known)


@given(items=st.lists(st.one_of(st.text(), st.integers(), st.sampled_from(["name", "timestamp DESC"])), max_size=10))
@settings(max_examples=200, deadline=None)
def test_whatever_order_is_asked_is_total_or_refused(items: list[object]) -> None:
    try:
        orders = parse_order_by(items, MODELS)
    except InvalidInput:
        return
    assert NAME.key in [order.key for order in orders]


@pytest.mark.parametrize("unit", ["'", "''", "name='x' AND ", "`", "(", "a.", "1", "tags.", " ", "-"])
def test_a_long_filter_costs_no_more_than_in_proportion(unit: str) -> None:
    def seconds(size: int) -> float:
        text, best = unit * (size // len(unit)), float("inf")
        for _ in range(3):
            start = time.perf_counter()
            with contextlib.suppress(InvalidInput):
                parse_filter(text, VERSIONS)
            best = min(best, time.perf_counter() - start)
        return best

    # Quadratic work would be 256 times as much; the floor keeps timer noise out.
    assert seconds(9_600) <= 64 * max(seconds(600), 1e-4)
    assert seconds(1 << 20) <= 64 * max(seconds(1 << 16), 1e-3)
