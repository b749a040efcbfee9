"""Requests about registered models, their versions, and prompts. Part of `generate`."""

from __future__ import annotations

from typing import Any

from tests.differential import words as w
from tests.differential.calls import API, Call
from tests.differential.making import get_call, pages, post
from tests.differential.words import Pool

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
        new_name = pool.model_name()  # not the old one: see the table of differences that random requests do not meet
        return post(
            "rename_model",
            f"{M}/rename",
            {**name, "new_name": f"{new_name}2" if new_name == name["name"] else new_name},
        )
    if roll == 1 and pool.maybe(0.4):
        return Call("delete_model", "DELETE", f"{M}/delete", body=name)
    if roll < 4:
        return post("set_model_tag", f"{M}/set-tag", {**name, "key": pool.key(), "value": pool.text()})
    if roll == 4:
        return Call("delete_model_tag", "DELETE", f"{M}/delete-tag", body={**name, "key": pool.key()})
    body = {**name, "description": pool.text()} if pool.maybe(0.8) else name
    return Call("update_model", "PATCH", f"{M}/update", body=body)


_ODD_SOURCES = (
    "https://example.org/model", "hdfs://h/x", "abfss://a@b/c", "file:///etc", "/tmp/x", "x", "../x", "s3://b/../x",
    "mlflow-artifacts:/1/«run:c3»/artifacts/m", "models:/«p»m1/99", "models:/«p»m1@champion", "models:/", "runs:/", " ",
    "dbfs:/x", "gs://b/x", "s3://", "http://[::1", "mlflow-artifacts:/1/../2", "dummy-source",
)  # fmt: skip


def _version(pool: Pool) -> dict[str, Any]:
    return {"name": pool.model_name(), "version": str(pool.rand.choice((1, 1, 1, 2, 2, 3, 4, 9)))}


def create_version(pool: Pool) -> Call:
    run, model = pool.run(), pool.model()
    sources = ("s3://b/x", "s3://b/y", f"models:/{pool.model_name()}/1", f"models:/{model}", f"runs:/{run}/m")
    body: dict[str, Any] = {"name": pool.model_name(), "source": pool.rand.choice(sources)}
    named = {"runs:/": {"run_id": run}, f"models:/{model}": {"model_id": model}}
    for start, more in named.items():
        if body["source"].startswith(start) and not pool.wrong("source", 0.1):
            body |= more
    if pool.wrong("source", 0.15):
        body["source"] = pool.rand.choice(_ODD_SOURCES)
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
    alias = {"alias": pool.rand.choice(w.RESERVED if pool.wrong("name", 0.1) else w.ALIASES)}
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


# --- prompts: registered models with a tag, and versions whose text is another one ---


def prompts(pool: Pool) -> list[Call]:
    """Return what a client sends to register a prompt, to look at it and to search."""
    name = f"«p»{pool.rand.choice(('p1', 'p2', 'm1'))}"
    text = {"key": "mlflow.prompt.text", "value": pool.text()}
    kind = {"key": "_mlflow_prompt_type", "value": pool.rand.choice(("text", "chat"))}
    version = {"name": name, "source": "dummy-source", "tags": [w.PROMPT, text, kind]}
    if pool.maybe(0.3):
        version["description"] = pool.text()
    of = {"key": "_mlflow_experiment_ids", "value": f",{pool.rand.choice((1, 2))},"}
    like = f"tags.`_mlflow_experiment_ids` ILIKE '%,{pool.rand.choice((1, 2))},%'"
    clauses = ["tags.`mlflow.prompt.is_prompt` = 'true'", "name LIKE '«p»%'", *([like] * pool.maybe(0.5))]
    registered = [
        get_call("get_model", f"{M}/get", name=name),
        post("create_prompt", f"{M}/create", {"name": name, "description": pool.text(), "tags": [w.PROMPT]}),
        post("create_prompt_version", f"{V}/create", version),
        get_call("get_model", f"{M}/get", name=name),
    ]
    looked_at = [
        get_call("get_version", f"{V}/get", name=name, version=pool.rand.choice(("1", "2"))),
        post("set_model_tag", f"{M}/set-tag", {"name": name, **of}),
        post("set_alias", f"{M}/alias", {"name": name, "alias": pool.rand.choice(w.ALIASES), "version": "1"}),
        get_call("get_by_alias", f"{M}/alias", name=name, alias=pool.rand.choice((*w.ALIASES, "latest"))),
        get_call("search_models", f"{M}/search", filter=" AND ".join(clauses), max_results=pool.rand.choice((1, 100))),
        get_call("search_versions", f"{V}/search", filter=f"name = '{name}'"),
        get_call("download_uri", f"{V}/get-download-uri", name=name, version="1"),
    ]
    if name == "«p»m1":  # a client does not add prompts to what may be a model
        return registered[:2]
    return registered + pool.rand.sample(looked_at, pool.rand.randrange(4))
