"""The registry half of MLflow's REST: its 21 endpoints as calls of our use cases, answered in MLflow's words.

Source: mlflow-compat sections 3 to 5; design, section 9.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from starlette.requests import Request as HTTPRequest
from starlette.responses import Response

from greenroom.core.errors import AlreadyExists, InvalidInput, NotFound, Refused
from greenroom.core.model import Promotion, RegisteredModel, Version
from greenroom.core.names import check_alias, check_stage_name, parse_version, shown, stage_key
from greenroom.http import mlflow_wire as wire
from greenroom.http.keys import BODY, identity_for
from greenroom.http.mlflow_bridge import author_of, facts_of_tags
from greenroom.http.problem import JSONAnswer, json_bytes
from greenroom.http.routing import Route, Wire, actor_of, own_url, read_body
from greenroom.services import answers as a
from greenroom.services import commands as c
from greenroom.services.ports import Registry

Body = dict[str, Any]

MODELS_PER_PAGE: Final = 1000
VERSIONS_PER_PAGE: Final = 200_000
SNAPSHOTS: Final = "api/2.0/mlflow-artifacts/artifacts/snapshots"
_INACTIVE: Final = frozenset({"none", "archived"})
_LATEST = "latest"
_IS_PROMPT = "mlflow.prompt.is_prompt"
_MAX_COPIES_OF_COPIES = 20


@dataclass(frozen=True)
class Call:
    """One request on its way: whom it asks, and its fields by name."""

    registry: Registry
    http: HTTPRequest
    given: Mapping[str, Any]

    async def do(self, operation: str, command: Any) -> Any:
        """Run one use case as the actor of this request."""
        actor = actor_of(self.http)
        return await self.registry.call(operation, command, actor, request=identity_for(self.http, operation))

    @property
    def name(self) -> str:
        """The model that the request names."""
        name: str = self.given["name"]
        return name

    @property
    def version(self) -> int:
        """The version number that the request names; raises as MLflow does for text, zero and below."""
        return parse_version(self.given["version"], model=self.name)


Handler = Callable[[Call], Awaitable[Body]]


def routes(registry: Registry) -> list[Route]:
    """Return the routes of all registry endpoints, under both of MLflow's prefixes."""
    return [
        Route(method, prefix + endpoint.path, endpoint.permission, _endpoint(registry, endpoint), Wire.MLFLOW)
        for endpoint in wire.ENDPOINTS
        for prefix in wire.PREFIXES
        for method in endpoint.methods
    ]


def _endpoint(registry: Registry, endpoint: wire.Endpoint) -> Callable[[HTTPRequest], Awaitable[Response]]:
    handler = HANDLERS[endpoint.name]

    async def answer(http: HTTPRequest) -> Response:
        query = http.scope["query_string"].decode("utf-8", "surrogateescape")
        body = b"" if http.method == "GET" and query else await read_body(http)
        http.scope[BODY] = body
        given = wire.read_request(endpoint, http.method, query, http.headers.get("content-type"), body)
        call = Call(registry, http, given)
        try:
            return JSONAnswer(json_bytes(await handler(call)))
        except NotFound as exc:
            raise await _not_found(call, exc) from exc
        except AlreadyExists as exc:
            raise await _already_exists(call, exc) from exc

    return answer


async def _not_found(call: Call, exc: NotFound) -> NotFound | InvalidInput:
    """Say what is not there in the words that MLflow's clients know; anything else is passed on as it is."""
    details = exc.details
    kind, model = details.get("kind"), details.get("model")
    if kind == "stage":
        return await _unknown_stage(call, exc)
    if kind == "version" and "alias" in details:  # of a source: `models:/NAME@ALIAS`
        return InvalidInput(wire.alias_not_found(str(details["alias"])), **details)
    if kind == "version" and details.get("version") is not None:
        return NotFound(wire.version_not_found(str(model), details["version"]), **details)
    if kind == "model" and model == call.name and "version" in call.given:
        return NotFound(wire.version_not_found(call.name, call.given["version"]), **details)
    return NotFound(wire.model_not_found(str(model)), **details) if kind == "model" else exc


