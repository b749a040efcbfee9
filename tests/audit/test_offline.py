"""An export verified by code that shares nothing with what wrote it; both checked against others' code and vectors."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pymerkle import InmemoryTree

from greenroom import auditor
from greenroom.app import open_local
from greenroom.auditor import Tree, Unchecked, ed25519, tile_path, verify_export
from greenroom.cli.root import run
from greenroom.core.merkle import leaf_hash, root_of
from greenroom.core.model import Actor
from greenroom.core.note import COSIGNATURE, open_note, parse_checkpoint, parse_verifier_key, verifier_key
from greenroom.core.tiles import MAX_ENTRY_BYTES, Tile, parse_bundle
from greenroom.services import commands as c
from greenroom.services.limits import COUNTS
from greenroom.services.ports import Request
from greenroom.witness.folder import Witness, verify
from greenroom.witness.follow import follow, source_of
from tests.audit.exports import export, lines_of, write_lines
from tests.audit.logs import Log
from tests.core.test_merkle import LEAVES, ROOTS
from tests.promises import promise, sized
from tests.races.kit import SEED

TAMPERED = sized(200, 20_000)
SIGNATURES = sized(60, 2_000)


def copied(exported: Path, place: Path) -> Path:
    shutil.rmtree(place / "export", ignore_errors=True)
    return shutil.copytree(exported, place / "export")


def test_an_honest_export_is_whole(data_and_note: tuple[Path, str], exported: Path) -> None:
    report = verify_export(exported, checkpoints=[data_and_note[1]])
    assert (report.status, report.findings) == ("ok", [])
    assert report.entries == len(lines_of(exported)) > 256  # more than one bundle and tile
    assert report.proven == parse_checkpoint(data_and_note[1].partition("\n\n")[0] + "\n").size
    registry = open_local(data_and_note[0])
    try:
        assert registry.audited() == auditor.KEYS
        held = registry.call_now("get_holder", c.GetHolder("model-5", "Production"), Actor("tester"))
    finally:
        registry.close()
    assert any(f"Production of model-5: version {held.tenures[0].version} since" in each for each in report.holders)


# --- the same by others ---


@promise(
    "A5",
    "tree, notes, tiles and signatures of one export read by a second implementation of ours and by pymerkle; RFC 6962 "
    "and RFC 8032 vectors, {signatures} signatures",
    signatures=SIGNATURES,
    mutant="test_each_check_of_the_auditor_is_needed",
)
def test_pymerkle_finds_the_root_of_the_bundles(exported: Path) -> None:
    """The root that was signed is the root that pymerkle makes of the exported entries."""
    note = (exported / "checkpoint").read_text("utf-8")
    key = parse_verifier_key((exported / "key").read_text("utf-8").strip())
    checkpoint = parse_checkpoint(open_note(note, [key], verify).body)
    tree, leaves = InmemoryTree(algorithm="sha256"), []
    for index in range(-(-checkpoint.size // 256)):
        width = min(256, checkpoint.size - 256 * index)
        for entry in parse_bundle((exported / Tile(None, index, width).path).read_bytes(), width):
            tree.append_entry(entry)
            leaves.append(leaf_hash(entry))
    assert tree.get_root() == Tree(leaves).root(checkpoint.size) == checkpoint.root


def test_published_roots_by_the_second_implementation() -> None:
    tree = Tree(LEAVES)
    assert [tree.root(size).hex() for size in range(1, 9)] == ROOTS
    rng = random.Random(SEED)
    leaves = [rng.randbytes(32) for _ in range(300)]
    assert [Tree(leaves).root(size) for size in range(301)] == [root_of(leaves[:size]) for size in range(301)]


def test_paths_by_the_second_implementation() -> None:
    for index in (0, 1, 255, 999, 1000, 1001, 123_456, 1_234_067, 10**9):
        for width in (1, 5, 255, 256):
            assert tile_path("0", index, width) == Tile(0, index, width).path
            assert tile_path("entries", index, width) == Tile(None, index, width).path


@pytest.mark.parametrize(
    ("public", "message", "signature"),
    [  # RFC 8032, 7.1: tests 1, 2 and 3
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ],
)
def test_published_signatures(public: str, message: str, signature: str) -> None:
    key, said, signed = (bytes.fromhex(each) for each in (public, message, signature))
    assert ed25519(key, signed, said)
    assert not ed25519(key, signed, said + b"x")
    order = 2**252 + 27742317777372353535851937790883648493
    same = int.from_bytes(signed[32:], "little") + order  # the same signature in another form is none
    assert not ed25519(key, signed[:32] + same.to_bytes(32, "little"), said)
    assert not ed25519(key, signed[:63], said)
    assert not ed25519(key[:31], signed, said)


def test_signatures_are_judged_as_the_library_judges_them() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for number in range(SIGNATURES):
        key = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        public, message = key.public_key().public_bytes_raw(), rng.randbytes(rng.randrange(200))
        parts = [bytearray(public), bytearray(key.sign(message)), bytearray(message + b"\n")]
        message += b"\n"
        parts[1] = bytearray(key.sign(message))
        if number % 2:
            part = rng.choice(parts)
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
        given = [bytes(part) for part in parts]
        assert ed25519(*given) is verify(*given) is (number % 2 == 0), number


# --- what is wrong is found, by an export alone ---


def _flip(export: Path, path: str, rng: random.Random) -> None:
    data = bytearray((export / path).read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    (export / path).write_bytes(data)


def _tamper(export: Path, note: str, rng: random.Random) -> str:
    """Change something in an export at random; return what."""
    files = sorted(str(path.relative_to(export)) for path in export.rglob("*") if path.is_file())
    kind = rng.choice(("flip", "flip", "remove", "cut", "drop", "swap", "insert", "edit", "edit"))
    if kind in ("flip", "remove", "cut"):
        path = rng.choice(files)
        if kind == "flip":
            _flip(export, path, rng)
        elif kind == "remove":
            (export / path).unlink()
        else:
            data = (export / path).read_bytes()
            (export / path).write_bytes(data[: rng.randrange(len(data))])
        return f"{kind} {path}"
    lines = lines_of(export)
    at = rng.randrange(len(lines) - 1)
    if kind == "drop":
        del lines[at]
    elif kind == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif kind == "insert":
        lines.insert(at, lines[rng.randrange(len(lines))])
    else:
        name = rng.choice([name for name in (*lines[at], "note") if name != "request"])
        old = lines[at].get(name)
        new = {"seq": 0, "version": 7, "at": 1}.get(name, {"body": {**lines[at]["body"], "x": 1}}.get(name, f"{old}x"))
        lines[at][name] = new if new != old else 8
        kind = f"edit {name} of"
    write_lines(export, lines)
    return f"{kind} entry {at + 1}"


def test_every_change_of_an_export_is_found(data_and_note: tuple[Path, str], exported: Path, place: Path) -> None:
    """One bit, one line, one file: status is never ok, and nothing but an answer comes out."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    work = copied(exported, place)
    whole = {path: path.read_bytes() for path in work.rglob("*") if path.is_file()}
    for _ in range(TAMPERED):
        what = _tamper(work, data_and_note[1], rng)
        try:
            report = verify_export(work, checkpoints=[data_and_note[1]])
        except Unchecked:
            assert "checkpoint" in what or "key" in what or "remove" in what, what
        else:
            harmless = what.startswith(("flip", "cut")) and lines_equal(work, whole)
            assert report.status != "ok" or harmless, what
            if "entry" in what and report.findings:
                first = int(what.rpartition(" ")[2])
                assert any(f"entry {seq}" == report.findings[0].where for seq in (first, first + 1)), (what, report)
        for path, content in whole.items():
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)


