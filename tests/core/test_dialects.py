"""What may be asked about runs, experiments and logged models: a table of filters and orders."""

from __future__ import annotations

import pytest

from greenroom.core.dialects import EXPERIMENTS, LOGGED_MODELS, RUNS
from greenroom.core.errors import InvalidInput
from greenroom.core.search import Comparison, Dialect, Entity, Field, Op, Order, Value, parse_filter, parse_order_by


def about(key: str, op: Op, value: Value, entity: Entity = Entity.ATTRIBUTE) -> Comparison:
    return Comparison(Field(entity, key), op, value)


@pytest.mark.parametrize(
    ("dialect", "text", "found"),
    [
        (RUNS, "metrics.auc > 0.9", [about("auc", Op.GT, 0.9, Entity.METRIC)]),
        (RUNS, "metric.`val loss` <= -1e-3", [about("val loss", Op.LE, -0.001, Entity.METRIC)]),
        (RUNS, "params.lr = '0.1'", [about("lr", Op.EQ, "0.1", Entity.PARAM)]),
        (RUNS, "parameters.lr != '0.1'", [about("lr", Op.NE, "0.1", Entity.PARAM)]),
        (RUNS, "tags.team IS NULL", [about("team", Op.IS_NULL, None, Entity.TAG)]),
        (RUNS, "params.lr is not null", [about("lr", Op.IS_NOT_NULL, None, Entity.PARAM)]),
        (RUNS, "run_id IN ('a', 'b')", [about("id", Op.IN, ("a", "b"))]),
        (RUNS, "run.run_name LIKE 'x%'", [about("name", Op.LIKE, "x%")]),
        (RUNS, "attributes.status = 'FINISHED'", [about("status", Op.EQ, "FINISHED")]),
        (RUNS, "attr.`Run name` = 'x'", [about("name", Op.EQ, "x")]),
        (RUNS, "created > 1700000000000", [about("start_time", Op.GT, 1_700_000_000_000)]),
        (RUNS, "end_time < 5", [about("end_time", Op.LT, 5)]),
        (RUNS, "datasets.name = 'iris'", [about("name", Op.EQ, "iris", Entity.DATASET)]),
        (RUNS, "dataset.context IN ('training')", [about("context", Op.IN, ("training",), Entity.DATASET)]),
        (EXPERIMENTS, "name ILIKE '%x%'", [about("name", Op.ILIKE, "%x%")]),
        (EXPERIMENTS, "experiment_id IN ('1', '2')", [about("id", Op.IN, (1, 2))]),
        (EXPERIMENTS, "tags.k IS NOT NULL", [about("k", Op.IS_NOT_NULL, None, Entity.TAG)]),
        (LOGGED_MODELS, "name = 'm' AND tags.k = 'v'", [about("name", Op.EQ, "m"), about("k", Op.EQ, "v", Entity.TAG)]),
        (LOGGED_MODELS, "attributes.status = 'READY'", [about("status", Op.EQ, "READY")]),
        (LOGGED_MODELS, "params.depth IN ('3')", [about("depth", Op.IN, ("3",), Entity.PARAM)]),
    ],
)  # fmt: skip
def test_a_filter_is_read(dialect: Dialect, text: str, found: list[Comparison]) -> None:
    assert list(parse_filter(text, dialect).comparisons) == found


