"""Where a new version's files come from, found out inside the transaction that pins them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenroom.core.errors import InvalidInput, NotFound
from greenroom.core.model import File, Parent, SlotKind
from greenroom.core.search import PROMPT_TAG
from greenroom.core.source import ModelRef, Source, SourceKind, check_run_source, parse_source
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version, policy_for
from greenroom.services.ports import ModelRow, ReadTx
from greenroom.services.ports_tracking import LoggedModelRow
from greenroom.services.tracking_origin import find_model, find_run, maker_of, model_tree, run_tree

SNAPSHOTS = "snapshots"  # the folder of the artifact tree under which every manifest can be read
_SNAPSHOT = re.compile(r"(?:^|/mlflow-artifacts/artifacts/)snapshots/([0-9a-f]{64})$")


@dataclass(frozen=True)
class Origin:
    """The files to pin (None: they are elsewhere), and what the source says about where they were made.

    An empty `source` means that the snapshot to be pinned is the only source there is.
    """

    files: tuple[File, ...] | None
    source: str
    run_id: str | None = None
    logged_model: str | None = None
    parent: Parent | None = None


def resolve_origin(tx: ReadTx, ask: c.RegisterVersion) -> Origin:
    """Return the origin of a version. Raises InvalidInput for a source that is not allowed, NotFound for one that
    is not there.
    """
    parent = _parent(tx, ask.parent)
    if ask.files is not None and not ask.source:
        return Origin(ask.files, "", ask.run_id, ask.logged_model, parent)
    source = parse_source(ask.source)
    check_run_source(source, ask.run_id)
    found = _by_kind(tx, source, ask)
    return Origin(
        files=found.files if ask.files is None else ask.files,
        source=found.source,
        run_id=ask.run_id or found.run_id,
        logged_model=ask.logged_model or found.logged_model,
        parent=parent or found.parent,
    )


def _parent(tx: ReadTx, parent: Parent | None) -> Parent | None:
    if parent is None:
        return None
    row = get_version(tx, get_model(tx, parent.model), parent.version, deleted=True)
    return Parent(parent.model, row.version)


def _by_kind(tx: ReadTx, source: Source, ask: c.RegisterVersion) -> Origin:
    if source.kind is SourceKind.MODELS and source.ref is not None:
        return _from_version(tx, source.text, source.ref)
    if source.kind is SourceKind.UPLOAD:
        return Origin(_uploaded(tx, source.path or ""), source.text, *maker_of(tx, source.path or ""))
    if source.kind is SourceKind.RUN:
        return _from_run(tx, source)
    if source.kind is SourceKind.LOGGED_MODEL:
        return _from_logged_model(tx, source, find_model(tx, source.logged_model))
    if source.kind is SourceKind.URI:
        return Origin(_snapshot(tx, source.text), source.text)
    if source.kind is SourceKind.OPAQUE_NAME and not _is_prompt(tx, ask):
        raise InvalidInput(
            f"Invalid model version source: '{source.text}'. It is a bare name, which only prompts may have.",
            hint="Push the files with `greenroom push DIR MODEL`, or name where they are.",
            source=source.text,
        )
    return Origin(None, source.text, source.run_id, source.logged_model)


def _from_run(tx: ReadTx, source: Source) -> Origin:
    """A run's files as they are now. 3.x clients keep a model's files apart and name it as if it lay in the run."""
    run = find_run(tx, source.run_id)
    if run is None:  # another server's
        return Origin(None, source.text, source.run_id)
    tree, path = run_tree(run), source.path or ""
    files = _uploaded(tx, f"{tree}/{path}" if path else tree) if tree else None
    if files is not None:
        return Origin(files, source.text, run.id)
    model = tx.find_model_of_run(run.id, path)
    return _from_logged_model(tx, source, model) if model is not None else Origin(None, source.text, run.id)


def _from_logged_model(tx: ReadTx, source: Source, model: LoggedModelRow | None) -> Origin:
    if model is None:  # another server's
        return Origin(None, source.text, None, source.logged_model)
    tree = model_tree(model)
    files = _uploaded(tx, tree) if tree else None
    return Origin(files, source.text, source.run_id or model.source_run_id or None, model.id)


def _is_prompt(tx: ReadTx, ask: c.RegisterVersion) -> bool:
    model = tx.find_model(ask.model)
    return PROMPT_TAG in ask.tags or (model is not None and PROMPT_TAG in tx.model_tags(model.id))


def _from_version(tx: ReadTx, text: str, ref: ModelRef) -> Origin:
    """The files of another version are shared by digest; where they came from comes along.

    Raises NotFound, and InvalidInput for a prompt, which has no files.
    """
    model = get_model(tx, ref.model)
    if tx.model_tags(model.id).get(PROMPT_TAG, "").lower() == "true":
        raise InvalidInput(
            f"Invalid model version source: '{text}'. Prompt versions cannot be used as model version sources.",
            hint="Register the prompt's text again under the other name.",
            source=text,
        )
    row = get_version(tx, model, _number(tx, model, ref))
    files = tx.manifest_files(row.manifest) if row.manifest else None
    return Origin(
        files, f"models:/{model.name}/{row.version}", row.run_id, row.logged_model, Parent(model.name, row.version)
    )


def _number(tx: ReadTx, model: ModelRow, ref: ModelRef) -> int:
    if ref.version is not None:
        return ref.version
    if ref.alias is not None and ref.alias.casefold() == "latest":
        living = tx.living_versions(model.id)
        found = living[-1] if living else None
    elif ref.alias is not None:
        found = tx.aliases(model.id).get(ref.alias)
    else:
        stage = policy_for(tx, model)[0].get_stage(str(ref.stage))
        found = tx.newest_in_slot(model.id, SlotKind.STAGE, stage.name)
    if found is None:
        wanted = f"alias {ref.alias!r}" if ref.alias is not None else f"version in {ref.stage}"
        raise NotFound(
            f"model {model.name!r} has no {wanted}.",
            hint="Name a version.",
            kind="version",
            model=model.name,
            **({} if ref.alias is None else {"alias": ref.alias}),
        )
    return found


def _uploaded(tx: ReadTx, path: str) -> tuple[File, ...] | None:
    """The files below a folder of the upload tree as they are now; None when there are none (another server's tree)."""
    pinned = _snapshot(tx, path)
    if pinned is not None:
        return pinned
    below = tx.uploads_below(path)
    if below:
        return tuple(
            File(each.path[len(path) + 1 :] if path else each.path, each.digest, each.size_bytes) for each in below
        )
    single = tx.find_upload(path)
    return (File(path.rpartition("/")[2], single.digest, single.size_bytes),) if single else None


def _snapshot(tx: ReadTx, text: str) -> tuple[File, ...] | None:
    match = _SNAPSHOT.search(text)
    return (tx.manifest_files(f"sha256:{match[1]}") or None) if match else None