async def _unknown_stage(call: Call, exc: NotFound) -> InvalidInput:
    """An unknown stage is a wrong value on this wire (400); whose text, depends on the model's lifecycle."""
    try:
        model: RegisteredModel = await call.do("get_model", c.ModelNamed(call.name))
    except NotFound:  # a stock server looks at the stage first
        return InvalidInput(wire.unknown_stage(exc.details["stage"]), **exc.details)
    if model.lifecycle == "mlflow":
        return InvalidInput(wire.unknown_stage(exc.details["stage"]), **exc.details)
    hint = exc.hint
    if hint is None:
        lifecycle: a.LifecycleView = await call.do("get_lifecycle", c.LifecycleOf(model=call.name))
        hint = f"Known stages: {', '.join(stage.name for stage in lifecycle.stages)}."
    return InvalidInput(exc.message, hint=hint, **exc.details)


async def _already_exists(call: Call, exc: AlreadyExists) -> AlreadyExists:
    """Say which name is taken, and by what: models and prompts share their names."""
    taken = call.given.get("new_name") or call.name
    asked = _word(call.given.get("tags", {}))
    try:
        there: RegisteredModel = await call.do("get_model", c.ModelNamed(taken))
    except NotFound:  # a look-alike holds the name, or it was deleted this moment: our text says which
        return exc
    if asked == _word(there.tags) or "new_name" in call.given:
        return AlreadyExists(wire.exists(_word(there.tags), taken), **exc.details)
    hint = "Models and prompts share their names: choose another one."
    return AlreadyExists(wire.exists(_word(there.tags), taken), hint=hint, **exc.details)


def _word(tags: Mapping[str, str]) -> str:
    return "Prompt" if tags.get(_IS_PROMPT, "").lower() == "true" else "Registered Model"


def refused(promotion: Promotion) -> Refused:
    """Return the error that tells a client why a version was not moved, and what would be accepted.

    `details["promotion"]` is the recorded promotion. On this wire it is RESOURCE_CONFLICT, which clients never retry.
    """
    who = f"version {promotion.version} of {promotion.model!r}"
    reasons = " ".join(r.message for r in promotion.refusals) or f"The promotion is {promotion.status.value}."
    ways = [way for r in promotion.refusals for way in r.ways_out]
    hint = "Ways out: " + "; ".join(dict.fromkeys(ways)) + "." if ways else None
    return Refused(f"{promotion.slot} refused {who}. {reasons}", hint=hint, promotion=promotion)


def _require_success(promotion: Promotion) -> None:
    if not promotion.succeeded:
        raise refused(promotion)


async def _rendered(call: Call, model: RegisteredModel) -> Body:
    """Return the model with the newest version of every stage, as the wire wants it."""
    latest: tuple[Version, ...] = ()
    if model.latest:
        latest = await call.do("latest_versions", c.LatestVersions(model.name))
    return wire.render_model(model, latest)


async def _create_model(call: Call) -> Body:
    given = call.given
    model = await call.do("create_model", c.CreateModel(call.name, given["description"], given["tags"]))
    return {"registered_model": await _rendered(call, model)}


async def _get_model(call: Call) -> Body:
    return {"registered_model": await _rendered(call, await call.do("get_model", c.ModelNamed(call.name)))}


async def _update_model(call: Call) -> Body:
    model = await call.do("update_model", c.UpdateModel(call.name, call.given["description"] or None))
    return {"registered_model": await _rendered(call, model)}


async def _rename_model(call: Call) -> Body:
    new_name = call.given["new_name"]
    if new_name == call.name:  # succeeds on a stock server, and gives new times only
        return await _get_model(call)
    model = await call.do("rename_model", c.RenameModel(call.name, new_name))
    return {"registered_model": await _rendered(call, model)}


async def _delete_model(call: Call) -> Body:
    await call.do("delete_model", c.DeleteModel(call.name))
    return {}


