"""Greenroom, a model registry in which going into production is a transaction: gated, atomic, recorded, reversible.

    import greenroom

    registry = greenroom.connect("http://127.0.0.1:5000")   # or a folder, or nothing: see `connect`
    registry.push("./model", "churn", metrics={"auc": 0.91})
    registry.promote("churn", 3, to="Production", swap=True)
    registry.holder("churn", at="2026-11-01").version

Everything is imported when it is first used: `import greenroom` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from greenroom._version import __version__

if TYPE_CHECKING:
    from greenroom.client import connect
    from greenroom.client.compat import transition_model_version_stage
    from greenroom.client.registry import Registry
    from greenroom.core import errors
    from greenroom.core.errors import GreenroomError, Refused
    from greenroom.core.model import (
        Context,
        Dataset,
        File,
        Parent,
        Promotion,
        PromotionStatus,
        Refusal,
        RegisteredModel,
        Tenure,
        Version,
    )

__all__ = [
    "Context",
    "Dataset",
    "File",
    "GreenroomError",
    "Parent",
    "Promotion",
    "PromotionStatus",
    "Refusal",
    "Refused",
    "RegisteredModel",
    "Registry",
    "Tenure",
    "Version",
    "__version__",
    "connect",
    "errors",
    "transition_model_version_stage",
]

_NOUNS = "Context Dataset File Parent Promotion PromotionStatus Refusal RegisteredModel Tenure Version"
_HOMES = {
    "connect": "greenroom.client",
    "Registry": "greenroom.client.registry",
    "transition_model_version_stage": "greenroom.client.compat",
    "GreenroomError": "greenroom.core.errors",
    "Refused": "greenroom.core.errors",
} | dict.fromkeys(_NOUNS.split(), "greenroom.core.model")


def __getattr__(name: str) -> Any:
    """Import a public name from where it lives, once."""
    import importlib

    if name == "errors":
        return importlib.import_module("greenroom.core.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'greenroom' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
