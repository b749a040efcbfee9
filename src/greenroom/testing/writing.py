"""How the store suite works with a store: begin a registry, write, fill one batch, look at every row."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from greenroom import gates as _gate_types
from greenroom.core.audit import verify_log
from greenroom.core.model import Actor, RegisteredModel, SlotKind, Version
from greenroom.core.replay import Replay
from greenroom.services import catalog, lifecycles, promotion, versions
from greenroom.services import commands as c
from greenroom.services.ports import ReadTx, Request, WriteTx
from greenroom.store.database import DatabaseStore

AUDITED = (
    "model",
    "model_tag",
    "version",
    "version_tag",
    "version_metric",
    "version_param",
    "version_dataset",
    "tenure",
    "promotion",
    "lifecycle",
    "binding",
)
ME = Actor("conformance")
NEWEST = (2**62, 2**62)
WAIT_S = 30.0
assert _gate_types  # importing the package registers the gate types


class Broken(Exception):
    """What a use case of these tests raises."""


def half(tx: WriteTx, ask: c.CreateModel, actor: Actor) -> None:
    """A use case that fails when everything is done."""
    catalog.create_model(tx, ask, actor)
    raise Broken


def write(
    store: DatabaseStore,
    use_case: Callable[..., Any],
    ask: Any = None,
    *,
    key: str | None = None,
    body: str = "body",
    logs_only: bool = False,
) -> Any:
    """Run one use case to its end; with a `key`, `body` stands for what was asked."""
    result = {versions.register_version: Version, catalog.create_model: RegisteredModel}.get(use_case)
    request = Request("request", key, body if key else None)
    name = use_case.__name__
    return store.write_now(use_case, ask, ME, request=request, route=name, result=result, logs_only=logs_only)


def begin(store: DatabaseStore, models: int = 1, registered: int = 3) -> None:
    """Make the registry, and models `m0`, `m1`, ... with versions."""
    write(store, lifecycles.create_registry, lifecycles.CreateRegistry())
    for number in range(models):
        write(store, catalog.create_model, c.CreateModel(f"m{number}"))
        for _ in range(registered):
            write(store, versions.register_version, c.RegisterVersion(f"m{number}", source="s3://elsewhere/m"))


def promote(store: DatabaseStore, version: int, *, swap: bool = True) -> Any:
    """Put a version of `m0` into Production."""
    return write(store, promotion.promote, c.Promote("m0", "Production", version, swap=swap))


def state(store: DatabaseStore) -> dict[str, list[dict[str, Any]]]:
    """Return every row of every audited table."""
    with store.rows() as rows:
        return {table: list(rows(table)) for table in AUDITED}


def size(store: DatabaseStore) -> int:
    """Return the number of entries of the log."""
    with store.snapshot() as tx:
        return tx.audit_head()[0].size


def statement(store: DatabaseStore, sql: str, params: Mapping[str, Any] | None = None) -> int:
    """Run a plain statement on a connection of its own, as a mistake of ours or somebody else would."""
    db = store.connect()
    try:
        return db.run(sql, params or {})
    except Exception as exc:
        raise db.translate(exc) from exc
    finally:
        db.close()


def in_one_batch(
    store: DatabaseStore, asks: Sequence[tuple[Callable[..., Any], Any]], *, logs_only: bool = False
) -> list[Future[Any]]:
    """Keep the writer busy until all of `asks` wait, so that they share a batch; return their futures, done."""
    gate, waiting = threading.Event(), threading.Event()

    def hold(tx: WriteTx, ask: None, actor: Actor) -> None:
        waiting.set()
        gate.wait(WAIT_S)

    def later(use_case: Callable[..., Any], ask: Any, place: Future[Any]) -> None:
        try:
            place.set_result(write(store, use_case, ask, logs_only=logs_only))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the test wants to see it
            place.set_exception(exc)

    first: Future[Any] = Future()
    threads = [threading.Thread(target=later, args=(hold, None, first))]
    threads[0].start()
    assert waiting.wait(WAIT_S)
    futures: list[Future[Any]] = []
    queued = _queued(store)
    for use_case, ask in asks:
        futures.append(Future())
        threads.append(threading.Thread(target=later, args=(use_case, ask, futures[-1])))
        threads[-1].start()
        while _queued(store) < queued + len(futures):  # the order of asking is the order in which they run
            pass
    gate.set()
    for thread in threads:
        thread.join(WAIT_S)
    return futures


def _queued(store: DatabaseStore) -> int:
    return store._writer._jobs.qsize() if store._writer is not None else 0


def pages(next_page: Callable[[Any], Sequence[Any]], first: Any, cursor: Callable[[Any], Any]) -> list[Any]:
    """Follow pages to their end by the cursor of each page's last item."""
    found: list[Any] = []
    at = first
    while items := next_page(at):
        found += items
        at = cursor(items[-1])
    return found


def in_production(tx: ReadTx) -> list[int]:
    """Return who holds Production of `m0`."""
    model = tx.find_model("m0")
    assert model is not None
    return [each.version for each in tx.holders(model, SlotKind.STAGE, "Production")]


def check_replay(store: DatabaseStore) -> None:
    """State = replay(audit), and the chain is whole."""
    db = store.connect()
    replay = Replay({table: db.keys[table] for table in AUDITED})
    db.close()
    with store.snapshot() as tx:
        entries, head = tx.audit_entries(after=0, limit=1_000_000), tx.audit_head()[0]
    assert verify_log(entries, head=head) == []
    assert [problem for entry in entries for problem in replay.feed(entry)] == []
    stored = state(store)
    assert [each for table in AUDITED for each in replay.compare(table, stored[table])] == []