def _page_size(given: Mapping[str, Any], *, default: int, most: int) -> int:
    size: int = default if given["max_results"] is None else given["max_results"]
    if size < 1:
        raise InvalidInput(f"Invalid value for max_results. It must be a positive integer, but got {size}")
    if size > most:
        raise InvalidInput(
            f"Invalid value for request parameter max_results. It must be at most {most}, but got value {size}"
        )
    return size


def _search(kind: type[Any], given: Mapping[str, Any], page_size: int) -> Any:
    return kind(given["filter"] or None, given["order_by"], page_size, given["page_token"] or None, "mlflow")


async def _search_models(call: Call) -> Body:
    size = _page_size(call.given, default=100, most=MODELS_PER_PAGE)
    page = await call.do("search_models", _search(c.SearchModels, call.given, size))
    latest = await call.do("latest_of_models", c.LatestOfModels(tuple(model.name for model in page.items)))
    found = [wire.render_model(model, newest) for model, newest in zip(page.items, latest, strict=True)]
    return _page("registered_models", found, page.next_page_token)


async def _search_versions(call: Call) -> Body:
    size = _page_size(call.given, default=VERSIONS_PER_PAGE, most=VERSIONS_PER_PAGE)
    page = await call.do("search_versions", _search(c.SearchVersions, call.given, size))
    return _page("model_versions", [wire.render_version(v) for v in page.items], page.next_page_token)


def _page(key: str, items: list[Body], token: str | None) -> Body:
    return ({key: items} if items else {}) | ({"next_page_token": token} if token else {})


async def _latest_versions(call: Call) -> Body:
    for stage in call.given["stages"]:
        _require_stage_name(stage)
    found = await call.do("latest_versions", c.LatestVersions(call.name, call.given["stages"]))
    return _page("model_versions", [wire.render_version(version) for version in found], None)


async def _set_model_tag(call: Call) -> Body:
    await call.do("set_model_tag", c.SetModelTag(call.name, call.given["key"], call.given["value"] or ""))
    return {}


async def _delete_model_tag(call: Call) -> Body:
    await call.do("delete_model_tag", c.DeleteModelTag(call.name, call.given["key"]))
    return {}


async def _set_alias(call: Call) -> Body:
    check_alias(call.given["alias"])
    _require_success(await call.do("set_alias", c.SetAlias(call.name, call.given["alias"], call.version)))
    return {}


async def _delete_alias(call: Call) -> Body:
    check_alias(call.given["alias"], reserved_ok=True)
    await call.do("delete_alias", c.DeleteAlias(call.name, call.given["alias"]))
    return {}


async def _get_by_alias(call: Call) -> Body:
    alias = check_alias(call.given["alias"], reserved_ok=True)
    if alias.lower() == _LATEST:
        newest = await call.do("latest_versions", c.LatestVersions(call.name))
        if not newest:
            raise NotFound(f"Latest version not found for model {call.name}.")
        return {"model_version": wire.render_version(max(newest, key=lambda version: version.version))}
    model: RegisteredModel = await call.do("get_model", c.ModelNamed(call.name))
    if alias not in model.aliases:
        raise InvalidInput(wire.alias_not_found(alias), model=call.name, alias=alias)
    return await _version_body(call, model.aliases[alias])


async def _version_body(call: Call, number: int) -> Body:
    return {"model_version": wire.render_version(await call.do("get_version", c.VersionNamed(call.name, number)))}


async def _create_version(call: Call) -> Body:
    given = call.given
    metrics, params, context = facts_of_tags(given["tags"])
    command = c.RegisterVersion(
        model=call.name,
        source=given["source"],
        run_id=given["run_id"] or None,
        run_link=given["run_link"] or None,
        logged_model=given["model_id"] or None,
        description=given["description"] or None,
        tags=given["tags"],
        metrics=metrics,
        params=params,
        context=context,
    )
    actor = author_of(given["tags"], actor_of(call.http))
    identity = identity_for(call.http, "register_version")
    version = await call.registry.call("register_version", command, actor, request=identity)
    return {"model_version": wire.render_version(version)}