def lines_equal(work: Path, whole: dict[Path, bytes]) -> bool:
    """Say whether only the writing of entries.jsonl, or the newline of the key, was changed: `1.0` for `1.00`, say."""
    for path, content in whole.items():
        if path.read_bytes() != content:
            if path.name == "key":
                return path.read_bytes().strip() == content.strip()
            if path.name != "entries.jsonl":
                return False
            try:
                if [json.loads(x) for x in path.read_bytes().splitlines()] != [
                    json.loads(x) for x in content.splitlines()
                ]:
                    return False
            except ValueError:
                return False
    return True


# --- the protection taken away ---


def _no_body(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(auditor, "_canonical", _trusting(auditor._canonical))


def _trusting(canonical: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda value: canonical({name: part for name, part in value.items() if name != "said"})


def _no_root(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(auditor, "_check_tree", lambda *given: None)


def _no_signature(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(auditor, "ed25519", lambda *given: True)


def _no_replay(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(auditor.State, "feed", lambda *given: None)


def _edit_body(work: Path) -> None:
    lines = lines_of(work)
    lines[5]["body"]["said"] = "something else"
    write_lines(work, lines)


def _edit_tile(work: Path) -> None:
    _flip(work, "tile/0/000", random.Random(1))


def _edit_signature(work: Path) -> None:
    note = (work / "checkpoint").read_text("utf-8")
    line = note.rstrip("\n").rpartition(" ")[2]
    data = bytearray(base64.b64decode(line))
    data[20] ^= 1
    (work / "checkpoint").write_text(note.replace(line, base64.b64encode(data).decode()), "utf-8")


def _two_holders(work: Path) -> None:
    """The owner of the key signs a log in which a stage has two holders: every hash fits, the history cannot be."""
    from tests.audit.lying import resign

    lines = lines_of(work)
    held = next(each for each in reversed(lines) if each["type"] == "promotion_succeeded")
    held["body"]["changes"] = [
        each for each in held["body"]["changes"] if not (each[0] == "set" and each[2].get("slot") == "Production")
    ]
    resign(work, lines)


@pytest.mark.parametrize(
    ("mutant", "attack"),
    [(_no_body, _edit_body), (_no_root, _edit_tile), (_no_signature, _edit_signature), (_no_replay, _two_holders)],
)
def test_each_check_of_the_auditor_is_needed(
    exported: Path,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    mutant: Callable[[pytest.MonkeyPatch], None],
    attack: Callable[[Path], None],
) -> None:
    work = copied(exported, place)
    attack(work)
    assert verify_export(work).status == "tampered"
    mutant(monkeypatch)
    assert verify_export(work).status == "ok"


# --- as it is used ---


def test_the_file_stands_alone(data_and_note: tuple[Path, str], exported: Path, place: Path) -> None:
    """Handed to somebody who has Python and nothing else, it says what `greenroom audit verify DIR` says."""
    script = place / "auditor.py"
    shutil.copyfile(auditor.__file__, script)
    (place / "old").write_text(data_and_note[1], "utf-8")
    work = copied(exported, place)

    def both(*options: str) -> tuple[int, str]:
        alone = subprocess.run(
            [sys.executable, "-I", "-S", "-W", "error", str(script), str(work), *options],
            capture_output=True, text=True, cwd=place, env={"PATH": os.environ["PATH"]},
        )  # fmt: skip
        assert "Traceback" not in alone.stderr
        assert run(["--quiet", "--output", "table", "audit", "verify", str(work), *options]) == alone.returncode
        return alone.returncode, alone.stdout + alone.stderr

    assert both("--checkpoint", str(place / "old"))[0] == 0
    assert both("--key", (exported / "key").read_text("utf-8").strip())[0] == 0
    assert both("--key", "nonsense")[0] == 3
    other = Log(random.Random(2), "other")
    assert both("--key", verifier_key(other.name, other.key.public_key))[0] == 3
    (place / "foreign").write_text(other.note([]), "utf-8")
    assert both("--checkpoint", str(place / "foreign"))[0] == 3
    lines = lines_of(work)
    write_lines(work, lines[:-3])
    code, text = both()
    assert (code, f"entry {len(lines) - 2}" in text) == (2, True)
    lines[99]["actor"] = "eve"
    write_lines(work, lines)
    code, text = both()
    assert (code, "entry 100 " in text) == (1, True)
    (work / "checkpoint").unlink()
    assert both()[0] == 3


def test_a_witness_can_be_demanded(exported: Path, data: Path, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = copied(exported, place)
    with Witness(place / "w", name="w.example") as witness:
        judged, line = follow(source_of(str(work)), witness, {}, 1_700_000_000)
        assert line, judged
        cosigned = witness.place(judged.checkpoint.origin) / "checkpoint"  # type: ignore[union-attr]
        key = witness.verifier_key
    with Witness(place / "other", name="w.example") as other:
        stranger = other.verifier_key
    text = cosigned.read_text("utf-8")
    report = verify_export(work, checkpoints=[text], witnesses=[key])
    assert (report.status, report.seen[0].startswith("w.example saw ")) == ("ok", True)
    assert verify_export(work, witnesses=[key]).status == "incomplete"
    assert verify_export(work, checkpoints=[text], witnesses=[stranger]).status == "incomplete"
    forged = text[:-12] + ("A" if text[-12] != "A" else "B") + text[-11:]
    (place / "forged").write_text(forged, "utf-8")
    assert verify_export(work, checkpoints=[forged], witnesses=[key]).status == "tampered"
    with pytest.raises(Unchecked, match="is not a witness's verifier key"):
        verify_export(work, witnesses=[(work / "key").read_text("utf-8")])
    online = ["--data", str(data), "--quiet", "audit", "verify", "--fast", "--checkpoint"]
    assert run([*online, str(cosigned), "--witness", key]) == 0
    assert run([*online, str(cosigned), "--witness", stranger]) == 3
    assert run([*online, str(place / "forged"), "--witness", key]) == 2
    assert run([*online, str(cosigned), "--witness", "x"]) == 2
    assert parse_verifier_key(key, COSIGNATURE).name == "w.example"
    assert "Traceback" not in capsys.readouterr().err


# --- the largest entries ---


@promise("A5", "the largest version, lifecycle, names and actor that are taken: entries stay below 65 535 bytes")
def test_the_largest_legal_requests_fit_into_a_bundle(place: Path) -> None:
    """An entry names its body by digest, so only names can make it long, and these have limits."""
    registry = open_local(place / "data", create=True)
    actor, name = Actor("\U0001f98a" * 255), "\u00e9" * 255
    request = Request("\u0001" * 255)
    count = COUNTS["tags"]
    many = {f"{at:04}" + "k" * 246: "v" * 500 for at in range(count)}
    stages = "".join(f'[[stage]]\nname = "{at:02}{"s" * 61}"\n' for at in range(2, 60))
    document = (
        'lifecycle = "large"\napplies_to = ["nothing-*"]\n[[stage]]\nname = "None"\n' + stages
        + '[[stage]]\nname = "Archived"\narchive = true\n' + "# comment\n" * 20_000
    )  # fmt: skip
    try:
        for operation, command in (
            ("create_model", c.CreateModel(name, "d" * 100_000, dict(list(many.items())[:500]))),
            (
                "register_version",
                c.RegisterVersion(name, source="s3://b/" + "s" * 2_000, tags=many, metrics=dict.fromkeys(many, 0.1),
                                  params=many, description="d" * 100_000),
            ),
            ("promote", c.Promote(name, "Production", 1, reason="r" * 2_000)),
            ("apply_lifecycle", c.ApplyLifecycle(document, reason="r" * 2_000)),
        ):  # fmt: skip
            registry.call_now(operation, command, actor, request=request)
    finally:
        registry.close()
    work = export(place / "data", place / "export")
    sizes = [len(each) for each in parse_bundle((work / "tile/entries/000.p/5").read_bytes(), 5)]
    assert 1_000 < max(sizes) <= MAX_ENTRY_BYTES, sizes
    assert max(len(json.dumps(each)) for each in lines_of(work)) > 1_000_000  # the bodies are far larger
    assert verify_export(work).status == "ok"
