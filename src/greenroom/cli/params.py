"""Parameters that several commands share, and how their texts are read."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.shell_completion import CompletionItem

from greenroom.cli.output import Output
from greenroom.cli.session import Session, say, session_of
from greenroom.core.errors import GreenroomError, InvalidInput

if TYPE_CHECKING:
    from greenroom.client.refs import Ref
    from greenroom.core.model import Dataset

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

_MOST_COMPLETIONS = 50


def complete_model(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of models; a registry that cannot be asked offers nothing."""
    try:
        found = islice(session_of(ctx).registry.models(), 1000)
        names = [model.name for model in found if model.name.startswith(incomplete)]
    except (GreenroomError, OSError):
        names = []
    return [CompletionItem(name) for name in names[:_MOST_COMPLETIONS]]


def complete_slot(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the stages, and the aliases as `@NAME`, of the model that the line names; without one, the stages."""
    model = ctx.params.get("model")
    if model is None and ctx.args and any(each.name == "model" for each in ctx.command.params):
        model = ctx.args[0]  # click gives up on a line that ends in `--to`, and leaves the words to us
    try:
        registry = session_of(ctx).registry
        slots = [stage.name for stage in registry.lifecycle(model=split_ref(model)[0] if model else None).stages]
        slots += [f"@{alias}" for alias in registry.model(split_ref(model)[0]).aliases] if model else []
    except (GreenroomError, OSError):
        slots = []
    return [CompletionItem(slot) for slot in slots if slot.casefold().startswith(incomplete.casefold())]


def complete_lifecycle(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the names of lifecycles."""
    try:
        names = [each.name for each in session_of(ctx).registry.lifecycles().lifecycles]
    except (GreenroomError, OSError):
        names = []
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def named(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """Refuse an empty folder or address: it is a variable of the shell that is not set, and no default."""
    if value == "":
        raise InvalidInput(f"{param.opts[0]} is empty.", hint="Is the variable set that should be there?")
    return value


def model_argument(command: F) -> F:
    """Take MODEL."""
    return click.argument("model", shell_complete=complete_model)(command)


def version_argument(command: F) -> F:
    """Take VERSION after MODEL; optional for the parser, because MODEL@VERSION says it too."""
    return click.argument("version", required=False)(command)


reason_option = click.option("--reason", "-m", metavar="TEXT", help="Why; kept in the history and the audit log.")
limit_option = click.option(
    "--limit", type=click.IntRange(min=0), default=100, show_default=True, help="Show at most so many; 0 shows all."
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Only show what would happen.")


def split_ref(model: str) -> tuple[str, Ref | None]:
    """Return the model's name, and the reference when MODEL was written as one (`churn@3`)."""
    from greenroom.client.refs import is_ref, parse_ref

    if not is_ref(model):
        return model, None
    ref = parse_ref(model)
    return ref.model, ref


def model_and_version(session: Session, model: str, version: str | None) -> tuple[str, int | str | None]:
    """Return model and version from `MODEL VERSION` or `MODEL@SLOT`; the version is None when none was given.

    Raises InvalidInput when it was given both ways, NotFound when nobody holds the slot.
    """
    name, ref = split_ref(model)
    if ref is None:
        return name, version
    if version is not None:
        raise InvalidInput(f"the version is given twice: {model} and {version}.", hint=f"Write {name} {version}.")
    return name, session.registry.find_version(ref)


def need_version(session: Session, model: str, version: str | None) -> tuple[str, int | str]:
    """Like `model_and_version`, for commands that cannot go on without. Raises InvalidInput when there is none."""
    name, found = model_and_version(session, model, version)
    if found is None:
        raise InvalidInput(f"no version of {name!r} is given.", hint=f"Write {name} 3, {name}@3 or {name}@Production.")
    return name, found


_EXAMPLES = {"metric": "auc=0.91", "parameter": "depth=6", "part of --dataset": "churn-10,digest=…,context=training"}


def pairs_of(values: Iterable[str], what: str) -> dict[str, str]:
    """Return `key=value` words as a dict. Raises InvalidInput for a word of another form and for a key given twice."""
    found: dict[str, str] = {}
    for word in values:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidInput(
                f"{what} {word!r} is not of the form KEY=VALUE.",
                hint=f"Write it like {_EXAMPLES.get(what, 'team=growth')}.",
            )
        if key in found:
            raise InvalidInput(f"{what} {key!r} is given twice.", hint="Give it once.")
        found[key] = value
    return found


def metrics_of(values: Iterable[str]) -> dict[str, float]:
    """Return `key=number` words as a dict. Raises InvalidInput."""
    metrics: dict[str, float] = {}
    for key, text in pairs_of(values, "metric").items():
        try:
            metrics[key] = float(text)
        except ValueError:
            raise InvalidInput(f"metric {key!r} is not a number: {text!r}.", hint="Write it like auc=0.91.") from None
    return metrics


def datasets_of(values: Iterable[str]) -> tuple[Dataset, ...]:
    """Return `NAME[,digest=…][,source=…][,context=…]` words as data sets. Raises InvalidInput."""
    from greenroom.core.model import Dataset

    found = []
    for word in values:
        name, *facts = word.split(",")
        known = pairs_of(facts, "part of --dataset")
        unknown = known.keys() - {"digest", "source", "context"}
        if unknown or not name or "=" in name:
            raise InvalidInput(
                f"data set {word!r} is not of the form NAME[,digest=…][,source=…][,context=…].",
                hint="Write it like churn-2026-10,digest=sha256:…,context=training.",
            )
        found.append(Dataset(name, known.get("digest"), known.get("source"), known.get("context")))
    return tuple(found)


def read_document(path: str) -> str:
    """Return the text of a file (`-`: standard input). Raises InvalidInput when it is not UTF-8, OSError."""
    import sys
    from pathlib import Path

    data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{path} is not a text in UTF-8 (byte {exc.start}).") from None


def first(found: Iterator[T], limit: int, out: Output) -> list[T]:
    """Return at most `limit` items (0: all), and say so when there are more."""
    if not limit:
        return list(found)
    items = list(islice(found, limit + 1))
    if len(items) > limit:
        out.note(f"Only the first {limit} are shown; --limit 0 shows all.")
    return items[:limit]


@contextlib.contextmanager
def pointing_at(text: str | None) -> Iterator[None]:
    """Show under a filter where it goes wrong, when an error names the column."""
    try:
        yield
    except InvalidInput as exc:
        column = exc.details.get("column")
        if (
            text
            and isinstance(column, int)
            and 1 <= column <= len(text) + 1
            and text.isprintable()
            and len(text) <= 500
        ):
            say(f"  {text}\n  {' ' * (column - 1)}^")
        raise
