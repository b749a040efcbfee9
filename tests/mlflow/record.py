"""Write down what a stock server answers to every scenario: `python -m tests.mlflow.record`."""

from __future__ import annotations

import json
from typing import Any

from tests.mlflow import raw_calls
from tests.mlflow.answers import STOCK_FILE, normal
from tests.mlflow.servers import run_client, stock_server

CLIENTS = ("mlflow3", "mlflow2")


def all_answers(url: str) -> dict[str, Any]:
    """Return the answers of the server at `url` to both clients and to requests made by hand."""
    found = {"raw": normal(raw_calls.run(url, "raw-model"), "raw-model")}
    for client in CLIENTS:
        found[client] = normal(run_client(client, "client_calls.py", url, client), client)
    return found


if __name__ == "__main__":
    with stock_server() as server:
        STOCK_FILE.write_text(
            json.dumps(all_answers(server), indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8"
        )
