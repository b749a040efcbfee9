"""Compatibility measured: the same random sequences of requests, sent to a stock MLflow server and to ours.

What differs is either a row of `deliberate.py`, with its reason, or a fault. A difference prints the seed, what both
said, and a sequence that is as short as could be found.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.differential.calls import Call
from tests.differential.compare import Pair, searched
from tests.differential.deliberate import NAMES, listed, none_listed
from tests.differential.making import post
from tests.differential.mutants import MUTANTS, NOT_EXCUSED, mutant_server
from tests.differential.run import on_postgres
from tests.differential.seeing import Seen
from tests.mlflow import expected_differences
from tests.mlflow.servers import greenroom_server, run_client, stock_server
from tests.postgres import database_with_language
from tests.promises import promise, sized
from tests.races.kit import SEED

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]

CALLS = sized(900, 200_000)
DATABASE_CALLS = sized(1_200, 200_000)
CLIENT_CALLS = sized(150, 5_000)
LENGTH = 60
MUTANT_CALLS = 6_000
FEW = 4  # mutants that every run looks for; the night looks for all


@promise(
    "M2", "{calls} random requests in sequences of {length}, each to both servers", calls=CALLS, length=LENGTH,
    mutant="test_a_wrong_answer_is_found",
)  # fmt: skip
def test_random_requests_get_what_a_stock_server_gives(ours: str, stock: str):
    pair = Pair(ours, stock, listed)
    report = searched(pair, SEED, CALLS, LENGTH)
    print(report)
    assert report.found == [], str(report)


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_random_calls_of_clients_get_what_a_stock_server_gives(ours: str, stock: str, client: str):
    print(f"seed {SEED}")
    args = (f"cl{client}", str(SEED), str(CLIENT_CALLS))
    answers = [run_client(client, "../differential/client_sequences.py", url, *args) for url in (ours, stock)]
    wrong = {at: pair for at, pair in enumerate(zip(*answers, strict=True)) if not alike(*pair)}
    assert wrong == {}


def alike(ours: list[str], stock: list[str]) -> bool:
    """Say whether a client got the same: an error is the same when its code is, and our text begins with theirs."""
    (call, one), (_, other) = ours, stock
    if one == other:
        return True
    if "too many 500 error responses" in other:
        return one.startswith(("INVALID_PARAMETER_VALUE: ", "RESOURCE_DOES_NOT_EXIST: "))
    code, _, text = other.partition(": ")
    if not code.isupper() or not one.startswith(f"{code}: "):
        return False
    said, text = (_without_code(each) for each in (one, other))
    seen = Seen(
        Call(call, "", ""), "", [400, code, said], [400, code, text.partition(" Error: (")[0].partition("\n")[0]]
    )
    return call.startswith("search_") or listed(seen) is not None


def _without_code(text: str) -> str:
    """The text without the code in front of it, which clients write twice."""
    code, _, rest = text.partition(": ")
    return rest.removeprefix(f"{code}: ")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if at < FEW else pytest.mark.nightly) for at, name in enumerate(MUTANTS)]
)
def test_a_wrong_answer_is_found(ours: str, name: str):
    with mutant_server(name) as wrong:
        report = searched(Pair(wrong, ours, none_listed), SEED, MUTANT_CALLS, LENGTH, most=1)
    print(report)
    assert report.found != []


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if at == 0 else pytest.mark.nightly) for at, name in enumerate(NOT_EXCUSED)]
)
def test_a_listed_difference_excuses_no_mistake_that_looks_like_it(stock: str, name: str):
    with mutant_server(name) as wrong:
        report = searched(Pair(wrong, stock, listed), SEED, MUTANT_CALLS, LENGTH, most=1)
    print(report)
    assert report.found != []


def test_sqlite_and_postgresql_answer_alike(ours: str):
    with on_postgres() as other:
        report = searched(Pair(ours, other, none_listed), SEED, DATABASE_CALLS, LENGTH)
    print(report)
    assert report.found == [], str(report)


def test_a_mistake_on_one_database_is_found(ours: str):
    with mutant_server("lower_by_language", "--database-url", database_with_language()) as wrong:
        report = searched(Pair(ours, wrong, none_listed), SEED, MUTANT_CALLS, LENGTH, most=1)
    print(report)
    assert report.found != []


def test_two_servers_that_differ_are_told_apart(ours: str, stock: str):
    report = searched(Pair(ours, stock, none_listed), SEED, CALLS, LENGTH, most=1)
    assert report.found != []


def test_two_of_our_servers_answer_alike(ours: str):
    with greenroom_server("mlflow") as other:
        report = searched(Pair(ours, other, none_listed), SEED, CALLS, LENGTH)
    assert report.found == [], str(report)


@pytest.mark.nightly
def test_two_stock_servers_answer_alike(stock: str):
    with stock_server() as other:
        report = searched(Pair(other, stock, none_listed), SEED, CALLS // 4, LENGTH)
    assert report.found == [], str(report)


def test_every_recorded_difference_belongs_to_a_row():
    named = {row for rows in expected_differences.ROWS.values() for row in rows}
    assert named <= NAMES
    assert set(expected_differences.ROWS) == {
        name for name, value in vars(expected_differences).items() if name.startswith("_") and isinstance(value, dict)
        and not name.startswith("__")
    }  # fmt: skip


API = "/api/2.0/mlflow"
BLANK = {"key": " ", "value": "v"}
MODEL = post("create_model", f"{API}/registered-models/create", {"name": "«p»m"})
RUN = post("create_run", f"{API}/runs/create", {"experiment_id": "0", "start_time": 1}, "r")


@pytest.mark.parametrize(
    ("before", "call", "faults", "row"),
    [
        (MODEL, post("create_model", MODEL.path, {"name": "«p»m", "tags": [BLANK]}), {"key"}, "names"),
        (MODEL, post("create_model", MODEL.path, {"name": "«p»m", "tags": [BLANK]}), {}, None),
        (RUN, post("log_inputs", f"{API}/runs/log-inputs", {"run_id": "«run:r»", "datasets": [{}]}), {"part"}, "names"),
        (RUN, post("log_inputs", f"{API}/runs/log-inputs", {"run_id": "«run:r»", "datasets": [{}]}), {}, None),
    ],
)
def test_a_fault_that_only_ours_sees_goes_before_a_name_that_is_taken(ours, stock, before, call, faults, row):
    """Found by long runs: a stock server takes what is wrong, and comes to another answer."""
    pair = Pair(ours, stock, listed)
    try:
        found = pair.run([before, replace(call, faults=frozenset(faults))])
    finally:
        pair.close()
    assert [each.call.operation for each in found] == ([] if row else [call.operation])
    assert pair.tally.listed[row] == (1 if row else 0)
