"""The part of the store suite about showing runs: found by part of an id, in families, their histories sampled."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.tracking import LARGEST, Metric
from greenroom.services import answers_runs as a
from greenroom.services import run_reading, tracking_experiments, tracking_runs
from greenroom.services.commands import runs as c
from greenroom.services.commands import tracking as t
from greenroom.store.database import DatabaseStore
from greenroom.testing.tracking import RUN, put, start
from greenroom.testing.writing import ME, write

_PARENT = "mlflow.parentRunId"


def ask(store: DatabaseStore, use_case: Callable[..., Any], command: Any) -> Any:
    """Run a use case that only looks."""
    return store.search_now(use_case, command, ME)


def listed(store: DatabaseStore, **fields: Any) -> list[str]:
    """Return the ids of all runs that a list has, page by page."""
    ids: list[str] = []
    token: str | None = None
    while True:
        page = ask(store, run_reading.list_runs, c.ListRuns(page_token=token, page_size=2, **fields))
        ids += [each.id for each in page.items]
        token = page.next_page_token
        if token is None:
            return ids


class ShownRuns:
    """Tests that `StoreConformance` inherits."""

    @pytest.fixture
    def opened(self) -> Callable[..., DatabaseStore]:
        """Open the store under test."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, opened: Callable[..., DatabaseStore]) -> DatabaseStore:
        """The store under test, open."""
        return opened()

    def test_runs_of_all_experiments_or_of_some_are_listed_in_pages(self, store: DatabaseStore) -> None:
        ids = [f"{number:x}" * 32 for number in range(1, 6)]
        start(store, ids[0], start_time=1)
        other = write(store, tracking_experiments.create_experiment, t.CreateExperiment("other"))
        for number, each in enumerate(ids[1:], start=2):
            ask_for = t.CreateRun(each, 7, other.id if number > 3 else 0, start_time=number)
            write(store, tracking_runs.create_run, ask_for)
        write(store, tracking_runs.delete_run, t.RunNamed(ids[2]))
        living = [ids[4], ids[3], ids[1], ids[0]]
        assert listed(store) == living
        assert listed(store, experiments=("other",)) == living[:2]
        assert listed(store, experiments=("0",)) == living[2:]
        assert listed(store, experiments=("0", "other"), order_by=("start_time ASC",)) == living[::-1]
        assert listed(store, deleted=True) == [ids[2]]
        assert listed(store, filter=f"run_id = '{ids[1]}'") == [ids[1]]
        with pytest.raises(NotFound, match="there is no experiment 'nope'"):
            listed(store, experiments=("nope",))

    def test_a_run_is_found_by_what_people_type(self, store: DatabaseStore) -> None:
        first, second, third = "abcd1" + "0" * 27, "abcd2" + "0" * 27, "f" * 32
        start(store, first, name="keen-hawk")
        for each, name in ((second, "same"), (third, "same")):
            write(store, tracking_runs.create_run, t.CreateRun(each, 7, 0, name))

        def found(named: str) -> str:
            report: a.RunReport = ask(store, run_reading.show_run, c.ShowRun(named))
            return report.run.id

        assert [found(each) for each in (first, "abcd1", "ABCD2", "ffff", "keen-hawk")] == [
            first, first, second, third, first,
        ]  # fmt: skip
        for several, candidates in (("abcd", [first, second]), ("same", [second, third])):
            with pytest.raises(InvalidInput, match="may mean several runs") as caught:
                found(several)
            assert sorted(caught.value.details["candidates"]) == candidates
            assert all(each in caught.value.message for each in candidates)
        for nothing in ("abc", "9999", "", "Keen-hawk", "%", "a\x00b"):
            with pytest.raises(NotFound, match="there is no run"):
                found(nothing)
        write(store, tracking_runs.delete_run, t.RunNamed(third))
        assert found("same") == second
        assert found(third) == third  # a deleted one by its id alone

    def test_a_family_is_shown_from_any_of_its_runs(self, store: DatabaseStore, monkeypatch: Any) -> None:
        ids = [f"{number:x}" * 32 for number in range(1, 7)]
        start(store, ids[0])
        above = [0, 0, 1, 1, 3]
        for number, parent in enumerate(above, start=1):
            tags = {_PARENT: ids[parent]}
            write(store, tracking_runs.create_run, t.CreateRun(ids[number], 7, 0, start_time=number, tags=tags))
        top = ask(store, run_reading.show_run, c.ShowRun(ids[0]))
        assert [(each.id, each.parent) for each in top.children] == [
            (ids[number], ids[parent]) for number, parent in enumerate(above, start=1)
        ]
        assert (top.parents, top.more_children) == ((), False)
        lowest = ask(store, run_reading.show_run, c.ShowRun(ids[5]))
        assert [each.id for each in lowest.parents] == [ids[3], ids[1], ids[0]]
        assert lowest.children == ()
        monkeypatch.setattr(run_reading, "MOST_RELATED", 3)
        few = ask(store, run_reading.show_run, c.ShowRun(ids[0]))
        assert (len(few.children), few.more_children) == (3, True)

    def test_runs_that_name_each_other_as_parents_end(self, store: DatabaseStore) -> None:
        first, second = "1" * 32, "2" * 32
        start(store, first, tags={_PARENT: second})
        write(store, tracking_runs.create_run, t.CreateRun(second, 7, 0, tags={_PARENT: first}))
        report = ask(store, run_reading.show_run, c.ShowRun(first))
        assert [each.id for each in report.parents] == [second]
        assert [each.id for each in report.children] == [second]

    def test_histories_are_summed_up_and_sampled_as_a_plain_reading_says(self, store: DatabaseStore) -> None:
        start(store)
        chance = random.Random(5)  # noqa: S311 - no secret
        logged: dict[str, list[Metric]] = {}
        for key, count in (("one", 1), ("few", 7), ("many", 500), ("nan", 3)):
            values = [
                math.nan if key == "nan" else chance.choice((chance.random(), math.nan, -1.0)) for _ in range(count)
            ]
            points = [Metric(key, value, 10 + number // 2, number) for number, value in enumerate(values)]
            logged[key] = points
            put(store, *points)
        logged["edge"] = [
            Metric("edge", math.inf, 1, -5),
            Metric("edge", -math.inf, 2, 2**62),
            Metric("edge", 0.5, 3, 0),
        ]
        put(store, *logged["edge"])
        for most in (2, 3, 40, 1000):
            told = ask(store, run_reading.summarize_metrics, c.SummarizeMetrics((RUN,), (), most))
            assert [each.key for each in told] == sorted(logged)
            for each in told:
                _check(each, logged[each.key], most)
        some = ask(store, run_reading.summarize_metrics, c.SummarizeMetrics((RUN,), ("few", "nope", "a\x00")))
        assert [each.key for each in some] == ["few"]

    def test_a_history_comes_in_pages(self, store: DatabaseStore) -> None:
        start(store)
        values = [0.5, math.nan, 1.5, math.inf, -1.0]
        put(store, *(Metric("m", value, 7, number) for number, value in enumerate(values)))
        found: list[a.MetricPoint] = []
        token = None
        while True:
            page = ask(store, run_reading.run_metric, c.RunMetric(RUN, "m", 2, token))
            found += page.items
            token = page.next_page_token
            if token is None:
                break
        assert [(each.value, each.step) for each in found] == [(0.5, 0), (None, 1), (1.5, 2), (LARGEST, 3), (-1.0, 4)]
        assert ask(store, run_reading.run_metric, c.RunMetric(RUN, "nope")).items == ()

    @pytest.mark.parametrize(
        "command",
        [c.SummarizeMetrics((RUN,) * 101), c.SummarizeMetrics((RUN,), ("k",) * 201), c.SummarizeMetrics((RUN,), (), 1),
         c.SummarizeMetrics((RUN,), (), 1001)],
    )  # fmt: skip
    def test_what_is_asked_for_has_bounds(self, store: DatabaseStore, command: c.SummarizeMetrics) -> None:
        start(store)
        with pytest.raises(InvalidInput):
            ask(store, run_reading.summarize_metrics, command)


def _check(told: a.MetricSummary, logged: list[Metric], points: int) -> None:
    """Assert that a summary is what a plain reading of the logged points gives."""
    values = [None if math.isnan(each.value) else max(min(each.value, LARGEST), -LARGEST) for each in logged]
    known = [value for value in values if value is not None]
    assert (told.count, told.nans) == (len(values), values.count(None))
    assert (told.lowest, told.highest) == ((min(known), max(known)) if known else (None, None))
    assert (told.first_step, told.last_step) == (min(e.step for e in logged), max(e.step for e in logged))
    assert told.last == (values[-1] if told.key != "edge" else -LARGEST)  # the newest is the one of the highest step
    count = len(values)
    places = [n for n in range(1, count + 1) if n == 1 or n * points // count > (n - 1) * points // count]
    assert told.points == tuple(values[place - 1] for place in places)
    assert len(told.points) <= points + 1
