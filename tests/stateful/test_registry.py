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
from greenroom.services.api import BY_NAME, Mode
from tests.races.kit import SEED, size
from tests.stateful.machine import RegistryMachine

PRESETS = ("standard", "guarded", "mlflow", "custom")
EXAMPLES, STEPS = size(500, 20_000), size(50, 100)


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
    writes = {row.name for row in BY_NAME.values() if row.mode is Mode.WRITE}
    assert {each.function.__name__.partition("__")[0] for each in RegistryMachine.setup_state().rules} == writes


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_registry_equals_rules(preset: str) -> None:
    RegistryMachine.played.clear()
    run(preset, EXAMPLES // len(PRESETS))
    played = {operation for (operation, code), count in RegistryMachine.played.items() if code in ("ok", "succeeded")}
    assert played == {row.name for row in BY_NAME.values() if row.mode is Mode.WRITE}, "played without a success"
