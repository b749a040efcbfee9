"""Digests, and the manifest: the sorted list of a version's files, whose own digest identifies the version.

A digest is the text `sha256:<64 lowercase hex>` and nothing else, so that two digests are equal exactly when their
texts are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from greenroom.core.canonical import canonical
from greenroom.core.errors import InvalidInput
from greenroom.core.model import File
from greenroom.core.names import check_path, shown

PREFIX = "sha256:"
MAX_SIZE_BYTES = 2**63 - 1

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_FORM = "A digest is 'sha256:' and 64 lowercase hexadecimal digits."

ManifestEntry = File
"""A manifest entry is exactly a file of a version: path, digest and size."""


def digest_of(data: bytes | bytearray | memoryview) -> str:
    """Return the digest of `data`."""
    return PREFIX + hashlib.sha256(data).hexdigest()


def parse_digest(text: str) -> str:
    """Return `text` if it is a digest. InvalidInput, saying what is wrong with it, if not."""
    if isinstance(text, str) and _DIGEST.fullmatch(text):
        return text
    raise InvalidInput(f"'{shown(text)}' is not a digest: {_fault_of(text)}.", hint=_FORM, digest=shown(text))


def hex_of(digest: str) -> str:
    """Return the 64 hex digits of `digest`. ValueError (our bug) if it was not checked by `parse_digest`."""
    if not _DIGEST.fullmatch(digest):
        raise ValueError(f"not a digest: {digest!r}")
    return digest[len(PREFIX) :]


def _fault_of(text: object) -> str:
    if not isinstance(text, str):
        return f"it is a {type(text).__name__}, not text"
    algorithm, colon, digits = text.partition(":")
    if not colon:
        return "it names no algorithm"
    if algorithm != "sha256":
        return f"the algorithm '{shown(algorithm)}' is not supported"
    if re.fullmatch(r"[0-9a-fA-F]{64}", digits):
        return "its hexadecimal digits must be lowercase"
    if re.fullmatch(r"[0-9a-fA-F]*", digits):
        return f"it has {len(digits)} hexadecimal digits instead of 64"
    wrong = next(c for c in digits if c not in "0123456789abcdefABCDEF")
    return f"{wrong!a} is not a hexadecimal digit"


@dataclass(frozen=True)
class Manifest:
    """The files of a version, sorted by path (code points). Made by `manifest_of` or `parse_manifest` only."""

    entries: tuple[ManifestEntry, ...]

    @cached_property
    def digest(self) -> str:
        """The digest of the manifest's canonical bytes: it identifies the version."""
        return digest_of(manifest_bytes(self))

    @property
    def size_bytes(self) -> int:
        """The sizes of all files together."""
        return sum(entry.size_bytes for entry in self.entries)


def manifest_of(entries: Iterable[ManifestEntry]) -> Manifest:
    """Return the manifest of `entries`, given in any order; no entries make the empty manifest.

    InvalidInput for a path, digest or size that cannot be, for a path given twice, and for a file that is also a
    folder of another path (no file system could hold both).
    """
    checked = sorted((_checked(entry) for entry in entries), key=_path_of)
    paths: set[str] = set()
    for entry in checked:
        if entry.path in paths:
            raise InvalidInput(
                f"The path '{shown(entry.path)}' is in the manifest twice.",
                hint="Name each file once.",
                path=entry.path,
            )
        paths.add(entry.path)
    for entry in checked:
        _check_folders(entry.path, paths)
    return Manifest(tuple(checked))


def _checked(entry: ManifestEntry) -> ManifestEntry:
    size = entry.size_bytes
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE_BYTES:
        raise InvalidInput(
            f"The size of '{shown(entry.path)}' is '{shown(size)}'.",
            hint=f"A size is a whole number of bytes from 0 to {MAX_SIZE_BYTES}.",
            path=shown(entry.path),
        )
    return ManifestEntry(check_path(entry.path), parse_digest(entry.digest), size)


def _path_of(entry: ManifestEntry) -> str:
    return entry.path


def _check_folders(path: str, paths: set[str]) -> None:
    end = path.find("/")
    while end >= 0:
        if path[:end] in paths:
            raise InvalidInput(
                f"'{shown(path[:end])}' is a file and also the folder of '{shown(path)}'.",
                hint="Rename one of the two.",
                path=path,
            )
        end = path.find("/", end + 1)


def manifest_bytes(manifest: Manifest) -> bytes:
    """Return the canonical bytes of `manifest`; `v` is the version of this form."""
    return canonical({"files": manifest.entries, "v": 1})


def parse_manifest(data: bytes) -> Manifest:
    """Return the manifest whose `manifest_bytes` are `data`.

    InvalidInput if they are not JSON, not a manifest of form 1, or not byte for byte canonical: the digest is of the
    bytes, so two texts for one manifest must not exist.
    """
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise InvalidInput(f"The manifest is not JSON: {exc}.") from exc
    manifest = manifest_of(_entries_in(value))
    if manifest_bytes(manifest) != data:
        raise InvalidInput(
            "The manifest is not in canonical form.",
            hint="Write it with sorted keys and paths, without spaces, in UTF-8, with nothing added.",
        )
    return manifest


def _entries_in(value: Any) -> Iterable[ManifestEntry]:
    files = value.get("files") if isinstance(value, dict) and value.get("v") == 1 else None
    if not isinstance(files, list):
        raise InvalidInput("The manifest is not of the form {'files': [...], 'v': 1}.")
    for position, file in enumerate(files):
        if not isinstance(file, dict) or file.keys() != {"path", "digest", "size_bytes"}:
            raise InvalidInput(
                f"File {position} of the manifest is not of the form {{'digest', 'path', 'size_bytes'}}.",
                position=position,
            )
        yield ManifestEntry(file["path"], file["digest"], file["size_bytes"])
