"""The client's files: registering versions with their bytes, fetching them verified, comparing and re-hashing them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypedDict, Unpack

from greenroom.client.calls import Calls, finite, optional_version, texts, version_number
from greenroom.client.refs import Ref, parse_ref
from greenroom.core.errors import Conflict, InvalidInput
from greenroom.core.lineage import Lineage
from greenroom.core.model import Context, Dataset, File, Parent, Version
from greenroom.services import answers as a
from greenroom.services import commands as c

_PUSHES = 3


class Metadata(TypedDict, total=False):
    """What a version is registered with besides its files.

    `context` says where it was trained: `"auto"` (the default) collects what can be seen from this process, None says
    nothing. `parent` is the version that it was made from, as `Parent` or as `"MODEL@3"`. `create_model` (default True)
    makes the model when it is not there yet.
    """

    metrics: Mapping[str, float] | None
    params: Mapping[str, object] | None
    tags: Mapping[str, object] | None
    description: str | None
    datasets: Iterable[Dataset]
    parent: Parent | str | None
    run_id: str | None
    run_link: str | None
    context: Context | Literal["auto"] | None
    create_model: bool
    reason: str | None


@dataclass(frozen=True)
class Pulled:
    """What was fetched: the version, and the folder its files are in."""

    version: Version
    folder: str


class Files(Calls):
    """Bytes in and out."""

    def find_version(self, ref: Ref | str) -> int:
        """Return the number of the version that a reference means now."""
        raise NotImplementedError

    def register(
        self,
        model: str,
        files: str | os.PathLike[str] | Sequence[File] | None = None,
        *,
        source: str = "",
        progress: bool = False,
        **metadata: Unpack[Metadata],
    ) -> Version:
        """Register the next version of `model`.

        `files` is a folder (its files are sent first, as `push` does) or a manifest whose blobs are stored already.
        Without `files` the bytes are elsewhere, at `source`, and the version is unpinned. Raises InvalidInput,
        StorageFull, Conflict.
        """
        if files is None and not source:
            raise InvalidInput(
                "neither files nor a source are given.", hint="Give a folder, or say where the files are."
            )
        if isinstance(files, str | os.PathLike):
            return self.push(files, model, source=source, progress=progress, **metadata)
        manifest = None if files is None else tuple(files)
        return self._register(model, manifest, source, None, metadata)

    def push(
        self,
        folder: str | os.PathLike[str],
        model: str,
        *,
        source: str = "",
        progress: bool = False,
        **metadata: Unpack[Metadata],
    ) -> Version:
        """Send what the registry does not have of `folder`, then register the folder as the next version of `model`.

        `progress` shows bars on a terminal. Raises InvalidInput for a folder that cannot be a version, StorageFull.
        """
        from greenroom.client.transfer import push_folder

        for _ in range(_PUSHES - 1):
            files = push_folder(folder, self.transport, progress=progress)
            try:
                return self._register(model, tuple(files), source, folder, metadata)
            except (Conflict, InvalidInput) as exc:
                # A file was collected, or found damaged, between the question and the registration: it is sent again.
                if not {"missing", "state"} & exc.details.keys():
                    raise
        return self._register(
            model, tuple(push_folder(folder, self.transport, progress=progress)), source, folder, metadata
        )

    def pull(
        self, ref: str | Ref, dest: str | os.PathLike[str], *, replace: bool = False, progress: bool = False
    ) -> Pulled:
        """Fetch the files of a version (`MODEL@Production`, `MODEL@champion`, `MODEL@3`) into the folder `dest`.

        Every byte is checked against its digest; `dest` appears complete or not at all, `replace` swaps one that is
        there. Raises NotFound, IntegrityFailure, AlreadyExists when `dest` is there, InvalidInput for a version whose
        bytes are not stored here.
        """
        from greenroom.client.transfer import pull_folder

        ref = parse_ref(ref) if isinstance(ref, str) else ref
        version = self._ask("get_version", c.VersionNamed(ref.model, self.find_version(ref)), Version)
        manifest = self.files(version.model, version.version)
        if manifest.digest is None:
            raise InvalidInput(
                f"version {version.version} of {version.model!r} is unpinned: its bytes are at {version.source!r}.",
                hint="Fetch them there, or push them here first.",
            )
        pull_folder(manifest.files, dest, self.transport, progress=progress, replace=replace)
        return Pulled(version, os.fspath(dest))

    def files(self, model: str, version: int | str) -> a.Manifest:
        """Return a version's files; empty for an unpinned version."""
        return self._ask("list_files", c.VersionNamed(model, version_number(version)), a.Manifest)

    def diff(self, model: str, left: int | str, right: int | str) -> a.Comparison:
        """Compare two versions: files, parameters, metrics, requirements."""
        command = c.CompareVersions(model, version_number(left), version_number(right))
        return self._ask("compare_versions", command, a.Comparison)

    def lineage(self, model: str, version: int | str) -> Lineage:
        """Return what a version came of, and what came of it."""
        return self._ask("version_lineage", c.VersionNamed(model, version_number(version)), Lineage)

    def verify(self, model: str | None = None, version: int | str | None = None) -> a.FilesReport:
        """Re-hash the files of a version, of a model's versions, or of all; what is wrong comes back as findings."""
        if model is None and version is not None:
            raise InvalidInput("a version without its model cannot be verified.", hint="Name the model too.")
        return self._ask("verify_files", c.VerifyFiles(model, optional_version(version)), a.FilesReport)

    def _register(
        self,
        model: str,
        files: tuple[File, ...] | None,
        source: str,
        folder: str | os.PathLike[str] | None,
        metadata: Metadata,
    ) -> Version:
        command = c.RegisterVersion(
            model=model,
            files=files,
            source=source,
            run_id=metadata.get("run_id"),
            run_link=metadata.get("run_link"),
            description=metadata.get("description"),
            tags=texts(metadata.get("tags")),
            metrics=finite(dict(metadata.get("metrics") or {})),
            params=texts(metadata.get("params")),
            datasets=tuple(metadata.get("datasets") or ()),
            context=_context(metadata.get("context", "auto"), folder),
            parent=_parent(self, metadata.get("parent")),
            create_model=metadata.get("create_model", True),
            reason=metadata.get("reason"),
        )
        return self._ask("register_version", command, Version)


def _context(wanted: Context | str | None, folder: str | os.PathLike[str] | None) -> Context:
    if isinstance(wanted, Context):
        return wanted
    if wanted is None:
        return Context()
    if wanted != "auto":
        raise InvalidInput(f"context {wanted!r} is not known.", hint='Give "auto", None or a greenroom.Context.')
    from greenroom.client.context import collect

    return collect(folder)


def _parent(files: Files, parent: Parent | str | None) -> Parent | None:
    if not isinstance(parent, str):
        return parent
    ref = parse_ref(parent)
    return Parent(ref.model, files.find_version(ref))
