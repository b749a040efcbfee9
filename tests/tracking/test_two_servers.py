"""Several servers on one PostgreSQL database log at the same time, without the lock that changes of state wait for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from greenroom.core.errors import InvalidInput
from greenroom.core.tracking import Metric, newest
from greenroom.services import tracking_logging
from greenroom.services.commands import tracking as c
from greenroom.store.keys import load_signer
from greenroom.store.postgres import Postgres
from greenroom.store.shared import PostgresStore
from greenroom.testing.tracking import RUN, get, history, log, put, start
from tests.postgres import new_database
from tests.promises import sized
from tests.races.kit import SEED

ROUNDS = sized(40, 2_000)
WAIT_S = 20.0
STATISTICS_S = 1.1  # after which the database has counted what happened


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[PostgresStore]]:
    url, signer = new_database(), load_signer(tmp_path, create=True)
    made = [PostgresStore(url, signer) for _ in range(2)]
    start(made[0])
    yield made
    for each in made:
        each.close()


def at_once(*tasks: Callable[[], Any]) -> list[Any]:
    """Run all of them at the same time; return what each gave or raised."""
    gate, found = threading.Barrier(len(tasks)), [None] * len(tasks)

    def run(at: int, task: Callable[[], Any]) -> None:
        gate.wait()
        try:
            found[at] = task()
        except Exception as exc:  # the test wants to see it, whatever it is
            found[at] = exc  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=each) for each in enumerate(tasks)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(WAIT_S)
        assert not each.is_alive()
    return found


def put_param(store: PostgresStore, number: int, value: str) -> None:
    put(store, params=((f"p{number}", value),), batch=number % 2 == 0)


def test_of_two_values_one_is_refused(stores: list[PostgresStore]) -> None:
    given = [(store, value) for store in stores for value in ("left", "right")]
    for number in range(ROUNDS):
        done = at_once(*(partial(put_param, store, number, value) for store, value in given))
        assert all(isinstance(each, InvalidInput | None) for each in done), done
        kept = get(stores[0]).params[f"p{number}"]
        assert [each is None for each in done] == [value == kept for _, value in given]


def test_the_newest_is_the_newest_of_all(stores: list[PostgresStore]) -> None:
    """Batches that meet in the same metrics, in every order: no update is lost, nobody waits for somebody who waits."""
    chance = random.Random(SEED)
    told: list[Metric] = []
    for number in range(ROUNDS):
        parts = [
            [Metric(f"k{chance.randrange(4)}", chance.random(), chance.randrange(5), number // 4) for _ in range(20)]
            for _ in range(4)
        ]
        done = at_once(*(partial(put, stores[at % 2], *part) for at, part in enumerate(parts)))
        assert done == [None] * 4
        told += [each for part in parts for each in part]
    assert {each.key: each for each in get(stores[1]).metrics} == newest(told)
    for key in {each.key for each in told}:
        assert len(history(stores[0], key, 100)) == len({each for each in told if each.key == key})


def test_batches_do_not_wait_for_each_other_in_a_ring(stores: list[PostgresStore]) -> None:
    """Requests that share a batch meet those of another server in another order: the database has to end none."""
    other = "e" * 32
    start(stores[0], other)
    for number in range(ROUNDS):
        tasks = [
            partial(put, stores[at % 2], Metric(f"k{at % 3}", at, number), run_id=run, tags={f"t{at % 2}": str(at)})
            for at, run in enumerate([RUN, other, other, RUN] * 4)
        ]
        random.Random(SEED + number).shuffle(tasks)
        assert at_once(*tasks) == [None] * len(tasks)
    time.sleep(STATISTICS_S)
    with closing(stores[0].connect()) as looker:
        assert looker.one("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == (0,)


def test_logging_does_not_wait_for_the_chain(stores: list[PostgresStore]) -> None:
    """Somebody holds the chain's head: what is logged is durable all the same."""
    holder = stores[1].connect()
    holder.begin()
    try:
        assert at_once(lambda: put(stores[0], Metric("m", 1.0, 1))) == [None]
    finally:
        holder.rollback()
        holder.close()
    assert [each.value for each in history(stores[1], "m")] == [1.0]


def until_blocked(store: PostgresStore) -> None:
    """Return when somebody waits for a lock of somebody else."""
    looker, until = store.connect(), time.monotonic() + WAIT_S
    while looker.one("SELECT 1 FROM pg_locks WHERE NOT granted") is None:
        assert time.monotonic() < until
    looker.close()


def test_a_batch_that_waits_for_the_chain_is_seen(stores: list[PostgresStore], monkeypatch: pytest.MonkeyPatch) -> None:
    begin = Postgres.begin

    def always(self: Postgres, *, head: bool = True) -> None:
        begin(self)

    monkeypatch.setattr(Postgres, "begin", always)
    holder = stores[1].connect()
    begin(holder)
    waiting = threading.Thread(target=put, args=(stores[0], Metric("m", 1.0, 1)))
    waiting.start()
    until_blocked(stores[1])  # the test above would wait here, and find its writer alive at the end
    holder.rollback()
    holder.close()
    waiting.join(WAIT_S)


def test_a_parameter_that_is_looked_at_first_is_seen(
    stores: list[PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The use case as it must not be: look, then overwrite."""

    def look_first(tx: Any, run: Any, params: Any, *, listed: bool) -> None:
        tracking_logging.check_params(tx.run_params(run.no, [key for key, _ in params]), params, run.id, listed=listed)
        rows = [{"run_no": run.no, "key": key, "value": value} for key, value in params]
        tx.put_many("run_param", rows, on_clash="replace")

    monkeypatch.setattr(tracking_logging, "_log_params", look_first)
    holder = stores[1].connect()
    holder.begin(head=False)
    no = holder.one("SELECT no FROM run")
    assert no is not None
    holder.run("INSERT INTO run_param VALUES (%(no)s, 'p0', 'left')", {"no": no[0]})
    late = threading.Thread(target=put_param, args=(stores[0], 0, "right"))
    late.start()
    until_blocked(stores[1])  # it has looked, and waits to write
    holder.commit()
    holder.close()
    late.join(WAIT_S)
    assert get(stores[0]).params == {"p0": "right"}  # a value that was acknowledged is gone


def test_a_lost_answer_is_no_lost_point(stores: list[PostgresStore]) -> None:
    """The connection goes as the commit is answered: the batch runs again and doubles nothing."""
    store = stores[0]
    connection = store._db
    assert isinstance(connection, Postgres)
    commit, cut = connection.commit, []

    def cut_once() -> None:
        commit()
        if not cut:
            cut.append(True)
            connection._hang_up()
            connection.rollback()
            connection.run("SELECT 1")

    connection.commit = cut_once  # type: ignore[method-assign]
    put(store, Metric("m", 1.0, 1), params=(("p", "1"),))
    assert cut
    assert [each.value for each in history(stores[1], "m")] == [1.0]


def test_log_is_not_shown(stores: list[PostgresStore]) -> None:
    """What is only logged makes no entry of the log."""
    with stores[0].snapshot() as tx:
        before = tx.audit_head()[0].size
    log(stores[0], tracking_logging.log_to_run, c.LogToRun(RUN, (Metric("m", 1.0, 1),)))
    with stores[0].snapshot() as tx:
        assert tx.audit_head()[0].size == before
