"""Digests and manifests: one text for one set of files, and a clear no to everything else."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import pytest

from greenroom.core.digest import (
    Manifest,
    ManifestEntry,
    digest_of,
    hex_of,
    manifest_bytes,
    manifest_of,
    parse_digest,
    parse_manifest,
)
from greenroom.core.errors import InvalidInput

A, B = digest_of(b"a"), digest_of(b"b")
HEX = "0123456789abcdef" * 4


def test_the_digest_of_bytes() -> None:
    assert digest_of(b"") == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert digest_of(memoryview(b"abc")) == "sha256:" + hashlib.sha256(b"abc").hexdigest()


def test_a_digest_is_taken_as_it_is() -> None:
    assert parse_digest("sha256:" + HEX) == "sha256:" + HEX
    assert hex_of("sha256:" + HEX) == HEX


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "it names no algorithm"),
        (HEX, "it names no algorithm"),
        ("md5:" + "0" * 32, "the algorithm 'md5' is not supported"),
        ("SHA256:" + HEX, "the algorithm 'SHA256' is not supported"),
        (" sha256:" + HEX, "the algorithm ' sha256' is not supported"),
        ("sha256:" + HEX.upper(), "its hexadecimal digits must be lowercase"),
        ("sha256:" + HEX[1:], "it has 63 hexadecimal digits instead of 64"),
        ("sha256:" + HEX + "0", "it has 65 hexadecimal digits instead of 64"),
        ("sha256:", "it has 0 hexadecimal digits instead of 64"),
        ("sha256:" + "\u0661" * 64, "'\\u0661' is not a hexadecimal digit"),  # Arabic one: a digit, but not ours
        ("sha256:" + "\uff11" * 64, "'\\uff11' is not a hexadecimal digit"),
        ("sha256:" + HEX + "\n", "'\\n' is not a hexadecimal digit"),
        ("sha256:" + HEX[:-1] + "g", "'g' is not a hexadecimal digit"),
        ("sha256:" + HEX[:-1] + "\x00", "'\\x00' is not a hexadecimal digit"),
        (None, "it is a NoneType, not text"),
        (7, "it is a int, not text"),
    ],
)
def test_anything_else_is_refused_by_name(text: Any, fault: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_digest(text)
    assert f"is not a digest: {fault}." in caught.value.message
    assert caught.value.hint == "A digest is 'sha256:' and 64 lowercase hexadecimal digits."


def test_taking_the_hex_of_something_unchecked_is_our_bug() -> None:
    with pytest.raises(ValueError, match="not a digest: 'md5:00'"):
        hex_of("md5:00")


def entry(path: str, digest: str = A, size_bytes: int = 1) -> ManifestEntry:
    return ManifestEntry(path, digest, size_bytes)


def test_a_manifest_is_sorted_and_its_digest_is_of_its_bytes() -> None:
    """Mutant check: without the sorting, two uploads of one folder get two digests."""
    entries = [entry("b.txt", B, 2), entry("a/z"), entry("a/b"), entry("a.txt"), entry("ä")]
    manifest = manifest_of(entries)
    assert [file.path for file in manifest.entries] == ["a.txt", "a/b", "a/z", "b.txt", "ä"]
    for seed in range(20):
        random.Random(seed).shuffle(entries)
        assert manifest_of(entries).digest == manifest.digest
    assert manifest.digest == digest_of(manifest_bytes(manifest))
    assert manifest.size_bytes == 6


def test_the_form_of_a_manifest_never_changes() -> None:
    """The digest identifies a version for ever: if this fails, a new form needs a new `v`."""
    manifest = manifest_of([entry("model.bin", B, 7), entry("MLmodel", A, 3)])
    assert (
        manifest_bytes(manifest)
        == (
            f'{{"files":[{{"digest":"{A}","path":"MLmodel","size_bytes":3}},'
            f'{{"digest":"{B}","path":"model.bin","size_bytes":7}}],"v":1}}'
        ).encode()
    )
    assert manifest.digest == "sha256:a5e06887d32b0d6cb011277e7d8ceeda4ec5ffd5cdc2c29cda24ee1ed8216b04"
    assert manifest_bytes(manifest_of([])) == b'{"files":[],"v":1}'


@pytest.mark.parametrize(
    "other",
    [
        [entry("a", B, 1)],  # other bytes
        [entry("a", A, 2)],  # another size
        [entry("b", A, 1)],  # another name
        [entry("a", A, 1), entry("b")],  # one more file
        [],
    ],
)
def test_every_difference_gives_another_digest(other: list[ManifestEntry]) -> None:
    assert manifest_of(other).digest != manifest_of([entry("a", A, 1)]).digest


@pytest.mark.parametrize(
    ("entries", "text"),
    [
        ([entry("a"), entry("b"), entry("a", B)], "The path 'a' is in the manifest twice."),
        ([entry("a"), entry("a/b")], "'a' is a file and also the folder of 'a/b'."),
        ([entry("a/b/c/d"), entry("a/b"), entry("a/b.c")], "'a/b' is a file and also the folder of 'a/b/c/d'."),
        ([entry("../a")], "Invalid path: '../a'"),
        ([entry("")], "Missing value for required parameter 'path'."),
        ([entry("a", "md5:1")], "'md5:1' is not a digest: the algorithm 'md5' is not supported."),
        ([entry("a", A, -1)], "The size of 'a' is '-1'."),
        ([entry("a", A, 2**63)], "The size of 'a' is '9223372036854775808'."),
        ([entry("a", A, True)], "The size of 'a' is 'True'."),
        ([entry("a", A, 1.0)], "The size of 'a' is '1.0'."),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_manifest(entries: list[ManifestEntry], text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        manifest_of(entries)
    assert text in caught.value.message


def test_a_name_that_only_begins_like_a_folder_is_fine() -> None:
    assert len(manifest_of([entry("a"), entry("a.b"), entry("ab/c"), entry("b/a")]).entries) == 4


def test_a_manifest_is_read_back() -> None:
    manifest = manifest_of([entry("a/b", B, 0), entry("ü", A, 2**63 - 1)])
    assert parse_manifest(manifest_bytes(manifest)) == manifest
    assert parse_manifest(b'{"files":[],"v":1}') == Manifest(())


FILE_A = f'{{"digest":"{A}","path":"a","size_bytes":1}}'
FILE_B = FILE_A.replace('"a"', '"b"')


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "The manifest is not JSON"),
        ("{", "The manifest is not JSON"),
        ("[" * 100_000, "The manifest is not JSON"),
        ("\ufeff" + '{"files":[],"v":1}', "not in canonical form"),
        ("[]", "The manifest is not of the form"),
        ('{"files":[],"v":2}', "The manifest is not of the form"),
        ('{"files":{},"v":1}', "The manifest is not of the form"),
        ('{"files":[1],"v":1}', "File 0 of the manifest"),
        ('{"files":[{"path":"a"}],"v":1}', "File 0 of the manifest"),
        (f'{{"files":[{FILE_A},{FILE_A}],"v":1}}', "The path 'a' is in the manifest twice."),
        (f'{{"files":[{FILE_B},{FILE_A}],"v":1}}', "not in canonical form"),  # not sorted
        ('{"v":1,"files":[]}', "not in canonical form"),
        ('{"files": [],"v":1}', "not in canonical form"),
        ('{"files":[],"v":1}\n', "not in canonical form"),
        ('{"files":[],"v":true}', "not in canonical form"),
        ('{"files":[],"v":1,"x":1}', "not in canonical form"),
        ('{"files":[1],"files":[],"v":1}', "not in canonical form"),
        (f'{{"files":[{FILE_A}],"v":1}}'.replace('"a"', '"\\u0061"'), "not in canonical form"),
    ],
)
def test_there_is_one_text_for_one_manifest(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_manifest(text.encode())
    assert reason in caught.value.message


def test_a_manifest_in_another_encoding_is_refused() -> None:
    for data in ('{"files":[],"v":1}'.encode("utf-16"), b"\xff\xfe\xfd"):
        with pytest.raises(InvalidInput):
            parse_manifest(data)
