"""C6: a promotion is judged by what is true at its commit, not by what was true when it was asked for.

The request has arrived, on its way to its transaction everything happens that can change the answer, in every order:
some of it before the commit, the rest after it. On PostgreSQL each of these goes to another server than the last.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from greenroom.app import LocalRegistry, open_local, open_shared
from greenroom.core.digest import digest_of, manifest_of
from greenroom.core.errors import GreenroomError, NotFound, Refused
from greenroom.core.model import Actor, File, Promotion
from greenroom.services import commands as c
from greenroom.store.database import DatabaseStore
from tests.postgres import new_database
from tests.promises import NIGHTLY, promise, sized
from tests.races.kit import TESTER
from tests.races.mutants import MUTANTS

OURS = Actor("ours")
EVENTS = ["commit", "register", "policy", "delete", "move", *(["describe"] if NIGHTLY else [])]
ORDERS = sized(120, 720)
SERVERS = sized(2, 3)
AUC = {1: 0.5, 2: 0.8, 3: 0.6, 4: 0.9}
DOCUMENT = """
lifecycle = "flow"
[[stage]]
name = "None"
[[stage]]
name = "Staging"
[[stage]]
name = "Production"
capacity = "one"
occupied = "conflict"
protected = true
{production}
[[stage]]
name = "Archived"
archive = true
"""
OPEN = "ungated = true"
POLICIES = {
    "transition": 'from = ["Staging"]\nungated = true',
    "gate": '[[stage.gate]]\ntype = "required_fields"\nfields = ["description"]',
}
ASKS: dict[str, Callable[[str], c.Promote]] = {
    "version": lambda model: c.Promote(model, "Production", 2, swap=True, if_holder=1),
    "best": lambda model: c.Promote(model, "Production", best="auc", swap=True, if_holder=1),
}
CASES = [
    ("transition", "version"),
    ("gate", "best"),
    *([("transition", "best"), ("gate", "version")] if NIGHTLY else []),
]


class Held:
    """Lets a promotion of OURS arrive, then calls `meanwhile` before its transaction begins."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        write_now = DatabaseStore.write_now
        self.meanwhile: Callable[[], None] = lambda: None

        def held(store: Any, use_case: Any, command: Any, actor: Actor, **rest: Any) -> Any:
            if actor == OURS and not command.dry_run:
                self.meanwhile()
            return write_now(store, use_case, command, actor, **rest)

        monkeypatch.setattr(DatabaseStore, "write_now", held)


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    return Held(monkeypatch)


@pytest.fixture(params=["sqlite", "postgresql"])
def servers(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[LocalRegistry]]:
    """The ways to one registry: several servers of one PostgreSQL, or several that share a folder by turns."""
    folder = tmp_path / "data"
    url = new_database() if request.param == "postgresql" else None
    opened = [open_shared(url, folder) if url else open_local(folder, create=True) for _ in range(SERVERS)]
    yield opened
    for each in opened:
        each.close()


@dataclass
class Scene:
    """One model, its own lifecycle, what happens to it, and what must come of our promotion."""

    servers: Sequence[LocalRegistry]
    model: str
    policy: str
    ask: str
    at: int = 0
    revision: int = 0

    def do(self, operation: str, command: Any) -> Any:
        """Ask the next server."""
        self.at += 1
        return self.servers[self.at % len(self.servers)].call_now(operation, command, TESTER)

    def set(self) -> None:
        """Version 1 is in Production, 2 is ours, 3 somebody else's and good for every policy; 4 comes later."""
        self.revision = self.apply(OPEN)
        self.do("use_lifecycle", c.UseLifecycle("flow"))
        self.do("create_model", c.CreateModel(self.model))
        for number in (1, 2, 3):
            self.register(number)
        self.do("promote", c.Promote(self.model, "Production", 1))
        self.do("promote", c.Promote(self.model, "Staging", 3))
        self.do("update_version", c.UpdateVersion(self.model, 3, "what it is for"))

    def clear(self) -> None:
        """Take the model away: a change of policy looks at every model there is."""
        for each in self.do("get_holder", c.GetHolder(self.model, "Production")).tenures:
            self.do("promote", c.Promote(self.model, "Archived", each.version))
        self.do("delete_model", c.DeleteModel(self.model))

    def apply(self, production: str) -> int:
        """Make the next revision of the policy; return its number."""
        applied = self.do("apply_lifecycle", c.ApplyLifecycle(DOCUMENT.format(production=production)))
        return int(applied.revision.revision)

    def register(self, number: int) -> None:
        files = self.files(number)
        self.do("blob_stored", c.BlobStored(files[0].digest, files[0].size_bytes))
        self.do("register_version", c.RegisterVersion(self.model, files, metrics={"auc": AUC[number]}))

    def files(self, number: int) -> tuple[File]:
        return (File("model.bin", digest_of(f"{self.model} {number}".encode()), 1),)

    def happen(self, event: str) -> None:
        """Let one thing happen; after our commit some of it is refused, and that is right too."""
        try:
            match event:
                case "register":
                    self.register(4)
                case "policy":
                    self.apply(POLICIES[self.policy])
                case "delete":
                    self.do("delete_version", c.DeleteVersion(self.model, 2))
                case "move":
                    self.do("promote", c.Promote(self.model, "Production", 3, swap=True))
                case "describe":
                    self.do("update_version", c.UpdateVersion(self.model, 2, "what it is for"))
        except (Refused, NotFound):
            assert event in ("delete", "describe")

    def expected(self, before: Sequence[str]) -> tuple[Any, ...]:
        """What our promotion must be answered, given what happened before its commit."""
        gone = "delete" in before
        target = 2
        if self.ask == "best":
            target = 4 if "register" in before else 3 if gone else 2
        elif gone:
            return ("not_found",)
        codes = set()
        if "move" in before:
            codes.add("holder_changed")
        if "policy" in before and self.policy == "transition" and target != 3:
            codes.add("transition_not_allowed")
        if "policy" in before and self.policy == "gate" and target != 3 and not (target == 2 and "describe" in before):
            codes.add("gate_pending")
        return ("rejected", target, codes) if codes else ("succeeded", target, {1})


