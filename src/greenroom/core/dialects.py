"""Who may search by what: one table for each thing that is searched, and for each caller who has words of their own.

`MODELS`, `VERSIONS`, `RUNS`, `EXPERIMENTS` and `LOGGED_MODELS` are what MLflow's wire allows; `NATIVE_*` is our own
API, a superset. Field keys are our words, whatever the caller's dialect calls them.
Sources: mlflow-compat sections 5 and 8.
"""

from __future__ import annotations

from greenroom.core.search import Dialect, Entity, Kind, Op, Order, Spec

_EQUAL = frozenset({Op.EQ, Op.NE})
_MATCH = _EQUAL | {Op.LIKE, Op.ILIKE}
_MEMBER = _EQUAL | {Op.IN, Op.NOT_IN}
_ORDERED = _EQUAL | {Op.LT, Op.LE, Op.GT, Op.GE}
_NULLS = {Op.IS_NULL, Op.IS_NOT_NULL}
_TAGS = {Entity.TAG: Spec("", Kind.TEXT, _MATCH)}
_VALUES = {Entity.METRIC: Spec("", Kind.NUMBER, _ORDERED), Entity.PARAM: Spec("", Kind.TEXT, _MATCH)}
_NAME = {"name": Spec("name", Kind.TEXT, _MATCH | _MEMBER)}
_COMMON = {
    "author": Spec("author", Kind.TEXT, _MATCH | _MEMBER),
    "description": Spec("description", Kind.TEXT, _MATCH),
    "created_at": Spec("created_at", Kind.TIME, _ORDERED),
    "updated_at": Spec("updated_at", Kind.TIME, _ORDERED),
}
_VERSION_FIELDS = _NAME | {
    "run_id": Spec("run_id", Kind.TEXT, _MATCH | _MEMBER),
    "source_path": Spec("source", Kind.TEXT, _MATCH),
    "version_number": Spec("version", Kind.INTEGER, _ORDERED),
}
_NATIVE_FIELDS = {
    **_VERSION_FIELDS,
    **_COMMON,
    "version": Spec("version", Kind.INTEGER, _ORDERED),
    "source": Spec("source", Kind.TEXT, _MATCH),
    "stage": Spec("stage", Kind.TEXT, _MEMBER),
    "alias": Spec("alias", Kind.TEXT, _MEMBER),
    "digest": Spec("digest", Kind.TEXT, _MEMBER),
}
_NATIVE_MODEL_FIELDS = _NAME | _COMMON | {"lifecycle": Spec("lifecycle", Kind.TEXT, _MEMBER)}
_MODEL_ORDERS = {"name": "name", "timestamp": "updated_at", "last_updated_timestamp": "updated_at"}
_VERSION_TIMES = {"creation_timestamp": "created_at", "last_updated_timestamp": "updated_at"}
_VERSION_ORDERS = {"name": "name", "version_number": "version"} | _VERSION_TIMES
_TIMES = {"created_at": "created_at", "updated_at": "updated_at"}
_NATIVE_ORDERS = _VERSION_ORDERS | _TIMES | {"version": "version"}
_BY_NAME = (Order("name"),)
_BY_VERSION = (Order("name"), Order("version", descending=True))
_NEWEST = (Order("updated_at", descending=True), *_BY_VERSION)

MODELS = Dialect(_NAME, _TAGS, _MODEL_ORDERS, _BY_NAME, _BY_NAME)
VERSIONS = Dialect(_VERSION_FIELDS, _TAGS, _VERSION_ORDERS, _NEWEST, _BY_VERSION)
NATIVE_MODELS = Dialect(_NATIVE_MODEL_FIELDS, _TAGS, _MODEL_ORDERS | _TIMES, _BY_NAME, _BY_NAME)
NATIVE_VERSIONS = Dialect(_NATIVE_FIELDS, _TAGS | _VALUES, _NATIVE_ORDERS, _NEWEST, _BY_VERSION)

_TIME, _TEXTS, _IDS = (
    Spec("", Kind.TIME, _ORDERED),
    Spec("", Kind.TEXT, _MATCH),
    Spec("", Kind.TEXT, _MATCH | _MEMBER),
)


def _named(spec: Spec, **words: str) -> dict[str, Spec]:
    """Return fields of one kind: the caller's word and ours."""
    return {word: Spec(key, spec.kind, spec.ops) for word, key in words.items()}


_RUN_FIELDS = {
    **_named(_IDS, run_id="id"),
    **_named(_TEXTS, run_name="name", status="status", user_id="user_id", artifact_uri="artifact_uri"),
    **_named(_TIME, start_time="start_time", created="start_time", Created="start_time", end_time="end_time"),
    **{word: Spec("name", Kind.TEXT, _MATCH) for word in ("run name", "Run name", "Run Name")},
}
_RUN_KEYED = {
    Entity.TAG: Spec("", Kind.TEXT, _MATCH | _NULLS),
    Entity.PARAM: Spec("", Kind.TEXT, _MATCH | _NULLS),
    Entity.METRIC: _VALUES[Entity.METRIC],
    Entity.DATASET: Spec("", Kind.TEXT, _MATCH | _MEMBER),
}
_NEWEST_RUN = (Order("start_time", descending=True), Order("id"))
RUNS = Dialect(
    _RUN_FIELDS,
    _RUN_KEYED,
    {word: spec.key for word, spec in _RUN_FIELDS.items()},
    _NEWEST_RUN,
    _NEWEST_RUN,
    keyed_orders=frozenset({Entity.TAG, Entity.PARAM, Entity.METRIC}),
    words={"run": Entity.ATTRIBUTE, "parameter": Entity.PARAM, "parameters": Entity.PARAM},
    repeats=True,
)

_EXPERIMENT_FIELDS = {
    **_named(_TEXTS, name="name"),
    **_named(Spec("", Kind.INTEGER, _MEMBER), experiment_id="id"),
    **_named(_TIME, creation_time="created_at", last_update_time="updated_at"),
}
EXPERIMENTS = Dialect(
    _EXPERIMENT_FIELDS,
    {Entity.TAG: _RUN_KEYED[Entity.TAG]},
    {word: spec.key for word, spec in _EXPERIMENT_FIELDS.items()},
    (Order("created_at", descending=True), Order("id")),
    (Order("id"),),
    repeats=True,
)

_LOGGED_FIELDS = {
    **_named(_IDS, name="name", model_id="id", status="status", source_run_id="source_run_id", model_type="model_type"),
    **_named(
        _TIME,
        creation_time="created_at",
        creation_timestamp="created_at",
        creation_timestamp_ms="created_at",
        last_updated_timestamp="updated_at",
        last_updated_timestamp_ms="updated_at",
    ),
}
LOGGED_MODELS = Dialect(
    _LOGGED_FIELDS,
    {Entity.TAG: _IDS, Entity.PARAM: _IDS, Entity.METRIC: _VALUES[Entity.METRIC]},
    {word: spec.key for word, spec in _LOGGED_FIELDS.items()},
    (Order("created_at", descending=True), Order("id")),
    (Order("created_at", descending=True), Order("id")),
    keyed_orders=frozenset({Entity.METRIC}),
    repeats=True,
)
