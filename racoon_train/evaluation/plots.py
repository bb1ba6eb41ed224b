"""Plots of a comparison as SVG text that takes its ink colour from the page, in light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

_INK = "#010203"
ARM_COLORS = {"federated": "#0d9488", "ensemble": "#d97706", "local": "#7c83fd", "pooled": "#64748b"}
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "racoon",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def convergence(curves: Sequence[Mapping[str, Any]], *, local_steps: int) -> str:
    """Draw mean Dice on the sites' own test cases over rounds; thin lines are single sites."""
    figure, axes = _canvas(7.2, 3.3)
    for arm in ("federated", "local"):
        points = [point for point in curves if point["arm"] == arm and point["dice"] is not None]
        for dataset in sorted({point["dataset"] for point in points}):
            line = sorted((point["round"], point["dice"]) for point in points if point["dataset"] == dataset)
            axes.plot(*zip(*line, strict=True), color=ARM_COLORS[arm], alpha=0.28, linewidth=1)
        rounds = sorted({point["round"] for point in points})
        means = [fmean(point["dice"] for point in points if point["round"] == number) for number in rounds]
        axes.plot(rounds, means, color=ARM_COLORS[arm], linewidth=2.4, marker="o", markersize=4, label=arm)
    axes.set_xlabel(f"round ({local_steps} steps at every site)")
    axes.set_ylabel("Dice, own test cases")
    axes.set_ylim(0, 1)
    axes.legend(loc="lower right")
    return _svg(figure)


def losses(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Draw each site's training loss over the rounds; a gap is a round the site was lost in."""
    figure, axes = _canvas(7.2, 3.0)
    for number, alias in enumerate(sorted({name for each in rounds for name in each["losses"]})):
        points = [(each["round"], each["losses"].get(alias, float("nan"))) for each in rounds]
        shade = 0.35 + 0.65 * (number + 1) / max(1, len(rounds[0]["losses"]) or 1)
        axes.plot(*zip(*points, strict=True), color=ARM_COLORS["federated"], alpha=min(1.0, shade), label=alias)
    axes.set_xlabel("round")
    axes.set_ylabel("training loss")
    axes.legend(loc="upper right", ncols=2)
    return _svg(figure)


def class_bars(classes: Sequence[str], arms: Mapping[str, Sequence[float | None]]) -> str:
    """Draw Dice per class and arm, averaged over the places it was judged on."""
    figure, axes = _canvas(7.2, 3.1)
    width = 0.8 / max(1, len(arms))
    for number, (arm, values) in enumerate(arms.items()):
        places = [position + (number - (len(arms) - 1) / 2) * width for position in range(len(classes))]
        heights = [value or 0.0 for value in values]
        axes.bar(places, heights, width * 0.9, color=ARM_COLORS[arm], label=arm)
        for place, value in zip(places, values, strict=True):
            axes.text(place, (value or 0.0) + 0.015, _short(value), ha="center", va="bottom", fontsize=8)
    axes.set_xticks(range(len(classes)), [name.replace("_", " ") for name in classes])
    axes.set_ylabel("Dice")
    axes.set_ylim(0, 1.08)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=len(arms))
    return _svg(figure)


def _short(value: float | None) -> str:
    return "n/a" if value is None else f".{round(value * 100):02d}" if value < 0.995 else "1"


def _canvas(width: float, height: float) -> tuple[Any, Any]:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.add_subplot()


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context(_STYLE):
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :].replace(_INK, "currentColor")
    return _one_id_space(text)


_serial = re.compile(r'(id="|#)([A-Za-z][\w-]*)')


def _one_id_space(svg: str) -> str:
    """Keep ids of several plots on one page apart: prefix each with a digest of its plot."""
    import hashlib

    prefix = "p" + hashlib.sha256(svg.encode("utf-8")).hexdigest()[:6] + "-"
    known = {found.group(2) for found in re.finditer(r'(id=")([A-Za-z][\w-]*)', svg)}
    return _serial.sub(lambda m: m.group(1) + (prefix + m.group(2) if m.group(2) in known else m.group(2)), svg)
