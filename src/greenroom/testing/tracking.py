"""The part of the store suite about runs: what is logged is there, once, whole, and in its place in the history."""

from __future__ import annotations

import math
import random
import threading
from collections.abc import Callable
from typing import Any

import pytest

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import Page
from greenroom.core.names import LIMITS
from greenroom.core.tracking import (
    DatasetInput,
    LoggedDataset,
    Metric,
    ModelOutput,
    ModelStatus,
    Run,
    RunStatus,
    Which,
    newest,
    stored_value,
)
from greenroom.services import catalog, tracking_experiments, tracking_logging, tracking_models, tracking_runs
from greenroom.services import commands as registry
from greenroom.services.commands import tracking as c
from greenroom.services.ports import WriteTx
from greenroom.services.tracking_searching import search_logged_models, search_runs
from greenroom.store.database import DatabaseStore
from greenroom.testing.sizes import longest
from greenroom.testing.writing import ME, WAIT_S, begin, check_replay, in_one_batch, size, write

RUN = "a" * 32
MODEL = "m-" + "b" * 32
_HALF = 2.0**-1074  # the smallest double there is


def log(store: DatabaseStore, use_case: Callable[..., Any], ask: Any) -> Any:
    """Run a use case that only logs, to its end."""
    return write(store, use_case, ask, logs_only=True)


def start(store: DatabaseStore, run_id: str = RUN, **fields: Any) -> Run:
    """Begin a registry if there is none, and start a run."""
    if not size(store):
        begin(store, models=0)
    run: Run = write(store, tracking_runs.create_run, c.CreateRun(run_id, 7, 0, **fields))
    return run


def put(store: DatabaseStore, *metrics: Metric, run_id: str = RUN, **more: Any) -> None:
    """Log a batch."""
    log(store, tracking_logging.log_to_run, c.LogToRun(run_id, metrics, **more))


def get(store: DatabaseStore, run_id: str = RUN) -> Run:
    """Return a run as it is now."""
    with store.snapshot() as tx:
        return tracking_runs.get_run_view(tx, c.RunNamed(run_id), ME)


def history(store: DatabaseStore, key: str, page_size: int | None = None, *run_ids: str) -> list[Metric]:
    """Return every point of a metric, page by page."""
    found: list[Metric] = []
    token = None
    with store.snapshot() as tx:
        while True:
            ask = c.MetricHistory(run_ids or (RUN,), key, page_size, token)
            page: Page[Metric] = tracking_logging.metric_history(tx, ask, ME)
            found += page.items
            token = page.next_page_token
            if token is None:
                return found


