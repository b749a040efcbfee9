"""Requests about registered models and their versions, and about files. Part of `generate`."""

from __future__ import annotations

from typing import Any

from tests.differential import words as w
from tests.differential.calls import API, Call
from tests.differential.making import get_call, pages, post
from tests.differential.words import Pool

ARTIFACTS = "/api/2.0/mlflow-artifacts"
M, V = f"{API}/registered-models", f"{API}/model-versions"


# --- registry ---


def create_model(pool: Pool) -> Call:
    body: dict[str, Any] = {"name": pool.model_name()}
    if pool.maybe(0.4):
        body["description"] = pool.text()
    if pool.maybe(0.4):
        body["tags"] = pool.pairs() + ([w.PROMPT] if pool.maybe(0.2) else [])
    return post("create_model", f"{M}/create", body)


def get_model(pool: Pool) -> Call:
    return get_call("get_model", f"{M}/get", name=pool.model_name())


def change_model(pool: Pool) -> Call:
    name = {"name": pool.model_name()}
    roll = pool.rand.randrange(8)
    if roll == 0:
        return post("rename_model", f"{M}/rename", {**name, "new_name": pool.model_name()})
    if roll == 1 and pool.maybe(0.4):
        return Call("delete_model", "DELETE", f"{M}/delete", body=name)
    if roll < 4:
        return post("set_model_tag", f"{M}/set-tag", {**name, "key": pool.key(), "value": pool.text()})
    if roll == 4:
        return Call("delete_model_tag", "DELETE", f"{M}/delete-tag", body={**name, "key": pool.key()})
    body = {**name, "description": pool.text()} if pool.maybe(0.8) else name
    return Call("update_model", "PATCH", f"{M}/update", body=body)


def _version(pool: Pool) -> dict[str, Any]:
    return {"name": pool.model_name(), "version": str(pool.rand.choice((1, 1, 1, 2, 2, 3, 4, 9)))}


def create_version(pool: Pool) -> Call:
    sources = (
        "s3://b/x",
        "s3://b/y",
        "https://example.org/model",
        f"models:/{pool.model_name()}/1",
        f"models:/{pool.model()}",
        f"models:/{pool.model()}",
        f"runs:/{pool.run()}/m",
    )
    body: dict[str, Any] = {"name": pool.model_name(), "source": pool.rand.choice(sources)}
    if body["source"].startswith("runs:"):
        body["run_id"] = body["source"].split("/")[1]
    if body["source"].startswith("models:/«") and pool.maybe(0.9):
        body["model_id"] = body["source"].partition("/")[2]
    if pool.maybe(0.3):
        body["tags"] = pool.pairs()
    if pool.maybe(0.3):
        body["description"] = pool.text()
    if pool.maybe(0.1):
        body["run_link"] = "http://x/y"
    return post("create_version", f"{V}/create", body)


def get_version(pool: Pool) -> Call:
    what = pool.rand.choice(("get", "get", "get-download-uri"))
    operation = "get_version" if what == "get" else "download_uri"
    return get_call(operation, f"{V}/{what}", **_version(pool))


def change_version(pool: Pool) -> Call:
    version = _version(pool)
    roll = pool.rand.randrange(9)
    if roll < 4:
        body = {**version, "stage": pool.rand.choice(w.STAGES)}
        if pool.maybe(0.3):
            body["archive_existing_versions"] = pool.maybe(0.7)
        return post("transition", f"{V}/transition-stage", body)
    if roll < 6:
        return post("set_version_tag", f"{V}/set-tag", {**version, "key": pool.key(), "value": pool.text()})
    if roll == 6:
        return Call("delete_version_tag", "DELETE", f"{V}/delete-tag", body={**version, "key": pool.key()})
    if roll == 7 and pool.maybe(0.4):
        return Call("delete_version", "DELETE", f"{V}/delete", body=version)
    body = {**version, "description": pool.text()} if pool.maybe(0.8) else version
    return Call("update_version", "PATCH", f"{V}/update", body=body)