async def _get_version(call: Call) -> Body:
    return await _version_body(call, call.version)


async def _update_version(call: Call) -> Body:
    command = c.UpdateVersion(call.name, call.version, call.given["description"] or None)
    return {"model_version": wire.render_version(await call.do("update_version", command))}


async def _delete_version(call: Call) -> Body:
    await call.do("delete_version", c.DeleteVersion(call.name, call.version))
    return {}


def _require_stage_name(stage: str) -> None:
    """Raise NotFound for a text that no stage can be called; `@champion` above all, which inside is an alias."""
    try:
        check_stage_name(stage)
    except InvalidInput as exc:
        raise NotFound(f"Stage '{shown(stage)}' does not exist.", kind="stage", stage=stage) from exc


async def _transition(call: Call) -> Body:
    stage, swap = call.given["stage"], call.given["archive_existing_versions"]
    _require_stage_name(stage)
    if swap and stage_key(stage) in _INACTIVE:
        raise InvalidInput(wire.cannot_archive(stage), stage=stage)
    promotion: Promotion = await call.do("promote", c.Promote(call.name, stage, call.version, swap=swap))
    _require_success(promotion)
    version = await call.do("get_version", c.VersionNamed(call.name, promotion.version))
    # The answer tells what this request did, even if another moved the version on a moment later.
    body: Body = {"model_version": wire.render_version(replace(version, stage=promotion.slot))}
    # Clients skip fields that they do not know; whoever reads the wire is told what was allowed but unusual.
    return body | ({"warnings": list(promotion.warnings)} if promotion.warnings else {})


async def _download_uri(call: Call) -> Body:
    version: Version = await call.do("get_version", c.VersionNamed(call.name, call.version))
    for _ in range(_MAX_COPIES_OF_COPIES):
        parent = version.parent
        if version.digest is not None or parent is None or version.source != f"models:/{parent.model}/{parent.version}":
            break
        try:  # a copy of an unpinned version: its files are where those of the first one are
            version = await call.do("get_version", c.VersionNamed(parent.model, parent.version))
        except NotFound:  # renamed or deleted: its name is all that is known
            break
    return {"artifact_uri": download_uri(version, f"{own_url(call.http)}/")}


def download_uri(version: Version, base_url: str) -> str:
    """Return where a client reads the files: our snapshot of a pinned version, else the source as it was given.

    The snapshot's URL is absolute, because a client resolves `mlflow-artifacts:/…` against its *tracking* server, which
    may be another one. `base_url` ends with a slash.
    """
    if version.digest is None:
        return version.source
    return f"{base_url}{SNAPSHOTS}/{version.digest.removeprefix('sha256:')}"


async def _set_version_tag(call: Call) -> Body:
    command = c.SetVersionTag(call.name, call.version, call.given["key"], call.given["value"] or "")
    await call.do("set_version_tag", command)
    return {}


async def _delete_version_tag(call: Call) -> Body:
    await call.do("delete_version_tag", c.DeleteVersionTag(call.name, call.version, call.given["key"]))
    return {}


HANDLERS: Final[Mapping[str, Handler]] = {
    "create_model": _create_model,
    "get_model": _get_model,
    "update_model": _update_model,
    "rename_model": _rename_model,
    "delete_model": _delete_model,
    "search_models": _search_models,
    "latest_versions": _latest_versions,
    "set_model_tag": _set_model_tag,
    "delete_model_tag": _delete_model_tag,
    "set_alias": _set_alias,
    "delete_alias": _delete_alias,
    "get_by_alias": _get_by_alias,
    "create_version": _create_version,
    "get_version": _get_version,
    "update_version": _update_version,
    "delete_version": _delete_version,
    "transition": _transition,
    "search_versions": _search_versions,
    "download_uri": _download_uri,
    "set_version_tag": _set_version_tag,
    "delete_version_tag": _delete_version_tag,
}
