"""Use case: what a version's own files say about it. The bytes are pinned, so the answer never changes."""

from __future__ import annotations

from collections.abc import Iterable

from greenroom.core.errors import GreenroomError
from greenroom.core.mlmodel import FILES, MOST_BYTES, Packaging, example_of, read_packaging
from greenroom.core.model import Actor, File
from greenroom.services import commands as c
from greenroom.services.finding import get_model, get_version
from greenroom.services.ports import Desk


def version_packaging(desk: Desk, ask: c.VersionNamed, actor: Actor) -> Packaging:
    """Return environment, flavours, signature and input example as the files in the version's folder tell them.

    Of an unpinned version, whose files are elsewhere, nothing is known; `notes` says so. Raises NotFound, InvalidInput.
    """
    with desk.snapshot() as tx:
        model = get_model(tx, ask.model)
        manifest = get_version(tx, model, ask.version).manifest
        if manifest is None:
            return Packaging(notes=("unpinned: the files are not stored here",))
        found = _there(tx.manifest_file(manifest, name) for name in FILES)
        texts, notes = _texts(desk, found)
        example = example_of(texts)
        sizes = {each.path: each.size_bytes for each in found}
        if example is not None:
            sizes |= {each.path: each.size_bytes for each in _there([tx.manifest_file(manifest, example)])}
    return read_packaging(texts, sizes, notes)


def _there(files: Iterable[File | None]) -> list[File]:
    return [each for each in files if each is not None]


def _texts(desk: Desk, files: Iterable[File]) -> tuple[dict[str, str], list[str]]:
    """Return the files' texts by name, and why one of them could not be read."""
    texts: dict[str, str] = {}
    notes: list[str] = []
    for each in files:
        if each.size_bytes > MOST_BYTES:
            notes.append(f"{each.path} is larger than {MOST_BYTES} bytes and was not read")
            continue
        try:
            desk.blobs.check(each.digest)
            with desk.blobs.open(each.digest) as file:
                texts[each.path] = file.read(MOST_BYTES).decode()
        except UnicodeDecodeError:
            notes.append(f"{each.path} is not UTF-8 and was not read")
        except GreenroomError as exc:
            notes.append(f"{each.path} cannot be read: {exc.message}")
    return texts, notes
