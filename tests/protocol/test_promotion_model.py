"""C5: the promotion protocol, searched in all its states by Spin, and kept in step with the code that carries it out.

`promotion.pml` says what is modelled. Each label in it is a step of a transaction; STEPS says which function takes it,
and a real promotion on both databases must call these functions in the model's order.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core import lifecycle
from greenroom.core.model import Actor, Promotion
from greenroom.services import commands as c
from greenroom.services import promotion, tenures
from greenroom.services.ports import Request
from greenroom.store import sealing, writer
from greenroom.store.postgres import Postgres
from greenroom.store.read_slots import SlotReads
from greenroom.store.sqlite import SQLite
from greenroom.store.tx import WriteTx
from tests.postgres import new_database
from tests.promises import promise, sized
from tests.races.mutants import MUTANTS

MODEL = Path(__file__).with_name("promotion.pml")
REQUESTS, SERVERS, EVIDENCE = sized(2, 3), sized(2, 3), sized(1, 2)  # 3, 3, 2: 61 million states, 3.4 GB, 2 minutes
PIECES = sized(2, 3)  # three requests with three pieces each would not fit into memory: then two requests
PROTECTIONS = {
    "NOCAS": "no_compare",
    "NODIGEST": "decided_outside",
    "NOIDEM": "no_keys",
    "MEMKEYS": "keys_in_memory",
    "EARLY": "answer_before_commit",
    "NOLOCK NOINDEX": "stale_decision_no_index",
}
"""Macros of the model that take a protection away, and the server with the same bug."""

STEPS: dict[str, tuple[Callable[..., Any], ...]] = {
    "begin": (SQLite.begin, Postgres.begin),
    "once": (writer.BatchRunner._once,),
    "look": (SlotReads.holders,),
    "decide": (lifecycle.decide,),
    "close": (tenures.close_tenure,),
    "open": (tenures.open_tenure,),
    "promotion": (promotion._row,),
    "record": (WriteTx.record,),
    "keep": (WriteTx.keep_outcome,),
    "seal": (sealing.seal_batch,),
    "commit": (SQLite.commit, Postgres.commit),
    "answer": (writer._answer_all,),
}
OF_THE_CLIENT = ("send", "lost", "done")


def search(folder: Path, **macros: object) -> str:
    """Let Spin make the verifier and run it to the end; return what it says."""
    spin, compiler = shutil.which("spin"), shutil.which("cc")
    assert spin, "Spin is not installed: apt-get install spin"
    assert compiler, "a C compiler is not installed"
    folder.mkdir(exist_ok=True)
    given = [f"-D{name}={value}" if value is not None else f"-D{name}" for name, value in macros.items()]
    _run(folder, spin, "-a", *given, str(MODEL))
    _run(folder, compiler, "-O2", "-w", "-DSAFETY", "-DCOLLAPSE", "-DMEMLIM=12000", "-o", "pan", "pan.c")
    return _run(folder, "./pan", "-m200000")


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=3_600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@promise(
    "C5",
    "every state of {requests} requests at {servers} servers with {evidence} pieces of evidence for each version,"
    " and of 2 requests with {pieces}",
    requests=REQUESTS,
    servers=SERVERS,
    evidence=EVIDENCE,
    pieces=PIECES,
    mutant="test_without_a_protection_the_model_fails",
)
@pytest.mark.parametrize(("requests", "evidence"), [(int(REQUESTS), int(EVIDENCE)), (2, int(PIECES))])
def test_the_protocol_holds_in_every_state(tmp_path: Path, requests: int, evidence: int) -> None:
    said = search(tmp_path / "pan", NV=requests, NR=int(SERVERS), NA=evidence)
    assert "errors: 0" in said, said
    assert "Full statespace search" in said
    assert "not completed" not in said
    assert "too small" not in said, said  # the search depth
    unreached = re.findall(r"unreached in (?:proctype )?(\w+)\n(?:\t.*\n)*?\t\((\d+) of \d+ states\)", said)
    assert unreached == [("request", "0"), ("person", "0"), ("change", "0"), ("init", "0")], said
    states = re.search(r"(\d+) states, stored", said)
    assert states is not None
    assert int(states[1]) > 50_000
    print(states[0])


@pytest.mark.parametrize("macros", PROTECTIONS)
def test_without_a_protection_the_model_fails(tmp_path: Path, macros: str) -> None:
    said = search(tmp_path / "pan", **dict.fromkeys(macros.split()))
    assert "assertion violated" in said, said


def test_without_the_index_alone_it_holds(tmp_path: Path) -> None:
    """The constraint is the second wall: the lock and the decision are the first."""
    assert "errors: 0" in search(tmp_path / "pan", NOINDEX=None)


def test_every_protection_of_the_model_has_a_server_without_it() -> None:
    assert set(PROTECTIONS.values()) <= set(MUTANTS)
    text = MODEL.read_text("utf-8")
    rows = re.findall(r"^   ([A-Z].*): .* - (\w+)", text, re.MULTILINE)
    said = {" ".join(re.findall("[A-Z]{2,}", left)): right for left, right in rows}
    assert said == PROTECTIONS
    asked = set(re.findall(r"#ifn?def (\w+)", text)) - {"NV", "NR", "NA"}
    assert asked == {name for each in PROTECTIONS for name in each.split()}


# --- the code takes the steps of the model, in their order ----------------------------------------------------------


def labels() -> list[str]:
    """Return the labels of the model's request, in their order."""
    body = MODEL.read_text("utf-8").partition("proctype request")[2].partition("proctype person")[0]
    return re.findall(r"^(\w+):", body, re.MULTILINE)


