"""What Greenroom adds to an installed MLflow: `mlflow models transition-stage …` and its relatives, and a key per call.

MLflow's command line has no extension point, but `import mlflow` loads the entry points of the group
`mlflow.run_context_provider`, before `mlflow.models.cli`. The provider here is never in context; being made, it sets
up a finder that waits for `mlflow.models.cli`, removes itself, lets the module load and adds our commands to its click
group `commands`.

Whatever happens here, MLflow must go on as if we were not installed: every step gives up silently, MLflow's commands
are never replaced, and nothing of ours is imported before one of our commands runs. Source: cli-verbs.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

_TARGET = "mlflow.models.cli"

# The words of `greenroom.cli.verbs_tables.SPELLINGS`, which may not be imported yet; a test compares the two.
VERBS = tuple(
    (
        "alias alias-add alias-create alias-delete alias-get alias-list alias-ls alias-remove alias-rm alias-set "
        "alias-update aliases aliases-delete aliases-get aliases-list aliases-ls aliases-set approve "
        "approve-request approve-transition-request archive archive-model-version archive-version compare "
        "compare-versions create create-alias create-model create-model-version create-registered-model "
        "create-transition-request create-version delete delete-alias delete-model delete-model-version "
        "delete-model-version-tag delete-registered-model delete-registered-model-alias "
        "delete-registered-model-tag delete-tag delete-version delete-version-tag describe describe-model "
        "describe-model-version describe-registered-model describe-version diff get get-alias get-latest-version "
        "get-latest-versions get-model get-model-version get-model-version-by-alias get-model-version-details "
        "get-model-versions get-registered-model get-version get-version-details get-versions history info "
        "latest-versions list list-aliases list-latest-versions list-model-versions list-models "
        "list-registered-models list-transitions list-versions ls move promote promote-model promote-to-production "
        "promote-to-staging promote-version register register-model register-version reject reject-request "
        "reject-transition-request remove-alias request-stage-transition request-transition restore restore-model "
        "restore-model-version restore-registered-model restore-version revert rm roll-back rollback search "
        "search-model-versions search-models search-registered-models search-versions set-alias set-model-alias "
        "set-model-tag set-model-version-tag set-registered-model-alias set-registered-model-tag set-stage set-tag "
        "set-version-tag show tag transition transition-model-stage transition-model-version "
        "transition-model-version-stage transition-request transition-request-approve transition-request-create "
        "transition-request-reject transition-request-to-stage transition-stage transition-version "
        "transition-version-stage transitions unset-alias untag update update-alias update-model "
        "update-model-version update-model-version-stage update-registered-model update-stage update-version "
        "update-version-stage versions versions-compare versions-create versions-delete versions-describe "
        "versions-get versions-history versions-list versions-restore versions-search versions-update"
    ).split()
)
# What `mlflow models --help` lists of ours.
_LISTED = {
    "transition-stage": "Move a model version into a stage (Greenroom).",
    "transition-version": "The same as transition-stage (Greenroom).",
    "list-versions": "List the versions of a model (Greenroom).",
    "register": "Register the next version of a model (Greenroom).",
    "describe": "Show a version, or write its description (Greenroom).",
    "alias": "Set, get, list and delete aliases (Greenroom).",
    "rollback": "Give a stage back to its last healthy holder (Greenroom).",
}


class GreenroomVerbs:
    """A run context provider that is never in context; making one sets up the commands."""

    def __init__(self) -> None:
        set_up()

    def in_context(self) -> bool:
        """Return False: runs get no tags from us."""
        return False

    def tags(self) -> dict[str, str]:
        """Return no tags."""
        return {}


class GreenroomKeys:
    """A request header provider that gives every request a key of its own.

    MLflow asks for headers once per call and sends them again when it repeats the call by itself, so a run, a version
    or a promotion whose answer was lost on the way is not made twice. Other servers do not look at the header.
    """

    def in_context(self) -> bool:
        """Return True: any call may be repeated."""
        return True

    def request_headers(self) -> dict[str, str]:
        """Return the header."""
        return {"Idempotency-Key": uuid.uuid4().hex}


def set_up() -> None:
    """Add our commands to `mlflow models`: now if it is loaded, else as soon as it is. Never raises."""
    try:
        loaded = sys.modules.get(_TARGET)
        if getattr(loaded, "commands", None) is not None:
            add_commands(loaded)
        elif not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())
    except Exception:  # noqa: BLE001, S110 - `import mlflow` must not fail because of us
        pass


class _Finder:
    """Waits for MLflow's module; leaves `sys.meta_path` when it comes."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return None for every other module, and for this one the spec that the other finders have."""
        if fullname != _TARGET:
            return None
        try:
            sys.meta_path.remove(self)
        except ValueError:  # another thread was here first
            return None
        try:
            return _hooked(fullname, path, target)
        except Exception:  # noqa: BLE001 - the finders after us are asked as if we were not there
            return None


def _hooked(fullname: str, path: Sequence[str] | None, target: ModuleType | None) -> ModuleSpec | None:
    """Return the real spec, whose loader calls us once after it has run the module."""
    found = (finder.find_spec(fullname, path, target) for finder in list(sys.meta_path))
    spec = next((each for each in found if each is not None), None)
    if spec is None:
        return None
    loader: Any = spec.loader
    run = loader.exec_module

    def run_then_add(module: ModuleType) -> None:
        # The loader is as it was before anybody can look at it.
        del loader.exec_module
        run(module)
        try:
            add_commands(module)
        except Exception:  # noqa: BLE001, S110 - MLflow's module is loaded; it only lacks our commands
            pass

    # On the instance, not by a wrapper: whoever asks for the module's loader or source finds MLflow's own.
    loader.exec_module = run_then_add
    return spec


def add_commands(module: ModuleType | None) -> None:
    """Add our commands to the click group `commands` of MLflow's module; a name that MLflow uses is left to MLflow.

    A command that MLflow adds to its group later replaces ours of that name.
    """
    import click

    class Verb(click.Command):
        """One of our words; the real command is imported when it runs."""

        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            """Keep the words as they are: our interpreter reads them."""
            ctx.args = list(args)
            return ctx.args

        def invoke(self, ctx: click.Context) -> Any:
            """Run the words as `greenroom models` would."""
            try:
                from greenroom.cli.verbs import WordsCommand
            except ImportError as exc:
                raise click.ClickException(f"Greenroom is installed here but cannot be loaded: {exc}") from exc
            return WordsCommand("models", before=[str(self.name)], program="mlflow").invoke(ctx)

    group: Any = getattr(module, "commands", None)
    for name in VERBS:
        if name not in group.commands:
            summary = _LISTED.get(name)
            group.add_command(Verb(name, short_help=summary, hidden=summary is None, add_help_option=False))
