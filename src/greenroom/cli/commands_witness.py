"""The command `audit witness`: follow the logs of others and cosign what is consistent."""

from __future__ import annotations

import re
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from greenroom.cli.command import Command
from greenroom.cli.session import Session, pass_session, say
from greenroom.core.errors import GreenroomError, InvalidInput
from greenroom.core.note import VerifierKey, parse_verifier_key, verifier_key

if TYPE_CHECKING:
    from greenroom.core.witness import Judgement
    from greenroom.witness.folder import Witness
    from greenroom.witness.follow import Source

_REFUSED, _UNCHECKED = 1, 3
_LAST_PORT = 65535
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def _seconds(text: str) -> int:
    found = re.fullmatch(r"([1-9][0-9]{0,6})([smhd]?)", text)
    if found is None:
        raise InvalidInput(f"{text!r} is not a time.", hint="Examples: 30s, 5m, 1h.")
    return int(found[1]) * _UNITS[found[2]]


def _address(text: str) -> tuple[str, int]:
    """Return host and port; the host is this machine's loopback unless given."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > _LAST_PORT:
        raise InvalidInput(f"{text!r} is not an address to listen on.", hint="Examples: 8090, 127.0.0.1:8090.")
    return host or "127.0.0.1", int(port)


@click.command(cls=Command)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False))
@click.option(
    "--follow", "sources", multiple=True, metavar="URL", help="A Greenroom server, another tlog, or an export."
)
@click.option("--key", "keys", multiple=True, metavar="VKEY", help="A log's verifier key, from its owners.")
@click.option("--every", metavar="TIME", default="30s", show_default=True, help="How often to look.")
@click.option("--once", is_flag=True, help="Look once and end.")
@click.option("--listen", metavar="[HOST:]PORT", help="Be asked, too: C2SP tlog-witness over HTTP.")
@click.option("--name", metavar="NAME", help="Name of the witness, when DIR is new.")
@pass_session
def witness(
    session: Session,
    folder: str,
    sources: tuple[str, ...],
    keys: tuple[str, ...],
    every: str,
    once: bool,
    listen: str | None,
    name: str | None,
) -> None:
    """Follow other logs and cosign what is consistent.

    Its memory and its key are in DIR; run it where whoever runs the registry cannot change it. A log that forks or
    rolls back is refused for good, and both signed notes are kept in DIR as evidence. Without --key, the key that a log
    shows at first is pinned. Ends with 1 when a log was refused, 3 when one could not be read (--once).

    \b
    Examples:
      greenroom audit witness ./witness --follow http://127.0.0.1:5000 --once
      greenroom audit witness ./witness --follow http://127.0.0.1:5000 --every 30s
      greenroom audit witness ./witness --key "$(cat log.key)" --listen 8090
    """
    from greenroom.client.local import not_installed

    try:
        from greenroom.witness.folder import Witness
        from greenroom.witness.follow import source_of
    except ModuleNotFoundError as exc:
        raise not_installed(exc, "local") from exc
    if not sources and listen is None:
        raise InvalidInput("there is nothing to witness.", hint="Name a log with --follow, or use --listen.")
    pause, address = 0 if once else _seconds(every), _address(listen) if listen is not None else None
    trusted = {key.name: key for key in map(parse_verifier_key, keys)}
    followed = [source_of(each) for each in sources]
    opened = Witness(Path(folder), name=name)
    try:
        for key in trusted.values():
            opened.trust(key)
        say(f"The witness's key is {opened.verifier_key}")
        code = _work(session, opened, followed, trusted, every=pause, listen=address)
    finally:
        opened.close()
    click.get_current_context().exit(code)


def _work(
    session: Session,
    opened: Witness,
    followed: list[Source],
    trusted: dict[str, VerifierKey],
    *,
    every: int,
    listen: tuple[str, int] | None,
) -> int:
    """Look at every log, again after `every` seconds (0: only once) until told to stop; return the exit code."""
    from greenroom.witness.listen import serve

    server = serve(opened, *listen, say) if listen is not None else None
    if server is not None:
        say(f"The witness listens at {server.url}")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    code = 0
    try:
        while True:
            codes = [_look(session, opened, source, trusted) for source in followed]
            code = max(codes, default=0) if every == 0 else max([code, *(each for each in codes if each == _REFUSED)])
            if every == 0 or stop.wait(every):
                return code
    except KeyboardInterrupt:
        return code
    finally:
        if server is not None:
            server.shutdown()
            server.server_close()


def _look(session: Session, opened: Witness, source: Source, trusted: dict[str, VerifierKey]) -> int:
    from greenroom.core.witness import Answer
    from greenroom.witness.follow import follow

    before = opened.logs()
    try:
        judged, line = follow(source, opened, trusted, int(time.time()))
    except GreenroomError as exc:
        say(f"Error: {exc}")
        return _UNCHECKED
    finally:
        for name, log in opened.logs().items():
            if name not in before:
                say(f"Now following {name}. Compare its key with what its owners say:")
                say(f"  {verifier_key(log.key.name, log.key.public_key)}")
    if judged.answer is Answer.COSIGNED and judged.checkpoint is not None:
        origin, size = judged.checkpoint.origin, judged.checkpoint.size
        told = {"log": origin, "size": size, "root": judged.checkpoint.root.hex(), "cosignature": line}
        session.out.result(told, f"{origin}: {size} entries, cosigned.")
        return 0
    _refused(source, judged, opened)
    return _REFUSED


def _refused(source: Source, judged: Judgement, opened: Witness) -> None:
    say(f"REFUSED {source.where}: {judged.message}")
    if judged.checkpoint is not None and judged.evidence:
        say(f"Evidence, both notes signed by the log: {opened.place(judged.checkpoint.origin) / 'evidence'}")
