"""A lifecycle as a picture: stages in a row, how each is entered, where the displaced go.

Plain SVG with its own style, so that it reads well in light and dark, in a repository's page and on paper.
"""

from __future__ import annotations

from html import escape

from greenroom.core.policy import Policy, Slot

_STEP, _WIDTH, _HEIGHT, _LEFT, _TOP = 214, 168, 92, 14, 50
_STYLE = """
svg { color-scheme: light dark; font: 13px system-ui, sans-serif; }
rect { fill: #f6f8fa; stroke: #57606a; stroke-width: 1.2; }
rect.one { fill: #dafbe1; stroke: #1a7f37; stroke-width: 2; }
rect.archive { fill: #eaeef2; stroke-dasharray: 5 3; }
text { fill: #1f2328; text-anchor: middle; }
.name { font-weight: 600; font-size: 15px; }
.small { font-size: 11.5px; fill: #57606a; }
path { fill: none; stroke: #57606a; stroke-width: 1.4; }
path.back { stroke: #0969da; stroke-dasharray: 6 4; }
path.out { stroke: #9a6700; stroke-dasharray: 2 3; }
.head { fill: #57606a; stroke: none; }
@media (prefers-color-scheme: dark) {
  rect { fill: #161b22; stroke: #8b949e; }
  rect.one { fill: #12261e; stroke: #3fb950; }
  rect.archive { fill: #21262d; }
  text { fill: #e6edf3; }
  .small { fill: #9da7b3; }
  path { stroke: #8b949e; }
  path.back { stroke: #58a6ff; }
  path.out { stroke: #d29922; }
  .head { fill: #8b949e; }
}
"""


def svg(policy: Policy) -> str:
    """Return the picture of a policy's stages."""
    names = [stage.name.casefold() for stage in policy.stages]
    parts = []
    for at, stage in enumerate(policy.stages):
        parts += _box(at, stage, initial=stage is policy.initial)
        parts += _entries(at, stage, names, initial=stage is policy.initial)
        if stage.exclusive and (policy.archive or policy.initial) is not stage:
            target = names.index((policy.archive or policy.initial).name.casefold())
            parts.append(_below(at, target, "out", "displaced", depth=58))
    width = _LEFT * 2 + _STEP * (len(names) - 1) + _WIDTH
    height = _TOP + _HEIGHT + (94 if any(stage.exclusive for stage in policy.stages) else 30)
    label = escape(f"Stages of the lifecycle {policy.name}: {', '.join(stage.name for stage in policy.stages)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{label}">\n<style>{_STYLE}</style>\n'
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        '<path class="head" d="M0 0 8 4 0 8z"/></marker></defs>\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _box(at: int, stage: Slot, *, initial: bool) -> list[str]:
    x = _LEFT + at * _STEP
    middle = x + _WIDTH // 2
    kind = "one" if stage.exclusive else "archive" if stage.archive else "many"
    lines = [f'<rect class="{kind}" x="{x}" y="{_TOP}" width="{_WIDTH}" height="{_HEIGHT}" rx="9"/>']
    lines.append(f'<text class="name" x="{middle}" y="{_TOP + 26}">{escape(stage.name)}</text>')
    for row, text in enumerate(_facts(stage)):
        lines.append(f'<text class="small" x="{middle}" y="{_TOP + 46 + 16 * row}">{escape(text)}</text>')
    above = 10 if stage.sources is not None else 39
    for row, rule in enumerate(reversed(stage.gates)):
        text = f"gate: {rule.type} ({rule.level})"
        lines.append(f'<text class="small" x="{middle}" y="{_TOP - above - 15 * row}">{escape(text)}</text>')
    if initial:
        lines.append(f'<text class="small" x="{middle}" y="{_TOP + _HEIGHT + 18}">versions begin here</text>')
    return lines


def _facts(stage: Slot) -> list[str]:
    if not stage.exclusive:
        return ["any number of versions", *(["protected"] if stage.protected else [])]
    held = "held: refused, or swap" if stage.occupied == "conflict" else "held: the holder leaves"
    return ["one version", held, *(["protected"] if stage.protected else [])]


def _entries(at: int, stage: Slot, names: list[str], *, initial: bool) -> list[str]:
    middle = _LEFT + at * _STEP + _WIDTH // 2
    if stage.sources is None:
        text = f'<text class="small" x="{middle}" y="{_TOP - 24}">from any stage</text>'
        return [text, f'<path d="M{middle} {_TOP - 19}V{_TOP - 3}" marker-end="url(#tip)"/>']
    lines = []
    for source in stage.sources:
        begin = names.index(source.casefold())
        if begin == at - 1:
            x = _LEFT + begin * _STEP + _WIDTH
            lines.append(f'<path d="M{x} {_TOP + 30}H{x + _STEP - _WIDTH - 2}" marker-end="url(#tip)"/>')
        else:
            lines.append(_below(begin, at, "in", "", depth=84))
    lines += [_below(names.index(s.casefold()), at, "back", "rollback", depth=28) for s in stage.rollback_sources or ()]
    return lines


def _below(begin: int, end: int, kind: str, label: str, *, depth: int) -> str:
    """An arrow under the boxes; each kind has a depth of its own, so that two never lie on each other."""
    shift = 34 if kind == "out" else 58
    a = _LEFT + begin * _STEP + _WIDTH // 2 + (shift if begin < end else -shift)
    b = _LEFT + end * _STEP + _WIDTH // 2 + (-shift if begin < end else shift)
    y = _TOP + _HEIGHT
    path = f'<path class="{kind}" d="M{a} {y}V{y + depth}H{b}V{y + 3}" marker-end="url(#tip)"/>'
    return path + (f'<text class="small" x="{(a + b) // 2}" y="{y + depth - 5}">{label}</text>' if label else "")
