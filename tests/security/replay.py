"""Replays a vector against a scene and says what was not as it must be: the checker that the mutants are shown to."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.security.binding import VECTORS, Attack, attacks, sent
from tests.security.scene import MODEL_GATED, TOKEN, Reply, Scene

CPU_S = 2.0
RSS_BYTES = 64 << 20
HEALTH_S = 1.0


@dataclass(frozen=True)
class Seen:
    """What was true after one request, for the asserts to look at."""

    scene: Scene
    attack: Attack
    reply: Reply
    before: str
    cpu_s: float
    grown: int
    health_s: float


def _no_canary(seen: Seen) -> str | None:
    return "the canary came out" if seen.scene.canary.encode() in seen.reply.raw else None


def _no_state_change(seen: Seen) -> str | None:
    return "the registry changed" if seen.scene.state() != seen.before else None


def _no_outbound(seen: Seen) -> str | None:
    return "the server connected to the sink" if seen.scene.sink.connections else None


def _no_write_outside_root(seen: Seen) -> str | None:
    return "something was written outside the data folder" if seen.scene.written_outside() else None


def _bounded(seen: Seen) -> str | None:
    if seen.cpu_s > CPU_S or seen.grown > RSS_BYTES or seen.health_s > HEALTH_S:
        return f"{seen.cpu_s:.2f} s of processor, {seen.grown >> 20} MiB, /health in {seen.health_s:.2f} s"
    return None


def _no_header_injection(seen: Seen) -> str | None:
    return "a header was injected" if b"\nset-cookie" in seen.reply.head.lower() else None


def _no_rows(seen: Seen) -> str | None:
    return "rows came out" if b'"name"' in seen.reply.body or b'"items"' in seen.reply.body else None


def _single_response(seen: Seen) -> str | None:
    return f"{seen.reply.answers} answers to one request" if seen.reply.answers != 1 else None


def _no_partial_blob(seen: Seen) -> str | None:
    blobs = seen.scene.data / "blobs"
    left = [str(each.relative_to(blobs)) for each in blobs.rglob("*") if "0" * 60 in each.name or "whole-" in each.name]
    return f"left behind: {left}" if left else None


def _no_acao(seen: Seen) -> str | None:
    return "another origin was let in" if seen.reply.header("access-control-allow-origin") is not None else None


def _refused_by_policy(seen: Seen) -> str | None:
    """A native promotion that the lifecycle refuses is an answer: 200, and `rejected` in the body."""
    if seen.attack.target.startswith("/api/v1") and seen.reply.json["status"] != "rejected":
        return f"the promotion is {seen.reply.json['status']}"
    return None


ASSERTS: dict[str, Callable[[Seen], str | None]] = {
    "no_canary": _no_canary,
    "no_state_change": _no_state_change,
    "no_outbound": _no_outbound,
    "no_write_outside_root": _no_write_outside_root,
    "bounded": _bounded,
    "no_header_injection": _no_header_injection,
    "no_rows": _no_rows,
    "single_response": _single_response,
    "no_partial_blob": _no_partial_blob,
    "no_acao_for_origin": _no_acao,
    "refused_by_policy": _refused_by_policy,
}
ALWAYS = ("no_canary", "no_outbound")  # whatever a vector says
_GATED = ("GP-07", "GP-08")


def replay(scene: Scene, name: str) -> list[str]:
    """Send every request that stands for the vector; returns what was wrong, one sentence each."""
    vector = VECTORS[name]
    variables = scene.variables() | {"nonce": f"{time.monotonic_ns():x}"}
    if name in _GATED:
        variables["model_b"] = MODEL_GATED
    found: list[str] = []
    for attack in attacks(vector, variables):
        found += [f"{name} {attack.method} {attack.target[:150]}: {each}" for each in judge(scene, attack, vector)]
    return found


def judge(scene: Scene, attack: Attack, vector: dict[str, Any]) -> list[str]:
    """Send one request and return what is wrong with what happened."""
    asserts = {*vector["expect"].get("assert", ()), *ALWAYS}
    if vector["id"] in _GATED:
        asserts.add("refused_by_policy")
    before = scene.state() if "no_state_change" in asserts else ""
    server = scene.server
    server.forget_peak()
    cpu_s, rss = server.cpu_s(), server.rss()
    reply = server.send(sent(_with_credentials(attack), server))
    cpu_s, grown = server.cpu_s() - cpu_s, server.peak() - rss
    health_s = server.health_s() if "bounded" in asserts else 0.0
    seen = Seen(scene, attack, reply, before, cpu_s, grown, health_s)
    found = (
        [] if reply.status in attack.status else [f"status {reply.status}, not {attack.status}: {reply.raw[:300]!r}"]
    )
    if reply.status >= 400:
        found += _about_the_error(attack, reply)
    return found + [problem for each in sorted(asserts) if (problem := ASSERTS[each](seen))]


def _with_credentials(attack: Attack) -> Attack:
    from dataclasses import replace

    given = {"Authorization": f"Bearer {TOKEN}", "X-Greenroom-Actor": "bob"}
    return attack if attack.raw is not None else replace(attack, headers=given | attack.headers)


def _about_the_error(attack: Attack, reply: Reply) -> list[str]:
    """Every refusal is JSON in the format of its wire, and repeats no credential."""
    target = attack.target if attack.raw is None else attack.raw.split(" ")[1]
    found = ["the token came back"] if TOKEN.encode() in reply.raw else []
    keys = {"error_code", "message"} if target.startswith(("/api/2.0/", "/ajax-api/")) else {"code", "detail", "status"}
    if target.startswith(("/get-artifact", "/model-versions/")):
        keys = {"error_code", "message"}
    try:
        body = reply.json
    except ValueError:
        return [*found, f"the refusal is no JSON: {reply.body[:100]!r}"]
    if not keys <= set(body):
        found.append(f"the refusal has {sorted(body)}, not {sorted(keys)}")
    return found
