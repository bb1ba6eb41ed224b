"""Plots as small inline SVG: bars and strips that follow the page's colours and read without colour too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

_WIDTH = 520
_ROW = 30
_LEFT = 184
_RIGHT = 56


def bars(counts: Mapping[str, int], *, title: str) -> Markup:
    """Draw one horizontal bar a name, longest first.

    Args:
        counts: How many of each.
        title: What is counted; also the description for screen readers.
    """
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    most = max((count for _, count in ordered), default=1) or 1
    rows = []
    for number, (name, count) in enumerate(ordered):
        y, width = number * _ROW, (_WIDTH - _LEFT - _RIGHT) * count / most
        rows.append(
            f'<text class="name" x="{_LEFT - 10}" y="{y + 19}" text-anchor="end">{_short(name)}</text>'
            f'<rect class="bar" x="{_LEFT}" y="{y + 6}" width="{width:.1f}" height="18" rx="3"/>'
            f'<text class="number" x="{_LEFT + width + 8:.1f}" y="{y + 19}">{count}</text>'
        )
    told = "; ".join(f"{name}: {count}" for name, count in ordered)
    return _svg("".join(rows), height=max(1, len(ordered)) * _ROW, label=f"{title}. {told}")


def strips(values: Mapping[str, Sequence[float]], *, title: str, unit: str, colours: Mapping[str, str]) -> Markup:
    """Draw every value as a dot on a logarithmic axis, one row a name, with its median.

    Args:
        values: Positive values by name; others are left out.
        title: What is shown; also the description for screen readers.
        unit: Unit of the axis.
        colours: Fill by name, such as ``#56b4e9``.
    """
    positive = {name: sorted(value for value in row if value > 0) for name, row in values.items()}
    everything = [value for row in positive.values() for value in row]
    low = math.floor(math.log10(min(everything, default=1.0)))
    high = max(low + 1, math.ceil(math.log10(max(everything, default=10.0))))
    rows = [_axis(low, high, len(positive), unit)]
    for number, (name, row) in enumerate(positive.items()):
        rows.append(_strip(number, name, row, (low, high), colours.get(name, "currentColor")))
    told = "; ".join(f"{name}: {_told(row, unit)}" for name, row in positive.items())
    return _svg("".join(rows), height=len(positive) * _ROW + 34, label=f"{title}. {told}")


def _told(row: Sequence[float], unit: str) -> str:
    return f"{len(row)} values, median {row[len(row) // 2]:.3g} {unit}" if row else "no value"


def _x(value: float, limits: tuple[int, int]) -> float:
    share = (math.log10(value) - limits[0]) / (limits[1] - limits[0])
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _strip(number: int, name: str, row: Sequence[float], limits: tuple[int, int], colour: str) -> str:
    y = number * _ROW + 15
    parts = [f'<text class="name" x="{_LEFT - 10}" y="{y + 4}" text-anchor="end">{_short(name)}</text>']
    parts += [f'<circle class="dot" cx="{_x(v, limits):.1f}" cy="{y}" r="5" fill="{escape(colour)}"/>' for v in row]
    if row:
        x = _x(row[len(row) // 2], limits)
        parts.append(f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 11}" y2="{y + 11}"/>')
    parts.append(f'<text class="number" x="{_WIDTH - 4}" y="{y + 4}" text-anchor="end">n = {len(row)}</text>')
    return "".join(parts)


def _axis(low: int, high: int, rows: int, unit: str) -> str:
    bottom, step = rows * _ROW, max(1, (high - low) // 5)
    parts = []
    for power in range(low, high + 1, step):
        x = _x(10.0**power, (low, high))
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{10.0**power:g}</text>')
    parts.append(f'<text class="tick" x="{_WIDTH - 4}" y="{bottom + 20}" text-anchor="end">{escape(unit)}</text>')
    return "".join(parts)


def _short(name: str) -> Markup:
    return escape(name if len(name) <= 22 else name[:21] + "…")


def _svg(inner: str, *, height: int, label: str) -> Markup:
    head = f'<svg class="plot" viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">'
    return Markup(f"{head}{inner}</svg>")


def share(counts: Mapping[str, int], *, label: str) -> Markup:
    """Draw parts of a whole as one bar; each part's name is its class in the page's style.

    Args:
        counts: How many of each kind, in order.
        label: What the whole is.
    """
    total = sum(counts.values())
    parts, x = [], 0.0
    for kind, count in counts.items():
        width = 100.0 * count / total if total else 0.0
        parts.append(f'<rect class="{escape(kind)}" x="{x:.2f}" width="{width:.2f}" height="4"/>')
        x += width
    told = f"{label}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
    head = f'<svg class="share" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label="{escape(told)}">'
    return Markup(f'{head}<rect class="track" width="100" height="4"/>{"".join(parts)}</svg>')
