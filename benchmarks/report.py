"""The table and the picture, made from what was measured and from nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

OURS, THEIRS = "#1f7a4d", "#9aa0a6"
GOALS: Mapping[str, str] = {"P1": "8 and 32 clients: >= 100x, p99 <= 1/20", "P3": "1 client: >= 20x; 32: >= 60x"}


def table(found: Mapping[str, Any]) -> str:
    """Return the results as Markdown."""
    machine = found["machine"]
    load = machine["load_before"][0]
    lines = [
        "# Benchmarks: Greenroom beside a stock MLflow server",
        "",
        f"{machine['at']}, {machine['cpus']} CPUs ({machine['cpu']}), {machine['system']}, Python {machine['python']}.",
        f"Load before {load:.1f}, after {found['load_after'][0]:.1f}. Medians of {found['rounds']} rounds of "
        f"{found['seconds']:g} s, in turn." + (" **A quick run: not for quoting.**" if found["quick"] else ""),
        "Repeat with `make bench`" + (" BENCH_ARGS=--quick." if found["quick"] else "."),
    ]
    for part in ("P1", "P3"):
        if part in found:
            lines += ["", f"## {part} ({GOALS[part]})", "", *_calls(found[part])]
    if "P1 own" in found:
        lines += ["", "## Our own stack (P1: >= 70 % of a constant answer)", "", *_own(found)]
    if "P3" in found:
        lines += [
            "",
            "## A promotion beside the smallest durable, audited change (P3: >= 50 %)",
            "",
            *_above_a_tag(found),
        ]
    if "P6" in found:
        lines += ["", "## A holder look-up while 64 runs log (p99: <= 2x idle)", "", *_beside_logging(found["P6"])]
    if "A3" in found:
        lines += ["", "## A3 (sealing the log: <= 25 % of a durable commit)", "", *_sealing(found["A3"])]
    if "P11" in found:
        lines += ["", "## P11 (start <= 1.0 s, idle <= 80 MB, install <= 1/8)", "", *_footprint(found)]
    if "P12" in found:
        lines += ["", "## P12 (help and import <= 0.10 s, promotion <= 0.20 s)", "", *_commands(found["P12"])]
    return "\n".join(lines) + "\n"


def _calls(part: Mapping[str, Any]) -> Iterator[str]:
    ours, stock = "Greenroom /s | p50 ms | p99 ms | CPU us", "MLflow /s | p50 ms | p99 ms"
    yield f"| call | clients | {ours} | {stock} | ratio | p99 ratio |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|"
    for kind, by_clients in part.items():
        for clients, sides in by_clients.items():
            ours, stock = sides["greenroom"], sides.get("mlflow")
            row = [kind, clients, f"{ours['per_s']:.0f}", *_times(ours), f"{ours['server_cpu_us']:.0f}"]
            if stock is None:
                row += ["-"] * 5
            else:
                row += [f"{stock['per_s']:.0f}", *_times(stock), f"{ours['per_s'] / stock['per_s']:.0f}x"]
                row += [f"1/{stock['p99_ms'] / ours['p99_ms']:.0f}"]
            yield f"| {' | '.join(row)} |"


def _times(side: Mapping[str, Any]) -> tuple[str, str]:
    return f"{side['p50_ms']:.2f}", f"{side['p99_ms']:.2f}"


def _own(found: Mapping[str, Any]) -> Iterator[str]:
    own = found["P1 own"]
    clients = list(own["constant JSON"])
    heads = " | ".join(f"{each} clients /s" for each in clients)
    yield f"| call | {heads} | part of a constant JSON answer, {clients[-1]} clients |"
    yield f"|---|{'--:|' * len(clients)}--:|"
    last = own["constant JSON"][clients[-1]]["greenroom"]["per_s"]
    for kind, by_clients in {**own, **found["P1"]}.items():
        rates = [by_clients[each]["greenroom"]["per_s"] for each in clients]
        yield f"| {kind} | {' | '.join(f'{each:.0f}' for each in rates)} | {rates[-1] / last:.0%} |"


def _above_a_tag(found: Mapping[str, Any]) -> Iterator[str]:
    yield "| clients | set version tag /s | promotion with swap /s | part |"
    yield "|--:|--:|--:|--:|"
    promotions, tags = found["P3"]["promotion with swap"], found["P3"]["set version tag"]
    for clients, sides in promotions.items():
        rate, floor = sides["greenroom"]["per_s"], tags[clients]["greenroom"]["per_s"]
        yield f"| {clients} | {floor:.0f} | {rate:.0f} | {rate / floor:.0%} |"


def _beside_logging(part: Mapping[str, Any]) -> Iterator[str]:
    yield "| server | 64 runs | requests logged /s | their p99 ms | look-up p50 ms | p99 ms | of idle p99 |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    for name in part["idle"]:
        for kind, sides in part.items():
            side = sides[name]
            times = side["p99_ms"] / part["idle"][name]["p99_ms"]
            logged = [f"{side.get(key, 0):.0f}" for key in ("logged_per_s", "logged_p99_ms")]
            yield f"| {' | '.join([name, kind, *logged, *_times(side), f'{times:.1f}x'])} |"


def _sealing(part: Mapping[str, Any]) -> Iterator[str]:
    yield "| requests a commit, one checkpoint each commit | commit us | sealing us | share |"
    yield "|--:|--:|--:|--:|"
    for size, each in part.items():
        yield f"| {size} | {each['commit_us']:.0f} | {each['seal_us']:.0f} | {each['share']:.0%} |"


def _footprint(found: Mapping[str, Any]) -> Iterator[str]:
    part = found["P11"]
    yield "| what | Greenroom | MLflow | ratio |"
    yield "|---|--:|--:|--:|"
    rows: list[tuple[str, Mapping[str, float], str, float]] = [
        ("start to ready, fresh folder", found["first_start_s"], "s", 1),
        (
            "start to ready, existing database",
            {name: each["median_s"] for name, each in part["start_s"].items()},
            "s",
            1,
        ),
        ("idle memory (PSS)", part["idle_bytes"], "MB", 1e6),
        ("processes", part["processes"], "", 1),
    ]
    if "install" in part:
        rows.append(("installed files", {name: each["bytes"] for name, each in part["install"].items()}, "MB", 1e6))
        rows.append(("packages", {name: each["packages"] for name, each in part["install"].items()}, "", 1))
    for what, sides, unit, divisor in rows:
        ours, stock = sides["greenroom"], sides.get("mlflow")
        right = "-" if stock is None else f"{stock / divisor:.4g} {unit}".strip()
        yield f"| {what} | {ours / divisor:.3g} {unit} | {right} | {_part_of(ours, stock)} |"


def _commands(part: Mapping[str, Any]) -> Iterator[str]:
    yield "| what | Greenroom s | MLflow s | ratio |"
    yield "|---|--:|--:|--:|"
    for what, ours in part["greenroom"].items():
        stock = part.get("mlflow", {}).get(what)
        right = None if stock is None else stock["median_s"]
        shown = "-" if right is None else f"{right:.2f}"
        yield f"| {what} | {ours['median_s']:.3f} | {shown} | {_part_of(ours['median_s'], right)} |"


def _part_of(ours: float, stock: float | None) -> str:
    return "-" if stock is None or not ours else f"1/{stock / ours:.1f}"


def picture(found: Mapping[str, Any]) -> str:
    """Return a bar chart, calls per second on a logarithmic scale, as SVG that reads on light and on dark."""
    bars = list(_bars(found))
    height = 58 + 44 * len(bars)
    most = max((max(rate for _, rate in rates) for _, rates in bars), default=1.0)
    scale = 440 / max(1.0, math.log10(most))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="820" height="{height}" viewBox="0 0 820 {height}" '
        'font-family="system-ui, sans-serif" font-size="13" role="img">',
        "<title>Calls per second, Greenroom and MLflow</title>",
        f'<rect width="820" height="{height}" fill="#ffffff"/>',
        '<text x="16" y="24" font-size="15" font-weight="bold" fill="#1a1a1a">Calls per second (logarithmic)</text>',
        *_key(420, "Greenroom", OURS),
        *_key(530, "MLflow", THEIRS),
    ]
    for index, (label, rates) in enumerate(bars):
        top = 44 + 44 * index
        parts.append(f'<text x="16" y="{top + 20}" fill="#1a1a1a">{escape(label)}</text>')
        for row, (side, rate) in enumerate(rates):
            width = max(2.0, scale * math.log10(max(rate, 1.0)))
            color = OURS if side == "greenroom" else THEIRS
            y = top + 4 + 16 * row
            parts.append(f'<rect x="250" y="{y}" width="{width:.1f}" height="13" fill="{color}"/>')
            parts.append(f'<text x="{256 + width:.1f}" y="{y + 11}" font-size="12" fill="#1a1a1a">{rate:,.0f}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _key(x: int, text: str, color: str) -> tuple[str, str]:
    square = f'<rect x="{x}" y="13" width="12" height="12" fill="{color}"/>'
    return square, f'<text x="{x + 18}" y="24" fill="#1a1a1a">{text}</text>'


def _bars(found: Mapping[str, Any]) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for part in ("P1", "P3"):
        for kind, by_clients in found.get(part, {}).items():
            for clients, sides in by_clients.items():
                label = f"{kind}, {clients} client" + ("s" if clients != "1" else "")
                yield label, [(name, side["per_s"]) for name, side in sides.items()]
