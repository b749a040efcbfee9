"""What a real MLflow client does with a registry, as small scenarios; runs inside the client's own environment.

    python client_calls.py URL PREFIX [SCENARIO ...]

prints one JSON object: the scenario's name -> what the client got. PREFIX goes in front of every model's name, so that
several clients can share a server. Written for 2.x and 3.x clients alike.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # a 5xx shows at once, not after minutes
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "ERROR")
warnings.simplefilter("ignore")

import mlflow  # noqa: E402
from mlflow import MlflowClient  # noqa: E402
from mlflow.exceptions import MlflowException  # noqa: E402

SOURCE = "s3://bucket/models/one"
SCENARIOS: dict[str, Callable[[World], Any]] = {}


class World:
    """One scenario's client and its own model names."""

    def __init__(self, url: str, prefix: str) -> None:
        self.client = MlflowClient(tracking_uri=url, registry_uri=url)
        self.prefix = prefix

    def model(self, versions: int = 0, suffix: str = "", **fields: Any) -> str:
        """Create a model with so many versions, and return its name."""
        name = self.prefix + suffix
        self.client.create_registered_model(name, **fields)
        for _ in range(versions):
            self.client.create_model_version(name, SOURCE)
        next_millisecond()
        return name

    def stages(self, name: str) -> dict[str, str]:
        """Return version -> stage of all versions of a model."""
        found = self.client.search_model_versions(f"name = '{name}'")
        return {v.version: v.current_stage for v in sorted(found, key=lambda v: int(v.version))}


def next_millisecond() -> None:
    """Return when the servers' clock shows another time than now, so that orders by time have one answer."""
    now = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == now:
        pass


def scenario(function: Callable[[World], Any]) -> Callable[[World], Any]:
    SCENARIOS[function.__name__] = function
    return function


