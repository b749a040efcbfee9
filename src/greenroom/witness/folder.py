"""The witness's memory: one small folder, in which the last cosigned checkpoint of a log is durable before it is given.

    witness.key              its Ed25519 key, for its owner only
    witness.pub              its verifier key, for everybody
    logs/<id>/key            a log's verifier key, pinned when the log was first met
    logs/<id>/checkpoint     the last checkpoint cosigned, with both signatures: state and publication in one
    logs/<id>/evidence/      for each contradiction the two signed notes that show it

`<id>` is the SHA-256 of the log's name. Never restore this folder from a backup: a witness that forgot what it signed
may sign a fork. Make a new one, with a new key, instead.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from greenroom.core.errors import Conflict, GreenroomError, IntegrityFailure, InvalidInput, Unavailable
from greenroom.core.note import (
    COSIGNATURE,
    VerifierKey,
    cosign,
    only_signed_by,
    open_note,
    parse_checkpoint,
    parse_verifier_key,
    verifier_key,
)
from greenroom.core.witness import AddCheckpoint, Answer, Judgement, KnownLog, judge

MOST_EVIDENCE = 100
"""Contradictions kept of one log: one is enough to prove it, and a log must not fill the witness's disk."""


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Say whether an Ed25519 signature is good."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


class Witness:
    """A witness at work in its folder, alone there; methods may be called from several threads."""

    def __init__(self, folder: Path, *, name: str | None = None) -> None:
        """Open the folder, making it and the key when there are none; `name` is that of a new key.

        Raises Conflict when another process works there, InvalidInput for a name that cannot be or is another than the
        key's, IntegrityFailure for a damaged folder, Unavailable when others can read the key.
        """
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._lock = threading.Lock()
        self._busy = _alone(folder / "lock")
        self._broken = False
        try:
            self.name, self._key = _load_key(folder, name)
            self._public = self._key.public_key().public_bytes_raw()
            self.key = VerifierKey(self.name, self._public, COSIGNATURE)
            write_durably(folder / "witness.pub", f"{self.verifier_key}\n")
            for each in (folder.parent, folder, *(found for found in folder.rglob("*") if found.is_dir())):
                _sync_folder(each)  # what a process made that was killed before it could
            loaded = list(self._load())
            self._logs = {log.key.name: log for log, _ in loaded}
            self._times = {log.key.name: at for log, at in loaded}
        except BaseException:
            self.close()
            raise

    @property
    def verifier_key(self) -> str:
        """The key by which others check the cosignatures."""
        return verifier_key(self.name, self._public, COSIGNATURE)

    def close(self) -> None:
        """Let go of the folder; twice is no error."""
        if self._busy >= 0:
            os.close(self._busy)
            self._busy = -1

    def __enter__(self) -> Witness:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def known(self, origin: str) -> KnownLog | None:
        """Return what is known of a log, None for one that is not followed."""
        return self._logs.get(origin)

    def logs(self) -> dict[str, KnownLog]:
        """Return the logs that are followed, by name."""
        return dict(self._logs)

    def trust(self, key: VerifierKey) -> KnownLog:
        """Follow the log with this key from now on, if it is not followed already; return what is known of it.

        Raises InvalidInput for another key than the one that was pinned: a log that changes its key is another log.
        """
        with self._lock:
            known = self._logs.get(key.name)
            if known is not None and known.key != key:
                raise InvalidInput(
                    f"the log '{key.name}' was met with another key, and that one is pinned.",
                    hint="If the log's owners confirm the new key, witness it in a new folder.",
                )
            if known is None:
                write_durably(self.place(key.name) / "key", verifier_key(key.name, key.public_key) + "\n")
                known = self._logs[key.name] = KnownLog(key)
                self._times[key.name] = 0
            return known

    def add(self, ask: AddCheckpoint, now: int) -> tuple[Judgement, str]:
        """Judge a request at time `now` (seconds since the epoch); return the answer and our signature line, or "".

        The cosigned checkpoint is on durable storage before this returns. Raises Unavailable when that failed once:
        what the disk holds then is known only after a new start.
        """
        with self._lock:
            if self._broken:
                raise Unavailable("the witness could not write its state.", hint="Mend the disk and start it again.")
            judged = judge(ask, self._logs, verify)
            if judged.evidence:
                self._keep_evidence(ask.note, judged)
            if judged.answer is not Answer.COSIGNED or judged.checkpoint is None:
                return judged, ""
            origin = judged.checkpoint.origin
            log = self._logs[origin]
            at = max(now, self._times[origin])  # a clock that jumps back must not make an older sight of a newer tree
            note = only_signed_by(ask.note, log.key)
            line = cosign(note.partition("\n\n")[0] + "\n", at, self.name, self._public, self._key.sign)
            try:
                write_durably(self.place(origin) / "checkpoint", note + line)
            except OSError as exc:
                self._broken = True
                raise Unavailable(f"the witness could not write its state: {exc.strerror}.") from exc
            self._logs[origin] = KnownLog(log.key, judged.checkpoint.size, judged.checkpoint.root)
            self._times[origin] = at
            return judged, line

    def refuse(self, note: str, judged: Judgement) -> None:
        """Keep a signed note as evidence against its log, beside the one that was cosigned."""
        with self._lock:
            self._keep_evidence(note, judged)

    def place(self, origin: str) -> Path:
        """Return where the files about a log are."""
        return self._folder / "logs" / sha256(origin.encode()).hexdigest()

    def cosigned_note(self, origin_hash: str) -> str | None:
        """Return the last checkpoint cosigned of the log whose name has this SHA-256 (hex), None if there is none."""
        for origin in self.logs():
            if sha256(origin.encode()).hexdigest() == origin_hash:
                with contextlib.suppress(FileNotFoundError):
                    return (self.place(origin) / "checkpoint").read_text("utf-8")
        return None

    def _keep_evidence(self, note: str, judged: Judgement) -> None:
        if judged.checkpoint is None:
            return
        at = self.place(judged.checkpoint.origin)
        kept = at / "evidence" / f"{judged.checkpoint.size}-{judged.checkpoint.root.hex()}"
        if kept.is_dir() or (kept.parent.is_dir() and len(list(kept.parent.iterdir())) >= MOST_EVIDENCE):
            return
        with contextlib.suppress(FileNotFoundError):
            write_durably(kept / "cosigned", (at / "checkpoint").read_text("utf-8"))
        write_durably(kept / "refused", note)

    def _load(self) -> Iterator[tuple[KnownLog, int]]:
        """Yield the logs that are followed, and when each was cosigned last. IntegrityFailure for a state not ours."""
        for pinned in sorted(self._folder.glob("logs/*/key")):
            try:
                key = parse_verifier_key(pinned.read_text("utf-8").strip())
                note = pinned.with_name("checkpoint")
                if not note.exists():
                    yield KnownLog(key), 0
                    continue
                opened = open_note(note.read_text("utf-8"), [key, self.key], verify)
                checkpoint = parse_checkpoint(opened.body)
            except (GreenroomError, ValueError) as exc:
                raise _damaged(pinned.parent, str(exc)) from exc
            if set(opened.signed_by) != {key.name, self.name} or checkpoint.origin != key.name:
                raise _damaged(pinned.parent, "its checkpoint is not signed by the log and by this witness")
            yield KnownLog(key, checkpoint.size, checkpoint.root), opened.seen[0][1]


