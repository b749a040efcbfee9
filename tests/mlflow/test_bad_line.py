"""A real client that retries over a line that loses requests and answers: every point is there, and once."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.mlflow.servers import run_client
from tests.promises import sized
from tests.races.kit import SEED, Server, serving
from tests.tcp_proxy import Fate, Proxy

STEPS = sized(40, 1_000)
ROUNDS = sized(10, 300)
KEYS = ["many0", "many1", "many2", "many3", "many4", "one"]

pytestmark = [pytest.mark.mlflow, pytest.mark.slow]


def logs(piece: bytes) -> bool:
    """What logs; what asks and what starts gets through."""
    return piece.startswith(b"POST ") and b"/runs/log-" in piece[:200]


def changes(piece: bytes) -> bool:
    """All that is no question."""
    return piece.startswith((b"POST ", b"PATCH ", b"DELETE ")) and b"/search" not in piece[:200]


@contextlib.contextmanager
def bad_line(server: Server, lossy: Callable[[bytes], bool]) -> Iterator[Proxy]:
    """Lose a part of what is `lossy`, before it arrives or with its answer."""
    chance = random.Random(SEED)

    def fate(piece: bytes) -> Fate:
        return chance.choices([Fate.PASS, Fate.REPLY, Fate.BEFORE], [5, 3, 1])[0] if lossy(piece) else Fate.PASS

    with Proxy(server.address, fate) as proxy:
        yield proxy


def over_a_bad_line(
    folder: Path, client: str, script: str, size: int, lossy: Callable[[bytes], bool], mutant: str | None = None
) -> tuple[dict[str, Any], int]:
    """Return what a script says is there in the end, and how many answers were lost on the way."""
    with serving(folder / "data", mutant=mutant) as server, bad_line(server, lossy) as proxy:
        seen = run_client(client, script, f"http://127.0.0.1:{proxy.port}", server.url, str(size))
        print(f"seed {SEED}: {dict(proxy.lost)}")
        return seen, proxy.lost[Fate.REPLY]


def logged(folder: Path, client: str, mutant: str | None = None) -> tuple[dict[str, Any], int]:
    """Metrics and parameters of a run."""
    return over_a_bad_line(folder, client, "log_over_a_bad_line.py", STEPS, logs, mutant)


def changed(folder: Path, client: str, mutant: str | None = None) -> tuple[dict[str, Any], int]:
    """Runs, models, versions, aliases and stages."""
    return over_a_bad_line(folder, client, "change_over_a_bad_line.py", ROUNDS, changes, mutant)


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_a_client_that_asks_again_doubles_nothing(tmp_path: Path, client: str) -> None:
    seen, lost = logged(tmp_path, client)
    assert lost > STEPS / 10
    assert seen == {"steps": {key: list(range(STEPS)) for key in KEYS}, "params": STEPS, "status": "FINISHED"}


def test_a_server_that_takes_each_request_for_a_new_one_is_seen(tmp_path: Path) -> None:
    seen, lost = logged(tmp_path, "mlflow3", "points_are_a_list")
    assert lost > 0
    assert max(len(steps) for steps in seen["steps"].values()) > STEPS


@pytest.mark.parametrize("client", ["mlflow3", "mlflow2"])
def test_with_our_plug_in_nothing_is_changed_twice(tmp_path: Path, client: str) -> None:
    seen, lost = changed(tmp_path, client)
    assert lost > ROUNDS
    names = sorted(f"n{at}" for at in range(ROUNDS))
    assert seen == {
        "runs": ROUNDS, "models": names, "versions": [[name, "1", "Production"] for name in names], "refused": [],
    }  # fmt: skip


def test_a_server_that_looks_at_no_keys_is_seen(tmp_path: Path) -> None:
    seen, _ = changed(tmp_path, "mlflow3", "no_keys")
    assert seen["refused"]
    assert seen["runs"] > ROUNDS
