"""The flow of an account, as trials draw it: what came in, what was left out at each step and why, what is used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_ORDER = ("find", "retrieve", "deidentify", "sort", "read", "link", "select", "stack", "build", "map", "check", "write")
_WIDE, _SIDE, _GAP, _LINE, _MARGIN = 250, 290, 26, 18, 16
_MOST_REASONS = 6


@dataclass(frozen=True, slots=True)
class Exclusion:
    """What was left out at one step.

    Attributes:
        step: The step.
        count: How many.
        reasons: Code and count, most frequent first.
        left: How many go on.
    """

    step: str
    count: int
    reasons: tuple[tuple[str, int], ...]
    left: int


def exclusions(stage: Mapping[str, Any]) -> tuple[Exclusion, ...]:
    """Give what was left out of a stage, step by step in the order of the walk."""
    steps: dict[str, list[tuple[str, int]]] = {}
    for row in stage["left_out"]:
        steps.setdefault(row["step"], []).append((row["code"], row["count"]))
    found, left = [], int(stage["in"])
    for step in sorted(steps, key=_place):
        reasons = tuple(sorted(steps[step], key=lambda reason: (-reason[1], reason[0])))
        count = sum(number for _, number in reasons)
        left -= count
        found.append(Exclusion(step, count, reasons, left))
    return tuple(found)


def _place(step: str) -> tuple[int, str]:
    return (_ORDER.index(step) if step in _ORDER else len(_ORDER), step)


def flow_text(account: Mapping[str, Any]) -> str:
    """Draw the flow with letters, for a terminal or a mail."""
    lines = [f"Account of {account['dataset']}{_scope(account)}"]
    for stage in account["stages"]:
        lines += ["", f"{stage['name']}: {stage['in']} came in{_persons(stage)}"]
        for one in exclusions(stage):
            reasons = ", ".join(f"{code} {count}" for code, count in one.reasons)
            lines.append(f"  |-- {one.step}: {one.count} left out ({reasons}); {one.left} go on")
        lines.append(f"  `-> {_end(stage)}")
    return "\n".join(lines) + "\n"


def _scope(account: Mapping[str, Any]) -> str:
    until = f", until {account['until']}" if account["until"] != "build" else ""
    return until + (f", only {', '.join(account['only'])}" if account["only"] else "")


def _persons(stage: Mapping[str, Any]) -> str:
    return f", {stage['patients']} patient(s)" if stage.get("patients") else ""


def _end(stage: Mapping[str, Any]) -> str:
    repaired = f", {stage['repaired']} more used after a repair" if stage["repaired"] else ""
    return f"{stage['used']} used{repaired}; {stage['skipped']} skipped, {stage['failed']} failed"


def flow_svg(account: Mapping[str, Any]) -> str:
    """Draw the flow as a picture that follows the light or dark of the page it stands on."""
    columns = [
        _column(stage, x=_MARGIN + place * (_WIDE + _SIDE + 60)) for place, stage in enumerate(account["stages"])
    ]
    width = len(columns) * (_WIDE + _SIDE + 60) + _MARGIN
    height = max(bottom for _, bottom in columns) + _MARGIN
    title = escape(f"Account of {account['dataset']}")
    parts = "".join(part for drawn, _ in columns for part in drawn)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" role="img"'
        f' aria-label="{title}">{_STYLE}<title>{title}</title>{parts}</svg>\n'
    )


_STYLE = (
    "<style>svg{font:13px system-ui,sans-serif;color-scheme:light dark}"
    ".b{fill:none;stroke:#5b7083;stroke-width:1.2}.u{stroke:#1f7a4d;stroke-width:2}.x{stroke:#b06a1a}"
    ".a{stroke:#5b7083;stroke-width:1.2;fill:none}text{fill:#1c2733}.h{font-weight:600}.c{font-size:11.5px}"
    "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.u{stroke:#4cc38a}.x{stroke:#e0a458}}</style>"
)


def _column(stage: Mapping[str, Any], *, x: int) -> tuple[list[str], int]:
    top = [(f"{stage['name']} that came in", True), (f"{stage['in']}{_persons(stage)}", False)]
    drawn, y = _box(x, _MARGIN, _WIDE, top)
    for one in exclusions(stage):
        reasons = [(f"{code}: {count}", False) for code, count in one.reasons[:_MOST_REASONS]]
        if len(one.reasons) > _MOST_REASONS:
            reasons.append((f"and {len(one.reasons) - _MOST_REASONS} more reasons", False))
        side, bottom = _box(
            x + _WIDE + 40, y + _GAP, _SIDE, [(f"{one.step}: {one.count} left out", True), *reasons], "x"
        )
        middle = (y + _GAP + bottom) // 2
        drawn += [*side, _line(x + _WIDE // 2, middle, x + _WIDE + 40, middle)]
        drawn.append(_line(x + _WIDE // 2, y, x + _WIDE // 2, bottom))
        y = bottom
    drawn.append(_line(x + _WIDE // 2, y, x + _WIDE // 2, y + _GAP))
    used = [(f"used: {stage['used']}", True)]
    if stage["repaired"]:
        used.append((f"used after a repair: {stage['repaired']}", False))
    last, bottom = _box(x, y + _GAP, _WIDE, used, "u")
    return [*drawn, *last], bottom


def _box(x: int, y: int, width: int, lines: Sequence[tuple[str, bool]], kind: str = "") -> tuple[list[str], int]:
    height = _LINE * len(lines) + 14
    drawn = [f'<rect class="b {kind}" x="{x}" y="{y}" width="{width}" height="{height}" rx="6"/>']
    drawn += list(_words(x + 12, y + 7, lines))
    return drawn, y + height


def _words(x: int, y: int, lines: Sequence[tuple[str, bool]]) -> Iterator[str]:
    for number, (text, is_head) in enumerate(lines, start=1):
        yield f'<text class="{"h" if is_head else "c"}" x="{x}" y="{y + number * _LINE - 5}">{escape(text)}</text>'


def _line(x1: int, y1: int, x2: int, y2: int) -> str:
    return f'<path class="a" d="M{x1} {y1}L{x2} {y2}"/>'
