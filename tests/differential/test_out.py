"""What is out answers at once with an error that a client shows, and nothing a client does by itself waits for it."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from greenroom.http.mlflow_service import OUT, without_text
from tests.mlflow.servers import run_client

AT_ONCE_S = 2.0  # a client that tries again waits longer than this before its third try
ROOTS = [(what, root.format(v="3.0")) for what, roots in OUT.items() for root in roots]


@pytest.mark.parametrize(("what", "root"), ROOTS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_address_that_is_out_says_so(ours: str, what: str, root: str, method: str):
    link = http.client.HTTPConnection(urlsplit(ours).netloc, timeout=AT_ONCE_S)
    try:
        for path in (root, f"{root}/any/thing"):
            link.request(method, path, b"{}", {"Content-Type": "application/json"})
            answer = link.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
            assert (answer.status, said["error_code"]) == (501, "NOT_IMPLEMENTED")
            assert said["message"].startswith(without_text(what))
    finally:
        link.close()


@pytest.mark.mlflow
@pytest.mark.slow
def test_a_client_shows_it_at_once_and_traces_stop_nobody(ours: str):
    seen = run_client("mlflow3", "../differential/out_calls.py", ours)
    worked = {name: came for name, (_, *came) in seen.items() if name.startswith("works: ")}
    assert worked == {
        "works: trace": ["done", "worked: 2"],
        "works: autolog": ["done", "FINISHED, 1 model"],
        "works: log_model that traces": ["done", "predicted ['x']"],
    }
    refused = {name: came for name, (_, *came) in seen.items() if name not in worked}
    assert {tuple(came[:2]) for came in refused.values()} == {("refused", "NOT_IMPLEMENTED")}
    for name, (_, _, text) in refused.items():
        assert without_text(name.partition(":")[0]) in text
    # Nothing is sent again. What really works may take its time on a busy machine, but not the minute of retries.
    slow = {name: came[0] for name, came in seen.items() if came[0] > (30 if name in worked else AT_ONCE_S)}
    assert slow == {}
