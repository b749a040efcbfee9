"""Every registry call of MLflow's wire, made by the real clients and by hand, beside what a stock server answers.

What differs on purpose is listed in `expected_differences.py` with the reason; what is listed and does not differ
fails too.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.mlflow import raw_calls
from tests.mlflow.answers import differences, normal, stock_answers
from tests.mlflow.expected_differences import EVERYWHERE, UNDER_STANDARD
from tests.mlflow.record import all_answers
from tests.mlflow.servers import run_client
from tests.promises import promise

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def unexpected(ours: dict[str, Any], who: str, listed: dict[str, Any]) -> dict[str, Any]:
    """Return what differs and is not listed with just this answer, and what is listed and does not differ."""
    found = {f"{who}{path}": (one, other) for path, one, other in differences(ours, stock_answers()[who])}
    mine = {path: value for path, value in listed.items() if path.startswith(f"{who}/")}
    wrong = {path: pair for path, pair in found.items() if path not in mine or not _begins(pair[0], mine[path])}
    return wrong | {path: "listed, and does not differ" for path in mine if path not in found}


def _begins(answer: Any, listed: Any) -> bool:
    if isinstance(answer, str) and isinstance(listed, str):
        return answer.startswith(listed)
    return not list(differences(answer, listed))


@promise("M1", "every registry call, success and error, of mlflow 3.17.2 and 2.22.4")
@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_clients_get_what_a_stock_server_gives(client: str, mlflow_server: str):
    ours = normal(run_client(client, "client_calls.py", mlflow_server, client), client)
    assert unexpected(ours, client, EVERYWHERE) == {}


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_the_standard_lifecycle_differs_where_the_design_says(client: str, standard_server: str):
    ours = normal(run_client(client, "client_calls.py", standard_server, client), client)
    assert unexpected(ours, client, EVERYWHERE | UNDER_STANDARD) == {}


def test_requests_by_hand_get_what_a_stock_server_gives(mlflow_server: str):
    ours = normal(raw_calls.run(mlflow_server, "raw-model"), "raw-model")
    assert unexpected(ours, "raw", EVERYWHERE) == {}


def test_a_stock_server_still_answers_as_it_was_recorded(stock: str):
    assert list(differences(all_answers(stock), stock_answers())) == []
