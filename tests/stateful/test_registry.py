"""C4: the registry is equal to the rules, whatever is asked in whatever order (see machine.py and rules.py)."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from greenroom.core import lifecycle
from greenroom.core.model import PromotionKind
from greenroom.services import promotion, versions
from greenroom.services.api import BY_NAME, TRACKING, Mode
from tests.promises import promise, sized
from tests.races.kit import SEED
from tests.stateful.machine import RegistryMachine

PRESETS = ("standard", "guarded", "mlflow", "custom")
EXAMPLES, STEPS = sized(500, 20_000), sized(50, 100)


@pytest.fixture(scope="module", autouse=True)
def templates() -> Iterator[None]:
    yield
    RegistryMachine.forget_templates()


def machine(preset: str) -> type[RegistryMachine]:
    """Return the machine that begins with a lifecycle: a preset, or a custom one that a document brings."""
    given = {"custom": True} if preset == "custom" else {"preset": preset}
    return type(f"{preset.title()}Machine", (RegistryMachine,), given)


def run(preset: str, examples: int, *, phases: tuple[Phase, ...] = (Phase.generate, Phase.shrink)) -> None:
    """Play `examples` games; prints the seed with which they can be played again."""
    print(f"GREENROOM_SEED={SEED}")
    chosen = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=phases,
        print_blob=False,
        verbosity=Verbosity.quiet if Phase.shrink not in phases else Verbosity.normal,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(seed(SEED)(machine(preset)), settings=chosen)


def test_every_write_operation_is_played() -> None:
    writes = {row.name for row in BY_NAME.values() if row.mode is Mode.WRITE and row not in TRACKING}
    assert {each.function.__name__.partition("__")[0] for each in RegistryMachine.setup_state().rules} == writes


def test_every_write_operation_succeeds_somewhere() -> None:
    """One game by hand, so that it does not depend on chance that each operation is compared with effect."""
    RegistryMachine.played.clear()
    game = machine("standard")()
    game.begin(3)
    game.update_model("alpha", "about it")
    game.set_model_tag("alpha", "k", "ads")
    game.delete_model_tag("alpha", "k")
    game.update_version(("alpha", 1), "about it")
    game.set_version_tag(("alpha", 1), "k", "ads")
    game.delete_version_tag(("alpha", 1), "k")
    game.record_metrics(("alpha", 1), {"auc": 0.5}, {"depth": "3"})
    game.register_version("beta", "models:/alpha/1", True, ("alpha", 1))
    game.register_version("alpha", "s3://elsewhere/m", False, None)
    game.pin_version(("alpha", 4), "one")
    game.rollback__after_swaps(("alpha", 1), [1, 2], "Staging")
    game.set_alias(("alpha", 3), "free", None)
    game.delete_alias("alpha", "free")
    game.delete_version(("alpha", 3))
    game.restore_version(("alpha", 3))
    game.rename_model("beta", "gamma")
    game.delete_model("gamma")
    game.restore_model("gamma")
    game.add_stage("Canary", "Staging", "one", None)
    game.apply_lifecycle("strict")
    game.use_lifecycle("strict", "alpha", None)
    game.put_upload("a/b", "one")
    game.delete_uploads("a")
    game.teardown()
    played = {operation for operation, code in RegistryMachine.played if code in ("ok", "succeeded")}
    assert played == {row.name for row in BY_NAME.values() if row.mode is Mode.WRITE and row not in TRACKING}


@promise(
    "C4",
    "{examples} sequences of {steps} calls under each of {presets} lifecycles",
    examples=EXAMPLES,
    steps=STEPS,
    presets=len(PRESETS),
    mutant="test_a_broken_rule_is_found",
)
@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_registry_equals_rules(preset: str) -> None:
    RegistryMachine.played.clear()
    run(preset, EXAMPLES // len(PRESETS))
    assert RegistryMachine.played.total() > EXAMPLES * STEPS // len(PRESETS) // 2


# --- the rules broken on purpose: each must be found within seconds ---


def _no_conflict(patch: pytest.MonkeyPatch) -> None:
    """Whoever asks for a held exclusive stage gets it."""
    patch.setattr(lifecycle, "RULES", tuple(each for each in lifecycle.RULES if each is not lifecycle.free_slot))


def _no_compare(patch: pytest.MonkeyPatch) -> None:
    """`if_holder` is read and forgotten."""
    patch.setattr(lifecycle, "RULES", lifecycle.RULES[1:])


def _back_and_forth(patch: pytest.MonkeyPatch) -> None:
    """A rollback goes back to who was rolled back from."""

    def target(tenures: Any, holders: Any, is_deleted: Callable[[int], bool]) -> int | None:
        return next((each.version for each in tenures if each.version not in holders), None)

    patch.setattr(promotion, "rollback_target", target)


def _alias_outlives(patch: pytest.MonkeyPatch) -> None:
    """A deleted version keeps its aliases."""
    close = versions.close_tenure

    def kept(tx: Any, model: Any, tenure: Any, actor: Any, kind: PromotionKind) -> None:
        if tenure.kind.value == "stage":
            close(tx, model, tenure, actor, kind)

    patch.setattr(versions, "close_tenure", kept)


def _stale_evidence(patch: pytest.MonkeyPatch) -> None:
    """A gate is shown what was true of the version when it was judged first: evidence outlives its change."""
    decide, seen = promotion.decide, {}

    def stale(move: Any, given: Any) -> Any:
        kept = seen.setdefault((move.model, move.version, given.policy.name), given.evidence)
        shown = dataclasses.replace(given.evidence, description=kept.description, metrics=kept.metrics)
        return decide(move, dataclasses.replace(given, evidence=shown))

    patch.setattr(promotion, "decide", stale)


def _silent_refusal(patch: pytest.MonkeyPatch) -> None:
    """A deletion that is refused leaves no entry in the log."""
    from greenroom.store.tx import WriteTx

    record = WriteTx.record

    def some(self: Any, kind: str, *given: Any, **rest: Any) -> None:
        if kind != "deletion_rejected":
            record(self, kind, *given, **rest)

    patch.setattr(WriteTx, "record", some)


@pytest.mark.parametrize(
    ("mutant", "preset"),
    [
        (_no_conflict, "standard"),
        (_no_compare, "standard"),
        (_back_and_forth, "standard"),
        (_alias_outlives, "mlflow"),
        (_stale_evidence, "guarded"),
        (_silent_refusal, "standard"),
    ],
)
def test_a_broken_rule_is_found(mutant: Callable[[pytest.MonkeyPatch], None], preset: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        mutant(patch)
        started = time.monotonic()
        with pytest.raises(AssertionError):
            run(preset, 400, phases=(Phase.generate,))
        print(f"found after {time.monotonic() - started:.1f} s")
