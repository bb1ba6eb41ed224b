"""Plots as small inline SVG: bars and strips that follow the page's colours and read without colour too."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

_WIDTH = 560
_ROW = 34
_LEFT = 170
_RIGHT = 70
_MOST_DOTS = 120
_BINS = 48


@dataclass(frozen=True, slots=True)
class Dot:
    """One value of a plot, the case it belongs to and where a link to that case leads."""

    value: float
    case: str = ""
    href: str = ""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places on an axis: logarithmic for sizes, plain for others."""

    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, values: Sequence[float], *, is_log: bool) -> Scale:
        """Choose ends a little beyond the values."""
        placed = [math.log10(value) for value in values] if is_log else list(values)
        low, high = min(placed, default=0.0), max(placed, default=1.0)
        margin = max(0.05 * (high - low), 0.05 if is_log else 0.01 * max(abs(high), abs(low), 1.0))
        return cls(low - margin, high + margin, is_log)

    def x(self, value: float) -> float:
        """Give the place of a value."""
        placed = math.log10(value) if self.is_log else value
        return _LEFT + (placed - self.low) / (self.high - self.low) * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        """Choose about five round values."""
        if self.is_log:
            powers = range(math.floor(self.low), math.ceil(self.high) + 1)
            steps = (
                (1, 1.5, 2, 3, 4, 5, 7) if self.high - self.low < 1 else (1, 2, 5) if self.high - self.low < 2 else (1,)
            )
            ticks = [step * 10.0**power for power in powers for step in steps]
            inside = [tick for tick in ticks if self.low <= math.log10(tick) <= self.high]
            return inside[:: max(1, math.ceil(len(inside) / 6))]
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        step *= next(factor for factor in (1, 2, 5, 10) if (self.high - self.low) / (factor * step) <= 6)
        return [round(number * step, 9) for number in range(math.ceil(self.low / step), int(self.high // step) + 1)]


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
            f"{_name(name, y + 21)}"
            f'<rect class="bar" x="{_LEFT}" y="{y + 7}" width="{width:.1f}" height="19" rx="3"/>'
            f'<text class="number" x="{_LEFT + width + 8:.1f}" y="{y + 21}">{count}</text>'
        )
    told = "; ".join(f"{name}: {count}" for name, count in ordered)
    return _svg("".join(rows), height=max(1, len(ordered)) * _ROW, label=f"{title}. {told}")


def strips(
    values: Mapping[str, Sequence[Dot]], *, title: str, unit: str, colours: Mapping[str, str], is_log: bool = True
) -> Markup:
    """Draw every value as a dot that links to its case, one row a name, with its median.

    Rows of more than 120 values show their distribution as an outline, and dots for the ten furthest from the median.

    Args:
        values: Values by name; on a logarithmic axis only positive ones are drawn.
        title: What is shown; also the description for screen readers.
        unit: Unit of the axis.
        colours: Fill by name, such as ``#56b4e9``.
        is_log: Logarithmic axis.
    """
    drawn = {
        name: sorted((dot for dot in row if dot.value > 0 or not is_log), key=lambda dot: dot.value)
        for name, row in values.items()
    }
    scale = Scale.of([dot.value for row in drawn.values() for dot in row], is_log=is_log)
    rows = [_axis(scale, len(drawn), unit)]
    for number, (name, row) in enumerate(drawn.items()):
        rows.append(_strip(number, name, row, scale, colours.get(name, "currentColor")))
    told = "; ".join(f"{name}: {_told(row, unit)}" for name, row in drawn.items())
    return _svg("".join(rows), height=len(drawn) * _ROW + 34, label=f"{title}. {told}")


def _told(row: Sequence[Dot], unit: str) -> str:
    return f"{len(row)} values, median {row[len(row) // 2].value:.3g} {unit}".rstrip() if row else "no value"


def _name(name: str, y: float) -> str:
    short = name if len(name) <= 20 else name[:19] + "…"
    return f'<text class="name" x="{_LEFT - 10}" y="{y:g}" text-anchor="end">{escape(short)}</text>'


def _strip(number: int, name: str, row: Sequence[Dot], scale: Scale, colour: str) -> str:
    y = number * _ROW + 16
    parts = [_name(name, y + 5)]
    if len(row) > _MOST_DOTS:
        parts.append(_outline(row, scale, y, colour))
    parts += [_dot(dot, scale, y + 4 * (index % 3 - 1), colour) for index, dot in enumerate(_dotted(row))]
    if row:
        x = scale.x(row[len(row) // 2].value)
        parts.append(f'<line class="median" x1="{x:.1f}" x2="{x:.1f}" y1="{y - 12}" y2="{y + 12}"/>')
    parts.append(f'<text class="number" x="{_WIDTH - 4}" y="{y + 5}" text-anchor="end">n = {len(row)}</text>')
    return "".join(parts)


def _dotted(row: Sequence[Dot]) -> Sequence[Dot]:
    if len(row) <= _MOST_DOTS:
        return row
    return [*row[:5], *row[-5:]]


def _dot(dot: Dot, scale: Scale, y: float, colour: str) -> str:
    circle = f'<circle class="dot" cx="{scale.x(dot.value):.1f}" cy="{y:g}" r="5" fill="{escape(colour)}"/>'
    if not dot.href:
        return circle
    title = f"<title>{escape(dot.case)}: {dot.value:.3g}</title>"
    return f'<a href="{escape(dot.href)}" tabindex="-1">{circle[:-2]}>{title}</circle></a>'


def _outline(row: Sequence[Dot], scale: Scale, y: float, colour: str) -> str:
    """Draw how many values lie where, mirrored about the row's middle."""
    places = [scale.x(dot.value) for dot in row]
    counts, edges = np.histogram(places, bins=_BINS)
    smooth = np.convolve(counts, (0.25, 0.5, 0.25), mode="same")
    heights = 12 * smooth / max(float(smooth.max()), 1.0)
    middles = (edges[:-1] + edges[1:]) / 2
    upper = [f"{x:.1f},{y - height:.1f}" for x, height in zip(middles, heights, strict=True)]
    lower = [f"{x:.1f},{y + height:.1f}" for x, height in zip(middles[::-1], heights[::-1], strict=True)]
    return f'<polygon class="outline" points="{" ".join(upper + lower)}" fill="{escape(colour)}"/>'


def _axis(scale: Scale, rows: int, unit: str) -> str:
    bottom = rows * _ROW
    parts = []
    for tick in scale.ticks():
        x = scale.x(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{bottom + 4}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 21}" text-anchor="middle">{tick:g}</text>')
    parts.append(f'<text class="tick" x="{_WIDTH - 4}" y="{bottom + 21}" text-anchor="end">{escape(unit)}</text>')
    return "".join(parts)


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