@pytest.mark.parametrize(
    ("dialect", "text", "message"),
    [
        (RUNS, "metrics.auc LIKE 'x'", "Invalid comparator for metric: LIKE"),
        (RUNS, "metrics.auc = 'x'", "Expected a finite number for 'auc'. Got value 'x'"),
        (RUNS, "metrics.auc IS NULL", "Invalid clause(s) in filter string: 'metrics.auc IS NULL'"),
        (RUNS, "run_name IS NULL", "Invalid clause(s) in filter string: 'run_name IS NULL'"),
        (RUNS, "params.lr > '1'", "Invalid comparator for param: >"),
        (RUNS, "params.lr = 1", "Expected a quoted string value for param (e.g. 'my-value'). Got value 1"),
        (RUNS, "datasets.size = 'x'", "Invalid dataset key 'size' specified."),
        (RUNS, "nothing = 'x'", "Invalid attribute key 'nothing' specified."),
        (RUNS, "status IN ('FINISHED')", "Invalid comparator for attribute: IN"),
        (RUNS, "tags.a = 'x' OR tags.b = 'y'", "Invalid clause(s) in filter string"),
        (EXPERIMENTS, "metrics.x > 1", "Invalid entity type 'metrics'."),
        (EXPERIMENTS, "experiment_id > 3", "Invalid comparator for attribute: >"),
        (EXPERIMENTS, "experiment_id IN ('x')", "Expected an integer for 'IN'."),
    ],
)
def test_a_filter_is_refused(dialect: Dialect, text: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_filter(text, dialect)
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("dialect", "text", "hint"),
    [
        (RUNS, "params.lr > 3", "Parameters are text, which has no order: write params.lr = '3'."),
        (RUNS, "status = 'x' AND parameter.`a b` <= '1'",
         "Parameters are text, which has no order: write parameter.`a b` = '1'."),
        (RUNS, "params.lr >", "Parameters are text, which has no order: write params.lr = 'value'."),
        (RUNS, "tags.k < 'it''s'", "Tags are text, which has no order: write tags.k = 'it''s'."),
        (RUNS, "status > 'A'", "This attribute is text, which has no order: write status = 'A'."),
        (RUNS, "params.lr NOT IN ('1')", "params.lr is compared by =, !=, LIKE, ILIKE, IS NULL, IS NOT NULL."),
        (RUNS, "metrics.auc LIKE 'x'", "metrics.auc is compared by =, !=, <, <=, >, >=."),
        (EXPERIMENTS, "experiment_id > 3", "experiment_id is compared by =, !=, IN, NOT IN."),
    ],
)  # fmt: skip
def test_an_operator_that_is_refused_comes_with_what_to_write(dialect: Dialect, text: str, hint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_filter(text, dialect)
    assert caught.value.hint == hint
    written = hint.partition(": write ")[2].removesuffix(".")
    assert not written or parse_filter(written, dialect), "what is proposed is a filter"


NEWEST = [Order("start_time", descending=True), Order("id")]


@pytest.mark.parametrize(
    ("dialect", "items", "order"),
    [
        (RUNS, (), NEWEST),
        (RUNS, ("metrics.auc DESC",), [Order("auc", True, Entity.METRIC), *NEWEST]),
        (RUNS, ("metrics.`val auc` asc",), [Order("val auc", False, Entity.METRIC), *NEWEST]),
        (RUNS, ('params."a b"',), [Order("a b", False, Entity.PARAM), *NEWEST]),
        (RUNS, ("tags.t", "params.t"), [Order("t", False, Entity.TAG), Order("t", False, Entity.PARAM), *NEWEST]),
        (RUNS, ("attributes.start_time ASC",), [Order("start_time"), Order("id")]),
        (RUNS, ("run_id",), [Order("id"), NEWEST[0]]),
        (EXPERIMENTS, ("name",), [Order("name"), Order("id")]),
        (LOGGED_MODELS, ("metrics.auc",), [Order("auc", False, Entity.METRIC), Order("created_at", True), Order("id")]),
    ],
)
def test_an_order_is_read(dialect: Dialect, items: tuple[str, ...], order: list[Order]) -> None:
    assert list(parse_order_by(items, dialect)) == order


@pytest.mark.parametrize(
    ("dialect", "item", "message"),
    [
        (RUNS, "datasets.name", "Invalid order_by key 'datasets.name' specified."),
        (RUNS, "metrics.auc DOWN", "Invalid order_by clause 'metrics.auc DOWN'."),
        (RUNS, "metrics.", "Invalid order_by key 'metrics.' specified."),
        (RUNS, "lifecycle_stage", "Invalid order_by key 'lifecycle_stage' specified."),
        (EXPERIMENTS, "tags.k", "Invalid order_by key 'tags.k' specified."),
    ],
)
def test_an_order_is_refused(dialect: Dialect, item: str, message: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_order_by((item,), dialect)
    assert message in caught.value.message