def tried(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Return what a call gives, or its error as [code, text]."""
    try:
        return plain(function(*args, **kwargs))
    except MlflowException as exc:
        return [exc.error_code, exc.message]


def plain(value: Any) -> Any:
    kind = type(value).__name__
    if kind == "ModelVersion":
        return {
            "name": value.name,
            "version": value.version,
            "stage": value.current_stage,
            "description": value.description or "",
            "source": value.source,
            "run_id": value.run_id or "",
            "run_link": value.run_link or "",
            "status": value.status,
            "tags": dict(sorted(value.tags.items())),
            "aliases": sorted(value.aliases),
        }
    if kind == "RegisteredModel":
        latest = {(v.current_stage, v.version) for v in value.latest_versions}
        return {
            "name": value.name,
            "description": value.description or "",
            "tags": dict(sorted(value.tags.items())),
            "aliases": dict(sorted(value.aliases.items())),
            "latest": sorted(latest),
        }
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


# --- models ----------------------------------------------------------------------------------------------------------


@scenario
def create_model(w: World) -> Any:
    name = w.prefix
    return [
        tried(w.client.create_registered_model, name, tags={"a": "1", "b": ""}, description="d"),
        tried(w.client.create_registered_model, name),
        tried(w.client.create_registered_model, name + " with spaces, ünïcode"),
        tried(w.client.create_registered_model, name + "-huge-tag", tags={"k": "v" * 5000}),
    ]


@scenario
def create_model_with_a_bad_name(w: World) -> Any:
    return [tried(w.client.create_registered_model, bad) for bad in ("", "a/b", "a:b", "..", ".", " ")]


@scenario
def timestamps_of_a_model(w: World) -> Any:
    name = w.model()
    made = w.client.get_registered_model(name)
    w.client.update_registered_model(name, "d")
    updated = w.client.get_registered_model(name)
    w.client.set_registered_model_tag(name, "k", "v")
    tagged = w.client.get_registered_model(name)
    return [
        made.creation_timestamp == made.last_updated_timestamp,
        isinstance(made.creation_timestamp, int),
        updated.last_updated_timestamp >= made.last_updated_timestamp,
        updated.creation_timestamp == made.creation_timestamp,
        tagged.last_updated_timestamp == updated.last_updated_timestamp,
    ]


@scenario
def get_model(w: World) -> Any:
    name = w.model(2, description="d", tags={"k": "v"})
    w.client.set_registered_model_alias(name, "champion", "1")
    return [tried(w.client.get_registered_model, name), tried(w.client.get_registered_model, name + "-none")]


@scenario
def update_model(w: World) -> Any:
    name = w.model(description="d")
    return [
        tried(w.client.update_registered_model, name, "new"),
        tried(w.client.update_registered_model, name, ""),
        tried(w.client.update_registered_model, name + "-none", "x"),
    ]


@scenario
def rename_model(w: World) -> Any:
    name, other = w.model(2, tags={"k": "v"}), w.model(suffix="-other")
    w.client.set_registered_model_alias(name, "champion", "1")
    w.client.set_model_version_tag(name, "1", "t", "v")
    return [
        tried(w.client.rename_registered_model, name, name + "-new"),
        tried(w.client.get_registered_model, name),
        tried(w.client.get_registered_model, name + "-new"),
        tried(w.client.get_model_version, name + "-new", "1"),
        tried(w.client.get_model_version_by_alias, name + "-new", "champion"),
        tried(w.client.rename_registered_model, name + "-none", "x"),
        tried(w.client.rename_registered_model, name + "-new", other)[0],
        tried(w.client.rename_registered_model, name + "-new", name + "-new"),
        tried(w.client.rename_registered_model, name + "-new", "a/b")[0],
    ]


@scenario
def delete_model(w: World) -> Any:
    name = w.model(2, tags={"k": "v"})
    return [
        tried(w.client.delete_registered_model, name),
        tried(w.client.get_registered_model, name),
        tried(w.client.get_model_version, name, "1"),
        tried(w.client.delete_registered_model, name),
    ]


@scenario
def delete_a_model_in_production(w: World) -> Any:
    name = w.model(1)
    w.client.transition_model_version_stage(name, "1", "Production")
    return tried(w.client.delete_registered_model, name)


@scenario
def create_a_model_again_after_deleting_it(w: World) -> Any:
    name = w.model(2, tags={"k": "v"}, description="d")
    w.client.set_registered_model_alias(name, "champion", "1")
    w.client.delete_registered_model(name)
    return [tried(w.client.create_registered_model, name), tried(w.client.create_model_version, name, SOURCE)]


@scenario
def tags_of_a_model(w: World) -> Any:
    name = w.model()
    return [
        tried(w.client.set_registered_model_tag, name, "k", "1"),
        tried(w.client.set_registered_model_tag, name, "k", "2"),
        tried(w.client.set_registered_model_tag, name, "a.b/c d:e-f_g", "ü\n"),
        tried(w.client.set_registered_model_tag, name, "number", 5),
        tried(w.client.get_registered_model, name),
        tried(w.client.delete_registered_model_tag, name, "k"),
        tried(w.client.delete_registered_model_tag, name, "k"),
        tried(w.client.get_registered_model, name),
        tried(w.client.set_registered_model_tag, name + "-none", "k", "1"),
        tried(w.client.delete_registered_model_tag, name + "-none", "k"),
        tried(w.client.set_registered_model_tag, name, "bad;key", "1")[0],
        tried(w.client.set_registered_model_tag, name, "../up", "1")[0],
        tried(w.client.set_registered_model_tag, name, "k" * 251, "1")[0],
        tried(w.client.set_registered_model_tag, name, "k", "v" * 100_001)[0],
    ]


# --- versions --------------------------------------------------------------------------------------------------------


@scenario
def create_version(w: World) -> Any:
    name = w.model()
    create = w.client.create_model_version
    return [
        tried(create, name, SOURCE),
        tried(create, name, SOURCE, run_id="f" * 32, run_link="http://x/r", tags={"k": "v"}, description="d"),
        tried(create, name + "-none", SOURCE),
        tried(w.client.get_registered_model, name),
    ]


@scenario
def sources_that_are_taken(w: World) -> Any:
    name = w.model()
    sources = ["s3://b/k", "gs://b/k", "dbfs:/x/y", "https://example.org/model", "abfss://c@h/p", "hdfs://h:1/p"]
    return [tried(w.client.create_model_version, name, source) for source in sources]


@scenario
def sources_that_are_refused(w: World) -> Any:
    name = w.model()
    sources = [
        "/etc/passwd",
        "file:///etc",
        "s3://b/../x",
        "s3://b/%2e%2e/x",
        "models:/",
        f"models:/{name}-none/1",
        f"models:/{name}/7",
        "mlflow-artifacts:/../x",
    ]
    return [tried(w.client.create_model_version, name, source)[0] for source in sources]


@scenario
def a_version_as_source(w: World) -> Any:
    name, copy = w.model(1), w.model(suffix="-copy")
    w.client.set_registered_model_alias(name, "champion", "1")
    w.client.transition_model_version_stage(name, "1", "Staging")
    refs = [f"models:/{name}/1", f"models:/{name}@champion", f"models:/{name}/Staging"]
    made = [tried(w.client.create_model_version, copy, ref) for ref in refs]
    return [*made, tried(w.client.get_model_version_download_uri, copy, "1")]


@scenario
def get_version(w: World) -> Any:
    name = w.model(1)
    return [tried(w.client.get_model_version, name, v) for v in ("1", "2", "0", "-1", "abc", "1.0", "")]


@scenario
def get_version_of_no_model(w: World) -> Any:
    return tried(w.client.get_model_version, w.prefix + "-none", "1")


@scenario
def update_version(w: World) -> Any:
    name = w.model(1)
    return [
        tried(w.client.update_model_version, name, "1", "d"),
        tried(w.client.update_model_version, name, "1", ""),
        tried(w.client.update_model_version, name, "2", "d"),
        tried(w.client.update_model_version, name + "-none", "1", "d"),
    ]


@scenario
def timestamps_of_a_version(w: World) -> Any:
    name = w.model(1)
    made = w.client.get_model_version(name, "1")
    w.client.set_model_version_tag(name, "1", "k", "v")
    tagged = w.client.get_model_version(name, "1")
    w.client.transition_model_version_stage(name, "1", "Staging")
    moved, model = w.client.get_model_version(name, "1"), w.client.get_registered_model(name)
    return [
        made.creation_timestamp == made.last_updated_timestamp,
        tagged.last_updated_timestamp == made.last_updated_timestamp,
        moved.last_updated_timestamp >= made.last_updated_timestamp,
        moved.creation_timestamp == made.creation_timestamp,
        model.last_updated_timestamp == moved.last_updated_timestamp,
    ]


@scenario
def delete_version(w: World) -> Any:
    name = w.model(3, suffix="")
    w.client.set_registered_model_alias(name, "champion", "3")
    w.client.set_registered_model_alias(name, "other", "1")
    return [
        tried(w.client.delete_model_version, name, "3"),
        tried(w.client.get_model_version, name, "3"),
        tried(w.client.delete_model_version, name, "3"),
        tried(w.client.get_model_version_by_alias, name, "champion"),
        tried(w.client.set_model_version_tag, name, "3", "k", "v"),
        tried(w.client.update_model_version, name, "3", "d"),
        tried(w.client.get_registered_model, name),
        tried(w.client.create_model_version, name, SOURCE)["version"],  # never 3 again
        tried(w.client.get_model_version_download_uri, name, "3"),
        tried(w.client.transition_model_version_stage, name, "3", "Staging"),
        w.stages(name),
    ]


@scenario
def delete_a_version_in_production(w: World) -> Any:
    name = w.model(1)
    w.client.transition_model_version_stage(name, "1", "Production")
    return tried(w.client.delete_model_version, name, "1")


@scenario
def tags_of_a_version(w: World) -> Any:
    name = w.model(2)
    w.client.transition_model_version_stage(name, "2", "Staging")
    return [
        tried(w.client.set_model_version_tag, name, "1", "k", "1"),
        tried(w.client.set_model_version_tag, name, "1", "k", "2"),
        tried(w.client.set_model_version_tag, name, key="by-stage", value="v", stage="Staging"),
        tried(w.client.get_model_version, name, "1"),
        tried(w.client.get_model_version, name, "2"),
        tried(w.client.delete_model_version_tag, name, key="by-stage", stage="Staging"),
        tried(w.client.delete_model_version_tag, name, "1", "k"),
        tried(w.client.delete_model_version_tag, name, "1", "k"),
        tried(w.client.get_model_version, name, "1"),
        tried(w.client.set_model_version_tag, name, "9", "k", "1"),
        tried(w.client.delete_model_version_tag, name, "9", "k"),
        tried(w.client.set_model_version_tag, name, "1", "bad;key", "1")[0],
    ]


# --- stages ----------------------------------------------------------------------------------------------------------


@scenario
def transition(w: World) -> Any:
    name = w.model(1)
    move = w.client.transition_model_version_stage
    stages = ["Staging", "production", "ARCHIVED", "none", "Staging", "staging"]
    return [tried(move, name, "1", stage) for stage in stages]


@scenario
def transition_errors(w: World) -> Any:
    name = w.model(1)
    move = w.client.transition_model_version_stage
    return [
        tried(move, name, "1", "Nonsense"),
        tried(move, name, "1", "@champion"),
        tried(move, name, "1", "Deleted_Internal"),
        tried(move, name, "7", "Staging"),
        tried(move, name + "-none", "1", "Staging"),
        tried(move, name, "abc", "Staging"),
        tried(move, name, "1", ""),
        w.stages(name),
    ]


@scenario
def transition_with_archive(w: World) -> Any:
    name = w.model(4)
    move = w.client.transition_model_version_stage
    move(name, "4", "Staging")
    return [
        tried(move, name, "1", "Production", archive_existing_versions=True),
        tried(move, name, "2", "Production", archive_existing_versions=True),
        tried(move, name, "2", "Production", archive_existing_versions=True),
        tried(move, name, "3", "Staging", archive_existing_versions=True),
        w.stages(name),
    ]


@scenario
def archive_with_an_inactive_stage(w: World) -> Any:
    name = w.model(1)
    move = w.client.transition_model_version_stage
    return [tried(move, name, "1", stage, archive_existing_versions=True)[1] for stage in ("None", "Archived")]


@scenario
def two_versions_in_production(w: World) -> Any:
    name = w.model(2)
    move = w.client.transition_model_version_stage
    return [tried(move, name, v, "Production") for v in ("1", "2")] + [w.stages(name)]


@scenario
def two_versions_in_staging(w: World) -> Any:
    name = w.model(2)
    move = w.client.transition_model_version_stage
    return [tried(move, name, v, "Staging") for v in ("1", "2")] + [w.stages(name)]


@scenario
def latest_versions(w: World) -> Any:
    name = w.model(5)
    for version, stage in (("1", "Production"), ("2", "Staging"), ("3", "Archived"), ("4", "Staging")):
        w.client.transition_model_version_stage(name, version, stage)
    w.client.set_registered_model_alias(name, "champion", "1")

    def latest(*args: Any) -> Any:
        found = tried(w.client.get_latest_versions, *args)
        return sorted(found, key=lambda v: int(v["version"])) if found and isinstance(found[0], dict) else found

    return [
        latest(name),
        latest(name, []),
        latest(name, ["Production"]),
        latest(name, ["staging", "NONE"]),
        latest(name, ["Staging", "Staging"]),
        latest(name, ["Nonsense"]),
        latest(name + "-none"),
        latest(name + "-none", ["Staging"]),
        latest(w.model(suffix="-empty")),
    ]


# --- aliases ---------------------------------------------------------------------------------------------------------


@scenario
def aliases(w: World) -> Any:
    name = w.model(2)
    put, get, drop = (
        w.client.set_registered_model_alias,
        w.client.get_model_version_by_alias,
        w.client.delete_registered_model_alias,
    )
    return [
        tried(put, name, "champion", "1"),
        tried(get, name, "champion"),
        tried(put, name, "champion", "2"),
        tried(put, name, "Other-1_x", "2"),
        tried(get, name, "champion"),
        tried(w.client.get_registered_model, name),
        tried(w.client.get_model_version, name, "2"),
        tried(drop, name, "champion"),
        tried(drop, name, "champion"),
        tried(get, name, "champion"),
        tried(w.client.get_model_version, name, "2"),
    ]


@scenario
def alias_errors(w: World) -> Any:
    name = w.model(1)
    put, get, drop = (
        w.client.set_registered_model_alias,
        w.client.get_model_version_by_alias,
        w.client.delete_registered_model_alias,
    )
    bad = ["latest", "LATEST", "v1", "V12", "a b", "a/b", "", "a" * 256]
    return [
        [tried(put, name, alias, "1")[0] for alias in bad],
        tried(put, name, "ok", "9"),
        tried(put, name + "-none", "ok", "1"),
        tried(put, name, "ok", "abc"),
        tried(get, name, "nobody"),
        tried(get, name + "-none", "nobody"),
        tried(get, name, "v1"),
        tried(drop, name + "-none", "ok"),
    ]


@scenario
def the_alias_latest(w: World) -> Any:
    name, empty = w.model(2), w.model(suffix="-empty")
    w.client.transition_model_version_stage(name, "1", "Production")
    get = w.client.get_model_version_by_alias
    found = [tried(get, name, "latest"), tried(get, name, "LATEST"), tried(get, empty, "latest")]
    w.client.transition_model_version_stage(name, "2", "Archived")  # the newest, wherever it is
    return [*found, tried(get, name, "latest")]


# --- searches --------------------------------------------------------------------------------------------------------


def _names(w: World, found: Any) -> Any:
    return [m.name[len(w.prefix) :] for m in found]


@scenario
def search_models(w: World) -> Any:
    for suffix, tags in (
        ("-a", {"k": "1"}),
        ("-B", {"k": "2", "x y": "z"}),
        ("-c%", {}),
        ("-d_", {"k": "1", "j": "1"}),
    ):
        w.model(1, suffix=suffix, tags=tags)
    p = w.prefix
    mine = f"name LIKE '{p}-%'"

    def found(text: str, **options: Any) -> Any:
        got = tried(lambda: _names(w, w.client.search_registered_models(text, **options)))
        return got if not (got and got[0] == "INVALID_PARAMETER_VALUE") else got[0]

    filters = [
        mine,
        f"name = '{p}-a'",
        f'name = "{p}-a"',
        f"{mine} AND name != '{p}-a'",
        f"{mine} and name ILIKE '%-b'",
        f"{mine} AND name LIKE '%-b'",
        f"{mine} AND name LIKE '%c_'",
        f"name IN ('{p}-a', '{p}-B', 'no')",
        f"{mine} AND name NOT IN ('{p}-a')",
        f"{mine} AND tags.k = '1'",
        f"{mine} AND tag.k != '1'",
        f"{mine} AND tags.k LIKE '%'",
        f"{mine} AND tags.k ILIKE '2'",
        f"{mine} AND tags.`x y` = 'z'",
        f'{mine} AND tags."x y" = "z"',
        f"{mine} AND tags.k = '1' AND tags.j = '1'",
        f"{mine} AND tags.k = '1' AND tags.k != '1'",
        f"attribute.name = '{p}-a'",
        f"name = '{p}-none'",
    ]
    bad = [
        "name > 'a'",
        "name = a",
        "name",
        "name = 'a' OR name = 'b'",
        "(name = 'a')",
        "colour = 'a'",
        "name IN ('a'",
        "tags.k IS NULL",
        "name = 'a' name = 'b'",
        "version_number = 1",
        "run_id = 'x'",
        "tags.k IN ('1')",
        "name IN ()",
    ]
    orders = [["name DESC"], ["name ASC"], ["NAME desc"], ["name"], ["timestamp DESC"], ["last_updated_timestamp"]]
    bad_orders = [["colour"], ["name SIDEWAYS"], ["creation_timestamp"], ["tags.k"]]
    return {
        "filters": {text.replace(p, "P"): found(text) for text in filters},
        "refused": {text: found(text) for text in bad},
        "orders": [found(mine, order_by=order) for order in orders],
        "refused orders": [found(mine, order_by=order) for order in bad_orders],
        "bad pages": [found(mine, page_token="garbage"), found(mine, max_results=1001)],
    }


@scenario
def pages_of_models(w: World) -> Any:
    for number in range(5):
        w.model(suffix=f"-{number}")
    pages, token = [], None
    while True:
        page = w.client.search_registered_models(f"name LIKE '{w.prefix}-%'", max_results=2, page_token=token)
        pages.append(_names(w, page))
        token = page.token
        if not token:
            return pages


@scenario
def search_models_shows_what_get_shows(w: World) -> Any:
    name = w.model(2, tags={"k": "v"}, description="d")
    w.client.set_registered_model_alias(name, "champion", "1")
    w.client.transition_model_version_stage(name, "1", "Staging")
    return tried(w.client.search_registered_models, f"name = '{name}'")


def _numbers(w: World, found: Any) -> Any:
    return [f"{m.name[len(w.prefix) :]}/{m.version}" for m in found]


@scenario
def search_versions(w: World) -> Any:
    w.model(suffix="-a")
    w.model(suffix="-b")
    p = w.prefix

    def create(*args: Any, **fields: Any) -> None:
        w.client.create_model_version(*args, **fields)
        next_millisecond()

    create(p + "-a", "s3://b/one", run_id="1" * 32, tags={"k": "1"})
    create(p + "-a", "s3://b/Two", run_id="2" * 32, tags={"k": "2", "x y": "z"})
    create(p + "-b", "s3://b/one", tags={"k": "1"})
    create(p + "-b", SOURCE)
    w.client.delete_model_version(p + "-b", "2")
    mine = f"name LIKE '{p}-%'"

    def found(text: str, **options: Any) -> Any:
        got = tried(lambda: _numbers(w, w.client.search_model_versions(text, **options)))
        return got if not (got and got[0] == "INVALID_PARAMETER_VALUE") else got[0]

    filters = [
        f"name = '{p}-a'",
        f"{mine} AND name != '{p}-a'",
        f"name IN ('{p}-a')",
        f"{mine} AND name NOT IN ('{p}-a')",
        f"{mine} AND run_id = '{'1' * 32}'",
        f"{mine} AND run_id IN ('{'1' * 32}', '{'2' * 32}')",
        f"{mine} AND source_path = 's3://b/one'",
        f"{mine} AND source_path LIKE '%/t%'",
        f"{mine} AND source_path ILIKE '%/t%'",
        f"{mine} AND version_number = 1",
        f"{mine} AND version_number = '1'",
        f"{mine} AND version_number > 1",
        f"{mine} AND version_number <= 1",
        f"{mine} AND version_number != 2",
        f"{mine} AND tags.k = '1'",
        f"{mine} AND tags.k != '1'",
        f"{mine} AND tags.`x y` LIKE 'z'",
    ]
    bad = [
        "version_number = 1.5",
        "version_number LIKE '1'",
        "name > 'a'",
        "source_path IN ('a')",
        "colour = 'a'",
        "name = 'a' OR name = 'b'",
        "tags.k IS NULL",
        "current_stage = 'Staging'",
    ]
    orders = [
        ["name ASC", "version_number DESC"],
        ["version_number ASC", "name DESC"],
        ["creation_timestamp ASC"],
        ["last_updated_timestamp DESC"],
    ]
    bad_orders = [["colour"], ["name SIDEWAYS"], ["source_path"]]
    by_name = {"order_by": ["name", "version_number"]}
    return {
        "filters": {text.replace(p, "P"): found(text, **by_name) for text in filters},
        "refused": {text: found(text) for text in bad},
        "orders": [found(mine, order_by=order) for order in orders],
        "refused orders": [found(mine, order_by=order) for order in bad_orders],
        "bad pages": [found(mine, page_token="garbage"), found(mine, max_results=0), found(mine, max_results=200_001)],
    }


@scenario
def newest_versions_come_first(w: World) -> Any:
    name = w.model(3)
    w.client.update_model_version(name, "1", "touched")
    return _numbers(w, w.client.search_model_versions(f"name = '{name}'"))


@scenario
def pages_of_versions(w: World) -> Any:
    name = w.model(5)
    pages, token = [], None
    while True:
        page = w.client.search_model_versions(
            f"name = '{name}'", max_results=2, order_by=["version_number"], page_token=token
        )
        pages.append(_numbers(w, page))
        token = page.token
        if not token:
            return pages


# --- what builds on it -----------------------------------------------------------------------------------------------


@scenario
def download_uri_of_what_is_elsewhere(w: World) -> Any:
    name = w.model(1)
    get = w.client.get_model_version_download_uri
    return [tried(get, name, "1"), tried(get, name, "2"), tried(get, name + "-none", "1")]


@scenario
def copy_version(w: World) -> Any:
    name = w.model()
    w.client.create_model_version(name, SOURCE, run_id="f" * 32, tags={"k": "v"}, description="d")
    w.client.set_registered_model_alias(name, "champion", "1")
    w.client.transition_model_version_stage(name, "1", "Production")
    copy = w.client.copy_model_version
    return [
        tried(copy, f"models:/{name}/1", name + "-copy"),
        tried(copy, f"models:/{name}@champion", name + "-copy"),
        tried(copy, f"models:/{name}/Production", name + "-copy"),
        tried(copy, f"models:/{name}/9", name + "-copy"),
        tried(w.client.get_model_version_download_uri, name + "-copy", "2"),
        tried(w.client.get_registered_model, name + "-copy"),
    ]


@scenario
def register_by_the_short_way(w: World) -> Any:
    name = w.prefix
    registered = [tried(mlflow.register_model, SOURCE, name) for _ in range(2)]
    return [*registered, tried(w.client.get_registered_model, name)]


@scenario
def prompts(w: World) -> Any:
    name = w.prefix
    api = mlflow.genai if hasattr(mlflow, "genai") and hasattr(mlflow.genai, "register_prompt") else mlflow

    def load(uri: str) -> Any:
        prompt = api.load_prompt(uri)
        return [prompt.version, prompt.template]

    return [
        [tried(api.register_prompt, name, template=text).version for text in ("Hello {{name}}", "Hi {{name}}")],
        tried(load, f"prompts:/{name}/1"),
        tried(api.set_prompt_alias, name, alias="prod", version=2),
        tried(load, f"prompts:/{name}@prod"),
        tried(api.delete_prompt_alias, name, "prod"),
        tried(lambda: _names(w, w.client.search_registered_models(f"name = '{name}'"))),
        tried(w.client.create_registered_model, name)[0],
        tried(w.client.get_registered_model, name)[0],
    ]


def main(url: str, prefix: str, *wanted: str) -> None:
    """Run the scenarios and print what the client got."""
    mlflow.set_tracking_uri(url)
    mlflow.set_registry_uri(url)
    answers = {}
    for name in wanted or SCENARIOS:
        try:
            answers[name] = SCENARIOS[name](World(url, f"{prefix}-{name}"))
        except Exception as exc:  # a scenario that cannot be set up is an answer as well
            answers[name] = {"failed": f"{type(exc).__name__}: {exc}"}
    print(json.dumps(answers, sort_keys=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