def _damaged(where: Path, why: str) -> IntegrityFailure:
    return IntegrityFailure(
        f"the state in {where} is damaged: {why}.", hint="Do not repair it: make a new witness, with a new key."
    )


def write_durably(path: Path, text: str) -> None:
    """Put a text under a path so that it is there, whole, when this returns, even if power fails then."""
    missing = [each for each in (path.parent, *path.parent.parents) if not each.exists()]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)  # noqa: PTH105 - beside os.fsync: the steps of one write
    for folder in (path.parent, *(each.parent for each in missing)):
        _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":  # pragma: no cover - elsewhere a folder cannot be opened, and a rename is durable by itself
        return
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _alone(path: Path) -> int:
    """Take the folder; the operating system gives it back when the process ends. Raises Conflict."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if sys.platform == "win32":  # pragma: no cover - not run here
            import msvcrt

            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as exc:
        os.close(fd)
        raise Conflict(f"another witness works in {path.parent}.", hint="One folder is for one process.") from exc
    return fd


def _load_key(folder: Path, name: str | None) -> tuple[str, Ed25519PrivateKey]:
    path = folder / "witness.key"
    if not path.exists():
        if (folder / "logs").exists():
            raise IntegrityFailure(f"the key {path} is gone.", hint="Make a new witness in a new folder.")
        made = name or f"greenroom-witness/{secrets.token_hex(8)}"
        verifier_key(made, bytes(32), COSIGNATURE)  # InvalidInput for a name that cannot be
        write_durably(path, json.dumps({"name": made, "ed25519": secrets.token_bytes(32).hex()}))
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise Unavailable(f"others can read the witness's key {path}.", hint=f"Run: chmod 600 {path}")
    try:
        found = json.loads(path.read_text("utf-8"))
        called, key = str(found["name"]), Ed25519PrivateKey.from_private_bytes(bytes.fromhex(found["ed25519"]))
    except (ValueError, KeyError, TypeError) as exc:
        raise _damaged(folder, "its key cannot be read") from exc
    if name not in (None, called):
        raise InvalidInput(f"the witness in {folder} is called '{called}'.", hint="Leave --name out.")
    return called, key