class Tracking:
    """Tests that `StoreConformance` inherits."""

    @pytest.fixture
    def opened(self) -> Callable[..., DatabaseStore]:
        """Open the store under test."""
        raise NotImplementedError

    def test_a_run_is_what_was_logged(self, opened: Callable[..., DatabaseStore]) -> None:
        """All that hangs on a run comes back as it was given, and is there after opening again."""
        store = opened()
        start(store, name="first", user_id="ana", start_time=5, tags={"k": "v"})
        data = DatasetInput(LoggedDataset("d", "1", "local", "{}", profile="p"), {"mlflow.data.context": "training"})
        put(store, Metric("m", 1.5, 3, 2), params=(("p", "1"), ("q", "")), tags={"k": "w", "é": "ü"})
        write(store, tracking_logging.log_inputs, c.LogInputs(RUN, (data, data), (MODEL,)))
        log(store, tracking_logging.log_outputs, c.LogOutputs(RUN, (ModelOutput(MODEL, 4),)))
        log(store, tracking_runs.update_run, c.UpdateRun(RUN, RunStatus.FINISHED, 9, "second"))
        store.close()
        run = get(opened())
        assert (run.name, run.user_id, run.start_time, run.end_time, run.status.value) == (
            "second", "ana", 5, 9, "FINISHED",
        )  # fmt: skip
        assert run.metrics == (Metric("m", 1.5, 3, 2),)
        assert run.params == {"p": "1", "q": ""}
        assert run.tags == {"k": "w", "é": "ü", "mlflow.runName": "second"}
        assert (run.datasets, run.model_inputs, run.model_outputs) == ((data,), (MODEL,), (ModelOutput(MODEL, 4),))

    def test_points_are_a_set(self, opened: Callable[..., DatabaseStore]) -> None:
        """The same point again is the same point: a request that is sent twice doubles nothing."""
        store = opened()
        start(store)
        points = [Metric("m", 1.0, at, at) for at in range(3)] + [Metric("m", math.nan, 1, 1)]
        for _ in range(3):
            put(store, *points, points[0])
        assert len(history(store, "m")) == 4

    def test_the_newest_point_is_the_greatest(self, opened: Callable[..., DatabaseStore]) -> None:
        """By step, then time, then value, whatever the order of arrival, in one batch or many."""
        store, chance = opened(), random.Random(11)  # noqa: S311 - test data
        start(store)
        values = (-1.0, 0.0, -0.0, 2.5, math.nan, math.inf, -math.inf, _HALF)
        points = [Metric("m", value, time, step) for value in values for time in (0, 2**62) for step in (-3, 0, 7)]
        chance.shuffle(points)
        for at in range(0, len(points), 5):
            put(store, *points[at : at + 5])
            expected = newest(points[: at + 5])["m"]
            found = get(store).metrics[0]
            assert (found.step, found.timestamp) == (expected.step, expected.timestamp)
            assert repr(found.value) == repr(stored_value(expected.value))

    def test_a_history_is_in_order_and_whole(self, opened: Callable[..., DatabaseStore]) -> None:
        """By time, step and value, page by page without a gap, and of several runs at once."""
        store, chance = opened(), random.Random(12)  # noqa: S311 - test data
        start(store)
        start(store, "b" * 32)
        points = [
            Metric("m", value, time, step)
            for value in (-2.0, 0.0, math.nan, 1e300) for time in (0, 1, 2**53 + 1) for step in (-1, 0, 1)
        ]  # fmt: skip
        for run_id in (RUN, "b" * 32):
            chance.shuffle(points)
            put(store, *points, run_id=run_id)
        whole = history(store, "m")
        places = [(each.timestamp, each.step, 0.0 if math.isnan(each.value) else each.value) for each in whole]
        assert places == sorted(places)
        assert len(whole) == len(points)
        for page_size in (1, 7, 36, 1000):
            assert repr(history(store, "m", page_size)) == repr(whole)
        both = history(store, "m", 10, "b" * 32, RUN, "c" * 32)
        assert [each.run_id for each in both] == [RUN] * 36 + ["b" * 32] * 36
        assert history(store, "other") == []

    def test_a_parameter_never_changes(self, opened: Callable[..., DatabaseStore]) -> None:
        """Another value is refused and everything else of its batch with it; the same value again is no error."""
        store = opened()
        start(store)
        put(store, params=(("p", "1"),))
        put(store, params=(("p", "1"), ("q", "2")))
        with pytest.raises(InvalidInput, match="Changing param values is not allowed"):
            put(store, Metric("m", 1.0, 1), params=(("r", "3"), ("p", "other")), tags={"t": "v"})
        run = get(store)
        assert (run.params, run.metrics, set(run.tags)) == ({"p": "1", "q": "2"}, (), {"mlflow.runName"})

    def test_of_two_values_at_once_one_is_refused(self, opened: Callable[..., DatabaseStore]) -> None:
        """Also within one batch of the writer."""
        store = opened()
        start(store)
        asks = [c.LogToRun(RUN, params=(("p", str(value)),), batch=False) for value in range(8)]
        done = in_one_batch(store, [(tracking_logging.log_to_run, ask) for ask in asks])
        assert sum(each.exception() is None for each in done) == 1
        assert all(isinstance(each.exception(), InvalidInput | None) for each in done)

    def test_numbers_are_given_once(self, opened: Callable[..., DatabaseStore]) -> None:
        """Runs that start at once are runs of their own; names of experiments are unique, deleted ones too."""
        store = opened()
        start(store)
        ids = [f"{number:032x}" for number in range(12)]
        threads = [threading.Thread(target=start, args=(store, run_id)) for run_id in ids]
        for each in threads:
            each.start()
        for each in threads:
            each.join(WAIT_S)
        for run_id in ids:
            put(store, Metric("m", 1.0, 1), run_id=run_id, tags={"own": run_id})
        assert [get(store, run_id).tags["own"] for run_id in ids] == ids
        assert start(store, ids[0]).tags["own"] == ids[0]  # a request that came twice

    def test_nothing_is_logged_to_what_is_deleted(self, opened: Callable[..., DatabaseStore]) -> None:
        """Runs and experiments go with an event and come back whole; the log says who did it."""
        store = opened()
        start(store)
        put(store, Metric("m", 1.0, 1))
        before = size(store)
        for use_case, ask in (
            (tracking_runs.delete_run, c.RunNamed(RUN)),
            (tracking_runs.restore_run, c.RunNamed(RUN)),
            (tracking_experiments.delete_experiment, c.ExperimentNamed(0)),
        ):
            write(store, use_case, ask)
        with pytest.raises(InvalidInput, match="Current state is deleted"):
            put(store, Metric("m", 2.0, 2))
        with pytest.raises(InvalidInput, match="Current state is deleted"):
            start(store, "c" * 32)
        write(store, tracking_experiments.restore_experiment, c.ExperimentNamed(0))
        put(store, Metric("m", 2.0, 2))
        assert [each.value for each in history(store, "m")] == [1.0, 2.0]
        with store.snapshot() as tx:
            told = [each.type for each in tx.audit_entries(after=before, limit=10)]
        assert told == ["run_deleted", "run_restored", "experiment_deleted", "experiment_restored"]
        check_replay(store)

    def test_logs_of_a_batch_do_not_share_their_fate(self, opened: Callable[..., DatabaseStore]) -> None:
        """One that fails leaves those alone that are logged with it; what each of them wrote is there once."""
        store = opened()
        start(store)
        put(store, params=(("p", "1"),))
        asks = [c.LogToRun(RUN, (Metric("m", float(at), at),), (("p", "1" if at % 3 else "2"),)) for at in range(6)]
        asks.insert(2, c.LogToRun(RUN, (Metric("half", 9.0, 9, 0, "m-" + "0" * 32),)))  # refused when it is written
        log_to_run = tracking_logging.log_to_run
        done = in_one_batch(store, [(log_to_run, ask) for ask in asks], logs_only=True)
        errors = [type(each.exception()) for each in done]
        nothing = type(None)
        assert errors == [InvalidInput, nothing, NotFound, nothing, InvalidInput, nothing, nothing]
        assert [each.value for each in history(store, "m")] == [1.0, 2.0, 4.0, 5.0]
        assert get(store).metrics == (Metric("m", 5.0, 5),)

    def test_a_log_that_fails_last_fails_alone(self, opened: Callable[..., DatabaseStore]) -> None:
        """Also where the database is told of its rows with the commit only."""
        store = opened()
        start(store)

        def late(tx: WriteTx, ask: None, actor: Any) -> None:
            row = {"run_no": 999, "key": "k", "value": "no such run"}
            tx.db.later(tx._texts.insert("run_param"), row)  # type: ignore[attr-defined]

        ask = c.LogToRun(RUN, (Metric("m", 1.0, 1),))
        first, last = in_one_batch(store, [(tracking_logging.log_to_run, ask), (late, None)], logs_only=True)
        assert first.exception() is None
        assert last.exception() is not None
        assert get(store).metrics == (Metric("m", 1.0, 1),)

    def test_a_logged_model_has_parts_of_its_own(self, opened: Callable[..., DatabaseStore]) -> None:
        """Tags, parameters and the points that name it; a point for an unknown one is refused with its batch."""
        store = opened()
        start(store)
        ask = c.CreateLoggedModel(MODEL, 7, 0, "clf", "kind", RUN, {"p": "1"}, {"t": "v"})
        log(store, tracking_models.create_logged_model, ask)
        put(store, Metric("m", 1.0, 1, 2, MODEL, "data", "1"), Metric("m", 1.0, 1, 2, MODEL), Metric("n", math.nan, 1))
        with pytest.raises(NotFound, match="Logged model with ID"):
            put(store, Metric("z", 1.0, 1, 2, "m-" + "0" * 32))
        log(store, tracking_models.finish_logged_model, c.FinishLoggedModel(MODEL, ModelStatus.READY))
        log(store, tracking_models.tag_logged_model, c.TagLoggedModel(MODEL, {"t": "w", "u": "x"}))
        log(store, tracking_models.untag_logged_model, c.UntagLoggedModel(MODEL, "u"))
        with pytest.raises(InvalidInput, match="Changing param values"):
            log(store, tracking_models.log_model_params, c.LogModelParams(MODEL, {"p": "2"}))
        with store.snapshot() as tx:
            model = tracking_models.get_logged_model_view(tx, c.LoggedModelNamed(MODEL), ME)
            found = search_logged_models(tx, c.SearchLoggedModels((0,)), ME)
        assert found.items == (model,)
        assert (model.status, model.params, model.tags) == (ModelStatus.READY, {"p": "1"}, {"t": "w"})
        assert {(each.dataset_name, each.run_id) for each in model.metrics} == {("data", RUN), (None, RUN)}
        assert {each.key for each in get(store).metrics} == {"m", "n"}

    def test_logged_models_come_in_the_order_of_a_metric_on_one_data_set(
        self, opened: Callable[..., DatabaseStore]
    ) -> None:
        """What was measured on another data set, or on none, counts for nothing there."""
        store = opened()
        start(store)
        ids = [f"m-{letter * 32}" for letter in "abc"]
        for model in ids:
            log(store, tracking_models.create_logged_model, c.CreateLoggedModel(model, 7, 0, source_run_id=RUN))
        for value, model, data in ((1.0, ids[0], "d"), (2.0, ids[1], "d"), (9.0, ids[0], None), (8.0, ids[2], "e")):
            put(store, Metric("a", value, int(value), 0, model, data, data and "1"))
        for name, digest, first in (("d", None, 1), ("d", "1", 1), (None, None, 0), ("e", "1", 2)):
            key = c.OrderKey("metrics.a", descending=True, dataset_name=name, dataset_digest=digest)
            with store.snapshot() as tx:
                found = search_logged_models(tx, c.SearchLoggedModels((0,), order_by=(key,)), ME)
            assert found.items[0].id == ids[first], (name, digest)
        both = tuple(c.OrderKey("metrics.a", dataset_name=name) for name in "ed")
        with store.snapshot() as tx:
            found = search_logged_models(tx, c.SearchLoggedModels((0,), order_by=both), ME)
        assert [each.id for each in found.items] == [ids[2], ids[0], ids[1]], "one metric on two data sets: two keys"

    def test_searches_page_through_runs(self, opened: Callable[..., DatabaseStore]) -> None:
        """The newest first, each once, the deleted apart."""
        store = opened()
        ids = [f"{number:032x}" for number in range(7)]
        for number, run_id in enumerate(ids):
            start(store, run_id, start_time=number // 2)
        write(store, tracking_runs.delete_run, c.RunNamed(ids[3]))
        seen: list[str] = []
        token = None
        with store.snapshot() as tx:
            while True:
                page = search_runs(tx, c.SearchRuns((0,), page_size=2, page_token=token), ME)
                seen += [run.id for run in page.items]
                token = page.next_page_token
                if token is None:
                    break
            gone = search_runs(tx, c.SearchRuns((0, 1), which=Which.DELETED), ME)
        assert seen == [ids[6], ids[4], ids[5], ids[2], ids[0], ids[1]]
        assert [run.id for run in gone.items] == [ids[3]]

    def test_the_longest_texts_of_a_run_are_held(self, opened: Callable[..., DatabaseStore]) -> None:
        """Also where an index looks at them."""
        store = opened()
        start(store)
        text = longest("param_value")
        key = "k" * LIMITS["metric_key"].value
        big = DatasetInput(
            LoggedDataset(text[:500], "d" * 36, "t", text * 10, text * 100, text), {"k" * 255: text[:500]}
        )
        put(store, Metric(key, 1.0, 1), params=((key, text),), tags={key: text})
        write(store, tracking_logging.log_inputs, c.LogInputs(RUN, (big,)))
        run = get(store)
        assert (run.params, run.tags[key], run.datasets) == ({key: text}, text, (big,))

    def test_who_only_logs_cannot_change_the_registry(self, opened: Callable[..., DatabaseStore]) -> None:
        """Without the chain's head nothing is recorded and no audited row is touched; and none without an event."""
        store = opened()
        begin(store)
        before = size(store)
        with pytest.raises(RuntimeError, match="only logs"):
            log(store, catalog.create_model, registry.CreateModel("x"))

        def unaudited(tx: WriteTx, ask: None, actor: Any) -> None:
            tx.put("model_tag", {"model_id": 2, "key": "k", "value": "v"})

        with pytest.raises(RuntimeError, match="without an audit event"):
            write(store, unaudited)
        assert size(store) == before
        check_replay(store)