def aliases(pool: Pool) -> Call:
    alias = {"alias": pool.rand.choice(w.ALIASES)}
    roll = pool.rand.randrange(3)
    if roll == 0:
        return post("set_alias", f"{M}/alias", {**_version(pool), **alias})
    if roll == 1:
        return Call("delete_alias", "DELETE", f"{M}/alias", body={"name": pool.model_name(), **alias})
    return get_call("get_by_alias", f"{M}/alias", name=pool.model_name(), **alias)


def latest_versions(pool: Pool) -> Call:
    body: dict[str, Any] = {"name": pool.model_name()}
    if pool.maybe(0.6):
        body["stages"] = [pool.rand.choice(w.STAGES) for _ in range(pool.rand.randrange(3))]
    if pool.maybe(0.7):
        return post("latest_versions", f"{M}/get-latest-versions", body)
    return get_call("latest_versions", f"{M}/get-latest-versions", **body)


def search_models(pool: Pool) -> list[Call]:
    always = "name LIKE '«p»%'"
    if pool.maybe(0.4):
        always += f" AND tags.`mlflow.prompt.is_prompt` {pool.rand.choice(('=', '!='))} 'true'"
    query: dict[str, Any] = {"filter": w.filter_of(pool, w.MODEL_CLAUSES, always)}
    return pages(pool, get_call("search_models", f"{M}/search", pool.label(), **query, **_paging(pool, w.MODEL_ORDERS)))


def search_versions(pool: Pool) -> list[Call]:
    query: dict[str, Any] = {"filter": w.filter_of(pool, w.VERSION_CLAUSES, "name LIKE '«p»%'")}
    return pages(
        pool, get_call("search_versions", f"{V}/search", pool.label(), **query, **_paging(pool, w.VERSION_ORDERS))
    )


def _paging(pool: Pool, orders: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"order_by": w.orders_of(pool, orders)} if pool.maybe(0.5) else {}
    return found | ({"max_results": pool.rand.choice((1, 2, 100))} if pool.maybe(0.6) else {})


# --- files ---

_FILES = ("a.txt", "d/b.txt", "d/e/c.json", "ä b.txt", "d", "empty", "a%b.txt", "d/a+b&c.bin")


def _tree(pool: Pool) -> str:
    run = pool.rand.choice(pool.runs)
    return f"{pool.exp_of[run]}/«run:{run}»/artifacts" if pool.maybe(0.8) else "«p»loose"


def put_file(pool: Pool) -> Call:
    path = f"{ARTIFACTS}/artifacts/{_tree(pool)}/{pool.rand.choice(_FILES).replace('%', '%25')}"
    data = pool.rand.choice((b"", b"hello", b"x" * 5000, b"\x00\xff"))
    return Call("put_file", "PUT", path, body=data, headers=(("Content-Type", "application/octet-stream"),))


def get_file(pool: Pool) -> Call:
    path = f"{ARTIFACTS}/artifacts/{_tree(pool)}/{pool.rand.choice(_FILES).replace('%', '%25')}"
    return (
        Call("delete_file" if pool.maybe(0.2) else "get_file", "GET", path)
        if pool.maybe(0.8)
        else Call("delete_file", "DELETE", path)
    )


def list_files(pool: Pool) -> Call:
    if pool.maybe(0.5):
        folder = pool.rand.choice(("", "d", "d/e", "none", "a.txt"))
        return get_call("list_files", f"{ARTIFACTS}/artifacts", path=f"{_tree(pool)}/{folder}".rstrip("/"))
    query = {"run_id": pool.run()} | (
        {"path": pool.rand.choice(("d", "d/e", "..", "/x", ""))} if pool.maybe(0.5) else {}
    )
    return get_call("list_artifacts", f"{API}/artifacts/list", **query)