def test_every_label_of_the_model_is_a_step_of_the_code() -> None:
    assert [each for each in labels() if each not in OF_THE_CLIENT] == list(STEPS)


@pytest.fixture(params=["sqlite", "postgresql"])
def registry(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LocalRegistry]:
    if request.param == "sqlite":
        made = open_local(tmp_path / "data", create=True)
    else:
        made = open_shared(new_database(), tmp_path / "data")
    for number in (1, 2):
        ask = c.RegisterVersion("m", source="s3://elsewhere/m", create_model=number == 1)
        made.call_now("register_version", ask, ANA)
    made.call_now("promote", c.Promote("m", "Production", 1), ANA)
    yield made
    made.close()


ANA = Actor("ana")
SWAP = c.Promote("m", "Production", 2, swap=True, if_holder=1)


def steps_of(registry: LocalRegistry, use_case: Callable[..., Any]) -> list[str]:
    """Run one promotion in this thread; return the steps of the model it took, each at its first time."""
    taken: dict[str, None] = {}
    of_code: dict[CodeType, str] = {each.__code__: step for step, functions in STEPS.items() for each in functions}

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in of_code:
            taken.setdefault(of_code[frame.f_code])

    job = writer.Job(use_case, SWAP, ANA, Request("r", "key", "print"), "promote", Promotion)
    sys.setprofile(watch)
    try:
        registry.store._runner.run([job])
    finally:
        sys.setprofile(None)
    assert job.future.result().succeeded
    return list(taken)


def test_a_promotion_takes_the_steps_of_the_model_in_their_order(registry: LocalRegistry) -> None:
    assert steps_of(registry, promotion.promote) == list(STEPS)


@pytest.mark.parametrize("mutant", ["answer_before_commit", "event_after_commit", "keys_in_memory"])
def test_a_promotion_that_leaves_the_order_is_seen(
    registry: LocalRegistry, mutant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run", "_transaction", "_once"):  # so that what the mutant puts there is taken back afterwards
        monkeypatch.setattr(writer.BatchRunner, name, getattr(writer.BatchRunner, name))
    MUTANTS[mutant]()
    assert steps_of(registry, promotion.promote) != list(STEPS)