def play(scene: Scene, held: Held, order: Sequence[str]) -> list[str]:
    """Let everything happen in this order; return what is wrong with the answer to our promotion."""
    scene.set()
    at = order.index("commit")
    before, after = order[:at], order[at + 1 :]

    def meanwhile() -> None:
        for each in before:
            scene.happen(each)

    held.meanwhile = meanwhile
    answered: Promotion | None = None
    try:
        answered = scene.servers[0].call_now("promote", ASKS[scene.ask](scene.model), OURS)
        got = _told(answered)
    except GreenroomError as exc:
        got = (exc.code,)
    wrong = [] if got == (wanted := scene.expected(before)) else [f"{order}: answered {got}, expected {wanted}"]
    if answered is not None and answered.succeeded:
        revision = scene.revision + ("policy" in before)
        if (answered.lifecycle_revision, answered.digest) != (
            revision,
            manifest_of(scene.files(answered.version)).digest,
        ):
            wrong.append(f"{order}: judged by revision {answered.lifecycle_revision}, {answered.digest}")
    for each in after:
        scene.happen(each)
    scene.clear()
    return wrong


def _told(answered: Promotion) -> tuple[Any, ...]:
    if answered.succeeded:
        return "succeeded", answered.version, {each.version for each in answered.displaced}
    return answered.status.value, answered.version, {each.code for each in answered.refusals}


def all_orders(servers: Sequence[LocalRegistry], held: Held, policy: str, ask: str) -> list[str]:
    """Play every order of the events, each on a model of its own."""
    wrong = []
    orders = list(itertools.permutations(EVENTS))
    for number, order in enumerate(orders):
        wrong += play(Scene(servers, f"m{number}", policy, ask), held, order)
    assert len(orders) == (720 if NIGHTLY else 120)
    return wrong


@promise(
    "C6",
    "all {orders} orders of {{newer version, policy change, delete, other promotion, commit}} at {servers} servers,"
    " on both databases, with a new transition rule and with a new gate, for a named version and for the best one",
    orders=ORDERS,
    servers=SERVERS,
    mutant="test_a_decision_made_outside_the_transaction_is_caught",
    waiting="approvals and evidence: with accounts and gates",
)
@pytest.mark.slow
@pytest.mark.parametrize(("policy", "ask"), CASES)
def test_a_promotion_is_judged_by_what_is_true_at_its_commit(
    servers: list[LocalRegistry], held: Held, policy: str, ask: str
) -> None:
    assert all_orders(servers, held, policy, ask) == []
    report = servers[0].call_now("audit_verify", c.AuditVerify(deep=False), TESTER)
    assert {each.kind for each in report.findings} <= {"missing_blob"}  # the blobs were never sent


@pytest.mark.parametrize("policy", POLICIES)
def test_a_decision_made_outside_the_transaction_is_caught(
    servers: list[LocalRegistry], held: Held, policy: str
) -> None:
    MUTANTS["decided_outside"]()  # `held` puts `write_now` back
    wrong = [
        each
        for number, order in enumerate([("policy", "commit"), ("move", "commit"), ("register", "commit")])
        for each in play(Scene(servers, f"m{number}", policy, "version"), held, order)
    ]
    assert {each.partition(":")[0] for each in wrong} == {"('policy', 'commit')", "('move', 'commit')"}
    assert "answered ('succeeded', 2, {1})" in wrong[0]
